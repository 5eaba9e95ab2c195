"""CSV files as they come: delimiters, decimal commas, headers, comments, packing, words for numbers; Parquet lists."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graphrun.base.errors import GraphrunError
from graphrun.base.memory import limited
from graphrun.data.dataset import DataSet
from graphrun.data.opening import Limits

Opened = Callable[..., DataSet]
WAYS = {
    "native": Limits(),
    "DuckDB": Limits(csv=0),
    "streamed": Limits(budget=0, csv=0, range=100, window=300),
}


@pytest.fixture(params=[pytest.param(way, marks=pytest.mark.slow if way != "native" else ()) for way in WAYS])
def rows_of(request: pytest.FixtureRequest, opened: Opened) -> Callable[[str, bytes | str], dict[str, list[object]]]:
    """Return a function from a section's keys and the content of d.csv to all rows of x and y."""

    def read(keys: str, content: bytes | str, name: str = "d.csv") -> dict[str, list[object]]:
        columns = "" if "columns" in keys else ", columns: {x: x, y: y}"
        batches = "" if "batch_size" in keys else ", batch_size: 1"
        section = "{file: " + name + batches + columns + (keys and ", ") + keys + "}"
        data = opened(section, {name: content}, limits=WAYS[request.param])
        parts = [np.concatenate(part) for part in zip(*data.everything(), strict=True)]
        data.close()
        return dict(zip(data.names, (part.tolist() for part in parts), strict=True))

    return read


FORMS = {
    'delimiter: ";"': "x;y\n1;2.5\n3;4\n",
    'delimiter: ";", decimal: ","': 'x;z;y\n1;"a;b";2,5\n3;c.d,e;4\n',
    'delimiter: "|"': "x|y\n1|2.5\n3|4\n",
    'delimiter: "\\t"': "x\ty\n1\t2.5\n3\t4\n",
    'comment: "#"': '# made by "a program\nx,y,t\n1,2.5,"a\n#b"\n#1,2\n\n3,4,c\n',
    'comment: "#", header: [x, y]': "#x,y\n1,2.5\n3,4\n#",
    "header: [x, y]": "1,2.5\n3,4\n",
    "header: false, columns: {x: x1, y: x2}": "1,2.5\n3,4\n",
    "": "\ufeffx , y\r\n 1,2.5\r\n3 ,4\r\n",
}


@pytest.mark.parametrize("keys", FORMS)
def test_forms_of_csv(keys: str, rows_of: Callable[[str, str], object]) -> None:
    """What is read is the same."""
    assert rows_of(keys, FORMS[keys]) == {"x": [1, 3], "y": [2.5, 4]}


@pytest.mark.parametrize("name", ["d.csv.gz", "d.CSV.BZ2", "d.csv.xz", "d.tsv.gz"])
def test_packed_files(name: str, rows_of: Callable[..., object]) -> None:
    """By the standard library, or by DuckDB where it can."""
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[name.rpartition(".")[2].lower()]
    content = "x,y\n1,2.5\n3,4\n".replace(",", "\t" if "tsv" in name else ",")
    assert rows_of("", pack(content.encode()), name) == {"x": [1, 3], "y": [2.5, 4]}


@pytest.mark.parametrize(("name", "pack"), [("d.csv.gz", gzip.compress), ("d.csv.xz", lzma.compress)])
def test_a_damaged_packed_file_is_a_message(name: str, pack: Callable[[bytes], bytes], opened: Opened) -> None:
    """Whatever is wrong with it; one that is cut is none, and a mistake in it has its line."""
    content = pack(b"x,y\n" + b"1,2\n" * 999)
    for damaged in (content[:-9], b"x,y\n1,2\n", content[:20] + b"\0\xff" * 3 + content[26:], b""):
        with pytest.raises(GraphrunError, match=rf"^{name}: the file (cannot be unpacked: .+|is empty)"):
            opened("{file: " + name + "}", {name: damaged})
    with pytest.raises(GraphrunError, match=rf"^{name}:2:3: the cell in the column 'y' is no number: 'z'"):
        opened("{file: " + name + "}", {name: pack(b"x,y\n1,z\n")})


def test_a_packed_file_that_swells(opened: Opened) -> None:
    """A few bytes may stand for more than there is memory: that is said before it is asked for."""
    content = gzip.compress(bytes(2**27))
    with pytest.raises(GraphrunError, match=r"^d.csv.gz:1: the line has more than 67,108,864 bytes"):
        opened("{file: d.csv.gz}", {"d.csv.gz": content})


