"""Document → graph: names are resolved, node types found, and the nodes are put in topological order.

Values are numbered: parameters, constants, number literals, then nodes in the order of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from graphrun.base.wording import arrows, counted
from graphrun.declare.declaration import Settings
from graphrun.declare.initializers import INITIALIZERS, OTHER_NAMES, Initializer
from graphrun.declare.nodetype import NodeType
from graphrun.document import Document, InitEntry, NodeEntry, Value, did_you_mean
from graphrun.document.nodes import KNOWN_NUMBERS, put_known_numbers
from graphrun.document.numbers import StoredValue
from graphrun.document.slips import OF_SEVERAL
from graphrun.graph.graph import ComputationalGraph, EngineLeaf, Node
from graphrun.graph.lookup import Lookup
from graphrun.graph.update import resolve_update, robust_objective
from graphrun.plugins.registry import Registry

_UNKNOWN = NodeType(lambda: None, "unknown")


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
        self.lookup = Lookup(document, registry, columns)
        self.numbers = self.lookup.numbers
        self.leaves: list[Any] = []
        self.initializers: dict[int, tuple[Initializer, Settings]] = {}
        self.literals: dict[float | str, int] = {}
        # Types of which nodes without settings need nothing but their inputs, by name and number of inputs.
        self.usual: dict[tuple[str, int], NodeType] = {}
        # What is frozen comes behind the others, stably: updates, gradients and solvers have to do with those.
        self.parameters = dict(sorted(document.parameters.items(), key=lambda item: item[1].training.frozen))

    def build(self) -> ComputationalGraph:
        document = self.document
        self._check_subgraphs()
        read = document.names_read() if self.columns else set()
        self.read = tuple(name for name in self.columns if name in read)
        self._number_leaves()
        nodes, order = self._resolve_nodes()
        update, objective, maximize = (
            resolve_update(self.lookup),
            self._resolve_objective(),
            document.maximize is not None,
        )
        stated = None
        robust = None if objective is None else robust_objective(update, self.lookup)
        if objective is not None and robust is not None:
            stated, maximize = (objective, maximize), False
            objective = self.numbers[robust[0]] = len(self.leaves) + len(nodes)
            nodes.append(robust[1])
            order = [*order, objective]
        names: list[str | None] = [None] * (len(self.leaves) + len(nodes))
        for name, number in self.numbers.items():
            names[number] = name
        record = document.record
        graph = ComputationalGraph(
            names=names,
            parameters=self.parameters,
            leaves=self.leaves,
            initializers=self.initializers,
            nodes=nodes,
            data=tuple(self.numbers[name] for name in self.read),
            engine_leaves=self.engine_leaves,
            order=order,
            update=update,
            objective=objective,
            maximize=maximize,
            record=None if record is None else tuple(self._resolve_record(record)),
            expect=document.expect,
            document=document,
            unread=[name for name in self.columns if name not in self.read],
            stated=stated,
        )
        for path, name in document.names_watched().items():
            self.lookup.check_name(name, path, "name to watch")
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
        for name, parameter in self.parameters.items():
            self.numbers[name] = len(self.leaves)
            for axis, size in enumerate(parameter.shape):
                if isinstance(size, str) and size not in {*self.columns, *document.broken}:
                    at = document.leaf_problems("parameters", name).at(("shape", axis))
                    none = "'shape' is a list of whole numbers, 0 or more"
                    message = none if document.data is None else f"there is no column {size!r} in 'data'"
                    at.add((), message, suggestion=did_you_mean(size, self.columns))
            if parameter.init is not None:
                self._resolve_initializer(name, parameter.init)
            self.leaves.append(document.started.get(name, _numbers(parameter.value)))
        for name, value in document.constants.items():
            if name not in self.numbers:
                self.numbers[name] = len(self.leaves)
                self.leaves.append(_numbers(value))

    def _resolve_initializer(self, name: str, init: InitEntry) -> None:
        at = self.document.leaf_problems("parameters", name).at(("init",))
        initializer = INITIALIZERS.get(init.type)
        if initializer is None:
            synonym = OTHER_NAMES.get(init.type)
            hint = f"it is called {synonym!r} here" if synonym else did_you_mean(init.type, INITIALIZERS)
            hint = hint or f"there are: {', '.join(INITIALIZERS)}"
            at.add(("type",), f"initializer {init.type!r} is unknown", suggestion=hint)
            return
        settings = self.lookup.settings(initializer, init.settings, lambda: at, ("type",))
        self.initializers[self.numbers[name]] = initializer, settings

    def _resolve_nodes(self) -> tuple[list[Node], Sequence[int]]:
        """Return the nodes and their order."""
        entries = self.document.nodes
        declared = (self.document.data and self.document.data.columns) or ()
        put_known_numbers(entries, self.numbers, entries, self.read, declared, self.document.broken)
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
                if type(source) is not str or source in KNOWN_NUMBERS:
                    continue
                if source not in self.numbers and source not in self.columns:
                    self.lookup.check_name(
                        source, ("inputs", position), "input", at=entry.problems(name, self.problems)
                    )
                    self.document.broken.add(source)
        inputs = [self._resolve_inputs(name, entry) for name, entry in entries.items()]
        # Sorting is what takes the most memory, so it comes before there are nodes.
        order = self._sort(list(entries), inputs)
        return list(map(self._resolve_node, entries, entries.values(), inputs)), order

    def _given_by_the_engine(self, entries: dict[str, NodeEntry]) -> dict[str, tuple[tuple[str, type], ...]]:
        """Return the inputs that the engine gives, by the name of the node."""
        types = {name: self.registry.node_type(name) for name in {entry.type for entry in entries.values()}}
        given = {
            name: declared.engine_inputs for name, declared in types.items() if declared and declared.engine_inputs
        }
        return {name: given[entry.type] for name, entry in entries.items() if entry.type in given} if given else {}

    def _resolve_inputs(self, name: str, entry: NodeEntry) -> tuple[int, ...]:
        """Return the numbers of a node's inputs; none where one of them is unknown, which is told."""
        numbers = self.numbers
        try:
            return tuple(
                [numbers[source] if type(source) is str else self.literals[_literal(source)] for source in entry.inputs]
            )
        except KeyError:
            for position, source in enumerate(entry.inputs):
                if isinstance(source, str):
                    self.lookup.check_name(
                        source, ("inputs", position), "input", at=entry.problems(name, self.problems)
                    )
            return ()

    def _resolve_node(self, name: str, entry: NodeEntry, inputs: tuple[int, ...]) -> Node:
        usual = self.usual.get((entry.type, len(inputs))) if entry.settings is None else None
        if usual is not None and len(inputs) == len(entry.inputs):
            return Node(usual, inputs, usual.default_settings or ())
        node_type = self.registry.node_type(entry.type)
        if node_type is None:
            self.lookup.unknown_type(entry.problems(name, self.problems), ("type",), entry.type, "node type", NodeType)
            return Node(_UNKNOWN, inputs, ())
        least, most = node_type.arity
        count = len(entry.inputs)
        fits = least <= count and (most is None or count <= most)
        if not fits:
            hint = None if most is None or count <= most else self._surplus(node_type, entry.inputs[most:])
            entry.problems(name, self.problems).add(
                ("inputs",), f"{node_type.signature} {_takes(least, most)}, not {count}", suggestion=hint
            )
        at = partial(entry.problems, name, self.problems)
        settings = self.lookup.settings(node_type, entry.settings or {}, at, ("type", "inputs"))
        if node_type.takes_training:
            settings = (*settings, (node_type.takes_training, True))
        elif not node_type.engine_inputs and node_type.default_settings is not None and fits:
            self.usual[entry.type, count] = node_type
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

    def _sort(self, names: Sequence[str], inputs: Sequence[tuple[int, ...]]) -> Sequence[int]:
        first = len(self.leaves)
        # Where each node stands below its inputs, the file's own order is the answer, and the graph that would say so
        # is half the time and memory of a large load.
        if all(not given or max(given) < number for number, given in enumerate(inputs, first)):
            return range(first, first + len(inputs))
        from graphrun.graph.ordering import CycleError, topological_order

        try:
            return topological_order(first, inputs)
        except CycleError as error:
            for found in error.cycles:
                # A node that the file itself has is where a user looks, rather than the inside of a subgraph.
                path = [names[number - first] for number in found]
                start = next((k for k, name in enumerate(path) if self.document.nodes[name].use is None), 0)
                path = path[start:] + path[:start]
                entry = self.document.nodes[path[0]]
                position = entry.inputs.index(path[-1])
                at = entry.problems(path[0], self.problems)
                at.add(("inputs", position), f"the inputs close a cycle: {arrows([*path, path[0]])}")
            return []

    def _resolve_objective(self) -> int | None:
        key = "maximize" if self.document.maximize is not None else "minimize"
        name = self.document.maximize if self.document.maximize is not None else self.document.minimize
        if name is None or not self.lookup.check_name(name, (key,), "objective"):
            return None
        is_constant = name in self.document.constants
        if is_constant or (name in self.parameters and self.parameters[name].training.frozen):
            what = "a constant" if is_constant else "frozen"
            message = f"the objective is a node or a parameter, and {name!r} is {what}: no step moves it"
            self.problems.add((key,), message)
        return self.numbers[name]

    def _resolve_record(self, record: Sequence[str]) -> Iterator[int]:
        for position, name in enumerate(record):
            if self.lookup.check_name(name, ("record", position), "name to record"):
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
                self.lookup.check_name(name.partition("[")[0], (*path, "std_errors", name), "parameter", key=True)
            for section, names in (("values", entry.values), ("gradients", entry.gradients)):
                for name in names:
                    known = self.lookup.check_name(name, (*path, section, name), "name", key=True)
                    if known and section == "gradients" and name in self.document.constants:
                        message = f"there is no gradient of {name!r}: it is a constant"
                        self.problems.add((*path, section, name), message, key=True)
                    elif known and name in self.columns:
                        message = f"a result has no {section} of {name!r}: it is a column of the data"
                        self.problems.add((*path, section, name), message, key=True)


def _literal(number: Any) -> float | str:
    """Return what tells a number literal from others: 0.0 and -0.0 are equal, and not the same."""
    return number or repr(number)


def _numbers(value: Value | None) -> Any:
    return value.array if isinstance(value, StoredValue) else value


def _takes(least: int, most: int | None) -> str:
    if most is None:
        return f"takes at least {counted(least, 'input')}"
    return f"takes {counted(least, 'input') if least == most else f'{least} to {most} inputs'}"
