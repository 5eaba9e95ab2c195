"""Copies over a sequence on every engine: JAX makes one loop of those that are alike, with the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.api import Graph
from graphrun.base.types import Array
from graphrun.engines import auto
from graphrun.plan import runs
from graphrun.plan.plan import Plan

RECURRENCE = """\
data: {{file: rows.csv, columns: {{r: r}}}}
subgraphs:
  day:
    inputs: [s2, e]
    parameters: {{omega: 0.1, alpha: 0.1, beta: 0.8}}
    nodes:
      next: omega + alpha * e ** 2 + beta * s2
    output: next
parameters: {{mu: 0.05}}
nodes:
  e: r - mu
  v: {{type: day, inputs: [1.5, e], repeat: {n}, share: true, over: [e], collect: [s2]}}
  loss: sum(log(v.s2) + e ** 2 / v.s2) / 2 + 0.01 * v ** 2 + v.3.next.2
minimize: loss
update: {{type: adam, step_size: 0.01}}
steps: 5
record: [loss, v, v.4]
"""

BODIES = {
    # inputs, leaves, nodes, output, what the copies are given, their keys, the loss
    "two values, a matrix each": (
        "[h, c, x]",
        "parameters: {W: [[0.3, -0.2], [0.1, 0.4]], b: [0.1, 0.2]}",
        "{z: x @ W + h + b, c2: sigmoid(z) * c + tanh(z), h2: tanh(c2) * h}",
        "[h2, c2]",
        "[start, start, xs]",
        "share: true, over: [x], collect: [h2, c2]",
        "sum(u.h2 * u.c2) + sum(u ** 2)",
    ),
    "parameters of their own": (
        "[h, x]",
        "parameters: {w: 0.9, b: {value: 0.1}}",
        "{y: tanh(w * h + b * x)}",
        "y",
        "[start, xs]",
        "over: [x]",
        "sum(u ** 2) + u.2.w",
    ),
    "no slices": (
        "[h, k]",
        "parameters: {w: 0.9}",
        "{y: sin(w * h + k), z: y * h}",
        "y",
        "[start, start]",
        "share: true, collect: z",
        "sum(u.z)",
    ),
    "only what is collected": (
        "[h, x]",
        "parameters: {w: 0.9}",
        "{y: h, z: exp(w * x)}",
        "y",
        "[start, xs]",
        "share: true, over: x, collect: [z, x]",
        "sum(u.z * u.x)",
    ),
    "noise and a state of its own": (
        "[h, x]",
        "parameters: {w: [0.9, 0.5], g: [1, 1], o: [0, 0]}",
        "{n: 'batch_norm(dropout(h * x + w, rate=0.3), g, o)', y: n * w + x}",
        "y",
        "[mat, xs3]",
        "share: true, over: [x], collect: y",
        "sum(u.y ** 2)",
    ),
    "the last value is the objective": (
        "[h, x]",
        "parameters: {w: 0.9}",
        "{y: h * w + sum(x ** 2)}",
        "y",
        "[0.5, xs]",
        "share: true, over: [x]",
        "u * 1",
    ),
    "what is read is infinite": (
        "[h, x]",
        "parameters: {w: 0.9}",
        "{r: 'where(greater(x, 100), sqrt(x - 100), h * w)', y: 'maximum(r + x, 0.1)'}",
        "y",
        "[start, xs]",
        "share: true, over: [x], collect: r",
        "sum(u.r)",
    ),
}


def body(name: str, copies: int = 6) -> str:
    """Return a graph file with so many copies of a body."""
    inputs, leaves, nodes, output, given, keys, loss = BODIES[name]
    numbers = np.random.default_rng(0).normal(size=(copies, 2)).round(3).tolist()
    numbers3 = np.random.default_rng(1).normal(size=(copies, 3, 2)).round(3).tolist()
    objective = "u" if loss == "u * 1" else "loss"
    return f"""\
