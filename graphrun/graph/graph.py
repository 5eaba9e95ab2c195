"""Document → graph: names are resolved, node types found, and the nodes are put in topological order.

Values are numbered: parameters, constants, number literals, then nodes in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from graphrun.base.wording import arrows, counted, listed, quote
from graphrun.declare.declaration import Declaration, Settings
from graphrun.declare.initializers import INITIALIZERS, OTHER_NAMES, Initializer
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import (
    Document,
    ExpectEntry,
    InitEntry,
    NodeEntry,
    ParameterEntry,
    Path,
    Problems,
    Value,
    did_you_mean,
    settings_problems,
)
from graphrun.document.names import is_name
from graphrun.document.numbers import LARGEST
from graphrun.document.slips import OF_SEVERAL, known_number
from graphrun.plugins.registry import Registry
from graphrun.solvers import SOLVERS, Solver
from graphrun.updates.schedule import SCHEDULES, Schedule

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, slots=True)
class Node:
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
    """

    rule: UpdateRule | Solver
    settings: Settings
    schedule: tuple[Schedule, Settings] | None = None
    clip_norm: float | None = None
    clip_value: float | None = None

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped."""
        return self.clip_norm is not None or self.clip_value is not None


@dataclass(frozen=True)
class ComputationalGraph:
    """A graph whose every name is resolved and that has no cycle.

    Attributes:
        names: the name of each value by its number; None for a number literal.
        parameters: the parameters with their bounds, in the order of the file.
        leaves: the value of each leaf by its number: parameters, constants, number literals; None for a parameter
            that is drawn, for a column of the data set, and for what the engine gives.
        initializers: how the parameters that are drawn are, by their numbers.
        nodes: the nodes in the order of the file; node k is value ``len(leaves) + k``.
        data: the numbers of the columns of the data set that something reads.
        unread: the names of its other columns.
        engine_leaves: the inputs of nodes that the engine gives, by their numbers.
        order: the numbers of the nodes' values in topological order, file order among those that are ready.
        objective: the number of the value to optimize, or None; `maximize` says which way.
    """

    names: list[str | None]
    parameters: dict[str, ParameterEntry]
    leaves: list[Value | None]
    initializers: dict[int, tuple[Initializer, Settings]]
    nodes: list[Node]
    data: tuple[int, ...]
    engine_leaves: dict[int, EngineLeaf]
    order: list[int]
    objective: int | None
    maximize: bool
    update: Update
    record: tuple[int, ...] | None
    expect: tuple[ExpectEntry, ...]
    document: Document
    unread: Sequence[str] = ()

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
            nodes.append(replace(node, settings=settings) if training else node)
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


def build_graph(document: Document, registry: Registry, columns: Sequence[str] = ()) -> ComputationalGraph:
    """Resolve a document into a graph, whose data set has columns of these names.

    The problems found in the document so far are reported with those found here.

    Raises:
        GraphFileError: the file has problems; all of them are in the text.
    """
    return _Builder(document, registry, columns).build()


class _Builder:
    """Collects every problem on the way, so that one broken node hides no other mistake."""

    def __init__(self, document: Document, registry: Registry, columns: Sequence[str]) -> None:
        self.document = document
        self.columns = columns
        self.read: tuple[str, ...] = ()
        self.engine_leaves: dict[int, EngineLeaf] = {}
        self.engine_inputs: dict[str, tuple[int, ...]] = {}
        self.problems = document.problems
        self.registry = registry
        self.numbers: dict[str, int] = {}
        self.leaves: list[Value | None] = []
        self.initializers: dict[int, tuple[Initializer, Settings]] = {}
        self.literals: dict[float | str, int] = {}
        self.settings_seen: dict[tuple[Declaration, str], Settings] = {}

    def build(self) -> ComputationalGraph:
        document = self.document
        self._check_subgraphs()
        read = document.names_read() if self.columns else set()
        self.read = tuple(name for name in self.columns if name in read)
        self._number_leaves()
        nodes = self._resolve_nodes()
        names: list[str | None] = [None] * (len(self.leaves) + len(nodes))
        for name, number in self.numbers.items():
            names[number] = name
        record = document.record
        graph = ComputationalGraph(
            names=names,
            parameters=document.parameters,
            leaves=self.leaves,
            initializers=self.initializers,
            nodes=nodes,
            data=tuple(self.numbers[name] for name in self.read),
            engine_leaves=self.engine_leaves,
            order=self._sort(nodes, names),
            update=self._resolve_update(),
            objective=self._resolve_objective(),
            maximize=document.maximize is not None,
            record=None if record is None else tuple(self._resolve_record(record)),
            expect=document.expect,
            document=document,
            unread=[name for name in self.columns if name not in self.read],
        )
        self._check_uncertainty(graph)
        self._check_expect()
        self.problems.raise_if_any()
        return graph

    def _check_subgraphs(self) -> None:
        for name, subgraph in self.document.subgraphs.items():
            if self.registry.has_loaded(name):
                message = f"the subgraph {name!r} has the name of a node type"
                subgraph.problems.add((), message, key=True, suggestion="choose another name")

    def _number_leaves(self) -> None:
        document = self.document
        sections: dict[str, Iterable[str]] = {
            "parameters": document.parameters,
            "constants": document.constants,
            # Columns that the file names are declared by it; others are only there if something reads them.
            "data": (document.data and document.data.columns) or self.read,
            "nodes": document.nodes,
        }
        owners: dict[str, str] = {}
        for section, names in sections.items():
            for name in names:
                path = ("data", "columns", name) if section == "data" else (section, name)
                if name == "step" and (section != "data" or name in self.read):
                    message = "'step' cannot be a name: it is the history's own column"
                    hint = "give the column another name: columns: {t: step}" if section == "data" else None
                    self.problems.add(path, message, key=True, suggestion=hint)
                if owners.setdefault(name, section) != section:
                    self.problems.add(path, f"{name!r} is already the name of one of the {owners[name]}", key=True)
        for name, parameter in document.parameters.items():
            self.numbers[name] = len(self.leaves)
            if parameter.init is not None:
                self._resolve_initializer(name, parameter.init)
            self.leaves.append(parameter.value)
        for name, value in document.constants.items():
            if name not in self.numbers:
                self.numbers[name] = len(self.leaves)
                self.leaves.append(value)

    def _resolve_initializer(self, name: str, init: InitEntry) -> None:
        at = self.document.leaf_problems("parameters", name).at(("init",))
        initializer = INITIALIZERS.get(init.type)
        if initializer is None:
            synonym = OTHER_NAMES.get(init.type)
            hint = f"it is called {synonym!r} here" if synonym else did_you_mean(init.type, INITIALIZERS)
            hint = hint or f"there are: {', '.join(INITIALIZERS)}"
            at.add(("type",), f"initializer {init.type!r} is unknown", suggestion=hint)
            return
        settings = self._settings(initializer, init.settings, lambda: at, ("type",))
        self.initializers[self.numbers[name]] = initializer, settings

    def _resolve_nodes(self) -> list[Node]:
        entries = self.document.nodes
        for entry in entries.values():
            for source in entry.inputs:
                if type(source) is not str and _literal(source) not in self.literals:
                    self.literals[_literal(source)] = len(self.leaves)
                    self.leaves.append(float(source))
        for name in self.read:
            if name not in self.numbers:
                self.numbers[name] = len(self.leaves)
                self.leaves.append(None)
        given = self._given_by_the_engine(entries)
        first = len(self.leaves) + sum(map(len, given.values()))
        for position, name in enumerate(entries):
            for own, kind in given.get(name, ()):
                number = self.numbers[f"{name}.{own}"] = len(self.leaves)
                self.leaves.append(None)
                self.engine_leaves[number] = EngineLeaf(kind, first + position)
                self.engine_inputs[name] = (*self.engine_inputs.get(name, ()), number)
        for position, name in enumerate(entries):
            self.numbers.setdefault(name, first + position)
        for name, entry in self.document.instances.items():
            # Told where they are used, for what reads them stands inside the definition.
            for position, source in enumerate(entry.inputs):
                if type(source) is str and source not in self.numbers and source not in self.columns:
                    self._check_name(source, ("inputs", position), "input", at=entry.problems(name, self.problems))
                    self.document.broken.add(source)
        return [self._resolve_node(name, entry) for name, entry in entries.items()]

    def _given_by_the_engine(self, entries: dict[str, NodeEntry]) -> dict[str, tuple[tuple[str, type], ...]]:
        """Return the inputs that the engine gives, by the name of the node."""
        types = {name: self.registry.node_type(name) for name in {entry.type for entry in entries.values()}}
        given = {
            name: declared.engine_inputs for name, declared in types.items() if declared and declared.engine_inputs
        }
        return {name: given[entry.type] for name, entry in entries.items() if entry.type in given} if given else {}

    def _resolve_node(self, name: str, entry: NodeEntry) -> Node:
        numbers = self.numbers
        try:
            inputs = tuple(
                [numbers[source] if type(source) is str else self.literals[_literal(source)] for source in entry.inputs]
            )
        except KeyError:
            inputs = ()
            for position, source in enumerate(entry.inputs):
                if isinstance(source, str):
                    self._check_name(source, ("inputs", position), "input", at=entry.problems(name, self.problems))
        node_type = self.registry.node_type(entry.type)
        if node_type is None:
            self._unknown_type(entry.problems(name, self.problems), ("type",), entry.type, "node type", NodeType)
            return Node(_UNKNOWN, inputs, ())
        least, most = node_type.arity
        count = len(entry.inputs)
        if count < least or (most is not None and count > most):
            hint = None if most is None or count <= most else self._surplus(node_type, entry.inputs[most:])
            entry.problems(name, self.problems).add(
                ("inputs",), f"{node_type.signature} {_takes(least, most)}, not {count}", suggestion=hint
            )
        at = partial(entry.problems, name, self.problems)
        settings = self._settings(node_type, entry.settings or {}, at, ("type", "inputs"))
        if node_type.takes_training:
            settings = (*settings, (node_type.takes_training, True))
        return Node(node_type, self._with_engine_inputs(name, node_type, inputs), settings)

    def _surplus(self, node_type: NodeType, surplus: Sequence[str | int | float]) -> str | None:
        """Suggest what was meant by inputs that are too many."""
        if not any(isinstance(x, str) for x in surplus) and node_type.keyword and node_type.name not in ("max", "min"):
            return f"settings are given by name, as in {node_type.keyword[0].name}={surplus[0]}"
        return OF_SEVERAL.get(node_type.name)

    def _with_engine_inputs(self, name: str, node_type: NodeType, inputs: tuple[int, ...]) -> tuple[int, ...]:
        """Append the inputs that the engine gives; an optional one before them that is left out is not a number yet."""
        own = self.engine_inputs.get(name)
        if own is not None and len(inputs) != (node_type.arity[1] or len(inputs)):
            what = "all its inputs are needed, for the engine gives it further ones"
            self.problems.add(("nodes", name, "inputs"), f"{node_type.signature}: {what}")
        return inputs + (own or ())

    def _settings(
        self, declared: Declaration, raw: dict[str, Any], at: Callable[[], Problems], other: Sequence[str]
    ) -> Settings:
        if not raw and declared.default_settings is not None:
            return declared.default_settings
        key = declared, repr(raw)
        if key not in self.settings_seen:
            from pydantic import ValidationError

            try:
                self.settings_seen[key] = declared.read_settings(raw)
            except ValidationError as error:
                known = [parameter.name for parameter in declared.keyword]
                inputs = declared.inputs if isinstance(declared, NodeType) else ()
                settings_problems(at(), (), error, owner=declared.name, settings=known, other=other, inputs=inputs)
                return ()
        return self.settings_seen[key]

    def _sort(self, nodes: list[Node], names: list[str | None]) -> list[int]:
        first = len(self.leaves)
        # Where each node stands below its inputs, the file's own order is the answer, and the graph that would say so
        # is half the time and memory of a large load.
        if all(not node.inputs or max(node.inputs) < number for number, node in enumerate(nodes, first)):
            return list(range(first, first + len(nodes)))
        from graphrun.graph.ordering import CycleError, topological_order

        try:
            return topological_order(first, [node.inputs for node in nodes])
        except CycleError as error:
            for found in error.cycles:
                # A node that the file itself has is where a user looks, rather than the inside of a subgraph.
                own = (k for k, number in enumerate(found) if self.document.nodes[names[number] or ""].use is None)
                start = next(own, 0)
                cycle = found[start:] + found[:start]
                path = [names[number] or "" for number in cycle]
                entry = self.document.nodes[path[0]]
                position = entry.inputs.index(path[-1])
                at = entry.problems(path[0], self.problems)
                at.add(("inputs", position), f"the inputs close a cycle: {arrows([*path, path[0]])}")
            return []

    def _resolve_update(self) -> Update:
        entry = self.document.update
        at = partial(self.problems.at, ("update",))
        rule = SOLVERS.get(entry.type) or self.registry.update_rule(entry.type)
        raw = dict(entry.settings)
        schedule = self._resolve_schedule(raw) if isinstance(raw.get("step_size"), dict) else None
        clips = {} if isinstance(rule, Solver) else {key: self._read_clip(key, raw) for key in CLIPS}
        if rule is None:
            self._unknown_type(at(), ("type",), entry.type, "update rule", UpdateRule)
            return Update(_NO_RULE, ())
        name, settings = next(iter(raw.items()), ("", None))
        if isinstance(settings, dict) and len(raw) == 1 and (name in SOLVERS or self.registry.update_rule(name)):
            shown = [f", {key}: {value}" for key, value in settings.items() if not isinstance(value, dict | list)]
            hint = f"write {{type: {quote(name + ''.join(shown))[1:-1]}}}"
            at().add((name,), "an update rule is named by 'type'", suggestion=hint, key=True)
            return Update(rule, ())
        return Update(rule, self._settings(rule, raw, at, ("type", *clips)), schedule, **clips)

    def _resolve_schedule(self, raw: dict[str, Any]) -> tuple[Schedule, Settings] | None:
        """Take the schedule out of an update's settings, and put its first value in its place."""
        given = dict(raw.pop("step_size"))
        at = self.problems.at(("update", "step_size"))
        kind = given.pop("type", None)
        schedule = SCHEDULES.get(kind) if isinstance(kind, str) else None
        if schedule is None:
            hint = did_you_mean(str(kind), SCHEDULES) or f"there are: {', '.join(SCHEDULES)}"
            message = "a schedule has a 'type'" if kind is None else f"the schedule {kind!r} is unknown"
            at.add(("type",), message, suggestion=hint, key=kind is None)
            return None
        before = len(self.problems)
        settings = self._settings(schedule, given, lambda: at, ("type",))
        return None if len(self.problems) > before else (schedule, settings)

    def _read_clip(self, key: str, raw: dict[str, Any]) -> float | None:
        value = raw.pop(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
            self.problems.add(("update", key), f"{key!r} takes a number above 0")
            return None
        return float(value)

    def _resolve_objective(self) -> int | None:
        key = "maximize" if self.document.maximize is not None else "minimize"
        name = self.document.maximize if self.document.maximize is not None else self.document.minimize
        if name is None or not self._check_name(name, (key,), "objective"):
            return None
        if name in self.document.constants:
            self.problems.add(
                (key,), f"the objective is a node or a parameter, and {name!r} is a constant: no step moves it"
            )
        return self.numbers[name]

    def _resolve_record(self, record: Sequence[str]) -> Iterator[int]:
        for position, name in enumerate(record):
            if self._check_name(name, ("record", position), "name to record"):
                yield self.numbers[name]

    def _check_uncertainty(self, graph: ComputationalGraph) -> None:
        """Refuse an uncertainty of what is no fit of the kind that is asked for."""
        entry, at = self.document.uncertainty, ("uncertainty",)
        if entry is None:
            return
        if self.document.maximize is None and self.document.minimize is None:
            hint = "write minimize: f, where f is the sum of squares or minus the log-likelihood"
            self.problems.add(at, "there is no objective, so nothing is fitted", key=True, suggestion=hint)
        elif entry.kind == "likelihood" and entry.absolute_sigma:
            message = "'absolute_sigma' goes with least_squares: a likelihood says itself how the data scatter"
            self.problems.add((*at, "absolute_sigma"), message, key=True)
        elif entry.kind == "least_squares" and "residual" not in dict(graph.update.settings):
            hint = "write update: {type: least_squares, residual: r}, or uncertainty: likelihood"
            rule = self.document.update.type
            self.problems.add(at, f"least_squares needs the residuals, which {rule} does not name", suggestion=hint)

    def _check_expect(self) -> None:
        for position, entry in enumerate(self.document.expect):
            path = self.document.expect_path(position)
            for name in entry.std_errors:
                if self.document.uncertainty is None:
                    hint = "write uncertainty: least_squares, or likelihood"
                    self.problems.add((*path, "std_errors"), "no uncertainty is asked for", key=True, suggestion=hint)
                    break
                self._check_name(name.partition("[")[0], (*path, "std_errors", name), "parameter", key=True)
            for section, names in (("values", entry.values), ("gradients", entry.gradients)):
                for name in names:
                    known = self._check_name(name, (*path, section, name), "name", key=True)
                    if known and section == "gradients" and name in self.document.constants:
                        message = f"there is no gradient of {name!r}: it is a constant"
                        self.problems.add((*path, section, name), message, key=True)
                    elif known and name in self.columns:
                        message = f"a result has no {section} of {name!r}: it is a column of the data"
                        self.problems.add((*path, section, name), message, key=True)

    def _check_name(self, name: str, path: Path, role: str, *, key: bool = False, at: Problems | None = None) -> bool:
        """Report an unknown name; one whose own declaration is broken is not reported again."""
        if name in self.numbers:
            return True
        if name not in self.document.broken and name.partition(".")[0] not in self.document.broken:
            suggestion = partial(self._known_name, name)
            (self.problems if at is None else at).add(
                path, f"{role} {name!r} is unknown", suggestion=suggestion, key=key
            )
        return False

    def _known_name(self, name: str) -> str | None:
        """Suggest what was meant by an unknown name."""
        if name in self.document.subgraphs or self.registry.node_type(name) is not None:
            return f"{name!r} is a node type: write {name}(...)"
        other = {self.document.minimize: "maximize", self.document.maximize: "minimize"}.get(name)
        if other and name[:1] == "-" and name[1:].strip() in self.numbers:
            return f"write {other}: {name[1:].strip()}"
        if not is_name(name):
            text = quote(name)[1:-1]
            return f"an expression is a node: write total: {text} under 'nodes', and total here"
        return known_number(name) or did_you_mean(name, [*self.numbers, *self.columns]) or self._columns()

    def _columns(self) -> str | None:
        """Say which columns a data file has that names none in the graph file."""
        if self.document.data is None or self.document.data.columns is not None:
            return None
        if self.columns:
            return f"the data has the columns {listed(self.columns)}"
        return "no header of the data file can be a name: is its first row a header, with commas between the names?"

    def _unknown_type(self, at: Problems, path: Path, name: str, role: str, kind: type[Declaration]) -> None:
        if kind is NodeType and (name in self.document.broken or self.document.lacks_subgraphs):
            return
        at.add(path, f"{role} {name!r} is unknown", suggestion=partial(self._known_type, name, kind))

    def _known_type(self, name: str, kind: type[Declaration]) -> str:
        """Suggest what was meant by an unknown type."""
        others = self.document.subgraphs if kind is NodeType else SOLVERS
        return self.registry.meant(name, [kind], others)


def _literal(number: Any) -> float | str:
    """Return what tells a number literal from others: 0.0 and -0.0 are equal, and not the same."""
    return number or repr(number)


CLIPS = ("clip_norm", "clip_value")
_UNKNOWN = NodeType(lambda: None, "unknown")
_NO_RULE = UpdateRule(lambda: None, "unknown")


def _takes(least: int, most: int | None) -> str:
    if most is None:
        return f"takes at least {counted(least, 'input')}"
    return f"takes {counted(least, 'input') if least == most else f'{least} to {most} inputs'}"
