"""Axes and shapes that several families of types share: numbered from the front, spread, summed up, compared."""

from __future__ import annotations

import math

Axes = int | tuple[int, ...] | None
"""One axis, several, or all."""


def count(number, thing):
    """A number with its noun, as in "1 axis" and "2 axes"."""
    plural = {"axis": "axes", "class": "classes", "matrix": "matrices"}.get(thing, f"{thing}s")
    return f"{number} {thing if number == 1 else plural}"


def from_front(axis, x, name="x"):
    """An axis of x, which may be negative, as a number from 0: not every array library takes it negative everywhere."""
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} is none of {name}, which has {count(x.ndim, 'axis')}")
    return axis % x.ndim


def all_from_front(axis, x, name="x"):
    """One axis, several, or all (None), as distinct numbers from 0."""
    if axis is None:
        return tuple(range(x.ndim))
    numbers = tuple(from_front(number, x, name) for number in (axis if isinstance(axis, tuple) else (axis,)))
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"axis {list(axis)} names an axis of {name} twice")
    return numbers


def size_along(x, axes):
    """How many elements of x one element of its reduction stands for."""
    return math.prod(x.shape[number] for number in axes)


def check_not_empty(x, axes):
    """Refuse a reduction of no elements at all, where there is no answer."""
    for number in axes:
        if x.shape[number] == 0:
            raise ValueError(f"axis {number} of x has no elements")


def kept_shape(x, axes):
    """The shape of x with the given axes reduced to size 1."""
    return tuple(1 if i in axes else size for i, size in enumerate(x.shape))


def spread(xp, reduced, x, axes):
    """Give each element of x what belongs to its reduction along some axes, whether these were kept or not."""
    return xp.broadcast_to(xp.reshape(reduced, kept_shape(x, axes)), x.shape)


def undo_broadcast(xp, array, shape):
    """Sum over the axes along which an array of the given shape was repeated; the result has that shape."""
    if array.shape == shape:
        return array
    leading = array.ndim - len(shape)
    repeated = (leading + i for i, size in enumerate(shape) if size == 1 and array.shape[leading + i] != 1)
    axes = (*range(leading), *repeated)
    return xp.reshape(xp.sum(array, axis=axes), shape) if axes else array


def check_same_size(x, axis, y, other, names=("x", "y")):
    """Refuse two arrays which differ along an axis of each, both numbered from the front."""
    if x.shape[axis] != y.shape[other]:
        raise ValueError(
            f"axis {axis} of {names[0]} has {count(x.shape[axis], 'element')}, "
            f"axis {other} of {names[1]} has {y.shape[other]}"
        )


def check_same_axes(x, y, names=("x", "y"), but=None):
    """Refuse two arrays of different shapes; they may differ along one axis, `but`."""
    if x.ndim != y.ndim:
        raise ValueError(f"{names[0]} has {count(x.ndim, 'axis')}, {names[1]} has {y.ndim}")
    for i in range(x.ndim):
        if i != but:
            check_same_size(x, i, y, i, names)


def check_broadcast(x, y, names=("x", "y"), but=0):
    """Refuse two arrays that do not broadcast along the axes before the last few, `but`; return the common shape."""
    shape = []
    for i in range(max(x.ndim, y.ndim), but, -1):
        sizes = [array.shape[-i] for array in (x, y) if i <= array.ndim]
        if len(set(sizes) - {1}) > 1:
            check_same_size(x, x.ndim - i, y, y.ndim - i, names)
        shape.append(next((size for size in sizes if size != 1), 1))
    return tuple(shape)


def check_axes(x, least, name="x", most=None):
    """Refuse an array of too few axes, or too many."""
    if x.ndim < least or (most is not None and x.ndim > most):
        wanted = count(least, "axis") if most == least else f"at least {count(least, 'axis')}"
        raise ValueError(f"{name} has {count(x.ndim, 'axis')}, not {wanted}")
