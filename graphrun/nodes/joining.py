"""Larger arrays out of smaller ones: joined, stacked, repeated, padded; and what was stacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes.axes import check_same_axes, count, from_front
from graphrun.nodes.placing import Placed, is_numpy, pad_with, place

if TYPE_CHECKING:
    from graphrun.base.types import Finite


def check_arrays(arrays, but=None):
    """Refuse arrays that differ from the first along other axes than `but`."""
    for i, array in enumerate(arrays[1:], 1):
        check_same_axes(arrays[0], array, ("arrays[0]", f"arrays[{i}]"), but)


@tensor(
    formula="concat(arrays, axis)",
    gradients=["the part of gradient that stands where the array does"],
    examples=[
        Example(shapes=[(2, 3), (1, 3), (4, 3)]),
        Example(shapes=[(2, 3), (2, 1)], settings={"axis": -1}),
        Example(shapes=[(2, 0, 2), (2, 3, 2)], settings={"axis": 1}),
        Example(shapes=[(3,)]),
    ],
)
def concat(xp, *arrays, axis: int = 0):
    """Arrays one behind the other along an axis."""
    number = from_front(axis, arrays[0], "arrays[0]")
    check_arrays(arrays, but=number)
    return xp.concat(arrays, axis=number)


@concat.vjp
def _(xp, gradient, y, *arrays, axis):
    number = from_front(axis, y)
    parts, start = [], 0
    for array in arrays:
        stop = start + array.shape[number]
        parts.append(gradient[(slice(None),) * number + (slice(start, stop),)])
        start = stop
    return tuple(parts)


@tensor(
    formula="stack(arrays, axis)",
    gradients=["the slice of gradient that stands where the array does"],
    examples=[
        Example(shapes=[(2, 3), (2, 3)]),
        Example(shapes=[(2, 3), (2, 3), (2, 3)], settings={"axis": -1}),
        Example(shapes=[(), ()]),
    ],
)
def stack(xp, *arrays, axis: int = 0):
    """Arrays of one shape, stacked along a new axis."""
    check_arrays(arrays)
    first = arrays[0]
    if not -first.ndim - 1 <= axis <= first.ndim:
        raise ValueError(f"axis {axis} is no place for a new axis of arrays of {count(first.ndim, 'axis')}")
    return xp.stack(arrays, axis=axis)


@stack.vjp
def _(xp, gradient, y, *arrays, axis):
    number = from_front(axis, y)
    return tuple(gradient[(slice(None),) * number + (i,)] for i in range(len(arrays)))


@tensor(
    formula="x[index]",
    gradients=["gradient at the slice, 0 elsewhere"],
    examples=[
        Example(shapes=[(3,)], settings={"index": 1}),
        Example(shapes=[(2, 3)], settings={"index": 0, "size": 2}),
        Example(shapes=[(2, 3, 2)], settings={"index": -1, "axis": 1}),
    ],
)
def unstack(xp, x, *, index: int, size: int | None = None, axis: int = 0):
    """One slice of an array along an axis, without that axis; with a size, of so many."""
    number = from_front(axis, x)
    found = x.shape[number]
    if size not in {None, found}:
        raise ValueError(f"x has {count(found, 'slice')} along axis {number}, not {size}")
    if not -found <= index < found:
        raise ValueError(f"x has {count(found, 'slice')} along axis {number}, and none at {index}")
    return x[(slice(None),) * number + (index,)]


@unstack.vjp
def _(xp, gradient, y, x, *, index, size, axis):
    number = from_front(axis, x)
    if is_numpy(xp):
        return (Placed(xp, gradient, x.shape, (slice(None),) * number + (index,)),)
    slices = [slice(0, size) for size in x.shape]
    start = index % x.shape[number]
    slices[number] = slice(start, start + 1)
    part = xp.reshape(gradient, (*x.shape[:number], 1, *x.shape[number + 1 :]))
    return (place(xp, part, x.shape, tuple(slices)),)


@tensor(
    formula="tile(x, repetitions)",
    gradients=["sum of gradient over the repetitions"],
    examples=[
        Example(shapes=[(3,)], settings={"repetitions": [2]}),
        Example(shapes=[(2, 3)], settings={"repetitions": [2]}),
        Example(shapes=[(3,)], settings={"repetitions": [2, 1, 2]}),
        Example(shapes=[(2, 3)], settings={"repetitions": [3, 2]}),
    ],
)
def tile(xp, x, *, repetitions: tuple[int, ...]):
    """Input repeated as a whole: so many times along each axis, the last number for the last axis."""
    if min(repetitions, default=0) < 0:
        raise ValueError(f"repetitions {list(repetitions)} are negative")
    return xp.tile(x, repetitions)


@tile.vjp
def _(xp, gradient, y, x, *, repetitions):
    times = (1,) * (x.ndim - len(repetitions)) + repetitions
    sizes = (1,) * (len(repetitions) - x.ndim) + x.shape
    shape = tuple(size for pair in zip(times, sizes, strict=True) for size in pair)
    total = xp.sum(xp.reshape(gradient, shape), axis=tuple(range(0, len(shape), 2)))
    return (xp.reshape(total, x.shape),)


@tensor(
    formula="x within a margin of value",
    gradients=["gradient without the margin"],
    examples=[
        Example(shapes=[(2, 3)], settings={"widths": [[1, 0], [0, 2]]}),
        Example(shapes=[(2, 3)], settings={"widths": [[1, 1], [0, 0]], "value": -1.5}),
    ],
)
def pad(xp, x, *, widths: tuple[tuple[int, int], ...], value: Finite = 0.0):
    """Input with a margin of one value: for each axis, how wide before and behind."""
    if len(widths) != x.ndim:
        raise ValueError(f"widths has {count(len(widths), 'pair')}, but x has {count(x.ndim, 'axis')}")
    if any(width < 0 for pair in widths for width in pair):
        raise ValueError(f"widths {[list(pair) for pair in widths]} are negative")
    return pad_with(xp, x, widths, value)


@pad.vjp
def _(xp, gradient, y, x, *, widths, value):
    inner = tuple(slice(before, before + size) for (before, _), size in zip(widths, x.shape, strict=True))
    return (gradient[inner],)
