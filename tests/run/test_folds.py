"""Cross-validation: each row is held back once, scores are scikit-learn's, and a run in parts has them too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson import GRAPHS

import graphrun
from graphrun.base.errors import GraphFileError, UsageError
from graphrun.cli.entry import run_command
from graphrun.data import split
from graphrun.data.split import Split
from graphrun.document.dump import dump_document
from graphrun.run.checkpoint import load_checkpoint

IRIS = f"""
data: {{file: {GRAPHS / "data/iris.csv"}, columns: {{x: ["sepal_*", petal_length], y: petal_width}}, FOLDS}}
parameters: {{w: {{shape: [3], init: zeros}}, b: 0}}
nodes: {{loss: mean((x @ w + b - y) ** 2)}}
minimize: loss
update: {{type: lbfgs}}
steps: 200
record: [loss]
seed: 3
"""


def iris(folds: str = "folds: 5", **more: Any) -> Any:
    """Return a linear regression with some folds."""
    return graphrun.loads(IRIS.replace("FOLDS", folds), **more)


def held_back(graph: Any, fold: int) -> list[tuple[float, ...]]:
    """Return the rows of a fold."""
    x, y = graph.source.at_fold(fold).open(3).holdout()
    return [(*row, target) for row, target in zip(x.tolist(), y.tolist(), strict=True)]


@pytest.mark.parametrize("rows", [2, 7, 150, 1000])
@pytest.mark.parametrize("folds", [2, 5, 7])
def test_each_row_is_held_back_once(monkeypatch: pytest.MonkeyPatch, rows: int, folds: int) -> None:
    """Folds of any number of blocks divide the rows into parts whose sizes differ by one at most."""
    monkeypatch.setattr(split, "BLOCK", 64)
    parts = [Split(rows, 0.0, 1, folds=folds, fold=fold) for fold in range(folds)]
    held = np.array([part.held(0, rows) for part in parts])
    assert (held.sum(axis=0) == 1).all()
    sizes = held.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1
    assert [part.held_rows for part in parts] == sizes.tolist()
    for part, rows_held in zip(parts, held, strict=True):
        assert [part.training_before(row) for row in (0, rows // 2, rows)] == [
            np.count_nonzero(~rows_held[:row]) for row in (0, rows // 2, rows)
        ]


HOW = ["folds: 5", "folds: 5, holdout: {stratify: species, seed: 8}", "folds: 3, holdout: {group: species}"]


@pytest.mark.parametrize("how", HOW)
def test_scores_are_those_of_least_squares(how: str) -> None:
    """Each fold's value is that of NumPy's fit to the other rows; mean and deviation are NumPy's."""
    graph = iris(how)
    folds = graph.run().folds
    parts = [np.array(held_back(graph, fold)) for fold in range(len(folds.steps))]
    scores = []
    for fold, part in enumerate(parts):
        others = np.concatenate([other for k, other in enumerate(parts) if k != fold])
        fit = np.linalg.lstsq(np.column_stack([others[:, :3], np.ones(len(others))]), others[:, 3], rcond=None)[0]
        scores.append(np.mean((np.column_stack([part[:, :3], np.ones(len(part))]) @ fit - part[:, 3]) ** 2))
    np.testing.assert_allclose(folds.values["loss"], scores, rtol=1e-7)
    assert folds.mean["loss"] == pytest.approx(np.mean(scores), rel=1e-7)
    assert folds.sd["loss"] == pytest.approx(np.std(scores), rel=1e-6)


