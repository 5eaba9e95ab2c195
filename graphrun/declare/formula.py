"""Formulas as text: what a declaration's functions compute, in the names of a graph.

The functions are called once with symbols, so the formulas are the declaration itself, and need nothing of its author.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar, Protocol, get_args

import numpy as np

from graphrun.base.summary import number
from graphrun.declare.declaration import Declaration, Settings, freeze
from graphrun.declare.nodetype import NodeType
from graphrun.declare.operations import (
    ATOM,
    CHOICE,
    COMPARISON,
    NOT,
    OPERATORS,
    PRODUCT,
    SIGN,
    Form,
    call,
)
from graphrun.declare.trace import (
    BOOL,
    CannotTraceError,
    Expression,
    Recorder,
    inputs_first,
    trace,
    trace_derivatives,
)

MOST_OPERATIONS = 20
"""A formula of more operations and operands explains nothing; the type is named instead."""

MOST_ARGUMENTS = 8
"""Of a call with more inputs the middle ones are left out."""

LARGEST_DENOMINATOR = 12
"""Numbers are shown as fractions, like 1/6, up to this denominator."""

Bound = tuple[str, int]
"""A text, and how tightly it binds."""


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


class Notation(Protocol):
    """How names, numbers and operations are written."""

    def name(self, name: str) -> str:
        """Return the text of a value's name."""

    def parenthesize(self, text: str) -> str:
        """Return a text in parentheses."""

    def form(self, operation: str, arity: int) -> Form:
        """Return how an operation is written; a form of ``{0}`` alone is the argument as it is."""

    def number(self, value: float) -> Bound:
        """Return the text of a number."""

    def call(self, name: str, arguments: Sequence[Bound], settings: Mapping[str, Any]) -> Bound:
        """Return the text of a node type's call."""


class TextNotation:
    """Plain text, close to the expressions of graph files."""

    WORDS: ClassVar = {
        "logical_and": Form("{0} and {1}", CHOICE, (NOT, NOT)),
        "logical_or": Form("{0} or {1}", CHOICE, (NOT, NOT)),
        "logical_xor": Form("{0} xor {1}", CHOICE, (NOT, NOT)),
        "logical_not": Form("not {0}", NOT, (COMPARISON,)),
        "remainder": Form("{0} % {1}", PRODUCT, (PRODUCT, PRODUCT + 1)),
        "floor_divide": Form("{0} // {1}", PRODUCT, (PRODUCT, PRODUCT + 1)),
        "matmul": Form("{0} @ {1}", PRODUCT, (PRODUCT, PRODUCT + 1)),
    }

    def name(self, name: str) -> str:
        """Return the text of a value's name: itself."""
        return name

    def parenthesize(self, text: str) -> str:
        """Return a text in parentheses."""
        return f"({text})"

    def form(self, operation: str, arity: int) -> Form:
        """Return how an operation is written."""
        if operation in {"cast", "number"}:
            return Form("{0}", CHOICE, (CHOICE,))
        return self.WORDS.get(operation) or OPERATORS.get(operation) or call(operation, arity)

    def number(self, value: float) -> Bound:
        """Return the text of a number: six digits, or a fraction where it is one."""
        text = number(value)
        if float(text) != value and math.isfinite(value):
            fraction = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
            if fraction.numerator / fraction.denominator == value:
                return str(fraction), SIGN if value < 0 else PRODUCT
        return text, SIGN if text.startswith("-") else ATOM

    def call(self, name: str, arguments: Sequence[Bound], settings: Mapping[str, Any]) -> Bound:
        """Return the text of a node type's call."""
        if name in self.WORDS and len(arguments) == 2 and not settings:
            return fill(self, self.WORDS[name], arguments)
        words = [text for text, _ in arguments] + [f"{key}={setting_text(value)}" for key, value in settings.items()]
        return f"{name}({', '.join(words)})", ATOM


TEXT = TextNotation()


