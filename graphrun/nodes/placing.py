"""Placing elements in an array of zeros: margins, strides, windows that overlap, positions that are data.

The array API has no assignment under a compiler and no scattering, so each has two forms: NumPy assigns to an array
of its own, other libraries add padded arrays, which XLA fuses, or use the `.at` of their arrays.
"""

from __future__ import annotations

import itertools
import math


def is_numpy(xp):
    """Whether arrays are NumPy's: then values may be looked at, and fresh arrays be written to."""
    return xp.__name__ == "numpy"


def pad_with(xp, x, widths, value=0.0):
    """Put margins around an array: for each of its axes, how wide before and behind."""
    if not any(before or behind for before, behind in widths):
        return x
    if is_numpy(xp):
        shape = tuple(size + sum(pair) for size, pair in zip(x.shape, widths, strict=True))
        # Plain zeros are cheaper than a fill.
        padded = xp.zeros(shape, x.dtype) if value == 0 else xp.full(shape, value, x.dtype)
        padded[tuple(slice(before, before + size) for (before, _), size in zip(widths, x.shape, strict=True))] = x
        return padded
    for axis, (before, behind) in enumerate(widths):
        parts = [
            xp.full((*x.shape[:axis], width, *x.shape[axis + 1 :]), value, dtype=x.dtype) for width in (before, behind)
        ]
        x = xp.concat([parts[0], x, parts[1]], axis=axis)
    return x


class Placed:
    """Zeros of a shape with x in a place, made where that is asked for; or added to an array without being made."""

    def __init__(self, xp, x, shape, index):
        self.xp, self.x, self.shape, self.index = xp, x, shape, index

    def __call__(self):
        """Make it."""
        # A single number may be Python's.
        placed = self.xp.zeros(self.shape, self.xp.result_type(self.x))
        placed[self.index] = self.x
        return placed

    def add_to(self, total):
        """Add it to an array of its shape."""
        total[self.index] += self.x


def place(xp, x, shape, slices):
    """Zeros of a shape with x in the place that is cut out by slices of positive steps, one for each axis."""
    if is_numpy(xp):
        placed = xp.zeros(shape, x.dtype)
        placed[slices] = x
        return placed
    widths = []
    for axis, (size, piece) in enumerate(zip(shape, slices, strict=True)):
        start, _, step = piece.indices(size)
        x = spread_out(xp, x, axis, step)
        start = min(start, size - x.shape[axis])
        widths.append((start, size - start - x.shape[axis]))
    return pad_with(xp, x, widths)


def spread_out(xp, x, axis, step):
    """Put zeros between the elements along an axis, so that they are `step` apart."""
    if step == 1 or x.shape[axis] < 2:
        return x
    shape = (*x.shape[:axis], x.shape[axis] * step, *x.shape[axis + 1 :])
    apart = xp.reshape(xp.stack([x, *[xp.zeros_like(x)] * (step - 1)], axis=axis + 1), shape)
    return apart[(slice(None),) * axis + (slice(0, shape[axis] - step + 1),)]


def window_slices(kernel, stride, dilation, out):
    """For each place in a window, in row-major order, the slices that take it from every window."""
    along_each_axis = [
        [slice(i * apart, i * apart + step * (count - 1) + 1, step) for i in range(size)]
        for size, step, apart, count in zip(kernel, stride, dilation, out, strict=True)
    ]
    return list(itertools.product(*along_each_axis))


def add_windows(xp, pieces, shape, slices):
    """Add up windows that overlap: each piece at its place, the last axes, in an array of a shape."""
    total = None
    for piece, place_of_piece in zip(pieces, slices, strict=True):
        index = (*(slice(0, size) for size in piece.shape[: piece.ndim - len(place_of_piece)]), *place_of_piece)
        if total is None:
            total = place(xp, piece, shape, index)
        elif is_numpy(xp):
            total[index] += piece
        else:
            total = total + place(xp, piece, shape, index)
    return total


def add_rows(xp, count, indices, rows):
    """Add rows up by number: row i of the result, of `count`, is the sum of the rows whose index is i.

    Args:
        xp: the array namespace.
        count: how many rows the result has.
        indices: whole numbers of any shape; negative ones count from the end.
        rows: one for each index, of any further axes.
    """
    rest = rows.shape[indices.ndim :]
    shape = (count, *rest)
    size = math.prod(rest)
    if not is_numpy(xp):
        return xp.zeros(shape, dtype=rows.dtype).at[indices].add(rows)
    # One number at a time along a flat array: four times as fast as np.add.at on rows.
    flat = xp.reshape(indices, (-1, 1)) % max(count, 1) * size + xp.arange(size)
    sums = xp.bincount(xp.reshape(flat, (-1,)), weights=xp.reshape(rows, (-1,)), minlength=count * size)
    return xp.reshape(sums, shape).astype(rows.dtype, copy=False)
