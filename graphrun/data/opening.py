"""From a `data` section to a data set: which file, which reader, in memory or not."""

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path as FilePath
from typing import NamedTuple

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.memory import COPIES, MORE_MEMORY, memory_limit, size_text
from graphrun.base.reads import is_read
from graphrun.base.wording import counted, nearest, printable, quote
from graphrun.data import duck
from graphrun.data.array_table import ReadTable
from graphrun.data.columns import FILE, Column, dropped, own_names, resolve, wanted_of, with_gaps
from graphrun.data.csv_file import CsvTable
from graphrun.data.dataset import DataSet
from graphrun.data.encoding import Encoder, Statistics
from graphrun.data.memory import MemoryDataSet
from graphrun.data.npz_file import NpzTable
from graphrun.data.parquet_file import RANGE_BYTES, ParquetTable
from graphrun.data.problems import DataError, Mistakes
from graphrun.data.split import Order, Split, arranged, parts_of, share_of
from graphrun.data.streamed import WINDOW_BYTES, StreamedDataSet, StreamedRows, scan
from graphrun.data.table import Array, Table, Wanted, filled, whole_as_integers
from graphrun.data.times import sortable
from graphrun.document.data_section import SUFFIXES, DataEntry, HoldoutEntry, suffix_of
from graphrun.document.marks import Path
from graphrun.document.problems import Problems

# Files with more bytes of numbers than this are streamed, where the steps take batches.
BUDGET = 512 * 2**20

# DuckDB reads CSV three to ten times as fast as Python, and takes 0.2 s to load.
LARGE_CSV = 4 * 2**20


# A text of a column is an object of Python's, and its place in the array.
TEXT_BYTES = 72

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

NO_FILE = "the graph reads data, and no file is named", "write data: {file: ...}, or give --data FILE"


class Limits(NamedTuple):
    """Sizes in bytes, which tests make small."""

    budget: int = BUDGET
    csv: int = LARGE_CSV
    range: int = RANGE_BYTES
    window: int = WINDOW_BYTES


class Reading(NamedTuple):
    """What is asked of a data file: the arguments of `open_data`, and the columns that are taken."""

    entry: DataEntry
    seed: int
    columns: Sequence[Column]
    statistics: Statistics | None
    mistakes: Mistakes
    limits: Limits
    training: bool

    def split(self, rows: int, texts: Callable[[str], Array]) -> Split:
        """Return which rows are held back, after checking that enough are left; `texts` gives a column's cells."""
        entry, batch_size = self.entry.holdout, self.entry.batch_size
        seed, of = self.seed if entry.seed is None else entry.seed, counted(rows, "row")
        given = self._held(entry, seed, texts) if entry.by and entry.draws else None
        split = Split(rows, entry.share, seed, given, folds=entry.folds, fold=entry.fold)
        if rows < entry.folds:
            self.mistakes.fail(("data", "folds"), f"{of} cannot be divided into {entry.folds} folds")
        if not split.training_rows:
            self.mistakes.fail(("data", "holdout"), f"'holdout' {entry.share:g} of {of} leaves no row to train on")
        if batch_size is not None and batch_size > split.training_rows:
            message = f"a batch of {batch_size:,} rows is larger than the training part"
            left = counted(split.training_rows, "training row")
            held = f" ({split.held_rows:,} of {of} are held back)" if split.held_rows else ""
            self.mistakes.fail(("data", "batch_size"), message, f"'{printable(self.mistakes.file)}' has {left}{held}")
        return split

    def _held(self, entry: HoldoutEntry, seed: int, texts: Callable[[str], Array]) -> Array:
        """Return of each row whether it is held back, where a column decides."""
        labels, place, named = texts(entry.column), ("data", "holdout", entry.by), f"the column {quote(entry.column)}"
        if entry.by == "time":
            try:
                labels = sortable(labels)
            except ValueError:
                self.mistakes.fail(place, f"{named} does not have a number, or a date as 2001-12-31, in each cell")
        order, cuts = arranged(entry.by, labels, seed)
        if not len(cuts):
            self.mistakes.fail(place, f"{named} has the same in each row: none can be held back")
        held = np.zeros(len(labels), bool)
        if entry.folds:
            parts = parts_of(order, cuts, entry.folds)
            if not all(map(len, parts)):
                self.mistakes.fail(place, f"{named} does not tell {entry.folds} folds apart")
            held[parts[entry.fold]] = True
            return held
        # Where the share is not to be had, what is nearest to it.
        held[order[: cuts[np.abs(cuts - share_of(len(labels), entry.share)).argmin()]]] = True
        return held


