"""Every mistake in a `data` section and in data files, with its whole message.

The tables are `section_mistakes.txt` and `file_mistakes.txt`, so that files and messages stand there as users see them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphrun
from graphrun.base.errors import GraphFileError, GraphrunError, UsageError
from graphrun.data.dataset import DataSet
from graphrun.data.opening import column_names, open_data
from graphrun.data.problems import DataError
from graphrun.document import Source, load_document

HERE = Path(__file__).parent


def table(name: str) -> list[list[str]]:
    """Return the cases of a table: their parts."""
    text = (HERE / name).read_bytes().decode()
    return [case.split("-" * 60 + "\n") for case in text.split("=" * 60 + "\n")[1:]]


@pytest.mark.parametrize(("text", "message"), table("section_mistakes.txt"), ids=lambda part: part[:50])
def test_mistakes_in_the_section(text: str, message: str) -> None:
    """They are told together, at their places in the graph file."""
    assert str(load_document(Source("g.yaml", text)).problems) + "\n" == message


@pytest.mark.parametrize(("section", "content", "message"), table("file_mistakes.txt"), ids=lambda part: part[:50])
def test_mistakes_in_a_csv_file(section: str, content: str, message: str, folder: Path) -> None:
    """Cells are told at their places in the data file, wrong names at theirs in the graph file."""
    (folder / "d.csv").write_bytes(content.encode())
    document = load_document(Source("g.yaml", section))
    assert document.data is not None
    with pytest.raises(GraphrunError) as caught:
        open_data(document.data, "", 0, problems=document.problems)
    assert str(caught.value) + "\n" == message
    assert caught.value.exit_status == 2
    assert caught.value.located


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "d.csv: the file is empty: its first line names the columns"),
        (b"\xef\xbb\xbf\r\n", "d.csv: the file is empty: its first line names the columns"),
        (b"x\n", "d.csv: the file has a header and no rows"),
        (b"x\n1\n\xff\n", "d.csv:3: byte 4 is not valid in UTF-8\n  save the file as UTF-8 text"),
        (
            b"x\n" + b"1" * 400 + b"\n",
            f"d.csv:2:1: the cell in the column 'x' is not finite: '{'1' * 59}…'\n    {'1' * 76}…\n    ^",
        ),
        (b'x\n"' + b"1" * 200000, "d.csv:2:1: a cell has more than 131,072 characters: is a quote never closed?"),
    ],
    ids=range(6),
)
def test_files_that_are_no_csv(content: bytes, message: str, opened: Callable[..., DataSet]) -> None:
    """Also without any row to point at."""
    with pytest.raises(DataError) as caught:
        opened("{file: d.csv}", {"d.csv": content})
    assert str(caught.value).startswith(message)


def test_many_mistakes_are_counted(opened: Callable[..., DataSet]) -> None:
    """Three of each kind are shown, and a file with a thousand is not read on."""
    with pytest.raises(DataError) as caught:
        opened("{file: d.csv}", {"d.csv": "x,y\n" + "a,1\n" * 10 + ",2\n" * 2})
    text = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in text if line.startswith("d.csv")] == ["2", "3", "4", "12", "13"]
    assert text[-1] == "and 7 more problems"
    with pytest.raises(DataError, match=r"and at least 997 more problems$"):
        opened("{file: d.csv}", {"d.csv": "x,y\n" + "a,1\n" * 5000})


def save(folder: Path, **arrays: Any) -> None:
    """Write an archive."""
    np.savez(folder / "d.npz", allow_pickle=True, **arrays)


@pytest.mark.parametrize(
    ("arrays", "columns", "message"),
    [
        ({"x": [1, 2], "y": [1]}, "", "d.npz: the arrays differ in their numbers of rows: 'x' has 2, 'y' has 1"),
        ({"x": np.array([{}, 1], object)}, "x: x", "d.npz: the array 'x' holds Python objects"),
        ({"x": 5.0}, "x: x", "d.npz: the array 'x' is a single value: it has no rows"),
        ({"x": np.zeros((0, 2))}, "", "d.npz: the arrays have no rows"),
        ({"x": [1j, 2]}, "x: x", "d.npz: the array 'x' holds complex numbers, not numbers"),
        (
            {"x": ["a", "b"]},
            "x: x",
            "d.npz: the array 'x' holds texts, not numbers\n  write {column: x, categories: auto}",
        ),
        (
            {"x": np.zeros((2, 3, 4))},
            "x: [x]",
            "d.npz: the array 'x' has 3 axes\n  name it without a list",
        ),
        (
            {"x": np.zeros((2, 3)), "z": [1, 2]},
            "x: [z, x]",
            "d.npz: the array 'x' has 2 axes\n  only vectors make a matrix",
        ),
        (
            {"x": [[1, np.nan], [np.inf, 2], [1, 1]]},
            "",
            (
                "d.npz: row 1: the element [1] of the array 'x' is not finite: nan\n"
                "d.npz: row 2: the element [0] of the array 'x' is not finite: inf"
            ),
        ),
        ({"x": [1.0, np.nan]}, "", "d.npz: row 2: the element of the array 'x' is not finite: nan"),
        (
            {"x": np.full(9, np.nan)},
            "",
            (
                "d.npz: row 1: the element of the array 'x' is not finite: nan\n"
                "d.npz: row 2: the element of the array 'x' is not finite: nan\n"
                "d.npz: row 3: the element of the array 'x' is not finite: nan\nand 6 more problems"
            ),
        ),
        (
            {"x": ["a", "", "b"]},
            "x: {column: x, categories: auto}",
            "d.npz: row 2: the element of the array 'x' is empty",
        ),
        (
            {"x": ["a", "d"]},
            "x: {column: x, categories: [a, b]}",
            "d.npz: row 2: 'd' is none of the categories of 'x'\n  they are 'a', 'b'",
        ),
        (
            {"x": [[1, 2]]},
            "x: {column: x, categories: auto}",
            "d.npz: the array 'x' has 2 axes: texts are a vector",
        ),
        (
            {"x": [1.5]},
            "x: {column: x, categories: auto}",
            "d.npz: the array 'x' holds float64, not texts",
        ),
        (
            {"x": [1e300, -1e300, 1e308]},
            "x: {column: x, standardize: true}",
            "d.npz: 'x' cannot be standardized: its numbers are too large",
        ),
    ],
    ids=range(16),
)
def test_mistakes_in_an_archive(
    arrays: dict[str, Any], columns: str, message: str, folder: Path, opened: Callable[..., DataSet]
) -> None:
    """Rows are counted from 1."""
    save(folder, **arrays)
    with pytest.raises(DataError) as caught:
        opened("{file: d.npz, columns: {" + columns + "}}")
    assert str(caught.value) == message


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"PK\x03\x04 and so on", b"\x93NUMPY\x01\x00"])
def test_archives_that_are_none(content: bytes, opened: Callable[..., DataSet]) -> None:
    """Nothing of NumPy's own words comes through."""
    with pytest.raises(DataError, match=r"^d\.npz: this is no \.npz archive of arrays\n  numpy\.savez writes one$"):
        opened("{file: d.npz}", {"d.npz": content})


