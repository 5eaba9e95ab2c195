"""DuckDB, where it is installed: Parquet files, and CSV files that are too large for Python's reader."""

from __future__ import annotations

import codecs
import os
import re
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.wording import printable
from graphrun.data.csv_file import CsvTable
from graphrun.data.table import MISSING, Array, Wanted, whole_as_integers

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What DuckDB may hold at once, in so many threads of which each holds some of it; how much of a CSV file each reads at
# once (by default 32 MB, two of which are more than half of it); and the number of bytes of a row group that it writes.
MEMORY = "256MB"
THREADS = 4
READ_BYTES = 4 * 2**20
ROW_GROUP_BYTES = 8 * 2**20
FEWEST_ROWS = 2048

# What it reads as CSV.
READS = (".csv", ".tsv", ".gz")

SETTINGS = {
    # Nothing is written that was not asked for, and nothing fetched.
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    # Keeps what was read of a file in memory; and reads whole row groups where some pages are wanted, which takes
    # four times as long for a range of rows of a file that pyarrow wrote.
    "enable_external_file_cache": "false",
    "parquet_metadata_cache": "true",
    "disable_parquet_prefetching": "true",
}


def connect(purpose: str, *paths: str, memory: str | None = MEMORY) -> DuckDBPyConnection:
    """Return a connection to a database in memory; raise UsageError when DuckDB, needed for a purpose, is missing.

    Nothing but the `paths` is read or written. `memory` is what DuckDB may hold at once, None for its own default.
    """
    try:
        import duckdb
    except ImportError:
        raise UsageError(f"{purpose} needs DuckDB\n  pip install 'graphrun[data]'") from None
    connection = duckdb.connect()
    limits = {"memory_limit": memory, "threads": str(min(THREADS, os.cpu_count() or 1))} if memory else {}
    for name, value in (SETTINGS | limits).items():
        connection.execute(f"SET {name} = '{value}'")
    allowed = ", ".join(form(absolute(path)) for path in paths for form in (literal, path_literal))
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    return connection


@contextmanager
def interruptible(connection: DuckDBPyConnection) -> Iterator[None]:
    """Let Ctrl-C end a query, and turn the error that DuckDB makes of it back into what it was.

    DuckDB waits for its threads then, and these look only for what `interrupt` says, not for Ctrl-C.
    """
    import duckdb

    before = signal.getsignal(signal.SIGINT)

    def handle(code: int, frame: FrameType | None) -> None:
        try:
            if callable(before):
                before(code, frame)
        except BaseException:
            connection.interrupt()
            raise

    handles = callable(before) and threading.current_thread() is threading.main_thread()
    if handles:
        signal.signal(signal.SIGINT, handle)
    try:
        yield
    except (duckdb.InterruptException, RuntimeError) as error:
        if "interrupt" in str(error).lower():
            raise KeyboardInterrupt from None
        raise
    finally:
        if handles:
            signal.signal(signal.SIGINT, before)


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def absolute(path: str) -> str:
    """Return a path as DuckDB reads it as nothing else: other names may be addresses, as ``file:`` and ``~/`` are."""
    return str(Path(path).resolve())


def identifier(text: str) -> str:
    """Return a column's name as SQL writes it."""
    return '"' + text.replace('"', '""') + '"'


def path_literal(path: str) -> str:
    """Return a path as SQL writes it, with nothing in it that DuckDB takes for a pattern of several files."""
    return literal(re.sub(r"[*?[]", r"[\g<0>]", absolute(path)))


def read_csv(table: CsvTable, wanted: Wanted) -> dict[str, Array] | None:
    """Return whole columns of a CSV file, or None where anything is not plain, so that a closer reader decides."""
    import duckdb

    separators = _separators(table, wanted)
    if separators is None:
        return None
    try:
        with connect("a large CSV file", table.name, memory=None) as connection, interruptible(connection):
            arrays = connection.execute(f"SELECT {_select(table, wanted)} FROM {_source(table)}").fetchnumpy()
    except duckdb.Error:
        return None
    if separators != _expected(table, len(next(iter(arrays.values())))):
        return None
    result = {}
    for (header, text), found in zip(wanted.items(), arrays.values(), strict=True):
        # A masked array has empty cells.
        values = found
        if header in table.gaps:
            values = np.ma.filled(found, "" if text else np.nan)
            unclean = not text and np.isinf(values).any()
        else:
            unclean = (values == "").any() if text else not np.isfinite(values).all()
        if isinstance(values, np.ma.MaskedArray) or unclean or not len(values):
            return None
        result[header] = values if text else whole_as_integers(values)
    return result


def convert_csv(table: CsvTable, wanted: Wanted, target: str) -> bool:
    """Write the wanted columns of a CSV file to a Parquet file with small row groups; False where it is not plain."""
    import duckdb

    separators = _separators(table, wanted)
    if separators is None:
        return False
    try:
        written = copy(
            f"SELECT {_select(table, wanted)} FROM {_source(table)}", table.name, target, table.row_bytes(wanted)
        )
    except duckdb.OutOfMemoryException as error:
        reason = printable(str(error).splitlines()[0])
        raise UsageError(
            f"{printable(table.name)}: there is not enough memory to convert this file: {reason}"
        ) from None
    except duckdb.Error:
        return False
    return separators == _expected(table, written)


