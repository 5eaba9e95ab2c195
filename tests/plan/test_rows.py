"""Which axis of a value the rows of the data are, whether each stands alone, and how values on parts combine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.plan.plan import Plan
from graphrun.plan.rows import RowAxes

Planned = Callable[..., Plan]

GRAPH = """\
data:
  file: d.npz
parameters: {{w: [1, 2, 3], W: {{shape: [3, 2], init: {{type: zeros}}}}, b: 0, k: [[[1, 0, -1]]], s: [1, 1, 1]}}
nodes: {{{nodes}}}
"""


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Return a function from nodes to the plan of a graph on 3 rows: X of 3 columns, a vector y, and classes."""
    rng = np.random.default_rng(1)
    classes = np.array([0, 1, 1])
    np.savez(tmp_path / "d.npz", X=rng.normal(size=(3, 3)), y=rng.normal(size=3), label=classes, first=classes)

    def make(nodes: str) -> Plan:
        (tmp_path / "g.yaml").write_text(GRAPH.format(nodes=nodes), encoding="utf-8")
        return graphrun.load(tmp_path / "g.yaml").plan()

    return make


# The file has as many rows as columns, so that no length tells them apart.
CASES: list[tuple[str, int | None, bool]] = [
    ("X @ w", 0, True),
    ("w @ matrix_transpose(X)", 0, True),
    ("matrix_transpose(X)", 1, True),
    ("X * w - y", 0, False),
    ("X - expand_dims(y, axis=1) * w", 0, True),
    ("relu(X @ W) + b", 0, True),
    ("X - mean(X, axis=0)", 0, True),
    ("mean(X, axis=0)", None, False),
    ("mean(X, axis=1)", 0, True),
    ("sum(X)", None, False),
    ("softmax(X)", 0, True),
    ("softmax(X, axis=0)", 0, False),
    ("exp(softmax(X, axis=0))", 0, False),
    ("cumulative_sum(y)", 0, False),
    ("cumulative_sum(X, axis=1)", 0, True),
    ("flip(y)", 0, False),
    ("reshape(X, shape=[-1, 1, 3])", 0, True),
    ("reshape(X, shape=[-1])", None, False),
    ("reshape(X, shape=[1, -1, 3])", 1, True),
    ("permute_dims(reshape(X, shape=[-1, 1, 3]), axes=[2, 1, 0])", 2, True),
    ("conv1d(reshape(X, shape=[-1, 1, 3]), k, padding=1)", 0, True),
    ("concat(X, X * 2, axis=1)", 0, True),
    ("concat(X, X * 2)", None, False),
    ("stack(y, y + 1)", 1, True),
    ("take(y, first)", 0, False),
    ("take(w, first)", 0, True),
    ("embedding(W, first)", 0, True),
    ("take(y, 0)", None, False),
    ("cross_entropy(X @ W, label, reduction='none')", 0, True),
    ("cross_entropy(X @ W, label)", None, False),
    ("argmax(X, axis=1)", 0, True),
    ("argmax(X, axis=0)", None, False),
    ("layer_norm(X, s, w)", 0, True),
    ("batch_norm(X, s, w)", 0, False),
    ("rms_norm(X, s)", 0, True),
    ("scaled_dot_product_attention(X, X, X)", 0, False),
    ("einsum(X, W, subscripts='ij,jk->ki')", 1, True),
    ("X @ matrix_transpose(X)", 0, False),
    ("outer(y, w)", 0, True),
    ("y * matrix_transpose(X)", 1, True),
    ("huber_loss(X @ w, y, reduction='none')", 0, True),
    ("vector_norm(X, axis=1)", 0, True),
    ("max(X, axis=0)", None, False),
    ("dropout(X)", 0, True),
    ("X + w", 0, True),
]


@pytest.mark.parametrize(("expression", "axis", "own"), CASES, ids=str)
def test_the_axis_of_the_rows(expression: str, axis: int | None, own: bool, planned: Planned) -> None:
    """It is what grows with them, not what is as long as they are."""
    plan = planned(f'n: "{expression}"')
    assert plan.rows[plan.slots["n"]] == RowAxes(axis, own)
    assert plan.slots["w"] not in plan.rows


def test_a_running_norm_is_of_each_row_where_it_is_evaluated(planned: Planned) -> None:
    """And of all rows of a step."""
    plan = planned('n: "batch_norm(X, s, w)"').evaluation()
    assert plan.rows[plan.slots["n"]] == RowAxes(0, own=True)


COMBINED = {
    "sum(X)": "sum",
    "mean(X)": "mean",
    "mean(X, axis=0)": "mean",
    "max(X)": "max",
    "min(X, axis=0)": "min",
    "prod(X)": "product",
    "logsumexp(X)": "logsumexp",
    "vector_norm(X)": "norm",
    "std(X)": None,
    "var(X, axis=0)": None,
    "argmax(y)": None,
    "mean_squared_error(X @ w, y)": "mean",
    "huber_loss(X @ w, y, reduction='sum')": "sum",
    "cross_entropy(X @ W, label)": "mean",
    "accuracy(X @ W, label)": "mean",
    "y @ X": "sum",
    "vecdot(y, y)": "sum",
    "softmax(X, axis=0)": None,
    "einsum(X, y, subscripts='ij,i->j')": "sum",
    "take(y, 0)": None,
}


@pytest.mark.parametrize("expression", COMBINED)
def test_how_values_on_parts_combine(expression: str, planned: Planned) -> None:
    """What adds up, what is averaged, and what no rule gives."""
    plan = planned(f'n: "{expression}"')
    assert plan.combination(plan.slots["n"]) == COMBINED[expression]