def test_a_lone_array_and_a_broken_archive(folder: Path, opened: Callable[..., DataSet]) -> None:
    """A .npy file has no names; a member may be cut."""
    np.save(folder / "a.npy", np.zeros(3))
    (folder / "a.npy").rename(folder / "d.npz")
    with pytest.raises(DataError, match=r"no \.npz archive"):
        opened("{file: d.npz}")
    np.savez_compressed(folder / "d.npz", x=np.random.default_rng(0).random(10000))
    content = bytearray((folder / "d.npz").read_bytes())
    content[5000:6000] = bytes(1000)
    with pytest.raises(DataError, match=r"^d\.npz: the array 'x' cannot be read: "):
        opened("{file: d.npz}", {"d.npz": bytes(content)})


def test_files_that_are_not_there(folder: Path, opened: Callable[..., DataSet]) -> None:
    """The near name is suggested; the place is in the graph file where that names it."""
    (folder / "digits.csv").write_text("x\n1\n")
    document = load_document(Source("g.yaml", "data: {file: digit.csv}\n"))
    assert document.data is not None
    with pytest.raises(GraphFileError) as caught:
        open_data(document.data, "", 0, problems=document.problems)
    assert str(caught.value) == (
        "g.yaml:1:14: there is no such file: 'digit.csv'\n    data: {file: digit.csv}\n                 ^\n"
        "  did you mean 'digits.csv'?"
    )
    for file, message in {
        "digit.csv": "digit.csv: there is no such file\n  did you mean 'digits.csv'?",
        "no/d.csv": "no/d.csv: there is no such file\n  the folder 'no' does not exist",
        ".": ".: this is a folder, not a data file",
        "http://x/d.csv": "http:/x/d.csv: there is no such file\n  the folder 'http:/x' does not exist",
    }.items():
        with pytest.raises(DataError) as wrong:
            opened("{file: x.csv}", file=file)
        assert str(wrong.value) == message
    (folder / "d.txt").write_text("x\n1\n")
    with pytest.raises(DataError, match=r"^d.txt: the name of a data file ends in .csv, .tsv, .parquet or .npz$"):
        opened("{file: x.csv}", file="d.txt")
    with pytest.raises(UsageError, match="no file is named"):
        opened("{batch_size: 2}")
    with pytest.raises(UsageError, match="no file is named"):
        column_names(load_document(Source("g.yaml", "data: {}\n")).data, "")  # type: ignore[arg-type]


