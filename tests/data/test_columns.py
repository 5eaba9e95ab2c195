"""What becomes of missing cells, categories and times: the same in memory and streamed, of every kind of file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.base.errors import GraphFileError, GraphrunError
from graphrun.data.dataset import DataSet
from graphrun.document import Source, load_document
from graphrun.document.dump import dump_document

Read = Callable[..., DataSet]
GAPS = {
    "x": ["1", "", "3", "NA", "5", "6"],
    "y": ["10", "20", "", "40", "50", "60"],
    "k": ["b", "a", "", "b", "a", "c"],
    "n": ["1", "2", "3", "4", "5", "6"],
}


def everything(data: DataSet) -> dict[str, Any]:
    """Return all rows of each value as lists; the data set is closed."""
    parts = [np.concatenate(part) for part in zip(*data.everything(), strict=True)]
    assert [part.shape[1:] for part in parts] == [shape[1:] for shape in data.shapes]
    assert [part.dtype for part in parts] == list(data.dtypes)
    data.close()
    return dict(zip(data.names, (part.tolist() for part in parts), strict=True))


def section(columns: str, more: str = "") -> str:
    """Return a section that lets a file be streamed."""
    return "{file: FILE, batch_size: 2, columns: {" + columns + "}" + more + "}"


def test_rows_are_left_out(read_in_a_way: Read) -> None:
    """Those in which a column lacks a cell; what is said of the file tells how many."""
    data = read_in_a_way(section("x: {column: x, missing: drop}, n: n"), GAPS)
    assert any("2 of 6 rows are left out, for 'x' is missing there" in note for note in data.notes)
    assert everything(data) == {"x": [1, 3, 5, 6], "n": [1, 3, 5, 6]}
    everywhere = section("m: [x, y], k: {column: k, categories: auto}, n: n", ", missing: drop")
    assert everything(read_in_a_way(everywhere, GAPS)) == {
        "m": [[1, 10], [5, 50], [6, 60]],
        "k": [1, 0, 2],
        "n": [1, 5, 6],
    }
    # What no node reads may lack what it likes.
    unread = read_in_a_way(section("x: x, n: n", ", missing: drop"), GAPS, needed=["n"])
    assert everything(unread) == {"n": [1, 2, 3, 4, 5, 6]}


def test_the_mean_of_the_training_rows(read_in_a_way: Read) -> None:
    """It is filled in before values are standardized, as a pipeline of scikit-learn's does."""
    data = read_in_a_way(section("x: {column: x, missing: mean}, n: n", ", holdout: {share: 0.3, time: n}"), GAPS)
    # Rows 5 and 6 are held back.
    assert everything(data) == {"x": [1, 2, 3, 2, 5, 6], "n": [1, 2, 3, 4, 5, 6]}
    standard = read_in_a_way(section("m: {columns: [x, n], missing: mean, standardize: true}"), GAPS)
    filled = np.array([[1, 3.75, 3, 3.75, 5, 6], [1, 2, 3, 4, 5, 6]]).T
    expected = (filled - filled.mean(axis=0)) / filled.std(axis=0)
    assert np.allclose(everything(standard)["m"], expected, rtol=1e-14)


def test_a_column_that_says_what_is_missing(read_in_a_way: Read) -> None:
    """After the numbers; a category of its own after the others."""
    columns = "x: {column: x, missing: indicator}, m: {columns: [n, y], missing: indicator}"
    columns += ", k: {column: k, categories: auto, missing: indicator}"
    found = everything(read_in_a_way(section(columns), GAPS))
    assert found["x"] == [[1, 0], [3.75, 1], [3, 0], [3.75, 1], [5, 0], [6, 0]]
    assert found["m"] == [[1, 10, 0, 0], [2, 20, 0, 0], [3, 36, 0, 1], [4, 40, 0, 0], [5, 50, 0, 0], [6, 60, 0, 0]]
    assert found["k"] == [1, 0, 3, 1, 0, 2]


