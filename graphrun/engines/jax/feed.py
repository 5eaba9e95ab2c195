"""A data set on the device: whole columns of which each step takes its rows, or the rows of some steps stacked.

Rows that stand in order are a slice, which XLA does not even copy. A gather takes a processor's XLA one element at a
time on one core, as long as both passes of a small network: there NumPy puts the rows of the next steps in order, by
copies of whole rows, while the steps before are made. On an accelerator a gather costs little, and moving rows much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import lax
from numpy.typing import NDArray

from graphrun.base.types import Array
from graphrun.engines.jax.devices import Placement
from graphrun.plan.plan import Feed, Plan

INDICES_AT_ONCE = 1 << 16
"""So many rows are named to the device at once: 256 kB, put together while the steps before are made."""

BYTES_AT_ONCE = 1 << 24
"""So much of a data set that is not held in memory goes to the device at once."""

STEPS_AT_ONCE = 4096


class StepRows:
    """The rows that steps are given, on the device for a stretch of so many steps at once; here none at all.

    `limit` is how many steps a stretch has, the first of which begins with step 0; None where all are given the same.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._endless = limit is None
        self._limit = STEPS_AT_ONCE if limit is None else max(1, min(STEPS_AT_ONCE, limit))
        self._placed: tuple[int, Any] = (-1, None)
        self._ahead: tuple[int, Any] = (-1, None)

    def room(self, step: int) -> int | None:
        """Return how many steps one call of the loop can make from a step on; None where there is no end."""
        return None if self._endless else self._limit - step % self._limit

    def of(self, step: int) -> Any:
        """Return what the loop picks the rows from, of a step and those after it; its shapes are always the same."""
        number = step // self._limit
        if self._placed[0] != number:
            ahead = self._ahead if self._ahead[0] == number else self._get(number)
            self._placed, self._ahead = ahead, (-1, None)
        return self._placed[1]

    def prepare(self, step: int) -> None:
        """Get ready for a step, while another one is under way."""
        number = step // self._limit
        if number not in (self._placed[0], self._ahead[0]):
            self._ahead = self._get(number)

    def _get(self, number: int) -> tuple[int, Any]:
        return number, self._place(self._read(number * self._limit))

    def _read(self, _first: int) -> Any:
        """Return what a stretch of steps needs of the data set, in memory."""
        return ()

    def _place(self, read: Any) -> Any:
        """Put it on the device."""
        return read

    def pick(self, _columns: Any, _step: Any) -> Sequence[Array]:
        """Return the columns of the rows of a step, out of what `of` gave; it is traced."""
        return ()


class SlicedRows(StepRows):
    """Columns that lie on the device whole, of which every epoch takes the rows in their order."""

    def __init__(self, feed: Any, arrays: Sequence[NDArray[Any]], placement: Placement) -> None:
        super().__init__()
        self._rows, self._size = feed.rows, feed.batch_size
        # The last batch of an epoch goes on with the first rows of the next.
        ends = [
            np.concatenate([array, array[: self._size - 1]]) if self._rows % self._size else array for array in arrays
        ]
        self._arrays = [placement.whole(array) for array in ends]

    def of(self, _step: int) -> Any:
        """Return the columns."""
        return self._arrays

    def pick(self, columns: Any, step: Any) -> Sequence[Array]:
        """Slice the rows of a step."""
        first = step * self._size % self._rows
        return [lax.dynamic_slice_in_dim(column, first, self._size) for column in columns]


