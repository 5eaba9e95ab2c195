"""Parts of an array: by position, or by indices that are data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphrun.declare.declaration import Index
from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes.axes import check_axes, check_same_axes, check_same_size, count, from_front
from graphrun.nodes.placing import Placed, add_rows, is_numpy, place

if TYPE_CHECKING:
    from graphrun.base.types import Positive


def check_indices(xp, indices, size, lowest=0, name="indices"):
    """Refuse an index outside of [lowest, size); where values cannot be looked at, send it to NaN.

    A compiled program cannot raise; JAX takes NaN for what lies behind the end, and the run stops there.
    """
    if not is_numpy(xp):
        return xp.where(indices < lowest, size, indices)
    for found in (indices.min(initial=0), indices.max(initial=-1)):
        if not lowest <= found < max(size, 0) and indices.size:
            allowed = f"may be from {lowest} to {size - 1}" if size else "there are no elements"
            raise IndexError(f"{name} holds {found}, but {allowed}")
    return indices


@tensor(
    formula="x[start:stop:step]",
    gradients=["gradient at the elements taken, 0 elsewhere"],
    examples=[
        Example(shapes=[(5,)], settings={"start": 1, "stop": 4}),
        Example(shapes=[(5, 2)], settings={"step": 2}),
        Example(shapes=[(3, 6)], settings={"start": -5, "stop": -1, "step": 3, "axis": 1}),
        Example(shapes=[(3, 6)], settings={"start": 4, "stop": 0, "step": -2, "axis": -1}),
        Example(shapes=[(4, 2)], settings={"step": -1}),
        Example(shapes=[(4,)], settings={"start": 3, "stop": 1}),
    ],
)
def slice_(xp, x, *, start: int | None = None, stop: int | None = None, step: int = 1, axis: int = 0):
    """Part of an axis, as Python slices: from start to before stop, every step-th; negative ones count from the end."""
    if step == 0:
        raise ValueError("step is 0")
    return x[(slice(None),) * from_front(axis, x) + (slice(start, stop, step),)]


@slice_.vjp
def _(xp, gradient, y, x, *, start, stop, step, axis):
    number = from_front(axis, x)
    if is_numpy(xp):
        return (Placed(xp, gradient, x.shape, (slice(None),) * number + (slice(start, stop, step),)),)
    if 0 in y.shape:
        return (xp.zeros_like(x),)
    chosen = range(x.shape[number])[start:stop:step]
    if step < 0:
        gradient, chosen = xp.flip(gradient, axis=number), chosen[::-1]
    slices = [slice(0, size) for size in x.shape]
    slices[number] = slice(chosen[0], chosen[-1] + 1, chosen.step)
    return (place(xp, gradient, x.shape, tuple(slices)),)


@tensor(
    formula="x[indices]",
    gradients=["the sum of gradient over all uses of an element, 0 without one", None],
    examples=[
        Example(values=[[1.0, 2.0, 3.0], [2, 0, 2, -1]]),
        Example(shapes=[(3, 4), (2, 3)], values=[None, [[2, 0, 1], [2, 2, 0]]]),
        Example(shapes=[(3, 4), (5,)], values=[None, [3, 0, 0, -4, 2]], settings={"axis": 1}),
        Example(shapes=[(2, 3, 2), ()], values=[None, 1], settings={"axis": -2}),
        Example(shapes=[(2, 3), (0,)]),
    ],
)
def take(xp, x, indices: Index, *, axis: int = 0):
    """Elements at given positions along an axis; the axes of the indices take its place, -1 is the last position."""
    number = from_front(axis, x)
    size = x.shape[number]
    indices = check_indices(xp, indices, size, -size)
    return xp.take(x, indices, axis=number)


@take.vjp
def _(xp, gradient, y, x, indices, *, axis):
    number = from_front(axis, x)
    width = indices.ndim
    rows = xp.permute_dims(
        gradient, (*range(number, number + width), *range(number), *range(number + width, gradient.ndim))
    )
    sums = add_rows(xp, x.shape[number], indices, rows)
    return (xp.permute_dims(sums, (*range(1, number + 1), 0, *range(number + 1, x.ndim))), None)


@tensor(
    formula="x[indices]",
    gradients=["the sum of gradient over all uses of an element, 0 without one", None],
    examples=[
        Example(shapes=[(2, 3), (2, 4)], values=[None, [[2, 0, 0, 1], [1, 1, -3, 2]]]),
        Example(shapes=[(3, 2), (1, 2)], values=[None, [[2, 0]]], settings={"axis": 0}),
        Example(shapes=[(2, 3, 2), (2, 1, 2)], values=[None, [[[2, 0]], [[1, 1]]]], settings={"axis": 1}),
    ],
)
def take_along_axis(xp, x, indices: Index, *, axis: int = -1):
    """Elements at positions that differ from line to line along an axis: with axis 1, y[i, j] = x[i, indices[i, j]]."""
    number = from_front(axis, x)
    check_same_axes(x, indices, ("x", "indices"), but=number)
    size = x.shape[number]
    return xp.take_along_axis(x, check_indices(xp, indices, size, -size), axis=number)


@take_along_axis.vjp
def _(xp, gradient, y, x, indices, *, axis):
    number = from_front(axis, x)
    size, width = x.shape[number], indices.shape[number]
    order = (*(i for i in range(x.ndim) if i != number), number)
    shape = tuple(x.shape[i] for i in order)
    # Every line of x is a part of one long line.
    positions = xp.reshape(xp.permute_dims(indices, order) % max(size, 1), (-1, width))
    positions = positions + size * xp.expand_dims(xp.arange(positions.shape[0]), axis=1)
    sums = add_rows(xp, x.size, positions, xp.reshape(xp.permute_dims(gradient, order), positions.shape))
    return (xp.permute_dims(xp.reshape(sums, shape), tuple(order.index(i) for i in range(x.ndim))), None)


@tensor(
    formula="weight[indices]",
    gradients=["the sum of gradient over all uses of a row, 0 without one", None],
    examples=[
        Example(shapes=[(4, 3), (5,)], values=[None, [0, 3, 3, 1, 0]]),
        Example(shapes=[(4, 3), (2, 2)], values=[None, [[2, 2], [2, 1]]]),
        Example(shapes=[(4, 3), ()], values=[None, 2]),
    ],
)
def embedding(xp, weight, indices: Index):
    """Rows of a table: one vector for each index, which counts from 0."""
    check_axes(weight, 2, "weight", 2)
    return xp.take(weight, check_indices(xp, indices, weight.shape[0]), axis=0)


@embedding.vjp
def _(xp, gradient, y, weight, indices):
    return add_rows(xp, weight.shape[0], indices, gradient), None


@tensor(
    formula="sum of the rows of x with each index",
    gradients=["gradient[indices]", None],
    examples=[
        Example(shapes=[(5, 2), (5,)], values=[None, [2, 0, 2, 2, 0]], settings={"num_segments": 4}),
        Example(shapes=[(2, 3), (2, 3)], values=[None, [[0, 1, 1], [0, 0, 1]]], settings={"num_segments": 2}),
        Example(shapes=[(0, 2), (0,)], settings={"num_segments": 1}),
    ],
)
def segment_sum(xp, x, indices: Index, *, num_segments: Positive):
    """Sums of the rows of x that have the same index; 0 for an index that no row has."""
    return sums_of_rows(xp, x, indices, num_segments)


def sums_of_rows(xp, x, indices, number):
    """Sums by index, checked; NaN where an index is none and cannot be refused."""
    check_axes(x, indices.ndim)
    for axis in range(indices.ndim):
        check_same_size(x, axis, indices, axis, ("x", "indices"))
    indices = check_indices(xp, indices, number)
    sums = add_rows(xp, number, indices, x)
    return sums if is_numpy(xp) else xp.where(xp.any(indices >= number), math.nan, sums)


@segment_sum.vjp
def _(xp, gradient, y, x, indices, *, num_segments):
    return xp.take(gradient, check_indices(xp, indices, num_segments), axis=0), None


@tensor(
    formula="1 at the labels, 0 elsewhere",
    gradients=[None],
    examples=[
        Example(values=[[2, 0, 1]], settings={"num_classes": 4}),
        Example(values=[[[2, 0], [1, 1]]], settings={"num_classes": 3}),
        Example(values=[1], settings={"num_classes": 2}),
    ],
)
def one_hot(xp, labels: Index, *, num_classes: Positive):
    """A vector of zeros with a 1 at the label's place, for each label, which counts from 0."""
    chosen = xp.expand_dims(check_indices(xp, labels, num_classes, name="labels"), axis=-1)
    named = xp.equal(chosen, xp.arange(num_classes))
    return named if is_numpy(xp) else xp.where(chosen < num_classes, named, math.nan)


@one_hot.vjp
def _(xp, gradient, y, labels, *, num_classes):
    return (None,)


def named_classes(xp, labels, size, name="labels"):
    """Class labels as whole numbers from 0, checked; they may come as numbers of the graph's dtype."""
    labels = xp.asarray(labels)
    if not is_numpy(xp):
        named = (labels >= 0) & (labels < size) & xp.equal(labels, xp.floor(labels))
        return xp.astype(xp.where(named, labels, size), xp.int32)
    numbers = xp.astype(labels, xp.int64)
    # A negative number without its sign is a large one.
    outside = (numbers.view(xp.uint64) >= size) | (numbers != labels)
    if xp.count_nonzero(outside):
        found = labels[outside][0]
        raise IndexError(f"{name} holds {found:g}, but there are {count(size, 'class')}, counted from 0")
    return numbers
