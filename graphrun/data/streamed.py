"""Data sets that are larger than memory: a Parquet file is read window by window, one ahead of the steps.

A file is cut into ranges of rows, of some 24 MiB at most and within one row group each. Without `shuffle`, each range
is a window, in the order of the file. With it, an epoch draws an order of the ranges; as many as make a window of some
96 MiB are read together, and the rows of a window are drawn in an order of their own. So the rows of a batch come from
a few ranges in random parts of the file, not from all of it, and every row stands exactly once in an epoch. Both orders
depend on the seed, the epoch and the window's number alone.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache
from threading import RLock
from typing import NamedTuple

import numpy as np

from graphrun.data.columns import Column, wanted_of
from graphrun.data.dataset import HELD_BYTES, DataSet
from graphrun.data.encoding import Encoder, Moments, batch_form
from graphrun.data.parquet_file import ParquetTable, Range
from graphrun.data.split import Split, pieces
from graphrun.data.table import Array, is_whole
from graphrun.declare.initializers import generator

WINDOW_BYTES = 96 * 2**20


class Window(NamedTuple):
    """Training rows that are in memory together: the positions of an epoch from `start` up to `stop`."""

    epoch: int
    number: int
    start: int
    stop: int
    ranges: tuple[int, ...]


class StreamedRows:
    """The rows of a file by ranges, with what makes values of them; safe to be used by two threads."""

    def __init__(self, table: ParquetTable, encoder: Encoder, split: Split, range_bytes: int) -> None:
        self.table = table
        self.encoder = encoder
        self.split = split
        self.wanted = wanted_of(encoder.columns)
        self.row_bytes = table.row_bytes(self.wanted)
        self.ranges = table.ranges(self.row_bytes, range_bytes)
        before = [split.training_before(span.start) for span in self.ranges]
        after = [*before[1:], split.training_rows]
        self.training = [b - a for a, b in zip(before, after, strict=True)]
        self.whole: set[str] = set()
        self.rounded: dict[str, str] = {}

    def load(self, span: Range, *, held: bool | None = None) -> list[Array]:
        """Return the rows of a range: those held back, the others, or all for None."""
        raw = self.table.fetch(self.wanted, span)
        for header in self.whole:
            raw[header] = raw[header].astype(np.int64)
        values = [batch_form(value) for value in self.encoder.assemble(raw, span.start)]
        if held is not None:
            mask = self.split.held(*span)
            if not (mask == held).all():
                values = [value[mask == held] for value in values]
        return self.encoder.scale(values)


def scan(rows: StreamedRows, *, find_whole: bool) -> list[Array] | None:
    """Read the file once: check every cell, find the statistics that are not given, return the rows held back.

    None stands for too many of these. Of a CSV file, which does not tell integers from floats, `rows.whole` is set to
    the columns whose numbers are all whole (`find_whole`).
    """
    encoder = rows.encoder
    moments = {c.name: Moments(gaps=c.fills) for c in encoder.columns if c.measured and c.name not in encoder.scalings}
    keep = rows.split.held_rows * rows.row_bytes <= HELD_BYTES
    kept: list[list[Array]] = []
    texts: dict[str, set[str]] = {
        c.headers[0]: set()
        for c in encoder.columns
        if c.entry.categories is not None and c.name not in encoder.categories
    }
    if texts:
        for span in rows.ranges:
            for header, cells in rows.table.fetch(dict.fromkeys(texts, True), span).items():
                texts[header].update(cells)
        for column in encoder.columns:
            if column.entry.categories is not None and column.name not in encoder.categories:
                encoder.find_categories(column, texts[column.headers[0]])
    whole = {header for header, text in rows.wanted.items() if find_whole and not text}
    for span in rows.ranges:
        raw = rows.table.fetch(rows.wanted, span)
        whole = {header for header in whole if is_whole(raw[header])}
        for header, text in rows.wanted.items():
            number = None if text or header in rows.rounded else rows.table.rounded(header, raw[header], span.start)
            if number is not None:
                rows.rounded[header] = number
        values = encoder.assemble(raw, span.start)
        held = rows.split.held(*span)
        for column, value in zip(encoder.columns, values, strict=True):
            if column.name in moments:
                moments[column.name].add(value[~held])
        if keep and held.any():
            kept.append([value[held] for value in values])
    for column in encoder.columns:
        if column.name in moments:
            encoder.find_scaling(column, moments[column.name])
    rows.whole = whole
    if not keep or not kept:
        return None
    joined = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
    return encoder.scale([_as_whole(v, c, whole) for v, c in zip(joined, encoder.columns, strict=True)])


def _as_whole(value: Array, column: Column, whole: set[str]) -> Array:
    """Return a value as `assemble` would make it with these columns as integers."""
    if value.dtype.kind == "f" and whole.issuperset(column.headers):
        value = value.astype(np.int64)
    return batch_form(value)


class StreamedDataSet(DataSet):
    """A data set of which only two windows of rows are in memory, with the next one being read by a thread.

    Attributes:
        cleanup: what else is to be done when it is closed.
    """

    def __init__(
        self,
        rows: StreamedRows,
        held: list[Array] | None,
        batch_size: int | None,
        seed: int,
        *,
        shuffle: bool,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        self._source = rows
        self.cleanup: Callable[[], object] = lambda: None
        first = Range(rows.ranges[0].start, rows.ranges[0].start + 1)
        dtypes = [value.dtype for value in rows.load(first)]
        super().__init__(rows.encoder, rows.split, batch_size, dtypes, shuffle=shuffle)
        self._held = held
        self._seed = seed
        self._shuffle = shuffle
        self._window_rows = max(1, window_bytes // max(rows.row_bytes, 1)) if shuffle else 1
        self._windows = lru_cache(maxsize=2)(self._divide)
        self._begin()
        self._last: tuple[int, list[Array]] | None = None

    def _begin(self) -> None:
        """Begin with no window read; the child of a fork begins anew, for the thread stays with the parent."""
        self._process = os.getpid()
        self._reader = ThreadPoolExecutor(1, "graphrun-data")
        self._loading: dict[tuple[int, int], Future[list[Array]]] = {}
        self._lock = RLock()

    def _alone(self) -> AbstractContextManager[object]:
        """Return what lets one thread at a time go from window to window."""
        if self._process != os.getpid():
            self._begin()
        return self._lock

    def _divide(self, epoch: int) -> list[Window]:
        """Return the windows of an epoch, in its order."""
        ranges = self._source.ranges
        order = np.arange(len(ranges))
        if self._shuffle:
            order = generator(self._seed, f"data:ranges:{epoch}").permutation(len(ranges))
        windows: list[Window] = []
        members: list[int] = []
        start = stop = 0
        for index in order.tolist():
            count = self._source.training[index]
            if members and stop - start + count > self._window_rows:
                windows.append(Window(epoch, len(windows), start, stop, tuple(members)))
                start, members = stop, []
            if count:
                members.append(index)
                stop += count
        if members:
            windows.append(Window(epoch, len(windows), start, stop, tuple(members)))
        return windows

    def _load(self, window: Window) -> list[Array]:
        """Read a window: its rows in the order of the epoch."""
        count = window.stop - window.start
        target = np.arange(count)
        if self._shuffle:
            target = generator(self._seed, f"data:rows:{window.epoch}:{window.number}").permutation(count)
        result = [np.empty((count, *s[1:]), d) for s, d in zip(self.shapes, self.dtypes, strict=True)]
        done = 0
        for index in window.ranges:
            values = self._source.load(self._source.ranges[index], held=False)
            rows = target[done : done + len(values[0])]
            for array, part in zip(result, values, strict=True):
                array[rows] = part
            done += len(rows)
        return result

    def _window(self, window: Window) -> list[Array]:
        """Return the rows of a window, and have the next one read meanwhile."""
        windows = self._windows(window.epoch)
        if window.number + 1 < len(windows):
            following = windows[window.number + 1]
        else:
            following = self._windows(window.epoch + 1)[0]
        for wanted in (window, following):
            if wanted[:2] not in self._loading:
                self._drop_all_but(window, following)
                self._loading[wanted[:2]] = self._reader.submit(self._load, wanted)
        self._drop_all_but(window, following)
        return self._loading[window[:2]].result()

    def _drop_all_but(self, *windows: Window) -> None:
        """Forget the rows of other windows."""
        for key in self._loading.keys() - {window[:2] for window in windows}:
            self._loading.pop(key).cancel()

    def batch(self, step: int) -> list[Array]:
        """Return the batch of a step."""
        with self._alone():
            if self._last is None or self._last[0] != step:
                self._last = step, self.part(step, 0, self.batch_size)
            return self._last[1]

    def part(self, step: int, start: int, stop: int) -> list[Array]:
        """Return some rows of the batch of a step; only the windows that they are in are read."""
        parts: list[list[Array]] = []
        first = step * self.batch_size
        for piece in pieces(first + start, first + stop, self.rows):
            windows = self._windows(piece.epoch)
            number = bisect_right(windows, piece.start, key=lambda window: window.start) - 1
            position = piece.start
            while position < piece.stop:
                window = windows[number]
                end = min(piece.stop, window.stop)
                rows = slice(position - window.start, end - window.start)
                with self._alone():
                    # Copies, so that a window can go as soon as the next one is wanted.
                    parts.append([value[rows].copy() for value in self._window(window)])
                position, number = end, number + 1
        return parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]

    def holdout(self) -> list[Array] | None:
        """Return all rows that are held back, None where there are none or too many."""
        return self._held

    def holdout_batches(self, rows: int | None = None) -> Iterator[list[Array]]:
        """Yield the rows that are held back."""
        if self.holdout_rows:
            parts = (self._source.load(span, held=True) for span in self._source.ranges)
            yield from rechunked(parts, rows or self._chunk_rows)

    def everything(self, rows: int | None = None) -> Iterator[list[Array]]:
        """Yield all rows of the file."""
        parts = (self._source.load(span) for span in self._source.ranges)
        yield from rechunked(parts, rows or self._chunk_rows)

    def close(self) -> None:
        """End the thread and let go of the file."""
        super().close()
        self._reader.shutdown(cancel_futures=True)
        self._loading.clear()
        self._last = None
        self._source.table.close()
        self.cleanup()


def rechunked(parts: Iterator[list[Array]], rows: int) -> Iterator[list[Array]]:
    """Yield the rows of all parts, so many at a time, fewer at the end."""
    waiting: list[list[Array]] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part[0])
        if count >= rows:
            joined = [np.concatenate(column) for column in zip(*waiting, strict=True)]
            full = count - count % rows
            for start in range(0, full, rows):
                yield [value[start : start + rows] for value in joined]
            waiting, count = [[value[full:] for value in joined]], count - full
    if count:
        yield [np.concatenate(column) for column in zip(*waiting, strict=True)]
