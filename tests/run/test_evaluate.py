"""What a checkpoint is worth on rows; predictions with ids and the texts that stand for indices, as Parquet too."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.base.errors import GraphrunError, UsageError
from graphrun.cli.entry import run_command
from graphrun.data import opening

GRAPH = """\
data:
  file: rows.csv
  columns:
    x: {columns: [u, v], standardize: true, missing: mean}
    label: {column: kind, categories: auto}
  batch_size: 7
  shuffle: true
  holdout: {share: 0.25, stratify: kind}
parameters:
  W: {shape: [x, label], init: normal}
nodes:
  logits: x @ W
  read: argmax(logits, axis=1)
  penalty: sum(W ** 2)
  spread: std(logits)
  loss: cross_entropy(logits, label) + 0.01 * penalty
  accuracy: accuracy(logits, label)
minimize: loss
update: {type: adam, step_size: 0.05}
steps: 9
record: [accuracy, loss, penalty, W]
"""


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Write a graph file and its rows, and run it; return the rows."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    kinds = np.array(["ant", "bee", "cat"])[rng.integers(0, 3, 60)]
    table = [
        {
            "id": f"no. {k}",
            "u": "" if k % 9 == 4 else f"{rng.normal():.3f}",
            "v": f"{rng.normal():.3f}",
            "kind": kinds[k],
        }
        for k in range(60)
    ]
    write(Path("rows.csv"), table)
    Path("g.yaml").write_text(GRAPH, encoding="utf-8")
    graphrun.load("g.yaml").run(save="c")
    return table


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """Write rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("streamed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_values_on_all_rows_and_on_those_held_back(
    streamed: bool, rows: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of NumPy, by the parameters and the statistics of the run, and what the run records."""
    if streamed:
        monkeypatch.setattr(opening.Limits, "__new__", lambda cls: tuple.__new__(cls, (0, 0, 100, 300)))
    graph = graphrun.load("g.yaml")
    result = graph.run(save="c")
    found = graph.evaluate("c", ["loss", "accuracy", "penalty", "spread", "logits"])
    assert (found.graph, found.step, found.rows, found.holdout_rows) == ("g.yaml", 9, 60, 15)
    data = graph.source.open(0)
    assert data is not None
    kept = data.statistics
    x = np.array([[float(row["u"] or "nan"), float(row["v"])] for row in rows])
    x = (np.where(np.isnan(x), kept["x.mean"], x) - kept["x.mean"]) / kept["x.std"]
    label = np.array([["ant", "bee", "cat"].index(row["kind"]) for row in rows])
    logits = x @ result.parameters["W"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    penalty = (result.parameters["W"] ** 2).sum()
    assert found.values["logits"] == pytest.approx(logits)
    assert found.values["loss"] == pytest.approx(-np.log(shares[np.arange(60), label]).mean() + 0.01 * penalty)
    assert found.values["accuracy"] == pytest.approx((logits.argmax(axis=1) == label).mean())
    assert found.values["penalty"] == pytest.approx(penalty)
    assert found.values["spread"] == pytest.approx(logits.std())
    assert found.holdout["loss"] == pytest.approx(result.holdout["loss"])
    assert found.holdout["accuracy"] == pytest.approx(result.holdout["accuracy"])


def test_other_rows_and_what_is_evaluated_by_default(
    rows: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The objective first; a file of one's own has nothing held back."""
    found = graphrun.load("g.yaml").evaluate("c")
    assert list(found.values) == list(found.holdout) == ["loss", "accuracy", "penalty"]
    write(Path("other.csv"), rows[:5])
    assert run_command(["evaluate", "g.yaml", "--resume", "c", "--data", "other.csv", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.keys() == {"graph", "step", "rows", "values", "holdout_rows", "holdout"}
    assert (shown["rows"], shown["holdout_rows"], shown["holdout"]) == (5, 0, {})
    assert run_command(["evaluate", "g.yaml", "--resume", "c", "--record", "loss"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["60", "rows", "15", "held", "back"]
    assert lines[1].split()[0] == "loss"
    assert len(lines) == 2


@pytest.mark.parametrize("split", ["{share: 0.3}", "{share: 0.3, stratify: g}", "{share: 0.3, time: a}"])
def test_rows_that_a_column_of_another_node_leaves_out(tmp_path: Path, split: str) -> None:
    """What is held back is what the run held back, though a column that decides on rows is not asked for."""
    lines = [f"{a},{a % 7},{'' if a % 5 == 1 else 'uvw'[a % 3]}" for a in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,y,g", *lines]))
    text = f"""
data: {{file: rows.csv, columns: {{g: {{column: g, categories: auto, missing: drop}}, a: a, y: y}}, holdout: {split}}}
parameters: {{w: 0.1}}
nodes: {{of_g: g + 0, rows: sum(0 * a + 1), loss: mean((w * a - y) ** 2)}}
minimize: loss
update: {{step_size: 1e-4}}
record: [loss, rows]
"""
    graph = graphrun.loads(text, name=str(tmp_path / "g.yaml"))
    result = graph.run(save=tmp_path / "c")
    found = graph.evaluate(tmp_path / "c")
    assert (found.rows, found.holdout_rows) == (32, result.holdout["rows"])
    assert found.holdout == result.holdout


def test_a_file_of_rows_held_back(rows: list[dict[str, str]]) -> None:
    """Is what `holdout` are."""
    write(Path("other.csv"), rows[:5])
    graph = graphrun.load("g.yaml", overrides="data.holdout={file: other.csv}")
    graph.run(save="d")
    found = graph.evaluate("d")
    assert (found.rows, found.holdout_rows) == (60, 5)
    assert found.holdout == graphrun.load("g.yaml", data="other.csv").evaluate("d").values


@pytest.mark.parametrize(("names", "message"), [(["lss"], "did you mean 'loss'"), ([], "nothing is to be evaluated")])
def test_mistakes_of_evaluate(names: list[str], message: str) -> None:
    """Are told."""
    with pytest.raises(UsageError, match=message):
        graphrun.load("g.yaml").evaluate("c", names)


def predicted(arguments: list[str]) -> tuple[int, Callable[[str], list[list[str]]]]:
    """Predict, and return the status and what reads a CSV file."""
    status = run_command(["predict", "g.yaml", "--resume", "c", *arguments])
    return status, lambda name: list(csv.reader(Path(name).read_text(encoding="utf-8").splitlines()))


def test_ids_and_texts(rows: list[dict[str, str]]) -> None:
    """Columns come before the values, of text or, where the graph reads them too, of numbers."""
    status, read = predicted(["--output", "read,logits", "--texts", "read=label", "--id", "id,v", "-o", "p.csv"])
    assert status == 0
    header, *lines = read("p.csv")
    assert header == ["id", "v", "read", "logits[0]", "logits[1]", "logits[2]"]
    assert [line[0] for line in lines] == [row["id"] for row in rows]
    assert [float(line[1]) for line in lines] == [float(row["v"]) for row in rows]
    best = [np.argmax([float(cell) for cell in line[3:]]) for line in lines]
    assert [line[2] for line in lines] == [["ant", "bee", "cat"][index] for index in best]


def test_parquet_and_archives(rows: list[dict[str, str]]) -> None:
    """What is written can be read again as data."""
    status, read = predicted(["--output", "read,logits", "--texts", "read=label", "--id", "id", "-o", "p.parquet"])
    assert status == 0
    assert predicted(["--output", "read,logits", "--texts", "read=label", "--id", "id", "-o", "p.npz"])[0] == 0
    assert predicted(["--output", "read,logits", "--texts", "read=label", "--id", "id", "-o", "p.csv"])[0] == 0
    import duckdb

    table = duckdb.execute("FROM 'p.parquet'")
    header, *lines = read("p.csv")
    assert [name for name, *_ in table.description or ()] == header
    assert [[*map(str, row)] for row in table.fetchall()] == lines
    archive = np.load("p.npz")
    assert archive["id"].tolist() == [row["id"] for row in rows]
    assert archive["read"].tolist() == [line[1] for line in lines]
    assert archive["logits"].shape == (60, 3)


def test_rows_that_are_left_out_have_no_prediction(rows: list[dict[str, str]]) -> None:
    """The id says which are there."""
    Path("g.yaml").write_text(GRAPH.replace("missing: mean", "missing: drop"), encoding="utf-8")
    graphrun.load("g.yaml").run(save="c")
    (piece,) = graphrun.load("g.yaml").predict("c", ["read"], texts={"read": "label"}, carried=["id"])
    assert piece["id"].tolist() == [row["id"] for row in rows if row["u"]]


MISTAKES = {
    "--texts read": "--texts takes NODE=COLUMN",
    "--texts read=x": "texts: the checkpoint has no categories of a column 'x'",
    "--texts raed=label": "texts: 'raed' is none of the values that are asked for: read, logits",
    "--texts logits=label": "texts: 'logits' has .*, which is no index of 3 categories",
    "--id idd": "'rows.csv' has no column 'idd'\n  did you mean 'id'",
    "--id read": "'read' is asked for twice",
    "-o p.txt": "write a name that ends with .csv or .npz, or .parquet",
}


@pytest.mark.parametrize("asked", MISTAKES)
def test_mistakes_of_predict(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Are told, and nothing is written."""
    status, _ = predicted(["--output", "read,logits", *asked.split()])
    assert status == 2
    error = capsys.readouterr().err
    import re

    assert re.search(MISTAKES[asked], error), error


def test_a_graph_without_data() -> None:
    """Has no rows."""
    graph = graphrun.loads("parameters: {a: 1}\nnodes: {f: a * a}\nminimize: f\n")
    with pytest.raises(GraphrunError, match="has no 'data' section"):
        graph.evaluate("c")
