"""What no node reads of a data file is not read, so nothing in it can be wrong; what one reads is told in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.base.errors import GraphrunError, UsageError

ROWS = "x,name,gap,twice,twice,step,loss,y\n1,a,,1,2,7,x,2\n2,b,nan,3,4,8,x,4\n"


def value(text: str, name: str = "n") -> float | list[float]:
    """Return a value of a graph file after no step."""
    Path("g.yaml").write_text(text, encoding="utf-8")
    found = np.asarray(graphrun.load("g.yaml").run(0).values[name])
    return found.tolist()  # type: ignore[no-any-return]


def parquet(rows: str) -> None:
    """Write d.parquet, whose columns are those of a SELECT."""
    duckdb = pytest.importorskip("duckdb")
    duckdb.sql(f"COPY ({rows}) TO 'd.parquet' (FORMAT parquet)")


@pytest.mark.parametrize(
    "columns",
    ["", ", columns: {x: x, t: name, g: gap, twice: twice, step: step}", ", columns: {x: x, nothing: there}"],
)
def test_an_unread_column_may_hold_anything(columns: str, folder: Path) -> None:
    """Texts, empty cells, two of one name, the name of the history's column, or that of a node."""
    (folder / "d.csv").write_text(ROWS, encoding="utf-8")
    text = f"data: {{file: d.csv{columns}}}\nnodes: {{n: mean(x), loss: n + 1}}\nminimize: loss\nrecord: [loss]\n"
    assert value(text) == 1.5
    assert value(text.replace("csv", "csv, batch_size: 1, holdout: 0.5")) in (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["VARCHAR", "DATE", "INTEGER[]"])
def test_an_unread_column_of_a_parquet_file_may_be_of_any_type(kind: str, folder: Path) -> None:
    """One that is read is refused by its name."""
    parquet("SELECT i AS x, NULL::KIND AS name FROM range(4) t(i)".replace("KIND", kind))
    assert value("data: {file: d.parquet}\nnodes: {n: mean(x)}\n") == 1.5
    with pytest.raises(GraphrunError, match="the column 'name' holds "):
        value("data: {file: d.parquet}\nnodes: {n: mean(x + name)}\n")


def test_an_unread_array_of_an_archive_may_have_other_rows(folder: Path) -> None:
    """And hold what is no number."""
    np.savez("d.npz", x=np.arange(4), meta=np.array(["a"]), other=np.arange(3))
    assert value("data: {file: d.npz}\nnodes: {n: mean(x)}\n") == 1.5
    with pytest.raises(GraphrunError, match="differ in their numbers of rows"):
        value("data: {file: d.npz}\nnodes: {n: mean(x) + mean(other)}\n")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ("n: mean(twice)", "d.csv:1:18: the column 'twice' stands twice in the header"),
        ("n: mean(gap)", "d.csv:2:5: the cell in the column 'gap' is empty"),
        ("n: mean(step)", "'step' cannot be a name"),
        ("n: mean(nmae)", "did you mean 'name'?"),
        ("n: mean(loss), loss: n + x", "'loss' is already the name of one of the data"),
    ],
)
def test_what_is_read_is_checked(nodes: str, message: str, folder: Path) -> None:
    """With its place; a name that no column has is told with the nearest one."""
    (folder / "d.csv").write_text(ROWS, encoding="utf-8")
    with pytest.raises(GraphrunError) as caught:
        value(f"data: {{file: d.csv}}\nnodes: {{{nodes}}}\n")
    assert message in str(caught.value)


def test_a_file_of_which_nothing_is_read_has_to_be_there(folder: Path) -> None:
    """Its cells are not looked at."""
    for columns in ("", ", columns: {x: x}"):
        with pytest.raises(GraphrunError, match="there is no such file"):
            value(f"data: {{file: e.csv{columns}}}\nnodes: {{n: 1 + 1}}\n")
        (folder / "d.csv").write_text("x\nb\n", encoding="utf-8")
        assert value(f"data: {{file: d.csv{columns}, batch_size: 5}}\nnodes: {{n: 1 + 1}}\n") == 2


def test_a_file_of_a_kind_that_is_not_read_is_refused_by_its_name(folder: Path) -> None:
    """Not as though none were named."""
    for name in ("d.csv.zip", "d.txt"):
        with pytest.raises(GraphrunError, match=f"g.yaml:1:14: '{name}' is no data file"):
            value(f"data: {{file: {name}}}\nnodes: {{n: mean(x)}}\n")


def test_an_unread_column_cannot_be_recorded(folder: Path) -> None:
    """The message says why there is none."""
    (folder / "d.csv").write_text(ROWS, encoding="utf-8")
    (folder / "g.yaml").write_text("data: {file: d.csv}\nnodes: {n: mean(x)}\n", encoding="utf-8")
    graph = graphrun.load("g.yaml")
    with pytest.raises(UsageError, match="no node reads the column 'y' of the data"):
        graph.run(record=["y"])
    assert graph.run(record=["x"]).history["x"].tolist() == [[1, 2]]


LIBRARY = """\
subgraphs:
  double: {inputs: [v], nodes: {w: 2 * v}, output: w}
  last: {inputs: [v, unused], nodes: {u: double(v), w: u + 1}, output: w}
"""


@pytest.mark.parametrize("columns", ["", ", columns: {x: x, name: {column: name, categories: auto}}"])
def test_a_column_is_the_input_of_a_subgraph(columns: str, folder: Path) -> None:
    """Alone, in a nested one, in an expression, and where the subgraph does not read it."""
    (folder / "d.csv").write_text(ROWS, encoding="utf-8")
    text = f"data: {{file: d.csv{columns}}}\n{LIBRARY}nodes: {{a: {{type: double, inputs: [x]}}, n: 'last(x, name)'}}\n"
    assert value(text, "a") == [2, 4]
    assert value(text) == [3, 5]
    with pytest.raises(GraphrunError, match=r"input 'nmae' is unknown(?s:.*)did you mean 'name'"):
        value(text.replace("last(x, name)", "last(x, nmae)"))
    with pytest.raises(GraphrunError, match="input 'z' is unknown"):
        value(text.replace("inputs: [x]", "inputs: [z]"))