def test_statistics_of_an_earlier_run(read_in_a_way: Read) -> None:
    """Fill what is missing in other rows, and say which categories there are."""
    columns = section("x: {column: x, missing: mean}, k: {column: k, one_hot: true, missing: indicator}")
    first = read_in_a_way(columns, GAPS)
    kept = first.statistics
    first.close()
    other = read_in_a_way(columns, {"x": ["", "0", "1"], "k": ["c", "", "a"]}, name="other", statistics=kept)
    assert everything(other) == {"x": [3.75, 0, 1], "k": [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]}


def test_a_column_of_which_all_is_missing(read_in_a_way: Read) -> None:
    """There is no mean, and no row is left."""
    rows = {"x": ["", "", "1"], "n": ["1", "2", "3"]}
    with pytest.raises(GraphrunError, match="'x' has no mean: in the rows to train on, all of it is missing"):
        read_in_a_way(section("x: {column: x, missing: mean}", ", holdout: {share: 0.3, time: n}"), rows)
    with pytest.raises(GraphrunError, match="a cell is missing in each row, of 'x' or 'n'"):
        read_in_a_way(section("x: x, n: n", ", missing: drop"), {"x": ["", "1"], "n": ["1", ""]})


def test_one_hot(read_in_a_way: Read) -> None:
    """A column for each category, in the order of the list or sorted."""
    rows = {"k": ["b", "a", "c", "b"]}
    assert everything(read_in_a_way(section("k: {column: k, one_hot: true}"), rows)) == {
        "k": [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    }
    listed = section("k: {column: k, one_hot: true, categories: [c, b, a, z]}")
    assert everything(read_in_a_way(listed, rows)) == {"k": [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]}


MOMENTS = ["1958-03-29", "1969-12-31 23:30:00", "2000-02-29 06:00:00", "2024-12-31 18:15:30"]


def test_times_are_numbers(read_in_a_way: Read) -> None:
    """Counted since 1970, or a part; Python's own calendar is the oracle."""
    units = ["years", "days", "hours", "minutes", "seconds", "year", "month", "day", "weekday", "hour"]
    columns = ", ".join(f"{unit}: {{column: t, time: {unit}}}" for unit in units)
    found = everything(read_in_a_way(section(columns), {"t": MOMENTS}))
    known = [np.datetime64(text).astype("datetime64[s]").item() for text in MOMENTS]
    epoch = np.datetime64("1970-01-01T00:00:00").item()
    seconds = [(time - epoch).total_seconds() for time in known]
    assert found["seconds"] == seconds
    for unit, length in {"days": 86400, "hours": 3600, "minutes": 60}.items():
        assert found[unit] == [second / length for second in seconds]
    for unit in ("year", "month", "day", "hour"):
        assert found[unit] == [getattr(time, unit) for time in known]
        assert all(isinstance(part, int) for part in found[unit])
    assert found["weekday"] == [time.weekday() for time in known]
    for year, time, second in zip(found["years"], known, seconds, strict=True):
        start = (date(time.year, 1, 1) - date(1970, 1, 1)).days * 86400
        assert year == pytest.approx(time.year + (second - start) / (86400 * (366 if time.year % 4 == 0 else 365)))


def test_times_that_are_missing_or_standardized(read_in_a_way: Read) -> None:
    """A time is a number like others."""
    rows = {"t": ["1970-01-03", "", "1970-01-05"], "n": ["1", "2", "3"]}
    filled = everything(read_in_a_way(section("t: {column: t, time: days, missing: mean}"), rows))
    assert filled == {"t": [2, 3, 4]}
    dropped = everything(read_in_a_way(section("t: {column: t, time: day, missing: drop, standardize: true}"), rows))
    assert dropped == {"t": [-1, 1]}


def test_a_form_of_times(read_in_a_way: Read) -> None:
    """As `datetime.strptime` reads it; without one, what ISO 8601 has, with slashes too."""
    rows = {"t": ["29.02.00 7h", "01.03.00 23h"]}
    found = everything(read_in_a_way(section('t: {column: t, time: hours, format: "%d.%m.%y %Hh"}'), rows))
    assert found == {"t": [11016 * 24 + 7, 11017 * 24 + 23]}
    many = {"t": ["2001/01/02 00:00", "2001-01", "20010103", "2001-01-01T01:00+01:00", "2001-01-01T12Z"]}
    found = everything(read_in_a_way(section("t: {column: t, time: days}"), many))
    assert np.subtract(found["t"], 11323).tolist() == [1, 0, 2, 0, 0.5]


@pytest.mark.parametrize(
    ("cell", "more"),
    [
        ("0001-01-01T00:00+14:00", ""),
        ("now", ""),
        ("10000-01-01", ""),
        ("12", ', format: "%d%d"'),
        ("1", ', format: "%Q"'),
        ("2001-02-29", ""),
    ],
)
def test_what_is_no_time(cell: str, more: str, folder: Path) -> None:
    """At the ends of the calendar, words, and forms that are none."""
    (folder / "d.csv").write_text(f"t\n{cell}\n", encoding="utf-8")
    with pytest.raises(GraphrunError, match=r"^d.csv:2:1: '.*' is no time as "):
        graphrun.loads(
            f"data: {{file: d.csv, columns: {{t: {{column: t, time: day{more}}}}}}}\nnodes: {{m: sum(t)}}\n"
        ).run(0)


CELLS = {
    "t: {column: t, time: days}": "row 2|d.csv:3:",
    'h: {column: t, time: hour, format: "%H"}': "row 1|d.csv:2:",
    "k: {column: t, categories: ['2001-01-01']}": "row 2|d.csv:3:",
}


@pytest.mark.parametrize("columns", CELLS)
def test_cells_that_do_not_fit_are_told_with_their_row(columns: str, read_in_a_way: Read) -> None:
    """Also where rows before them are left out."""
    rows = {"n": ["", "1", "2"], "t": ["2001-01-01", "2001-01-01", "today"]}
    with pytest.raises(GraphrunError) as caught:
        everything(read_in_a_way(section(columns + ", n: {column: n, missing: drop}"), rows))
    row = 2 if "format" in columns else 3
    text = str(caught.value)
    assert text.startswith((f"d.csv:{row + 1}:", f"d.npz: row {row}:", f"d.parquet: row {row}:"))
    assert "is no time as" in text or "is none of the categories" in text


def test_numbers_that_are_infinite_are_not_missing(read_in_a_way: Read) -> None:
    """Whatever is to become of missing ones."""
    with pytest.raises(GraphrunError, match=r"is not finite: '?inf"):
        everything(
            read_in_a_way(section("x: {column: x, missing: mean}"), {"x": ["1", "inf", ""], "n": ["1", "2", "3"]})
        )
    with pytest.raises(GraphrunError, match=r"is empty|is not finite: nan"):
        everything(read_in_a_way(section("x: x"), {"x": ["1", "2", ""], "n": ["1", "2", "3"]}))


MISTAKES = {
    "columns: {x: {column: x, missing: median}}": "takes error, drop, mean or indicator, not the text 'median'",
    "columns: {k: {column: k, categories: auto, missing: mean}}": "texts have no mean(.|\n)*write drop, or indicator",
    "columns: {k: {columns: [k, x], one_hot: true}}": "'one_hot' is for one column",
    "columns: {k: {columns: [k, x], time: days}}": "'time' is for one column",
    "columns: {k: {column: k, one_hot: true, standardize: true}}": "an index cannot be standardized",
    "columns: {k: {column: k, one_hot: 1}}": "'one_hot' takes true or false",
    "columns: {k: {column: k, time: day, categories: auto}}": "a time is a number, not one of some categories",
    "columns: {k: {column: k, time: dais}}": "'time' takes one of years, days(.|\n)*did you mean 'days'",
    'columns: {k: {column: k, format: "%Y"}}': "'format' goes with 'time'",
    "columns: {k: {column: k, dummies: true}}": "unknown key 'dummies'(.|\n)*write {column: species, one_hot: true}",
    "missing: indicator": "'missing' takes error, drop or mean(.|\n)*write it in the mapping of a column",
    "sep: ','": "it is called 'delimiter' here",
    "test_size: 0.2": "write holdout: 0.2",
    "header: []": "'header' takes false where the file has none, or a list of names, not a list",
    "header: 0": "'header' takes false",
    "delimiter: ';;'": "'delimiter' takes one character",
    'decimal: ","': 'a comma stands between cells too(.|\n)*write delimiter: ";"',
    "decimal: 5": '\'decimal\' takes "." or ","',
    "comment: //": "'comment' takes one character",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_in_the_section(text: str, folder: Path) -> None:
    """With what to write instead."""
    with pytest.raises(GraphFileError, match=MISTAKES[text]):
        graphrun.loads("data: {file: d.csv, " + text + "}\nnodes: {f: mean(x)}\n", name="g.yaml")


def test_what_is_dumped_reads_as_the_same() -> None:
    """Every key."""
    text = """data:
  file: d.csv.gz
  missing: drop
  header: [a, b]
  delimiter: ";"
  decimal: ","
  comment: "#"
  holdout: {share: 0.2, group: a, seed: 4}
  columns:
    a: {columns: [a, "b*"], missing: indicator}
    b: {column: b, categories: [x, y], one_hot: true, missing: error}
    c: {column: b, time: days, format: "%Y", standardize: true}
    d: a
"""
    document = load_document(Source("g.yaml", text))
    document.problems.raise_if_any()
    again = load_document(Source("g.yaml", dump_document(document)))
    assert document.data is not None
    assert again.data is not None
    assert _without_paths(document.data._asdict()) == _without_paths(again.data._asdict())


def _without_paths(entry: Mapping[str, Any]) -> Any:
    columns = {name: column._replace(path=()) for name, column in entry["columns"].items()}
    return {**entry, "columns": columns}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.nightly)])
