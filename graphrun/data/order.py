"""The endless stream of epochs that batches are cut from."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from graphrun.data.table import Array
from graphrun.declare.initializers import generator


class Piece(NamedTuple):
    """The part of a stretch that lies in one epoch: positions from `start` up to but not including `stop`."""

    epoch: int
    start: int
    stop: int


def pieces(start: int, stop: int, rows: int) -> Iterator[Piece]:
    """Yield the parts of a stretch of the stream, which has epochs of so many rows."""
    while start < stop:
        epoch, first = divmod(start, rows)
        last = min(rows, first + stop - start)
        yield Piece(epoch, first, last)
        start += last - first


class Order:
    """The order of the rows in each epoch, which depends on the seed and the epoch's number alone."""

    def __init__(self, rows: int, batch_size: int, seed: int, *, shuffle: bool) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._seed = seed
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, number: int) -> Array:
        if not self.shuffle:
            return np.arange(self.rows)
        return generator(self._seed, f"data:epoch:{number}").permutation(self.rows)

    def indices(self, step: int) -> Array:
        """Return the rows of the batch of a step."""
        start = step * self.batch_size
        epoch, first = divmod(start, self.rows)
        if first + self.batch_size <= self.rows:
            return self.epoch(epoch)[first : first + self.batch_size]
        parts = [self.epoch(p.epoch)[p.start : p.stop] for p in pieces(start, start + self.batch_size, self.rows)]
        return np.concatenate(parts)
