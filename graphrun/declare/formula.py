"""Formulas as text: what a declaration's functions compute, in the names of a graph.

The functions are called once with symbols, so the formulas are the declaration itself, and need nothing of its author.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from graphrun.base.numbertext import number
from graphrun.declare.declaration import Declaration, Settings, freeze
from graphrun.declare.nodetype import NodeType
from graphrun.declare.notation import ATOM, TEXT, Bound, Notation
from graphrun.declare.trace import FLOAT, CannotTraceError, Expression, Recorder, trace, trace_derivatives
from graphrun.declare.writer import write_line

MOST_ARGUMENTS = 8
"""Of a call with more inputs the middle ones are left out."""


@dataclass(frozen=True, slots=True)
class Formulas:
    """What a node computes, as text.

    Attributes:
        forward: the value, of the inputs.
        local_derivatives: for each input the derivative of the node by it, of the inputs and the node itself; None
            where there is none to write: for a tensor type, for an input without a derivative, for what would take
            more than a line.
    """

    forward: str
    local_derivatives: tuple[str | None, ...]


class Open(str):
    """A setting that is left open: its name stands for its value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Traced:
    """An elementwise declaration's functions, traced; the inputs are ``x0``, ``x1``, ..., the output ``y``."""

    forward: Expression | None
    local_derivatives: tuple[Expression | None, ...]


def formulas_of(
    declared: NodeType, settings: Settings, inputs: Sequence[str], output: str, notation: Notation = TEXT
) -> Formulas:
    """Return what a node computes, as text; its inputs are names, and numbers for literals."""
    names = operands(inputs, output, notation)
    found = traced(declared, settings, tuple(map(literal, inputs)))
    forward = None if found.forward is None else write_line(found.forward, names, notation)
    if forward is None:
        given = [names[f"x{k}"] for k in range(len(inputs) - len(declared.engine_inputs))]
        if len(given) > MOST_ARGUMENTS:
            given = [*given[: MOST_ARGUMENTS // 2], ("...", ATOM), *given[-MOST_ARGUMENTS // 2 :]]
        forward = call_text(notation, declared.name, given, own_settings(declared, settings))
    return Formulas(
        forward[0],
        tuple(
            None if expression is None else (write_line(expression, names, notation) or (None,))[0]
            for expression in found.local_derivatives
        ),
    )


def type_formulas(declared: NodeType, output: str) -> Formulas | None:
    """Return what an elementwise type computes, in the names of its own inputs and settings.

    Settings that are real numbers are left open, others are as by default. The forward formula is empty where it is
    too long; there are none where a derivative is, or where they cannot be traced: a function may decide by a number.
    """
    left_open = open_settings(declared)
    usual = {parameter.name: parameter.default for parameter in declared.keyword}
    closed = [value for name, value in usual.items() if name not in left_open]
    if declared.arity[1] is None or declared.takes_training or inspect.Parameter.empty in closed:
        return None
    settings = tuple((name, Open(name) if name in left_open else freeze(value)) for name, value in usual.items())
    found = traced(declared, settings, (None,) * len(declared.inputs))
    is_unknown = declared.derivative is not None and all(part is None for part in found.local_derivatives)
    if found.forward is None or is_unknown:
        return None
    names = operands(declared.inputs, output, TEXT) | {_key(Open(name)): (name, ATOM) for name in left_open}
    forward = write_line(found.forward, names, TEXT)
    parts = [None if part is None else write_line(part, names, TEXT) for part in found.local_derivatives]
    if any(part is not None and text is None for part, text in zip(found.local_derivatives, parts, strict=True)):
        return None
    return Formulas(forward[0] if forward else "", tuple(text and text[0] for text in parts))


def open_settings(declared: NodeType) -> set[str]:
    """Return the settings that `type_formulas` leaves open."""
    return {parameter.name for parameter in declared.keyword if float in declared.kinds(parameter.name)}


def _key(setting: Open) -> str:
    """Return the name of an open setting in a traced function, where inputs and the output have names too."""
    return f"setting {setting}"


def operands(inputs: Sequence[str], output: str, notation: Notation) -> dict[str, Bound]:
    """Return the texts of what a traced type's functions read, for `write_line`."""
    known = {text: literal(text) for text in inputs}
    return {"y": (notation.name(output), ATOM)} | {
        f"x{k}": (notation.name(text), ATOM) if (value := known[text]) is None else notation.constant(value, FLOAT)
        for k, text in enumerate(inputs)
    }


@lru_cache(maxsize=1024)
def traced(declared: NodeType, settings: Settings, literals: tuple[float | None, ...]) -> Traced:
    """Trace a type's functions, for each input given its number where it is a literal, else None.

    The local derivatives are computed with the numbers, so that the derivative of ``x ** 2`` is ``2 * x``; the forward
    function is shown as it stands.
    """
    nothing = Traced(None, (None,) * len(literals))
    if not declared.is_elementwise:
        return nothing
    recorder = Recorder(np.dtype(np.float64), is_exact=True)
    given_settings = {k: recorder.input(_key(value)) if isinstance(value, Open) else value for k, value in settings}
    try:
        symbols = recorder.inputs([None] * len(literals))
        forward = recorder.lift(trace(recorder, declared.function, symbols, given_settings))
    except CannotTraceError:
        forward = None
    if declared.derivative is None:
        return Traced(forward, nothing.local_derivatives)
    try:
        known = recorder.inputs(literals)
        derivatives = trace_derivatives(recorder, declared.derivative, recorder.input("y"), known, given_settings)
    except CannotTraceError:
        derivatives = nothing.local_derivatives
    return Traced(forward, derivatives)


def call_text(notation: Notation, name: str, arguments: Sequence[Bound], settings: Mapping[str, Any]) -> Bound:
    """Return the text of a node type's call."""
    if name == "matmul" and not settings:
        return notation.apply(name, arguments)
    words = [text for text, _ in arguments]
    words += [notation.words(f"{key}={setting_text(value)}") for key, value in settings.items()]
    return notation.function(name, len(words)).template.format(*words), ATOM


def literal(text: str) -> float | None:
    """Return the number that an input's text is; names, `inf` among them, begin with a letter."""
    return float(text) if re.match(r"[-+]?[.0-9]", text) else None


def own_settings(declared: Declaration, settings: Settings) -> dict[str, Any]:
    """Return the settings that a reader needs: those that are not as by default."""
    usual = {parameter.name: freeze(parameter.default) for parameter in declared.keyword}
    return {name: value for name, value in settings if name in usual and usual[name] != value}


def setting_text(value: Any) -> str:
    """Write a setting as an expression of a graph file has it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(setting_text, value))}]"
    if isinstance(value, str):
        return repr(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return number(value) if isinstance(value, float) else str(value)
