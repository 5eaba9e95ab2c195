"""The `subgraphs` section: each definition is read and checked once, however often it is used."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from graphrun.base.wording import describe, did_you_mean, quote
from graphrun.document.marks import Path
from graphrun.document.names import is_name, normalize, under_names, why_no_name
from graphrun.document.nodes import NodeEntry, put_known_numbers, read_nodes
from graphrun.document.numbers import Value
from graphrun.document.parameters import ParameterEntry, Training, read_constants, read_parameters
from graphrun.document.problems import Problems
from graphrun.document.references import Reference, references, with_references

KEYS = ("description", "inputs", "settings", "parameters", "constants", "nodes", "output")

# What stands beside the settings of an instance, and can be the name of none.
INSTANCE_KEYS = ("type", "inputs", "repeat", "share", "over", "collect")


@dataclass(slots=True)
class Subgraph:
    """A definition.

    Attributes:
        name: its name, used as a node type.
        problems: where problems with it are added: in the file and at the path of its definition.
        inputs: the names of its inputs.
        settings: the default of each setting, which may name settings before it; None where it must be given.
        parameters: its parameters as they were written, with references in place of ``$name``.
        constants: its constants, likewise.
        nodes: its nodes, expressions turned into plain ones; types, inputs and settings may be references.
        varying: the nodes that a setting changes.
        outputs: the names of the values that a copy hands on; an instance stands for the first.
        fixed_parameters, fixed_constants: those that no setting changes, as every instance has them.
    """

    name: str
    problems: Problems
    inputs: tuple[str, ...]
    settings: dict[str, Any]
    parameters: dict[str, Any]
    constants: dict[str, Any]
    nodes: dict[str, NodeEntry]
    varying: set[str]
    outputs: tuple[str, ...]
    fixed_parameters: dict[str, ParameterEntry]
    fixed_constants: dict[str, Value]

    @property
    def output(self) -> str:
        """The name of the value that an instance stands for."""
        return self.outputs[0]


class Instance(NamedTuple):
    """A use of a subgraph, checked: its settings, how often it is repeated, what is said of its parameters.

    `over` are the inputs of which each copy takes its own slice, `collect` the values that are stacked.
    """

    subgraph: Subgraph
    settings: dict[str, Any]
    repeat: int
    share: bool
    over: tuple[str, ...] = ()
    collect: tuple[str, ...] = ()
    training: Training = Training()

    @property
    def is_numbered(self) -> bool:
        """Whether the names of a copy have its number in them."""
        return self.repeat > 1 or bool(self.over or self.collect)


def read_subgraphs(raw: Any, problems: Problems, broken: set[str]) -> dict[str, Subgraph]:
    """Return the definitions of a file; one with a problem is left out, and its name is added to `broken`."""
    result = {}
    for name, definition in under_names("subgraphs", raw, problems, broken, dotted=False).items():
        at = problems.at(("subgraphs", name))
        before = len(problems)
        subgraph = _read_subgraph(name, definition, at)
        if subgraph is not None and len(problems) == before:
            _check_names(subgraph)
        if subgraph is None or len(problems) > before:
            broken.add(name)
        else:
            result[name] = subgraph
    return result


def _read_subgraph(name: str, raw: Any, problems: Problems) -> Subgraph | None:
    if not isinstance(raw, dict):
        problems.add((), f"a subgraph is a mapping, not {describe(raw)}", suggestion=f"its keys are: {', '.join(KEYS)}")
        return None
    problems.refuse_unknown((), raw, KEYS, " of a subgraph")
    broken: set[str] = set()
    sections = {
        key: under_names(key, raw.get(key), problems, broken, dotted=key != "settings")
        for key in ("settings", "parameters", "constants", "nodes")
    }
    for key in INSTANCE_KEYS:
        if key in sections["settings"]:
            problems.add(("settings", key), f"{key!r} cannot be a setting: it is a key of every instance", key=True)
    inputs = _read_inputs(raw.get("inputs"), problems)
    outputs = listed(raw.get("output"))
    if not outputs:
        at_key = "output" in raw
        message = (
            f"'output' is the name of a value, not {describe(raw['output'])}"
            if at_key
            else "the subgraph has no 'output'"
        )
        problems.add(("output",) if at_key else (), message, key=not at_key)
        return None
    referring = {key: with_references(sections[key]) for key in ("settings", "parameters", "constants")}
    # What depends on no setting is the same in each instance: it is checked here, once.
    fixed = {key: {k: v for k, v in values.items() if not any(references(v))} for key, values in referring.items()}
    nodes = read_nodes(sections["nodes"], problems, broken, in_subgraph=True)
    nodes = {key: _definition_entry(key, entry, problems) for key, entry in nodes.items()}
    put_known_numbers(nodes, inputs, nodes, broken, *(sections[key] for key in ("settings", "parameters", "constants")))
    varying = {key for key, entry in nodes.items() if any(references((entry.type, entry.inputs, entry.settings)))}
    return Subgraph(
        name=name,
        problems=problems,
        inputs=inputs,
        settings=referring["settings"],
        parameters=referring["parameters"],
        constants=referring["constants"],
        nodes=nodes,
        varying=varying,
        outputs=outputs,
        fixed_parameters=read_parameters(fixed["parameters"], problems, broken),
        fixed_constants=read_constants(fixed["constants"], problems, broken),
    )


def listed(raw: Any) -> tuple[str, ...] | None:
    """Return the names of a list, or the only one; None for anything else."""
    names = [raw] if isinstance(raw, str) else raw
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(dict.fromkeys(map(normalize, names)))


def _read_inputs(raw: Any, problems: Problems) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(name, str) for name in raw):
        hint = f"write [{raw}]" if isinstance(raw, str) and len(raw) < 40 else "write [x]"
        problems.add(("inputs",), f"'inputs' of a subgraph is a list of names, not {describe(raw)}", suggestion=hint)
        return ()
    names = [normalize(name) for name in raw]
    seen: set[str] = set()
    for position, name in enumerate(names):
        if not name.isidentifier() or not is_name(name):
            message, suggestion = why_no_name(name)
            problems.add(("inputs", position), message, suggestion=suggestion)
        elif name in seen:
            problems.add(("inputs", position), f"the name {quote(name)} stands twice among the inputs")
        seen.add(name)
    return tuple(dict.fromkeys(names))


def _check_names(subgraph: Subgraph) -> None:
    """Report names that a definition does not have: it sees its inputs, its settings and its own names."""
    problems = subgraph.problems
    own = Counter([*subgraph.inputs, *subgraph.parameters, *subgraph.constants, *subgraph.nodes])
    for section in ("parameters", "constants", "nodes"):
        for name in getattr(subgraph, section):
            if own[name] > 1:
                problems.add((section, name), f"the name {quote(name)} stands twice in the subgraph", key=True)
    for section in ("parameters", "constants"):
        for name, value in getattr(subgraph, section).items():
            for reference, path in references(value):
                _check_reference(subgraph, reference, (section, name, *path))
    before: set[str] = set()
    for name, default in subgraph.settings.items():
        for reference, path in references(default):
            if reference not in before:
                message = f"the default of a setting can name settings before it, and '${reference}' is none"
                problems.add(("settings", name, *path), message)
        before.add(name)
    for name, entry in subgraph.nodes.items():
        at = entry.problems(name, problems)
        for part, value in (("type", entry.type), ("inputs", entry.inputs), *(entry.settings or {}).items()):
            for reference, path in references(value):
                _check_reference(subgraph, reference, (part, *path), at)
        for position, source in enumerate(entry.inputs):
            if isinstance(source, str) and not isinstance(source, Reference) and not _knows(subgraph, source):
                near = partial(_near_or_rule, source, own, subgraph)
                at.add(("inputs", position), f"input {quote(source)} is unknown", suggestion=near)
    for output in subgraph.outputs:
        if not _knows(subgraph, output):
            problems.add(("output",), f"output {quote(output)} is unknown", suggestion=did_you_mean(output, own))


def _knows(subgraph: Subgraph, name: str) -> bool:
    """Say whether a definition has a name; what an instance inside it has is seen when it is expanded."""
    own = (subgraph.inputs, subgraph.parameters, subgraph.constants, subgraph.nodes)
    return any(name in names for names in own) or name.partition(".")[0] in subgraph.nodes


def _near_or_rule(name: str, own: Iterable[str], subgraph: Subgraph) -> str:
    if name in subgraph.settings:
        return f"write ${name} for the value of the setting"
    return did_you_mean(name, own) or "a subgraph sees its inputs, settings and own names only"


def _check_reference(subgraph: Subgraph, name: str, path: Path, at: Any = None) -> None:
    if name not in subgraph.settings:
        suggestion = did_you_mean(name, subgraph.settings) or f"declare it: settings: {{{name}: null}}"
        message = f"the subgraph {subgraph.name!r} has no setting {quote(name)}"
        (subgraph.problems if at is None else at).add(path, message, suggestion=suggestion)


def _definition_entry(name: str, entry: NodeEntry, problems: Problems) -> NodeEntry:
    """Return a node of a definition with its references, and with the place where it stands."""
    return entry._replace(
        type=with_references(entry.type),
        inputs=with_references(entry.inputs),
        settings=with_references(entry.settings),
        origin=problems.at(("nodes", name)) if entry.origin is None else entry.origin,
    )
