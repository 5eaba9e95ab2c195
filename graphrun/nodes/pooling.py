"""Pooling: one number for each window of an image."""

from __future__ import annotations

import math
from functools import reduce

from graphrun.declare.nodetype import Example, Kink, tensor
from graphrun.nodes.axes import check_axes
from graphrun.nodes.convolution import Pair, Windows, for_each

EXAMPLES = (
    Example(shapes=[(2, 2, 4, 5)], settings={"kernel_size": 2}),
    Example(shapes=[(1, 2, 4, 4)], settings={"kernel_size": 3, "stride": 1, "padding": 1}),
    Example(shapes=[(1, 5, 6)], settings={"kernel_size": [3, 2], "stride": [2, 3], "padding": [1, 0]}),
)


def pool_windows(x, kernel_size, stride, padding):
    """The windows over the last two axes; without a stride they lie side by side."""
    check_axes(x, 2)
    kernel, margins = for_each(kernel_size, 2), for_each(padding, 2)
    if any(2 * margin > size for margin, size in zip(margins, kernel, strict=True)):
        raise ValueError(f"padding {list(margins)} is more than half of the window {list(kernel)}")
    return Windows(x.shape[-2:], kernel, kernel if stride is None else stride, margins, 1, x.ndim - 2)


def largest(xp, x, y, windows):
    """Where the largest elements are: an array for each place in a window, 1 or 0 for each window."""
    padded = windows.pad(xp, x, -math.inf)
    return [xp.astype(xp.equal(padded[(..., *place)], y), y.dtype) for place in windows.slices]


def ties(xp, x, *, kernel_size, stride, padding):
    """The elements that are largest in a window together with others; infinite where there is none."""
    windows = pool_windows(x, kernel_size, stride, padding)
    chosen = largest(
        xp, x, max_pool2d.function(xp, x, kernel_size=kernel_size, stride=stride, padding=padding), windows
    )
    several = sum(chosen[1:], chosen[0]) > 1
    return xp.where(windows.add(xp, [share * several for share in chosen]) > 0, x, math.inf)


@tensor(
    formula="max of each window",
    gradients=["gradient at the largest element of each window, shared by equal ones"],
    examples=(*EXAMPLES, Example(values=[[[[1, 1, 0, 0], [1, 1, 0, 2]]]], settings={"kernel_size": 2})),
    kinks=[Kink({"x": ties}, (...,), label="equal largest elements of a window")],
)
def max_pool2d(xp, x, *, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0):
    """Largest element of each window; equal ones share the gradient."""
    windows = pool_windows(x, kernel_size, stride, padding)
    padded = windows.pad(xp, x, -math.inf)
    return reduce(xp.maximum, [padded[(..., *place)] for place in windows.slices])


@max_pool2d.vjp
def _(xp, gradient, y, x, *, kernel_size, stride, padding):
    windows = pool_windows(x, kernel_size, stride, padding)
    chosen = largest(xp, x, y, windows)
    part = gradient / xp.maximum(sum(chosen[1:], chosen[0]), 1.0)
    return (windows.add(xp, [part * share for share in chosen]),)


@tensor(
    formula="mean of each window",
    gradients=["sum of gradient / n over the windows that hold an element"],
    examples=EXAMPLES,
)
def avg_pool2d(xp, x, *, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0):
    """Mean of each window, the zeros of the padding included."""
    windows = pool_windows(x, kernel_size, stride, padding)
    padded = windows.pad(xp, x)
    pieces = [padded[(..., *place)] for place in windows.slices]
    return sum(pieces[1:], pieces[0]) / len(pieces)


@avg_pool2d.vjp
def _(xp, gradient, y, x, *, kernel_size, stride, padding):
    windows = pool_windows(x, kernel_size, stride, padding)
    return (windows.add(xp, [gradient / len(windows.slices)] * len(windows.slices)),)
