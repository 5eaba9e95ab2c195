"""Graph → plan: an immutable schedule of integers, the one thing that engines read.

Every value has a slot: leaves first, then the nodes. Nodes of one type, settings and shapes within one topological
generation are a batch with neighbouring slots, so that an engine can run them as one array operation or one loop.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphrun.base.types import Array
from graphrun.declare.declaration import Settings
from graphrun.declare.initializers import Initializer
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.graph.graph import Update
from graphrun.plan.rows import RowAxes, RowNode, combination, rows_of_values
from graphrun.plan.shapes import Shape


class Feed(Protocol):
    """A data set, as an engine sees it."""

    feeds: bool
    """Whether steps are given different rows."""

    widths: Mapping[str, int]
    """The number of the categories of a column, or of its columns, for shapes that name one."""

    def batch(self, step: int) -> Sequence[NDArray[Any]]:
        """Return the columns of the rows that belong to a step; all steps' have the same shapes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Equal nodes that do not depend on each other.

    Attributes:
        start: the slot of the first node; the others follow.
        count: the number of nodes.
        generation: the length of the longest path that leads to these nodes from a leaf.
        operands: where in `Plan.operands` the slots of the inputs begin: all first inputs, then all second ones, ...
        arity: the number of inputs of each node.
        shape: the shape of each node's value.
        casts: the forward function gives another dtype than the graph's (a comparison), so its result is cast.
        needed: the objective depends on these nodes.
        moving: these nodes depend on a parameter.
        varying: their values change from step to step: they depend on a parameter, or on what each step is given.
    """

    type: NodeType
    settings: Settings
    start: int
    count: int
    generation: int
    operands: int
    arity: int
    shape: Shape
    casts: bool
    needed: bool
    moving: bool
    varying: bool

    @property
    def stop(self) -> int:
        """The slot after the last node's."""
        return self.start + self.count

    @property
    def slots(self) -> range:
        """The slots of the nodes."""
        return range(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class NoisePlan:
    """Random numbers that a step is given.

    Attributes:
        slot: where they go.
        key: what they derive from, besides the step: the seed and the node's name.
        shape: how many are drawn, which is the shape of slot `like`.
    """

    slot: int
    key: int
    shape: Shape
    like: int


@dataclass(frozen=True, slots=True)
class StatePlan:
    """The states of one node, which a step updates: their slots, and the batch of the node."""

    slots: tuple[int, ...]
    batch: Batch


@dataclass(frozen=True)
class Plan:
    """What there is to compute, in order, in integers.

    Attributes:
        names: the name of each slot's value; None for a number literal.
        shapes: the shape of each slot's value.
        dtype: the dtype of every value.
        parameters: how many slots are parameters; they come first.
        factors: what the rule's settings are multiplied by, of parameters of which that is not 1: by slot, by name.
        frozen: how many slots after them are parameters that nothing moves: constants by another name.
        leaves: the values of the leaves' slots.
        bounds: for each parameter its lower and upper bound, or None.
        batches: the batches in topological order.
        operands: the slots of all inputs, batch by batch.
        objective: the slot of the objective, or None; `maximize` says which way.
        update: what a step does with the parameters.
        data: the slots of the data set's columns, which each step is given anew where `feeds` is true.
        noise: the random numbers that each step is given.
        states: what the engine keeps from step to step for nodes.
        stated: the slot of the file's own objective, and whether to maximize it, where a robust cost takes its place.
        seed: what every random draw derives from.
        initializers: how parameters are drawn, by slot.
    """

    names: Sequence[str | None]
    shapes: Sequence[Shape]
    dtype: np.dtype[Any]
    parameters: int
    frozen: int = field(default=0, kw_only=True)
    factors: Mapping[int, Mapping[str, float]] = field(default_factory=dict, kw_only=True)
    leaves: Sequence[Array]
    bounds: Sequence[tuple[Array, Array] | None]
    batches: Sequence[Batch]
    operands: NDArray[np.int32]
    objective: int | None
    maximize: bool
    update: Update
    data: tuple[int, ...] = ()
    feeds: bool = False
    noise: tuple[NoisePlan, ...] = ()
    states: tuple[StatePlan, ...] = ()
    stated: tuple[int, bool] | None = None
    seed: int = 0
    initializers: Mapping[int, tuple[Initializer, Settings]] = field(default_factory=dict)

    @property
    def rule(self) -> UpdateRule:
        """The update rule; a solver has a program of its own, which makes no plain steps."""
        assert isinstance(self.update.rule, UpdateRule)  # noqa: S101 (for the type checker)
        return self.update.rule

    @cached_property
    def groups(self) -> Sequence[tuple[UpdateRule, Sequence[int]]]:
        """The parameters that the update rule treats alike, each group with its rule: mostly all are one."""
        if not self.factors:
            return [(self.rule, range(self.parameters))]
        groups: dict[tuple[tuple[str, float], ...], list[int]] = {}
        for slot in range(self.parameters):
            groups.setdefault(tuple(self.factors.get(slot, {}).items()), []).append(slot)
        return [(self.rule.times(**dict(factors)), slots) for factors, slots in groups.items()]

    @cached_property
    def rules(self) -> Sequence[UpdateRule]:
        """The update rule of each parameter, which knows its factors."""
        rules = [self.rule] * self.parameters
        for rule, slots in self.groups if self.factors else ():
            for slot in slots:
                rules[slot] = rule
        return rules

    @property
    def limits(self) -> tuple[Array, Array]:
        """The lower and the upper bounds of parameters that are numbers, infinite where there are none, as vectors."""
        bounds = [bound or (-np.inf, np.inf) for bound in self.bounds]
        lower, upper = np.array(bounds, self.dtype).reshape(-1, 2).T.copy()
        return lower, upper

    @cached_property
    def slots(self) -> dict[str, int]:
        """The slot of each named value."""
        return {name: slot for slot, name in enumerate(self.names) if name is not None}

    @cached_property
    def moving(self) -> NDArray[np.bool_]:
        """Whether the value of each slot depends on a parameter."""
        moving = np.zeros(len(self.names), bool)
        moving[: self.parameters] = True
        for batch in self.batches:
            moving[batch.start : batch.stop] = batch.moving
        return moving

    @cached_property
    def generations(self) -> list[int]:
        """The length of the longest path that leads to each slot's value from a leaf."""
        nodes = (batch.generation for batch in self.batches for _ in batch.slots)
        return [*(0 for _ in self.leaves), *nodes]

    @cached_property
    def state_slots(self) -> tuple[int, ...]:
        """The slots of what nodes keep from step to step."""
        return tuple(slot for node in self.states for slot in node.slots)

    @cached_property
    def changing_leaves(self) -> frozenset[int]:
        """The slots of the leaves that each step is given anew: rows of the data set, random numbers, nodes' states."""
        noise = (noise.slot for noise in self.noise)
        return frozenset((*(self.data if self.feeds else ()), *noise, *self.state_slots))

    @property
    def has_arrays(self) -> bool:
        """Whether some value is more than a number."""
        return any(self.shapes)

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return len(self.names) - len(self.leaves)

    @cached_property
    def uses(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        """The uses of each value, in the order of the nodes: the node's slot, and which of its inputs it is."""
        uses: dict[int, list[tuple[int, int]]] = {}
        for _, node, inputs in self.nodes():
            for position, slot in enumerate(inputs):
                uses.setdefault(slot, []).append((node, position))
        return uses

    @cached_property
    def rows(self) -> Mapping[int, RowAxes]:
        """What each value that depends on the data has of its rows, by slot."""
        nodes = (RowNode(batch.type, batch.settings, slot, inputs) for batch, slot, inputs in self.nodes())
        like = {noise.slot: noise.like for noise in self.noise}
        return rows_of_values(nodes, self.shapes, self.leaves, self.data, like)

    def combination(self, node: int) -> str | None:
        """Return how a node's values on parts of the rows make its value on all: see `plan.rows`."""
        batch = self.batch_of(node)
        asked = RowNode(batch.type, batch.settings, node, self.inputs_of(node))
        return combination(asked, self.rows, self.shapes, self.leaves)

    @cached_property
    def once(self) -> tuple[Batch, ...]:
        """The batches that no step changes: they are computed before the first one."""
        return tuple(batch for batch in self.batches if not batch.varying)

    @cached_property
    def in_loop(self) -> tuple[Batch, ...]:
        """The batches that every step computes: what changes, and the objective or what nodes keep depends on."""
        if self.objective is None:
            return ()
        kept = {node.batch.start for node in self.states if not node.batch.needed}
        reversed_batches = []
        for batch in reversed(self.batches):
            if batch.needed or (kept and not kept.isdisjoint(batch.slots)):
                reversed_batches.append(batch)
                if not batch.needed:
                    kept.update(self.inputs(batch).ravel().tolist())
        return tuple(batch for batch in reversed(reversed_batches) if batch.varying)

    @cached_property
    def off_loop(self) -> tuple[Batch, ...]:
        """The batches that are computed where somebody looks: those that change, and that no step needs."""
        in_loop = {batch.start for batch in self.in_loop}
        return tuple(batch for batch in self.batches if batch.varying and batch.start not in in_loop)

    def evaluation(self) -> Plan:
        """Return the plan for rows that are only evaluated: what tells steps from evaluations is false there."""
        batches = []
        for batch in self.batches:
            training = batch.type.takes_training
            settings = tuple((name, False if name == training else value) for name, value in batch.settings)
            batches.append(replace(batch, settings=settings))
        return replace(self, batches=tuple(batches))

    def at_rest(self, leaves: Sequence[Array]) -> Plan:
        """Return the plan of one moment: the leaves have these values, and no step gives them other ones."""
        return replace(self, leaves=list(leaves), feeds=False, noise=(), states=())

    @property
    def frozen_values(self) -> dict[str, Array]:
        """The frozen parameters, by name."""
        slots = range(self.parameters, self.parameters + self.frozen)
        return {self.names[slot] or "": self.leaves[slot] for slot in slots}

    def holding(self, values: Mapping[str, Array]) -> Plan:
        """Return the plan with the frozen parameters as they are in a result or a checkpoint."""
        if not self.frozen:
            return self
        leaves = list(self.leaves)
        for slot, name in enumerate(self.frozen_values, self.parameters):
            leaves[slot] = np.asarray(values[name], self.dtype)[()]
        return replace(self, leaves=leaves)

    def towards(self, slot: int) -> Plan:
        """Return the plan of the passes to and from another value than the objective."""
        wanted, batches = {slot}, []
        for batch in reversed(self.batches):
            needed = not wanted.isdisjoint(batch.slots)
            if needed:
                wanted.update(self.inputs(batch).ravel().tolist())
            batches.append(replace(batch, needed=needed))
        return replace(self, batches=tuple(reversed(batches)), objective=slot, maximize=False)

    def inputs(self, batch: Batch) -> NDArray[np.int32]:
        """Return the slots of a batch's inputs, shape (arity, count)."""
        stop = batch.operands + batch.arity * batch.count
        return self.operands[batch.operands : stop].reshape(batch.arity, batch.count)

    def nodes(self, batches: Iterable[Batch] | None = None) -> Iterator[tuple[Batch, int, list[int]]]:
        """Yield the nodes of some batches, by default of all, one by one: the batch, the slot, the inputs' slots."""
        for batch in self.batches if batches is None else batches:
            for slot, inputs in zip(batch.slots, self.inputs(batch).T.tolist(), strict=True):
                yield batch, slot, inputs

    def batch_of(self, node: int) -> Batch:
        """Return the batch of a node."""
        return self.batches[bisect_right(self.batches, node, key=lambda batch: batch.start) - 1]

    def inputs_of(self, node: int) -> list[int]:
        """Return the slots of a node's inputs, in order; a leaf has none."""
        if node < len(self.leaves):
            return []
        batch = self.batch_of(node)
        slots: list[int] = self.inputs(batch)[:, node - batch.start].tolist()
        return slots
