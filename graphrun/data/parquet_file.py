"""Parquet files through DuckDB, read by ranges of rows so that a large one never has to be in memory."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphrun.base.wording import printable, quote
from graphrun.data.duck import connect, copy, identifier, interruptible, path_literal, without_gaps
from graphrun.data.problems import FILL, DataError, Findings, Place
from graphrun.data.table import Array, Table, Wanted

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
        origin: the file that it was converted from, which messages name.
        numbered: whether rows of it were left out, so that its last column has their numbers.
    """

    def __init__(self, path: str | os.PathLike[str], origin: Table | None = None, *, numbered: bool = False) -> None:
        self.path = os.fspath(path)
        self.name = self.path if origin is None else origin.name
        self._origin = origin
        self._numbered = numbered
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
        self._lengths: dict[str, tuple[int, int]] = {}

    def _cursor(self) -> DuckDBPyConnection:
        """Return a cursor of the connection, which the child of a fork makes anew."""
        if self.connection is None:
            self.connection = connect(f"reading {printable(self.name)}", self.path)
        return self.connection.cursor()

    def unfit(self, header: str, *, text: bool) -> str | None:
        """Say why a column cannot be read as numbers."""
        kind = self._types[header]
        if text:
            return None
        if self._cast(header) is None:
            return f"the column {quote(header)} holds {kind}, not numbers"
        least, most = self._length(header)
        if self._types[header].endswith("]") and most < 1:
            return f"the column {quote(header)} holds {kind}, and none of them has elements"
        if least != most:
            return f"the lists in the column {quote(header)} have from {least} to {most} elements: not one length"
        return None

    def _length(self, header: str) -> tuple[int, int]:
        """Return the least and the largest length of the lists in a column; -1 where there are none."""
        if not self._types[header].endswith("]"):
            return -1, -1
        if header not in self._lengths:
            name = identifier(header)
            found = self._cursor().execute(f"SELECT min(len({name})), max(len({name})) FROM {self._source}").fetchone()
            self._lengths[header] = tuple(int(length or 0) for length in found or (0, 0))  # type: ignore[assignment]
        return self._lengths[header]

    def item_shape(self, header: str) -> tuple[int, ...]:
        """Return the length of the lists in a column."""
        least, _ = self._length(header)
        return () if least < 0 else (least,)

    def dtype(self, header: str, *, text: bool) -> np.dtype[Any]:
        """Return what `fetch` gives for a column."""
        if text:
            return np.dtype(object)
        if header in self.gaps and self.has_integers(header):
            return np.dtype(np.float64)
        return np.dtype({"BIGINT": np.int64, "FLOAT": np.float32}.get(self._cast(header) or "", np.float64))

    def has_integers(self, header: str) -> bool:
        """Say whether whole numbers of a column are integers."""
        return self._cast(header) == "BIGINT"

    def _cast(self, header: str) -> str | None:
        kind = re.sub(r"\[\d*\]$", "", self._types[header])
        if kind in INTEGERS:
            return "BIGINT"
        if kind == "FLOAT":
            return "FLOAT"
        return "DOUBLE" if kind in FLOATS or re.fullmatch(r"DECIMAL\(.*\)", kind) else None

    def _cells(self, header: str, *, text: bool) -> str:
        """Return the expression of a column's cells, of which those of lists follow one another."""
        name, (length, _) = identifier(header), self._length(header)
        if text:
            cells = f"CAST({name} AS VARCHAR)"
            return without_gaps(cells) if header in self.gaps else cells
        if length < 0:
            return f"CAST({name} AS {self._cast(header)})"
        kind = f"{self._cast(header)}[]"
        return f"unnest(coalesce(CAST({name} AS {kind}), list_resize(CAST([] AS {kind}), {length})))"

    def write_filled(self, wanted: Wanted, dropped: Iterable[str], path: str) -> None:
        """Write columns of the rows in which nothing is missing of some of them, and the numbers of these rows."""
        conditions = []
        for header in dropped:
            name = identifier(header)
            if wanted[header]:
                conditions.append(f"{self._cells(header, text=True)} IS NOT NULL")
            elif self.item_shape(header):
                conditions.append(f"list_count({name}) = len({name})")
                conditions.append(f"NOT list_contains(CAST({name} AS DOUBLE[]), CAST('nan' AS DOUBLE))")
            else:
                conditions.append(f"NOT isnan(CAST({name} AS DOUBLE))")
        columns = ", ".join(map(identifier, wanted))
        query = f"SELECT {columns}, file_row_number AS row_of_the_file FROM {self._source} WHERE "
        copy(query + " AND ".join(conditions), self.path, path, self.row_bytes(wanted))

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
        columns = {
            header: np.empty((self.rows, *(() if text else self.item_shape(header))), self.dtype(header, text=text))
            for header, text in wanted.items()
        }
        for span in self.ranges(self.row_bytes(wanted)):
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
            plain, empty = np.ma.getdata(values), np.ma.getmaskarray(values)
            if text:
                empty = empty | (plain == "")
            if empty.any() and header not in self.gaps:
                self._report(findings, header, "is empty", span, empty, plain)
                continue
            if empty.any():
                plain = np.where(empty, "" if text else np.nan, plain)
            if plain.dtype.kind == "f" and not np.isfinite(plain).all():
                bad = np.isinf(plain) if header in self.gaps else ~np.isfinite(plain)
                self._report(findings, header, "is not finite", span, bad, plain)
            columns[header] = plain
        findings.raise_if_any()
        return columns

    def _report(self, findings: Findings, header: str, kind: str, span: Range, bad: Array, cells: Array) -> None:
        """Add the mistakes of one kind in some rows."""
        indices = np.argwhere(bad)
        shown = (": " + str(cells[tuple(index)]) if kind == "is not finite" else "" for index in indices)
        hint = FILL if kind == "is empty" else None
        told = ((f"the cell in the column {quote(header)} {kind}{value}", hint) for value in shown)
        self.report(findings, header, kind, span.start + indices[:, 0], told)

    def _fetch(self, headers: list[str], wanted: Wanted, span: Range) -> Iterator[tuple[str, Any]]:
        """Yield columns; fewer at a time where a row group is so large that DuckDB's memory does not suffice.

        A column of a row group may be one page, which has to be unpacked for any of its rows.
        """
        import duckdb

        width = self._width or len(headers)
        position = 0
        while position < len(headers):
            part = headers[position : position + width]
            # Lists are put one after the other, so each such column is read alone.
            lists = [number for number, header in enumerate(part) if not wanted[header] and self.item_shape(header)]
            if lists:
                part = part[: max(lists[0], 1)]
            select = ", ".join(f"{self._cells(h, text=wanted[h])} AS c{i}" for i, h in enumerate(part))
            where = f"file_row_number >= {span.start} AND file_row_number < {span.stop}"
            try:
                with self._cursor() as cursor, interruptible(cursor):
                    arrays = cursor.execute(f"SELECT {select} FROM {self._source} WHERE {where}").fetchnumpy()
            except duckdb.OutOfMemoryException:
                if len(part) == 1:
                    raise DataError(
                        f"{printable(self.name)}: the row groups are too large to be read in parts\n"
                        "  write the file with smaller ones, of 100,000 rows"
                    ) from None
                width = self._width = (width + 1) // 2
                continue
            except duckdb.Error as error:
                raise DataError(f"{printable(self.name)}: {str(error).splitlines()[0]}") from None
            for header, values in zip(part, arrays.values(), strict=True):
                shape = () if wanted[header] else self.item_shape(header)
                yield header, values.reshape(-1, *shape) if shape else values
            position += len(part)

    def places(self, header: str, rows: Iterable[int]) -> list[Place]:
        """Return where the cells of a column stand, in the file that was converted if one was."""
        if self._numbered:
            listed = ", ".join(str(row) for row in rows) or "-1"
            query = f"SELECT row_of_the_file FROM {self._source} WHERE file_row_number IN ({listed}) ORDER BY 1"
            rows = [int(row) for (row,) in self._cursor().execute(query).fetchall()]
        return super().places(header, rows) if self._origin is None else self._origin.places(header, rows)

    def rounded(self, header: str, values: Array, start: int = 0) -> str | None:
        """Return a whole number of a column that no float64 is, as the file that was converted has it if one was."""
        if self._origin is not None and not self._numbered:
            return self._origin.rounded(header, values, start)
        return super().rounded(header, values, start)

    def close(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()
