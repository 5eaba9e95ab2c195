"""Listings of node types, update rules and plugins, as text."""

from __future__ import annotations

import inspect
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

from graphrun.base.errors import UsageError
from graphrun.declare.declaration import Declaration
from graphrun.declare.formula import open_settings, type_formulas
from graphrun.declare.nodetype import NodeType, Tensor
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import did_you_mean
from graphrun.nodes.synonyms import SYNONYMS
from graphrun.plugins.registry import Registry
from graphrun.show.tables import WIDTH, align


def listing(registry: Registry) -> Iterator[str]:
    """List every node type and update rule: signature, first line of the description, and origin."""
    for title, kind in (("node types", NodeType), ("update rules", UpdateRule)):
        yield f"{title}:"
        rows = []
        for declared, plugin in registry.all(kind).values():
            origin = "" if plugin.source == "built-in" else f" [{plugin.source} {plugin.name}]"
            rows.append([f"  {declared.signature}", declared.summary + origin])
        yield from align(rows, left=2)
        yield ""
    yield "graphrun nodes TYPE shows one of them."


def describe(registry: Registry, name: str) -> Iterator[str]:
    """Show one node type or update rule in full.

    Raises:
        UsageError: there is none of that name.
    """
    found = registry.all(NodeType).get(name) or registry.all(UpdateRule).get(name)
    if found is None:
        synonym = SYNONYMS.get(name.lower())
        known = [*registry.all(NodeType), *registry.all(UpdateRule)]
        hint = f"it is called {synonym!r} here" if synonym else did_you_mean(name, known)
        failures = "".join(f"\n  {plugin.failure}" for plugin in registry.failures)
        raise UsageError(f"node type {name!r} is unknown" + (f"; {hint}" if hint else "") + failures)
    declared, plugin = found
    yield declared.signature
    yield ""
    yield from textwrap.indent(declared.description, "  ").splitlines()
    if isinstance(declared, NodeType):
        yield from _node_type(declared)
    yield from _settings(declared)
    yield ""
    yield f"from {plugin.source} {plugin.name}" + (f" ({plugin.location})" if plugin.location else "")


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
    return textwrap.wrap(line, WIDTH, initial_indent="    ", subsequent_indent="      ", break_long_words=False)


def _settings(declared: Declaration) -> Iterator[str]:
    if not declared.keyword:
        return
    yield ""
    yield "  settings:"
    for parameter in declared.keyword:
        kind = " | ".join(map(_type_name, declared.kinds(parameter.name)))
        default = "required" if parameter.default is parameter.empty else f"default {parameter.default!r}"
        yield f"    {parameter.name}: {kind}, {default}"


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(annotation)))
    if annotation is type(None):
        return "None"
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
        names = [*(declared.name for declared in plugin.declarations), *plugin.observers]
        adds = ", ".join(names or ["nothing"]) if len(names) <= 6 else f"{len(names)} node types and update rules"
        outcome = adds if plugin.error is None else f"FAILED {plugin.error}"
        rows.append([plugin.name, plugin.source, plugin.location, f"{plugin.seconds * 1000:.1f}", outcome])
    yield from align([[*row[:3], row[3].rjust(6), row[4]] for row in rows], left=5)