@pytest.mark.campaign
@pytest.mark.parametrize("how", HOW)
def test_scores_are_those_of_scikit_learn(how: str) -> None:
    """The values of the folds, their mean and their deviation are those of `cross_val_score` on the same rows."""
    selection = pytest.importorskip("sklearn.model_selection")
    linear = pytest.importorskip("sklearn.linear_model").LinearRegression()
    graph = iris(how)
    result = graph.run()
    count = len(result.folds.steps)
    rows = [held_back(graph, fold) for fold in range(count)]
    numbers = np.repeat(np.arange(count), [len(part) for part in rows])
    table = np.array([row for part in rows for row in part])
    assert len(table) == 150
    scores = -selection.cross_val_score(
        linear, table[:, :3], table[:, 3], cv=selection.PredefinedSplit(numbers), scoring="neg_mean_squared_error"
    )
    np.testing.assert_allclose(result.folds.values["loss"], scores, rtol=1e-7)
    assert result.folds.mean["loss"] == pytest.approx(scores.mean(), rel=1e-7)
    assert result.folds.sd["loss"] == pytest.approx(scores.std(), rel=1e-6)
    assert result.holdout["loss"] == result.folds.values["loss"][-1]


def test_strata_and_groups() -> None:
    """A stratum has the same share in each fold; a group is in one of them."""
    texts = np.array([line.rpartition(",")[2] for line in (GRAPHS / "data/iris.csv").read_text().split()[1:]])
    table = np.genfromtxt(GRAPHS / "data/iris.csv", delimiter=",", skip_header=1, usecols=range(4))
    species: dict[tuple[float, ...], set[str]] = {}
    for row, text in zip(table.tolist(), texts, strict=True):
        species.setdefault((row[0], row[1], row[2], row[3]), set()).add(text)
    graph = iris("folds: 3, holdout: {group: species}")
    for fold in range(3):
        assert len(set.union(*(species[row] for row in held_back(graph, fold)))) == 1
    graph = iris("folds: 5, holdout: {stratify: species}")
    for fold in range(5):
        found = [next(iter(species[row])) for row in held_back(graph, fold)]
        assert {found.count(text) for text in set(found)} == {10}


def test_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both outputs have mean and deviation; what belongs to one run is that of the last fold."""
    (tmp_path / "g.yaml").write_text(IRIS.replace("FOLDS", "folds: 4"))
    assert run_command([str(tmp_path / "g.yaml"), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    loss = found["folds"]["recorded"]["loss"]
    assert (found["folds"]["count"], len(found["folds"]["steps"])) == (4, 4)
    assert loss["mean"] == pytest.approx(np.mean(loss["values"]))
    assert loss["sd"] == pytest.approx(np.std(loss["values"]))
    assert found["holdout"]["loss"] == loss["values"][-1]
    assert run_command([str(tmp_path / "g.yaml")]) == 0
    shown = capsys.readouterr().out
    assert "mean ± standard deviation on 4 folds" in shown
    assert f"  loss  {loss['mean']:.8g}  ±" in shown


TRAINED = """
data:
  file: FILE
  columns: {x: {columns: ["sepal_*", petal_length], standardize: true}, y: petal_width}
  batch_size: 10
  shuffle: true
  folds: 3