class GatheredRows(StepRows):
    """Columns that lie on the device whole; a stretch is told the numbers of its steps' rows."""

    def __init__(self, feed: Any, arrays: Sequence[NDArray[Any]], placement: Placement) -> None:
        self._feed = feed
        self._arrays = [placement.whole(array) for array in arrays]
        self._placement = placement
        super().__init__(INDICES_AT_ONCE // feed.batch_size)

    def _read(self, first: int) -> Any:
        return numbers(self._feed, first, self._limit)

    def _place(self, read: Any) -> Any:
        return self._arrays, self._placement.whole(read)

    def pick(self, columns: Any, step: Any) -> Sequence[Array]:
        """Gather the rows of a step."""
        arrays, numbers = columns
        return [array.at[numbers[step % self._limit]].get(mode="promise_in_bounds") for array in arrays]


class StackedRows(StepRows):
    """Rows that are read step by step; of several processes, each reads those of its own devices."""

    def __init__(self, feed: Any, dtypes: Sequence[Any], placement: Placement) -> None:
        self._feed = feed
        self._dtypes = dtypes
        self._placement = placement
        self._shapes = feed.shapes
        row_bytes = sum(dtype.itemsize * math.prod(shape) for shape, dtype in zip(self._shapes, dtypes, strict=True))
        self._parts = placement.parts(self._shapes[0][0])
        super().__init__(BYTES_AT_ONCE // max(row_bytes, 1))

    def _read(self, first: int) -> Any:
        """Return for each part of the rows of a step the columns, stacked step by step."""
        read = {}
        for start, stop in self._parts:
            stacks: list[NDArray[Any]] = [
                np.empty((self._limit, stop - start, *shape[1:]), dtype)
                for shape, dtype in zip(self._shapes, self._dtypes, strict=True)
            ]
            for k in range(self._limit):
                for stack, column in zip(stacks, self._feed.part(first + k, start, stop), strict=True):
                    stack[k] = column
            read[start] = stacks
        return read

    def _place(self, read: Any) -> Any:
        return [
            self._placement.stacked((self._limit, *shape), {start: stacks[column] for start, stacks in read.items()})
            for column, shape in enumerate(self._shapes)
        ]

    def pick(self, columns: Any, step: Any) -> Sequence[Array]:
        """Take the rows of a step."""
        return [stack[step % self._limit] for stack in columns]


class OrderedRows(StackedRows):
    """Rows of a data set in memory, put in the order of the steps by NumPy."""

    def _read(self, first: int) -> Any:
        chosen = numbers(self._feed, first, self._limit).ravel()
        pairs = zip(self._feed.arrays, self._dtypes, self._shapes, strict=True)
        return {
            0: [
                array.take(chosen, axis=0).astype(dtype, copy=False).reshape(self._limit, *shape)
                for array, dtype, shape in pairs
            ]
        }


def numbers(feed: Any, first: int, steps: int) -> NDArray[np.int32]:
    """Return the numbers of the rows of some steps: a stretch of the endless stream of epochs.

    Asking the data set for one step after the other takes 4 us each, a third of a small network's step.
    """
    rows, size = feed.rows, feed.batch_size
    start, stop = first * size, (first + steps) * size
    orders = []
    for epoch in range(start // rows, -(-stop // rows)):
        before = epoch * rows
        orders.append(feed.order(epoch)[max(start - before, 0) : stop - before])
    return np.concatenate(orders).astype(np.int32).reshape(steps, size)


def make_rows(plan: Plan, feed: Feed | None, placement: Placement) -> StepRows:
    """Return the rows of a data set, whole or by stretches."""
    if feed is None or not plan.feeds:
        return StepRows()
    dtypes = [column_dtype(plan, slot) for slot in plan.data]
    arrays, shuffled = getattr(feed, "arrays", None), getattr(feed, "shuffled", True)
    if arrays is None or placement.mesh is not None:
        return StackedRows(feed, dtypes, placement)
    if shuffled and placement.is_processor:
        return OrderedRows(feed, dtypes, placement)
    whole = [np.asarray(array, dtype) for array, dtype in zip(arrays, dtypes, strict=True)]
    return (GatheredRows if shuffled else SlicedRows)(feed, whole, placement)


def column_dtype(plan: Plan, slot: int) -> np.dtype[Any]:
    """Return the dtype of a column: integers where it only selects, else the graph's."""
    own: np.dtype[Any] = plan.leaves[slot].dtype
    return own if own.kind in "iu" else plan.dtype
