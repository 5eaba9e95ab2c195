"""DuckDB, where it is installed: Parquet files, and CSV files that are too large for Python's reader."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.data.csv_file import CsvTable
from graphrun.data.table import Array, Wanted, row_bytes, whole_as_integers
from graphrun.document.excerpt import printable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What DuckDB may hold at once, in so many threads of which each holds some of it; how much of a CSV file each reads at
# once (by default 32 MB, two of which are more than half of it); and the number of bytes of a row group that it writes.
MEMORY = "256MB"
THREADS = 4
READ_BYTES = 4 * 2**20
ROW_GROUP_BYTES = 8 * 2**20
FEWEST_ROWS = 2048

SETTINGS = {
    # Nothing is written that was not asked for, and nothing fetched.
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # Keeps what was read of a file in memory; and reads whole row groups where some pages are wanted, which takes
    # four times as long for a range of rows of a file that pyarrow wrote.
    "enable_external_file_cache": "false",
    "disable_parquet_prefetching": "true",
}


def connect(purpose: str, memory: str | None = MEMORY) -> DuckDBPyConnection:
    """Return a connection to a database in memory; raise UsageError when DuckDB, needed for a purpose, is missing.

    `memory` is what DuckDB may hold at once, None for its own default.
    """
    try:
        import duckdb
    except ImportError:
        raise UsageError(f"{purpose} needs DuckDB\n  pip install 'graphrun[data]'") from None
    connection = duckdb.connect()
    limits = {"memory_limit": memory, "threads": str(min(THREADS, os.cpu_count() or 1))} if memory else {}
    for name, value in (SETTINGS | limits).items():
        connection.execute(f"SET {name} = '{value}'")
    return connection


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def identifier(text: str) -> str:
    """Return a column's name as SQL writes it."""
    return '"' + text.replace('"', '""') + '"'


def path_literal(path: str) -> str:
    """Return a path as SQL writes it, with nothing in it that DuckDB takes for a pattern of several files."""
    return literal(re.sub(r"[*?[]", r"[\g<0>]", path))


def read_csv(table: CsvTable, wanted: Wanted) -> dict[str, Array] | None:
    """Return whole columns of a CSV file, or None where anything is not plain, so that a closer reader decides."""
    import duckdb

    if not _is_plain(table, wanted):
        return None
    try:
        with connect("a large CSV file", None) as connection:
            arrays = connection.execute(f"SELECT {_select(table, wanted)} FROM {_source(table)}").fetchnumpy()
    except duckdb.Error:
        return None
    result = {}
    for (header, text), values in zip(wanted.items(), arrays.values(), strict=True):
        # A masked array has empty cells.
        unclean = (values == "").any() if text else not np.isfinite(values).all()
        if isinstance(values, np.ma.MaskedArray) or unclean or not len(values):
            return None
        result[header] = values if text else whole_as_integers(values)
    return result


def convert_csv(table: CsvTable, wanted: Wanted, target: str) -> bool:
    """Write the wanted columns of a CSV file to a Parquet file with small row groups; False where it is not plain."""
    import duckdb

    if not _is_plain(table, wanted):
        return False
    rows = max(FEWEST_ROWS, ROW_GROUP_BYTES // row_bytes(wanted))
    options = f"FORMAT parquet, ROW_GROUP_SIZE {rows}, COMPRESSION snappy"
    # Long texts may need more than is enough for all others: then as much as there is.
    for memory in (MEMORY, None):
        try:
            with connect("a large CSV file", memory) as connection:
                connection.execute(
                    f"COPY (SELECT {_select(table, wanted)} FROM {_source(table)}) TO {literal(target)} ({options})"
                )
        except duckdb.OutOfMemoryException as error:
            reason = str(error).splitlines()[0]
        except duckdb.Error:
            return False
        else:
            return True
    raise UsageError(f"{printable(table.name)}: there is not enough memory to convert this file: {printable(reason)}")


def _source(table: CsvTable) -> str:
    """Return the call that reads a CSV file as texts, in columns named by their positions."""
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(table.headers)))
    return (
        f"read_csv({path_literal(table.name)}, auto_detect = false, header = true, strict_mode = true, "
        f"delim = {literal(table.delimiter)}, quote = '\"', escape = '\"', buffer_size = {READ_BYTES}, "
        f"columns = {{{columns}}})"
    )


def _select(table: CsvTable, wanted: Wanted) -> str:
    parts = []
    for header, text in wanted.items():
        column = f"c{table.headers.index(header)}"
        parts.append(f"{column if text else f'CAST({column} AS DOUBLE)'} AS {identifier(header)}")
    return ", ".join(parts)


def _is_plain(table: CsvTable, wanted: Wanted) -> bool:
    """Say whether a file has nothing in it that DuckDB and Python's reader take differently.

    That is a carriage return without a line feed, and an underscore in a number, as in 1_000.
    """
    underscore, last = False, b""
    with Path(table.name).open("rb") as file:
        file.readline()
        while part := file.read(2**20):
            # A part that ends in a carriage return is judged with the next one.
            text = last + part
            last = b"\r" if part.endswith(b"\r") else b""
            text = text[: len(text) - len(last)]
            if text.count(b"\r") != text.count(b"\r\n") or b"\0" in text:
                return False
            underscore = underscore or b"_" in text
    return not last and not (underscore and _has_underscore(table, wanted))


def _has_underscore(table: CsvTable, wanted: Wanted) -> bool:
    """Say whether a wanted number has an underscore."""
    import duckdb

    numbers = [f"bool_or(contains(c{table.headers.index(header)}, '_'))" for header in wanted if not wanted[header]]
    if not numbers:
        return False
    try:
        with connect("a large CSV file") as connection:
            row = connection.execute(f"SELECT {', '.join(numbers)} FROM {_source(table)}").fetchone()
    except duckdb.Error:
        return True
    return row is None or any(row)


def available() -> bool:
    """Say whether DuckDB is installed, without importing it."""
    from importlib.util import find_spec

    return find_spec("duckdb") is not None