def open_data(
    entry: DataEntry,
    base_folder: str | os.PathLike[str],
    seed: int,
    *,
    statistics: Statistics | None = None,
    file: str | os.PathLike[str] | None = None,
    needed: Collection[str] | None = None,
    training: bool = True,
    problems: Problems | None = None,
    limits: Limits | None = None,
    place: Path = FILE,
) -> DataSet:
    """Read a data file, or make it ready to be streamed.

    Args:
        entry: the `data` section.
        base_folder: the folder that its file is relative to: the graph file's.
        seed: what the rows held back and the order of the epochs are drawn from.
        statistics: those of an earlier run (`DataSet.statistics`), for resuming it or predicting with it.
        file: another file in place of the section's, relative to the working folder.
        needed: the columns that are needed; all for None. Of other columns, nothing is read or required.
        training: false where only `everything` will be used: neither batch size nor holdout matter then.
        problems: where problems with the section are added, so that they are told at their places in the graph file.
        limits: sizes, for tests.
        place: where the graph file names the file.

    Raises:
        GraphFileError: the section does not fit the file, and `problems` are given.
        DataError: the file is wrong, or does not fit.
        UsageError: no file is named, DuckDB is needed and missing, or statistics do not fit.
    """
    limits = limits or Limits()
    apart = entry.holdout.file
    if apart is not None and training:
        opened = partial(open_data, base_folder=base_folder, seed=seed, needed=needed, problems=problems, limits=limits)
        data = opened(entry._replace(holdout=HoldoutEntry()), statistics=statistics, file=file)
        held = entry._replace(file=apart)
        data.apart = opened(held, statistics=data.statistics, training=False, place=("data", "holdout", "file"))
        return data
    table, mistakes = _open(entry, base_folder, file, problems, place)
    if not training:
        entry = entry._replace(holdout=HoldoutEntry(), batch_size=None)
    columns = resolve(entry, table, needed, mistakes)
    wanted = wanted_of(columns)
    table.check(wanted)
    table.gaps = with_gaps(columns)
    reading = Reading(entry, seed, columns, statistics, mistakes, limits, training)
    streamed = entry.batch_size is not None or not training
    notes: tuple[str, ...] = ()
    if streamed and _bytes(table, wanted) > limits.budget:
        if isinstance(table, ParquetTable) and not dropped(columns):
            return _streamed(table, table, reading)
        if isinstance(table, ParquetTable | CsvTable) and duck.available():
            return _converted(table, reading)
        notes = (f"{printable(table.name)} is read into memory: installing DuckDB, by graphrun[data], would stream it",)
    _check_memory(table, wanted, reading)
    encoder = Encoder(columns, table, statistics)
    raw = _read(table, wanted, limits)
    rounded = {header: table.rounded(header, raw[header]) for header, text in wanted.items() if not text}
    notes = (*notes, *_notes_on(rounded, table))
    kept, left_out = filled(raw, dropped(columns)), dropped(columns)
    if left_out:
        raw = {header: values[kept] for header, values in raw.items()}
        raw |= {h: whole_as_integers(raw[h]) for h in left_out if not wanted[h] and table.has_integers(h)}
        encoder.rows = np.flatnonzero(kept)
        notes = (*notes, *_notes_on_rows(left_out, len(kept), len(encoder.rows), table))
    count = int(np.count_nonzero(kept))
    split = reading.split(count, lambda header: _read(table, {header: True}, limits)[header][kept])
    table.close()
    shuffle = entry.shuffle and entry.batch_size is not None
    order = Order(split.training_rows, entry.batch_size or split.training_rows, seed, shuffle=shuffle)
    data = MemoryDataSet(encoder, raw, split, order)
    data.notes = notes
    return data


