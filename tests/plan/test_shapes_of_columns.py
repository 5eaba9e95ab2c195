"""Shapes of parameters that name columns of the data: so many categories, so many columns."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphrun
from graphrun.base.errors import GraphrunError

GRAPH = """
data:
  file: rows.csv
  columns:
    user: {column: user, categories: auto}
    X: {columns: ["x*"], missing: indicator}
    film: {column: film, one_hot: true}
    y: y
subgraphs:
  linear:
    inputs: [x]
    settings: {n_in: null}
    parameters: {W: {shape: [$n_in, 2], init: {type: normal}}}
    nodes: {y: x @ W}
    output: y
parameters:
  of_user: {shape: [user, 2], init: {type: normal}, lower: -3}
nodes:
  guess: sum(embedding(of_user, user) * linear(film, n_in='film') + linear(X, n_in='X'), axis=1)
  loss: mean((guess - y) ** 2)
minimize: loss
update: {type: sgd, step_size: 0.01}
record: [loss]
"""
ROWS = "user,film,x1,x2,y\nu,a,1,2,3\nv,b,,3,4\nw,a,4,,5\nu,c,5,6,7\n"


@pytest.fixture(autouse=True)
def _rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(ROWS, encoding="utf-8")
    Path("g.yaml").write_text(GRAPH, encoding="utf-8")


@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_they_are_those_of_the_data(engine: str) -> None:
    """Within subgraphs too; a run from a checkpoint goes on bit for bit, whatever categories its rows have."""
    graph = graphrun.load("g.yaml")
    whole = graph.run(4, engine=engine)
    assert sorted(value.shape for value in whole.parameters.values()) == [(3, 2), (3, 2), (4, 2)]
    graph.run(2, save="c", engine=engine)
    again = graph.run(4, resume="c", engine=engine)
    for name, value in whole.parameters.items():
        assert (again.parameters[name] == value).all()
    Path("few.csv").write_text("".join(ROWS.splitlines(keepends=True)[:3]), encoding="utf-8")
    other = graphrun.load("g.yaml", data="few.csv").run(3, resume="c", engine=engine)
    assert other.parameters["of_user"].shape == (3, 2)


def test_predictions_take_the_shapes_of_the_checkpoint() -> None:
    """The column that a shape names need not be among the rows to predict."""
    text = GRAPH.replace("shape: [$n_in, 2]", "shape: [$n_in, user]").replace("shape: [user, 2]", "shape: [user, user]")
    Path("g.yaml").write_text(text, encoding="utf-8")
    graphrun.load("g.yaml").run(1, save="c")
    Path("new.csv").write_text("x1,x2\n1,2\n", encoding="utf-8")
    text = text.replace("  loss:", "  only: linear(X, n_in='X')\n  loss:")
    Path("h.yaml").write_text(text, encoding="utf-8")
    graphrun.load("h.yaml").run(1, save="c")
    (piece,) = graphrun.load("h.yaml", data="new.csv").predict("c", ["only"])
    assert piece["only"].shape == (1, 3)


MISTAKES = {
    "shape: [usr, 2]": r"g.yaml:17:\d+: there is no column 'usr' in 'data'(.|\n)*did you mean 'user'",
    "shape: [y, 2]": r"g.yaml:17:\d+: 'y' is one number a row: it has no number of categories, and none of columns",
    "shape: [1.5, user]": "'shape' is a list of whole numbers, 0 or more",
    "shape: ['a b']": "'shape' is a list of whole numbers, 0 or more",
    "lower: [1, 2], shape: [user, user]": "does not fit a value of the shape",
}


@pytest.mark.parametrize("shape", MISTAKES)
def test_mistakes(shape: str) -> None:
    """At their places."""
    text = GRAPH.replace("lower: -3", "").replace("init: {type: normal}, }", "init: {type: normal}}")
    Path("g.yaml").write_text(text.replace("shape: [user, 2]", shape), encoding="utf-8")
    with pytest.raises(GraphrunError, match=MISTAKES[shape]):
        graphrun.load("g.yaml").plan()
