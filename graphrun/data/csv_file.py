"""CSV files with Python's own reader: fast as long as nothing is wrong, then once more to say what is."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import lzma
import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, TextIO

import numpy as np

from graphrun.base.wording import printable, quote
from graphrun.data.problems import FILL, DataError, Findings, Place
from graphrun.data.table import Array, Table, Wanted, is_large, is_missing, whole_as_integers
from graphrun.document.data_section import CsvForm, suffix_of
from graphrun.document.excerpt import excerpt
from graphrun.document.marks import Mark

# Cells that are read at once: as Python texts they take some 60 bytes each.
CELLS = 500_000

# A file with this many mistakes is no data file: the rest of it is not looked at.
STOP_AT = 1000

# So many numbers of a column are looked at once more, whether they were rounded.
LOOKED_AT = 100

# A header of a hundred thousand columns has fewer bytes.
LONGEST_LINE = 64 * 2**20

# Numbers in words.
TRUTH = {"true": "1", "false": "0"}

OPEN: dict[str, Callable[[str], IO[bytes]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}  # type: ignore[dict-item]

# What is raised of a file that is packed and damaged.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError)


class UncleanError(Exception):
    """A cell or a row that needs a closer look."""


class Record(NamedTuple):
    """A row as the file has it: its first line's number, its text, its cells."""

    line: int
    text: str
    cells: list[str]


