"""Tracing: a declared function is called once with symbols for numbers, and what it computes is written down.

`xp` is bound to a namespace that records. Settings are known, so a function's `if` on them is decided and its loops are
unrolled; what stays is one expression of elementary operations for each number that it returns. That is the function
itself: ready to be written out in another language, without the calls that a compiler would take long over, or to be
lowered to what an algebra system works on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from graphrun.declare.operations import COMPARISONS, FOLD, FORMULAS, LOGICAL, OF_UFUNCS

FLOAT, WEAK, BOOL = "float", "weak", "bool"
"""Kinds: a number of the graph's dtype; one of float64 that yields to it, as Python's do in NumPy; a truth value."""

DECIDES = "it decides by the value of a number; xp.where works on every engine"
"""Why a function cannot be traced that takes a number for true or false."""


class CannotTraceError(TypeError):
    """A function does with a number what cannot be written down as arithmetic."""


class Expression(NDArrayOperatorsMixin):
    """A number that is not known yet: an operation on others, an input, or a constant.

    Attributes:
        operation: a name of `operations`, or ``input`` or ``constant``.
        arguments: what it is applied to.
        kind: `FLOAT`, `WEAK` or `BOOL`.
        value: the number of a constant, the name of an input.
    """

    __slots__ = ("arguments", "kind", "operation", "recorder", "value")
    __hash__ = object.__hash__
    shape = ()
    ndim = 0
    size = 1

    def __init__(
        self, recorder: Recorder, operation: str, arguments: tuple[Expression, ...], kind: str, value: Any = None
    ) -> None:
        self.recorder = recorder
        self.operation = operation
        self.arguments = arguments
        self.kind = kind
        self.value = value

    def __repr__(self) -> str:
        if self.operation in {"input", "constant"}:
            return str(self.value)
        return f"{self.operation}({', '.join(map(repr, self.arguments))})"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the number."""
        return np.dtype(bool) if self.kind == BOOL else self.recorder.dtype

    @property
    def is_constant(self) -> bool:
        """Whether its number is known."""
        return self.operation == "constant"

    def __bool__(self) -> bool:
        return bool(self.value) if self.is_constant else self.recorder.decide(self)

    def __array_ufunc__(self, ufunc: np.ufunc, _method: str, *values: Any, **_: Any) -> Expression:
        # NumPy's numbers do arithmetic by ufuncs; a call of one that is no operator is a mistake.
        name = ufunc.__name__
        if name not in OF_UFUNCS:
            raise CannotTraceError(f"it calls numpy.{name}; xp.{name} works on every engine")
        return self.recorder.make(OF_UFUNCS[name], *values)

    def _no_number(self, *_: Any) -> NoReturn:
        raise CannotTraceError("it calls something else than the functions of xp with a number")

    __float__ = __int__ = __index__ = __complex__ = __array__ = __iter__ = __len__ = __getitem__ = _no_number

    def astype(self, dtype: Any, **_: Any) -> Expression:
        """Return the number as one of another dtype."""
        return self.recorder.cast(self, dtype)

    def __neg__(self) -> Expression:
        return self.recorder.make("negative", self)

    def __abs__(self) -> Expression:
        return self.recorder.make("abs", self)

    def __invert__(self) -> Expression:
        return self.recorder.make("logical_not", self)

    def __pos__(self) -> Expression:
        return self


