"""The rows that feed a graph: its data set, opened when it is first needed, or rows that somebody gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from graphrun.base.errors import GraphrunError, UsageError
from graphrun.document import Document

if TYPE_CHECKING:
    from graphrun.data.dataset import DataSet


class DataSource:
    """The data set of a graph file, opened when it is first needed, once for each seed; empty where there is none.

    Args:
        document: the graph file.
        file: a file in place of the one that it names, or None.
        training: false where rows are only to be predicted, so that batches and held-back rows do not matter.
        fold: which of the folds is held back, where the rows have some; default the last one.
    """

    def __init__(
        self, document: Document, file: str | Path | None = None, *, training: bool = True, fold: int | None = None
    ) -> None:
        self.file = file
        self._document = document
        self._training = training
        self._fold = fold
        self._opened: dict[tuple[int, bool], DataSet] = {}
        if file is not None and document.data is None:
            raise UsageError(f"{document.source.name} has no 'data' section that {file} could take the place of")

    @property
    def is_divided(self) -> bool:
        """Whether the rows have folds, of which none was chosen."""
        return self.folds > 0 and self._fold is None

    @property
    def folds(self) -> int:
        """How many folds the rows have."""
        entry = self._document.data
        return 0 if entry is None else entry.holdout.folds

    def at_fold(self, fold: int) -> DataSource:
        """Return the same with another fold held back."""
        return DataSource(self._document, self.file, training=self._training, fold=fold)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, for which the file is opened only when the section names none.

        A file in its place need not have those that only other nodes than those asked for need: what the section's own
        file has is a name all the same.
        """
        entry = self._document.data
        if entry is None:
            return ()
        if entry.columns is not None:
            return tuple(entry.columns)
        from graphrun.data.opening import column_names

        document, folder = self._document, self._document.source.folder
        names = column_names(entry, folder, file=self.file, problems=document.problems)
        unknown = document.names_read().difference(names, document.nodes, document.parameters, document.constants)
        if self.file is not None and entry.file is not None and unknown:
            with suppress(GraphrunError):
                names += tuple(name for name in column_names(entry, folder) if name in unknown)
        return names

    def open(
        self, seed: int, statistics: Mapping[str, NDArray[Any]] | None = None, *, whole: bool = False
    ) -> DataSet | None:
        """Return the data set; what is drawn (order, held-back rows) derives from the seed.

        As a `whole` every step is given all training rows, in the order of the file.
        Columns that the graph does not read are not read from the file; where it reads none, there is no data set. The
        `statistics` that a checkpoint kept of the training part take the place of this file's.
        """
        entry = self._document.data
        if entry is None:
            return None
        if not statistics and (seed, whole) in self._opened:
            return self._opened[seed, whole]
        from graphrun.data.opening import column_names, open_data

        read = self._document.names_read().intersection(self.names)
        if not read:
            # Of a file that nothing is read of, it is told all the same that it is missing.
            unnamed = entry._replace(columns=None)
            column_names(unnamed, self._document.source.folder, file=self.file, problems=self._document.problems)
            return None
        if self._fold is not None:
            entry = entry._replace(holdout=entry.holdout._replace(fold=self._fold))
        if whole:
            entry = entry._replace(batch_size=None, shuffle=False)
        data = open_data(
            entry.part(read),
            self._document.source.folder,
            seed,
            statistics=statistics or None,
            file=self.file,
            needed=read,
            training=self._training,
            problems=self._document.problems,
        )
        if not statistics:
            self._opened[seed, whole] = data
        return data


class Rows:
    """Some rows of a data set, which every step is given."""

    feeds = False

    def __init__(self, columns: Sequence[NDArray[Any]], widths: Mapping[str, int]) -> None:
        self._columns = columns
        self.widths = widths

    def batch(self, _step: int) -> Sequence[NDArray[Any]]:
        """Return the rows."""
        return self._columns
