"""What a run looks at: stopping by held-back rows, keeping the best, lowering the step size; and all of it resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson import GRAPHS
from safetensors.numpy import load_file

import graphrun
from graphrun.base.errors import GraphFileError
from graphrun.cli.entry import run_command

ENGINES = ["numpy", pytest.param("jax", marks=pytest.mark.nightly)]
BY_JAX_TOO = [
    *(("numpy", every) for every in (1, 7)),
    pytest.param("jax", 1, marks=pytest.mark.nightly),
    pytest.param("jax", 7, marks=pytest.mark.campaign),
]
"""Engines, and after how many steps a row is looked at."""
PATIENCE = 6


def graph(folder: Path, **more: Any) -> Any:
    """Return a network that soon knows its few rows by heart; its loss on held-back rows falls and rises again."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 6))
    np.savez(folder / "rows.npz", x=x, y=np.tanh(x[:, 0]) + 0.8 * rng.normal(size=60))
    given = {
        "data": {"file": str(folder / "rows.npz"), "holdout": 0.4, "batch_size": 12, "shuffle": True},
        "parameters": {
            "W": {"shape": [6, 10], "init": {"type": "he_normal"}},
            "v": {"shape": [10], "init": {"type": "normal"}},
        },
        "nodes": {"p": "tanh(x @ W) @ v", "loss": "mean((p - y) ** 2)", "score": "-loss"},
        "minimize": "loss",
        "update": {"type": "adam", "step_size": 0.02},
        "record": ["loss", "score"],
        "steps": 240,
    }
    return graphrun.load({**given, **more})


def stopped_at(values: Any, patience: int) -> int:
    """Return the row at which patience ends, written down line by line."""
    best, since = np.inf, 0
    for row, value in enumerate(values):
        best, since = (value, 0) if value < best else (best, since + 1)
        if since >= patience:
            return row
    return len(values) - 1


@pytest.mark.parametrize(("engine", "every"), BY_JAX_TOO)
@pytest.mark.parametrize("holdout", [{}, {"name": "score", "maximize": True}], ids=str)
def test_stops_at_the_minimum_within_the_patience(
    tmp_path: Path, engine: str, every: int, holdout: dict[str, Any]
) -> None:
    """The run ends where one without the rule has its first minimum that so many rows do not better."""
    whole = graph(tmp_path).run(engine=engine, every=every)
    early = graph(tmp_path, stop={"holdout": {"patience": PATIENCE, **holdout}}).run(engine=engine, every=every)
    values = whole.history["holdout.loss"]
    row = stopped_at(values, PATIENCE)
    assert early.stopped == "holdout"
    assert early.steps == row * every < 240
    assert early.steps - every * PATIENCE == every * int(np.argmin(values[: row + 1]))
    assert early.history["holdout.loss"].tolist() == values[: row + 1].tolist()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("every", [None, 7])
def test_the_best_is_kept(tmp_path: Path, engine: str, every: int | None) -> None:
    """Result and checkpoint hold the row that is best on held-back rows: numbers, parameters, gradients."""
    made = graph(tmp_path, keep="best")
    result = made.run(engine=engine, every=every, save=tmp_path / "c")
    history = result.history
    row = int(np.argmin(history["holdout.loss"]))
    assert result.kept is not None
    assert result.steps == 240
    assert (result.kept.step, result.kept.name) == (int(history["step"][row]), "holdout.loss")
    assert result.kept.value == result.holdout["loss"] == history["holdout.loss"][row]
    assert result.objective.value == history["loss"][row]
    there = graph(tmp_path).run(result.kept.step, engine=engine)
    saved = load_file(tmp_path / "c")
    for name, value in there.parameters.items():
        np.testing.assert_array_equal(result.parameters[name], value)
        np.testing.assert_array_equal(saved[f"parameters/{name}"], value)
        np.testing.assert_array_equal(result.gradients[name], there.gradients[name])
    predicted = np.concatenate([rows["p"] for rows in made.predict(tmp_path / "c", ["p"])])
    hidden = np.tanh(np.load(tmp_path / "rows.npz")["x"] @ result.parameters["W"])
    np.testing.assert_allclose(predicted, hidden @ result.parameters["v"], rtol=1e-12)
    for name, value in graph(tmp_path).run(240, engine=engine).parameters.items():
        np.testing.assert_array_equal(saved[f"last/parameters/{name}"], value)


