"""What is read from files: headers, numbers, patterns, categories, kinds of arrays."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from depth import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graphrun.data.dataset import DataSet
from graphrun.data.memory import MemoryDataSet
from graphrun.data.opening import Limits, column_names, open_data
from graphrun.data.problems import DataError
from graphrun.document import DataEntry

Opened = Callable[..., DataSet]
EntryOf = Callable[[str], DataEntry]


@pytest.mark.parametrize(
    "content",
    [
        b"x,y\n1,2\n3,4.5\n",
        b"\xef\xbb\xbfx,y\r\n1,2\r\n3,4.5\r\n",
        b"x,y\r1,2\r3,4.5",
        b'"x","y"\n"1","2"\n3,"4.5"\n',
        b"\n x , y\n\n 1 ,2 \n\n3,+4.5e0\n\n",
    ],
    ids=["plain", "BOM and CRLF", "CR", "quoted", "blanks"],
)
def test_ways_to_write_the_same_file(content: bytes, opened: Opened) -> None:
    """A column of whole numbers comes as integers, any other as floats."""
    data = opened("{file: d.csv}", {"d.csv": content})
    assert data.names == ("x", "y")
    x, y = data.batch(0)
    assert (x.dtype, x.tolist(), y.dtype, y.tolist()) == (np.int64, [1, 3], np.float64, [2.0, 4.5])
    assert data.dtypes == (np.int64, np.float64)


def test_tabs_separate_the_cells_of_a_tsv_file(opened: Opened) -> None:
    """And commas do not."""
    assert opened("{file: d.tsv}", {"d.tsv": "x\ty\n1\t2\n"}).names == ("x", "y")


def test_lists_and_patterns_make_matrices(opened: Opened) -> None:
    """Columns stand in the order of the list; those of a pattern in the order of the file, none twice."""
    files = {"d.csv": "p2,y,p10,p1,q[1],'*'\n1,2,3,4,5,6\n7,8,9,0,1,2\n"}
    section = (
        "{file: d.csv, columns: {a: 'p*', b: [y, 'p?', 'p*'], c: y, d: [y], e: 'q[1]', f: {columns: '[pq]?'},"
        " g: {columns: y}, h: {column: y}, i: [p10, p2]}}"
    )
    data = opened(section, files)
    values = dict(zip(data.names, (value.tolist() for value in data.batch(0)), strict=True))
    assert values == {
        "a": [[1, 3, 4], [7, 9, 0]],
        "b": [[2, 1, 4, 3], [8, 7, 0, 9]],
        "c": [2, 8],
        "d": [[2], [8]],
        "e": [5, 1],
        "f": [[1, 4], [7, 0]],
        "g": [[2], [8]],
        "h": [2, 8],
        "i": [[3, 1], [9, 7]],
    }
    assert data.shapes == tuple(np.shape(values[name]) for name in data.names)


def test_without_columns_each_has_its_own_name_where_it_can(folder: Path) -> None:
    """Names are in Unicode's normal form; what is no name, or not needed, is not read."""
    entry = DataEntry("d.csv")
    (folder / "d.csv").write_text("\ufb01rst,a b,2nd,for,θ,text,K,\u212a,,\n1,2,3,4,5,x,6,7,,\n", encoding="utf-8")
    assert column_names(entry, "") == ("first", "θ", "text")
    assert column_names(entry.part(["θ", "other"]), "") == ("θ",)
    assert [v.tolist() for v in open_data(entry, "", 0, needed=["θ", "first"]).batch(0)] == [[1], [5]]
    assert open_data(entry.part(["θ"]), "", 0).names == ("θ",)
    with pytest.raises(DataError, match="the cell in the column 'text' is no number"):
        open_data(entry, "", 0)
    with pytest.raises(DataError, match=r"'d.csv' has no column 'frst'\n  did you mean"):
        open_data(entry, "", 0, needed=["frst"])


def test_columns_that_nothing_needs_may_be_missing(opened: Opened, entry_of: EntryOf) -> None:
    """As labels are in rows that are to be predicted."""
    section = "{file: d.csv, columns: {x: [a, b], label: digit}}"
    data = opened(section, {"d.csv": "a,b\n1,2\n"}, needed=["x"], training=False)
    assert data.names == ("x",)
    assert [part[0].tolist() for part in data.everything()] == [[[1, 2]]]
    assert column_names(entry_of(section), "") == ("x", "label")


def test_texts_become_indices(opened: Opened) -> None:
    """Sorted, numbers by their values; kept for other files; or in the order of a list."""
    rows = ["10,b,1", "9,a,2", "x,b,3", "10,ä,4"]
    section = (
        "{file: d.csv, columns: {k: {column: k, categories: auto}, s: {column: s, categories: auto}}, holdout: 0.5}"
    )
    data = opened(section, {"d.csv": "\n".join(["k,s,n", *rows])})
    assert data.categories == {"k": ("9", "10", "x"), "s": ("a", "b", "ä")}
    ((k, s),) = data.everything()
    assert (k.tolist(), s.tolist(), k.dtype) == ([1, 0, 2, 1], [1, 0, 1, 2], np.int64)
    later = opened(section, {"d.csv": "k,s\nx,ä\n"}, statistics=data.statistics, training=False)
    assert [value.tolist() for value in next(later.everything())] == [[2], [2]]
    assert all(array.dtype == np.uint8 for array in data.statistics.values())
    with pytest.raises(DataError, match="'c' is none of the categories of 's'"):
        opened(section, {"d.csv": "k,s\nx,c\n"}, statistics=data.statistics, training=False)
    listed = opened("{file: d.csv, columns: {n: {column: n, categories: [4, 3, 2, '1']}}}", {"d.csv": "n\n1\n4\n"})
    assert listed.batch(0)[0].tolist() == [3, 0]
    assert listed.categories == {"n": ("4", "3", "2", "1")}


