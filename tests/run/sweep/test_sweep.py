"""Sweeps: the same table whoever makes the runs and however often they are killed."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.base.locks import NumberLocks
from graphrun.cli.entry import run_command
from graphrun.document.sweep_section import read_vary

GRAPH = """\
parameters: {a: 3.0, b: {shape: [], init: {type: uniform, low: -1, high: 1}}}
nodes:
  p: a - 1
  q: b - 2
  f: p * p + q * q
minimize: f
update: {type: sgd, step_size: 0.1}
steps: 5
sweep:
  update.step_size: 1e-3..1e-1:log
  runs: 6
"""
FIT = """\
data: {file: rows.csv, folds: 3}
parameters: {w: 0.0}
nodes: {wrong: w * x - y, loss: mean(wrong * wrong)}
minimize: loss
update: {type: sgd, step_size: 0.1}
steps: 3
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A graph file with a sweep, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "graph.yaml"
    path.write_text(GRAPH, encoding="utf-8")
    return path


def table(runs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what of runs does not depend on the time they took."""
    return [(run["number"], run["settings"], run["objective"], run["stopped"]) for run in runs]


def by_hand(runs: list[dict[str, Any]], seed: int = 0) -> list[float]:
    """Return what each run comes to by itself: the file with its settings, by the seed of its number."""
    found = []
    for run in runs:
        changes = [f"{path}={json.dumps(value)}" for path, value in run["settings"].items()]
        result = graphrun.load("graph.yaml", overrides=changes).run(seed=seed + run["number"])
        assert result.objective is not None
        found.append(result.objective.value)
    return found


def sweep(capfd: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run the command, and return the JSON that it prints."""
    capfd.readouterr()
    assert run_command(["sweep", *arguments, "--format", "json", "-q"]) == 0
    return json.loads(capfd.readouterr().out)


@pytest.mark.slow
def test_random_search_gives_the_same_table_with_any_workers(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each run is what the file with its settings gives; more workers, and a resumed sweep, change nothing."""
    one = sweep(capfd, "graph.yaml", "--folder", "one")
    assert set(one) == {"runs", "best"}
    assert set(one["runs"][0]) == {"number", "settings", "objective", "stopped", "seconds"}
    assert [run["number"] for run in one["runs"]] == list(range(6))
    assert [run["objective"] for run in one["runs"]] == by_hand(one["runs"])
    assert one["best"] == min(one["runs"], key=lambda run: run["objective"])
    assert all(1e-3 <= run["settings"]["update.step_size"] <= 1e-1 for run in one["runs"])
    two = sweep(capfd, "graph.yaml", "--folder", "two", "--workers", "2", "--runs", "3")
    assert table(two["runs"]) == table(one["runs"])[:3]
    file.unlink()  # the folder has its text
    assert table(sweep(capfd, "--resume", "two", "--runs", "6")["runs"]) == table(one["runs"])


def test_a_grid_is_every_combination(file: Path) -> None:
    """Lists, whole numbers, ranges with a count; several paths together; a seed that is varied is the run's."""
    graph = graphrun.load(file)
    vary = {"update.step_size": "0.1..0.2:3", "parameters.a, steps": [[1.0, 2], [2.0, 3]], "seed": "7..8"}
    found = graph.sweep(vary, search="grid", runs=5)
    wanted = itertools.product([0.1, 0.15, 0.2], [(1.0, 2), (2.0, 3)], [7, 8])
    got = [
        (pytest.approx(s["update.step_size"]), (s["parameters.a"], s["steps"]), s["seed"])
        for s in (r["settings"] for r in found.runs)
    ]
    assert got == list(itertools.islice(wanted, 5))
    assert found.total == 5
    objectives = [
        graph.varied([f"{path}={json.dumps(value)}" for path, value in run["settings"].items()]).run().objective
        for run in found.runs
    ]
    assert [run["objective"] for run in found.runs] == [found and found.value for found in objectives]


def test_folds_and_repetitions_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objective is held back by itself where the file holds rows back."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{x},{2 * x + (-1) ** x}\n" for x in range(1, 10))
    Path("rows.csv").write_text(f"x,y\n{rows}", encoding="utf-8")
    Path("graph.yaml").write_text(FIT, encoding="utf-8")
    graph = graphrun.load("graph.yaml")
    found = graph.sweep({"update.step_size": [0.001, 0.01]}, repeat=2, seed=4)
    assert found.objective == "holdout.loss"
    for run in found.runs:
        varied = graph.varied([f"update.step_size={run['settings']['update.step_size']}"])
        means = [varied.run(seed=4 + 2 * run["number"] + k).folds.mean["loss"] for k in range(2)]  # type: ignore[union-attr]
        assert run["objective"] == pytest.approx(np.mean(means), rel=1e-15)


@pytest.mark.slow
def test_what_comes_out(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """CSV and Parquet have a line for each run, the best file gives the best value, jsonl the journal's lines."""
    found = sweep(capfd, "graph.yaml", "-o", "runs.parquet", "--best", "best.yaml")
    result = graphrun.load("best.yaml").run()
    assert result.objective is not None
    assert result.objective.value == found["best"]["objective"]
    assert run_command(["sweep", "graph.yaml", "--format", "csv", "-q"]) == 0  # the same sweep: nothing is run again
    lines = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert [float(line["objective"]) for line in lines] == [run["objective"] for run in found["runs"]]
    duckdb = pytest.importorskip("duckdb")
    rows = duckdb.sql("SELECT number, \"update.step_size\", objective FROM 'runs.parquet' ORDER BY number").fetchall()
    assert rows == [(run["number"], run["settings"]["update.step_size"], run["objective"]) for run in found["runs"]]
    assert [path.name for path in Path().glob("*.sweep*")] == ["graph.sweep"]
    assert run_command(["sweep", "graph.yaml", "--vary", "parameters.a=1", "--runs", "1", "-q"]) == 0
    assert "1 of 1 run" in capfd.readouterr().out
    assert Path("graph.sweep-2").is_dir()


@pytest.mark.campaign(seconds=10)
@pytest.mark.parametrize(("runs", "kills"), [(20, 3), pytest.param(60, 20, marks=pytest.mark.nightly)])
def test_a_sweep_that_is_killed_goes_on(file: Path, capfd: pytest.CaptureFixture[str], runs: int, kills: int) -> None:
    """Kill -9 at random moments: the same table, no run twice in the journal, no process left."""
    arguments = ["graph.yaml", "--runs", str(runs), "--workers", "2", "--set", "steps=300"]
    whole = sweep(capfd, *arguments, "--folder", "whole")
    rng, journal = np.random.default_rng(17), Path("killed/runs.jsonl")
    for _ in range(kills):
        wanted = written(journal) + int(rng.integers(0, runs // kills))
        command = [sys.executable, "-m", "graphrun", "sweep", *arguments, "--folder", "killed", "-q"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None and written(journal) < wanted:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.wait()
    again = sweep(capfd, *arguments, "--folder", "killed")
    assert table(again["runs"]) == table(whole["runs"])
    numbers = [json.loads(line)["number"] for line in journal.read_text().splitlines() if line]
    assert sorted(numbers) == list(range(runs))


def written(journal: Path) -> int:
    """How many lines of runs there are."""
    return journal.read_text().count("\n") if journal.exists() else 0


@pytest.mark.slow
def test_a_worker_that_dies_costs_a_retry(file: Path) -> None:
    """A process that ends in a run is begun anew, the run made again; one that always ends has failed."""
    Path("plug").mkdir()
    Path("plug/dying.py").write_text(
        "import os\nimport graphrun\n\n"
        "@graphrun.elementwise\ndef dying(xp, x):\n"
        "    '''x, and the end of the process, the first time and where x is large.'''\n"
        "    if os.environ.get('OMP_NUM_THREADS') and (float(x) > 5 or not os.path.exists('died')):\n"
        "        open('died', 'w').close()\n        os._exit(9)\n"
        "    return x\n\n"
        "@dying.local_derivatives\ndef _(xp, y, x):\n    return (1.0,)\n\n"
        "@graphrun.hookimpl\ndef graphrun_node_types():\n    return [dying]\n",
        encoding="utf-8",
    )
    text = "parameters: {a: 3.0}\nnodes: {f: {type: dying, inputs: [a]}}\nminimize: f\nsteps: 2\n"
    graph = graphrun.loads(text, plugins="plug")
    found = graph.sweep({"parameters.a": [1.0, 9.0, 2.0]}, workers=2, steps=0, engine="numpy")
    assert [run["objective"] for run in found.runs] == [1.0, None, 2.0]
    assert found.runs[1]["stopped"] == "failed: its worker died, 3 times"


@pytest.mark.campaign
def test_two_sweeps_share_a_folder(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each run is made by one of them, and both have the whole table."""
    arguments = ["graph.yaml", "--runs", "12", "--set", "steps=2000", "--folder", "shared", "--format", "json", "-q"]
    command = [sys.executable, "-m", "graphrun", "sweep", *arguments]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    found = [json.loads(process.communicate(timeout=300)[0])["runs"] for process in both]
    assert table(found[0]) == table(found[1])
    numbers = [json.loads(line)["number"] for line in Path("shared/runs.jsonl").read_text().splitlines()]
    assert sorted(numbers) == list(range(12))


SLOW = """\
import os, pathlib, time
import graphrun

@graphrun.elementwise
def slow(xp, x):
    "x, after a while where it is asked for; the process is then known by a file."
    if "SLOW" in os.environ:
        pathlib.Path(f"began-{os.getpid()}").touch()
        time.sleep(0.1)
    return x

@slow.local_derivatives
def _(xp, y, x):
    return (1.0,)

@graphrun.hookimpl
def graphrun_node_types():
    return [slow]
"""


@pytest.mark.campaign
def test_ctrl_c_ends_runs_with_their_checkpoints(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The exit status is 130; the sweep goes on where its runs were, and comes to the same."""
    Path("plug").mkdir()
    Path("plug/slow.py").write_text(SLOW, encoding="utf-8")
    arguments = ["graph.yaml", "--plugins", "plug", "--runs", "2", "--set", "steps=1000", "--checkpoints"]
    arguments += ["--set", "update.step_size=1e-6", "--vary", "parameters.a=1,2", "--workers", "2", "-q"]
    file.write_text(GRAPH[: GRAPH.index("sweep:")].replace("a - 1", "slow(a) - 1"), encoding="utf-8")
    whole = sweep(capfd, *arguments, "--folder", "whole")
    command = [sys.executable, "-m", "graphrun", "sweep", *arguments, "--folder", "ended", "--format", "json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, "SLOW": "1"}
    )
    # Both runs have begun, and take a hundred seconds.
    while process.poll() is None and len(list(Path().glob("began-*"))) < 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=200)
    assert process.returncode == 130, told
    assert not Path("ended/runs.jsonl").read_text()
    assert list(Path("ended/checkpoints").iterdir())
    assert table(sweep(capfd, *arguments, "--folder", "ended")["runs"]) == table(whole["runs"])


@pytest.mark.slow
def test_a_plain_run_imports_none_of_it(file: Path) -> None:
    """Neither Optuna nor Dask nor what sweeps are made of."""
    code = (
        "import sys; from graphrun.cli.entry import run_command; run_command(['graph.yaml', '-q']); "
        "print([m for m in sys.modules if m.split('.')[0] in ('optuna', 'distributed', 'dask')"
        " or m.startswith('graphrun.run.sweep') or m == 'multiprocessing'])"
    )
    file.write_text(GRAPH[: GRAPH.index("sweep:")], encoding="utf-8")
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


def test_lists_are_varied_as_numbers_are() -> None:
    """With commas between, or in brackets as in a file."""
    assert read_vary("a=[1, 2],[3]") == read_vary("a=[[1, 2], [3]]") == ("a", [[1, 2], [3]])
    assert read_vary("a=[1, 2]") == read_vary("a=1,2") == ("a", [1, 2])


def test_a_number_is_held_by_one_process(tmp_path: Path) -> None:
    """A process that has ended holds none."""
    locks = NumberLocks(tmp_path / "locks")
    assert locks.hold(3)
    code = (
        "import sys; from pathlib import Path; from graphrun.base.locks import NumberLocks; "
        "locks = NumberLocks(Path(sys.argv[1])); print([locks.hold(k) for k in (2, 3, 4)])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "locks")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[True, False, True]\n"
    assert locks.hold(2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--vary", "update.stp_size=1,2"], "did you mean 'step_size'?"),
        (["--vary", "udpate.step_size=1,2"], "did you mean 'update.step_size'?"),
        (["--vary", "a=5..1"], "the smaller end stands first"),
        (["--vary", "a=-1..1:log"], "it begins above 0"),
        (["--vary", "a"], "write PATH=VALUES"),
        (["--vary", "a="], "write PATH=VALUES"),
        (["--vary", "a=[1]]"], "--vary a=[1]]: the value ends before this"),
        (["--vary", "a=[1],[2"], "this '[' is not closed"),
        (["--vary", "a=1..2..3"], "a list or a range"),
        (["--vary", "a,steps=[[1, 2, 3]]"], "an element for each of the 2 paths"),
        (["--vary", "a,a=1"], "no path"),
        (["--objective", "losss"], "'losss' is no value of the file"),
        (["--objective", "holdout.f"], "no rows are held back"),
        (["--prune", "median"], "goes with the search tpe"),
        (["--workers", "0"], "workers is a number from 1 on"),
        (["--workers", "many"], "workers is a number from 1 on"),
        (["--resume", "nowhere"], "--resume"),
        (["-o", "runs.txt"], ".csv or .parquet"),
    ],
)  # fmt: skip
def test_mistakes_are_told(file: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    """Before anything is run, and before there is a folder."""
    assert run_command(["sweep", "graph.yaml", *arguments]) == 2
    assert told in capfd.readouterr().err
    assert "--workers" in arguments or not any(Path().glob("*.sweep"))


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{runs: 0}", "'runs' takes a whole number, 1 or more, not the number 0"),
        ("{search: gird}", "did you mean 'grid'?"),
        ("{serach: grid}", "did you mean 'search'?"),
        ("{a: 1..x}", "a list or a range"),
        ("{a: []}", "needs an element"),
        ("3", "'sweep' is a mapping"),
    ],
)
def test_mistakes_of_the_section_are_told_with_their_place(file: Path, section: str, told: str) -> None:
    """Whatever the file is loaded for."""
    file.write_text(f"{GRAPH[: GRAPH.index('sweep:')]}sweep: {section}\n", encoding="utf-8")
    with pytest.raises(graphrun.GraphFileError, match=r"graph\.yaml:9:") as error:
        graphrun.load(file)
    assert told in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("prune", ["median", pytest.param("hyperband", marks=pytest.mark.campaign)])
def test_tpe_learns_and_prunes(file: Path, prune: str) -> None:
    """A step size near the best one, which Newton's method knows to be 1/2; runs that lag behind are ended."""
    pytest.importorskip("optuna")
    text = "parameters: {a: 3.0}\nnodes: {f: (a - 1) ** 2}\nminimize: f\nsteps: 400\nupdate: {step_size: 0.1}\n"
    graph = graphrun.loads(text)
    vary = {"update.step_size": "1e-5..1e-2:log", "update.type": ["sgd"]}
    found = graph.sweep(vary, search="tpe", runs=20, prune=prune, engine="numpy", folder="kept")
    assert found.best is not None
    assert found.best["settings"]["update.step_size"] > 5e-3  # of this range, the larger the better
    ended = [run for run in found.runs if run["stopped"] == "pruned"]
    assert ended
    assert all(run["objective"] is None and run["steps"] < 400 for run in ended)
    assert graph.sweep(vary, search="tpe", runs=22, prune=prune, engine="numpy", folder="kept").runs[:20] == found.runs


@pytest.mark.slow
def test_observers_are_told_of_each_run(file: Path) -> None:
    """Each run has a file of its own; a file for all of them is refused."""
    graph = graphrun.load(file)
    with pytest.raises(graphrun.UsageError, match="needs a target of its own"):
        graph.sweep(observed=["csv=all.csv"])
    graph.sweep(runs=3, observed=["csv=run{number}.csv"])
    for number in range(3):
        rows = csv.DictReader(io.StringIO(Path(f"run{number}.csv").read_text(encoding="utf-8")))
        assert [int(row["step"]) for row in rows] == list(range(6))


@pytest.mark.campaign(seconds=10)  # MLflow makes its database
def test_tensorboard_and_mlflow_have_the_settings_of_each_run(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard's own reader finds the hyperparameters of its tab beside the curves; MLflow's tables have them."""
    pytest.importorskip("tensorboard")
    if find_spec("mlflow") is None:
        pytest.skip("there is no MLflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file.parent / 'mlflow.db'}")
    observed = ["tensorboard=runs/{number}", "mlflow=steps"]
    vary = {"update.step_size": [0.1, 0.2], "update.type": ["sgd"], "record": [["f", "a"]]}
    found = graphrun.loads(GRAPH.partition("sweep:")[0]).sweep(vary, observed=observed)
    assert [run["stopped"] for run in found.runs] == ["steps"] * 2
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    for run in found.runs:
        events = EventAccumulator(f"runs/{run['number']}")
        events.Reload()
        content = events.PluginTagToContent("hparams")[SESSION_START_INFO_TAG]
        told = parse_session_start_info_plugin_data(content).hparams
        assert told["update.step_size"].number_value == run["settings"]["update.step_size"]
        assert (told["update.type"].string_value, told["record"].string_value) == ("sgd", '["f", "a"]')
        assert [event.step for event in events.Tensors("f")] == list(range(6))
    with closing(sqlite3.connect("mlflow.db")) as tables:
        told = tables.execute("select value from params where key = 'update.step_size' order by value").fetchall()
        assert told == [("0.1",), ("0.2",)]
        assert tables.execute("select status from runs").fetchall() == [("FINISHED",)] * 2


@pytest.mark.campaign
def test_a_script_without_a_guard_is_told(file: Path) -> None:
    """Its processes cannot begin, for they import it: no run is blamed."""
    Path("script.py").write_text("import graphrun\ngraphrun.load('graph.yaml').sweep(runs=2)\n", encoding="utf-8")
    shown = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=300, check=False)
    assert shown.returncode == 1
    assert shown.stderr.splitlines()[-2].endswith("a process of the sweep ended before its first run")
