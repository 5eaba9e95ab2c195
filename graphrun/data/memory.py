"""Data sets that are in memory."""

from collections.abc import Iterator

import numpy as np

from graphrun.data.dataset import DataSet
from graphrun.data.encoding import Encoder, Moments, batch_form
from graphrun.data.split import Order, Split
from graphrun.data.table import Array


class MemoryDataSet(DataSet):
    """A data set in memory; when shuffled, each epoch is a permutation of all training rows.

    Attributes:
        arrays: the training rows of each column, in the order of the file, as an engine may hold them on its device;
            integers may have fewer than 64 bits here.
        shuffled: whether that is another one in each epoch.
        order: gives the order of the training rows in an epoch, as positions in `arrays`.
        indices: gives the rows of the batch of a step, as positions in `arrays`.
    """

    def __init__(self, encoder: Encoder, raw: dict[str, Array], split: Split, order: Order) -> None:
        for column in encoder.columns:
            if column.entry.categories is not None and column.name not in encoder.categories:
                encoder.find_categories(column, set(raw[column.headers[0]]))
        values = encoder.assemble(raw)
        raw.clear()
        self._held = split.held(0, split.rows)
        for column, value in zip(encoder.columns, values, strict=True):
            if column.measured and column.name not in encoder.scalings:
                moments = Moments(gaps=column.fills)
                moments.add(value[~self._held] if split.held_rows else value)
                encoder.find_scaling(column, moments)
        values = encoder.scale(values)
        dtypes = [batch_form(value[:0]).dtype for value in values]
        super().__init__(encoder, split, order.batch_size, dtypes, shuffle=order.shuffle)
        self.shuffled = order.shuffle
        self.order, self.indices = order.epoch, order.indices
        self.arrays: list[Array] = []
        self._held_arrays: list[Array] = []
        for value in values:
            # Split one by one, so that memory holds only one of them twice.
            self.arrays.append(_locked(value[~self._held] if split.held_rows else value))
            self._held_arrays.append(_locked(value[self._held]))

    def batch(self, step: int) -> list[Array]:
        """Return the batch of a step."""
        if not self.feeds:
            return [batch_form(array) for array in self.arrays]
        start = step * self.batch_size % self.rows
        stop = start + self.batch_size
        if stop <= self.rows and not self.shuffled:
            return [batch_form(array[start:stop]) for array in self.arrays]
        indices = self.indices(step)
        return [batch_form(array.take(indices, axis=0)) for array in self.arrays]

    def part(self, step: int, start: int, stop: int) -> list[Array]:
        """Return some rows of the batch of a step; no others are copied."""
        indices = self.indices(step)[start:stop]
        return [batch_form(array[indices]) for array in self.arrays]

    def holdout(self) -> list[Array] | None:
        """Return all rows that are held back, None where there are none."""
        return [batch_form(array) for array in self._held_arrays] if self.holdout_rows else None

    def holdout_batches(self, rows: int | None = None) -> Iterator[list[Array]]:
        """Yield the rows that are held back."""
        size = rows or self._chunk_rows
        for start in range(0, self.holdout_rows, size):
            yield [batch_form(array[start : start + size]) for array in self._held_arrays]

    def everything(self, rows: int | None = None) -> Iterator[list[Array]]:
        """Yield all rows of the file."""
        size = rows or self._chunk_rows
        place = np.where(self._held, np.cumsum(self._held), np.cumsum(~self._held)) - 1
        for start in range(0, len(self._held), size):
            held, places = self._held[start : start + size], place[start : start + size]
            chunk = []
            for training, kept in zip(self.arrays, self._held_arrays, strict=True):
                part = np.empty((len(held), *training.shape[1:]), training.dtype)
                part[held], part[~held] = kept[places[held]], training[places[~held]]
                chunk.append(batch_form(part))
            yield chunk


def _locked(array: Array) -> Array:
    array.flags.writeable = False
    return array
