"""The symbolic array namespace `xp`: the elementwise functions of the array API on formulas of SymPy.

A declared function that is called with it gives the formula of what it computes, with nothing more from its author:
``snake(Namespace(), sympy.Symbol("x", real=True), frequency=2.0)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean, BooleanAtom, BooleanFunction

from graphrun.check.symbolic.constants import exact
from graphrun.declare.trace import CannotTraceError


class DecidesError(CannotTraceError):
    """A function decides by a condition that its formulas leave open.

    Attributes:
        condition: the condition.
    """

    def __init__(self, condition: Boolean) -> None:
        super().__init__("it decides by the value of a number; xp.where works on every engine")
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


def _binary(name: str) -> Callable[[Number, Any], Number]:
    return lambda self, other: self.namespace.call(name, self, other)


def _reflected(name: str) -> Callable[[Number, Any], Number]:
    return lambda self, other: self.namespace.call(name, other, self)


def _unary(name: str) -> Callable[[Number], Number]:
    return lambda self: self.namespace.call(name, self)


class Number:
    """A formula where a declared function expects a number; SymPy takes it as the expression that it holds.

    Attributes:
        expression: a SymPy expression, or a condition, which counts as 0 or 1.
        namespace: the namespace that it belongs to.
    """

    __hash__ = object.__hash__
    shape: tuple[int, ...] = ()
    ndim = 0
    size = 1

    def __init__(self, namespace: Namespace, expression: Any) -> None:
        self.namespace = namespace
        self.expression = expression

    def __repr__(self) -> str:
        return str(self.expression)

    def _sympy_(self) -> Any:
        return self.expression

    def __array_ufunc__(self, ufunc: np.ufunc, _method: str, *values: Any, **_: Any) -> Number:
        # NumPy's numbers do arithmetic by ufuncs; a call of one that is no operator is a mistake.
        name = {"power": "pow", "true_divide": "divide"}.get(ufunc.__name__, ufunc.__name__)
        if name not in OPERATORS:
            raise CannotTraceError(f"it calls numpy.{ufunc.__name__}; xp.{ufunc.__name__} works on every engine")
        return self.namespace.call(name, *values)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of such numbers."""
        return np.dtype(bool if is_condition(self.expression) else float)

    def __bool__(self) -> bool:
        condition = self.condition
        if condition in (sympy.true, sympy.false):
            return bool(condition)
        if condition in self.namespace.assumed:
            return bool(self.namespace.assumed[condition])
        raise DecidesError(condition)

    @property
    def condition(self) -> Boolean:
        """Whether it is not 0."""
        return self.expression if is_condition(self.expression) else sympy.Ne(self.expression, 0)

    @property
    def number(self) -> sympy.Expr:
        """The expression; 0 or 1 for a condition."""
        if is_condition(self.expression):
            return piecewise(self.expression, sympy.Integer(1), sympy.Integer(0))
        return self.expression

    def _no_number(self, *_: Any) -> Any:
        raise CannotTraceError("it calls something else than the functions of xp with a number")

    __float__ = __int__ = __index__ = __complex__ = __array__ = __iter__ = __len__ = __getitem__ = _no_number

    def astype(self, dtype: Any, **_: Any) -> Number:
        """Return the number as one of another dtype."""
        return self.namespace.astype(self, dtype)

    __add__, __radd__ = _binary("add"), _reflected("add")
    __sub__, __rsub__ = _binary("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _binary("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _binary("divide"), _reflected("divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _binary("remainder"), _reflected("remainder")
    __pow__, __rpow__ = _binary("pow"), _reflected("pow")
    __and__, __rand__ = _binary("logical_and"), _reflected("logical_and")
    __or__, __ror__ = _binary("logical_or"), _reflected("logical_or")
    __xor__, __rxor__ = _binary("logical_xor"), _reflected("logical_xor")
    __lt__, __le__ = _binary("less"), _binary("less_equal")
    __gt__, __ge__ = _binary("greater"), _binary("greater_equal")
    __eq__, __ne__ = _binary("equal"), _binary("not_equal")  # type: ignore[assignment]
    __neg__, __abs__, __invert__ = _unary("negative"), _unary("abs"), _unary("logical_not")

    def __pos__(self) -> Number:
        return self


OPERATORS = {
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "remainder",
    "pow",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
}

Operation = Callable[..., Any]

FUNCTIONS: dict[str, Operation] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "floor_divide": lambda x, y: sympy.floor(x / y),
    "remainder": sympy.Mod,
    "pow": sympy.Pow,
    "negative": lambda x: -x,
    "positive": lambda x: x,
    "abs": sympy.Abs,
    "sign": sympy.sign,
    "square": lambda x: x**2,
    "reciprocal": lambda x: 1 / x,
    "sqrt": sympy.sqrt,
    "hypot": lambda x, y: sympy.sqrt(x**2 + y**2),
    "exp": sympy.exp,
    "exp2": lambda x: 2**x,
    "expm1": lambda x: sympy.exp(x) - 1,
    "log": sympy.log,
    "log1p": lambda x: sympy.log(1 + x),
    "log2": lambda x: sympy.log(x) / sympy.log(2),
    "log10": lambda x: sympy.log(x) / sympy.log(10),
    "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    "floor": sympy.floor,
    "ceil": sympy.ceiling,
    "trunc": lambda x: sympy.sign(x) * sympy.floor(sympy.Abs(x)),
    "round": Round,
    "maximum": sympy.Max,
    "minimum": sympy.Min,
    "copysign": lambda x, y: piecewise(sympy.Ge(y, 0), sympy.Abs(x), -sympy.Abs(x)),
    "isnan": lambda _: sympy.false,
    "isinf": lambda _: sympy.false,
    "isfinite": lambda _: sympy.true,
    "equal": sympy.Eq,
    "not_equal": sympy.Ne,
    "less": sympy.Lt,
    "less_equal": sympy.Le,
    "greater": sympy.Gt,
    "greater_equal": sympy.Ge,
}
FUNCTIONS |= {
    name: getattr(sympy, name)
    for name in (
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "atan2",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
    )
}
LOGICAL: dict[str, Operation] = {
    "logical_and": sympy.And,
    "logical_or": sympy.Or,
    "logical_xor": sympy.Xor,
    "logical_not": sympy.Not,
}


class Namespace:
    """The array namespace of formulas.

    Its functions take numbers, SymPy expressions and `Number`, and return `Number`.

    Args:
        assumed: the conditions that a function may decide by, and whether they hold.
    """

    pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
    float32, float64, finfo = np.float32, np.float64, np.finfo

    def __init__(self, assumed: Mapping[Boolean, bool] | None = None) -> None:
        self.assumed = dict(assumed or {})

    def number(self, value: Any) -> Number:
        """Take a number, a SymPy expression or a condition."""
        if isinstance(value, Number):
            return value
        if isinstance(value, sympy.Basic):
            return Number(self, value)
        if isinstance(value, np.ndarray | np.generic) and value.ndim == 0:
            value = value.item()
        if isinstance(value, bool):
            return Number(self, sympy.true if value else sympy.false)
        if isinstance(value, int | float):
            return Number(self, exact(value))
        raise CannotTraceError(f"it computes with a {type(value).__name__}, which is no number")

    def call(self, name: str, *values: Any) -> Number:
        """Return what an elementary function gives."""
        numbers = [self.number(value) for value in values]
        if name in LOGICAL:
            return Number(self, LOGICAL[name](*(number.condition for number in numbers)))
        return Number(self, FUNCTIONS[name](*(number.number for number in numbers)))

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS and name not in LOGICAL:
            raise CannotTraceError(f"it calls xp.{name}, which formulas have not")
        return lambda *values, **_: self.call(name, *values)

    def erf(self, x: Any) -> Number:
        """Return the error function, which the array API has not."""
        return Number(self, sympy.erf(self.number(x).number))

    def erfc(self, x: Any) -> Number:
        """Return the complement of the error function, which the array API has not."""
        return Number(self, sympy.erfc(self.number(x).number))

    def where(self, condition: Any, x: Any, y: Any) -> Number:
        """Choose between two numbers."""
        return Number(self, piecewise(self.number(condition).condition, self.number(x).number, self.number(y).number))

    def clip(self, x: Any, min: Any = None, max: Any = None) -> Number:  # noqa: A002 (the array API's names)
        """Keep x between two bounds."""
        bounded = self.number(x) if min is None else self.call("maximum", x, min)
        return bounded if max is None else self.call("minimum", bounded, max)

    def astype(self, x: Any, dtype: Any, **_: Any) -> Number:
        """Return a number as one of another dtype."""
        number = self.number(x)
        kind = np.dtype(dtype).kind
        if kind not in "bf":
            raise CannotTraceError(f"it casts a number to {np.dtype(dtype)}")
        return Number(self, number.condition if kind == "b" else number.number)

    def asarray(self, x: Any, dtype: Any = None, **_: Any) -> Number:
        """Take a number as one of a dtype."""
        return self.number(x) if dtype is None else self.astype(x, dtype)

    def zeros_like(self, x: Any, **_: Any) -> Number:
        """Return 0."""
        return self.full_like(x, 0)

    def ones_like(self, x: Any, **_: Any) -> Number:
        """Return 1."""
        return self.full_like(x, 1)

    def full_like(self, _x: Any, value: Any, **_: Any) -> Number:
        """Return a number."""
        return self.number(value)


def read_forward(
    function: Callable[..., Any], xp: Namespace, inputs: Sequence[sympy.Expr], settings: Mapping[str, Any]
) -> sympy.Expr:
    """Return the formula of a forward function.

    Args:
        function: ``(xp, *inputs, *, settings)``.
        xp: the namespace.
        inputs: the formulas of its inputs.
        settings: numbers, and SymPy expressions for those that are left open.

    Raises:
        CannotTraceError: it does with a number what cannot be written down.
    """
    return xp.number(_call(function, xp, inputs, settings)).number


def read_derivatives(
    function: Callable[..., Any],
    xp: Namespace,
    output: sympy.Expr,
    inputs: Sequence[sympy.Expr],
    settings: Mapping[str, Any],
) -> tuple[sympy.Expr | None, ...]:
    """Return the formulas of local derivatives; None where a derivative is declared to be none.

    Raises:
        CannotTraceError: they cannot be written down, or are not one for each input.
    """
    given = _call(function, xp, [output, *inputs], settings)
    if not isinstance(given, tuple | list) or len(given) != len(inputs):
        what = f"{len(given)} derivatives" if isinstance(given, tuple | list) else f"a {type(given).__name__}"
        raise CannotTraceError(f"its local_derivatives returns {what}, not a tuple of {len(inputs)}")
    return tuple(None if entry is None else xp.number(entry).number for entry in given)


def _call(function: Callable[..., Any], xp: Namespace, values: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    known = {name: xp.number(value) if isinstance(value, sympy.Basic) else value for name, value in settings.items()}
    try:
        return function(xp, *map(xp.number, values), **known)
    except CannotTraceError:
        raise
    except (Exception, SystemExit) as error:
        raise CannotTraceError(f"{type(error).__name__}: {error}") from error
