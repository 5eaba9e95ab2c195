"""A graph whose every name is resolved: what `graph/build.py` makes of a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from graphrun.declare.declaration import Settings
from graphrun.declare.initializers import Initializer
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import Document, ExpectEntry, ParameterEntry, Value
from graphrun.solvers import Solver
from graphrun.updates.schedule import Schedule, plateau

if TYPE_CHECKING:
    import networkx as nx


class Node(NamedTuple):
    """A node as the graph runs it; `inputs` are the numbers of values, in order, and may repeat."""

    type: NodeType
    inputs: tuple[int, ...]
    settings: Settings


@dataclass(frozen=True, slots=True)
class EngineLeaf:
    """A leaf that the engine gives to a node: `kind` is `Noise` or `State`, `node` the number of the node's value."""

    kind: type
    node: int


@dataclass(frozen=True, slots=True)
class Update:
    """What a step does with the parameters.

    Attributes:
        rule: the update rule or the solver.
        settings: its settings; a scheduled step size has the schedule's first value.
        schedule: the schedule of the step size and its settings, or None.
        clip_norm: the largest Euclidean norm of the whole gradient, or None.
        clip_value: the largest absolute value of an element of the gradient, or None.
        accumulate: how many steps there are to an update, which takes the mean of their gradients.
        starts: how often a solver begins.
    """

    rule: UpdateRule | Solver
    settings: Settings
    schedule: tuple[Schedule, Settings] | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    starts: int = 1

    @property
    def by_step(self) -> tuple[Schedule, Settings] | None:
        """The schedule, where the step alone decides, not what the run looks at."""
        return None if self.schedule is None or self.schedule[0] is plateau else self.schedule

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped."""
        return self.clip_norm is not None or self.clip_value is not None

    @property
    def clips_means(self) -> bool:
        """Whether what is clipped is the mean of several steps' gradients."""
        return self.clips and self.accumulate > 1


@dataclass(frozen=True)
class ComputationalGraph:
    """A graph whose every name is resolved and that has no cycle.

    Attributes:
        names: the name of each value by its number; None for a number literal.
        parameters: the parameters with their bounds, in the order of the file, those that are frozen behind the others.
        leaves: the value of each leaf by its number: parameters, constants, number literals; None for a parameter
            that is drawn, for a column of the data set, and for what the engine gives.
        initializers: how the parameters that are drawn are, by their numbers.
        nodes: the nodes in the order of the file; node k is value ``len(leaves) + k``.
        data: the numbers of the columns of the data set that something reads.
        unread: the names of its other columns.
        engine_leaves: the inputs of nodes that the engine gives, by their numbers.
        order: the numbers of the nodes' values in topological order, file order among those that are ready.
        objective: the number of the value to optimize, or None; `maximize` says which way.
        stated: what the file has as the objective, and whether to maximize it, where a robust cost takes its place.
    """

    names: list[str | None]
    parameters: dict[str, ParameterEntry]
    leaves: list[Value | None]
    initializers: dict[int, tuple[Initializer, Settings]]
    nodes: list[Node]
    data: tuple[int, ...]
    engine_leaves: dict[int, EngineLeaf]
    order: Sequence[int]
    objective: int | None
    maximize: bool
    update: Update
    record: tuple[int, ...] | None
    expect: tuple[ExpectEntry, ...]
    document: Document
    unread: Sequence[str] = ()
    stated: tuple[int, bool] | None = None

    @property
    def free(self) -> int:
        """How many parameters are not frozen; they come first."""
        return sum(not entry.training.frozen for entry in self.parameters.values())

    @property
    def numbers(self) -> dict[str, int]:
        """The number of each named value."""
        return {name: number for number, name in enumerate(self.names) if name is not None}

    @cached_property
    def generations(self) -> list[int]:
        """The length of the longest path that leads to each value from a leaf, by its number."""
        first = len(self.leaves)
        generations = [0] * len(self.names)
        for number in self.order:
            inputs = self.nodes[number - first].inputs
            generations[number] = 1 + max([generations[source] for source in inputs], default=0)
        return generations

    def evaluation(self) -> ComputationalGraph:
        """Return the graph for rows that are only evaluated: what tells steps from evaluations is false there."""
        nodes = []
        for node in self.nodes:
            training = node.type.takes_training
            settings = tuple((name, False if name == training else value) for name, value in node.settings)
            nodes.append(node._replace(settings=settings) if training else node)
        return replace(self, nodes=nodes)

    def networkx(self) -> nx.DiGraph[str]:
        """Return the graph by names, for NetworkX's own algorithms; a repeated input is one edge there."""
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        first = len(self.leaves)
        for number, name in enumerate(self.names):
            kind = self.nodes[number - first].type.name if number >= first else "leaf"
            graph.add_node(name or f"literal {self.leaves[number]}", type=kind)
        labels = list(graph)
        graph.add_edges_from(
            (labels[source], labels[first + k]) for k, node in enumerate(self.nodes) for source in node.inputs
        )
        return graph
