"""Observers: what they are told, what the built-in ones write, and what becomes of a run when one fails."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.cli.entry import run_command
from graphrun.observers import RunDescription

NESTED = """\
description: the lesson
parameters: {a: 5, b: -3, c: -2}
nodes: {d: a + b, f: d * c}
maximize: f
steps: 3
"""
# log x of 0.5 - 0.3 k: after two steps there is no logarithm.
FAILING = "parameters: {x: 0.5}\nnodes: {f: log(x) + 30 * x}\nminimize: f\nsteps: 5\n"

PLUGIN = '''\
"""An observer that prints the objective."""

import graphrun


class Printed:
    """Prints a value of each row."""

    def __init__(self, target):
        self.name = target

    @graphrun.hookimpl
    def graphrun_recorded(self, step, values):
        print(step, values[self.name])


@graphrun.hookimpl
def graphrun_observers():
    return {"printed": Printed}
'''


@pytest.fixture
def nested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lesson in a folder of its own, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "nested.yaml"
    file.write_text(NESTED)
    return file


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    @graphrun.hookimpl
    def graphrun_started(self, run: RunDescription) -> None:
        """Keep the description."""
        self.events.append(("started", run))

    @graphrun.hookimpl
    def graphrun_recorded(self, step: int, values: dict[str, Any]) -> None:
        """Keep a row."""
        self.events.append((step, dict(values)))

    @graphrun.hookimpl
    def graphrun_finished(self, result: graphrun.Result) -> None:
        """Keep the result."""
        self.events.append(("finished", result))

    @graphrun.hookimpl
    def graphrun_failed(self, result: graphrun.Result) -> None:
        """Keep the result."""
        self.events.append(("failed", result))


@pytest.mark.parametrize("engine", ["numpy", "numba", "jax"])
def test_the_events_of_a_run(nested: Path, engine: str) -> None:
    """An observer is told of the start, of each row and of the end, whatever the engine is."""
    told = Told()
    result = graphrun.load(nested).run(engine=engine, observers=[told])
    (first, run), *rows, (last, finished) = told.events
    assert (first, last) == ("started", "finished")
    assert finished is result
    assert (run.graph, run.description, run.objective, run.direction) == (str(nested), "the lesson", "f", "maximize")
    assert (run.steps, run.first_step, run.engine, run.parameters) == (3, 0, engine, 3)
    assert run.update == {"type": "sgd", "step_size": 0.01, "weight_decay": 0.0}
    assert [step for step, _ in rows] == [0, 1, 2, 3]
    assert rows[1][1]["f"] == pytest.approx(-3.8808)
    assert [values["f"] for _, values in rows] == result.history["f"].tolist()


def test_the_events_of_a_run_that_fails(nested: Path) -> None:
    """A run that fails tells so, with the result until then."""
    nested.write_text(FAILING)
    told = Told()
    with pytest.raises(graphrun.NotFiniteError) as failure:
        graphrun.load(nested).run(observers=[told])
    name, result = told.events[-1]
    assert name == "failed"
    assert result.error is failure.value
    assert [step for step, _ in told.events[1:-1]] == result.history["step"].tolist()


def test_files(nested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows are in both files, with the numbers of the history, and a resumed run goes on in them."""
    targets = ["--observe", "csv=run.csv", "--observe", "jsonl=run.jsonl"]
    assert run_command(["nested.yaml", "--save", "c.safetensors", *targets]) == 0
    assert run_command(["nested.yaml", "--steps", "5", "--resume", "c.safetensors", *targets]) == 0
    history = graphrun.load(nested).run(steps=5).history
    rows = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4, 5]
    header, *lines = csv.reader(Path("run.csv").read_text().splitlines())
    assert header == ["step", "f", "a", "b", "c"]
    for row, line in zip(rows, lines, strict=True):
        assert [row["step"], row["f"], row["c"]] == [int(line[0]), float(line[1]), float(line[4])]
        assert row["f"] == history["f"][row["step"]]
    capsys.readouterr()