def test_the_objective_decides_without_held_back_rows(tmp_path: Path) -> None:
    """The best is that of the objective; a run whose last row is the best keeps that, though no look was due there."""
    result = graphrun.loads(
        "parameters: {x: 3}\nnodes: {f: (x - 1) ** 2}\nminimize: f\nkeep: best\nupdate: {step_size: 0.95}"
    ).run(5)
    assert result.kept is not None
    assert (result.kept.step, result.kept.name) == (5, "f")
    bouncing = "parameters: {x: 3}\nnodes: {f: abs(x)}\nmaximize: f\nkeep: best\nupdate: {step_size: -0.0}"
    still = graphrun.loads(bouncing).run(5)
    assert still.kept is not None
    assert still.kept.step == 0
    data = {"file": str(tmp_path / "rows.npz"), "batch_size": 12, "shuffle": True}
    last = graph(tmp_path, keep="best", data=data, steps=5000)
    part = last.run(7, save=tmp_path / "c")
    assert part.kept is not None
    names = {name.partition("/")[0] for name in load_file(tmp_path / "c")}
    assert (part.kept.step == 7) == ("best" in names)


WATCHED = {
    "update": {
        "type": "adam",
        "step_size": {"type": "plateau", "start": 0.05, "patience": 2, "factor": 0.5, "cooldown": 1},
        "accumulate": 3,
    },
    "stop": {"holdout": {"patience": 40}, "patience": 200},
    "keep": "best",
}


UNALIKE = {
    "parameters": {
        "W": {"shape": ["x", 10], "init": {"type": "he_normal"}, "frozen": True},
        "v": {"shape": [10], "init": {"type": "normal"}, "step_size": 0.5},
    }
}


