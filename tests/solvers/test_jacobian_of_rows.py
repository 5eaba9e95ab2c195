"""The Jacobian of residuals on rows of data: a few passes, however many rows there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.engines.numpy import NumpyProgram, forward, node_program
from graphrun.engines.scipy import jacobian as module
from graphrun.engines.scipy.jacobian import Jacobian

ROWS = 50

GRAPH = """\
data: {{file: d.npz}}
subgraphs:
  layer:
    inputs: [v]
    parameters: {{W: {{shape: [3, 2], init: {{type: normal}}}}, b: [0.1, -0.2]}}
    nodes: {{z: tanh(v @ W + b)}}
    output: z
parameters:
  w: [0.3, -0.5, 0.8]
  s: [1, 0.5, 2]
  b: 0.4
  W: {{shape: [3, 2], init: {{type: normal}}}}
  T: {{shape: [2, 2], init: {{type: normal}}}}
  k: [[[0.5, 1, -1]]]
nodes:
  r: "{residual}"
  f: sum(r ** 2)
minimize: f
"""

# Whether each row stands alone, or the type is affine in what the rows share.
FEW_PASSES = [
    "X @ w - y",
    "X @ w + b - y",
    "w @ matrix_transpose(X) - y",
    "layer(X) @ [1.0, 2.0] - y",
    "tanh(X @ W) @ T",
    "softmax(X @ W)",
    "logsumexp(X @ W, axis=1) - y",
    "max(X * w, axis=1) - y",
    "vector_norm(X - w, axis=1)",
    "std(X * w, axis=1)",
    "prod(X * w + b, axis=1)",
    "layer_norm(X * w, s, w)",
    "einsum(X, W, subscripts='ij,jk->ki')",
    "embedding(T, label) * (X @ W)",
    "squeeze(conv1d(reshape(X * b, shape=[-1, 1, 3]), k, padding=1), axis=1)",
    "cross_entropy(X @ W, label, reduction='none')",
    "reshape(matrix_transpose(softmax(X @ W)), shape=[-1])",
    "concat(X * w, X @ T3, axis=1)",
    "X @ w - mean(X @ w)",
    "matrix_transpose(X) * y * b",
    "cumulative_sum(X @ w)",
]
MANY_PASSES = ["softmax(X @ w, axis=0)", "scaled_dot_product_attention(X, X * b, X)"]


@pytest.fixture
def jacobian(tmp_path: Path) -> Callable[[str], Jacobian]:
    """Return a function from an expression to the Jacobian of residuals, of a graph that was evaluated."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, ROWS)
    np.savez(tmp_path / "d.npz", X=rng.normal(size=(ROWS, 3)), y=rng.normal(size=ROWS), label=label)

    def make(residual: str) -> Jacobian:
        text = GRAPH.format(residual=residual)
        if "[1.0, 2.0]" in text:
            text = text.replace("[1.0, 2.0]", "pair").replace("subgraphs:", "constants: {pair: [1, 2]}\nsubgraphs:")
        text = text.replace("T3", "W")
        (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
        graph = graphrun.load(tmp_path / "g.yaml")
        program = node_program(graph.plan(), graph.source.open(0))
        program.evaluate()
        return Jacobian(program, program.plan.slots["r"])

    return make


def slopes(program: NumpyProgram, slot: int) -> np.ndarray:
    """Return the Jacobian by central differences."""
    shapes = program.plan.shapes[: program.plan.parameters]
    start = np.concatenate([np.ravel(value) for value in program.values(range(len(shapes)))])
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def residuals(point: np.ndarray) -> np.ndarray:
        parts = np.split(point, ends)
        program.set_parameters([part.reshape(shape)[()] for part, shape in zip(parts, shapes, strict=True)])
        forward(program.operations(), program.values_by_slot)
        return np.ravel(program.values([slot])[0])

    step = 1e-5
    columns = [residuals(start + step * e) - residuals(start - step * e) for e in np.eye(start.size)]
    residuals(start)
    return np.stack(columns, axis=1) / (2 * step)


@pytest.mark.parametrize("residual", [*FEW_PASSES, *MANY_PASSES])
def test_the_jacobian_is_the_slopes(
    residual: str, jacobian: Callable[[str], Jacobian], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes one backward pass, which it is compared with, unless rows depend on one another."""
    passes = []
    backward = module.backward
    monkeypatch.setattr(module, "backward", lambda *given: passes.append(1) or backward(*given))
    asked = jacobian(residual)
    matrix = asked()
    np.testing.assert_allclose(matrix, slopes(asked.program, asked.slot), rtol=1e-6, atol=1e-8)
    assert (len(passes) == 1) == (residual in FEW_PASSES)


@pytest.mark.parametrize("held", [0, 100_000])
def test_columns_are_made_in_blocks(
    held: int, jacobian: Callable[[str], Jacobian], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all of them at once would not fit into memory."""
    asked = jacobian("softmax(layer(X)) @ T + b")
    expected = asked()
    monkeypatch.setattr(module, "HELD_BYTES", held)
    np.testing.assert_allclose(asked(), expected, rtol=1e-14)


def test_a_type_that_only_seems_affine_is_found_out(
    jacobian: Callable[[str], Jacobian], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the backward pass; then each row is asked for alone."""
    asked = jacobian("softmax(X @ W, axis=0)")
    expected = asked._backwards()
    monkeypatch.setattr(asked, "_is_affine", lambda *_: True)
    assert asked.goes_forwards
    np.testing.assert_allclose(asked(), expected, rtol=1e-12, atol=1e-15)


def test_sums_that_cancel_are_affine_all_the_same(load: Callable[..., graphrun.api.Graph]) -> None:
    """As a few do among millions of rows; here those on the very vectors that a product is tried with."""
    drawn = np.random.default_rng(0)
    tried = np.stack([drawn.normal(size=4) for _ in range(3)])
    x = np.random.default_rng(1).normal(size=(60, 4))
    x[10:] -= x[10:] @ np.linalg.pinv(tried) @ tried
    plan = load(
        {
            "constants": {"X": x.tolist()},
            "parameters": {"w": [0, 0, 0, 0]},
            "nodes": {"r": "X @ w", "f": "sum(r ** 2)"},
            "minimize": "f",
        }
    ).plan()
    program = node_program(plan)
    program.evaluate()
    asked = Jacobian(program, plan.slots["r"])
    assert asked.goes_forwards
    np.testing.assert_array_equal(asked(), x)


@pytest.mark.slow
def test_least_squares_on_many_rows(tmp_path: Path) -> None:
    """A hundred thousand rows take as many passes as a hundred; NumPy solves the same."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 4))
    y = x @ [1, 2, 3, 4] + rng.normal(size=len(x))
    np.savez(tmp_path / "d.npz", X=x, y=y)
    (tmp_path / "g.yaml").write_text(
        "data: {file: d.npz}\nparameters: {w: [0, 0, 0, 0]}\nnodes: {r: X @ w - y, f: sum(r ** 2)}\nminimize: f\n"
        "update: {type: least_squares, residual: r}\nsteps: 50\n",
        encoding="utf-8",
    )
    found = graphrun.load(tmp_path / "g.yaml").run()
    np.testing.assert_allclose(found.parameters["w"], np.linalg.lstsq(x, y)[0], rtol=1e-10)