def test_every_engine_is_given_the_same(dtype: str, tmp_path: Path) -> None:
    """Batches of what is filled, one-hot or a time; a run goes on from a checkpoint bit for bit."""
    text = "when,x,k,y\n" + "".join(
        f"2001-0{1 + k % 9}-01,{'' if k % 5 == 2 else k},{'abc'[k % 3]},{k % 7}\n" for k in range(40)
    )
    (tmp_path / "d.csv").write_text(text, encoding="utf-8")
    graph = """
data:
  file: d.csv
  columns:
    x: {column: x, missing: indicator, standardize: true}
    k: {column: k, one_hot: true}
    when: {column: when, time: month}
    y: y
  batch_size: 7
  shuffle: true
  holdout: {share: 0.2, stratify: k}
parameters: {a: {shape: [x], init: normal}, b: {shape: [k], init: normal}, c: {shape: [13], init: normal}}
nodes: {loss: "mean((x @ a + k @ b + take(c, when) - y) ** 2)"}
minimize: loss
update: {type: adam, step_size: 0.1}
record: [loss]
""".replace("d.csv", str(tmp_path / "d.csv"))
    results = {}
    for engine in ("numpy", "jax"):
        loaded = graphrun.loads(graph)
        results[engine] = loaded.run(12, engine=engine, dtype=dtype)
        loaded.run(5, engine=engine, dtype=dtype, save=tmp_path / "c")
        again = graphrun.loads(graph).run(12, engine=engine, dtype=dtype, resume=tmp_path / "c")
        for name, value in results[engine].parameters.items():
            assert (again.parameters[name] == value).all()
    for name, value in results["numpy"].parameters.items():
        tolerance = 1e-10 if dtype == "float64" else 1e-4
        assert results["jax"].parameters[name] == pytest.approx(value, rel=tolerance, abs=tolerance)