parameters: {w: {shape: [3], init: zeros}, b: 0}
nodes: {loss: mean((x @ w + b - y) ** 2)}
minimize: loss
update: {type: adam, step_size: {type: plateau, start: 0.1, factor: 0.5, patience: 3}, accumulate: 2}
stop: {holdout: {patience: 30}}
keep: best
steps: 300
record: [loss]
seed: 3
"""


@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.campaign)])
def test_interrupted_and_resumed_in_any_fold(tmp_path: Path, engine: str) -> None:
    """A run that is cut anywhere goes on in the fold that it was in, and ends with the same bits."""
    graph = graphrun.loads(TRAINED.replace("FILE", str(GRAPHS / "data/iris.csv")))
    whole = graph.run(engine=engine, save=tmp_path / "whole")
    assert max(whole.folds.steps) < 300
    assert whole.kept.value == whole.holdout["loss"] == whole.folds.values["loss"][-1]
    total, at = sum(whole.folds.steps), set()
    for cut in range(5, total, total // {"numpy": 5, "jax": 2}[engine]):  # JAX compiles anew each time
        left = [cut]

        def interrupted(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        part = graph.try_run(engine=engine, save=tmp_path / "part", save_every=7, interrupted=interrupted)
        at.add(len(load_checkpoint(tmp_path / "part").folds.get("loss", ())))
        assert part.stopped == "interrupted" or part.folds is not None
        rest = graph.run(engine=engine, resume=tmp_path / "part", save=tmp_path / "rest")
        assert rest.folds.steps == whole.folds.steps
        np.testing.assert_array_equal(rest.folds.values["loss"], whole.folds.values["loss"])
        assert (tmp_path / "whole").read_bytes() == (tmp_path / "rest").read_bytes()
    assert len(at) > 1


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ("folds: 1", r":2:\d+: 'folds' takes a whole number, 2 or more, not the number 1"),
        ("folds: true", r":2:\d+: 'folds' takes a whole number, 2 or more, not true"),
        ("folds: ", r":2:\d+: a value is needed here: 'folds' takes a whole number"),
        ("folds: 151", r":2:\d+: 150 rows cannot be divided into 151 folds"),
        ("folds: 5, holdout: 0.2", r":2:\d+: both 'holdout' and 'folds' are given"),
        ("folds: 5, holdout: {share: 0.2}", r":2:\d+: each fold is held back in turn: 'share' says nothing"),
        ("folds: 5, holdout: {group: species}", r":2:\d+: the column 'species' does not tell 5 folds apart"),
        ("folds: 5, holdout: {stratify: kind}", r":2:\d+: .* 'kind'"),
        ("cv: 5", r":2:\d+: unknown key 'cv'\n.*\n.*\n  write folds: 5"),
        ("fold: 5", r":2:\d+: unknown key 'fold'\n.*\n.*\n  did you mean 'folds'"),
    ],
)
def test_refused(folds: str, message: str) -> None:
    """Each mistake is told where it stands."""
    with pytest.raises(GraphFileError, match=message):
        iris(folds).run()


def test_other_folds_than_those_of_a_checkpoint(tmp_path: Path) -> None:
    """A checkpoint of a later fold than there is says so."""
    iris("folds: 5").run(save=tmp_path / "c")
    with pytest.raises(UsageError, match="has come to fold 5, and there are 3"):
        iris("folds: 3").run(resume=tmp_path / "c")
    with pytest.raises(UsageError, match="of a run of 5 folds has come to fold 5, and there are 7"):
        iris("folds: 7").run(resume=tmp_path / "c")
    with pytest.raises(UsageError, match="of a run of 5 folds has come to fold 5, and there are 7"):
        iris("folds: 7").evaluate(tmp_path / "c")
    iris("holdout: 0.2").run(save=tmp_path / "c")
    with pytest.raises(UsageError, match="is of a run without folds\n  --start takes"):
        iris("folds: 5").run(resume=tmp_path / "c")


def test_a_checkpoint_is_evaluated_on_the_fold_that_its_run_held_back(tmp_path: Path) -> None:
    """Also where that is not the last one: the rows of another fold were trained on."""
    graph = graphrun.loads(TRAINED.replace("FILE", str(GRAPHS / "data/iris.csv")))
    whole = graph.run(20, save=tmp_path / "c")
    assert graph.evaluate(tmp_path / "c").holdout["loss"] == pytest.approx(whole.holdout["loss"], rel=1e-12)
    left = [25]

    def interrupted() -> bool:
        left[0] -= 1
        return left[0] < 0

    part = graph.try_run(20, save=tmp_path / "c", interrupted=interrupted)
    assert (part.stopped, len(load_checkpoint(tmp_path / "c").folds["loss"])) == ("interrupted", 1)
    assert graph.evaluate(tmp_path / "c").holdout["loss"] == pytest.approx(part.holdout["loss"], rel=1e-12)


def test_what_is_dumped_is_the_same() -> None:
    """A file that is written again has its folds, with and without a column that decides."""
    for folds in ("folds: 5", "folds: 5, holdout: {stratify: species, seed: 2}"):
        document = iris(folds).document
        again = graphrun.loads(dump_document(document)).document
        assert again.data.holdout == document.data.holdout
