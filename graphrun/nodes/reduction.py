"""Reductions: many elements to one, along some axes or all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphrun.declare.nodetype import Example, Kink, tensor
from graphrun.nodes.axes import Axes, all_from_front, check_not_empty, count, from_front, kept_shape, size_along, spread
from graphrun.nodes.placing import is_numpy

if TYPE_CHECKING:
    from graphrun.base.types import NotNegative, Number

SHAPED = (
    Example(shapes=[(3, 4)]),
    Example(shapes=[(2, 3, 4)], settings={"axis": 0}),
    Example(shapes=[(2, 3, 4)], settings={"axis": -2}),
    Example(shapes=[(2, 3, 4)], settings={"axis": [0, -1]}),
    Example(shapes=[(2, 3, 4)], settings={"axis": [-1, 1], "keepdims": True}),
    Example(shapes=[(2, 3)], settings={"keepdims": True}),
)
EXAMPLES = (*SHAPED, Example(shapes=[()]), Example(shapes=[(2, 3)], settings={"axis": []}))


@tensor(formula="sum(x)", gradients=["gradient"], examples=[*EXAMPLES, Example(shapes=[(3, 0)], settings={"axis": 1})])
def sum_(xp, x, *, axis: Axes = None, keepdims: bool = False):
    """Sum along an axis, several axes or all."""
    return xp.sum(x, axis=axis, keepdims=keepdims)


@sum_.vjp
def _(xp, gradient, y, x, *, axis, keepdims):
    return (spread(xp, gradient, x, all_from_front(axis, x)),)


@tensor(formula="sum(x) / n", gradients=["gradient / n"], examples=EXAMPLES)
def mean(xp, x, *, axis: Axes = None, keepdims: bool = False):
    """Arithmetic mean along an axis, several axes or all."""
    check_not_empty(x, all_from_front(axis, x))
    return xp.mean(x, axis=axis, keepdims=keepdims)


@mean.vjp
def _(xp, gradient, y, x, *, axis, keepdims):
    axes = all_from_front(axis, x)
    return (spread(xp, gradient / size_along(x, axes), x, axes),)


@tensor(
    formula="prod(x)",
    gradients=["gradient * prod(the other elements)"],
    examples=[
        *EXAMPLES,
        Example(shapes=[(3, 0)], settings={"axis": 1}),
        Example(values=[[[2.0, 0.0, 3.0], [0.0, 5.0, 0.0]]], settings={"axis": 1}),
    ],
)
def prod(xp, x, *, axis: Axes = None, keepdims: bool = False):
    """Product along an axis, several axes or all."""
    return xp.prod(x, axis=axis, keepdims=keepdims)


@prod.vjp
def _(xp, gradient, y, x, *, axis, keepdims):
    axes = all_from_front(axis, x)
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    ordered = xp.permute_dims(x, order)
    rows = xp.reshape(ordered, (math.prod(ordered.shape[: x.ndim - len(axes)]), size_along(x, axes)))
    # The product of all others is that of those before times that of those behind: no division, for one may be 0.
    before = xp.cumulative_prod(rows, axis=1, include_initial=True)[:, :-1]
    behind = xp.flip(xp.cumulative_prod(xp.flip(rows, axis=1), axis=1, include_initial=True), axis=1)[:, 1:]
    others = xp.permute_dims(xp.reshape(before * behind, ordered.shape), tuple(order.index(i) for i in range(x.ndim)))
    return (spread(xp, gradient, x, axes) * others,)


EQUAL = (
    Example(values=[[[2.0, 1.0, -3.0]]], settings={"axis": 1}),
    Example(values=[[[2.0, 2.0, 2.0, 1.0, 1.0, 1.0]]], settings={"axis": 1}),
)


def share(xp, gradient, y, x, axes):
    """Pass the gradient of a largest or smallest element on to it, in equal parts where there are several."""
    chosen = xp.equal(x, spread(xp, y, x, axes))
    number = xp.sum(xp.where(chosen, xp.ones_like(x), 0.0), axis=axes, keepdims=True)
    part = xp.reshape(gradient, kept_shape(x, axes)) / xp.maximum(number, 1.0)
    return xp.where(chosen, part, 0.0)


def equal_ones(extreme):
    """The place of a kink: elements that are largest (or smallest) with others, infinite where there is none."""

    def place(xp, x, *, axis, keepdims):
        axes = all_from_front(axis, x)
        chosen = xp.equal(x, spread(xp, getattr(xp, extreme)(x, axis=axes), x, axes))
        return xp.where(chosen & (xp.sum(chosen, axis=axes, keepdims=True) > 1), x, math.inf)

    return place


@tensor(
    formula="max(x)",
    gradients=["where(x == y, gradient / count(x == y), 0)"],
    examples=[*EXAMPLES, *EQUAL],
    kinks=[Kink({"x": equal_ones("max")}, (...,), label="equal largest elements")],
)
def max_(xp, x, *, axis: Axes = None, keepdims: bool = False):
    """Largest element along an axis, several axes or all; equal ones share the gradient."""
    check_not_empty(x, all_from_front(axis, x))
    return xp.max(x, axis=axis, keepdims=keepdims)


@tensor(
    formula="min(x)",
    gradients=["where(x == y, gradient / count(x == y), 0)"],
    examples=[*EXAMPLES, *EQUAL],
    kinks=[Kink({"x": equal_ones("min")}, (...,), label="equal smallest elements")],
)
def min_(xp, x, *, axis: Axes = None, keepdims: bool = False):
    """Smallest element along an axis, several axes or all; equal ones share the gradient."""
    check_not_empty(x, all_from_front(axis, x))
    return xp.min(x, axis=axis, keepdims=keepdims)


@max_.vjp
@min_.vjp
def _(xp, gradient, y, x, *, axis, keepdims):
    return (share(xp, gradient, y, x, all_from_front(axis, x)),)


SPREAD_EXAMPLES = (
    Example(shapes=[(3, 4)]),
    Example(shapes=[(2, 3, 4)], settings={"axis": 0}),
    Example(shapes=[(2, 3, 4)], settings={"axis": [0, -1], "keepdims": True}),
    Example(shapes=[(2, 3, 4)], settings={"axis": -1, "correction": 1}),
)


def degrees_of_freedom(x, axes, correction):
    """The number of elements less the correction, by which a sum of squares is divided."""
    check_not_empty(x, axes)
    number = size_along(x, axes)
    if number <= correction:
        raise ValueError(f"a spread of {count(number, 'element')} with a correction of {correction:g} is 0 / 0")
    return number - correction


def deviations(xp, x, axes):
    """Differences from the mean; those of equal numbers are exactly 0, for the mean alone may round."""
    first = tuple(slice(0, 1) if i in axes else slice(None) for i in range(x.ndim))
    shifted = x - x[first]
    shifted -= xp.mean(shifted, axis=axes, keepdims=True)
    return shifted


def mean_square(xp, x, axes):
    """mean(x^2), those axes kept."""
    return xp.mean(x * x, axis=axes, keepdims=True)


def root_mean_square(xp, x, axes, epsilon=0.0, square=None):
    """(mean(x^2) + epsilon)^(1/2), those axes kept; in units of the largest where squares overflow or vanish."""
    plain = xp.sqrt((mean_square(xp, x, axes) if square is None else square) + epsilon)
    kept = (plain > 1e-15) & (plain < 1e15)
    if is_numpy(xp) and xp.count_nonzero(kept) == kept.size:
        return plain
    root = math.sqrt(epsilon)
    largest = xp.maximum(xp.max(xp.abs(x), axis=axes, keepdims=True), root)
    unit = xp.where((largest > 0) & (largest < math.inf), largest, 1.0)
    ratio, rest = x / unit, root / unit
    return xp.where(kept, plain, unit * xp.sqrt(mean_square(xp, ratio, axes) + rest * rest))


@tensor(
    formula="sum((x - mean(x)) ** 2) / (n - correction)",
    gradients=["gradient * 2 * (x - mean(x)) / (n - correction)"],
    examples=SPREAD_EXAMPLES,
)
def var(xp, x, *, axis: Axes = None, correction: NotNegative = 0.0, keepdims: bool = False):
    """Variance along an axis, several axes or all: sum of squared deviations / (n - correction)."""
    axes = all_from_front(axis, x)
    degrees = degrees_of_freedom(x, axes, correction)
    return xp.sum(deviations(xp, x, axes) ** 2, axis=axes, keepdims=keepdims) / degrees


@var.vjp
def _(xp, gradient, y, x, *, axis, correction, keepdims):
    axes = all_from_front(axis, x)
    scale = 2 / degrees_of_freedom(x, axes, correction)
    return (spread(xp, scale * gradient, x, axes) * deviations(xp, x, axes),)


@tensor(
    formula="sqrt(sum((x - mean(x)) ** 2) / (n - correction))",
    gradients=["gradient * (x - mean(x)) / ((n - correction) * y)"],
    examples=SPREAD_EXAMPLES,
)
def std(xp, x, *, axis: Axes = None, correction: NotNegative = 0.0, keepdims: bool = False):
    """Standard deviation along an axis, several axes or all: the root of var; the derivative is 0 where it is 0."""
    axes = all_from_front(axis, x)
    factor = math.sqrt(size_along(x, axes) / degrees_of_freedom(x, axes, correction))
    y = factor * root_mean_square(xp, deviations(xp, x, axes), axes)
    return y if keepdims else dropped(xp, y, x, axes)


@std.vjp
def _(xp, gradient, y, x, *, axis, correction, keepdims):
    axes = all_from_front(axis, x)
    slope = gradient / degrees_of_freedom(x, axes, correction) / xp.where(xp.equal(y, 0), 1.0, y)
    return (spread(xp, slope, x, axes) * deviations(xp, x, axes),)


def exponentials(xp, x, axes):
    """Numbers as multiples of the largest e^x along some axes: what is subtracted, the differences, exponentials, sums.

    Where the largest is infinite, 0 is subtracted.
    """
    largest = xp.max(x, axis=axes, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0.0)
    shifted = x - largest
    powers = xp.exp(shifted)
    return largest, shifted, powers, xp.sum(powers, axis=axes, keepdims=True)


SURE = 1.1
"""The sum of exponentials, of which the largest is 1, from which on its logarithm keeps its digits."""


def log_sum(xp, shifted, powers, total, axes):
    """Logarithm of a sum of exponentials, of which the largest is 1, with all its digits; -inf where every one is 0."""
    if is_numpy(xp) and xp.count_nonzero(total > SURE) == total.size:
        return xp.log(total)
    # That of the sum less 1; the number of ones less 1 is 0 but for ties.
    ones = xp.equal(shifted, 0)
    rest = xp.sum(xp.where(ones, 0.0, powers), axis=axes, keepdims=True)
    return xp.log1p(rest + (xp.astype(xp.count_nonzero(ones, axis=axes, keepdims=True), powers.dtype) - 1.0))


def dropped(xp, y, x, axes):
    """Drop the axes of size 1 that a reduction of x along some axes has kept."""
    return xp.reshape(y, tuple(size for i, size in enumerate(x.shape) if i not in axes))


@tensor(formula="log(sum(exp(x)))", gradients=["gradient * exp(x) / sum(exp(x))"], examples=EXAMPLES)
def logsumexp(xp, x, *, axis: Axes = None, keepdims: bool = False):
    """Logarithm of a sum of exponentials along an axis, several axes or all: log(sum(e^x))."""
    axes = all_from_front(axis, x)
    if size_along(x, axes) == 0:
        return xp.sum(x, axis=axes, keepdims=keepdims) - math.inf
    largest, shifted, powers, total = exponentials(xp, x, axes)
    y = log_sum(xp, shifted, powers, total, axes) + largest
    return y if keepdims else dropped(xp, y, x, axes)


@logsumexp.vjp
def _(xp, gradient, y, x, *, axis, keepdims):
    axes = all_from_front(axis, x)
    if x.size == 0:
        return (x,)
    # Infinities have no difference; equal ones share alike, as in logaddexp.
    infinite = xp.isinf(y)
    none = is_numpy(xp) and not xp.count_nonzero(infinite)
    infinite = None if none else spread(xp, infinite, x, axes)
    # Not e^(x - y): y is rounded, and of large numbers by more than 1.
    _, _, powers, total = exponentials(xp, x if none else xp.where(infinite, 0.0, x), axes)
    through = powers * (spread(xp, gradient, x, axes) / total)
    return (through if none else xp.where(infinite, share(xp, gradient, y, x, axes), through),)


@tensor(
    formula="sum(abs(x) ** ord) ** (1 / ord)",
    gradients=["gradient * sign(x) * (abs(x) / y) ** (ord - 1)"],
    examples=[
        *SHAPED,
        Example(shapes=[(2, 3)], settings={"axis": 1, "ord": 1}),
        Example(shapes=[(2, 3)], settings={"axis": 0, "ord": 3.5, "keepdims": True}),
        Example(values=[[[2.0, 1.0, -3.0]]], settings={"axis": -1, "ord": math.inf}),
    ],
)
def vector_norm(xp, x, *, axis: Axes = None, keepdims: bool = False, ord: Number = 2.0):  # noqa: A002 (the array API's)
    """Length of the vectors along an axis, several axes or all: sum(|x|^ord)^(1/ord); the derivative is 0 at 0."""
    if not ord >= 1:
        raise ValueError(f"ord is {ord:g}, but a norm has at least 1")
    axes = all_from_front(axis, x)
    if size_along(x, axes) == 0:
        return xp.sum(x, axis=axes, keepdims=keepdims)
    size = xp.abs(x)
    if ord == 1:
        return xp.sum(size, axis=axes, keepdims=keepdims)
    if ord == math.inf:
        return xp.max(size, axis=axes, keepdims=keepdims)
    # In units of the largest, as powers overflow and underflow.
    largest = xp.max(size, axis=axes, keepdims=True)
    unit = xp.where((largest > 0) & (largest < math.inf), largest, 1.0)
    total = xp.sum((size / unit) ** ord, axis=axes, keepdims=True)
    y = unit * (xp.sqrt(total) if ord == 2 else total ** (1 / ord))
    return y if keepdims else dropped(xp, y, x, axes)


@vector_norm.vjp
def _(xp, gradient, y, x, *, axis, keepdims, ord):  # noqa: A002
    axes = all_from_front(axis, x)
    if ord == 1:
        return (spread(xp, gradient, x, axes) * xp.sign(x),)
    if ord == math.inf:
        return (share(xp, gradient, y, xp.abs(x), axes) * xp.sign(x),)
    ratio = x / spread(xp, xp.where(xp.equal(y, 0), 1.0, y), x, axes)
    if ord != 2:
        ratio = xp.sign(x) * xp.abs(ratio) ** (ord - 1)
    return (spread(xp, gradient, x, axes) * ratio,)


@tensor(
    formula="cumulative_sum(x)",
    gradients=["flip(cumulative_sum(flip(gradient)))"],
    examples=[
        Example(shapes=[(4,)]),
        Example(shapes=[(2, 3)], settings={"axis": 0}),
        Example(shapes=[(2, 3, 2)], settings={"axis": -2}),
        Example(shapes=[(2, 0)], settings={"axis": 1}),
    ],
)
def cumulative_sum(xp, x, *, axis: int | None = None):
    """Sums of the first elements along an axis; of a vector it may be left out."""
    if axis is None and x.ndim != 1:
        raise ValueError(f"x has {count(x.ndim, 'axis')}: say along which by axis")
    return xp.cumulative_sum(x, axis=from_front(axis or 0, x))


@cumulative_sum.vjp
def _(xp, gradient, y, x, *, axis):
    number = from_front(axis or 0, x)
    return (xp.flip(xp.cumulative_sum(xp.flip(gradient, axis=number), axis=number), axis=number),)


@tensor(
    formula="argmax(x)",
    gradients=[None],
    examples=[Example(shapes=[(2, 3)]), Example(shapes=[(2, 3)], settings={"axis": -1, "keepdims": True})],
)
def argmax(xp, x, *, axis: int | None = None, keepdims: bool = False):
    """Position of the largest element along an axis or of all, counted from 0; the first of equal ones."""
    check_not_empty(x, all_from_front(axis, x))
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@argmax.vjp
def _(xp, gradient, y, x, *, axis, keepdims):
    return (None,)