class Recorder:
    """Makes expressions of a dtype, each only once, and simpler ones where the number is exactly the same."""

    made: type[Expression] = Expression
    """What it makes."""

    others = "compiled code of numbers has not"
    """What is to be said of a function of `xp` that is no operation."""

    def __init__(self, dtype: np.dtype[Any], *, is_exact: bool = False) -> None:
        self.dtype = dtype
        self.is_exact = is_exact
        self._made: dict[Any, Expression] = {}

    def input(self, name: str, kind: str = FLOAT) -> Expression:
        """Return an unknown number by its name."""
        return self._once("input", (), kind, name)

    def inputs(self, known: Sequence[float | None]) -> list[Expression]:
        """Return the numbers ``x0``, ``x1``, ...; those that are known as what they are."""
        return [
            self.input(f"x{k}") if number is None else self.constant(number, FLOAT) for k, number in enumerate(known)
        ]

    def constant(self, value: Any, kind: str = WEAK) -> Expression:
        """Return a known number."""
        if isinstance(value, bool | np.bool_):
            return self._once("constant", (), BOOL, bool(value))
        return self._once("constant", (), kind, float(value))

    def lift(self, value: Any) -> Expression:
        """Take a number of Python's or NumPy's as an expression."""
        if isinstance(value, Expression):
            return value
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if isinstance(value, bool | int | float | np.bool_):
            return self.constant(value)
        if isinstance(value, np.integer | np.floating):
            return self.constant(value, FLOAT)
        raise CannotTraceError(f"it computes with a {type(value).__name__}, which is no number")

    def decide(self, expression: Expression) -> bool:
        """Return whether a function that decides by a number goes on as if it were true."""
        raise CannotTraceError(DECIDES)

    def cast(self, value: Any, dtype: Any = None) -> Expression:
        """Return a number as one of a dtype: the graph's, or truth values as 0 and 1."""
        given = self.lift(value)
        wanted = self.dtype if dtype is None else np.dtype(dtype)
        if wanted == np.dtype(bool):
            return given if given.kind == BOOL else self.make("not_equal", given, 0.0)
        if wanted != self.dtype:
            raise CannotTraceError(f"it casts a number to {wanted}, and the graph's are {self.dtype}")
        if given.kind == FLOAT:
            return given
        return self._converted(given, FLOAT)

    def make(self, operation: str, *values: Any) -> Expression:
        """Return the expression of an operation on numbers."""
        arguments = tuple(self.lift(value) for value in values)
        if operation in LOGICAL:
            arguments = tuple(x if x.kind == BOOL else self.make("not_equal", x, 0.0) for x in arguments)
            kind = BOOL
        else:
            compared = arguments[1:] if operation == "where" else arguments
            kind = self._kind(operation, compared)
            arguments = tuple(self._fit(x, kind, operation, k) for k, x in enumerate(arguments))
            kind = BOOL if operation in COMPARISONS else kind
        simpler = self._simpler(operation, arguments)
        return self._once(operation, arguments, kind) if simpler is None else simpler

    def _fit(self, argument: Expression, kind: str, operation: str, position: int) -> Expression:
        """Bring an argument to the kind that an operation is done in."""
        if operation == "where" and position == 0:
            return argument if argument.kind == BOOL else self.make("not_equal", argument, 0.0)
        return argument if argument.kind == kind else self._converted(argument, kind)

    def _kind(self, operation: str, arguments: Sequence[Expression]) -> str:
        """Return the kind that an operation on some arguments is done in."""
        kinds = {argument.kind for argument in arguments}
        return FLOAT if FLOAT in kinds else BOOL if kinds == {BOOL} and operation == "where" else WEAK

    def _converted(self, argument: Expression, kind: str) -> Expression:
        """Return a number as one of another kind."""
        if argument.is_constant:
            return self.constant(float(argument.value), kind)
        return self._once("cast" if kind == FLOAT else "number", (argument,), kind)

    def _once(self, operation: str, arguments: tuple[Expression, ...], kind: str, value: Any = None) -> Expression:
        # The text of a number tells 0.0 from -0.0, and one NaN from none.
        key = operation, tuple(map(id, arguments)), kind, repr(value)
        if key not in self._made:
            self._made[key] = self.made(self, operation, arguments, kind, value)
        return self._made[key]

    def _simpler(self, operation: str, arguments: tuple[Expression, ...]) -> Expression | None:
        """Return something simpler that gives the same number, to the last bit, if there is one."""
        if operation not in FORMULAS and all(argument.is_constant for argument in arguments):
            return self._fold(operation, arguments)
        first, second = arguments[0], arguments[-1]
        if operation == "negative" and first.operation == "negative":
            return first.arguments[0]
        if operation == "where":
            if first.is_constant:
                return arguments[1] if first.value else second
            return second if arguments[1] is second else None
        if operation in {"logical_and", "logical_or"} and (first.is_constant or second.is_constant):
            known, other = (first, second) if first.is_constant else (second, first)
            return other if known.value == (operation == "logical_and") else known
        if operation in {"multiply", "divide"}:
            return self._simpler_product(operation, first, second)
        if operation in {"add", "subtract"} and second.operation == "negative":
            return self.make("subtract" if operation == "add" else "add", first, second.arguments[0])
        if operation == "subtract" and second.is_constant and repr(second.value) == "0.0":
            return first
        if operation == "pow" and second.is_constant and second.value == 1:
            return first
        return None

    def _simpler_product(self, operation: str, first: Expression, second: Expression) -> Expression | None:
        if operation == "multiply" and first.is_constant and abs(first.value) == 1:
            first, second = second, first
        if second.is_constant and abs(second.value) == 1:
            return first if second.value == 1 else self.make("negative", first)
        if first.operation == "negative":
            return self.make("negative", self.make(operation, first.arguments[0], second))
        if second.operation == "negative":
            return self.make("negative", self.make(operation, first, second.arguments[0]))
        return None

    def _fold(self, operation: str, arguments: tuple[Expression, ...]) -> Expression:
        """Compute an operation on known numbers, as NumPy does."""
        weak = all(argument.kind != FLOAT for argument in arguments)
        number = np.float64 if weak else self.dtype.type
        values = [x.value if x.kind == BOOL else number(x.value) for x in arguments]
        with np.errstate(all="ignore"):
            return self.constant(FOLD[operation](*values), WEAK if weak else FLOAT)


