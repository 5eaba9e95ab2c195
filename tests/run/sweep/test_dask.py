"""Sweeps on a Dask cluster: the same numbers, whatever dies on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphrun

pytest.importorskip("distributed")

GRAPH = """\
parameters: {a: 3.0, b: {shape: [], init: {type: uniform, low: -1, high: 1}}}
nodes: {f: (a - 1) ** 2 + (b - 2) ** 2}
minimize: f
update: {type: sgd, step_size: 0.001}
steps: 3000
"""


class LocalCluster:
    """A scheduler and two workers, processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "scheduler.json"
        self.log = (folder / "log").open("w")
        self.scheduler = self._begin("dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
        options = ("--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(folder))
        self.workers = [self._begin("dask_worker", *options) for _ in range(2)]
        deadline = time.monotonic() + 300
        while not self.file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        self.address: str = json.loads(self.file.read_text())["address"]

    def _begin(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{name}", *options, "--scheduler-file", str(self.file)]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log, env=dict(os.environ))

    def close(self) -> None:
        """End what is left."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self.log.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """A cluster of two workers."""
    made = LocalCluster(tmp_path)
    yield made
    made.close()


@pytest.mark.campaign(seconds=10)
@pytest.mark.filterwarnings("ignore")  # those of Dask are not ours
def test_a_cluster_gives_the_same_numbers_though_a_worker_dies(cluster: LocalCluster) -> None:
    """As processes of this machine do."""
    graph = graphrun.loads(GRAPH)
    vary = {"update.step_size": "1e-4..1e-2:log"}
    here = graph.sweep(vary, runs=12)
    there = graph.sweep(
        vary,
        runs=12,
        workers=f"dask:{cluster.address}",
        on_run=lambda run: run["number"] == 3 and cluster.workers[0].kill(),
    )
    wanted = [(run["number"], run["settings"], run["objective"], run["stopped"]) for run in here.runs]
    assert [(run["number"], run["settings"], run["objective"], run["stopped"]) for run in there.runs] == wanted


@pytest.mark.campaign(seconds=5)
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_lost_is_told(cluster: LocalCluster, tmp_path: Path) -> None:
    """What was done until then is kept."""
    graph = graphrun.loads(GRAPH)

    def lose(run: dict[str, object]) -> None:
        if run["number"] == 2:
            cluster.scheduler.kill()

    with pytest.raises(graphrun.RunError, match=r"the Dask scheduler at tcp://.* is lost"):
        graph.sweep({"parameters.a": "1..50"}, workers=f"dask:{cluster.address}", folder=tmp_path / "kept", on_run=lose)
    assert len((tmp_path / "kept" / "runs.jsonl").read_text().splitlines()) >= 3


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_told() -> None:
    """With its address."""
    with pytest.raises(graphrun.GraphrunError, match="Dask scheduler at tcp//nowhere"):
        graphrun.loads(GRAPH).sweep({"parameters.a": [1]}, workers="dask:tcp//nowhere")