subgraphs:
  body: {{inputs: {inputs}, {leaves}, nodes: {nodes}, output: {output}}}
constants: {{xs: {numbers}, xs3: {numbers3}, mat: [[1, 2], [3, 5], [2, 7]]}}
parameters: {{start: [0.5, 0.7]}}
nodes:
  u: {{type: body, inputs: {given}, repeat: {copies}, {keys}}}
  loss: {loss}
minimize: {objective}
update: {{type: adam, step_size: 0.01}}
steps: 3
"""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few copies are a loop, too."""
    pytest.importorskip("jax", reason="it is JAX that has the loop")
    monkeypatch.setattr(runs, "LEAST_SAVED", 3)


def recurrence(folder: Path, n: int) -> Graph:
    """Return a recurrence of conditional variances."""
    rows = np.random.default_rng(3).normal(size=n)
    (folder / "rows.csv").write_text("r\n" + "\n".join(f"{x:.6f}" for x in rows), encoding="utf-8")
    (folder / "g.yaml").write_text(RECURRENCE.format(n=n), encoding="utf-8")
    return graphrun.load(folder / "g.yaml")


def assert_equal(graph: Graph, dtype: str = "float64", tolerance: float = 1e-10) -> None:
    """Values and gradients of all nodes are those of the NumPy engine."""
    first, second = (graph.run(engine=engine, dtype=dtype) for engine in ("numpy", "jax"))
    for what in ("parameters", "values", "gradients", "history"):
        ours, theirs = getattr(first, what), getattr(second, what)
        assert list(ours) == list(theirs)
        for name, value in ours.items():
            np.testing.assert_allclose(theirs[name], value, tolerance, tolerance, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.usefixtures("small")
def test_copies_of_a_body_are_one_loop(name: str) -> None:
    """They are found, and give the same numbers as one by one."""
    graph = graphrun.loads(body(name))
    (run,) = runs.find_runs(graph.plan())
    assert len(run.slots) >= 4
    assert_equal(graph)
    if name == "parameters of their own":
        assert_equal(graph, "float32", 1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_recurrence_over_a_column(tmp_path: Path) -> None:
    """Single copies can be recorded and be part of the objective; the sequence itself moves."""
    assert_equal(recurrence(tmp_path, 12))


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_resumed_run_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    """On each engine, from a checkpoint within."""
    graph = recurrence(tmp_path, 12)
    for engine in ("numpy", "jax"):
        whole = graph.run(6, engine=engine)
        graph.run(3, engine=engine, save=tmp_path / "c.safetensors")
        rest = graph.run(6, engine=engine, resume=tmp_path / "c.safetensors")
        assert all(np.array_equal(rest.parameters[name], value) for name, value in whole.parameters.items())
        assert rest.values["loss"] == whole.values["loss"]


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_the_hessian_goes_through_the_loop(tmp_path: Path) -> None:
    """Forward mode through both loops: the columns are differences of gradients."""
    function = recurrence(tmp_path, 12).function(engine="jax")
    at = np.array([0.05, 0.1, 0.1, 0.8])
    at = np.asarray(function.start, float) if hasattr(function, "start") else at
    hessian = function.hessian(at)
    for k in range(len(at)):
        step = np.zeros_like(at)
        step[k] = 1e-5
        difference = (function.value_and_gradient(at + step)[1] - function.value_and_gradient(at - step)[1]) / 2e-5
        np.testing.assert_allclose(hessian[k], difference, 1e-6, 1e-6)


def operations(plan: Plan) -> int:
    """Return how many operations XLA is given for a step's forward pass."""
    from graphrun.engines.jax.passes import ArrayPasses, PlanPart

    return len(list(ArrayPasses(plan).operations(PlanPart.LOOP)))


@pytest.mark.slow
def test_the_program_does_not_grow_with_the_copies(tmp_path: Path) -> None:
    """A hundred copies and five hundred are the same program, and one that XLA compiles quickly."""
    pytest.importorskip("jax")
    counts = {operations(recurrence(tmp_path, n).plan()) for n in (100, 500)}
    assert len(counts) == 1
    assert counts.pop() < 50


@pytest.mark.slow
def test_copies_of_copies_are_a_loop_where_they_save_most(small: None) -> None:
    """Of loops within each other one is taken, and the values are the same."""
    text = """\
subgraphs:
  inner: {inputs: [h, w], nodes: {y: sin(h) * w + 0.1 * h}, output: y}
  layer:
    {inputs: [h, x], parameters: {w: 0.9}, nodes: {a: 'inner(h, w, repeat=$n)', y: a + x}, settings: {n: 2}, output: y}
constants: {xs: [[1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [6, 7], [7, 8]]}
parameters: {start: [0.1, 0.2]}
nodes:
  u: {type: layer, inputs: [start, xs], repeat: 7, n: %d, share: true, over: [x]}
  loss: sum(u)
minimize: loss
steps: 1
"""
    assert len(runs.find_runs(graphrun.loads(text % 2).plan())) == 1
    assert_equal(graphrun.loads(text % 2))
    assert_equal(graphrun.loads(text % 9))


@pytest.mark.slow
def test_copies_that_wait_for_each_other_are_no_loop(small: None) -> None:
    """What each copy reads may come from the copy before by a node outside; names alone do not make a loop."""
    nodes = "".join(
        f"  a.{k}.x: {{type: multiply, inputs: [{f'a.{k - 1}.y' if k > 1 else 'a0'}, w]}}\n"
        f"  b{k}: {{type: exp, inputs: [a.{k}.x]}}\n"
        f"  a.{k}.y: {{type: add, inputs: [a.{k}.x, b{k}]}}\n"
        for k in range(1, 9)
    )
    text = f"parameters: {{w: [0.1, 0.2], a0: [1, 2]}}\nnodes:\n{nodes}  f: sum(a.8.y)\nminimize: f\nsteps: 1\n"
    graph = graphrun.loads(text)
    assert not runs.find_runs(graph.plan())
    assert_equal(graph)


@pytest.mark.slow
def test_auto_reckons_what_xla_takes_to_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies that are one loop are compiled soon; written out, they would take longer than NumPy."""
    pytest.importorskip("jax")
    plan = recurrence(tmp_path, 1000).plan()
    assert auto.choose(plan, 1000).engine == "jax"
    monkeypatch.setattr(auto, "find_runs", lambda plan: [])
    choice = auto.choose(plan, 1000)
    assert choice.engine == "numpy"
    assert "XLA compiles for about" in choice.reason


def filtered(y: Array, noise: float, drift: float) -> float:
    """Return minus the log-likelihood of the local level model, without the first row's."""
    level, variance, total = y[0], noise + drift, 0.0
    for value in y[1:]:
        f, v = variance + noise, value - level
        level, variance = level + variance / f * v, variance * (1 - variance / f) + drift
        total += np.log(2 * np.pi * f) + v**2 / f
    return float(total / 2)


def test_a_kalman_filter_is_the_loop_in_numpy() -> None:
    """The Nile's likelihood and its gradient, by a loop and by differences."""
    root = Path(__file__).parents[2] / "graphs"
    y = np.loadtxt(root / "data" / "nile.csv", delimiter=",", skiprows=1)[:, 1]
    result = graphrun.load(root / "nile.yaml").run(0)
    at = np.array([9.0, 7.0])
    np.testing.assert_allclose(result.values["loss"], filtered(y, *np.exp(at)), 1e-12)
    for k, name in enumerate(("filter.log_noise", "filter.log_drift")):
        ends = [filtered(y, *np.exp(at + sign * 1e-5 * np.eye(2)[k])) for sign in (1, -1)]
        np.testing.assert_allclose(result.gradients[name], (ends[0] - ends[1]) / 2e-5, 1e-7)


LSTM = """\
subgraphs:
  cell:
    inputs: [h, c, x]
    parameters:
      {{W: {{shape: [16, 3], init: normal}}, U: {{shape: [16, 4], init: normal}}, b: {{shape: [16], init: normal}}}}
    nodes:
      z: x @ matrix_transpose(W) + h @ matrix_transpose(U) + b
      i: sigmoid(slice(z, stop=4, axis=-1))
      f: sigmoid(slice(z, start=4, stop=8, axis=-1))
      g: tanh(slice(z, start=8, stop=12, axis=-1))
      o: sigmoid(slice(z, start=12, axis=-1))
      c2: f * c + i * g
      h2: o * tanh(c2)
    output: [h2, c2]
parameters: {{x: {{shape: [{n}, 2, 3], init: normal}}}}
constants: {{start: [[0, 0, 0, 0], [0, 0, 0, 0]]}}
nodes:
  lstm: {{type: cell, inputs: [start, start, x], repeat: {n}, share: true, over: [x], collect: [h2]}}
  loss: sum(lstm.h2 ** 2) + sum(lstm)
minimize: loss
steps: 0
"""


@pytest.mark.campaign
@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_an_lstm_is_pytorchs(engine: str, torch: Any) -> None:
    """A hundred steps: all outputs, and the gradients by weights and inputs, to 8 digits."""
    result = graphrun.loads(LSTM.format(n=100)).run(0, engine=engine)
    cell = torch.nn.LSTM(3, 4).double()
    ours = {"weight_ih_l0": "lstm.W", "weight_hh_l0": "lstm.U", "bias_ih_l0": "lstm.b"}
    with torch.no_grad():
        cell.bias_hh_l0.zero_()
        for theirs, name in ours.items():
            getattr(cell, theirs).copy_(torch.tensor(result.parameters[name]))
    x = torch.tensor(result.parameters["x"], requires_grad=True)
    outputs, (last, _) = cell(x)
    ((outputs**2).sum() + last.sum()).backward()
    np.testing.assert_allclose(result.values["lstm.h2"], outputs.detach().numpy(), 1e-8, 1e-12)
    np.testing.assert_allclose(result.gradients["x"], x.grad.numpy(), 1e-8, 1e-12)
    for theirs, name in ours.items():
        np.testing.assert_allclose(result.gradients[name], getattr(cell, theirs).grad.numpy(), 1e-8, 1e-12)


@pytest.mark.campaign
@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.nightly)])
def test_a_garch_is_archs(engine: str, tmp_path: Path) -> None:
    """A thousand days: the variances and the likelihood to 8 digits."""
    arch = pytest.importorskip("arch", reason="an oracle: pip install -e '.[oracles]'")
    graph = recurrence(tmp_path, 1000)
    result = graph.run(0, engine=engine)
    rows = np.loadtxt(tmp_path / "rows.csv", skiprows=1)
    from arch.univariate import GARCH, Normal

    volatility = GARCH(1, 0, 1)
    residuals = rows - 0.05
    sigma2 = np.zeros_like(rows)
    # arch computes the first variance of one before it, whose square and variance are the backcast.
    backcast = (1.5 - 0.1) / 0.9
    volatility.compute_variance(np.array([0.1, 0.1, 0.8]), residuals, sigma2, backcast, np.tile([1e-9, 1e9], (1000, 1)))
    np.testing.assert_allclose(result.values["v.s2"], sigma2, 1e-8)
    likelihood = Normal().loglikelihood(np.array([]), residuals, sigma2)
    extra = 0.01 * result.values["v"] ** 2 + result.values["v.3.next.2"]
    np.testing.assert_allclose(result.values["loss"] - extra, -likelihood - 500 * np.log(2 * np.pi), 1e-8)
    assert arch.__version__