def test_statistics_of_something_else(opened: Callable[..., DataSet]) -> None:
    """A checkpoint of another graph does not fit."""
    files = {"d.csv": "x,k\n1,a\n2,b\n"}
    with pytest.raises(UsageError, match="no mean and deviation of 'x'"):
        opened("{file: d.csv, columns: {x: {column: x, standardize: true}}}", files, statistics={})
    kept = {"x.mean": np.zeros(2), "x.std": np.zeros(2)}
    with pytest.raises(UsageError, match="no mean and deviation of 'x'"):
        opened("{file: d.csv, columns: {x: {column: x, standardize: true}}}", statistics=kept)
    given = opened("{file: d.csv, columns: {k: {column: k, categories: [a, b]}}}").statistics
    with pytest.raises(UsageError, match="the categories of 'k' are not the same"):
        opened("{file: d.csv, columns: {k: {column: k, categories: [b, a]}}}", statistics=given)
    with pytest.raises(UsageError, match="the categories of 'k' are not the same"):
        opened("{file: d.csv, columns: {k: {column: k, categories: auto}}}", statistics={})


def test_a_column_is_read_as_texts_or_as_numbers(tmp_path: Path) -> None:
    """Not as both: the numbers would be looked up among the categories."""
    (tmp_path / "rows.csv").write_text("x,y\n1,2\n3,4\n", encoding="utf-8")
    (tmp_path / "g.yaml").write_text(
        "data: {file: rows.csv, columns: {a: {column: x, categories: ['1', '3']}, b: {columns: '*'}}}\n"
        "nodes: {f: sum(b) + sum(a)}\n",
        encoding="utf-8",
    )
    with pytest.raises(GraphrunError, match=r"g.yaml:1:87: the column 'x' is read as texts for 'a', not as numbers"):
        graphrun.load(tmp_path / "g.yaml").plan()


