"""Files that are streamed: the same rows, in epochs of which each has every row once, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrun.base.errors import UsageError
from graphrun.data import duck
from graphrun.data.csv_file import CsvTable
from graphrun.data.dataset import DataSet
from graphrun.data.duck import connect, path_literal
from graphrun.data.memory import MemoryDataSet
from graphrun.data.opening import Limits, open_data
from graphrun.data.parquet_file import ParquetTable
from graphrun.data.problems import DataError
from graphrun.data.streamed import StreamedDataSet
from graphrun.document import DataEntry

duckdb = pytest.importorskip("duckdb")

Opened = Callable[..., DataSet]
EntryOf = Callable[[str], DataEntry]
SECTION = (
    "{file: d.%s, batch_size: %d, shuffle: %s, holdout: %g, columns: {i: i, m: [a, b], f: f,"
    " s: {columns: [a, i], standardize: true}, k: {column: k, categories: auto}}}"
)


def write(path: Path, rows: int, group: int) -> None:
    """Write a file of numbered rows, as Parquet or CSV."""
    options = f"FORMAT parquet, ROW_GROUP_SIZE {group}" if path.suffix == ".parquet" else "FORMAT csv, HEADER"
    duckdb.execute(
        "COPY (SELECT i, sin(i) AS a, i / 7 AS b, CAST(cos(i) AS FLOAT) AS f, 'k' || (i % 3) AS k "  # noqa: S608
        f"FROM range({rows}) t(i)) TO '{path}' ({options})"
    )


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("parquet", 0.25),
        ("csv", 0.0),
        *(pytest.param(*case, marks=pytest.mark.nightly) for case in (("parquet", 0.0), ("csv", 0.25))),
    ],
)
@settings(max_examples=examples(8), deadline=None)
@given(
    batch=st.integers(1, 3000),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**32),
    range_rows=st.integers(200, 2000),
    window_rows=st.integers(200, 4000),
)
def test_a_streamed_file_has_the_rows_of_one_in_memory(
    kind: str,
    share: float,
    batch: int,
    shuffle: bool,
    seed: int,
    range_rows: int,
    window_rows: int,
    entry_of: EntryOf,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The same rows held back, the same statistics and values; without shuffling, the very same batches."""
    folder = tmp_path_factory.getbasetemp() / "streamed"
    folder.mkdir(exist_ok=True)
    rows = 3000
    if not (folder / f"d.{kind}").exists():
        write(folder / f"d.{kind}", rows, 2048)
    batch = min(batch, int(rows * (1 - share)))
    entry = entry_of(SECTION % (kind, batch, str(shuffle).lower(), share))
    row_bytes = 5 * 8
    limits = Limits(budget=0, range=range_rows * row_bytes, window=window_rows * row_bytes)
    memory = open_data(entry, folder, seed)
    with open_data(entry, folder, seed, limits=limits) as streamed:
        assert isinstance(memory, MemoryDataSet)
        assert isinstance(streamed, StreamedDataSet)
        for attribute in ("names", "shapes", "dtypes", "rows", "holdout_rows", "batch_size", "feeds", "categories"):
            assert getattr(streamed, attribute) == getattr(memory, attribute), attribute
        assert memory.statistics.keys() == streamed.statistics.keys()
        for name, value in memory.statistics.items():
            np.testing.assert_allclose(streamed.statistics[name], value, rtol=1e-12, atol=1e-12)
        same(memory.holdout(), streamed.holdout())
        same(gathered(memory.everything(999)), gathered(streamed.everything(999)))
        if share:
            same(gathered(memory.holdout_batches()), gathered(streamed.holdout_batches(13)))
        steps = -(-2 * memory.rows // batch)
        batches = [streamed.batch(step) for step in range(steps)]
        if shuffle:
            training = set(memory.arrays[0].tolist())
            stream = np.concatenate([batch[0] for batch in batches])
            for epoch in range(2):
                assert Counter(stream[epoch * memory.rows :][: memory.rows].tolist()) == Counter(training)
            for i, m, *_ in batches:
                assert np.array_equal(m[:, 0], memory_sine(memory, i))
        else:
            expected = [memory.batch(step) for step in range(steps)]
            assert [len(batch[0]) for batch in expected] == [len(batch[0]) for batch in batches]
            same(gathered(expected), gathered(batches))
        step = steps // 2
    with open_data(entry, folder, seed, limits=limits, statistics=streamed.statistics) as again:
        for one, other in zip(again.batch(step), batches[step], strict=True):
            assert np.array_equal(one, other)


def memory_sine(memory: MemoryDataSet, i: np.ndarray) -> np.ndarray:
    """Return the first column of `m` for these rows."""
    place = np.argsort(memory.arrays[0])
    return memory.arrays[1][place[np.searchsorted(memory.arrays[0], i, sorter=place)], 0]


def gathered(parts: object) -> list[np.ndarray]:
    """Return pieces put together."""
    return [np.concatenate(column) for column in zip(*parts, strict=True)]  # type: ignore[call-overload]


def same(one: list[np.ndarray] | None, other: list[np.ndarray] | None) -> None:
    """Assert that two lists of columns are the same, but for the last bits of what is standardized."""
    assert (one is None) == (other is None)
    for left, right in zip(one or (), other or (), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_shuffling_mixes_distant_rows(entry_of: EntryOf, tmp_path: Path) -> None:
    """A batch has rows of several ranges; orders differ by epoch and by seed."""
    write(tmp_path / "d.parquet", 20_000, 2048)
    entry = entry_of("{file: d.parquet, batch_size: 500, shuffle: true, columns: {i: i}}")
    limits = Limits(budget=0, range=1000 * 8, window=8000 * 8)
    with open_data(entry, tmp_path, 0, limits=limits) as data, open_data(entry, tmp_path, 1, limits=limits) as other:
        for step in range(40):
            assert len(np.unique(data.batch(step)[0] // 1000)) > 3
        assert not np.array_equal(data.batch(0)[0], data.batch(40)[0])
        assert not np.array_equal(data.batch(0)[0], other.batch(0)[0])


@pytest.mark.campaign
def test_threads_are_each_given_their_own_rows(entry_of: EntryOf, tmp_path: Path) -> None:
    """Of one data set that several runs share, which go through its windows at different places."""
    write(tmp_path / "d.parquet", 20_000, 2048)
    entry = entry_of("{file: d.parquet, batch_size: 500, shuffle: true, columns: {i: i}}")
    limits = Limits(budget=0, range=1000 * 8, window=8000 * 8)
    with open_data(entry, tmp_path, 0, limits=limits) as data, ThreadPoolExecutor(8) as pool:
        steps = np.random.default_rng(0).integers(40, size=60).tolist()
        found = list(pool.map(data.batch, steps))
        for step, batch in zip(steps, found, strict=True):
            same(batch, data.batch(step))


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", ["true", "false"])
def test_a_part_of_a_batch_is_read_alone(
    shuffle: str, entry_of: EntryOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are the batch in pieces; without shuffling, only the ranges that they are in, and the next, are read."""
    write(tmp_path / "d.parquet", 20_000, 2048)
    entry = entry_of(f"{{file: d.parquet, batch_size: 9000, shuffle: {shuffle}, columns: {{i: i}}}}")
    limits = Limits(budget=0, range=1000 * 8, window=8000 * 8)
    memory = open_data(entry, tmp_path, 0)
    with open_data(entry, tmp_path, 0, limits=limits) as data:
        fetched: list[int] = []
        fetch = ParquetTable.fetch
        monkeypatch.setattr(ParquetTable, "fetch", lambda *given: fetched.append(given[-1].start) or fetch(*given))
        data.part(1, 100, 200)
        assert shuffle == "true" or all(8000 < start < 10_200 for start in fetched)
        for whole in (memory, data):
            parts = [whole.part(1, start, start + 3000) for start in (0, 3000, 6000)]
            same(gathered(parts), whole.batch(1))


def test_kinds_of_parquet_columns(folder: Path, opened: Opened) -> None:
    """Integers and booleans are integers, decimals and large integers floats, singles stay singles."""
    duckdb.execute(
        "COPY (SELECT CAST(7 AS UTINYINT) AS u, true AS b, CAST(1.25 AS DECIMAL(9, 2)) AS d, CAST(0.1 AS FLOAT) AS f, "
        "9007199254740993 AS i, 'x' AS t, DATE '2020-01-01' AS day, [1, 2] AS l) TO 'd.parquet' (FORMAT parquet)"
    )
    data = opened("{file: d.parquet}")
    assert data.names == ("u", "b", "d", "f", "i", "l")
    assert data.dtypes == (np.int64, np.int64, np.float64, np.float32, np.int64, np.int64)
    first = [value.tolist() for value in data.batch(0)]
    assert first == [[7], [1], [1.25], [float(np.float32(0.1))], [2**53 + 1], [[1, 2]]]
    kinds = opened("{file: d.parquet, columns: {u: {column: u, categories: auto}, b: {column: b, categories: auto}}}")
    assert kinds.categories == {"u": ("7",), "b": ("true",)}
    for name, kind in {"t": "VARCHAR", "day": "DATE"}.items():
        with pytest.raises(DataError, match=rf"^d.parquet: the column '{name}' holds {kind}, not numbers"):
            opened(f"{{file: d.parquet, columns: {{x: {name}}}}}")


@pytest.mark.parametrize("budget", [0, 2**40])
@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("CASE WHEN i = 4 THEN NULL ELSE i END", "d.parquet: row 5: the cell in the column 'x' is empty"),
        (
            "CASE WHEN i > 4 THEN 'nan'::DOUBLE ELSE i END",
            "d.parquet: row 6: the cell in the column 'x' is not finite: nan",
        ),
        ("CASE WHEN i = 4 THEN NULL ELSE 'a' END", "d.parquet: row 5: the cell in the column 'x' is empty"),
        ("CASE WHEN i = 4 THEN '' ELSE 'a' END", "d.parquet: row 5: the cell in the column 'x' is empty"),
        (
            "CASE WHEN i = 4 THEN 'c' ELSE 'a' END",
            "d.parquet: row 5: 'c' is none of the categories of 'x'\n  they are 'a', 'b'",
        ),
    ],
)
def test_mistakes_in_a_parquet_file(column: str, message: str, budget: int, folder: Path, opened: Opened) -> None:
    """They are found before the first step, also in a file that is streamed."""
    duckdb.execute(f"COPY (SELECT {column} AS x FROM range(3000) t(i)) TO 'd.parquet' (FORMAT parquet)")  # noqa: S608
    form = "{column: x, categories: [a, b]}" if "'a'" in column else "x"
    with pytest.raises(DataError) as caught:
        opened(f"{{file: d.parquet, batch_size: 10, columns: {{x: {form}}}}}", limits=Limits(budget=budget))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x", "d.csv:2002:1: the cell in the column 'n' is no number: 'x'\n"),
        ("nan", "d.csv:2002:1: the cell in the column 'n' is not finite: 'nan'\n"),
        ("1_0", "d.csv:2002:1: the cell in the column 'n' is no number: '1_0'\n"),
        ("1,2", "d.csv:2002:3: the row has 2 cells, the header has 1\n"),
    ],
)
def test_mistakes_in_a_streamed_csv_file(row: str, message: str, opened: Opened) -> None:
    """They are told as in any CSV file, though DuckDB reads it."""
    content = "n\n" + "1\n" * 2000 + row + "\n"
    with pytest.raises(DataError) as caught:
        opened("{file: d.csv, batch_size: 2}", {"d.csv": content}, limits=Limits(budget=0))
    assert str(caught.value).startswith(message)


def test_a_streamed_csv_file_names_its_detour(opened: Opened, folder: Path) -> None:
    """The temporary file is told, and gone at the end."""
    data = opened("{file: d.csv, batch_size: 2}", {"d.csv": "n\n" + "1\n" * 3000}, limits=Limits(budget=0))
    assert data.notes == ("d.csv is larger than memory allows: read through a temporary file of 0 MiB",)
    assert data.dtypes == (np.int64,)
    assert isinstance(data, StreamedDataSet)
    temporary = Path(data._source.table.path)
    assert temporary.exists()
    data.close()
    assert not temporary.exists()
    assert [path.name for path in folder.iterdir()] == ["d.csv"]


def test_strange_names(opened: Opened, folder: Path) -> None:
    """Quotes in headers, patterns in the name of the file."""
    rows = 'SELECT 1 AS "a \'b\' ""c", 2 AS "*", i AS p FROM range(5) t(i)'
    duckdb.execute(f"COPY ({rows}) TO 'd.parquet' (FORMAT parquet)")
    (folder / "d.parquet").rename(folder / "o'[d]*?.parquet")
    section = """{file: "o'[d]*?.parquet", columns: {x: "a 'b' \\"c", y: '*', z: ['p*']}}"""
    assert [value.tolist() for value in opened(section).batch(0)] == [[1] * 5, [2] * 5, [[i] for i in range(5)]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x=7", "~", "file:", "file:.", "s3:", "*", "[x]", "{x,y}", "a'b", "x=7/y=8"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_path_is_a_name(name: str, suffix: str, opened: Opened, folder: Path) -> None:
    """DuckDB reads the file that was looked for: no column of its folders' names, no address, no other file."""
    for decoy in ("elsewhere", "xx", "x"):
        (folder / decoy).mkdir()
        duckdb.execute(f"COPY (SELECT 9 AS x, 9 AS y) TO '{decoy}/d.parquet' (FORMAT parquet)")
    (folder / name).mkdir(parents=True)
    if suffix == "parquet":
        duckdb.execute("COPY (SELECT i AS x, 10 * i AS y FROM range(3) t(i)) TO 'd.parquet' (FORMAT parquet)")
    else:
        (folder / "d.csv").write_text("x,y\n0,0\n1,10\n2,20\n", encoding="utf-8")
    (folder / f"d.{suffix}").rename(folder / name / f"d.{suffix}")
    section = f'{{file: "{name}/d.{suffix}", batch_size: 3}}'
    for limits in (Limits(csv=0), Limits(budget=-1)):
        with opened(section, limits=limits) as data:
            assert [value.tolist() for value in data.batch(0)] == [[0, 1, 2], [0, 10, 20]]


def test_an_address_is_refused(opened: Opened, folder: Path) -> None:
    """Even where there is a file of such a name, and wherever it is named."""
    (folder / "file:" / "d").mkdir(parents=True)
    (folder / "file:" / "d" / "d.csv").write_text("x\n1\n", encoding="utf-8")
    for arguments in ({}, {"file": "file://d/d.csv"}):
        with pytest.raises(DataError, match="not the address"):
            opened("{file: 'file://d/d.csv'}", **arguments)


def test_a_connection_reads_nothing_else(folder: Path) -> None:
    """DuckDB can open the one file, no other, no address, and loads no extension."""
    duckdb.execute("COPY (SELECT 1 AS x) TO 'a.parquet' (FORMAT parquet)")
    duckdb.execute("COPY (SELECT 2 AS x) TO 'b.parquet' (FORMAT parquet)")
    with connect("a test", "a.parquet") as connection:
        first, second = (f"FROM read_parquet({path_literal(name)})" for name in ("a.parquet", "b.parquet"))
        assert connection.execute(first).fetchall() == [(1,)]
        for query in (
            second,
            "SELECT * FROM read_csv('https://localhost:1/x.csv')",
            "COPY (SELECT 1) TO 'c.parquet' (FORMAT parquet)",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(query)


def test_a_column_that_duckdb_names_itself(opened: Opened) -> None:
    """The one name that a column of a Parquet file cannot have is told."""
    duckdb.execute("COPY (SELECT 1 AS x, 2 AS file_row_number) TO 'd.parquet' (FORMAT parquet)")
    with pytest.raises(DataError, match=r"^d\.parquet: DuckDB numbers the rows by a column file_row_number"):
        opened("{file: d.parquet}")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x,y\n1,2\n"])
def test_files_that_are_no_parquet(content: bytes, opened: Opened) -> None:
    """DuckDB's reason is told in one line."""
    with pytest.raises(DataError, match=r"^d.parquet: this is no Parquet file that DuckDB can read: .*$"):
        opened("{file: d.parquet}", {"d.parquet": content})


def test_a_parquet_file_without_rows(opened: Opened, folder: Path) -> None:
    """Whether it would be streamed or not."""
    duckdb.execute("COPY (SELECT 1 AS x WHERE false) TO 'd.parquet' (FORMAT parquet)")
    for budget in (-1, 2**40):
        with pytest.raises(DataError, match=r"^d.parquet: the file has no rows$"):
            opened("{file: d.parquet, batch_size: 1}", limits=Limits(budget=budget))


MEASURED = """
import resource, sys, time
from graphrun.data.opening import open_data
from graphrun.data.streamed import StreamedDataSet
from graphrun.data.opening import Limits
from graphrun.data.parquet_file import ParquetTable
from graphrun.document import ColumnEntry, DataEntry
from graphrun.document.data_section import HoldoutEntry
def peak():
    # On Linux the peak of getrusage is at least what the process held that started this one.
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]) * 2**20,) * 2)
columns = {"x": ColumnEntry(("p*",), standardize=True), "label": ColumnEntry(("label",))}
entry = DataEntry(sys.argv[1], columns, 1000, shuffle=sys.argv[3] == "shuffle", holdout=HoldoutEntry(0.1))
begin = time.perf_counter()
with open_data(entry, "", 0, limits=Limits(budget=0)) as data:
    assert isinstance(data, StreamedDataSet)
    opened = time.perf_counter()
    total = 0.0
    for step in range(data.rows // data.batch_size):
        x, label = data.batch(step)
        total += x[0, 0]
    print(data.rows, f"opened in {opened - begin:.1f} s, an epoch in {time.perf_counter() - opened:.1f} s,",
          peak() // 1024, "MiB")
"""


@pytest.mark.campaign(seconds=20)
@pytest.mark.parametrize("order", ["shuffle", pytest.param("file", marks=pytest.mark.nightly)])
def test_memory_stays_bounded(tmp_path: Path, order: str) -> None:
    """A file of 640 MB of numbers that do not compress is trained on in less than that: it takes 400 to 510 MiB.

    So do one of 960 MB and one of 5 GB. The limit is on addresses, of which the allocators reserve more than they use.
    """
    path = tmp_path / "d.parquet"
    select = ", ".join(f"random() AS p{i}" for i in range(39))
    rows = f"SELECT {select}, i % 10 AS label FROM range(2000000) t(i)"  # noqa: S608
    duckdb.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet, COMPRESSION uncompressed)")
    arguments = [sys.executable, "-c", MEASURED, str(path), "1280", order]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1800000 ")
    assert int(done.stdout.split()[-2]) < 700


def write_texts(path: Path, rows: int) -> None:
    """Write a CSV file with a column of texts."""
    numbers = ", ".join(f"round(random(), 6) AS x{i}" for i in range(6))
    select = f"SELECT {numbers}, chr(97 + (random() * 20)::INT) || 'abc' AS t FROM range({rows})"  # noqa: S608
    duckdb.execute(f"COPY ({select}) TO '{path}' (HEADER)")


TEXTS = "{file: d.csv, columns: {X: ['x*'], t: {column: t, categories: auto}}, batch_size: 256}"


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["64MB", "2MB"])
def test_texts_of_a_large_csv_file(memory: str, opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of what DuckDB may take by default is enough; where that is not so, it may take what there is."""
    monkeypatch.setattr(duck, "MEMORY", memory)
    write_texts(folder / "d.csv", 200_000)
    with opened(TEXTS, limits=Limits(budget=0)) as data, opened(TEXTS) as whole:
        assert isinstance(data, StreamedDataSet)
        assert data.categories == whole.categories
        for found, expected in zip(data.batch(700), whole.batch(700), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_too_little_memory_is_not_the_files_fault(
    opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are not read once more in search of one."""
    connect = duck.connect

    def narrow(*given: Any, **named: Any) -> Any:
        connection = connect(*given, **named)
        connection.execute("SET memory_limit = '100kB'")
        return connection

    write_texts(folder / "d.csv", 10_000)
    monkeypatch.setattr(duck, "connect", narrow)
    monkeypatch.setattr(CsvTable, "diagnose", lambda *_: pytest.fail("the file was read again"))
    with pytest.raises(UsageError, match=r"d.csv: there is not enough memory to convert this file: Out of Memory"):
        opened(TEXTS, limits=Limits(budget=0))