def copy(query: str, source: str, target: str, row_bytes: int) -> int:
    """Write what a query gives of a file to a Parquet file with small row groups; return the number of rows."""
    import duckdb

    rows = max(FEWEST_ROWS, ROW_GROUP_BYTES // row_bytes)
    options = f"FORMAT parquet, ROW_GROUP_SIZE {rows}, COMPRESSION snappy, USE_TMP_FILE false"
    # Long texts may need more than is enough for all others: then as much as there is.
    for memory in (MEMORY, None):
        try:
            connection = connect("a large file", source, target, memory=memory)
            with connection, interruptible(connection):
                written = connection.execute(f"COPY ({query}) TO {literal(absolute(target))} ({options})").fetchone()
        except duckdb.OutOfMemoryException:
            if memory is None:
                raise
        else:
            break
    return int(written[0]) if written else 0


def parquet_of(columns: Mapping[str, Array]) -> bytes:
    """Return a Parquet file of columns of numbers or texts."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="graphrun-data-") as folder:
        path = f"{folder}/rows.parquet"
        named = ", ".join(f"c{number} AS {identifier(name)}" for number, name in enumerate(columns))
        try:
            with connect("writing Parquet", path, memory=None) as connection:
                connection.register("given", {f"c{number}": values for number, values in enumerate(columns.values())})
                connection.execute(f"COPY (SELECT {named} FROM given) TO {literal(path)} (FORMAT parquet)")
        except duckdb.Error as error:
            raise UsageError(f"DuckDB cannot write these columns: {printable(str(error).splitlines()[0])}") from None
        return Path(path).read_bytes()


def _source(table: CsvTable) -> str:
    """Return the call that reads a CSV file as texts, in columns named by their positions."""
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(table.headers)))
    return (
        f"read_csv({path_literal(table.name)}, auto_detect = false, header = {table.form.header is True}, "
        "strict_mode = true, "
        f"delim = {literal(table.delimiter)}, quote = '\"', escape = '\"', buffer_size = {READ_BYTES}, "
        f"columns = {{{columns}}})"
    )


def _select(table: CsvTable, wanted: Wanted) -> str:
    parts = []
    for header, text in wanted.items():
        column = f"c{table.headers.index(header)}"
        if header in table.gaps:
            column = without_gaps(column)
        if table.form.decimal != "." and not text:
            column = f"translate({column}, '.,', ',.')"
        parts.append(f"{column if text else f'CAST({column} AS DOUBLE)'} AS {identifier(header)}")
    return ", ".join(parts)


def without_gaps(text: str) -> str:
    """Return the expression of a text that is null where it stands for nothing."""
    return f"CASE WHEN lower(trim({text})) NOT IN ({', '.join(map(literal, MISSING))}) THEN {text} END"


def _expected(table: CsvTable, rows: int) -> int:
    """Return how many delimiters there are between the cells of so many rows.

    DuckDB passes over an empty cell too many at the end of a row, and over no cell too few.
    """
    return rows * (len(table.headers) - 1)


def _separators(table: CsvTable, wanted: Wanted) -> int | None:
    """Return how many delimiters stand between the cells of the rows.

    None where a file has something in it that DuckDB and Python's reader take differently: a carriage return without a
    line feed, a NUL, what is not valid in UTF-8, and an underscore in a number, as in 1_000.
    """
    underscore, last, quotes, count = False, b"", 0, 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    # Of a file of one column, an empty line is a cell where DuckDB reads it, and no row otherwise.
    if table.form.comment or not table.name.lower().endswith(READS) or (table.gaps and len(table.headers) == 1):
        return None
    with table.bytes() as file:
        if table.form.header is True:
            file.readline()
        while part := file.read(2**20):
            # A part that ends in a carriage return is judged with the next one.
            text = last + part
            last = b"\r" if part.endswith(b"\r") else b""
            text = text[: len(text) - len(last)]
            if text.count(b"\r") != text.count(b"\r\n") or b"\0" in text:
                return None
            underscore = underscore or b"_" in text
            try:
                if decoder.getstate()[0] or not part.isascii():
                    decoder.decode(part)
            except UnicodeDecodeError:
                return None
            if quotes % 2 or b'"' in text:
                pieces = text.split(b'"')
                text = b"".join(pieces[quotes % 2 :: 2])
                quotes += len(pieces) - 1
            # bytes.count takes ten times as long for what is frequent.
            count += int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(table.delimiter)))
    if last or decoder.getstate()[0] or (underscore and _has_underscore(table, wanted)):
        return None
    return count


def _has_underscore(table: CsvTable, wanted: Wanted) -> bool:
    """Say whether a wanted number has an underscore."""
    import duckdb

    numbers = [f"bool_or(contains(c{table.headers.index(header)}, '_'))" for header in wanted if not wanted[header]]
    if not numbers:
        return False
    try:
        with connect("a large CSV file", table.name) as connection, interruptible(connection):
            row = connection.execute(f"SELECT {', '.join(numbers)} FROM {_source(table)}").fetchone()
    except duckdb.Error:
        return True
    return row is None or any(row)


def available() -> bool:
    """Say whether DuckDB is installed, without importing it."""
    from importlib.util import find_spec

    return find_spec("duckdb") is not None
