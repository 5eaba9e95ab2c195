"""Traced functions as formulas of SymPy: the trace with nothing computed in floating point, each operation lowered.

A declared function that is called with the namespace gives the formula of what it computes, with nothing more from its
author: ``snake(Namespace(), sympy.Symbol("x", real=True), frequency=2.0)``.

Numbers of a program are the numbers that they stand for: 0.01 is 1/100, 1.4426950408889634 is 1/log(2). A float64 has
rounded what its author meant. It is read as a short decimal number, a simple fraction, or a simple multiple of a
constant that functions are made of, where one of these rounds to it; else as the binary fraction that it is. A number
taken at random is one of those multiples by accident with a chance of about 1e-11.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean, BooleanAtom, BooleanFunction

from graphrun.declare import trace
from graphrun.declare.nodetype import NodeType
from graphrun.declare.operations import LOGICAL
from graphrun.declare.trace import BOOL, DECIDES, FLOAT, CannotTraceError, Expression, inputs_first, trace_derivatives

DECIMALS = 12
"""Significant digits up to which a decimal number is what its author wrote; float64 has more than 15."""

LARGEST_DENOMINATOR = 1000
LARGEST_FACTOR = 64
"""The largest numerator and denominator in a multiple of a constant."""

UNITS_IN_THE_LAST_PLACE = 3
"""How much a constant may be off that its author computed from others, as in ``2 / math.sqrt(math.pi)``."""

CONSTANTS = {
    float(constant): constant
    for one in (sympy.pi, sympy.sqrt(sympy.pi), sympy.sqrt(2 * sympy.pi), sympy.E, sympy.log(2), sympy.log(10))
    for constant in (one, 1 / one)
} | {float(constant): constant for constant in (sympy.sqrt(2), sympy.sqrt(3), sympy.pi**2)}


@lru_cache(maxsize=4096)
def exact(value: float) -> sympy.Expr:
    """Return the number that a number of Python stands for."""
    if isinstance(value, int):
        return sympy.Integer(value)
    if not math.isfinite(value):
        return sympy.nan if math.isnan(value) else sympy.oo if value > 0 else -sympy.oo
    margin = UNITS_IN_THE_LAST_PLACE * math.ulp(value)
    decimal = Fraction(f"{value:.{DECIMALS}g}")
    simple = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    for fraction in (simple, decimal):
        if abs(fraction - Fraction(value)) <= margin:
            return sympy.Rational(fraction.numerator, fraction.denominator)
    for number, constant in CONSTANTS.items():
        factor = Fraction(value / number).limit_denominator(LARGEST_FACTOR)
        if 0 < abs(factor.numerator) <= LARGEST_FACTOR and abs(float(factor) * number - value) <= margin:
            return sympy.Rational(factor.numerator, factor.denominator) * constant
    return sympy.Rational(*value.as_integer_ratio())


class DecidesError(CannotTraceError):
    """A function decides by a condition that its formulas leave open."""

    def __init__(self, condition: Boolean) -> None:
        super().__init__(DECIDES)
        self.condition = condition


class Round(sympy.Function):  # type: ignore[misc]
    """Nearest integer; of two as near, the even one."""

    @classmethod
    def eval(cls, x: sympy.Expr) -> sympy.Expr | None:
        """Round numbers, and what is known to be a whole one."""
        if x.is_integer:
            return x
        if x.is_Number and x.is_finite:
            return sympy.Integer(round(x))
        return None

    def _latex(self, printer: Any) -> str:
        return rf"\operatorname{{round}}\left({printer._print(self.args[0])}\right)"


def is_condition(expression: Any) -> bool:
    """Whether an expression is true or false; SymPy's own class of those has every symbol in it."""
    return isinstance(expression, Relational | BooleanFunction | BooleanAtom)


