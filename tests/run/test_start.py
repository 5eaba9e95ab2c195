"""Parameters that nothing moves, and those of a checkpoint that start another graph."""

from __future__ import annotations

import csv
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

import graphrun
from graphrun.cli.entry import commands
from tests.lesson import GRAPHS

Load = Callable[[Any], graphrun.Graph]

ENGINES = ["numpy", *(pytest.param(name, marks=pytest.mark.campaign) for name in ("numba", "jax"))]

NUMBERS = {
    "parameters": {
        "a": 1.3,
        "held": {"value": 0.7, "frozen": True, "lower": 0.7, "step_size": 2},
        "b": {"value": -0.4, "step_size": 0.5},
    },
    "nodes": {"k": "exp(held) * held", "f": "(a * k - b) ** 2 + (held * b - 2) ** 2 + a ** 2"},
    "minimize": "f",
    "update": {"type": "adamw", "step_size": 0.01, "weight_decay": 0.3, "clip_norm": 0.5},
}

MATRICES = {
    "parameters": {
        "V": {"shape": [3, 4], "init": {"type": "normal"}, "frozen": True},
        "W": {"shape": [4, 2], "init": {"type": "normal"}, "weight_decay": 0},
    },
    "constants": {"x": [[1, 2, 3], [0.5, -1, 2]], "y": [[1, 0], [0, 1]]},
    "nodes": {"h": "tanh(x @ V)", "loss": "mean((h @ W - y) ** 2)"},
    "minimize": "loss",
    "update": {"type": "adamw", "step_size": 0.01, "weight_decay": 0.3},
}


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("graph", "name"), [(NUMBERS, "held"), (MATRICES, "V")], ids=["numbers", "matrices"])
def test_a_frozen_parameter_stays_bit_for_bit(
    load: Load, graph: dict[str, Any], name: str, engine: str, dtype: str, request: pytest.FixtureRequest
) -> None:
    """Neither a thousand steps nor decay, clipping or bounds move it, and a run that was cut in two ends the same."""
    if engine == "numba" and graph is MATRICES:
        pytest.xfail("numba runs graphs of numbers")
    loaded = load(graph)
    asked: dict[str, Any] = {"engine": engine, "dtype": dtype}
    before, after = loaded.run(0, **asked), loaded.run(1000, **asked)
    assert np.array_equal(before.parameters[name], after.parameters[name])
    assert list(after.parameters) == list(graph["parameters"])
    assert name not in after.gradients
    assert all(
        not np.array_equal(before.parameters[key], after.parameters[key]) for key in after.parameters if key != name
    )
    loaded.run(400, save="cut.safetensors", **asked)
    other = load({**graph, "parameters": {**graph["parameters"], name: _anew(graph["parameters"][name])}})
    resumed = other.run(1000, resume="cut.safetensors", **asked)
    for key, value in after.parameters.items():
        assert np.array_equal(resumed.parameters[key], value), key
    assert resumed.objective == after.objective


def _anew(declared: dict[str, Any]) -> dict[str, Any]:
    """Return a frozen parameter with another value, for what a run goes on with is the checkpoint's."""
    return {**declared, "init": "zeros"} if "init" in declared else {**declared, "value": 0.9}


def test_what_only_frozen_parameters_need_is_computed_once(load: Load) -> None:
    """Nodes of frozen parameters are no part of a step, and the plan's gradient has no place for them."""
    plan = load(MATRICES).plan()
    assert plan.parameters == 1
    assert [plan.names[slot] for batch in plan.once for slot in batch.slots] == ["h.1", "h"]
    assert not plan.moving[[plan.slots["V"], plan.slots["h"]]].any()


@pytest.mark.parametrize("solver", ["lbfgs", "newton_cg", "least_squares", "differential_evolution"])
def test_solvers_see_the_free_parameters_alone(load: Load, solver: str) -> None:
    """A fit with a frozen parameter is that with a constant in its place, and what it is worth too."""
    bounds = {} if solver == "newton_cg" else {"lower": -3.0, "upper": 3.0}
    rest = {
        "constants": {"x": [0, 1, 2, 3, 4], "y": [1.0, 2.9, 5.2, 7.1, 8.7]},
        "nodes": {"r": "a * x + b * x ** 2 + c - y", "f": "sum(r ** 2)"},
        "minimize": "f",
        "update": {"type": solver, **({"residual": "r"} if solver == "least_squares" else {})},
        "steps": 100,
    }
    if solver == "least_squares":
        rest["uncertainty"] = "least_squares"
    free = {"a": {"value": 1, **bounds}, "c": {"value": 0.5, **bounds}}
    found = load({"parameters": {"b": {"value": 0.1, "frozen": True}, **free}, **rest}).run()
    constants = {**rest["constants"], "b": 0.1}  # type: ignore[dict-item]
    expected = load({"parameters": free, **rest, "constants": constants}).run()
    assert found.parameters == {"b": 0.1, **expected.parameters}
    if expected.uncertainty is not None and found.uncertainty is not None:
        assert found.uncertainty.std_errors == expected.uncertainty.std_errors
        assert found.uncertainty.left_out == {"b": "frozen"}


