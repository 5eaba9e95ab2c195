"""What a run knows of its data."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np

from graphrun.data.encoding import Encoder
from graphrun.data.split import Split
from graphrun.data.table import Array

# The rows that are handed out at once where any number would do hold about this many bytes.
CHUNK_BYTES = 16 * 2**20

# Rows held back that take more than this are not kept in memory.
HELD_BYTES = 64 * 2**20


class DataSet(AbstractContextManager["DataSet"]):
    """The columns of a data file as batches of equal shape, one for each step.

    The training rows form an endless stream of epochs; with batches of B rows, step k takes its positions
    [k B, (k + 1) B). The batch of a step depends on the file, the seed and the step alone: a run can begin at any step.
    Integers come with 64 bits, floats with 32 or 64, as the file has them; a column of a CSV file whose numbers are all
    whole comes as integers.

    Attributes:
        names: the names of the columns.
        widths: the number of a column's categories, or of the columns of a matrix.
        shapes: of each column, the shape of a batch; its first axis is the batch.
        dtypes: of each column, the dtype of a batch.
        rows: the number of training rows.
        feeds: whether steps are given different rows.
        batch_size: the number of rows in a batch; all training rows where the graph file gives none.
        holdout_rows: the number of rows that are held back.
        categories: of each column of indices, the texts that they stand for.
        statistics: what a checkpoint must keep so that other rows are treated alike, as arrays of numbers.
        notes: what a user should know about how the file is read.
        apart: the rows that are held back, where they have a file of their own.
    """

    apart: "DataSet | None" = None

    def __init__(
        self, encoder: Encoder, split: Split, batch_size: int | None, dtypes: Sequence[np.dtype[Any]], *, shuffle: bool
    ) -> None:
        self.names: tuple[str, ...] = tuple(column.name for column in encoder.columns)
        self.rows = split.training_rows
        self.batch_size = min(batch_size or self.rows, self.rows)
        self.feeds = shuffle or self.batch_size < self.rows
        shapes = [encoder.shape(column) for column in encoder.columns]
        self.widths: Mapping[str, int] = {
            **{name: shape[-1] for name, shape in zip(self.names, shapes, strict=True) if shape},
            **{name: len(texts) for name, texts in encoder.categories.items()},
        }
        self.shapes = tuple((self.batch_size, *shape) for shape in shapes)
        self.dtypes = tuple(dtypes)
        self.holdout_rows = split.held_rows
        self.categories: Mapping[str, tuple[str, ...]] = encoder.categories
        self.statistics: Mapping[str, Array] = encoder.statistics()
        self.notes: tuple[str, ...] = ()
        row_bytes = sum(8 * int(np.prod(shape)) for shape in shapes)
        self._chunk_rows = max(1, CHUNK_BYTES // max(row_bytes, 1))

    @abstractmethod
    def batch(self, step: int) -> list[Array]:
        """Return the batch of a step, one array for each name, in their order; do not write into it."""

    @abstractmethod
    def part(self, step: int, start: int, stop: int) -> list[Array]:
        """Return some rows of the batch of a step, from one position up to but not including another."""

    @abstractmethod
    def holdout(self) -> list[Array] | None:
        """Return all rows that are held back, in the order of the file.

        None where there are none, or more than should be in memory at once: then take `holdout_batches`.
        """

    @abstractmethod
    def holdout_batches(self, rows: int | None = None) -> Iterator[list[Array]]:
        """Yield the rows that are held back, so many at a time, fewer at the end."""

    @abstractmethod
    def everything(self, rows: int | None = None) -> Iterator[list[Array]]:
        """Yield all rows of the file in its order, training rows or not, so many at a time, fewer at the end."""

    def held_back(self) -> Callable[[], Iterable[list[Array]]] | None:
        """Return what gives the rows that are held back: all at once or, where they are too many, piece by piece."""
        if self.apart is not None:
            return partial(self.apart.everything, HELD_BYTES // CHUNK_BYTES * self.apart._chunk_rows)
        if not self.holdout_rows:
            return None
        whole = self.holdout()
        return self.holdout_batches if whole is None else lambda: [whole]

    def close(self) -> None:
        """Let go of the file."""
        if self.apart is not None:
            self.apart.close()

    def __exit__(self, *_: object) -> None:
        self.close()