def piecewise(condition: Boolean, x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    """Return x where a condition holds, else y."""
    if condition in (sympy.true, sympy.false):
        return x if condition else y
    if x == y:
        return x
    others = y.args if isinstance(y, sympy.Piecewise) else [(y, True)]
    # Unevaluated: SymPy would solve every condition for its variable.
    return sympy.Piecewise((x, condition), *others, evaluate=False)


class Number(Expression):
    """A traced number, which SymPy takes as the formula that it stands for."""

    __slots__ = ()

    def _sympy_(self) -> Any:
        return lower(self)

    @property
    def namespace(self) -> trace.Namespace:
        """The array namespace that it belongs to."""
        return trace.Namespace(self.recorder)


class FormulaRecorder(trace.Recorder):
    """Makes expressions as the functions have them: what is known stays exact, and symbols of SymPy are inputs.

    `assumed` says of the conditions that a function may decide by whether they hold.
    """

    made = Number
    others = "formulas have not"

    def __init__(self, assumed: Mapping[Boolean, bool] | None = None) -> None:
        super().__init__(np.dtype(np.float64), is_exact=True)
        self.assumed = dict(assumed or {})

    def lift(self, value: Any) -> Expression:
        """Take a number, a SymPy expression or a condition."""
        if isinstance(value, sympy.Basic):
            return Number(self, "input", (), BOOL if is_condition(value) else FLOAT, value)
        return super().lift(value)

    def cast(self, value: Any, dtype: Any = None) -> Expression:
        """Return a number as one of another dtype, of whatever precision."""
        kind = np.dtype(dtype).kind
        return super().cast(value, self.dtype if kind == "f" else dtype)

    def decide(self, expression: Expression) -> bool:
        """Return what is assumed of a condition; raises `DecidesError` where it is open."""
        condition = _condition(lower(expression))
        if condition in (sympy.true, sympy.false):
            return bool(condition)
        if condition in self.assumed:
            return bool(self.assumed[condition])
        raise DecidesError(condition)

    def _simpler(self, _operation: str, _arguments: tuple[Expression, ...]) -> None:
        """Leave everything to SymPy, which computes exactly."""


class Namespace(trace.Namespace):
    """The array namespace of formulas: its functions take numbers and SymPy expressions, and return `Number`."""

    def __init__(self) -> None:
        super().__init__(FormulaRecorder())

    def number(self, value: Any) -> Expression:
        """Take a number, a SymPy expression or a condition."""
        return self._recorder.lift(value)


def _compared(relation: Callable[..., Any]) -> Callable[..., Any]:
    def compare(x: sympy.Expr, y: sympy.Expr) -> Any:
        # A formula has values that are finite, whatever SymPy can tell of it.
        if x.is_infinite or y.is_infinite:
            x, y = (0 if value.free_symbols else value for value in (x, y))
        return relation(x, y)

    return compare


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "floor_divide": lambda x, y: sympy.floor(x / y),
    "remainder": sympy.Mod,
    "pow": sympy.Pow,
    "negative": lambda x: -x,
    "abs": sympy.Abs,
    "hypot": lambda x, y: sympy.sqrt(x**2 + y**2),
    "expm1": lambda x: sympy.exp(x) - 1,
    "log1p": lambda x: sympy.log(1 + x),
    "log2": lambda x: sympy.log(x) / sympy.log(2),
    "log10": lambda x: sympy.log(x) / sympy.log(10),
    "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    "lgamma": sympy.loggamma,
    "ceil": sympy.ceiling,
    "trunc": lambda x: sympy.sign(x) * sympy.floor(sympy.Abs(x)),
    "round": Round,
    "maximum": sympy.Max,
    "minimum": sympy.Min,
    "copysign": lambda x, y: piecewise(sympy.Ge(y, 0), sympy.Abs(x), -sympy.Abs(x)),
    "equal": _compared(sympy.Eq),
    "not_equal": _compared(sympy.Ne),
    "less": _compared(sympy.Lt),
    "less_equal": _compared(sympy.Le),
    "greater": _compared(sympy.Gt),
    "greater_equal": _compared(sympy.Ge),
    "cast": lambda x: x,
    "number": lambda x: x,
    "logical_and": sympy.And,
    "logical_or": sympy.Or,
    "logical_xor": sympy.Xor,
    "logical_not": sympy.Not,
}
"""What the operations are in SymPy; the others are functions of the same name there."""


def lower(root: Expression) -> Any:
    """Return the formula of an expression; of a condition, a condition."""
    done: dict[int, Any] = {}
    for expression in inputs_first([root]):
        done[id(expression)] = _lowered(expression, [done[id(argument)] for argument in expression.arguments])
    return done[id(root)]


def formula_of(recorder: FormulaRecorder, value: Any) -> sympy.Expr:
    """Return the formula of a number; 0 or 1 for a condition."""
    return _number(lower(recorder.lift(value)))


def read(
    recorder: FormulaRecorder, function: Callable[..., Any], inputs: Sequence[Any], settings: Mapping[str, Any]
) -> sympy.Expr:
    """Return the formula of what a declared function computes; settings that are left open are SymPy expressions.

    Raises:
        CannotTraceError: it does with a number what cannot be written down.
    """
    lifted = [recorder.lift(value) for value in inputs]
    return formula_of(recorder, trace.trace(recorder, function, lifted, _open(recorder, settings)))


def read_derivatives(
    recorder: FormulaRecorder,
    declared: NodeType,
    output: sympy.Expr,
    inputs: Sequence[sympy.Expr],
    settings: Mapping[str, Any],
) -> tuple[sympy.Expr | None, ...]:
    """Return the formulas of a type's local derivatives; None where one is declared to be none.

    Raises:
        CannotTraceError: they cannot be written down, or are not one for each input.
    """
    if declared.derivative is None:
        return (None,) * len(inputs)
    result, *lifted = map(recorder.lift, (output, *inputs))
    given = trace_derivatives(recorder, declared.derivative, result, lifted, _open(recorder, settings))
    return tuple(None if part is None else formula_of(recorder, part) for part in given)


def _open(recorder: FormulaRecorder, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: recorder.lift(value) if isinstance(value, sympy.Basic) else value for name, value in settings.items()}


def _lowered(expression: Expression, parts: Sequence[Any]) -> Any:
    operation = expression.operation
    if operation == "input":
        return expression.value
    if operation == "constant":
        value = expression.value
        return exact(value) if expression.kind != BOOL else sympy.true if value else sympy.false
    if operation in LOGICAL:
        return FUNCTIONS[operation](*map(_condition, parts))
    if operation == "where":
        return piecewise(_condition(parts[0]), *map(_number, parts[1:]))
    return (FUNCTIONS.get(operation) or getattr(sympy, operation))(*map(_number, parts))


def _condition(value: Any) -> Boolean:
    return value if is_condition(value) else sympy.Ne(value, 0)


def _number(value: Any) -> sympy.Expr:
    return piecewise(value, sympy.Integer(1), sympy.Integer(0)) if is_condition(value) else value
