"""Dask's workers that do not see the graph's files: they are sent them, for sweeps and for a run of all together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.cli.entry import run_command
from graphrun.run.checkpoint import load_checkpoint
from tests.dask_cluster import LocalCluster

pytest.importorskip("distributed")

pytestmark = [pytest.mark.campaign(seconds=20), pytest.mark.filterwarnings("ignore")]  # warnings of Dask are not ours

WORKER = """
import sys
from distributed.cli.dask_worker import main
import graphrun.run.dask.files as files
files.sees = lambda wanted: False
sys.argv[0] = "dask-worker"
main()
"""
"""A worker that finds none of the files which are asked for, as one on another machine."""

GRAPH = """\
include: [parts.yaml]
data: {file: data/rows.csv, columns: {x: [p, q], t: t}, batch_size: 8, shuffle: true}
parameters: {w: {file: w.npz, key: w}, b: 0.0}
nodes:
  y: {type: scaled, inputs: [x, w, b]}
  wrong: {type: thrice, inputs: [y]}
  loss: mean((wrong - t) ** 2)
minimize: loss
update: {type: adam, step_size: 0.05}
steps: 5
seed: 3
"""
PARTS = """\
subgraphs:
  scaled: {inputs: [x, w, b], nodes: {z: x @ w + b}, output: z}
"""
PLUGIN = """\
import graphrun

@graphrun.elementwise
def thrice(xp, x):
    \"\"\"Three times its input.\"\"\"
    return 3.0 * x

@thrice.local_derivatives
def _(xp, z, x):
    return (3.0 + 0 * x,)

@graphrun.hookimpl
def graphrun_node_types():
    return [thrice]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of several files, in which the user is; its plugin is found by the working folder."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "types").mkdir()
    texts = {"pyproject.toml": '[tool.graphrun]\nplugins = ["types"]\n', "graph.yaml": GRAPH, "parts.yaml": PARTS}
    texts["types/thrice.py"] = PLUGIN
    rng = np.random.default_rng(5)
    for name in ("rows", "others"):
        lines = [",".join(map(repr, row)) for row in rng.normal(size=(48, 3)).tolist()]
        texts[f"data/{name}.csv"] = "\n".join(["p,q,t", *lines])
    for name, text in texts.items():
        (folder / name).write_text(text)
    np.savez(folder / "w.npz", w=np.array([0.1, -0.2]))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster whose workers see no files, in another working folder; after the test that kills one, of one."""
    made = LocalCluster(tmp_path_factory.mktemp("elsewhere"), ["-c", WORKER])
    yield made
    made.close()


def test_a_sweep_takes_its_files_along(project: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data, includes, stored values, the project's plugins and a checkpoint to start from; checkpoints come back."""
    graphrun.load("graph.yaml").run(3, save="begun.safetensors")
    graph = graphrun.load("graph.yaml", start="begun.safetensors")
    vary = {"data.file": ["data/rows.csv", "data/others.csv"], "update.step_size": [0.1, 0.01]}
    kept = project.parent / "kept"
    here = graph.sweep(vary)
    from graphrun.run.dask.cluster import DaskCluster

    share = DaskCluster.share

    def share_and_hide(self: Any, files: Any) -> None:
        share(self, files)
        project.rename(project.with_name("hidden"))

    monkeypatch.setattr(DaskCluster, "share", share_and_hide)
    there = graph.sweep(vary, workers=f"dask:{cluster.address}", folder=kept, checkpoints=True)
    wanted = [(run["number"], run["settings"], run["objective"], run["stopped"]) for run in here.runs]
    assert None not in [run["objective"] for run in here.runs]
    assert [(run["number"], run["settings"], run["objective"], run["stopped"]) for run in there.runs] == wanted
    assert [load_checkpoint(kept / f"checkpoints/{k}.safetensors").step for k in range(4)] == [5] * 4
    assert not list(cluster.folder.rglob("rows.csv"))  # nothing is left there


def test_workers_run_a_graph_together(
    project: Path, cluster: LocalCluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of one process; result, checkpoint and what observers write are where the user is.

    When one of them is lost, the others end and say so; what the first has saved is not.
    """
    by_one = graphrun.load("graph.yaml").run(engine="numpy", record=["loss"])
    command = ["graph.yaml", "--distributed", f"dask:{cluster.address}", "--save", "end.safetensors"]
    assert run_command([*command, "--observe", "csv=log.csv", "--format", "json", "--record", "loss"]) == 0
    found = json.loads(capfd.readouterr().out)
    for part in ("parameters", "values", "history"):
        for name, value in getattr(by_one, part).items():
            np.testing.assert_allclose(found[part][name], value, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(load_checkpoint("end.safetensors").parameters["w"], by_one.parameters["w"], rtol=1e-9)
    assert len(Path("log.csv").read_text().splitlines()) == 7

    from graphrun.run.dask import processes

    say, rows, told = processes._say, "", ""

    def say_and_kill(heard: Any) -> int:
        nonlocal rows, told
        said = say(heard)
        rows, told = (old + new for old, new in zip((rows, told), capfd.readouterr(), strict=True))
        if rows.count("\n") > 2:  # the row of step 20 comes after a checkpoint
            os.kill(cluster.pids[max(cluster.pids)], signal.SIGKILL)  # that of the last process
        return said

    monkeypatch.setattr(processes, "_say", say_and_kill)
    saved = ["--save", "lost.safetensors", "--save-every", "10"]
    assert run_command([*command, *saved, "--format", "jsonl", "--every", "20", "--steps", "100000000"]) == 1
    assert "another process of the run was lost" in told + capfd.readouterr().err
    assert json.loads(rows.splitlines()[0])["step"] == 0
    assert Path("lost.safetensors").exists(), told
    assert load_checkpoint("lost.safetensors").step >= 10


def test_ctrl_c_at_a_terminal_is_heard_by_the_run_alone(project: Path) -> None:
    """A terminal sends it to the processes of a cluster of this machine, too: they end with the run, and in silence."""
    words = ["graph.yaml", "--distributed", "dask:local", "--format", "jsonl", "--every", "10", "--steps", "100000000"]
    command = [sys.executable, "-m", "graphrun", *words, "--save", "end.safetensors"]
    about: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
    with subprocess.Popen(command, **about) as run:
        assert run.stdout is not None
        assert json.loads(run.stdout.readline())["step"] == 0
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate()
    assert (run.returncode, b"Traceback" in errors) == (130, False), errors
    assert load_checkpoint("end.safetensors").step >= 0
