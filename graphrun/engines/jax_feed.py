"""A data set on the device: whole columns of which each step gathers its rows, or the rows of some steps stacked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from graphrun.engines.jax_devices import Placement
from graphrun.plan import Array, Feed, Plan

INDICES_AT_ONCE = 1 << 16
"""So many rows are named to one call of the loop: 256 kB, which are on their way while the steps before are made."""

BYTES_AT_ONCE = 1 << 26
"""So much of a data set that is not held in memory goes to the device at once."""


class Rows(Protocol):
    """The rows that steps are given."""

    @property
    def limit(self) -> int | None:
        """How many steps one call of the loop can make, where that is limited."""

    def of(self, first: int, count: int) -> Any:
        """Return what the loop picks the rows of some steps from; its shapes are always the same."""

    def prepare(self, first: int) -> None:
        """Get ready for a call of the loop from some step on, while another one is under way."""

    def pick(self, columns: Any, number: Any) -> Sequence[Array]:
        """Return the columns of the rows of the step of some number, from the first one of `of`; it is traced."""


class NoRows:
    """Of a graph whose steps are all given the same."""

    limit = None

    def of(self, _first: int, _count: int) -> Any:
        """Return nothing."""
        return ()

    def prepare(self, _first: int) -> None:
        """Do nothing."""

    def pick(self, _columns: Any, _number: Any) -> Sequence[Array]:
        """Return no columns."""
        return ()


class GatheredRows:
    """Columns that lie on the device whole; a call is told the numbers of its steps' rows."""

    def __init__(self, feed: Any, arrays: Sequence[Array], place: Any) -> None:
        self._feed = feed
        self._arrays = arrays
        self._place = place
        self._size = len(feed.indices(0))
        self.limit = max(1, min(1024, INDICES_AT_ONCE // self._size))
        self._prepared: tuple[int, NDArray[Any]] | None = None

    def of(self, first: int, count: int) -> Any:
        """Return the columns and the numbers of the rows of each step."""
        if self._prepared is not None and self._prepared[0] == first:
            numbers = self._prepared[1]
        else:
            numbers = np.zeros((self.limit, self._size), np.int32)
            numbers[:count] = self._numbers(first, count)
        return self._arrays, self._place(numbers)

    def prepare(self, first: int) -> None:
        """Put together the numbers of the rows of as many steps as a call can make."""
        self._prepared = first, self._numbers(first, self.limit).astype(np.int32)

    def _numbers(self, first: int, count: int) -> NDArray[Any]:
        """Return the numbers of the rows of some steps: a stretch of the endless stream of epochs.

        Asking the data set for one step after the other takes 4 us each, a third of a small network's step.
        """
        rows = self._feed.rows
        start, stop = first * self._size, (first + count) * self._size
        stretches = []
        for epoch in range(start // rows, -(-stop // rows)):
            before = epoch * rows
            stretches.append(self._feed.order(epoch)[max(start - before, 0) : stop - before])
        return np.concatenate(stretches).reshape(count, self._size)

    def pick(self, columns: Any, number: Any) -> Sequence[Array]:
        """Gather the rows of a step."""
        arrays, numbers = columns
        return [array.at[numbers[number]].get(mode="promise_in_bounds") for array in arrays]


class StackedRows:
    """Rows that are read step by step, and sent to the device for some steps at once."""

    def __init__(self, feed: Feed, dtypes: Sequence[Any], place: Any) -> None:
        self._feed = feed
        self._dtypes = dtypes
        self._place = place
        first = feed.batch(0)
        size = sum(np.asarray(column).nbytes for column in first)
        self._shapes = [np.shape(column) for column in first]
        self.limit = max(1, min(1024, BYTES_AT_ONCE // max(size, 1)))

    def of(self, first: int, count: int) -> Any:
        """Return the rows of each step, one step after the other."""
        stacks: list[NDArray[Any]] = [
            np.zeros((self.limit, *shape), dtype) for shape, dtype in zip(self._shapes, self._dtypes, strict=True)
        ]
        for k in range(count):
            for stack, column in zip(stacks, self._feed.batch(first + k), strict=True):
                stack[k] = column
        return [self._place(stack) for stack in stacks]

    def prepare(self, _first: int) -> None:
        """Do nothing: rows that are read from a file are read when it is known that they are needed."""

    def pick(self, columns: Any, number: Any) -> Sequence[Array]:
        """Take the rows of a step."""
        return [jnp.asarray(stack)[number] for stack in columns]


class SharedRows:
    """Rows of which each process reads those of its own devices, and sends them there for some steps at once."""

    def __init__(self, feed: Any, dtypes: Sequence[Any], placement: Placement) -> None:
        self._feed = feed
        self._dtypes = dtypes
        self._placement = placement
        first = feed.batch(0)
        self._shapes = [np.shape(column) for column in first]
        size = sum(np.asarray(column).nbytes for column in first)
        self.limit = max(1, min(256, BYTES_AT_ONCE // max(size, 1)))

    def of(self, first: int, count: int) -> Any:
        """Return the rows of each step, shared out along their axis."""

        def part(number: int, shape: tuple[int, ...], place: Any) -> NDArray[Any]:
            own = place[1]
            rows = len(range(*own.indices(shape[0])))
            stack = np.zeros((self.limit, rows, *shape[1:]), self._dtypes[number])
            for k in range(count):
                stack[k] = self._own_rows(first + k, number, own)
            return stack

        return [
            self._placement.shared((self.limit, *shape), 1, partial(part, number, shape))
            for number, shape in enumerate(self._shapes)
        ]

    def _own_rows(self, step: int, number: int, own: slice) -> NDArray[Any]:
        """Return one column of a part of the rows of a step."""
        arrays = getattr(self._feed, "arrays", None)
        if arrays is None:
            return np.asarray(self._feed.batch(step)[number][own])
        indices = self._feed.indices(step)
        return np.asarray(arrays[number][indices[own]])

    def prepare(self, _first: int) -> None:
        """Do nothing."""

    def pick(self, columns: Any, number: Any) -> Sequence[Array]:
        """Take the rows of a step."""
        return [stack[number] for stack in columns]


def make_rows(plan: Plan, feed: Feed | None, placement: Placement) -> Rows:
    """Return the rows of a data set.

    Args:
        plan: the plan.
        feed: the data set, or None.
        placement: puts arrays on the device.
    """
    place = placement.whole
    if feed is None or not plan.feeds:
        return NoRows()
    dtypes = [column_dtype(plan, slot) for slot in plan.data]
    if placement.mesh is not None:
        return SharedRows(feed, dtypes, placement)
    arrays = getattr(feed, "arrays", None)
    if arrays is None:
        return StackedRows(feed, dtypes, place)
    whole = [place(np.asarray(array, dtype)) for array, dtype in zip(arrays, dtypes, strict=True)]
    return GatheredRows(feed, whole, place)


def column_dtype(plan: Plan, slot: int) -> np.dtype[Any]:
    """Return the dtype of a column: integers where it only selects, else the graph's."""
    own: np.dtype[Any] = plan.leaves[slot].dtype
    return own if own.kind in "iu" else plan.dtype
