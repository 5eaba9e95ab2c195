"""The `nodes` section: each raw mapping becomes a NodeEntry.

Written by hand: a graph file may have a million nodes, for which pydantic takes 4 to 9 microseconds each.
"""

import re
from collections.abc import Container
from typing import Any, NamedTuple

from graphrun.base.wording import describe, nearest, quote
from graphrun.document.expressions import ExpressionError, MadeNode, parse_expression
from graphrun.document.marks import Path
from graphrun.document.names import COMMAS, normalize
from graphrun.document.numbers import NotANumberError, check_number
from graphrun.document.problems import ExpressionText, Problems, Use
from graphrun.document.references import Reference, references
from graphrun.document.slips import NUMBERS, expression_in_mapping

# What people write for the two keys that every node has, beyond misspellings.
SYNONYMS = {
    "type": ("kind", "op", "operation", "function"),
    "inputs": ("in", "ins", "args", "arguments", "operands", "parents", "from"),
}


class NodeEntry(NamedTuple):
    """A node as its file has it: names of inputs are normalized, settings are not checked yet.

    Attributes:
        type: the name of its type.
        inputs: names of values, and numbers.
        settings: what else was written, None for nothing.
        origin: where it stands, when that is not under its own name: in an expression or in a subgraph.
        use: the use of a subgraph that it was made for.
    """

    type: str
    inputs: tuple[str | int | float, ...]
    settings: dict[str, Any] | None = None
    origin: Problems | None = None
    use: Use | None = None

    def problems(self, name: str, problems: Problems) -> Problems:
        """Return where problems with the node are added: it stands under its name unless something else made it."""
        # An empty collection of problems is false.
        return (problems.at(("nodes", name)) if self.origin is None else self.origin).used(self.use)


def read_nodes(
    nodes: dict[str, Any], problems: Problems, broken: set[str], *, in_subgraph: bool = False
) -> dict[str, NodeEntry]:
    """Replace each raw mapping of the section by its NodeEntry, in place, so that memory holds a node only once.

    A node with a problem is left out, and its name is added to `broken`. An expression becomes several nodes: a dict
    with these is returned. Only those of a subgraph may name settings.
    """
    failed = []
    expressions: dict[str, dict[str, NodeEntry]] = {}
    for name, node in nodes.items():
        if node.__class__ is NodeEntry:
            continue
        if node.__class__ is dict:
            kind, inputs = node.get("type"), node.get("inputs")
            if kind.__class__ is str and inputs.__class__ is list:
                try:
                    # Joining is the fastest way to learn that all are text, and that none needs its normal form.
                    is_plain = "".join(inputs).isascii()
                except TypeError:
                    is_plain = False
                if is_plain:
                    nodes[name] = NodeEntry(kind, tuple(inputs), None if len(node) == 2 else _settings(node))
                    continue
        if node.__class__ is str:
            made = _read_expression(name, node, problems, broken, in_subgraph=in_subgraph)
            if made:
                expressions[name] = made
            else:
                failed.append(name)
            continue
        entry = _read_node(name, node, problems)
        if entry is None:
            failed.append(name)
        else:
            nodes[name] = entry
    for name in failed:
        del nodes[name]
    broken.update(failed)
    if not expressions:
        return nodes
    result: dict[str, NodeEntry] = {}
    for name, node in nodes.items():
        for own in expressions.get(name, ()):
            if own != name and own in nodes:
                message = f"the name {quote(own)} stands twice: the expression {quote(name)} makes it too"
                problems.add(("nodes", own), message, key=True)
        result.update(expressions.get(name) or {name: node})
    return result


KNOWN_NUMBERS = {name: NUMBERS[name] for name in ("pi", "e")}


def put_known_numbers(nodes: dict[str, NodeEntry], *own: Container[str]) -> None:
    """Put pi and e in place of their names where a node reads them and nothing of its own has the name."""
    known = {name: number for name, number in KNOWN_NUMBERS.items() if not any(name in names for names in own)}
    for name, entry in nodes.items():
        if not known.keys().isdisjoint(entry.inputs):
            # A reference to a setting is a text, too.
            inputs = tuple([known.get(source, source) if type(source) is str else source for source in entry.inputs])
            nodes[name] = entry._replace(inputs=inputs)


