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


def parts_of(order: Array, cuts: Array, folds: int) -> list[Array]:
    """Return parts of an order of rows, as equal as the places allow where it may be cut."""
    wanted = np.arange(1, folds) * len(order) / folds
    places = cuts[np.abs(cuts[:, None] - wanted).argmin(axis=0)] if len(cuts) else cuts
    return np.split(order, places)


def arranged(by: str, labels: Array, seed: int) -> tuple[Array, Array]:
    """Return an order of the rows whose beginning is to be held back, and where it may be cut.

    Args:
        by: "stratify": each part of the order has all labels in the shares of the whole; "group": rows of one label,
            in an order that is drawn, are not cut apart; "time": nor are those of one time, the latest being first.
        labels: of each row, its stratum, group or time.
        seed: what is drawn derives from it.
    """
    random, rows = generator(seed, "data:holdout"), len(labels)
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if by == "stratify":
        order = random.permutation(rows)
        order = order[np.argsort(codes[order], kind="stable")]
        # Where in its stratum a row comes, from 0 to 1; what is alike there, in an order that is drawn.
        place = (np.arange(rows) - (np.cumsum(counts) - counts)[codes[order]] + 0.5) / counts[codes[order]]
        return order[np.lexsort((random.random(rows), place))], np.arange(1, rows)
    rank = -codes if by == "time" else random.permutation(len(counts))[codes]
    order = np.argsort(rank, kind="stable")
    return order, 1 + np.flatnonzero(np.diff(rank[order]))


class Split:
    """The training rows and those held back.

    Of the rows up to the end of each block, the share is held back, rounded to whole rows and at least one; which ones
    in a block, the seed and the block's number decide.

    Args:
        held: of each row whether it is held back, where something else decides.
        folds, fold: how many parts the rows are divided into, and which one is held back in place of a share.
    """

    def __init__(
        self, rows: int, share: float, seed: int, held: Array | None = None, *, folds: int = 0, fold: int = 0
    ) -> None:
        self._folds, self._fold = folds, fold
        self.rows = rows
        self._share = share
        self._seed = seed
        self._given = held
        self.held_rows = self._held_before(rows) if held is None else int(np.count_nonzero(held))
        self.training_rows = rows - self.held_rows
        self._block = lru_cache(maxsize=4)(self._draw)

    def held(self, start: int, stop: int) -> Array:
        """Return of each row in a range whether it is held back."""
        if self._given is not None:
            return self._given[start:stop]
        if not self.held_rows:
            return np.zeros(stop - start, bool)
        parts = []
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            first = number * BLOCK
            parts.append(self._block(number)[max(start - first, 0) : stop - first])
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    def training_before(self, row: int) -> int:
        """Return the number of training rows among the first rows."""
        if self._given is not None:
            return row - int(np.count_nonzero(self._given[:row]))
        number = row // BLOCK
        within = int(self._block(number)[: row - number * BLOCK].sum()) if self.held_rows and row % BLOCK else 0
        return row - self._held_before(number * BLOCK if row % BLOCK else row) - within

    def _held_before(self, end: int) -> int:
        """Return how many rows are held back before the end of a block."""
        if self._folds:
            return (end + self._folds - 1 - self._fold) // self._folds
        if not self._share or not end:
            return 0
        return share_of(end, self._share)

    def _draw(self, number: int) -> Array:
        first, last = number * BLOCK, min((number + 1) * BLOCK, self.rows)
        held = np.zeros(last - first, bool)
        random = generator(self._seed, f"data:holdout:{number}")
        order = random.permutation(last - first)
        if self._folds:
            held[order[np.arange(first, last) % self._folds == self._fold]] = True
        else:
            held[order[: self._held_before(last) - self._held_before(first)]] = True
        return held


def share_of(rows: int, share: float) -> int:
    """Return a share of rows: a whole number, at least one."""
    return max(1, math.floor(share * rows + 0.5))


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