def test_a_function_and_rows_of_a_run_leave_frozen_parameters_out(load: Load) -> None:
    """The vector has the free ones, in the order of the file; a row reads all and sets the free ones."""
    loaded = load(NUMBERS)
    assert loaded.function().names == ["a", "b"]
    with loaded.iterate(3) as rows:
        row = next(rows)
        assert row.parameters == {"a": 1.3, "held": 0.7, "b": -0.4}
        row.set(a=1.0)
        with pytest.raises(graphrun.UsageError, match="'held' is no parameter"):
            row.set(held=1.0)


def test_an_instance_freezes_all_that_it_has(load: Load) -> None:
    """So do its factors multiply those inside, also those of an instance within it; a setting of that name is one."""
    text = """
subgraphs:
  inner: {inputs: [x], parameters: {w: {value: 2, step_size: 0.5}}, nodes: {y: x * w}, output: y}
  layer: {inputs: [x], parameters: {v: 3}, nodes: {y: "inner(x * v, step_size=3)"}, output: y}
  own: {inputs: [x], settings: {frozen: 4}, parameters: {u: $frozen}, nodes: {y: x * u}, output: y}
constants: {x: 1}
nodes:
  first: {type: layer, inputs: [x], frozen: true}
  second: layer(first, step_size=0.1)
  f: own(second, frozen=5)
minimize: f
"""
    parameters = load(text).document.parameters
    assert {name: (entry.training.frozen, entry.training.step_size) for name, entry in parameters.items()} == {
        "first.v": (True, 1),
        "first.y.w": (True, 1.5),
        "second.v": (False, 0.1),
        "second.y.w": (False, pytest.approx(0.15)),
        "f.u": (False, 1),
    }
    assert parameters["f.u"].value == 5


