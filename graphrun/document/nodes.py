"""The `nodes` section: each raw mapping becomes a NodeEntry.

Written by hand: a graph file may have a million nodes, for which pydantic takes 4 to 9 microseconds each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from graphrun.document.names import normalize
from graphrun.document.numbers import NotANumberError, check_number
from graphrun.document.wording import describe, nearest, quote

if TYPE_CHECKING:
    from graphrun.document.marks import Path
    from graphrun.document.problems import Problems

# What people write for the two keys that every node has, beyond misspellings.
SYNONYMS = {
    "type": ("kind", "op", "operation", "function"),
    "inputs": ("in", "ins", "args", "arguments", "operands", "parents", "from"),
}


class NodeEntry(NamedTuple):
    """A node as its file has it: names of inputs are normalized, settings are not checked yet."""

    type: str
    inputs: tuple[str | int | float, ...]
    settings: dict[str, Any] | None = None


def read_nodes(nodes: dict[str, Any], problems: Problems, broken: set[str]) -> dict[str, NodeEntry]:
    """Replace each raw mapping of the section by its NodeEntry, in place, so that memory holds a node only once.

    A node with a problem is left out, and its name is added to `broken`.
    """
    failed = []
    for name, node in nodes.items():
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
        entry = _read_node(name, node, problems)
        if entry is None:
            failed.append(name)
        else:
            nodes[name] = entry
    for name in failed:
        del nodes[name]
    broken.update(failed)
    return nodes


def _read_node(name: str, node: Any, problems: Problems) -> NodeEntry | None:
    """Return the entry of a node that is not plain, or None after telling what is wrong with it."""
    path = ("nodes", name)
    if not isinstance(node, dict):
        message, suggestion = _why_no_node(node)
        problems.add(path, message, suggestion=suggestion)
        return None
    before = len(problems)
    missing = [key for key in ("type", "inputs") if key not in node]
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
        return "a node is needed here", "write {type: ..., inputs: [...]}"
    if isinstance(value, str):
        message = f"expressions as nodes are not yet supported: {quote(value)}"
        return message, "write {type: ..., inputs: [...]}"
    if isinstance(value, bool | int | float):
        message = f"{describe(value)} is no node"
        return message, "put a number under 'constants' or 'parameters'"
    return "a node is a mapping, not a list", "write {type: ..., inputs: [...]}"


def _add_missing(path: Path, key: str, node: dict[str, Any], problems: Problems) -> None:
    """Report a key that a node lacks, at the key that was probably meant if there is one."""
    others = [other for other in node if other not in ("type", "inputs")]
    meant = nearest(key, others) or next((other for other in others if other.lower() in SYNONYMS[key]), None)
    if meant is None:
        problems.add(path, f"the node has no {key!r}", key=True, suggestion=_EXAMPLES[key])
    else:
        problems.add((*path, meant), f"unknown key {quote(meant)}", key=True, suggestion=f"did you mean {key!r}?")


_EXAMPLES = {"type": "write {type: add, inputs: [a, b]}", "inputs": "write inputs: [] for a node without any"}


def _read_inputs(path: Path, inputs: Any, problems: Problems) -> tuple[str | int | float, ...]:
    """Return the inputs with normalized names; report those that are neither names nor finite numbers."""
    if not isinstance(inputs, list):
        suggestion = f"write [{inputs}]" if isinstance(inputs, str | int | float) and len(str(inputs)) < 40 else None
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