COMPOSED: dict[str, Callable[..., Expression]] = {
    "square": lambda recorder, x: recorder.make("multiply", x, x),
    "reciprocal": lambda recorder, x: recorder.make("divide", 1.0, x),
    "exp2": lambda recorder, x: recorder.make("pow", 2.0, x),
    "isnan": lambda recorder, x: recorder.make("not_equal", x, x),
    "isinf": lambda recorder, x: recorder.make("equal", recorder.make("abs", x), math.inf),
    "isfinite": lambda recorder, x: recorder.make("less", recorder.make("abs", x), math.inf),
    "positive": lambda recorder, x: recorder.lift(x),
    "astype": lambda recorder, x, dtype, **_: recorder.cast(x, dtype),
    "asarray": lambda recorder, x, dtype=None, **_: recorder.lift(x) if dtype is None else recorder.cast(x, dtype),
    "zeros_like": lambda recorder, x, **_: recorder.cast(0.0),
    "ones_like": lambda recorder, x, **_: recorder.cast(1.0),
    "full_like": lambda recorder, x, value, **_: recorder.cast(value),
}
"""Functions of the array API that are made of operations."""


class Namespace:
    """The array namespace `xp` that records: the elementwise functions of the array API on expressions.

    Attributes:
        is_exact: the expressions are formulas for readers and for algebra, where nothing is rounded: what a function
            does only to keep digits is left out.
    """

    __name__ = "graphrun.declare.trace"
    pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
    float32, float64, finfo = np.float32, np.float64, np.finfo

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.is_exact = recorder.is_exact

    def __getattr__(self, name: str) -> Any:
        if name in COMPOSED:
            return partial(COMPOSED[name], self._recorder)
        if name in FOLD or (self.is_exact and name in FORMULAS):
            return lambda *values, **_: self._recorder.make(name, *values)
        raise CannotTraceError(f"it calls xp.{name}, which {self._recorder.others}")

    def clip(self, x: Any, min: Any = None, max: Any = None) -> Expression:  # noqa: A002 (the array API's names)
        """Keep x between two bounds."""
        bounded = self._recorder.lift(x) if min is None else self.maximum(x, min)
        return bounded if max is None else self.minimum(bounded, max)


def trace(recorder: Recorder, function: Callable[..., Any], inputs: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    """Call a declared function with symbols, and return what it returns; settings may be symbols too.

    Raises:
        CannotTraceError: it cannot be written down as arithmetic.
    """
    try:
        return function(Namespace(recorder), *inputs, **settings)
    except CannotTraceError:
        raise
    except (Exception, SystemExit) as error:
        raise CannotTraceError(f"{type(error).__name__}: {error}") from error


def trace_derivatives(
    recorder: Recorder, function: Callable[..., Any], output: Any, inputs: Sequence[Any], settings: Mapping[str, Any]
) -> tuple[Expression | None, ...]:
    """Call a function that declares local derivatives with symbols; None where one is declared to be none.

    Raises:
        CannotTraceError: they cannot be written down as arithmetic, or are not one for each input.
    """
    given = trace(recorder, function, [output, *inputs], settings)
    if not isinstance(given, tuple | list) or len(given) != len(inputs):
        what = f"{len(given)} derivatives" if isinstance(given, tuple | list) else f"a {type(given).__name__}"
        raise CannotTraceError(f"its local_derivatives returns {what}, not a tuple of {len(inputs)}")
    return tuple(None if part is None else recorder.lift(part) for part in given)


# --- what expressions are made of ------------------------------------------------------------------------------------


def inputs_first(roots: Sequence[Expression], known: Container[Expression] = ()) -> list[Expression]:
    """Return expressions with all that they are made of, each after its arguments; nothing of what is known."""
    order: list[Expression] = []
    done: set[int] = set()
    pending = [(root, False) for root in reversed(roots)]
    while pending:
        expression, ready = pending.pop()
        if ready:
            order.append(expression)
        elif id(expression) not in done:
            done.add(id(expression))
            pending.append((expression, True))
            if expression not in known:
                pending += [(argument, False) for argument in reversed(expression.arguments)]
    return order


def count_uses(roots: Sequence[Expression], known: Container[Expression] = ()) -> Counter[int]:
    """Return how often each expression is used by others and as a root, what is known counting as an input."""
    uses = Counter(map(id, roots))
    for expression in inputs_first(roots, known):
        if expression not in known:
            uses.update(map(id, expression.arguments))
    return uses


def inputs_of(roots: Sequence[Expression], known: Container[Expression] = ()) -> set[str]:
    """Return the names of the inputs that expressions use, but for what is known."""
    return {e.value for e in inputs_first(roots, known) if e.operation == "input" and e not in known}


def operations_in(roots: Sequence[Expression]) -> int:
    """Return how many operations on numbers that are not known expressions take; what is used twice is done once."""
    return sum(bool(expression.arguments) for expression in inputs_first(roots))


def size_of(roots: Sequence[Expression]) -> int:
    """Return how many operations, inputs and constants there are."""
    return len(inputs_first(roots))
