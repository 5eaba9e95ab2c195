"""Instances of subgraphs → plain nodes, parameters and constants, with dotted names.

An instance `hidden` of a subgraph with a parameter `W` and the output `y` becomes the parameter `hidden.W` and the
node `hidden`, in place of its `y`. With ``repeat: 3`` there are `hidden.1`, `hidden.2` and, for the last, `hidden`.
What is ``over`` a sequence `x` reads its slices `hidden.1.x`, ...; what it collects of a value `h` is `hidden.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from graphrun.base.wording import describe, did_you_mean, quote
from graphrun.document.instances import is_small, read_instance
from graphrun.document.marks import Path
from graphrun.document.nodes import NodeEntry
from graphrun.document.numbers import NotANumberError, Value, check_number
from graphrun.document.parameters import (
    ParameterEntry,
    Training,
    read_constants,
    read_parameters,
)
from graphrun.document.problems import Problems, Use
from graphrun.document.references import Reference, substitute
from graphrun.document.sizes import DEEPEST_NESTING, Sizes, TooLargeError, most_nodes
from graphrun.document.subgraphs import Instance, Subgraph, listed


class Names(NamedTuple):
    """What the names of a copy begin with: those of its nodes, and those of its leaves, which copies may share."""

    nodes: str
    leaves: str

    def inner(self, part: object) -> Names:
        """Return what the names further inside begin with."""
        return Names(f"{self.nodes}.{part}", f"{self.leaves}.{part}")


@dataclass
class Expansion:
    """What the nodes of a file become.

    Attributes:
        subgraphs: the definitions that can be used.
        problems: where problems are added.
        parameters, constants, nodes: what there is so far; those of instances are added to it.
        broken: names whose own declaration has a problem.
        origins: for each leaf of an instance the definition, its name there, and the use that it was made for.
    """

    subgraphs: dict[str, Subgraph]
    problems: Problems
    parameters: dict[str, ParameterEntry]
    constants: dict[str, Value]
    broken: set[str]
    nodes: dict[str, NodeEntry] = field(default_factory=dict)
    origins: dict[str, tuple[Problems, str, Use]] = field(default_factory=dict)
    _shared: dict[str, dict[str, str]] = field(default_factory=dict)

    def expand(self, nodes: dict[str, NodeEntry]) -> None:
        """Add all nodes of a file, and those that its instances stand for."""
        self._check_recursion()
        sizes = Sizes(self.subgraphs, len(nodes))
        for name, entry in nodes.items():
            if entry.type not in self.subgraphs:
                self._add_node(name, entry)
                continue
            at = entry.problems(name, self.problems)
            instance = read_instance(self.subgraphs[entry.type], entry, at)
            try:
                if instance is not None:
                    sizes.add(instance)
            except TooLargeError as error:
                at.add((), str(error), suggestion=error.suggestion, key=True)
                instance = None
                if sizes.nodes > most_nodes():
                    self.broken.update(nodes)
                    break
            if instance is None:
                self.broken.add(name)
            else:
                self._expand_instance(Names(name, name), name, entry, instance, list(entry.inputs), None)

    def _check_recursion(self) -> None:
        """Drop subgraphs that use themselves, over others or directly, and say over which; and those too deep."""
        depths: dict[str, int] = {}
        for start in list(self.subgraphs):
            # The way down from `start`, without recursion: each subgraph with those it uses that are still to be seen.
            way = {start: self._used_by(start)} if start in self.subgraphs else {}
            while way:
                name = next(reversed(way))
                used = next((used for used in way[name] if used not in depths), None)
                if used is None:
                    del way[name]
                    depths[name] = 1 + max([depths.get(used, 0) for used in self._used_by(name)], default=0)
                    if depths[name] > DEEPEST_NESTING:
                        message = f"subgraphs are nested deeper than {DEEPEST_NESTING} levels"
                        self._drop([name], message)
                elif used not in way:
                    way[used] = self._used_by(used)
                else:
                    cycle = list(way)[list(way).index(used) :]
                    self._drop(cycle, f"a subgraph cannot use itself: {' → '.join([*cycle, used])}")
                    break

    def _used_by(self, name: str) -> Iterator[str]:
        types = dict.fromkeys(entry.type for entry in self.subgraphs[name].nodes.values())
        return iter([used for used in types if used in self.subgraphs and not isinstance(used, Reference)])

    def _drop(self, names: list[str], message: str) -> None:
        self.subgraphs[names[0]].problems.add((), message, key=True)
        for name in names:
            del self.subgraphs[name]
        self.broken.update(names)

    def _expand_instance(
        self, names: Names, output: str, entry: NodeEntry, instance: Instance, inputs: list[Any], use: Use | None
    ) -> None:
        """Add the copies of an instance, each fed by the one before it.

        `output` is the name of its value, `inputs` are the names and numbers of its inputs, as the whole graph knows
        them, and `use` is the one in which this use stands.
        """
        use = Use(instance.subgraph.name, entry.problems(names.nodes, self.problems), use)
        if not instance.is_numbered:
            self._add_copy(names, output, instance, inputs, use)
            return
        chained = list(inputs)
        before = len(self.problems)
        collected: dict[str, list[Any]] = {name: [] for name in instance.collect}
        sequences = [(instance.subgraph.inputs.index(name), name) for name in instance.over]
        for number in range(1, instance.repeat + 1):
            copy = names.inner(number)
            if instance.share:
                copy = copy._replace(leaves=names.leaves)
            for position, name in sequences:
                chained[position] = f"{copy.nodes}.{name}"
                part = {"index": number - 1, "size": instance.repeat}
                at = use.node.at(("over",))
                self._add_node(chained[position], NodeEntry("unstack", (inputs[position],), part, at, use.outer))
            last = number == instance.repeat
            scope = self._add_copy(copy, output if last else copy.nodes, instance, chained, use)
            if len(self.problems) > before:
                # The other copies have the same problems.
                self.broken.update([output, *(f"{names.nodes}.{name}" for name in collected)])
                return
            for name, values in collected.items():
                values.append(scope[name])
            chained[: len(instance.subgraph.outputs)] = [scope[name] for name in instance.subgraph.outputs]
        for name, values in collected.items():
            at = use.node.at(("collect",))
            self._add_node(f"{names.nodes}.{name}", NodeEntry("stack", tuple(values), None, at, use.outer))

    def _add_copy(self, names: Names, output: str, instance: Instance, inputs: list[Any], use: Use) -> dict[str, Any]:
        """Add a copy, whose value is called `output`; return what its own names are called."""
        subgraph, prefix = instance.subgraph, names.nodes
        scope: dict[str, Any] = dict(zip(subgraph.inputs, inputs, strict=True))
        if subgraph.parameters or subgraph.constants:
            scope.update(self._add_leaves(names, instance, use))
        for name in subgraph.nodes:
            scope[name] = f"{prefix}.{name}"
        if subgraph.output in subgraph.nodes:
            scope[subgraph.output] = output
        for name, entry in subgraph.nodes.items():
            resolved: NodeEntry | None
            try:
                if name in subgraph.varying:
                    raise KeyError
                sources = tuple([scope[source] if source.__class__ is str else source for source in entry.inputs])
                resolved = NodeEntry(entry.type, sources, entry.settings, entry.origin, use)
            except KeyError:
                resolved = self._resolved(name, entry, instance, scope, names, use)
            if resolved is None:
                self.broken.add(scope[name])
                continue
            if resolved.type not in self.subgraphs:
                self._add_node(scope[name], resolved)
                continue
            nested = read_instance(self.subgraphs[resolved.type], resolved, resolved.problems(name, subgraph.problems))
            if nested is None:
                self.broken.add(scope[name])
            else:
                nested = nested._replace(training=nested.training.within(instance.training))
                self._expand_instance(names.inner(name), scope[name], resolved, nested, list(resolved.inputs), use)
        for name in subgraph.outputs:
            if name not in scope:
                scope[name] = self._reached(name, instance, names, subgraph.problems.used(use), ("output",))
        if subgraph.output not in subgraph.nodes:
            through = scope[subgraph.output]
            self._add_node(output, NodeEntry("identity", (through,), None, subgraph.problems.at(("output",)), use))
            scope = {**scope, subgraph.output: output}
        return scope

    def _resolved(
        self, name: str, entry: NodeEntry, instance: Instance, scope: dict[str, Any], names: Names, use: Use
    ) -> NodeEntry | None:
        """Return a node that names settings, or values inside an instance; None after telling what does not fit."""
        settings = instance.settings
        at = entry._replace(use=use).problems(name, instance.subgraph.problems)
        before = len(self.problems)
        kind = substitute(entry.type, settings)
        if not isinstance(kind, str):
            at.add(("type",), f"a node type is a name, and '${entry.type}' is {describe(kind)}")
        sources: list[Any] = []
        for position, source in enumerate(entry.inputs):
            if isinstance(source, Reference):
                value = settings[source]
                try:
                    check_number(value)
                except NotANumberError:
                    message = f"the setting '${source}' is an input here: it is a number, not {describe(value)}"
                    hint = "what is computed is handed over by 'inputs'" if isinstance(value, str) else None
                    at.add(("inputs", position), message, suggestion=hint)
                sources.append(value)
            elif isinstance(source, str):
                is_own = source in scope
                path = ("inputs", position)
                sources.append(scope[source] if is_own else self._reached(source, instance, names, at, path))
            else:
                sources.append(source)
        inner = substitute(entry.settings, settings)
        is_small(inner, at)
        if len(self.problems) > before:
            return None
        return NodeEntry(kind, tuple(sources), inner, entry.origin, use)

    def _reached(self, source: str, instance: Instance, names: Names, at: Problems, path: Path) -> str:
        """Return the name in the whole graph of a dotted one, which leads into an instance within this definition."""
        found = self._find(source, instance)
        if found is None:
            first = source.partition(".")[0]
            inside = [f"{first}.{name}" for name in self._inside(first, instance)]
            at.add(path, f"{quote(source)} is unknown", suggestion=partial(did_you_mean, source, inside))
        return f"{names.leaves if found == 'leaf' else names.nodes}.{source}"

    def _find(self, source: str, instance: Instance) -> str | None:
        """Say whether a dotted name leads to a "leaf" or to a "node", or to nothing."""
        subgraph, settings, rest = instance.subgraph, instance.settings, source
        while True:
            first, _, rest = rest.partition(".")
            entry = subgraph.nodes.get(first)
            kind = None if entry is None else substitute(entry.type, settings)
            if entry is None or kind not in self.subgraphs:
                # What is wrong with a broken one was told.
                return "node" if kind in self.broken else None
            given = substitute(entry.settings or {}, settings)
            subgraph = self.subgraphs[kind]
            settings = {**subgraph.settings, **given}
            if rest in (listed(given.get("collect", ())) or ()):
                return "node"
            number, _, inner = rest.partition(".")
            if number.isdecimal():
                if not inner:
                    return "node"
                rest = inner
            if rest in subgraph.parameters or rest in subgraph.constants:
                return "leaf"
            if rest in subgraph.nodes:
                # The output has the name of the instance itself.
                return None if rest == subgraph.output else "node"

    def _inside(self, name: str, instance: Instance) -> list[str]:
        """Return the names inside an instance that stands in a definition."""
        entry = instance.subgraph.nodes.get(name)
        subgraph = None if entry is None else self.subgraphs.get(substitute(entry.type, instance.settings))
        return [] if subgraph is None else [*subgraph.parameters, *subgraph.constants, *subgraph.nodes]

    def _add_leaves(self, names: Names, instance: Instance, use: Use) -> dict[str, str]:
        """Add the parameters and constants of a copy, unless copies share those that are there; return their names."""
        owner = names.leaves
        if owner in self._shared:
            return self._shared[owner]
        subgraph = instance.subgraph
        sections: tuple[tuple[str, Any, dict[str, Any], dict[str, Any], dict[str, Any]], ...] = (
            ("parameters", read_parameters, subgraph.parameters, subgraph.fixed_parameters, self.parameters),
            ("constants", read_constants, subgraph.constants, subgraph.fixed_constants, self.constants),
        )
        own: dict[str, str] = {}
        for section, reader, raw, fixed, into in sections:
            for name, value in raw.items():
                full = own[name] = f"{owner}.{name}"
                if full in self.parameters or full in self.constants:
                    message = f"the name {quote(full)} stands twice: an instance of {subgraph.name!r} makes it too"
                    declared = "parameters" if full in self.parameters else "constants"
                    self.problems.add((declared, full), message, key=True)
                self.origins[full] = subgraph.problems, name, use
                read = fixed
                if name not in fixed:
                    at = subgraph.problems.used(use)
                    given = substitute(value, instance.settings)
                    read = reader({name: given}, at, set()) if is_small(given, at, (section, name)) else {}
                if name not in read:
                    self.broken.add(full)
                elif section == "parameters" and instance.training != Training():
                    into[full] = read[name]._replace(training=read[name].training.within(instance.training))
                else:
                    into[full] = read[name]
        if names.nodes != owner:
            self._shared[owner] = own
        return own

    def _add_node(self, name: str, entry: NodeEntry) -> None:
        if name in self.nodes:
            message = f"the name {quote(name)} stands twice: an instance of a subgraph makes it too"
            first = self.nodes[name]
            (first if first.use is None else entry).problems(name, self.problems).add((), message, key=True)
        self.nodes[name] = entry
