"""Listings of node types, update rules and plugins, as text."""

from __future__ import annotations

import inspect
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from graphrun.base.errors import UsageError
from graphrun.base.types import MOST
from graphrun.declare.declaration import Declaration
from graphrun.declare.formula import open_settings, type_formulas
from graphrun.declare.initializers import INITIALIZERS, OTHER_NAMES
from graphrun.declare.nodetype import NodeType, Tensor
from graphrun.declare.updaterule import UpdateRule
from graphrun.document.excerpt import cells
from graphrun.plugins.registry import Plugin, Registry
from graphrun.show.tables import WIDTH, align, described, terminal_columns, wrapped
from graphrun.solvers import SOLVERS
from graphrun.updates.schedule import SCHEDULES

USES = {
    "solver": "in a graph file: update: {{type: {}}}; starts: 10 beside it keeps the best of ten starts",
    "schedule": "in a graph file: update: {{type: sgd, step_size: {{type: {}, ...}}}}",
    "initializer": "in a graph file: parameters: {{W: {{shape: [2, 3], init: {{type: {}}}}}}}",
}
"""How what is no node type is used."""

LIMITS = {"gt": "above {}", "ge": "{} or more", "lt": "below {}", "le": "{} or less"}


def listing(registry: Registry) -> Iterator[str]:
    """List everything that a graph file can name: signature, first line of the description, and origin."""
    for title, entries in kinds(registry).items():
        yield f"{title}s:"
        rows = []
        for declared, plugin in entries.values():
            origin = "" if plugin is None or plugin.source == "built-in" else f" [{plugin.source} {plugin.name}]"
            rows.append((f"  {declared.signature}", declared.summary + origin))
        yield from described(rows, terminal_columns())
        yield ""
    yield "graphrun nodes NAME shows one of them."


def kinds(registry: Registry) -> dict[str, dict[str, tuple[Declaration, Plugin | None]]]:
    """Return everything that a graph file can name, by what it is and by its name; no plugin where none can be."""
    return {
        "node type": dict(registry.all(NodeType)),
        "update rule": dict(registry.all(UpdateRule)),
        **{
            title: {name: (declared, None) for name, declared in known.items()}
            for title, known in (("solver", SOLVERS), ("schedule", SCHEDULES), ("initializer", INITIALIZERS))
        },
    }


def describe(registry: Registry, name: str, title: str | None = None) -> Iterator[str]:
    """Show everything of one name in full, or what is of one kind.

    Raises:
        UsageError: there is nothing of that name.
    """
    known = kinds(registry)
    found = [(kind, *entries[name]) for kind, entries in known.items() if name in entries and title in (None, kind)]
    if not found:
        others = [name for entries in known.values() for name in entries]
        hint = registry.meant(OTHER_NAMES.get(name.lower(), name), [NodeType], others)
        raise UsageError(f"node type {name!r} is unknown" + (f"; {hint}" if hint else ""))
    columns = terminal_columns()
    for line in _entries(name, found):
        indent = line[: len(line) - len(line.lstrip())]
        yield from wrapped(line.strip(), columns, indent, f"{indent}  ") if cells(line) > (columns or WIDTH) else [line]


def _entries(name: str, found: Sequence[tuple[str, Declaration, Plugin | None]]) -> Iterator[str]:
    for number, (title, declared, plugin) in enumerate(found):
        if number:
            yield ""
        yield declared.signature
        yield ""
        yield from _paragraphs(declared.description)
        if isinstance(declared, NodeType):
            yield from _node_type(declared)
        yield from _settings(declared)
        if title in USES:
            yield ""
            yield f"  {USES[title].format(name)}"
        yield ""
        if plugin is None:
            yield f"{'an' if title[0] in 'aeiou' else 'a'} {title}, built in"
        else:
            yield f"from {plugin.source} {plugin.name}" + (f" ({plugin.location})" if plugin.location else "")


def _paragraphs(text: str) -> Iterator[str]:
    """Indent a description; lines that are wider than the terminal are broken anew."""
    columns = terminal_columns()
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        if columns is None or max(map(len, paragraph.splitlines())) + 2 <= columns:
            yield from textwrap.indent(paragraph, "  ").splitlines()
        else:
            yield from wrapped(" ".join(paragraph.split()), columns, "  ", "  ")