@pytest.mark.parametrize(
    ("parameter", "rest", "message"),
    [
        ("{value: 1, frozen: 1}", "", r"graph.yaml:2:25: 'frozen' is true or false, not the number 1"),
        ("{value: 1, step_size: -1}", "", r"graph.yaml:2:28: 'step_size' of a parameter is what .*, 0 or more, not"),
        ("{value: 1, weight_decay: {type: cosine}}", "", "not a mapping\n(.*\n)*.*the schedule stands under 'update'"),
        ("{value: 1, trainable: false}", "", "unknown key 'trainable'\n(.*\n)*.*write frozen: true"),
        ("{value: 1, step_size: 2}", "update: {type: lbfgs}", "graph.yaml:2:28: .* the solver lbfgs has none"),
        ("{value: 1, frozen: true}", "minimize: a", "graph.yaml:.*'a' is frozen: no step moves it"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(load: Load, parameter: str, rest: str, message: str) -> None:
    """Each mistake with its line and column, and a way out."""
    goal = "" if rest.startswith("minimize") else "minimize: f\n"
    with pytest.raises(graphrun.GraphrunError, match=message):
        load(f"parameters:\n  a: {parameter}\nnodes: {{f: a ** 2}}\n{goal}{rest}\n").run()


def test_the_lesson_runs_with_a_frozen_parameter_and_its_check_says_what_it_expects() -> None:
    """A gradient that the file expects is the check's to miss, not the run's."""
    graph = graphrun.load(GRAPHS / "nested.yaml", overrides="parameters.a.frozen=true")
    assert graph.run(1).parameters == {"a": 5, "b": -3.02, "c": -1.98}
    assert any(text.endswith("there is no gradient of a: it is frozen") for text in graph.check().failures)


# --- a checkpoint's parameters ---------------------------------------------------------------------------------------

OTHER = """
parameters:
  extra: 2
  V: {shape: [3, 4], init: normal, frozen: true}
  W: {shape: [4, 2], init: zeros}
constants: {x: [1, 2, 3]}
nodes: {f: "sum((x @ V @ W) ** 2) + extra ** 2"}
maximize: f
update: {type: momentum, step_size: 1e-4}
dtype: float32
"""


@pytest.fixture
def kept(load: Load) -> dict[str, Any]:
    """The parameters of a run of another graph, of which c.safetensors is the checkpoint."""
    return dict(load({**MATRICES, "seed": 7}).run(20, save="c.safetensors").parameters)


@pytest.mark.parametrize("way", ["option", "key", "set", "argument"])
def test_a_checkpoint_starts_another_graph(load: Load, kept: dict[str, Any], way: str) -> None:
    """Its parameters are taken by name, in the graph's own dtype; its rule's memory and its steps are not."""
    load(OTHER + ("start: c.safetensors\n" if way == "key" else ""))
    given: dict[str, Any] = {"set": {"overrides": "start=c.safetensors"}, "argument": {"start": "c.safetensors"}}
    if way == "option":
        words = ["run", "graph.yaml", "--steps", "0", "--format", "json", "--start", "c.safetensors", "--all"]
        ran = CliRunner().invoke(commands, words)
        told = "start c.safetensors: begins with V, W; begins as the file says: extra"
        assert ran.exit_code == 0
        assert ran.stderr.splitlines()[0] == told
        return
    graph = graphrun.load("graph.yaml", **given.get(way, {}))
    assert graph.notes() == ["start c.safetensors: begins with V, W; begins as the file says: extra"]
    result = graph.run(0)
    assert result.steps == 0
    assert result.parameters["extra"] == 2
    for name, value in kept.items():
        assert np.array_equal(result.parameters[name], value.astype(np.float32)), name
    assert graph.function().start.tolist() == [2, *result.parameters["W"].ravel()]
    again = pickle.loads(pickle.dumps(graph)).run(3)  # noqa: S301
    assert np.array_equal(again.parameters["W"], graph.run(3).parameters["W"])


def test_what_was_started_resumes_without_the_first_checkpoint(load: Load, kept: dict[str, Any]) -> None:
    """Frozen parameters, too, are in the checkpoint of the run that they were taken for."""
    load(OTHER)
    graph = graphrun.load("graph.yaml", start="c.safetensors")
    whole = graph.run(8)
    graph.run(3, save="d.safetensors")
    Path("c.safetensors").unlink()
    resumed = graphrun.load("graph.yaml").run(8, resume="d.safetensors")
    assert np.array_equal(resumed.parameters["V"], kept["V"].astype(np.float32))
    for name, value in whole.parameters.items():
        assert np.array_equal(resumed.parameters[name], value), name


def _changed(arrays: dict[str, Any]) -> None:
    """Write c.safetensors anew with other arrays; a checkpoint without a checksum is of an early version."""
    from safetensors import safe_open

    with safe_open("c.safetensors", "numpy") as file:
        record = re.sub(r', "checksum": "\w+"', "", file.metadata()["graphrun"])
    save_file({**load_file("c.safetensors"), **arrays}, "c.safetensors", {"graphrun": record})


@pytest.mark.parametrize(
    ("text", "arrays", "message"),
    [
        ("W: [1, 2]", {}, r"graph.yaml:1:14: 'W' has the shape \[2\], and \[4, 2\] in the .*\n(.*\n)*.*another name"),
        ("W: {shape: [4, 3], init: zeros}", {}, r"'W' has the shape \[4, 3\], and \[4, 2\]"),
        (
            "U: 1",
            {},
            r"graph.yaml:4:8: no parameter of graph.yaml is one of .*\n(.*\n)*  it has: V, W",
        ),
        ("W: {shape: [4, 2], init: zeros, upper: -9}", {}, r"the start .* in the checkpoint .* is above its upper"),
        ("W: 1", {"parameters/W": np.array(np.nan)}, "'W' holds something .* no finite number"),
        ("W: 1", {"parameters/W": np.array(3)}, "'W' holds something .* no finite number"),
    ],
)
def test_what_does_not_fit_is_told(
    load: Load, kept: dict[str, Any], text: str, arrays: dict[str, Any], message: str
) -> None:
    """A shape that differs, values beyond bounds or none at all: each with the parameter's place."""
    del kept
    if arrays:
        _changed(arrays)
    with pytest.raises(graphrun.GraphFileError, match=message):
        load(f"parameters: {{{text}}}\nnodes: {{f: 'sum({text[0]})'}}\nminimize: f\nstart: c.safetensors\n")


def test_a_shape_that_names_a_column_fits_when_the_data_say_so(load: Load) -> None:
    """Then the file's shape is known, and one that differs is told."""
    Path("rows.csv").write_text("a,b,c,kind\n1,2,3,x\n2,0,1,y\n", encoding="utf-8")
    text = """
data: {file: rows.csv, columns: {x: [a, b], kind: {column: kind, categories: auto}}}
parameters: {W: {shape: [x, kind], init: normal, frozen: true}, b: {shape: [kind], init: zeros}}
nodes: {loss: 'cross_entropy(x @ W + b, kind)'}
minimize: loss
"""
    first = load({"parameters": {"W": [[1.0, 2.0], [3.0, 4.0]]}, "nodes": {"f": "sum(W)"}, "minimize": "f"})
    first.run(0, save="c.safetensors")
    load(text)
    graph = graphrun.load("graph.yaml", start="c.safetensors")
    assert graph.run(2, save="d.safetensors").parameters["W"].tolist() == [[1, 2], [3, 4]]
    assert graphrun.load("graph.yaml").run(3, resume="d.safetensors").parameters["W"].tolist() == [[1, 2], [3, 4]]
    piece = next(graphrun.load("graph.yaml").predict("d.safetensors", ["loss.1"]))
    assert piece["loss.1"].tolist() == [[7, 10], [2, 4]]
    load(text.replace("a, b", "a, b, c"))
    with pytest.raises(graphrun.ShapeError, match=r"graph.yaml:3:25: 'W' has the shape \[3, 2\], and \[2, 2\] in"):
        graphrun.load("graph.yaml", start="c.safetensors").run(0)


def test_no_checkpoint_is_told(load: Load) -> None:
    """By the place of the key, or as what was asked for; a checkpoint of another graph names the way to start with."""
    text = "parameters: {a: 1}\nnodes: {f: a ** 2}\nminimize: f\n"
    with pytest.raises(graphrun.GraphFileError, match=r"graph.yaml:4:8: there is no checkpoint nix"):
        load(f"{text}start: nix\n")
    load(text).run(save="a.safetensors")
    with pytest.raises(graphrun.UsageError, match="is no checkpoint, or is cut short"):
        graphrun.load("graph.yaml", start="graph.yaml")
    with pytest.raises(graphrun.UsageError, match=r"of another graph(.*\n)*.*--start takes"):
        load(text.replace("a ** 2", "exp(a)")).run(resume="a.safetensors")
    words = ["run", "graph.yaml", "--start", "a.safetensors", "--resume", "a.safetensors"]
    assert "give one of them" in CliRunner().invoke(commands, words).stderr


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.nightly)])
def test_a_network_of_five_digits_starts_one_for_ten(tmp_path: Path, engine: str) -> None:
    """Its layers, frozen, are the same bits after 1,000 steps of adamw, and serve for the digits 5 to 9."""
    with (GRAPHS / "data" / "digits.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with (tmp_path / "digits.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(row for row in rows if int(row[-1]) < 5)])
    text = (GRAPHS / "digits.yaml").read_text(encoding="utf-8")
    five = tmp_path / "five.yaml"
    five.write_text(text.replace("logits", "five").replace("n_out=10", "n_out=5"), encoding="utf-8")
    saved = tmp_path / "five.safetensors"
    first = graphrun.load(five, data=tmp_path / "digits.csv").run(400, engine=engine, save=saved)
    second = "nodes.second=dense(relu(first), n_in=128, n_out=64, frozen=true)"
    graph = graphrun.load(GRAPHS / "digits.yaml", start=saved, overrides=["nodes.first.frozen=true", second])
    assert graph.notes()[0].endswith(
        "begins with first.W, first.b, second.W, second.b; "
        "begins as the file says: logits.W, logits.b; not in the file: five.W, five.b"
    )
    result = graph.run(1000, engine=engine)
    for name in ("first.W", "first.b", "second.W", "second.b"):
        assert np.array_equal(result.parameters[name], first.parameters[name]), name
    # Who reads all of 5 to 9 wrong comes to a half.
    assert result.holdout["accuracy"] > 0.85


def test_a_value_of_a_file_is_started_too(tmp_path: Path) -> None:
    """It has a shape of its own, as what stands in the graph file has."""
    np.savez(tmp_path / "w.npz", w=np.array([1.0, 2.0]))
    text = "parameters: {w: {file: w.npz, key: w}}\nnodes: {f: sum(w ** 2)}\nminimize: f\nupdate: {step_size: 0.1}"
    (tmp_path / "graph.yaml").write_text(text, encoding="utf-8")
    ended = graphrun.load(tmp_path / "graph.yaml").run(1, save=tmp_path / "end.safetensors")
    started = graphrun.load(tmp_path / "graph.yaml", start=tmp_path / "end.safetensors").run(0)
    assert started.parameters["w"].tolist() == ended.parameters["w"].tolist() == [0.8, 1.6]
