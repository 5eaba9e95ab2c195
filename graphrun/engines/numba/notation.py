"""What Numba compiles: functions of `math` where it has them, and `select`, which computes both, for a cheap choice."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphrun.declare.notation import (
    AS_IT_IS,
    ATOM,
    CHOICE,
    NOT,
    OPERATORS,
    POWER,
    Bound,
    Form,
    Forms,
    Notation,
    call,
    signed,
)
from graphrun.declare.operations import BEYOND_NUMPY, EXPONENTIAL, TRIGONOMETRIC, UNARY
from graphrun.declare.trace import BOOL, FLOAT, Expression, inputs_first

SMALL_POWERS = (2, 3, 4)

SLOW = {*EXPONENTIAL, *TRIGONOMETRIC, *BEYOND_NUMPY, "logaddexp"} - {"sqrt"}

# Numba's math.floor and its like give integers, and its % and // differ from NumPy's at infinities.
FUNCTIONS = {name: f"math.{name}" for name in (*UNARY, *BEYOND_NUMPY, "atan2", "copysign")} | {
    "round": "np.rint",
    "sign": "np.sign",
    "floor": "np.floor",
    "ceil": "np.ceil",
    "trunc": "np.trunc",
    "logaddexp": "np.logaddexp",
    "maximum": "np.maximum",
    "minimum": "np.minimum",
    "remainder": "np.remainder",
    "abs": "abs",
    "hypot": "hypot",
    "where": "select",
}


class Literals:
    """Numbers of a dtype as Numba takes them: those of float32 by name, for a literal would be one of float64."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.single = dtype == np.float32
        self._names: dict[str, str] = {}

    def __call__(self, value: float) -> str:
        """Return a number of the graph's dtype."""
        return self._names.setdefault(number_text(value), f"k{len(self._names)}") if self.single else number_text(value)

    def header(self) -> Iterable[str]:
        """Return the lines that define the names."""
        return (f"{name} = np.float32({text})" for text, name in self._names.items())


def notation(literal: Literals) -> Notation:
    """Return the notation; `literal` writes numbers of the graph's dtype."""

    def cast(x: Expression) -> Form:
        return _cast(x, literal(1.0), literal(0.0))

    def _cast(x: Expression, one: str = "1.0", zero: str = "0.0") -> Form:
        if x.kind == BOOL:
            return Form(f"select({{0}}, {one}, {zero})", ATOM, (CHOICE,))
        return call("np.float32", 1) if literal.single else AS_IT_IS

    def number(value: float, kind: str) -> Bound:
        return signed(literal(value) if kind == FLOAT else number_text(value))

    floor_divide = "np.float32(floor_divide({0}, {1}))" if literal.single else "floor_divide({0}, {1})"
    forms: Forms = {
        **OPERATORS,
        "floor_divide": Form(floor_divide, ATOM, (CHOICE, CHOICE)),
        "cast": cast,
        "number": _cast,
        "pow": _power,
        "where": _where,
    }
    functions = FUNCTIONS if literal.single else FUNCTIONS | {"tanh": "tanh"}
    return Notation(forms=forms, functions=functions, number=number)


def _where(_condition: Expression, *either: Expression) -> Form | None:
    """Write a branch where one of the two calls a function, which takes longer than a branch that is guessed wrong."""
    slow = any(e.operation in SLOW for e in inputs_first(either))
    return Form("({1} if {0} else {2})", ATOM, (NOT, NOT, NOT)) if slow else None


def _power(_base: Expression, exponent: Expression) -> Form:
    if exponent.is_constant and exponent.value in SMALL_POWERS:
        # Numba multiplies where the exponent is a whole literal; a call of pow takes ten times as long.
        return Form(f"{{0}} ** {exponent.value:.0f}", POWER, (POWER + 1, CHOICE))
    return OPERATORS["pow"]


def number_text(value: float) -> str:
    """Return a number as Python's source text; small whole exponents and factors stay recognizable as such."""
    if math.isnan(value):
        return "np.nan"
    if math.isinf(value):
        return "np.inf" if value > 0 else "-np.inf"
    return repr(float(value))
