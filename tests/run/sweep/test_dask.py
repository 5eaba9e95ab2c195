"""Sweeps on a Dask cluster: the same numbers, whatever dies on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import graphrun
from tests.dask_cluster import LocalCluster

pytest.importorskip("distributed")

GRAPH = """\
parameters: {a: 3.0, b: {shape: [], init: {type: uniform, low: -1, high: 1}}}
nodes: {f: (a - 1) ** 2 + (b - 2) ** 2}
minimize: f
update: {type: sgd, step_size: 0.001}
steps: 3000
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster of two workers; after the test that kills one, of one."""
    made = LocalCluster(tmp_path_factory.mktemp("cluster"))
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