def test_too_many_columns_of_zeros(opened: Opened) -> None:
    """Of a column that has another text in each row."""
    content = "x\n" + "\n".join(f"t{k}" for k in range(50_000))
    with (
        limited(2**31),
        pytest.raises(GraphrunError, match=r"the 50,000 categories of 'x' as columns take .+ of memory"),
    ):
        opened("{file: d.csv, columns: {x: {column: x, one_hot: true}}}", {"d.csv": content})


def test_words_for_numbers(rows_of: Callable[[str, str], object]) -> None:
    """True is 1 and False is 0, in any case of letters."""
    assert rows_of("", "x,y\nTrue,1\nfalse,0.5\n TRUE ,2\n") == {"x": [1, 0, 1], "y": [1, 0.5, 2]}


MISTAKES = {
    'delimiter: ";", decimal: ","': (
        "x;y\n1;2.5\n",
        "d.csv:2:3: the cell in the column 'y' is no number: '2.5'",
    ),
    'comment: "#"': ("# a\nx,y\n# b\n1,q\n", "d.csv:4:3: the cell in the column 'y' is no number: 'q'"),
    "header: [x, y]": ("1,2\n3,q\n", "d.csv:2:3: the cell in the column 'y' is no number: 'q'"),
    "header: [x, y, z]": ("1,2\n", "d.csv:1:3: the row has 2 cells, the header has 3"),
    "header: false": ("1,2\n", "'d.csv' has no column 'x'"),
    "missing: drop": ("x,y\n1,q\n,1\n", "d.csv:2:3: the cell in the column 'y' is no number: 'q'"),
    "": ("x;y\n1;2\n", 'write delimiter: ";"'),
    "batch_size: 1": ("# x\nx,y\n1,2\n", 'its first line is a comment: write comment: "#"'),
    "delimiter: ';'": ("x;y\n1;2,5\n", '  write 2.5, or decimal: ","'),
}


@pytest.mark.parametrize("keys", MISTAKES)
def test_mistakes_have_their_places(keys: str, rows_of: Callable[[str, str], object]) -> None:
    """In the file as it is, whatever it is made into to be read."""
    content, message = MISTAKES[keys]
    with pytest.raises(GraphrunError) as caught:
        rows_of(keys, content)
    assert message in str(caught.value)


@pytest.mark.parametrize("limits", [Limits(), pytest.param(WAYS["streamed"], marks=pytest.mark.slow)])
def test_lists_of_a_parquet_file(limits: Limits, folder: Path, opened: Opened) -> None:
    """Lists of one length are rows of a matrix; what is missing in them is filled, or leaves the row out."""
    import duckdb

    duckdb.execute(
        "COPY (SELECT i, [i, i + 1, i * 2] AS l, CAST([0.5, i] AS FLOAT[2]) AS f, "
        "CASE i WHEN 1 THEN [NULL, 3.0] WHEN 2 THEN NULL ELSE [1.0, 2.0] END AS g, "
        "range(i) AS r, [[i]] AS n, ['a'] AS t "
        "FROM range(4) t(i)) TO 'd.parquet'"
    )

    def rows(columns: str) -> dict[str, list[object]]:
        data = opened("{file: d.parquet, batch_size: 2, columns: {" + columns + "}}", limits=limits)
        parts = [np.concatenate(part) for part in zip(*data.everything(), strict=True)]
        assert [part.dtype for part in parts] == list(data.dtypes)
        data.close()
        return dict(zip(data.names, (part.tolist() for part in parts), strict=True))

    assert rows("i: i, l: l, f: f") == {
        "i": [0, 1, 2, 3],
        "l": [[0, 1, 0], [1, 2, 2], [2, 3, 4], [3, 4, 6]],
        "f": [[0.5, 0], [0.5, 1], [0.5, 2], [0.5, 3]],
    }
    assert rows("g: {column: g, missing: drop}, i: i") == {"g": [[1, 2], [1, 2]], "i": [0, 3]}
    assert rows("g: {column: g, missing: mean}") == {"g": [[1, 2], [1, 3], [1, 2 + 1 / 3], [1, 2]]}
    for column, message in {
        "g": "row 2: the cell in the column 'g' is empty",
        "r": "the lists in the column 'r' have from 0 to 3 elements: not one length",
        "n": "the column 'n' holds BIGINT[][], not numbers",
        "t": "the column 't' holds VARCHAR[], not numbers",
    }.items():
        with pytest.raises(GraphrunError) as caught:
            rows(f"x: {column}")
        assert message in str(caught.value)