@pytest.mark.parametrize(
    ("engine", "dtype", "more"),
    [
        pytest.param("numpy", "float64", {}, id="numpy-float64-alike"),
        pytest.param("numpy", "float64", UNALIKE, id="numpy-float64-one frozen"),
        pytest.param("numpy", "float32", {}, id="numpy-float32-alike", marks=pytest.mark.slow),
        pytest.param("jax", "float32", UNALIKE, id="jax-float32-one frozen", marks=pytest.mark.campaign),
        pytest.param("jax", "float64", {}, id="jax-float64-alike", marks=pytest.mark.nightly),
    ],
)
def test_resumed_bit_for_bit(tmp_path: Path, engine: str, dtype: str, more: dict[str, Any]) -> None:
    """A run in parts, of any lengths, ends with the checkpoint of one that was not cut: counters, best, step size."""
    made = graph(tmp_path, **WATCHED, **more)
    whole = made.run(engine=engine, dtype=dtype, save=tmp_path / "whole")
    assert 0 < whole.kept.step < whole.steps
    for steps in ([1, 2, 50], [whole.kept.step], [whole.kept.step + 1, whole.steps - 1]):
        resume = None
        for step in [*steps, 240]:
            part = made.run(step, engine=engine, dtype=dtype, resume=resume, save=tmp_path / "part")
            resume = tmp_path / "part"
        assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes(), steps
        assert (part.kept, part.stopped, part.holdout) == (whole.kept, whole.stopped, whole.holdout)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_resumed_on_numbers(tmp_path: Path, engine: str) -> None:
    """The same of a graph of numbers, where straight-line and compiled code make the steps."""
    text = "parameters: {x: 3, y: 1}\nnodes: {f: (x - y * y) ** 2 + 0.1 * abs(y - 2)}\nminimize: f\nkeep: best\n"
    text += "update: {type: momentum, step_size: {type: plateau, start: 0.01, factor: 0.7, patience: 3}}\nsteps: 900"
    made = graphrun.loads(text)
    whole = made.run(engine=engine, save=tmp_path / "whole")
    made.run(333, engine=engine, save=tmp_path / "part")
    made.run(engine=engine, resume=tmp_path / "part", save=tmp_path / "resumed")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes()
    other = made.run(engine="jax" if engine == "numpy" else "numpy", save=tmp_path / "other")
    assert other.objective.value == pytest.approx(whole.objective.value, rel=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_step_by_step_is_the_same_run(tmp_path: Path, engine: str) -> None:
    """Iteration, a look at one step, and a run record the same rows and end at the same step."""
    made = graph(tmp_path, **WATCHED)
    result = made.run(engine=engine)
    rows = [(row.step, row.values["loss"]) for row in made.iterate(engine=engine)]
    np.testing.assert_array_equal(rows, np.column_stack([result.history["step"], result.history["loss"]]))
    at = result.steps - 2
    assert float(made.passes(at, engine=engine).values[made.plan().slots["loss"]]) == result.history["loss"][at]


@pytest.mark.campaign
@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.nightly)])
def test_digits(tmp_path: Path, engine: str) -> None:
    """The digits end no worse on held-back rows than their best recorded row, after a resume too."""
    made = graphrun.load(GRAPHS / "digits.yaml", overrides=["keep=best"])
    whole = made.run(engine=engine, save=tmp_path / "whole")
    assert whole.holdout["loss"] <= whole.history["holdout.loss"].min()
    made.run(whole.steps // 3, engine=engine, save=tmp_path / "part")
    resumed = made.run(engine=engine, resume=tmp_path / "part", save=tmp_path / "resumed")
    assert resumed.holdout == whole.holdout
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes()


def test_a_solver_keeps_its_best(tmp_path: Path) -> None:
    """A solver's iterations are rows as any other."""
    data = {"file": str(tmp_path / "rows.npz"), "holdout": 0.4}
    result = graph(tmp_path, data=data, update={"type": "lbfgs"}, keep="best", stop={"holdout": {"patience": 3}}).run()
    assert result.stopped == "holdout"
    assert result.holdout["loss"] == result.history["holdout.loss"].min()


HEAD = "data: {file: rows.npz, holdout: 0.4}\nparameters: {w: [1, 2, 3, 4, 5, 6], c: 1}\n"
HEAD += "nodes: {loss: mean((x @ w - y) ** 2), apart: c * 2, f: loss + c ** 2}\nminimize: f\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stop: {holdout: 10}", r":5:17: 'holdout' takes a mapping with 'patience'"),
        ("stop: {holdout: }", r":5:\d+: a value is needed here: 'holdout' takes a mapping"),
        ("stop: {holdout: {name: f}}", r":5:8: 'holdout' needs the key 'patience', a whole number, 1 or more"),
        ("stop: {holdout: {patience: 0}}", r":5:28: 'patience' takes a whole number, 1 or more, not the number 0"),
        ("stop: {holdout: {patience: 2, nam: f}}", r":5:31: unknown key 'nam'\n.*\n.*\n  did you mean 'name'"),
        ("stop: {holdout: {patience: 2, name: los}}", r":5:37: name to watch 'los' is unknown\n.*\n.*\n  did you mean"),
        ("stop: {holdout: {patience: 2, name: w}}", r":5:37: a number is watched, and 'w' has the shape \[6\]"),
        ("stop: {holdout: {patience: 2, name: apart}}", r":5:37: 'apart' does not depend on the data"),
        ("stop: {holdot: {patience: 2}}", r":5:8: unknown key 'holdot'\n.*\n.*\n  did you mean 'holdout'"),
        ("keep: bst", r":5:7: 'keep' takes best or last, not the text 'bst'\n.*\n.*\n  did you mean 'best'"),
        ("keep: true", r":5:7: 'keep' takes best or last, not true"),
        ("early_stopping: 10", r":5:1: unknown key 'early_stopping'\n.*\n.*\n  write stop"),
        ("update: {step_size: {type: plateau}}", r"plateau needs the setting 'start'"),
        ("update: {step_size: {type: plateau, start: 1, of: los}}", r":5:\d+: name to watch 'los' is unknown"),
        ("update: {step_size: {type: plateau, start: 1, of: w}}", r":5:\d+: a number is watched, and 'w'"),
        ("update: {step_size: {type: plateau, start: 1, of: 3}}", r":5:\d+: 'of' of plateau takes a text"),
        ("update: {step_size: {type: plateu, start: 1}}", r":5:\d+: the schedule 'plateu' is unknown"),
    ],
)
def test_refused(tmp_path: Path, line: str, message: str) -> None:
    """Each mistake is told where it stands, with a way out."""
    graph(tmp_path)
    with pytest.raises(GraphFileError, match=message):
        graphrun.loads(HEAD + line, name=tmp_path / "g.yaml").run(0)


def test_no_rows_are_held_back(tmp_path: Path) -> None:
    """Watching held-back rows needs some."""
    graph(tmp_path)
    text = (HEAD + "stop: {holdout: {patience: 2}}").replace(", holdout: 0.4", "")
    with pytest.raises(GraphFileError, match=r":5:8: no rows are held back .*\n.*\n.*\n  write holdout: 0.2"):
        graphrun.loads(text, name=tmp_path / "g.yaml").run(0)


def test_programs_say_that_they_do_not_look(tmp_path: Path) -> None:
    """A program that would make other steps than the run is refused."""
    for line in ("keep: best", "update: {step_size: {type: plateau, start: 0.1}}"):
        file = tmp_path / "g.yaml"
        file.write_text(f"parameters: {{x: 1}}\nnodes: {{f: x * x}}\nminimize: f\n{line}\n")
        assert run_command(["export", str(file), "--to", "python"]) == 2
