"""Which rows are held back, and the endless stream of epochs that batches of the others are cut from."""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from graphrun.data.table import Array
from graphrun.declare.initializers import generator

# Rows are drawn block by block, so that the share is kept in every part of a file and no draw is larger than this,
# however many rows there are. A file of fewer rows is one block: each of its rows is as likely as any other.
BLOCK = 65536


class Split:
    """The training rows and those held back.

    Of the rows up to the end of each block, the share is held back, rounded to whole rows and at least one; which ones
    in a block, the seed and the block's number decide.
    """

    def __init__(self, rows: int, share: float, seed: int) -> None:
        self.rows = rows
        self._share = share
        self._seed = seed
        self.held_rows = self._held_before(rows)
        self.training_rows = rows - self.held_rows
        self._block = lru_cache(maxsize=4)(self._draw)

    def held(self, start: int, stop: int) -> Array:
        """Return of each row in a range whether it is held back."""
        if not self.held_rows:
            return np.zeros(stop - start, bool)
        parts = []
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            first = number * BLOCK
            parts.append(self._block(number)[max(start - first, 0) : stop - first])
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    def training_before(self, row: int) -> int:
        """Return the number of training rows among the first rows."""
        number = row // BLOCK
        within = int(self._block(number)[: row - number * BLOCK].sum()) if self.held_rows and row % BLOCK else 0
        return row - self._held_before(number * BLOCK if row % BLOCK else row) - within

    def _held_before(self, end: int) -> int:
        """Return how many rows are held back before the end of a block."""
        if not self._share or not end:
            return 0
        return max(1, math.floor(self._share * end + 0.5))

    def _draw(self, number: int) -> Array:
        first, last = number * BLOCK, min((number + 1) * BLOCK, self.rows)
        held = np.zeros(last - first, bool)
        random = generator(self._seed, f"data:holdout:{number}")
        held[random.permutation(last - first)[: self._held_before(last) - self._held_before(first)]] = True
        return held


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
