"""Pooling: one number for each window of a signal or an image."""

from __future__ import annotations

import math
from functools import reduce

from graphrun.declare.nodetype import Example, Kink, tensor
from graphrun.nodes.axes import check_axes
from graphrun.nodes.convolution import Pair, Single, Windows, for_each

EXAMPLES = (
    Example(shapes=[(2, 2, 4, 5)], settings={"kernel_size": 2}),
    Example(shapes=[(1, 2, 4, 4)], settings={"kernel_size": 3, "stride": 1, "padding": 1}),
    Example(shapes=[(1, 5, 6)], settings={"kernel_size": [3, 2], "stride": [2, 3], "padding": [1, 0]}),
)


OF_LARGEST = "gradient at the largest element of each window, shared by equal ones"


def pool_windows(x, kernel_size, stride, padding, number=2):
    """The windows over the last axes; without a stride they lie side by side."""
    check_axes(x, number)
    kernel, margins = for_each(kernel_size, number), for_each(padding, number)
    if any(2 * margin > size for margin, size in zip(margins, kernel, strict=True)):
        raise ValueError(f"padding {list(margins)} is more than half of the window {list(kernel)}")
    return Windows(x.shape[-number:], kernel, kernel if stride is None else stride, margins, 1, x.ndim - number)


def largest(xp, x, y, windows):
    """Where the largest elements are: an array for each place in a window, 1 or 0 for each window."""
    padded = windows.pad(xp, x, -math.inf)
    return [xp.astype(xp.equal(padded[(..., *place)], y), y.dtype) for place in windows.slices]


def max_pool(xp, x, windows):
    """Largest element of each window."""
    padded = windows.pad(xp, x, -math.inf)
    return reduce(xp.maximum, [padded[(..., *place)] for place in windows.slices])


def through_max_pool(xp, gradient, y, x, windows):
    """The vector-Jacobian product of max_pool: equal largest elements share it."""
    chosen = largest(xp, x, y, windows)
    part = gradient / xp.maximum(sum(chosen[1:], chosen[0]), 1.0)
    return windows.add(xp, [part * share for share in chosen])


def ties(number):
    """The elements that are largest in a window together with others; infinite where there is none."""

    def place(xp, x, *, kernel_size, stride, padding):
        windows = pool_windows(x, kernel_size, stride, padding, number)
        chosen = largest(xp, x, max_pool(xp, x, windows), windows)
        several = sum(chosen[1:], chosen[0]) > 1
        return xp.where(windows.add(xp, [share * several for share in chosen]) > 0, x, math.inf)

    return [Kink({"x": place}, (...,), label="equal largest elements of a window")]


@tensor(
    formula="max of each window",
    gradients=[OF_LARGEST],
    examples=[
        Example(shapes=[(2, 2, 5)], settings={"kernel_size": 2}),
        Example(shapes=[(1, 6)], settings={"kernel_size": 3, "stride": 1, "padding": 1}),
        Example(values=[[[1, 1, 0, 2]]], settings={"kernel_size": [2]}),
    ],
    kinks=ties(1),
)
def max_pool1d(xp, x, *, kernel_size: Single, stride: Single | None = None, padding: Single = 0):
    """Largest element of each window along the last axis; equal ones share the gradient."""
    return max_pool(xp, x, pool_windows(x, kernel_size, stride, padding, 1))


@max_pool1d.vjp
def _(xp, gradient, y, x, *, kernel_size, stride, padding):
    return (through_max_pool(xp, gradient, y, x, pool_windows(x, kernel_size, stride, padding, 1)),)


@tensor(
    formula="max of each window",
    gradients=[OF_LARGEST],
    examples=(*EXAMPLES, Example(values=[[[[1, 1, 0, 0], [1, 1, 0, 2]]]], settings={"kernel_size": 2})),
    kinks=ties(2),
)
def max_pool2d(xp, x, *, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0):
    """Largest element of each window; equal ones share the gradient."""
    return max_pool(xp, x, pool_windows(x, kernel_size, stride, padding))


@max_pool2d.vjp
def _(xp, gradient, y, x, *, kernel_size, stride, padding):
    return (through_max_pool(xp, gradient, y, x, pool_windows(x, kernel_size, stride, padding)),)


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
