"""What the benchmarks compare computes the same: a loss in the words of JAX and of PyTorch is that of the graph."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.engines.auto import JAX, NUMPY, work_of

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the graphs."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("shapes")


@pytest.mark.campaign
def test_losses_of_others_are_those_of_the_graph(shapes: Any) -> None:
    """At the start, in double precision."""
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    cases = [
        (shapes.dense(6, 4, 2, batch=3), shapes.dense_loss),
        (shapes.convolutional(2, 3, 8, 2), shapes.convolutional_loss),
        (shapes.transformer(2, 3, 4), shapes.transformer_loss),
        (shapes.lstm(4, 2, 3), shapes.lstm_loss),
    ]
    for text, loss in cases:
        graph = graphrun.loads(text)
        plan = graph.plan("float64")
        expected = graph.run(steps=0, dtype="float64", engine="numpy", record=["loss"]).history["loss"][0]
        leaves = {name: leaf for part in shapes.leaves_of(plan) for name, leaf in part.items()}
        with jax.enable_x64(True):
            by_jax = float(loss(shapes.Words("jax"), {name: jax.numpy.asarray(leaf) for name, leaf in leaves.items()}))
        by_torch = loss(shapes.Words("torch"), {name: torch.tensor(leaf) for name, leaf in leaves.items()})
        np.testing.assert_allclose([by_jax, float(by_torch)], expected, 1e-12)


@pytest.mark.slow
def test_work_is_counted_by_hand(shapes: Any) -> None:
    """Two layers: their multiplications three times, their nodes; a run of no steps costs what compiling does."""
    plan = graphrun.loads(shapes.dense(6, 4, 2, batch=3)).plan()
    work = work_of(plan, 10)
    assert work.product == 10 * 3 * (3 * 6 * 4 + 3 * 4 * 2)
    # Two products and the loss, two biases that are added and a tanh; four parameters with two states each.
    assert (work.call, work.tensor, work.update) == (10 * 3, 10 * 3, 10 * 4 * 3)
    assert (work.compile, work.compile_tensor) == (3 + 4, 3)
    compiling = work.compile * JAX.compile + work.compile_tensor * JAX.compile_tensor
    assert work_of(plan, 0).seconds(JAX) == pytest.approx(JAX.start + compiling)
    assert work.seconds(NUMPY) > work_of(plan, 0).seconds(NUMPY) == 0