def formulas_of(
    declared: NodeType, settings: Settings, inputs: Sequence[str], output: str, notation: Notation = TEXT
) -> Formulas:
    """Return what a node computes, as text.

    Args:
        declared: the node's type.
        settings: its settings, all of them.
        inputs: its inputs: names, and numbers for literals.
        output: the name of the node itself.
        notation: how the text is written.
    """
    names = operands(inputs, output, notation)
    found = traced(declared, settings, tuple(map(literal, inputs)))
    forward = None if found.forward is None else write(found.forward, names, notation)
    if forward is None:
        given = [names[f"x{k}"] for k in range(len(inputs) - len(declared.engine_inputs))]
        if len(given) > MOST_ARGUMENTS:
            given = [*given[: MOST_ARGUMENTS // 2], ("...", ATOM), *given[-MOST_ARGUMENTS // 2 :]]
        forward = notation.call(declared.name, given, own_settings(declared, settings))
    return Formulas(
        forward[0],
        tuple(
            None if expression is None else (write(expression, names, notation) or (None,))[0]
            for expression in found.local_derivatives
        ),
    )


def type_formulas(declared: NodeType, output: str) -> Formulas | None:
    """Return what an elementwise type computes, in the names of its own inputs and settings.

    Settings that are real numbers are left open, others are as by default.

    Args:
        declared: the type.
        output: the name of the output.

    Returns:
        The formulas, the forward one empty where it is too long; None where a derivative is, or where they cannot be
        traced: a function may decide by a number.
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
    forward = write(found.forward, names, TEXT)
    parts = [None if part is None else write(part, names, TEXT) for part in found.local_derivatives]
    if any(part is not None and text is None for part, text in zip(found.local_derivatives, parts, strict=True)):
        return None
    return Formulas(forward[0] if forward else "", tuple(text and text[0] for text in parts))


def open_settings(declared: NodeType) -> set[str]:
    """Return the settings that `type_formulas` leaves open."""
    kinds = {parameter.name: declared.annotations.get(parameter.name) for parameter in declared.keyword}
    return {name for name, kind in kinds.items() if float in (kind, *get_args(kind))}


def _key(setting: Open) -> str:
    """Return the name of an open setting in a traced function, where inputs and the output have names too."""
    return f"setting {setting}"


def operands(inputs: Sequence[str], output: str, notation: Notation) -> dict[str, Bound]:
    """Return the texts of what a traced type's functions read, for `write`."""
    known = {text: literal(text) for text in inputs}
    return {"y": (notation.name(output), ATOM)} | {
        f"x{k}": (notation.name(text), ATOM) if (value := known[text]) is None else notation.number(value)
        for k, text in enumerate(inputs)
    }


@lru_cache(maxsize=1024)
def traced(declared: NodeType, settings: Settings, literals: tuple[float | None, ...]) -> Traced:
    """Trace a type's functions.

    Args:
        declared: the type.
        settings: the settings; `Open` stands for one whose value is left open.
        literals: for each input its number where it is a literal, else None. The local derivatives are computed with
            the numbers, so that the derivative of ``x ** 2`` is ``2 * x``; the forward function is shown as it stands.
    """
    nothing = Traced(None, (None,) * len(literals))
    if not declared.is_elementwise:
        return nothing
    recorder = Recorder(np.dtype(np.float64))
    given_settings = {k: recorder.input(_key(value)) if isinstance(value, Open) else value for k, value in settings}
    symbols = [recorder.input(f"x{k}") for k in range(len(literals))]
    known = [
        symbol if literal is None else recorder.constant(literal, "float")
        for symbol, literal in zip(symbols, literals, strict=True)
    ]
    try:
        forward = recorder.lift(trace(recorder, declared.function, symbols, given_settings))
    except CannotTraceError:
        forward = None
    if declared.derivative is None:
        return Traced(forward, nothing.local_derivatives)
    try:
        derivatives = trace_derivatives(recorder, declared.derivative, recorder.input("y"), known, given_settings)
    except CannotTraceError:
        derivatives = nothing.local_derivatives
    return Traced(forward, derivatives)


def write(
    root: Expression,
    names: Mapping[str, Bound],
    notation: Notation,
    known: Mapping[int, Bound] | None = None,
    most: int = MOST_OPERATIONS,
) -> Bound | None:
    """Write an expression out; None where it would be too long to read.

    Args:
        root: the expression.
        names: the texts of the inputs.
        notation: how operations are written.
        known: the texts of expressions within it that have a name of their own, by their identities.
        most: how many operations and operands there may be.
    """
    known = known or {}
    written: dict[int, Bound] = {}
    sizes: dict[int, int] = {}
    for expression in inputs_first([root]):
        key = id(expression)
        if expression is not root and key in known:
            written[key], sizes[key] = known[key], 1
            continue
        # What is used twice is written twice.
        sizes[key] = 1 + sum(sizes[id(argument)] for argument in expression.arguments)
        if sizes[key] > most:
            return None
        written[key] = _write_one(expression, names, notation, written)
    return written[id(root)]


def _write_one(
    expression: Expression, names: Mapping[str, Bound], notation: Notation, written: Mapping[int, Bound]
) -> Bound:
    if expression.operation == "input":
        return names[expression.value]
    if expression.is_constant:
        return (str(expression.value).lower(), ATOM) if expression.kind == BOOL else notation.number(expression.value)
    if expression.operation == "multiply":
        return _write_product(expression, notation, written)
    if expression.operation == "negative" and expression.arguments[0].operation in {"multiply", "divide"}:
        # The sign of a product is that of its first factor, and needs no parentheses.
        text, binding = written[id(expression.arguments[0])]
        return f"-{text}", min(binding, SIGN)
    return apply(notation, expression.operation, [written[id(argument)] for argument in expression.arguments])


def _write_product(product: Expression, notation: Notation, written: Mapping[int, Bound]) -> Bound:
    """Write a product; factors that follow each other and are the same are a power, as in ``3 * x ** 2``."""
    factors = list(_factors(product))
    result: Bound | None = None
    while factors:
        factor = factors.pop(0)
        text, count = written[id(factor)], 1
        while factors and factors[0] is factor:
            factors.pop(0)
            count += 1
        if count > 1:
            text = apply(notation, "pow", [text, (str(count), ATOM)])
        result = text if result is None else apply(notation, "multiply", [result, text])
    assert result is not None  # noqa: S101 (for the type checker: a product has factors)
    return result


def _factors(product: Expression) -> Iterator[Expression]:
    """Yield the factors of a product of products, as long as they stand to the left."""
    rest = []
    while product.operation == "multiply":
        rest.append(product.arguments[1])
        product = product.arguments[0]
    yield product
    yield from reversed(rest)


def apply(notation: Notation, operation: str, parts: Sequence[Bound]) -> Bound:
    """Write an operation on what is written already."""
    return fill(notation, notation.form(operation, len(parts)), parts)


def fill(notation: Notation, form: Form, parts: Sequence[Bound]) -> Bound:
    """Put texts into a form, in parentheses where they bind less tightly than it needs, or a sign follows another."""
    if form.template == "{0}":
        return parts[0]
    texts = []
    for position, ((text, binding), need) in enumerate(zip(parts, form.arguments, strict=True)):
        follows_an_operator = form.binding != ATOM and re.search(rf"[ -]\{{{position}\}}", form.template)
        enclosed = binding < need or (text.startswith("-") and follows_an_operator)
        texts.append(notation.parenthesize(text) if enclosed else text)
    return form.template.format(*texts), form.binding


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
