"""Expressions → the text of a program, for Numba or for a reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from graphrun.declare.operations import (
    ATOM,
    BEYOND_NUMPY,
    CHOICE,
    NOT,
    OPERATORS,
    POWER,
    SIGN,
    UNARY,
    Form,
    call,
)
from graphrun.declare.trace import BOOL, FLOAT, Expression, count_uses, inputs_first

SMALL_POWERS = (2, 3, 4)

DEEPEST = 50
"""Expressions that are nested deeper are cut in two; Python's parser takes 200 levels of parentheses."""


class Notation(Protocol):
    """How operations and constants are written."""

    def form(self, expression: Expression) -> Form:
        """Return how an operation is written."""

    def constant(self, expression: Expression) -> tuple[str, int]:
        """Return the text of a known number, and how tightly it binds."""


class NumbaNotation:
    """What Numba compiles: functions of `math` where it has them, and `select`, which computes both of its values.

    Args:
        dtype: the graph's dtype.
    """

    # Numba's math.floor and its like give integers, and its % and // differ from NumPy's at infinities.
    FUNCTIONS = {name: f"math.{name}" for name in (*UNARY, *BEYOND_NUMPY)} | {
        "abs": "abs",
        "round": "np.rint",
        "sign": "np.sign",
        "floor": "np.floor",
        "ceil": "np.ceil",
        "trunc": "np.trunc",
        "atan2": "math.atan2",
        "hypot": "math.hypot",
        "copysign": "math.copysign",
        "logaddexp": "np.logaddexp",
        "maximum": "np.maximum",
        "minimum": "np.minimum",
        "remainder": "np.remainder",
        "floor_divide": "floor_divide",
        "where": "select",
    }

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.single = dtype == np.float32
        self.constants: dict[str, str] = {}
        """The constants of float32 by name, for a literal would be one of float64."""

    def form(self, expression: Expression) -> Form:
        """Return how an operation is written."""
        operation, arguments = expression.operation, expression.arguments
        if operation == "logical_not":
            return Form("not {0}", NOT, (NOT,))
        if operation in {"cast", "number"}:
            one = self.literal(1.0) if operation == "cast" else "1.0"
            zero = self.literal(0.0) if operation == "cast" else "0.0"
            if arguments[0].kind == BOOL:
                return Form(f"select({{0}}, {one}, {zero})", ATOM, (CHOICE,))
            return call("np.float32", 1) if self.single else Form("{0}", CHOICE, (CHOICE,))
        if operation == "pow" and arguments[1].is_constant and arguments[1].value in SMALL_POWERS:
            # Numba multiplies where the exponent is a whole literal; a call of pow takes ten times as long.
            return Form(f"{{0}} ** {arguments[1].value:.0f}", POWER, (POWER + 1, CHOICE))
        if operation == "floor_divide" and self.single:
            return Form("np.float32(floor_divide({0}, {1}))", ATOM, (CHOICE, CHOICE))
        if operation in OPERATORS:
            return OPERATORS[operation]
        return call(self.FUNCTIONS[operation], len(arguments))

    def constant(self, expression: Expression) -> tuple[str, int]:
        """Return the text of a known number."""
        if expression.kind == BOOL:
            return str(expression.value), ATOM
        text = self.literal(expression.value) if expression.kind == FLOAT else number_text(expression.value)
        return text, SIGN if text.startswith("-") else ATOM

    def literal(self, value: float) -> str:
        """Return a number of the graph's dtype."""
        if not self.single:
            return number_text(value)
        return self.constants.setdefault(number_text(value), f"k{len(self.constants)}")

    def header(self) -> Iterable[str]:
        """Return the lines that define the constants."""
        return (f"{name} = np.float32({text})" for text, name in self.constants.items())