@pytest.mark.parametrize("target", ["csv=run.csv", "jsonl=run.jsonl"])
def test_a_resumed_run_has_each_step_once(nested: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the run before it went on after the checkpoint, and was killed in the middle of a row."""
    file = Path(target.partition("=")[2])
    run = ["nested.yaml", "-q", "--observe", target, "--steps"]
    assert run_command([*run, "9"]) == 0
    whole = file.read_bytes()
    assert run_command([*run, "4", "--save", "c.safetensors"]) == 0
    assert run_command([*run, "7", "--resume", "c.safetensors"]) == 0
    file.write_bytes(file.read_bytes()[:-3])
    assert run_command([*run, "9", "--resume", "c.safetensors"]) == 0
    assert file.read_bytes() == whole
    capsys.readouterr()


@pytest.mark.parametrize(
    ("target", "content", "more"),
    [
        ("csv=run.csv", None, ["--record", "f"]),
        ("csv=run.csv", None, ["--record", "f,a,c,b"]),
        ("csv=run.csv", "precious,data\n1,2\n", []),
        ("csv=run.csv", "step,f,a,b,c\nprecious\n", []),
        ("jsonl=run.jsonl", "precious\n", []),
        ("jsonl=run.jsonl", "[" * 10000 + "\n", []),
        ("jsonl=run.jsonl", '{"f": 1}\n', []),
    ],
)
def test_rows_go_on_only_below_their_own(
    nested: Path, target: str, content: str | None, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Other columns under the old header, and files of something else, are refused before the run, and left alone."""
    file = Path(target.partition("=")[2])
    assert run_command(["nested.yaml", "-q", "--save", "c.safetensors", "--observe", target]) == 0
    if content is not None:
        file.write_text(content, encoding="utf-8")
    before = file.read_bytes()
    resumed = ["nested.yaml", "-q", "--steps", "9", "--resume", "c.safetensors", "--observe", target]
    capsys.readouterr()
    assert run_command([*resumed, *more]) == 2
    assert f"the rows cannot go on in {file}" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_rows_of_another_width_are_not_written(nested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An array that has grown since is noticed at its first row; the run itself comes to its end."""
    text = "parameters: {{w: 1}}\nconstants: {{x: {}}}\nnodes: {{y: w * x, f: sum(y ** 2)}}\nminimize: f\nrecord: [y]\n"
    nested.write_text(text.format("[1, 2]"), encoding="utf-8")
    run = ["nested.yaml", "-q", "--observe", "csv=run.csv"]
    assert run_command([*run, "--save", "c.safetensors"]) == 0
    nested.write_text(text.format("[1, 2, 3]"), encoding="utf-8")
    assert run_command([*run, "--steps", "5", "--resume", "c.safetensors"]) == 1
    captured = capsys.readouterr()
    assert "have other columns" in captured.err
    assert "stopped: steps" in captured.out
    assert {line.count(",") for line in Path("run.csv").read_text(encoding="utf-8").splitlines()} <= {2, 3}


class FailingAtTheStart:
    """Raises at the start."""

    @graphrun.hookimpl
    def graphrun_started(self) -> None:
        """Raise."""
        raise ConnectionError("no server")


def test_an_observer_that_raises_at_the_start_ends_no_run(nested: Path) -> None:
    """As anywhere else: the others are told, and the result has its error."""
    told = Told()
    result = graphrun.load(nested).try_run(observers=[FailingAtTheStart(), told])
    assert (result.steps, result.stopped) == (3, "steps")
    assert "FailingAtTheStart failed and was told nothing more: " in str(result.error)
    assert [name for name, _ in told.events] == ["started", 0, 1, 2, 3, "finished"]


def test_arrays_in_csv(nested: Path) -> None:
    """Each element of an array has a column."""
    nested.write_text("parameters: {w: [[1, 2]]}\nnodes: {f: sum(w ** 2)}\nminimize: f\nrecord: [w]\n")
    assert run_command(["nested.yaml", "--observe", "csv=run.csv", "-q"]) == 0
    assert Path("run.csv").read_text().splitlines()[:2] == ['step,"w[0,0]","w[0,1]"', "0,1.0,2.0"]


@pytest.mark.campaign
def test_tensorboard_reads_what_is_written(nested: Path) -> None:
    """TensorBoard's own reader finds the curve of the objective."""
    program = (
        "import sys, json\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "from tensorboard.util.tensor_util import make_ndarray\n"
        "events = EventAccumulator('runs'); events.Reload()\n"
        "print(json.dumps([(e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors('f')]))\n"
    )
    assert run_command(["nested.yaml", "--observe", "tensorboard=runs", "-q"]) == 0
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    steps, values = zip(*json.loads(out.splitlines()[-1]), strict=True)
    history = graphrun.load(nested).run().history
    assert list(steps) == [0, 1, 2, 3]
    np.testing.assert_allclose(values, history["f"], rtol=1e-6)


@pytest.mark.campaign
def test_mlflow_has_the_run(nested: Path) -> None:
    """MLflow's client finds parameters, metrics and the end of the run in its database."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{nested.parent / 'mlflow.db'}"}
    # The run and its reader in one process, for MLflow takes seconds to import.
    program = (
        "import json\nfrom graphrun.cli.entry import run_command\n"
        "assert run_command(['nested.yaml', '--observe', 'mlflow=lessons']) == 0\n"
        "from mlflow import MlflowClient\nclient = MlflowClient()\n"
        "experiment = client.get_experiment_by_name('lessons')\n"
        "run, = client.search_runs([experiment.experiment_id])\n"
        "metrics = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, 'f')]\n"
        "print(json.dumps([run.info.status, dict(run.data.params), metrics, run.data.tags['graphrun.stopped']]))\n"
    )
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    status, parameters, metrics, stopped = json.loads(found.stdout.splitlines()[-1])
    assert (status, stopped) == ("FINISHED", "steps")
    assert parameters["objective"] == "maximize f"
    assert parameters["update.step_size"] == "0.01"
    assert [value for _, value in sorted(metrics)] == graphrun.load(nested).run().history["f"].tolist()


def test_an_observer_of_a_plugin(nested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin's observer is found by its name; what it prints goes to stderr, for stdout is the result's."""
    folder = nested.parent / "mine"
    folder.mkdir()
    folder.joinpath("printed.py").write_text(PLUGIN)
    assert run_command(["nested.yaml", "--plugins", "mine", "--observe", "printed=f", "-q"]) == 0
    assert capsys.readouterr().err.startswith("0 -4.0\n1 -3.88")
    assert run_command(["plugins", "--plugins", "mine"]) == 0
    listing = capsys.readouterr().out
    assert "csv, jsonl, tensorboard, mlflow" in listing
    assert "printed" in listing


class Failing:
    """Raises at the second row."""

    @graphrun.hookimpl
    def graphrun_recorded(self, step: int) -> None:
        """Raise."""
        if step == 1:
            raise ZeroDivisionError("no more")


def test_an_observer_that_raises_loses_nothing(nested: Path) -> None:
    """The run goes on, other observers are told of it, and its result has the error."""
    told = Told()
    result = graphrun.load(nested).try_run(observers=[Failing(), told])
    assert result.steps == 3
    assert str(result.error) == "observer Failing failed and was told nothing more: ZeroDivisionError: no more"
    assert [name for name, _ in told.events] == ["started", 0, 1, 2, 3, "finished"]


class Misspelt:
    """Implements an event that there is not."""

    @graphrun.hookimpl
    def graphrun_recordet(self, step: int) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("observer", "message"),
    [
        (Misspelt(), "observer Misspelt: the event 'graphrun_recordet' is unknown; did you mean 'graphrun_recorded'?"),
        (object(), "observer object implements no event: is @graphrun.hookimpl missing above graphrun_recorded?"),
    ],
)
def test_what_is_no_observer(nested: Path, observer: object, message: str) -> None:
    """An object that implements nothing, or a misspelt event, is refused before the first step."""
    with pytest.raises(graphrun.UsageError) as refusal:
        graphrun.load(nested).run(observers=[observer])
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("tensorbord=x", 2, "graphrun: --observe tensorbord=x: observer 'tensorbord' is unknown; did you mean"),
        ("csv", 2, "graphrun: --observe csv: a file is needed, as in --observe csv=run.csv"),
        ("csv=no/x.csv", 2, "graphrun: the rows cannot be written to no/x.csv: No such file or directory"),
    ],
)
def test_mistakes(nested: Path, capsys: pytest.CaptureFixture[str], target: str, status: int, message: str) -> None:
    """What cannot be observed is said before anything is computed."""
    assert run_command(["nested.yaml", "--observe", target]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