def packed(content: bytes, name: str = "x.npy", **changes: int) -> bytes:
    """Return an archive of one member, whose entries in the directory and before the data are changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    data = bytearray(buffer.getvalue())
    for start, fields in ((0, {"flags": 6, "method": 8}), (data.rindex(b"PK\x01\x02"), {"flags": 8, "method": 10})):
        for field, value in changes.items():
            data[start + fields[field] : start + fields[field] + 2] = value.to_bytes(2, "little")
    return bytes(data)


def npy(header: str, data: bytes = bytes(16), version: bytes = b"\x01\x00") -> bytes:
    """Return an array as .npy with any header."""
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header.encode("latin-1") + data


PLAIN = "{{'descr': '<f8', 'fortran_order': False, 'shape': ({},), }}"
ARCHIVES = {
    "no array": (packed(b"a text"), "it is no array of NumPy's"),
    "nothing": (packed(b""), "it is no array of NumPy's"),
    "a folder": (packed(b"", "x.npy/"), ""),
    "encrypted": (packed(npy(PLAIN.format(2)), flags=1), "it is encrypted"),
    "an unknown compression": (packed(npy(PLAIN.format(2)), method=97), "compression"),
    "a claim of 1e11": (packed(npy(PLAIN.format(10**11))), "claims the shape [100000000000] of float64"),
    "a claim of 400 digits": (packed(npy(PLAIN.format(10**400))), "cannot be read"),
    "a claim of many empty texts": (packed(npy(PLAIN.format(10**11).replace("<f8", "<U0"))), "claims the shape"),
    "a negative shape": (packed(npy(PLAIN.format(-2))), "claims the shape [-2]"),
    "a deep header": (packed(npy("(" * 5000)), "cannot be read"),
    "a header in words": (packed(npy("shape")), "cannot be read"),
    "a header that calls": (packed(npy(PLAIN.format("exit()"))), "cannot be read"),
    "a header with NULs": (packed(npy("\0" * 30)), "cannot be read"),
    "no such dtype": (packed(npy(PLAIN.format(2).replace("<f8", "<q9"))), "cannot be read"),
    "a huge dtype": (packed(npy(PLAIN.format(2).replace("<f8", "V2000000000"))), "cannot be read"),
    "a cut header": (packed(npy(PLAIN.format(2))[:20]), "cannot be read"),
    "a cut array": (packed(npy(PLAIN.format(2), bytes(15))), "expected 16 bytes"),
    "version 9": (packed(npy(PLAIN.format(2), version=b"\x09\x00")), "cannot be read"),
    "40 axes": (packed(npy(PLAIN.format(2).replace("(2,", f"(2,{'1,' * 39}"))), "it has 40 axes, of at most 32"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_that_others_made(case: str, opened: Callable[..., DataSet]) -> None:
    """A member that is no array, or says what is not so, is a message; nothing is allocated because of a claim."""
    content, reason = ARCHIVES[case]
    for columns in (", columns: {x: x}", ""):
        with pytest.raises(GraphrunError, match=r"^d\.npz: ") as caught:
            opened("{file: d.npz" + columns + "}", {"d.npz": content})
    assert reason in str(caught.value)


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), compressed=st.booleans())
def test_a_damaged_archive_is_a_message(data: st.DataObject, compressed: bool, opened: Callable[..., DataSet]) -> None:
    """Whatever bytes of an archive are changed or lost."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"x": np.arange(6.0).reshape(3, 2), "t": np.array(["a", "b", "a"])}
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))]
    try:
        opened(
            "{file: d.npz, columns: {x: x, t: {column: t, categories: auto}}}",
            {"d.npz": bytes(content)},
        )
    except GraphrunError as error:
        assert str(error).startswith("d.npz: ")  # noqa: PT017 (what is not damaged is read)


def test_whole_numbers_beyond_64_bits_with_a_sign(folder: Path, opened: Callable[..., DataSet]) -> None:
    """They become floats, as those of a Parquet file do, and never negative."""
    save(folder, x=np.array([2**64 - 1, 1], np.uint64), y=np.array([2**63 - 1, 1], np.uint64))
    x, y = opened("{file: d.npz}").batch(0)
    assert x.tolist() == [float(2**64 - 1), 1.0]
    assert y.tolist() == [2**63 - 1, 1]
