"""Parquet files through DuckDB, read by ranges of rows so that a large one never has to be in memory."""

from __future__ import annotations

import ctypes
import itertools
import os
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphrun.base.wording import printable, quote
from graphrun.data.csv_file import CsvTable
from graphrun.data.duck import connect, identifier, interruptible, path_literal
from graphrun.data.problems import FILL, DataError, Findings, Place
from graphrun.data.table import Array, Table, Wanted, row_bytes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A range of rows that is read at once holds about this many bytes.
RANGE_BYTES = 24 * 2**20

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "BOOLEAN")
FLOATS = ("DOUBLE", "HUGEINT", "UHUGEINT", "UBIGINT")

_OPEN: weakref.WeakSet[ParquetTable] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """Leave all connections to the parent, as the child of a fork: DuckDB's threads, which closing waits for, are its.

    They are never to be closed here, not even at the very end: so each is counted once more.
    """
    for table in _OPEN:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(table.connection))
        table.connection = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


class Range(NamedTuple):
    """Rows of a file from `start` up to but not including `stop`, all in one row group."""

    start: int
    stop: int


class ParquetTable(Table):
    """A Parquet file; integers are read as 64-bit integers, FLOAT and DOUBLE as they are.

    Args:
        path: the file.
        origin: the CSV file that it was converted from, which messages name.
    """

    def __init__(self, path: str | os.PathLike[str], origin: CsvTable | None = None) -> None:
        self.path = os.fspath(path)
        self.name = self.path if origin is None else origin.name
        self._origin = origin
        self.connection: DuckDBPyConnection | None = None
        cursor = self._cursor()
        _OPEN.add(self)
        import duckdb

        self._source = f"read_parquet({path_literal(self.path)}, hive_partitioning = false, file_row_number = true)"
        try:
            described = cursor.execute(f"DESCRIBE SELECT * FROM {self._source}").fetchall()
            groups = cursor.execute(
                "SELECT row_group_id, any_value(row_group_num_rows) "
                f"FROM parquet_metadata({path_literal(self.path)}) GROUP BY 1 ORDER BY 1"
            ).fetchall()
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            if "file_row_number" in reason:
                reason = "DuckDB numbers the rows by a column file_row_number, and the file has one; rename it"
                raise DataError(f"{printable(self.name)}: {reason}") from None
            raise DataError(f"{printable(self.name)}: this is no Parquet file that DuckDB can read: {reason}") from None
        self._types = {str(row[0]): str(row[1]) for row in described if row[0] != "file_row_number"}
        self.headers = tuple(self._types)
        self.groups = [int(rows) for _, rows in groups]
        self.rows = sum(self.groups)
        self._width: int | None = None

    def _cursor(self) -> DuckDBPyConnection:
        """Return a cursor of the connection, which the child of a fork makes anew."""
        if self.connection is None:
            self.connection = connect(f"reading {printable(self.name)}", self.path)
        return self.connection.cursor()

    def unfit(self, header: str, *, text: bool) -> str | None:
        """Say why a column cannot be read as numbers."""
        kind = self._types[header]
        if text or self._cast(header) is not None:
            return None
        return f"the column {quote(header)} holds {kind}, not numbers"

    def dtype(self, header: str, *, text: bool) -> np.dtype[Any]:
        """Return what `fetch` gives for a column."""
        if text:
            return np.dtype(object)
        return np.dtype({"BIGINT": np.int64, "FLOAT": np.float32}.get(self._cast(header) or "", np.float64))

    def _cast(self, header: str) -> str | None:
        kind = self._types[header]
        if kind in INTEGERS:
            return "BIGINT"
        if kind == "FLOAT":
            return "FLOAT"
        return "DOUBLE" if kind in FLOATS or kind.startswith("DECIMAL") else None

    def ranges(self, row_bytes: int, most: int = RANGE_BYTES) -> list[Range]:
        """Return the file cut into ranges of about `most` bytes at most, none of which spans two row groups."""
        rows = max(1, most // max(row_bytes, 1))
        result, start = [], 0
        for count in self.groups:
            parts = max(1, -(-count // rows))
            bounds = [start + count * part // parts for part in range(parts + 1)]
            result += [Range(a, b) for a, b in itertools.pairwise(bounds) if a < b]
            start += count
        return result

    def read(self, wanted: Wanted) -> dict[str, Array]:
        """Return whole columns."""
        if not self.rows:
            raise DataError(f"{printable(self.name)}: the file has no rows")
        columns = {header: np.empty(self.rows, self.dtype(header, text=text)) for header, text in wanted.items()}
        for span in self.ranges(row_bytes(wanted)):
            for header, values in self.fetch(wanted, span).items():
                columns[header][span.start : span.stop] = values
        return columns

    def fetch(self, wanted: Wanted, span: Range) -> dict[str, Array]:
        """Return some rows of columns; raise DataError for an empty cell or a number that is not finite.

        May be called by several threads.
        """
        findings = Findings()
        columns = {}
        for header, values in self._fetch(list(wanted), wanted, span):
            text = wanted[header]
            plain, empty = np.ma.getdata(values), np.ma.getmask(values)
            if text:
                empty = empty | (plain == "")
            cell = f"the cell in the column {quote(header)}"
            if empty.any():
                rows = span.start + np.flatnonzero(empty)
                self.report(findings, header, "is empty", rows, itertools.repeat((f"{cell} is empty", FILL)))
            elif plain.dtype.kind == "f" and not np.isfinite(plain).all():
                bad = np.flatnonzero(~np.isfinite(plain))
                told = ((f"{cell} is not finite: {value}", None) for value in plain[bad])
                self.report(findings, header, "is not finite", span.start + bad, told)
            columns[header] = plain
        findings.raise_if_any()
        return columns

    def _fetch(self, headers: list[str], wanted: Wanted, span: Range) -> Iterator[tuple[str, Any]]:
        """Yield columns; fewer at a time where a row group is so large that DuckDB's memory does not suffice.

        A column of a row group may be one page, which has to be unpacked for any of its rows.
        """
        import duckdb

        width = self._width or len(headers)
        position = 0
        while position < len(headers):
            part = headers[position : position + width]
            select = ", ".join(
                f"CAST({identifier(h)} AS {'VARCHAR' if wanted[h] else self._cast(h)}) AS c{i}"
                for i, h in enumerate(part)
            )
            where = f"file_row_number >= {span.start} AND file_row_number < {span.stop}"
            try:
                with self._cursor() as cursor, interruptible(cursor):
                    arrays = cursor.execute(f"SELECT {select} FROM {self._source} WHERE {where}").fetchnumpy()
            except duckdb.OutOfMemoryException:
                if width == 1:
                    raise DataError(
                        f"{printable(self.name)}: the row groups are too large to be read in parts\n"
                        "  write the file with smaller ones, of 100,000 rows"
                    ) from None
                width = self._width = (width + 1) // 2
                continue
            except duckdb.Error as error:
                raise DataError(f"{printable(self.name)}: {str(error).splitlines()[0]}") from None
            yield from zip(part, arrays.values(), strict=True)
            position += width

    def places(self, header: str, rows: Iterable[int]) -> list[Place]:
        """Return where the cells of a column stand, in the file that was converted if one was."""
        return super().places(header, rows) if self._origin is None else self._origin.places(header, rows)

    def rounded(self, header: str, values: Array, start: int = 0) -> str | None:
        """Return a whole number of a column that no float64 is, as the file that was converted has it if one was."""
        if self._origin is not None:
            return self._origin.rounded(header, values, start)
        return super().rounded(header, values, start)

    def close(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()