class CsvTable(Table):
    """A CSV file (commas; tabs in a .tsv file) in UTF-8, quoted by '"' where needed; it may be packed.

    Blank lines are passed over. A number is written as Python and C write floats, in ASCII; blanks may surround it.
    True and False are 1 and 0.
    """

    def __init__(self, path: str | os.PathLike[str], form: CsvForm = CsvForm()) -> None:  # noqa: B008 (a tuple)
        self.name = os.fspath(path)
        self.form = form
        self.delimiter = form.delimiter or ("\t" if suffix_of(self.name) == ".tsv" else ",")
        with self.bytes() as file:
            # Some bytes of a packed file may stand for more than there is memory.
            if len(file.readline(LONGEST_LINE)) == LONGEST_LINE:
                raise DataError(f"{printable(self.name)}:1: the line has more than {LONGEST_LINE:,} bytes")
        first = next(self.records(), None)
        if first is None:
            raise DataError(f"{printable(self.name)}: the file is empty: its first line names the columns")
        if isinstance(form.header, tuple):
            self.headers = form.header
        elif form.header:
            # Blanks stand around cells in many files, as in "x, y".
            self.headers = tuple(cell.strip() for cell in first.cells)
        else:
            self.headers = tuple(f"x{number}" for number in range(1, len(first.cells) + 1))
        self._header = first

    def check(self, wanted: Wanted) -> None:
        """Refuse columns that stand twice in the header."""
        findings, counts = Findings(), Counter(self.headers)
        for name in wanted:
            if counts[name] > 1 and findings.wants("twice", name):
                index = len(self.headers) - 1 - self.headers[::-1].index(name)
                findings.add(self._place(self._header, index), f"the column {quote(name)} stands twice in the header")
        findings.raise_if_any()

    def read(self, wanted: Wanted) -> dict[str, Array]:
        """Return whole columns; numbers are integers where all of them are whole."""
        self.check_bytes()
        try:
            parts = list(self._chunks(wanted))
        except (UncleanError, csv.Error):
            self.diagnose(wanted)
            raise
        if not parts:
            raise DataError(f"{printable(self.name)}: the file has a header and no rows")
        columns = {header: np.concatenate([part[header] for part in parts]) for header in wanted}
        return {header: values if wanted[header] else whole_as_integers(values) for header, values in columns.items()}

    def _chunks(self, wanted: Wanted) -> Iterator[dict[str, Array]]:
        """Yield the columns of some rows at a time; raise UncleanError where anything is wrong."""
        width = len(self.headers)
        positions = {header: self.headers.index(header) for header in wanted}
        with self._open() as file:
            reader = self._plain_rows(file)
            while rows := list(itertools.islice(reader, max(1, CELLS // width))):
                filled = [row for row in rows if row] if [] in rows else rows
                if any(len(row) != width for row in filled):
                    raise UncleanError
                if filled:
                    cells = list(zip(*filled, strict=True))
                    yield {
                        header: self._texts(cells[index], header)
                        if wanted[header]
                        else self._numbers(cells[index], header)
                        for header, index in positions.items()
                    }

    def _plain_rows(self, file: TextIO) -> Iterator[list[str]]:
        """Return the cells of the rows below the header."""
        rows: Iterator[list[str]] = csv.reader(file, delimiter=self.delimiter, strict=True)
        if self.form.comment:
            # A line may also begin so within a cell.
            rows = (record.cells for record in self.records())
        if self.form.header is True:
            next(row for row in rows if row)
        return rows

    def _plain(self, cell: str, header: str) -> str:
        """Return a number as Python writes it."""
        if header in self.gaps and is_missing(cell):
            return "nan"
        word = TRUTH.get(cell.strip().casefold(), cell)
        return word if self.form.decimal == "." else word.translate({44: ".", 46: ","})

    def _numbers(self, cells: Sequence[str], header: str) -> Array:
        """Return cells as floats; raise UncleanError unless each is a finite number, written in the plain way."""
        if self.form.decimal != ".":
            return _floats([self._plain(cell, header) for cell in cells], gaps=header in self.gaps)
        try:
            return _floats(cells)
        except UncleanError:
            return _floats([self._plain(cell, header) for cell in cells], gaps=header in self.gaps)

    def _texts(self, cells: Sequence[str], header: str) -> Array:
        """Return cells as objects; raise UncleanError when one is empty that may not be."""
        if header in self.gaps:
            cells = ["" if is_missing(cell) else cell for cell in cells]
        elif "" in cells:
            raise UncleanError
        values = np.empty(len(cells), object)
        values[:] = cells
        return values

    def has_integers(self, header: str) -> bool:
        """Say that whole numbers are integers."""
        del header
        return True

    def write_plain(self, wanted: Wanted, path: str) -> CsvTable:
        """Write the wanted columns as a file that every reader takes alike, and return it."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(wanted)
            for part in self._chunks(wanted):
                writer.writerows(zip(*(values.tolist() for values in part.values()), strict=True))
        plain = CsvTable(path)
        plain.gaps = self.gaps
        return plain

    def diagnose(self, wanted: Wanted) -> None:
        """Read row by row and raise a DataError that tells what is wrong, if anything is."""
        self.check_bytes()
        findings, rows, width = Findings(), self.records(), len(self.headers)
        if self.form.header is True:
            next(rows)
        positions = {self.headers.index(header): header for header in wanted}
        for record in rows:
            if len(record.cells) != width:
                if findings.wants("ragged"):
                    count = f"{len(record.cells)} cell{'' if len(record.cells) == 1 else 's'}"
                    index = min(width, len(record.cells) - 1)
                    findings.add(self._place(record, index), f"the row has {count}, the header has {width}")
                continue
            for index, header in positions.items():
                mistake = self._mistake(record.cells[index], header, text=wanted[header])
                if mistake is not None and findings.wants(header, mistake[0]):
                    message = f"the cell in the column {quote(header)} {mistake[0]}{mistake[1]}"
                    findings.add(self._place(record, index), message, self._way_out(record.cells[index], header))
            if len(findings) >= STOP_AT:
                findings.fail(complete=False)
        findings.raise_if_any()

    def _mistake(self, cell: str, header: str, *, text: bool) -> tuple[str, str] | None:
        if header in self.gaps and is_missing(cell):
            return None
        mistake = _mistake(cell if text else self._plain(cell, header), text=text)
        return mistake and (mistake[0], mistake[1] and f": {quote(cell)}")

    def _way_out(self, cell: str, header: str) -> str | None:
        hint = _way_out(cell, header)
        fits = hint is not None and hint.startswith("write ") and "," in cell and self.delimiter != ","
        return f'{hint}, or decimal: ","' if fits and self.form.decimal == "." else hint

    def check_bytes(self) -> None:
        """Refuse a NUL: a text has none, and readers take one differently."""
        start, line = 0, 1
        with self.bytes() as file:
            while part := file.read(2**20):
                at = part.find(b"\0")
                if at >= 0:
                    line += part.count(b"\n", 0, at)
                    message = f"byte {start + at} is NUL, which no text has\n  save the file as UTF-8 text"
                    raise DataError(f"{printable(self.name)}:{line}: {message}")
                start += len(part)
                line += part.count(b"\n")

    @contextmanager
    def bytes(self) -> Iterator[IO[bytes]]:
        """Open the file, and unpack it where it is packed; raise DataError where it is damaged."""
        packed = next((suffix for suffix in OPEN if self.name.lower().endswith(suffix)), "")
        try:
            with OPEN[packed](self.name) if packed else Path(self.name).open("rb") as file:
                yield file
        except (OSError, *DAMAGED) as error:
            if not packed:
                raise
            raise DataError(f"{printable(self.name)}: the file cannot be unpacked: {printable(str(error))}") from None

    def places(self, header: str, rows: Iterable[int]) -> list[Place]:
        """Return where cells stand: file, line and column, and the line itself."""
        wanted, index = list(rows), self.headers.index(header)
        found = self._at(wanted)
        return [self._place(found[row], index) for row in wanted]

    def rounded(self, header: str, values: Array, start: int = 0) -> str | None:
        """Return a whole number of a column that no float64 is; the first of the large ones are looked at."""
        if not is_large(values):
            return None
        large = np.flatnonzero(np.abs(values) >= 2**53)[:LOOKED_AT]
        index = self.headers.index(header)
        cells = (record.cells[index].strip() for record in self._at((start + large).tolist()).values())
        return next((c for c in cells if re.fullmatch(r"[+-]?[0-9]+", c) and int(c) != int(float(c))), None)

    def _at(self, rows: Iterable[int]) -> dict[int, Record]:
        """Return some rows, counted from 0 below the header."""
        wanted = set(rows)
        first = 1 if self.form.header is True else 0
        records = itertools.islice(self.records(), first, max(wanted, default=-1) + 1 + first)
        return {row: record for row, record in enumerate(records) if row in wanted}

    def records(self) -> Iterator[Record]:
        """Yield the header and the rows with their lines; raise DataError where they cannot be told apart."""
        taken: list[str] = []
        before, comment = 0, self.form.comment

        def lines(file: TextIO) -> Iterator[str]:
            nonlocal before
            for line in file:
                if comment and not taken and line.startswith(comment):
                    before += 1
                    continue
                taken.append(line)
                yield line

        with self._open() as file:
            reader = csv.reader(lines(file), delimiter=self.delimiter, strict=True)
            while True:
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    shown = tuple(excerpt([taken[0].rstrip("\r\n")], Mark(1, 1)))
                    place = Place(f"{printable(self.name)}:{before + 1}:1", shown)
                    raise DataError(place.tell(_why_not_csv(error))) from None
                if cells is None:
                    return
                if cells:
                    yield Record(before + 1, "".join(taken), cells)
                before += len(taken)
                taken.clear()

    @contextmanager
    def _open(self) -> Iterator[TextIO]:
        """Open the file; raise DataError when it is not text in UTF-8."""
        try:
            with self.bytes() as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
                yield file
        except UnicodeDecodeError:
            with self.bytes() as raw:
                line, offset = _first_invalid(raw)
            message = f"byte {offset} is not valid in UTF-8\n  save the file as UTF-8 text"
            raise DataError(f"{printable(self.name)}:{line}: {message}") from None

    def _place(self, record: Record, index: int) -> Place:
        """Return where a cell of a record begins, which may be in a later line than the record."""
        offset = _cell_start(record.text, index, self.delimiter)
        lines = re.split(r"\r\n|\r|\n", record.text)
        before = re.split(r"\r\n|\r|\n", record.text[:offset])
        line, column = len(before) - 1, len(before[-1]) + 1
        shown = tuple(excerpt([lines[line]], Mark(1, column)))
        return Place(f"{printable(self.name)}:{record.line + line}:{column}", shown)


def _floats(cells: Sequence[str], *, gaps: bool = False) -> Array:
    """Return cells as floats; raise UncleanError unless each is a finite number, written in the plain way."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        raise UncleanError from None
    joined = "".join(cells)
    # What Python's float takes beyond C's: 1_000, and the digits of every script.
    if np.isinf(values).any() if gaps else not np.isfinite(values).all():
        raise UncleanError
    if "_" in joined or not joined.isascii():
        raise UncleanError
    return values


def _mistake(cell: str, *, text: bool) -> tuple[str, str] | None:
    """Return what is wrong with a cell: the kind of mistake in words, and what follows it."""
    if cell == "" or (not text and not cell.strip()):
        return "is empty", ""
    if text:
        return None
    try:
        value = float(cell) if "_" not in cell and cell.isascii() else None
    except ValueError:
        value = None
    if value is None:
        return "is no number", f": {quote(cell)}"
    return None if math.isfinite(value) else ("is not finite", f": {quote(cell)}")


def _way_out(cell: str, header: str) -> str | None:
    """Suggest what to write for a cell, or how to use texts."""
    stripped = cell.strip()
    if not stripped:
        return FILL
    # A comma before three digits may stand between thousands.
    plain = stripped.replace("_", "")
    if not re.fullmatch(r".*,\d{3}", stripped):
        plain = plain.replace(",", ".")
    if _mistake(plain, text=False) is None:
        return f"write {plain}" if plain != stripped else None
    if is_missing(stripped):
        return FILL
    if cell.strip()[:1].isalpha() and _mistake(cell, text=False) == ("is no number", f": {quote(cell)}"):
        return f"texts become indices by {{column: {header}, categories: auto}}"
    return None


def _cell_start(text: str, index: int, delimiter: str) -> int:
    """Return the offset in a record's text at which a cell begins."""
    offset = 0
    for _ in range(index):
        if text[offset : offset + 1] == '"':
            offset += 1
            while offset < len(text) and (text[offset] != '"' or text[offset : offset + 2] == '""'):
                offset += 2 if text[offset] == '"' else 1
        offset = text.find(delimiter, offset) + 1
    return offset


def _why_not_csv(error: csv.Error) -> str:
    reason = str(error)
    if "unexpected end of data" in reason:
        return "a quote is opened in this row and never closed"
    if "expected after" in reason:
        return "a quote within a quoted cell is not doubled"
    if "field larger than" in reason:
        return f"a cell has more than {csv.field_size_limit():,} characters: is a quote never closed?"
    return reason


def _first_invalid(file: IO[bytes]) -> tuple[int, int]:
    """Return line and offset of the first byte that is not UTF-8."""
    start = 0
    for number, line in enumerate(file, 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return number, start + error.start
        start += len(line)
    return 1, 0