def _read_expression(
    name: str, text: str, problems: Problems, broken: set[str], *, in_subgraph: bool
) -> dict[str, NodeEntry]:
    """Return the nodes that an expression makes, by their names: f.1, f.2, ..., f; none after telling what is wrong."""
    path: Path = ("nodes", name)
    try:
        made = parse_expression(text)
    except ExpressionError as error:
        at = problems.at(path, expression=ExpressionText(text, (error.offset,)))
        # Within { } the comma of maximum(a, b) ends the expression, and "b)" becomes a key.
        is_cut = "never closed" in error.message and any(name.endswith(")") for name in broken)
        at.add((), error.message, suggestion=COMMAS if is_cut else error.suggestion)
        return {}
    names = [*(f"{name}.{number}" for number in range(1, len(made))), name]
    entries = {}
    for own, node in zip(names, made, strict=True):
        if not in_subgraph:
            before = len(problems)
            _refuse_references(
                node, text, problems.at(path, expression=ExpressionText(text, node.offsets, node.places))
            )
            if len(problems) > before:
                return {}
        inputs = tuple(names[source[0]] if isinstance(source, tuple) else source for source in node.inputs)
        origin = problems.at(path, expression=ExpressionText(text, node.offsets, node.places))
        entries[own] = NodeEntry(node.type, inputs, node.settings or None, origin)
    return entries


def _refuse_references(node: MadeNode, text: str, at: Problems) -> None:
    """Report settings of a subgraph where there is no subgraph."""
    if "$" not in text:
        return
    hint = "outside a subgraph there are no settings: write the name without '$', or the value"
    for position, source in enumerate(node.inputs):
        if isinstance(source, Reference):
            at.add(("inputs", position), f"'${source}' is unknown", suggestion=hint)
    for name, path in references((node.type, node.settings)):
        at.add(path[1:], f"'${name}' is unknown", suggestion=hint)


def _read_node(name: str, node: Any, problems: Problems) -> NodeEntry | None:
    """Return the entry of a node that is not plain, or None after telling what is wrong with it."""
    path = ("nodes", name)
    if not isinstance(node, dict):
        message, suggestion = _why_no_node(node)
        problems.add(path, message, suggestion=suggestion)
        return None
    if len(node) == 1 and None in node.values() and not nearest(next(iter(node)), KEYS):
        text = next(iter(node))
        problems.add(path, "a node is needed here, not a key without a value", suggestion=f"write {text} without {{ }}")
        return None
    before = len(problems)
    advice = expression_in_mapping(path[-1], node)
    if advice:
        key = "type" if "type" in node else next(iter(node))
        problems.add((*path, key), "a node type is a name, and this is an expression", suggestion=advice)
        return None
    missing = [key for key in KEYS if key not in node]
    for key in missing:
        _add_missing(path, key, node, problems)
    if "type" in node and not isinstance(node["type"], str):
        problems.add((*path, "type"), f"a node type is a name, not {describe(node['type'])}")
    inputs = _read_inputs((*path, "inputs"), node["inputs"], problems) if "inputs" in node else ()
    if len(problems) > before:
        return None
    return NodeEntry(node["type"], inputs, _settings(node) or None)


def _why_no_node(value: Any) -> tuple[str, str | None]:
    """Return what stands in place of a node, and what to write."""
    if value is None:
        return "a node is needed here", "write {type: ..., inputs: [...]} or an expression"
    if isinstance(value, bool | int | float):
        message = f"{describe(value)} is no node"
        return message, "put a number under 'constants' or 'parameters'"
    return "a node is a mapping, not a list", "write {type: ..., inputs: [...]}"


def _add_missing(path: Path, key: str, node: dict[str, Any], problems: Problems) -> None:
    """Report a key that a node lacks, at the key that was probably meant if there is one."""
    others = [other for other in node if other not in KEYS]
    meant = nearest(key, others) or next((other for other in others if other.lower() in SYNONYMS[key]), None)
    if meant is None:
        problems.add(path, f"the node has no {key!r}", key=True, suggestion=_EXAMPLES[key])
    else:
        problems.add((*path, meant), f"unknown key {quote(meant)}", key=True, suggestion=f"did you mean {key!r}?")


KEYS = ("type", "inputs")
_EXAMPLES = {"type": "write {type: add, inputs: [a, b]}", "inputs": "write inputs: [] for a node without any"}


def _read_inputs(path: Path, inputs: Any, problems: Problems) -> tuple[str | int | float, ...]:
    """Return the inputs with normalized names; report those that are neither names nor finite numbers."""
    if not isinstance(inputs, list):
        text = ", ".join(re.findall(r"[^\s,]+", inputs)) if isinstance(inputs, str) else inputs
        suggestion = f"write [{text}]" if isinstance(inputs, str | int | float) and len(str(inputs)) < 40 else None
        problems.add(path, f"'inputs' is a list, not {describe(inputs)}", suggestion=suggestion or "write [a, b]")
        return ()
    result: list[str | int | float] = []
    for index, value in enumerate(inputs):
        if isinstance(value, str):
            result.append(normalize(value))
            continue
        try:
            check_number(value, what="a name or a number")
        except NotANumberError as error:
            problems.add((*path, index), f"input {index + 1}: {error.message}")
        else:
            result.append(value)
    return tuple(result)


def _settings(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in ("type", "inputs")}
