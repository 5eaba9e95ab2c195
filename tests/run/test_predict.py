"""Prediction: the forward pass over the rows of a file, with the parameters of a checkpoint."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.cli.entry import run_command
from graphrun.run.checkpoint import load_checkpoint

GRAPH = """\
data:
  file: train.csv
  columns: {x: {columns: [u, v], standardize: true}, label: {column: kind, categories: auto}}
  batch_size: 6
  shuffle: true
  holdout: 0.2
parameters:
  W: {shape: [2, 3], init: {type: normal}}
  scale: {shape: [3], init: {type: ones}}
  shift: {shape: [3], init: {type: zeros}}
nodes:
  h: {type: matmul, inputs: [x, W]}
  n: {type: batch_norm, inputs: [h, scale, shift]}
  d: {type: dropout, inputs: [n], rate: 0.4}
  share: {type: softmax, inputs: [d]}
  best: {type: argmax, inputs: [d], axis: 1}
  loss: {type: cross_entropy, inputs: [d, label]}
  spread: {type: sum, inputs: [W]}
minimize: loss
update: {type: adam, step_size: 0.05}
steps: 15
seed: 2
"""
ARGUMENTS = ["predict", "g.yaml", "--resume", "c.safetensors"]

Predict = Callable[..., tuple[int, list[list[str]], str]]


def write_csv(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns by name."""
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(rows: int, seed: int, middle: float = 0.0) -> dict[str, Any]:
    """Return two features and a class of text."""
    rng = np.random.default_rng(seed)
    u, v = rng.normal(middle, 2, rows).round(3), rng.normal(size=rows).round(3)
    return {"u": u, "v": v, "kind": np.array(["ant", "bee", "cat"])[rng.integers(0, 3, rows)]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the working folder, with the graph, its data, other rows, and a checkpoint after 15 steps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    write_csv(tmp_path / "train.csv", table(30, 0))
    write_csv(tmp_path / "new.csv", table(11, 1, middle=5))
    graphrun.load("g.yaml").run(save="c.safetensors")
    return tmp_path


@pytest.fixture
def predict(folder: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    """Return a function that gives the exit status, the rows on stdout, and stderr."""

    def run(*arguments: str) -> tuple[int, list[list[str]], str]:
        status = run_command([*ARGUMENTS, *arguments])
        captured = capsys.readouterr()
        return status, list(csv.reader(io.StringIO(captured.out))), captured.err

    return run


def expected(data: str) -> dict[str, Any]:
    """Compute the nodes by hand: the training part's statistics, running statistics, no dropout."""
    arrays = load_checkpoint("c.safetensors").arrays
    with Path(data).open(encoding="utf-8") as file:
        x = np.array([[float(row["u"]), float(row["v"])] for row in csv.DictReader(file)])
    statistics = sorted(name for name in arrays if name.startswith("data/x"))
    mean = next(arrays[name] for name in statistics if "mean" in name)
    std = next(arrays[name] for name in statistics if "std" in name)
    h = (x - mean) / std @ arrays["parameters/W"]
    running = arrays["states/n.running_mean"], arrays["states/n.running_variance"]
    n = (h - running[0]) / np.sqrt(running[1] + 1e-5) * arrays["parameters/scale"] + arrays["parameters/shift"]
    shares = np.exp(n) / np.exp(n).sum(1, keepdims=True)
    return {"h": h, "share": shares, "best": n.argmax(1)}


@pytest.mark.parametrize("data", ["new.csv", "train.csv"])
def test_against_numpy(predict: Predict, data: str) -> None:
    """Rows come in the order of the file, those held back too, treated as the checkpoint's training rows were."""
    status, rows, message = predict("--data", data, "--output", "share,best")
    assert (status, message) == (0, "")
    wanted = expected(data)
    assert rows[0] == ["share[0]", "share[1]", "share[2]", "best"]
    found = np.array(rows[1:], dtype=float)
    np.testing.assert_allclose(found[:, :3], wanted["share"], rtol=1e-12)
    np.testing.assert_array_equal(found[:, 3], wanted["best"])


def test_the_graphs_own_file(predict: Predict) -> None:
    """Without --data the rows are those of the file that the graph names."""
    assert predict("--output", "best") == predict("--output", "best", "--data", "train.csv")


def test_only_what_is_needed(predict: Predict, folder: Path) -> None:
    """Columns that the values do not depend on may be missing or bad, further ones are ignored."""
    columns = table(4, 3)
    del columns["kind"]
    write_csv(folder / "few.csv", {"more": ["?"] * 4, **columns})
    status, rows, _ = predict("--data", "few.csv", "--output", "h")
    assert status == 0
    np.testing.assert_allclose(np.array(rows[1:], dtype=float), expected("few.csv")["h"], rtol=1e-12)
    status, rows, message = predict("--data", "few.csv", "--output", "loss")
    assert (status, rows) == (2, [])
    assert "kind" in message


def test_a_single_row(predict: Predict, folder: Path) -> None:
    """One row is enough, also for batch_norm, which takes what the checkpoint has."""
    write_csv(folder / "one.csv", {"u": [0.5], "v": [-1.0]})
    status, rows, message = predict("--data", "one.csv", "--output", "share")
    assert (status, message) == (0, "")
    np.testing.assert_allclose(np.array(rows[1:], dtype=float), expected("one.csv")["share"], rtol=1e-12)


def test_rows_come_in_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of any length is predicted piece by piece; the pieces together are the whole."""
    whole = np.concatenate([piece["share"] for piece in graphrun.load("g.yaml").predict("c.safetensors", ["share"])])
    monkeypatch.setattr("graphrun.data.dataset.CHUNK_BYTES", 16 * 7)
    pieces = [piece["share"] for piece in graphrun.load("g.yaml").predict("c.safetensors", ["share"])]
    assert [len(piece) for piece in pieces] == [7, 7, 7, 7, 2]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-13)


def test_files(predict: Predict, folder: Path) -> None:
    """A .csv file is what stdout would get, an .npz has an array for each name."""
    _, rows, _ = predict("--output", "best,share")
    assert predict("--output", "best,share", "-o", "p.csv")[:2] == (0, [])
    with (folder / "p.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == rows
    assert predict("--output", "best,share", "-o", "p.npz")[:2] == (0, [])
    with np.load(folder / "p.npz") as arrays:
        assert sorted(arrays) == ["best", "share"]
        assert arrays["share"].shape == (30, 3)
        np.testing.assert_array_equal(arrays["share"], np.array(rows[1:], dtype=float)[:, 1:])
    assert sorted(file.name for file in folder.iterdir()) == [
        "c.safetensors",
        "g.yaml",
        "new.csv",
        "p.csv",
        "p.npz",
        "train.csv",
    ]


def test_several_axes(predict: Predict, folder: Path) -> None:
    """The elements of a row are columns that are named by their indices."""
    text = GRAPH.replace("nodes:\n", "nodes:\n  grid: {type: reshape, inputs: [x], shape: [-1, 2, 1]}\n")
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    status, rows, _ = predict("--output", "grid")
    assert (status, rows[0]) == (0, ["grid[0,0]", "grid[1,0]"])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--output", "nope"], 2, "there is no node 'nope' to predict"),
        (["--output", "shares"], 2, "did you mean 'share'?"),
        (["--output", "W"], 2, "there is no node 'W' to predict"),
        (["--output", ""], 2, "no node is named"),
        (["--output", " , "], 2, "no node is named"),
        (["--output", "spread"], 2, "'spread' has no axis of rows"),
        (["--output", "loss"], 2, "'loss' has no axis of rows: its shape on 30 rows is ()"),
        (["--output", "best", "--data", "absent.csv"], 2, "absent.csv"),
        (["--output", "best", "-o", "p.txt"], 2, "write a name that ends with .csv or .npz"),
        (["--output", "best", "-o", "no/p.csv"], 1, "no/p.csv cannot be written: No such file or directory"),
        (["--output", "best", "-o", "no/p.npz"], 1, "no/p.npz cannot be written: No such file or directory"),
    ],
)
def test_mistakes(predict: Predict, arguments: list[str], status: int, message: str) -> None:
    """Each is told in a line or two, and nothing is written."""
    code, rows, text = predict(*arguments)
    assert (code, rows) == (status, [])
    assert message in text
    assert not list(Path().glob("p.*"))


@pytest.mark.parametrize("column", ["u", "kind"])
def test_bad_cells(predict: Predict, folder: Path, column: str) -> None:
    """A cell that is no number, and a category that the training rows do not have, are told by their places."""
    columns = table(4, 3)
    columns[column] = [*columns[column].tolist()[:2], "dog", columns[column].tolist()[3]]
    write_csv(folder / "bad.csv", columns)
    (folder / "g.yaml").write_text(
        GRAPH.replace("minimize:", "  picked: {type: take_along_axis, inputs: [h, i], axis: 1}\nminimize:").replace(
            "  loss:", "  i: {type: reshape, inputs: [label], shape: [-1, 1]}\n  loss:"
        ),
        encoding="utf-8",
    )
    status, rows, message = predict("--data", "bad.csv", "--output", "picked")
    assert (status, rows) == (2, [])
    assert message.startswith("bad.csv:4:")
    assert "dog" in message


def test_another_graphs_checkpoint(predict: Predict, folder: Path) -> None:
    """It is refused where the parameters that are needed differ; what is not needed may."""
    text = GRAPH.replace("  W: {shape: [2, 3]", "  U: {shape: [2, 3]").replace("[x, W]", "[x, U]")
    (folder / "g.yaml").write_text(text.replace("inputs: [W]", "inputs: [U]"), encoding="utf-8")
    status, rows, message = predict("--output", "best")
    assert (status, rows) == (2, [])
    assert "the checkpoint c.safetensors is of another graph: it has no parameter 'U'" in message
    text = GRAPH.replace("{columns: [u, v], standardize: true}", "{columns: [u], standardize: true}")
    (folder / "g.yaml").write_text(text.replace("shape: [2, 3]", "shape: [1, 3]"), encoding="utf-8")
    status, rows, message = predict("--output", "best")
    assert (status, rows) == (2, [])
    assert "the checkpoint does not fit: it has no mean and deviation of 'x'" in message
    (folder / "g.yaml").write_text(GRAPH.replace("type: adam", "type: sgd"), encoding="utf-8")
    assert predict("--output", "best")[0] == 0


def test_another_graphs_states(predict: Predict, folder: Path) -> None:
    """Running statistics that the checkpoint does not have are told as parameters are."""
    text = GRAPH.replace("  n: ", "  m: ").replace("inputs: [n]", "inputs: [m]")
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    status, rows, message = predict("--output", "best")
    assert (status, rows) == (2, [])
    assert "is of another graph: it has no state 'm.running_mean'" in message


def test_a_graph_without_data(predict: Predict, folder: Path) -> None:
    """It has no rows to predict."""
    (folder / "g.yaml").write_text("parameters: {a: 1.0}\nnodes: {f: a ** 2}\nminimize: f\n", encoding="utf-8")
    graphrun.load("g.yaml").run(save="c.safetensors")
    status, rows, message = predict("--output", "f")
    assert (status, rows) == (2, [])
    assert message == "graphrun: g.yaml has no 'data' section, so there are no rows to predict\n"


def test_columns_by_the_files_own_names(predict: Predict, folder: Path) -> None:
    """A section without `columns` gives every column; of new rows only those that are needed are read."""
    write_csv(folder / "numbers.csv", {name: table(9, 4)[name] for name in ("u", "v")})
    text = "data: {file: numbers.csv}\nparameters: {a: 1.0}\nnodes: {p: a * u, f: mean((p - v) ** 2)}\nminimize: f\n"
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    result = graphrun.load("g.yaml").run(3, save="c.safetensors")
    write_csv(folder / "only.csv", {"other": ["x", "y"], "v": ["?", "?"], "u": [1.0, 2.0]})
    status, rows, message = predict("--data", "only.csv", "--output", "p")
    assert (status, message) == (0, "")
    a = result.parameters["a"]
    np.testing.assert_allclose(np.array(rows[1:], dtype=float).ravel(), [a, 2 * a], rtol=1e-14)


def test_after_a_solver(predict: Predict, folder: Path) -> None:
    """The checkpoint of a fit is one to predict with."""
    pytest.importorskip("scipy", reason="the solvers are SciPy's: pip install 'graphrun[scipy]'")
    (folder / "g.yaml").write_text(
        "data: {file: train.csv, columns: {u: u, v: v}}\nparameters: {a: 1.0, b: 0.0}\n"
        "nodes: {p: a * u + b, r: p - v, f: sum(r ** 2)}\nminimize: f\n"
        "update: {type: least_squares, residual: r}\nsteps: 100\n",
        encoding="utf-8",
    )
    result = graphrun.load("g.yaml").run(save="c.safetensors")
    status, rows, message = predict("--data", "new.csv", "--output", "p")
    assert (status, message) == (0, "")
    wanted = result.parameters["a"] * table(11, 1, middle=5)["u"] + result.parameters["b"]
    np.testing.assert_allclose(np.array(rows[1:], dtype=float).ravel(), wanted, rtol=1e-12)


def test_rows_are_what_depends_on_the_rows(folder: Path) -> None:
    """Not what is as long as there are rows; and what reads all of them reads all of them."""
    (folder / "s.csv").write_text("a,b,c\n1,2,3\n2,5,1\n4,4,4\n", encoding="utf-8")
    (folder / "s.yaml").write_text(
        "data: {file: s.csv, columns: {X: [a, b, c]}}\nparameters: {w: [1, 2, 3]}\nnodes: {p: X @ w, q: 'mean(X,"
        " axis=0)', s: w * 2 + 0 * q, t: matrix_transpose(X), u: 'X - q', v: 'cumulative_sum(p)', loss: sum(p)}\n"
        "minimize: loss\nsteps: 0\n",
        encoding="utf-8",
    )
    graph = graphrun.load("s.yaml")
    graph.run(save="s.safetensors")
    for name in ("q", "s", "t"):
        with pytest.raises(graphrun.UsageError, match=f"'{name}' has no axis of rows: its shape on 3 rows is"):
            list(graph.predict("s.safetensors", [name]))
    (found,) = graph.predict("s.safetensors", ["p", "u", "v"])
    x = np.array([[1, 2, 3], [2, 5, 1], [4, 4, 4]])
    np.testing.assert_allclose(found["p"], x @ [1, 2, 3])
    np.testing.assert_allclose(found["u"], x - x.mean(axis=0))
    np.testing.assert_allclose(found["v"], np.cumsum(x @ [1, 2, 3]))


@pytest.mark.parametrize("columns", ["", ", columns: {x: x, y: y}"])
def test_columns_that_no_asked_node_needs(columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They need not be there, whether the section names the columns or has all; what is needed is missed by name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("x,y,z\n1,2,5\n2,4,6\n", encoding="utf-8")
    (tmp_path / "new.csv").write_text("x\n3\n5\n", encoding="utf-8")
    nodes = "{model: a * x, off: model - y, loss: sum(off ** 2)}"
    text = f"data: {{file: train.csv{columns}}}\nparameters: {{a: 2}}\nnodes: {nodes}\nminimize: loss\n"
    graphrun.loads(text).run(steps=0, save="c.safetensors")
    graph = graphrun.loads(text, data="new.csv")
    (piece,) = graph.predict("c.safetensors", ["model"])
    assert piece["model"].tolist() == [6, 10]
    for missed in (lambda: next(graph.predict("c.safetensors", ["off"])), lambda: graph.run(steps=0)):
        with pytest.raises(graphrun.GraphrunError, match=r"'new\.csv' has no column 'y'(?s:.*)its columns are 'x'"):
            missed()
    with pytest.raises(graphrun.GraphrunError, match="input 'w' is unknown"):
        graphrun.loads(text.replace("- y", "- w"), data="new.csv")