class PythonNotation:
    """What a reader writes in plain Python, with functions of `math`.

    Attributes:
        used: the functions that the text calls.
    """

    FUNCTIONS: ClassVar = {"maximum": "max", "minimum": "min", "abs": "abs", "round": "rint"}

    def __init__(self) -> None:
        self.used: set[str] = set()

    def form(self, expression: Expression) -> Form:
        """Return how an operation is written."""
        operation, arguments = expression.operation, expression.arguments
        if operation == "where":
            return Form("{1} if {0} else {2}", CHOICE, (NOT, NOT, CHOICE))
        if operation == "logical_not":
            return Form("not {0}", NOT, (NOT,))
        if operation == "remainder":
            return Form("{0} % {1}", OPERATORS["divide"].binding, OPERATORS["divide"].arguments)
        if operation == "floor_divide":
            return Form("{0} // {1}", OPERATORS["divide"].binding, OPERATORS["divide"].arguments)
        if operation in {"cast", "number"}:
            return call("float", 1) if arguments[0].kind == BOOL else Form("{0}", CHOICE, (CHOICE,))
        if operation in OPERATORS and (operation != "pow" or _stays_real(*arguments)):
            return OPERATORS[operation]
        name = self.FUNCTIONS.get(operation, operation)
        self.used.add(name)
        return call(name, len(arguments))

    def constant(self, expression: Expression) -> tuple[str, int]:
        """Return the text of a known number."""
        value = expression.value
        if expression.kind == BOOL:
            return str(value), ATOM
        return self.number(value)

    def number(self, value: float) -> tuple[str, int]:
        """Return the text of a number, and how tightly it binds."""
        if abs(value) == math.pi:
            self.used.add("pi")
            return ("pi", ATOM) if value > 0 else ("-pi", SIGN)
        if math.isfinite(value):
            # -0 would be a whole number, which has no sign.
            short = (
                f"{value:g}" if value == float(f"{value:g}") and (value or math.copysign(1, value) > 0) else repr(value)
            )
            return short, SIGN if short.startswith("-") else ATOM
        name = "nan" if math.isnan(value) else "inf"
        self.used.add(name)
        return (f"-{name}", SIGN) if value < 0 else (name, ATOM)


def _stays_real(base: Expression, exponent: Expression) -> bool:
    """Whether Python's ** gives no complex number, as it does of a negative base and an exponent that is not whole."""
    whole = exponent.is_constant and float(exponent.value).is_integer()
    return whole or (base.is_constant and base.value >= 0)


def number_text(value: float) -> str:
    """Return a number as Python's source text; small whole exponents and factors stay recognizable as such."""
    if math.isnan(value):
        return "np.nan"
    if math.isinf(value):
        return "np.inf" if value > 0 else "-np.inf"
    return repr(float(value))


class Writer:
    """Writes expressions as lines: a name for what is used more than once, everything else where it is used.

    Args:
        notation: how operations are written.
        add: takes a line.
        name: returns a new name for an intermediate number.
    """

    def __init__(self, notation: Notation, add: Callable[[str], None], name: Callable[[], str]) -> None:
        self.notation = notation
        self.add = add
        self.name = name

    def write(
        self,
        roots: Sequence[Expression],
        names: Mapping[str, str],
        known: Mapping[Expression, str] = MappingProxyType({}),
    ) -> list[str]:
        """Write expressions, and return the text of each.

        Args:
            roots: the expressions.
            names: the texts of the inputs, which bind as tightly as names do.
            known: the names of expressions that were written before.
        """
        uses = count_uses(roots, known)
        written: dict[int, tuple[str, int]] = {}
        depths: dict[int, int] = {}
        for expression in inputs_first(roots, known):
            if expression in known:
                written[id(expression)], depths[id(expression)] = (known[expression], ATOM), 1
                continue
            if expression.operation == "input":
                found = names[expression.value], ATOM
            elif expression.is_constant:
                found = self.notation.constant(expression)
            else:
                found = self._operation(expression, [written[id(argument)] for argument in expression.arguments])
            depth = 1 + max((depths[id(argument)] for argument in expression.arguments), default=0)
            if expression.arguments and (uses[id(expression)] > 1 or depth > DEEPEST):
                if not found[0].isidentifier():
                    name = self.name()
                    self.add(f"{name} = {found[0]}")
                    found = name, ATOM
                depth = 1
            written[id(expression)], depths[id(expression)] = found, depth
        return [written[id(root)][0] for root in roots]

    def _operation(self, expression: Expression, parts: Sequence[tuple[str, int]]) -> tuple[str, int]:
        """Return an operation on what is written already."""
        form = self.notation.form(expression)
        if form.template == "{0}":
            return parts[0]
        texts = [f"({t})" if b < need else t for (t, b), need in zip(parts, form.arguments, strict=True)]
        return form.template.format(*texts), form.binding