def column_names(
    entry: DataEntry,
    base_folder: str | os.PathLike[str],
    *,
    file: str | os.PathLike[str] | None = None,
    problems: Problems | None = None,
) -> tuple[str, ...]:
    """Return the names of the values that a `data` section declares; the file is opened only where it has no `columns`.

    Raises:
        GraphFileError, DataError, UsageError: as of `open_data`.
    """
    if entry.columns is not None:
        return tuple(entry.columns)
    table, _ = _open(entry, base_folder, file, problems)
    table.close()
    return tuple(own_names(table.headers, entry.only))


def _open(
    entry: DataEntry,
    base_folder: str | os.PathLike[str],
    file: str | os.PathLike[str] | None,
    problems: Problems | None,
    named: Path = FILE,
) -> tuple[Table, Mistakes]:
    if file is None and entry.file is None:
        if problems is None:
            raise UsageError(f"{NO_FILE[0]}\n  {NO_FILE[1]}")
        # What is wrong with the section itself is told first.
        problems.raise_if_any()
        problems.add(("data",), NO_FILE[0], suggestion=NO_FILE[1], key=True)
        problems.fail()
    path = is_read(FilePath(file) if file is not None else FilePath(base_folder) / str(entry.file))
    mistakes = Mistakes(os.fspath(path), problems)
    place = named if file is None else None
    if not path.is_file():
        mistakes.fail(place, *_why_missing(path, named=place is not None and problems is not None))
    given = os.fspath(file) if file is not None else str(entry.file)
    if ADDRESS.match(given):
        mistakes.fail(place, f"a data file is a file of this machine, not the address {quote(given)}")
    suffix = suffix_of(path.name)
    reader = None if suffix else entry.readers(path.name)
    if not suffix and reader is None:
        mistakes.fail(place, f"the name of a data file ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    try:
        if reader is not None:
            return ReadTable(path, reader), mistakes
        if suffix == ".npz":
            return NpzTable(path), mistakes
        return (ParquetTable(path) if suffix == ".parquet" else CsvTable(path, entry.form)), mistakes
    except OSError as error:
        mistakes.fail(place, f"the file cannot be read: {error.strerror}")


def _why_missing(path: FilePath, *, named: bool) -> tuple[str, str | None]:
    """Return why a file is not there, and which one may have been meant."""
    shown = f" '{printable(os.fspath(path))}'" if named else ""
    if path.is_dir():
        return f"this is a folder, not a data file{':' + shown if named else ''}", None
    folder = path.parent
    if not folder.is_dir():
        hint = f"the folder '{printable(os.fspath(folder))}' does not exist"
    else:
        meant = nearest(path.name, sorted(f.name for f in folder.iterdir() if f.name.lower().endswith(SUFFIXES)))
        hint = "" if meant is None else f"did you mean '{printable(os.fspath(folder / meant))}'?"
    return f"there is no such file{':' + shown if named else ''}", hint or None


def _bytes(table: Table, wanted: Wanted) -> int:
    """Return how many bytes the numbers of a file take, roughly for a CSV file."""
    if isinstance(table, ParquetTable):
        return table.rows * table.row_bytes(wanted)
    if not isinstance(table, CsvTable):
        return 0
    with table.bytes() as file:
        beginning = file.read(2**20)
        packed = not table.name.lower().endswith(SUFFIXES)
        size = len(beginning) + sum(map(len, iter(partial(file.read, 2**20), b""))) if packed else 0
    size = size or FilePath(table.name).stat().st_size
    return table.row_bytes(wanted) * beginning.count(b"\n") * size // max(len(beginning), 1)


def _check_memory(table: Table, wanted: Wanted, reading: Reading) -> None:
    """Refuse a file whose columns would not fit into memory; an archive looks itself."""
    texts = sum(wanted.values())
    numbers = _bytes(table, wanted)
    size = numbers + numbers // max(len(wanted), 1) // 8 * texts * TEXT_BYTES
    if size * COPIES > memory_limit():
        sizes = f"{size_text(size * COPIES)} of memory; the limit is {size_text(memory_limit())}"
        hint = MORE_MEMORY if reading.entry.batch_size else f"'batch_size' reads it in parts; {MORE_MEMORY}"
        reading.mistakes.fail(FILE, f"the columns of the file take {sizes}", hint)


def _read(table: Table, wanted: Wanted, limits: Limits) -> dict[str, Array]:
    if isinstance(table, CsvTable) and FilePath(table.name).stat().st_size >= limits.csv and duck.available():
        columns = duck.read_csv(table, wanted)
        if columns is not None:
            return columns
    return table.read(wanted)


def _streamed(table: ParquetTable, origin: Table, reading: Reading) -> StreamedDataSet:
    """Stream a file, which may have been converted from another."""
    if not table.rows:
        raise DataError(f"{printable(table.name)}: the file has no rows")
    entry, limits = reading.entry, reading.limits
    encoder = Encoder(reading.columns, table, reading.statistics)
    rows = StreamedRows(
        table, encoder, reading.split(table.rows, lambda header: table.read({header: True})[header]), limits.range
    )
    held = scan(rows, find_whole=table is not origin) if reading.training else None
    data = StreamedDataSet(
        rows, held, entry.batch_size, reading.seed, shuffle=entry.shuffle, window_bytes=limits.window
    )
    data.notes = tuple(_notes_on(rows.rounded, origin))
    return data


def _notes_on(rounded: Mapping[str, str | None], table: Table) -> Iterator[str]:
    """Yield what is to be said of columns with whole numbers that are rounded, of each one of them."""
    for header, number in rounded.items():
        if number is not None:
            becomes = f"{number} becomes {int(float(number))}"
            yield f"{printable(table.name)}: whole numbers beyond 2**53 are rounded in {quote(header)}: {becomes}"


def _notes_on_rows(headers: Sequence[str], rows: int, left: int, table: Table) -> Iterator[str]:
    """Yield what is to be said of rows that are left out; raise DataError where none is left."""
    listed, name = " or ".join(map(quote, headers[:8])) + (" ..." if len(headers) > 8 else ""), printable(table.name)
    if not left:
        raise DataError(f"{name}: a cell is missing in each row, of {listed}")
    if left < rows:
        yield f"{name}: {rows - left:,} of {rows:,} rows are left out, for {listed} is missing there"


def _converted(table: CsvTable | ParquetTable, reading: Reading) -> StreamedDataSet:
    """Stream a file from a temporary one: CSV can only be read from its beginning, and rows may be left out."""
    folder = tempfile.mkdtemp(prefix="graphrun-data-")
    column, left_out = reading.entry.holdout.column, dropped(reading.columns)
    wanted = {column: True, **wanted_of(reading.columns)} if column else wanted_of(reading.columns)
    notes: tuple[str, ...] = ()
    try:
        source = table if isinstance(table, ParquetTable) else _parquet_of(table, wanted, folder)
        if left_out:
            rows, path = source.rows, f"{folder}/left.parquet"
            source.write_filled(wanted, left_out, path)
            source = ParquetTable(path, origin=table, numbered=True)
            notes = tuple(_notes_on_rows(left_out, rows, source.rows, table))
        source.gaps = table.gaps
        try:
            data = _streamed(source, table, reading)
        except DataError:
            if isinstance(table, CsvTable):
                table.diagnose(wanted)
            raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    size = FilePath(source.path).stat().st_size / 2**20
    large = f"{printable(table.name)} is larger than memory allows"
    data.notes = (f"{large}: read through a temporary file of {size:,.0f} MiB", *notes, *data.notes)
    data.cleanup = weakref.finalize(data, _remove, folder, os.getpid())
    return data


def _parquet_of(table: CsvTable, wanted: Wanted, folder: str) -> ParquetTable:
    """Write a CSV file as Parquet, where DuckDB does not take it as Python's reader does by way of another CSV file."""
    path = f"{folder}/data.parquet"
    if not duck.convert_csv(table, wanted, path):
        table.diagnose(wanted)
        if not duck.convert_csv(table.write_plain(wanted, f"{folder}/plain.csv"), wanted, path):
            raise DataError(f"{printable(table.name)}: DuckDB cannot read this file, which is too large for memory")
    source = ParquetTable(path, origin=table)
    source.gaps = table.gaps
    return source


def _remove(folder: str, process: int) -> None:
    """Remove a temporary folder, unless this is the child of a fork: the parent still reads it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
