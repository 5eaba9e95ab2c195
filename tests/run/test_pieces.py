"""Values on rows that come in pieces are what the nodes say on all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrun
from graphrun.base.errors import UsageError
from graphrun.data import dataset
from graphrun.data.memory import MemoryDataSet
from graphrun.engines.numpy import NumpyProgram, node_program
from graphrun.run import pieces
from graphrun.run.pieces import Piecewise

ROWS = 41

GRAPH = """\
data: {{file: d.npz}}
parameters: {{w: [1, -2, 3], s: [1, 2, 1], b: 0.3, W: {{shape: [3, 2], init: {{type: normal}}}}}}
nodes:
  n: "{expression}"
"""

OF_ROWS = ["X", "y", "X @ w - y", "tanh(X @ W)", "X * expand_dims(y, axis=1)", "dropout(X)", "batch_norm(X, s, w)"]
MORE = [
    "{} * 2 - 1",
    "{} - mean({}, axis=0)",
    "softmax({}, axis=0)",
    "{} / vector_norm({})",
    "cumulative_sum({}, axis=0)",
    "exp({} - max({}))",
    "matrix_transpose(expand_dims({}, axis=-1))",
    "sqrt(abs({})) + std({}, axis=0)",
]
FINALLY = [
    "{}",
    "sum({})",
    "mean({}, axis=0)",
    "std({})",
    "var({}, axis=0)",
    "max({})",
    "min({}, axis=0)",
    "prod({})",
    "logsumexp({}, axis=0)",
    "vector_norm({})",
    "sum({} * 0 + 1) / 3",
    "sqrt(mean(({} - mean({})) ** 2))",
]
SINGLE = [
    "accuracy(X @ W, label)",
    "cross_entropy(X @ W, label)",
    "mean_squared_error(X @ w, y)",
    "y @ X",
    "X @ matrix_transpose(X)",
    "sum(take(y, 0) * y)",
    "sum(embedding(W, label) * (X @ W))",
    "argmax(y)",
]


def program_of(folder: Path, expression: str) -> NumpyProgram:
    """Return a program of the NumPy engine whose node `n` is an expression of rows."""
    (folder / "g.yaml").write_text(GRAPH.format(expression=expression), encoding="utf-8")
    graph = graphrun.load(folder / "g.yaml")
    return node_program(graph.plan())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the data, of more rows than any axis has elements."""
    folder = tmp_path_factory.mktemp("pieces")
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, ROWS)
    np.savez(folder / "d.npz", X=rng.normal(1, 2, (ROWS, 3)), y=rng.normal(1, 2, ROWS), label=label)
    return folder


def cut(columns: list[Any], sizes: list[int]) -> Callable[[], Iterator[list[Any]]]:
    """Return what gives the rows in pieces of some sizes, and the rest."""
    ends = [end for end in np.cumsum(sizes).tolist() if end < ROWS]
    return lambda: (
        [column[start:stop] for column in columns] for start, stop in zip([0, *ends], [*ends, ROWS], strict=True)
    )


def check(program: NumpyProgram, sizes: list[int]) -> None:
    """Compare a node's value on pieces, of all rows and piece by piece, with its value on all at once."""
    plan, slot = program.plan, program.plan.slots["n"]
    if slot not in plan.rows:
        return
    columns = [plan.leaves[k] for k in plan.data]
    expected = program.evaluate_rows(columns, [slot])[0]
    found = Piecewise(program, [slot]).values(program, cut(columns, sizes))[slot]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    if plan.evaluation().rows[slot].axis == 0:
        parts = Piecewise(program, [slot], by_piece=True).by_piece(program, cut(columns, sizes))
        np.testing.assert_allclose(np.concatenate([part for (part,) in parts]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("expression", [*SINGLE, *(form.format(*["X @ w"] * 2) for form in [*MORE, *FINALLY])])
def test_pieces_give_what_all_rows_give(expression: str, folder: Path) -> None:
    """Sums, means, deviations, what follows them, and what reads them once more with the rows."""
    check(program_of(folder, expression), [1, 20, 13])


@settings(max_examples=examples(40))
@given(
    first=st.sampled_from(OF_ROWS),
    forms=st.lists(st.sampled_from(MORE), max_size=3),
    last=st.sampled_from(FINALLY),
    sizes=st.lists(st.integers(1, ROWS), max_size=6),
)
def test_any_chain_of_nodes(folder: Path, first: str, forms: list[str], last: str, sizes: list[int]) -> None:
    """However rows are cut."""
    expression = first
    for form in [*forms, last]:
        expression = form.format(*[f"({expression})"] * 2)
    try:
        program = program_of(folder, expression)
    except graphrun.GraphrunError:
        return
    check(program, sizes)


RUN = """\
data: {file: d.npz, batch_size: 8, holdout: 0.4}
parameters: {b: 0.5}
nodes:
  rows: sum(X * 0 + 1) / 3
  spread: std(X)
  far: max(abs(X - mean(X, axis=0)))
  each: (y - b) ** 2
  loss: mean(each)
minimize: loss
steps: 3
record: [rows, spread, far, each, loss]
"""


@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_held_back_rows_in_pieces(engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history has what it has of rows that are in memory at once."""
    (folder / "run.yaml").write_text(RUN, encoding="utf-8")
    expected = graphrun.load(folder / "run.yaml").run(engine=engine)
    assert expected.holdout["rows"] == 16
    monkeypatch.setattr(MemoryDataSet, "holdout", lambda _: None)
    monkeypatch.setattr(dataset, "CHUNK_BYTES", 5 * 8 * 4)
    found = graphrun.load(folder / "run.yaml").run(engine=engine)
    for name, column in expected.history.items():
        np.testing.assert_allclose(found.history[name], column, rtol=1e-12)


def test_what_needs_too_many_rows_at_once_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, and by what it needs."""
    program = program_of(folder, "std(X * 2)")
    columns = [program.plan.leaves[k] for k in program.plan.data]
    monkeypatch.setattr(pieces, "MOST_BYTES", 500)
    with pytest.raises(UsageError, match=r"'n' needs all rows of 'n.1' at once, which are more than"):
        Piecewise(program, [program.plan.slots["n"]]).values(program, cut(columns, [5, 5, 5]))