def test_arrays_of_an_archive(opened: Opened, folder: Path) -> None:
    """Further axes stay; integers come with 64 bits, halves with 32, and are held as they are."""
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    np.savez(
        folder / "d.npz",
        pixels=pixels,
        flags=np.array([True, False]),
        half=np.array([0.5, 2], np.float16),
        single=np.array([0.1, 2], np.float32),
        text=np.array(["b", "a"]),
        vector=np.array([1, 2]),
    )
    section = (
        "{file: d.npz, batch_size: 1, columns: {pixels: pixels, flags: flags, half: half, single: single,"
        " text: {column: text, categories: auto}, matrix: [vector, half], scaled: {column: pixels, standardize: true}}}"
    )
    data = opened(section)
    assert isinstance(data, MemoryDataSet)
    batch = dict(zip(data.names, data.batch(1), strict=True))
    kinds = [np.int64, np.int64, np.float32, np.float32, np.int64, np.float64, np.float64]
    assert [value.dtype for value in batch.values()] == list(data.dtypes) == kinds
    assert np.array_equal(batch["pixels"], pixels[1:])
    assert batch["flags"].tolist() == [0]
    assert batch["text"].tolist() == [0]
    assert batch["matrix"].tolist() == [[2, 2]]
    assert np.array_equal(batch["scaled"], np.ones((1, 3, 4)))
    assert data.arrays[0].dtype == np.uint8
    assert opened("{file: d.npz}").names == ("pixels", "flags", "half", "single", "vector")


numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from([" 1", "2 ", "+3", "4.", ".5", "6e2", "7E-3", "-0", "007"]),
)
strange = st.sampled_from(["", " ", "nan", "-inf", "1e999", "1_0", "0x1", "x", "1,5", "٣", '"', "true", "1d", "1 2"])


@pytest.mark.slow
@pytest.mark.parametrize("spoiled", [False, True])
@settings(deadline=None, max_examples=examples(50))
@given(data=st.data())
def test_duckdb_and_python_read_the_same(
    spoiled: bool, data: st.DataObject, entry_of: EntryOf, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same arrays, or the same message, whichever reader a file's size chooses."""
    pytest.importorskip("duckdb")
    cells = numbers | strange if spoiled else numbers
    # Python's writer leaves a carriage return without quotes, which makes it the end of a row.
    texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=5)
    rows = data.draw(st.lists(st.tuples(cells, cells, texts if spoiled else texts.map("t".__add__)), min_size=1))
    buffer = io.StringIO(newline="")
    writer = csv.writer(
        buffer,
        lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])),
        quoting=data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    writer.writerow(["x", 'a "b", c', "t"])
    for row in rows:
        writer.writerow(row[: data.draw(st.integers(1, 3))] if spoiled and data.draw(st.integers(0, 9)) == 0 else row)
        if data.draw(st.integers(0, 9)) == 0:
            buffer.write("\n")
    folder = tmp_path_factory.getbasetemp() / "read"
    folder.mkdir(exist_ok=True)
    (folder / "d.csv").write_bytes(buffer.getvalue().encode())
    entry = entry_of("{file: d.csv, columns: {m: [x, 'a \"b\", c'], x: x, t: {column: t, categories: auto}}}")
    results = []
    for size in (0, 2**60):
        try:
            found = open_data(entry, folder, 0, limits=Limits(csv=size))
            results.append([found.categories, *((v.dtype, v.tolist()) for v in found.batch(0))])
        except DataError as error:
            results.append([str(error)])
    assert results[0] == results[1]
    assert spoiled or len(results[0]) == 4


