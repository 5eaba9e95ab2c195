"""How ONNX's operators compute the operations of a trace: each in one to a few of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphrun.declare.arrays import INT
from graphrun.engines.traced import NotSupportedError
from graphrun.show.onnx.sizes import RowMultiple


class Call(NamedTuple):
    """A use of an operator, whose output has no name yet."""

    operator: str
    inputs: Sequence[str]
    attributes: dict[str, Any] = {}  # noqa: RUF012 (nothing changes it)
    outputs_before: int = 0


Primitive = Callable[..., Call]
"""Of the writer, the expression, and the names of its arguments; what it needs before it is written on the way."""

LARGEST = np.iinfo(np.int64).max

SAME = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "negative": "Neg", "pow": "Pow",
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin",
    "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "asinh": "Asinh",
    "acosh": "Acosh", "atanh": "Atanh", "floor": "Floor", "ceil": "Ceil", "round": "Round", "sign": "Sign",
    "abs": "Abs", "erf": "Erf", "maximum": "Max", "minimum": "Min", "equal": "Equal", "less": "Less",
    "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual", "logical_and": "And",
    "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not", "where": "Where", "matmul": "MatMul", "det": "Det",
}  # fmt: skip
"""The operations that are an operator with the same inputs, and no settings."""

REDUCTIONS = {"sum": "ReduceSum", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}


def _reduce(w: Any, e: Any, x: str) -> Call:
    if not e.value:
        return Call("Identity", [x])
    return Call(REDUCTIONS[e.operation], [x, w.integers(e.value)], {"keepdims": 0})


def _expm1(w: Any, e: Any, x: str) -> Call:
    # e^x - 1 = tanh(x / 2) (e^x + 1), which keeps the digits near 0.
    half = w.node("Tanh", [w.node("Mul", [x, w.number(0.5, e.kind)])])
    return Call("Mul", [half, w.node("Add", [w.node("Exp", [x]), w.number(1.0, e.kind)])])


def _log1p(w: Any, e: Any, x: str) -> Call:
    return _log1p_of(w, e.kind, x)


def _log1p_of(w: Any, kind: str, x: str) -> Call:
    # Kahan's: log(u) x / (u - 1) with the rounded u = 1 + x, or x where u is 1; of large numbers u is x.
    u = w.node("Add", [x, w.number(1.0, kind)])
    rest = w.node("Sub", [u, w.number(1.0, kind)])
    ratio = w.node("Where", [w.node("Equal", [u, x]), w.number(1.0, kind), w.node("Div", [x, rest])])
    is_one = w.node("Equal", [rest, w.number(0.0, kind)])
    return Call("Where", [is_one, x, w.node("Mul", [w.node("Log", [u]), ratio])])


def _logaddexp(w: Any, e: Any, x: str, y: str) -> Call:
    # Equal infinities have no difference.
    apart = w.node("Where", [w.node("Equal", [x, y]), w.number(0.0, e.kind), w.node("Sub", [x, y])])
    power = w.node("Exp", [w.node("Neg", [w.node("Abs", [apart])])])
    call = _log1p_of(w, e.kind, power)
    return Call("Add", [w.node("Max", [x, y]), w.node(call.operator, call.inputs)])


def _hypot(w: Any, e: Any, x: str, y: str) -> Call:
    x, y = w.node("Abs", [x]), w.node("Abs", [y])
    large, small = w.node("Max", [x, y]), w.node("Min", [x, y])
    is_zero = w.node("Equal", [large, w.number(0.0, e.kind)])
    ratio = w.node("Div", [small, w.node("Where", [is_zero, w.number(1.0, e.kind), large])])
    square = w.node("Add", [w.node("Mul", [ratio, ratio]), w.number(1.0, e.kind)])
    return Call("Mul", [large, w.node("Sqrt", [square])])


def _is_negative(w: Any, e: Any, x: str) -> str:
    """Whether a number has a sign, -0 too, whose reciprocal tells it from 0."""
    zero = w.number(0.0, e.kind)
    beside = w.node("Where", [w.node("Equal", [x, zero]), w.node("Div", [w.number(1.0, e.kind), x]), x])
    return str(w.node("Less", [beside, zero]))


def _atan2(w: Any, e: Any, y: str, x: str) -> Call:
    zero, pi = w.number(0.0, e.kind), w.number(math.pi, e.kind)
    is_upright, is_level = w.node("Equal", [x, zero]), w.node("Equal", [y, zero])
    angle = w.node("Atan", [w.node("Div", [y, w.node("Where", [is_upright, w.number(1.0, e.kind), x])])])
    turn = w.node("Where", [_is_negative(w, e, y), w.node("Neg", [pi]), pi])
    quarter = w.node("Mul", [w.node("Sign", [y]), w.number(math.pi / 2, e.kind)])
    at_origin = w.node("Where", [is_level, y, quarter])
    ahead = w.node("Where", [is_upright, at_origin, angle])
    behind = w.node(
        "Where", [w.node("And", [is_upright, w.node("Not", [is_level])]), quarter, w.node("Add", [angle, turn])]
    )
    behind = w.node("Where", [w.node("And", [is_upright, is_level]), turn, behind])
    return Call("Where", [_is_negative(w, e, x), behind, ahead])


def _copysign(w: Any, e: Any, x: str, y: str) -> Call:
    size = w.node("Abs", [x])
    return Call("Where", [_is_negative(w, e, y), w.node("Neg", [size]), size])


def _trunc(w: Any, e: Any, x: str) -> Call:
    is_below = w.node("Less", [x, w.number(0.0, e.kind)])
    return Call("Where", [is_below, w.node("Ceil", [x]), w.node("Floor", [x])])


def _scaled_log(base: float) -> Primitive:
    return lambda w, e, x: Call("Div", [w.node("Log", [x]), w.number(math.log(base), e.kind)])


def _remainder(w: Any, e: Any, x: str, y: str) -> Call:
    if e.kind == INT:
        return Call("Mod", [x, y])
    zero, rest = w.number(0.0, e.kind), w.node("Mod", [x, y], fmod=1)
    is_off = w.node("Less", [w.node("Mul", [rest, y]), zero])
    return Call("Where", [is_off, w.node("Add", [rest, y]), rest])


def _floor_divide(w: Any, e: Any, x: str, y: str) -> Call:
    if e.kind == INT:
        return Call("Div", [w.node("Sub", [x, w.node("Mod", [x, y])]), y])
    return Call("Floor", [w.node("Div", [x, y])])


def _reshape(w: Any, e: Any, x: str) -> Call:
    sizes = w.twins.setting(e)
    if sum(isinstance(size, RowMultiple) for size in sizes) == 1 and 0 not in sizes:
        return Call("Reshape", [x, w.integers([-1 if isinstance(size, RowMultiple) else size for size in sizes])])
    return Call("Reshape", [x, w.shape(sizes)], {"allowzero": 1} if 0 in sizes else {})


def _slice(w: Any, e: Any, x: str) -> Call:
    pieces = w.twins.setting(e)
    starts, ends = [], []
    for start, count, step in pieces.values():
        # Behind the first element there is no number to end at.
        end = start + step * (count or 0)
        starts.append(start)
        ends.append(end if count is not None and end >= 0 else LARGEST if step > 0 else -LARGEST)
    steps = [step for _, _, step in pieces.values()]
    return Call("Slice", [x, *map(w.integers, (starts, ends, list(pieces), steps))])


def _cumulative_prod(w: Any, e: Any, x: str) -> Call:
    # Each element times that which is 1, 2, 4, ... places before: log2(n) products in place of n.
    shape, axis = w.twins.shape(e), e.value
    size = shape[axis]
    if isinstance(size, RowMultiple):
        raise NotSupportedError("cumulative_prod along the rows has no operator in ONNX")
    place = 1
    while place < size:
        ones = w.node("Expand", [w.number(1.0, e.kind), w.shape((*shape[:axis], place, *shape[axis + 1 :]))])
        before = w.node("Slice", [x, *map(w.integers, ([0], [size - place], [axis]))])
        x = w.node("Mul", [x, w.node("Concat", [ones, before], axis=axis)])
        place *= 2
    return Call("Identity", [x])


def _add_rows(w: Any, e: Any, indices: str, rows: str) -> Call:
    count = w.twins.setting(e)
    of_indices = e.arguments[0].ndim
    shape = (count, *w.twins.shape(e.arguments[1])[of_indices:])
    zeros = w.node("Expand", [w.number(0, e.kind), w.shape(shape)])
    columns = w.node("Unsqueeze", [indices, w.integers([of_indices])])
    return Call("ScatterND", [zeros, columns, rows], {"reduction": "add"})


def _argsort(w: Any, e: Any, x: str) -> Call:
    count = w.shape([w.twins.shape(e)[e.value]])
    return Call("TopK", [x, count], {"axis": e.value, "largest": 0}, outputs_before=1)


def _cast(w: Any, e: Any, x: str) -> Call:
    return Call("Cast", [x], {"to": w.type_of(e.kind)})


def _missing(name: str) -> Primitive:
    def refuse(w: Any, e: Any, *_: str) -> Call:
        what = f"node {w.owner!r}" if w.owner in w.plan.slots else "the gradient"
        raise NotSupportedError(f"{what}: ONNX has no operator for {name}")

    return refuse


PRIMITIVES: dict[str, Primitive] = {
    **{name: lambda w, e, *names, op=op: Call(op, names) for name, op in SAME.items()},
    **dict.fromkeys(REDUCTIONS, _reduce),
    **{name: _missing(name) for name in ("inv", "solve", "cholesky", "svd")},
    "not_equal": lambda w, e, x, y: Call("Not", [w.node("Equal", [x, y])]),
    "erfc": lambda w, e, x: Call("Sub", [w.number(1.0, e.kind), w.node("Erf", [x])]),
    "expm1": _expm1,
    "log1p": _log1p,
    "log2": _scaled_log(2.0),
    "log10": _scaled_log(10.0),
    "logaddexp": _logaddexp,
    "hypot": _hypot,
    "atan2": _atan2,
    "copysign": _copysign,
    "trunc": _trunc,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "cast": _cast,
    "number": _cast,
    "reshape": _reshape,
    "permute": lambda w, e, x: Call("Transpose", [x], {"perm": list(e.value)}),
    "broadcast": lambda w, e, x: Call("Expand", [x, w.shape(w.twins.setting(e))]),
    "slice": _slice,
    "concat": lambda w, e, *names: Call("Concat", names, {"axis": e.value}),
    "argmax": lambda w, e, x: Call("ArgMax", [x], {"axis": e.value, "keepdims": 0}),
    "argmin": lambda w, e, x: Call("ArgMin", [x], {"axis": e.value, "keepdims": 0}),
    "cumulative_sum": lambda w, e, x: Call("CumSum", [x, w.number(e.value, INT)]),
    "cumulative_prod": _cumulative_prod,
    "einsum": lambda w, e, *names: Call("Einsum", names, {"equation": e.value}),
    "take": lambda w, e, x, indices: Call("Gather", [x, indices], {"axis": e.value}),
    "take_along": lambda w, e, x, indices: Call("GatherElements", [x, indices], {"axis": e.value}),
    "add_rows": _add_rows,
    "argsort": _argsort,
}