def _node_type(declared: NodeType) -> Iterator[str]:
    yield ""
    yield f"  {'elementwise' if declared.is_elementwise else 'tensor'} type, inputs:"
    for position, name in enumerate(declared.inputs):
        where = f"in {declared.domain[name]}" if name in declared.domain else "any number"
        yield f"    {name}: {'whole numbers that select' if position in declared.index_inputs else where}"
    yield ""
    forward, derivatives = _formulas(declared)
    if forward:
        yield f"  formula{_closed_settings(declared)}:"
        yield from _wrapped(forward)
        yield ""
    if declared.derivative is None:
        yield "  no derivative is declared"
    else:
        yield "  local derivatives:" if declared.is_elementwise else "  vector-Jacobian product:"
        for line in derivatives:
            yield from _wrapped(line)
        if not derivatives:
            yield from textwrap.indent(_body(declared.derivative), "    ").splitlines()
    if declared.kinks:
        yield ""
        yield "  conventions where there is no single derivative:"
        yield from (f"    {kink}" for kink in declared.kinks)


def _formulas(declared: NodeType) -> tuple[str, list[str]]:
    """Return the formula of a type, and of its derivatives or gradients; empty where they are not short."""
    if declared.derivative is None:
        output = "y"
    else:
        output = list(inspect.signature(declared.derivative).parameters)[1 if declared.is_elementwise else 2]
    if isinstance(declared, Tensor):
        texts = zip(declared.inputs, declared.gradients, strict=False)
        gradients = [f"gradient of {x} = {text}" if text else f"{x} has no gradient" for x, text in texts]
        return declared.formula and f"{output} = {declared.formula}", gradients
    found = type_formulas(declared, output)
    if found is None:
        return "", []
    pairs = zip(declared.inputs, found.local_derivatives, strict=True)
    derivatives = [f"d{output}/d{x} = {text or 'none'}" for x, text in pairs]
    return f"{output} = {found.forward}" if found.forward else "", derivatives


def _closed_settings(declared: NodeType) -> str:
    """Say for which settings an elementwise type's formula is."""
    if not declared.is_elementwise:
        return ""
    left_open = open_settings(declared)
    closed = [f"{p.name} = {p.default!r}" for p in declared.keyword if p.name not in left_open]
    return f", where {', '.join(closed)}" if closed else ""


def _wrapped(line: str) -> list[str]:
    return wrapped(line, terminal_columns() or WIDTH, "    ", "      ")


def _settings(declared: Declaration) -> Iterator[str]:
    if not declared.keyword:
        return
    yield ""
    yield "  settings:"
    for parameter in declared.keyword:
        annotation = declared.annotations.get(parameter.name, Any)
        default = "required" if parameter.default is parameter.empty else f"default {parameter.default!r}"
        yield f"    {parameter.name}: {_type_name(annotation)}, {default}"


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(annotation)))
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return " | ".join(map(_type_name, typing.get_args(annotation)))
    if annotation is type(None):
        return "None"
    if hasattr(annotation, "__metadata__"):
        # Of several limits at one end the last one holds: the others are of the types that it was made of.
        limits = {
            limit[0]: words.format(getattr(part, limit))
            for told in annotation.__metadata__
            for part in (told, *getattr(told, "metadata", ()))
            for limit, words in LIMITS.items()
            if getattr(part, limit, None) not in (None, MOST)
        }
        return ", ".join([_type_name(annotation.__origin__), *limits.values()])
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _body(function: Any) -> str:
    """Return the source of a function without its decorator: the formula as its author wrote it."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return "(the source is not at hand)"
    lines = source.splitlines()
    start = next((position for position, line in enumerate(lines) if line.startswith("def ")), 0)
    return "\n".join(lines[start:])


def plugin_listing(registry: Registry) -> Iterator[str]:
    """List every plugin: what it adds, from where, how long it took to load, and why it failed."""
    rows = [["plugin", "source", "from", "ms", "adds"]]
    for plugin in registry.load():
        names = plugin.names
        adds = ", ".join(names or ["nothing"]) if len(names) <= 6 else f"{len(names)} node types and update rules"
        outcome = adds if plugin.error is None else f"FAILED {plugin.error}"
        rows.append([plugin.name, plugin.source, plugin.location, f"{plugin.seconds * 1000:.1f}", outcome])
    columns = terminal_columns()
    lines = list(align([[*row[:3], row[3].rjust(6), row[4]] for row in rows], left=5))
    if columns is None or max(map(cells, lines)) <= columns:
        yield from lines
    else:
        # Why one failed is never cut.
        for name, source, place, milliseconds, adds in rows[1:]:
            yield from wrapped(f"{name} ({source}, {place or '?'}, {milliseconds} ms): {adds}", columns, "", "  ")