FRAGMENTS = [b"1", b"2.5", b"-3", b"a", b"_", b" ", b",", b",", b",", b"\n", b"\n", b"\r\n", b"\r", b'"', b'""', b"\0"]
FRAGMENTS += [b"\xff", b"\xc3", "é".encode(), "\u2028".encode(), b"1,2\n", b"1,2,a\n", b"3,4,b\n", b'5,6,"x,y"\n']
FRAGMENTS += [b"1,2,a,\n", b"1,2,a,4\n"]
LABELS = "{x: x, t: {column: t, categories: auto}}"


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(150))
@given(parts=st.lists(st.sampled_from(FRAGMENTS), max_size=12), columns=st.sampled_from(["{x: x}", LABELS]))
@example(parts=[b"1,2,a,\n", b"1,2,a\n"], columns="{x: x}")
@example(parts=[b"1,2,\xff\n"], columns="{x: x}")
@example(parts=[b"1,2,\xc3"], columns="{x: x}")
@example(parts=[b"1,2,\0\n"], columns="{x: x}")
@example(parts=[b"1,2,a\n1,2,a,\n1,2\n"], columns="{x: x}")
@example(parts=[b'1,2,"a"",\n,"\n1,2,a,\n'], columns="{x: x}")
def test_any_bytes_are_the_same_to_every_reader(
    parts: list[bytes], columns: str, entry_of: EntryOf, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Python's reader, DuckDB's and the detour of large files give the same numbers, or refuse the file alike."""
    pytest.importorskip("duckdb")
    folder = tmp_path_factory.getbasetemp() / "bytes"
    folder.mkdir(exist_ok=True)
    (folder / "d.csv").write_bytes(b"x,y,t\n1,2,a\n" + b"".join(parts))
    results = []
    for limits in (Limits(csv=2**60), Limits(csv=0), Limits(budget=-1)):
        entry = entry_of(f"{{file: d.csv, columns: {columns}{', batch_size: 1' if limits.budget < 0 else ''}}}")
        try:
            with open_data(entry, folder, 0, limits=limits) as found:
                pieces = list(found.everything())
                results.append([np.concatenate(values).tolist() for values in zip(*pieces, strict=True)])
        except DataError as error:
            results.append([str(error)])
    assert results[0] == results[1]
    # What only Python reads, as lines that end in two ways, is refused where it would have to be in memory.
    assert results[0] == results[2] or "DuckDB cannot read this file" in results[2][0]


def test_categories_in_an_order_of_their_own(opened: Opened) -> None:
    """A text that a float would be made NaN of has its place: the same in every process, whatever comes first."""
    found = []
    texts = ["10", "nan", "2", "NaN", "b", "-nan", "inf", "1e999", "-inf", "a"]
    for shift in range(len(texts)):
        rows = "".join(f"{text}\n" for text in texts[shift:] + texts[:shift])
        found.append(
            opened("{file: d.csv, columns: {t: {column: t, categories: auto}}}", {"d.csv": f"t\n{rows}"}).categories
        )
    assert all(categories == found[0] for categories in found)
    assert list(found[0].values()) == [("-inf", "2", "10", "1e999", "inf", "-nan", "NaN", "a", "b", "nan")]


@pytest.mark.slow
def test_parquet_needs_duckdb(tmp_path: Path) -> None:
    """The message names the command; without it large CSV files are read by Python."""
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    (tmp_path / "d.csv").write_text("x\n1\n2\n")
    code = """
import sys
sys.modules["duckdb"] = None
from graphrun.data.opening import open_data
from graphrun.data.opening import Limits
from graphrun.document import DataEntry
limits = Limits(budget=0, csv=0)
data = open_data(DataEntry("d.csv", batch_size=2), "", 0, limits=limits)
print(data.batch(0)[0].tolist(), *data.notes)
try:
    open_data(DataEntry("d.parquet"), "", 0)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == (
        "[1, 2] d.csv is read into memory: installing DuckDB, by graphrun[data], would stream it\n"
        "UsageError reading d.parquet needs DuckDB\n  pip install 'graphrun[data]'\n"
    )


@pytest.mark.slow
def test_nothing_of_this_is_imported_without_data() -> None:
    """Nor DuckDB by a small CSV file."""
    code = (
        "import sys, graphrun.cli.entry, graphrun.document\n"
        "assert not [m for m in sys.modules if m.startswith(('graphrun.data', 'duckdb'))]\n"
        "import graphrun.data.opening\nassert 'duckdb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


BEYOND = [2**53, 2**53 + 1, -(2**60) - 1, 2**60]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", ["d.csv", "d.parquet", "d.npz"])
def test_a_whole_number_that_no_float_is_is_told(name: str, streamed: bool, opened: Opened, folder: Path) -> None:
    """One of each column; those that are floats all the same, and numbers with a fraction, are not."""
    duckdb = pytest.importorskip("duckdb")
    rows = ", ".join(f"({i}, {n}, {2**58 + 64 * i}, {2.0**60 / 3:.3f}::DOUBLE)" for i, n in enumerate([*BEYOND, 5]))
    duckdb.execute(f"CREATE OR REPLACE TABLE t AS SELECT * FROM (VALUES {rows}) v(i, id, even, x)")  # noqa: S608
    if name == "d.npz":
        arrays = duckdb.execute("SELECT * FROM t").fetchnumpy()
        np.savez(folder / name, **{key: np.ma.getdata(array) for key, array in arrays.items()})
    else:
        options = "HEADER" if name == "d.csv" else "FORMAT parquet"
        duckdb.execute(f"COPY t TO '{name}' ({options})")
    limits = Limits(budget=0 if streamed else 2**30)
    with opened(f"{{file: {name}, batch_size: 2}}", limits=limits) as data:
        told = [note for note in data.notes if "temporary file" not in note]
    assert told == [
        f"{name}: whole numbers beyond 2**53 are rounded in 'id': 9007199254740993 becomes 9007199254740992"
    ]
