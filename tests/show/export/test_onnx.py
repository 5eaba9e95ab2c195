"""Models that are exported: the checker takes them, and onnxruntime gives the numbers of the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from depth import examples, one_of
from hypothesis import HealthCheck, assume, given, settings
from lesson import GRAPHS, each_of
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from random_graphs import SHAPES, graphs, loaded
from type_graphs import TYPES, inputs_for

import graphrun
from graphrun.base.errors import UsageError
from graphrun.check.trials import trials
from graphrun.cli.entry import run_command
from graphrun.engines.numpy import node_program
from graphrun.plan.build import build_plan
from graphrun.run.api import Graph
from graphrun.show.export import LANGUAGES
from graphrun.solvers import SOLVERS

FILES = [file for file in sorted(GRAPHS.glob("*.yaml")) if file.stem != "layers"]  # a library of subgraphs


class Erf(OpRun):
    """The error function with all its digits: that of ONNX's reference has seven."""

    def _run(self, x: Any) -> Any:
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


def exported(graph: Graph, **options: Any) -> Any:
    """The model of a graph, after the checker's and shape inference's look at it."""
    data = LANGUAGES["onnx"].export(graph, **options)
    assert isinstance(data, bytes)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    return model


def session_of(model: Any) -> Any:
    """What runs a model."""
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def outputs_of(model: Any, given: Any, *, reference: bool = False) -> dict[str, Any]:
    """What onnxruntime makes of inputs, by name; where it has no kernels of float64, what ONNX's reference does."""
    if reference:
        names = [value.name for value in model.graph.output]
        with np.errstate(all="ignore"):
            return dict(zip(names, ReferenceEvaluator(model, new_ops=[Erf]).run(names, given), strict=True))
    session = session_of(model)
    wanted = {value.name for value in session.get_inputs()}
    found = session.run(None, {name: value for name, value in given.items() if name in wanted})
    return dict(zip([value.name for value in session.get_outputs()], found, strict=True))


def columns_of(graph: Graph, dtype: Any, step: int = 0) -> dict[str, Any]:
    """The rows of a step, by name."""
    feed, plan = graph.source.open(0), graph.plan(np.dtype(dtype).name)
    if feed is None:
        return {}
    given = zip(plan.data, feed.batch(step), strict=True)
    return {
        str(plan.names[slot]): x if plan.leaves[slot].dtype.kind in "iu" else np.asarray(x, dtype) for slot, x in given
    }


def close(found: Any, expected: Any, rtol: float, least: float = 1e-300) -> None:
    """Equal but for rounding, in units of the largest element."""
    largest = np.abs(expected).max(initial=least, where=np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * largest)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.campaign)])
@pytest.mark.parametrize("file", each_of(FILES))
def test_the_forward_pass_of_every_example(file: Path, dtype: str) -> None:
    """Every node that no step tells from an evaluation."""
    graph = graphrun.load(file)
    names = list(graph.document.nodes)
    notes: list[str] = []
    model = exported(graph, output=names, dtype=dtype, tell=notes.append)
    found = outputs_of(model, columns_of(graph, dtype), reference=bool(notes))
    expected = graph.run(0, engine="numpy", dtype=dtype).values
    assert list(found) == names
    for name in names:
        close(found[name], expected[name], 1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "convolution", "softmax", "network", "logistic"])
def test_any_number_of_rows(name: str) -> None:
    """One row, and as many as are not in the file."""
    graph = graphrun.load(GRAPHS / f"{name}.yaml")
    notes: list[str] = []
    model = exported(graph, tell=notes.append)
    assert not any("fixed" in note for note in notes)
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input] == ["rows"] * len(
        model.graph.input
    )


def test_sizes_that_are_multiples_of_the_rows(load: Callable[..., Graph], tmp_path: Path) -> None:
    """Reshaped, repeated, reversed, joined; means by the number of rows, which the trace has as numbers."""
    np.savez(tmp_path / "rows.npz", x=np.arange(24.0).reshape(6, 4))
    graph = load(
        """
data: {file: rows.npz, columns: {x: x}}
nodes:
  pairs: {type: reshape, inputs: [x], shape: [-1, 2]}
  joined: {type: concat, inputs: [pairs, pairs], axis: 0}
  back: {type: flip, inputs: [x], axis: 0}
  centred: x - mean(x, axis=0)
  spread: {type: var, inputs: [x]}
  first: {type: slice, inputs: [x], stop: 2, axis: 0}
  loss: mean_squared_error(back, x)
"""
    )
    assert isinstance(graph, Graph)
    notes: list[str] = []
    model = exported(graph, output=list(graph.document.nodes), tell=notes.append)
    assert not notes
    for rows in (2, 3, 9):
        x = np.random.default_rng(rows).standard_normal((rows, 4))
        found = outputs_of(model, {"x": x})
        np.testing.assert_array_equal(found["joined"], np.concatenate([x.reshape(-1, 2)] * 2))
        np.testing.assert_array_equal(found["back"], x[::-1])
        np.testing.assert_allclose(found["centred"], x - x.mean(0), atol=1e-15)
        np.testing.assert_allclose(found["spread"], x.var(), rtol=1e-14)
        np.testing.assert_array_equal(found["first"], x[:2])
        np.testing.assert_allclose(found["loss"], ((x[::-1] - x) ** 2).mean(), rtol=1e-14)


def test_copies_over_the_rows_are_as_many_as_there_are(load: Callable[..., Graph], tmp_path: Path) -> None:
    """A sequence that is a column has the file's rows; the copies are calls of functions."""
    np.savez(tmp_path / "rows.npz", x=np.arange(6.0))
    graph = load("""\
data: {file: rows.npz, columns: {x: x}}
subgraphs:
  add_up: {inputs: [total, x], nodes: {next: total * 0.5 + x}, output: next}
nodes:
  total: {type: add_up, inputs: [0, x], repeat: 6, over: [x], collect: [next]}
  all: total.next * 1
""")
    notes: list[str] = []
    model = exported(graph, output=["all"], tell=notes.append)
    assert "the number of rows is fixed, at 6: " in notes[0]
    assert "x has" in notes[0]
    found = outputs_of(model, {"x": np.arange(6.0)})
    np.testing.assert_allclose(found["all"], graph.run(0).values["all"], rtol=1e-14)


def test_what_is_tied_to_the_number_of_rows_is_said(load: Callable[..., Graph], tmp_path: Path) -> None:
    """The model has the file's rows, and a note names the node."""
    np.savez(tmp_path / "rows.npz", x=np.arange(24.0).reshape(6, 4))
    graph = load("data: {file: rows.npz, columns: {x: x}}\nnodes: {last: {type: slice, inputs: [x], start: -1}}\n")
    notes: list[str] = []
    model = exported(graph, tell=notes.append)
    assert notes == ["the number of rows is fixed, at 6: node 'last' takes elements by their places among the rows"]
    x = np.random.default_rng(0).standard_normal((6, 4))
    np.testing.assert_array_equal(outputs_of(model, {"x": x})["last"], x[-1:])


def is_trained(file: Path) -> bool:
    """Whether an example has an update rule, something to move, and no gelu, which has no kernel of float64."""
    # As plain data: it is asked of each file whenever tests are collected.
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    is_rule = data.get("update", {}).get("type") not in SOLVERS and not data.keys().isdisjoint({"minimize", "maximize"})
    # The step size of one falls by what the run looks at.
    return is_rule and file.stem not in {"activations", "early"}


@pytest.mark.campaign
@pytest.mark.parametrize("file", each_of(f for f in FILES if is_trained(f)))
def test_training_steps_of_every_example(file: Path) -> None:
    """Outputs fed back as inputs of the same name give the run's parameters."""
    graph = graphrun.load(file)
    steps = 100 if file.stem != "convolution" else 10
    model = exported(graph, training=True)
    session = session_of(model)
    names = [value.name for value in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    state: dict[str, Any] = {}
    for step in range(steps):
        rows = {name: x for name, x in columns_of(graph, "float64", step).items() if name in wanted}
        found = dict(zip(names, session.run(None, state | rows), strict=True))
        if step == 0:
            start = graph.run(0, engine="numpy")
            for name in start.parameters.keys() & start.gradients.keys():
                close(found[f"{name}/gradient"], start.gradients[name], 1e-11)
        state = {name.removesuffix("/next"): value for name, value in found.items() if name.endswith("/next")}
    assert state.pop("step") == steps
    after = graph.run(steps, engine="numpy")
    for name in after.parameters.keys() & after.gradients.keys():
        close(state[name], after.parameters[name], 1e-6)


REFUSED = {"cholesky": "cholesky", "inv": "inv", "solve": "solve", "solve_triangular": "solve"}
"""The types that ONNX has no operators for, and what is missing."""


@pytest.mark.campaign
@pytest.mark.parametrize("name", TYPES)
def test_every_type_in_both_dtypes(tmp_path: Path, name: str) -> None:
    """With all settings and shapes that the checker tries: by onnxruntime, else by ONNX's own in float64."""
    declared = TYPES[name]
    for subject, example in trials(declared):
        inputs = inputs_for(subject, example)
        given = inputs[: len(inputs) - len(declared.engine_inputs)]
        settings = {k: v for k, v in subject.settings.items() if k != declared.takes_training}
        names = [f"x{k}" for k in range(len(given))]
        np.savez(tmp_path / "x.npz", **dict(zip(names, given, strict=True)))
        graph = graph_of(tmp_path, names, [], name, settings)
        if name in REFUSED:
            with pytest.raises(UsageError, match=f"node 'y': ONNX has no operator for {REFUSED[name]}"):
                exported(graph)
            continue
        for dtype, rtol in (("float64", 1e-11), ("float32", 2e-4)):
            notes: list[str] = []
            model = exported(graph, dtype=dtype, tell=notes.append)
            structure = graph.structure.evaluation()
            plan = build_plan(structure, np.dtype(dtype))
            program = node_program(plan)
            program.evaluate()
            expected = np.asarray(program.values([plan.slots["y"]])[0])
            assert all("onnxruntime has no" in note for note in notes)
            close(outputs_of(model, {}, reference=bool(notes))["y"], expected, rtol)


@settings(deadline=None, max_examples=examples(50), suppress_health_check=list(HealthCheck))
@given(data=graphs(SHAPES))
def test_random_graphs(data: dict[str, Any], tmp_path: Path) -> None:
    """Deep graphs over all elementwise types, of numbers and arrays that broadcast: values, and a model that trains."""
    graph, start = loaded(data, tmp_path)
    assume(all(np.all(np.abs(value) < 1e100) for value in start.values.values()))
    notes: list[str] = []
    model = exported(graph, output=list(data["nodes"]), tell=notes.append)
    found = outputs_of(model, {}, reference=bool(notes))
    for name, value in start.values.items():
        close(found[name], value, 1e-11, least=1e-6)
    notes.clear()
    model = exported(graph, training=True, tell=notes.append)
    leaves = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    found = outputs_of(model, leaves, reference=bool(notes))
    for name in data["parameters"]:
        close(found[f"{name}/gradient"], start.gradients[name], 1e-9, least=1e-6)


def plain(value: Any) -> Any:
    """Settings as a graph file has them."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple) else value


@pytest.mark.campaign
@pytest.mark.parametrize(
    "name", one_of(3, (name for name, declared in TYPES.items() if declared.derivative is not None))
)
def test_gradients_of_every_type(tmp_path: Path, name: str) -> None:
    """Of a weighted sum, in a model that trains, and the parameters after its step."""
    declared = TYPES[name]
    for subject, example in trials(declared):
        inputs = inputs_for(subject, example)
        given = inputs[: len(inputs) - len(declared.engine_inputs)]
        settings = {k: v for k, v in subject.settings.items() if k != declared.takes_training}
        names = [f"x{k}" for k in range(len(given))]
        fixed = {f"x{k}" for k in declared.index_inputs}
        np.savez(tmp_path / "x.npz", **dict(zip(names, given, strict=True)))
        shape = np.shape(graph_of(tmp_path, names, [], name, settings).run(0, engine="numpy").values["y"])
        np.savez(tmp_path / "g.npz", g=np.random.default_rng(1).standard_normal(shape))
        graph = graph_of(tmp_path, names, [x for x in names if x not in fixed], name, settings)
        if name in {*REFUSED, "dropout", "normal_noise", "det"}:
            with pytest.raises(UsageError, match=r"ONNX has no operator for|needs random numbers"):
                exported(graph, training=True)
            continue
        if not graph.document.parameters:
            continue
        notes: list[str] = []
        model = exported(graph, training=True, tell=notes.append)
        start = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
        found = outputs_of(model, start, reference=bool(notes))
        expected = graph.run(0, engine="numpy")
        for x in graph.document.parameters:
            close(found[f"{x}/gradient"], expected.gradients[x], 1e-9, least=1e-6)
            close(found[f"{x}/next"], expected.parameters[x] - 0.01 * expected.gradients[x], 1e-9, least=1e-6)


def graph_of(folder: Path, names: list[str], moved: list[str], kind: str, settings: Any) -> Graph:
    """A node of some type, of leaves from a file; where some of them are moved, with a weighted sum to minimize."""
    leaves = {name: {"file": "x.npz", "key": name} for name in names}
    text: dict[str, Any] = {
        "constants": {name: leaf for name, leaf in leaves.items() if name not in moved},
        "nodes": {"y": {"type": kind, "inputs": names, **plain(settings)}},
    }
    if moved:
        text["parameters"] = {name: leaves[name] for name in moved}
        text["constants"]["g"] = {"file": "g.npz", "key": "g"}
        text["nodes"]["loss"] = "sum(y * g)"
        text["minimize"] = "loss"
    (folder / "g.yaml").write_text(yaml.safe_dump(text))
    return graphrun.load(folder / "g.yaml")


# --- what a model holds, and the command -----------------------------------------------------------------------------


def test_instances_of_a_subgraph_are_calls_of_a_function(load: Callable[..., Graph]) -> None:
    """Equal ones, copies among them, of one; another size makes another; the inner names are kept."""
    graph = load(
        """
subgraphs:
  layer:
    inputs: [x]
    settings: {n: 3}
    parameters: {W: {shape: [$n, $n], init: {type: normal}}, b: {shape: [$n], init: {type: ones}}}
    nodes: {h: x @ W, y: tanh(h + b)}
    output: y
constants: {x: [[1, 2, 3]]}
nodes:
  first: {type: layer, inputs: [x]}
  more: {type: layer, inputs: [first], repeat: 3}
  inside: exp(first.h)
  wide: {type: reshape, inputs: [more], shape: [1, 3]}
"""
    )
    model = exported(graph, output=["wide", "inside", "more.2"])
    assert [function.name for function in model.functions] == ["layer", "layer_2"]
    assert [list(function.input) for function in model.functions] == [["input", "W", "b"]] * 2
    calls = [node for node in model.graph.node if node.domain == "graphrun"]
    assert [(node.op_type, node.name, list(node.input)) for node in calls] == [
        ("layer", "first", ["x", "first.W", "first.b"]),
        ("layer_2", "more.1", ["first", "more.1.W", "more.1.b"]),
        ("layer_2", "more.2", ["more.1", "more.2.W", "more.2.b"]),
        ("layer_2", "more", ["more.2", "more.3.W", "more.3.b"]),
    ]
    found, expected = outputs_of(model, {}), graph.run(0, engine="numpy").values
    for name in ("wide", "inside", "more.2"):
        close(found[name], expected[name], 1e-12)


def test_an_instance_that_feeds_itself_from_outside_stays_written_out(load: Callable[..., Graph]) -> None:
    """A call would read what is made of its own output."""
    graph = load(
        """
subgraphs: {pair: {inputs: [x, y], nodes: {a: exp(x), b: a + y}, output: b}}
constants: {x: 0.5}
nodes: {back: sin(p.a), p: {type: pair, inputs: [x, back]}}
"""
    )
    model = exported(graph)
    assert not model.functions
    close(outputs_of(model, {})["p"], np.exp(0.5) + np.sin(np.exp(0.5)), 1e-14)


def test_the_graph_file_is_in_the_metadata(load: Callable[..., Graph], tmp_path: Path) -> None:
    """As it was written; with what was set put into it."""
    text = "# why\nparameters: {x: 1.5}\nnodes: {y: x ** 2}\nminimize: y\n"
    model = exported(load(text))
    assert {entry.key: entry.value for entry in model.metadata_props} == {"graphrun": text}
    (tmp_path / "g.yaml").write_text(text)
    changed = exported(graphrun.load(tmp_path / "g.yaml", overrides=["parameters.x=3"]))
    assert "x: 3" in changed.metadata_props[0].value
    assert outputs_of(changed, {})["y"] == 9


def test_a_checkpoint_and_the_statistics_of_its_data(tmp_path: Path) -> None:
    """The model gives what `predict` gives; it takes standardized columns as they are after that, and says so."""
    x = np.random.default_rng(0).normal(5, 3, (30, 4))
    np.savez(tmp_path / "rows.npz", x=x, y=x.sum(1))
    (tmp_path / "g.yaml").write_text(
        """
data: {file: rows.npz, columns: {x: {column: x, standardize: true}, y: y}, batch_size: 8, shuffle: true}
parameters: {W: {shape: [4], init: {type: normal}}}
nodes: {mean_of_y: x @ W, loss: 'mean_squared_error(mean_of_y, y)'}
minimize: loss
"""
    )
    graph = graphrun.load(tmp_path / "g.yaml")
    saved = tmp_path / "c.safetensors"
    graph.run(20, save=saved)
    notes: list[str] = []
    model = exported(graph, output=["mean_of_y"], resume=str(saved), tell=notes.append)
    assert notes == ["the model takes standardized columns as the graph has them: standardized"]
    expected = np.concatenate([piece["mean_of_y"] for piece in graph.predict(saved, ["mean_of_y"])])
    found = outputs_of(model, {"x": (x - x.mean(0)) / x.std(0)})["mean_of_y"]
    close(found, expected, 1e-9)
    trained = exported(graph, resume=str(saved), training=True)
    assert {value.name: numpy_helper.to_array(value) for value in trained.graph.initializer}["step"] == 20


def test_running_states_of_batches(tmp_path: Path) -> None:
    """They are outputs of a step, and of the checkpoint in a model for inference."""
    x = np.random.default_rng(0).normal(5, 3, (12, 4))
    np.savez(tmp_path / "rows.npz", x=x)
    (tmp_path / "g.yaml").write_text(
        """
data: {file: rows.npz, columns: {x: x}, batch_size: 4}
parameters: {scale: [1, 1, 1, 1], shift: [0, 0, 0, 0]}
nodes: {normed: 'batch_norm(x, scale, shift)', loss: sum(normed ** 3)}
minimize: loss
"""
    )
    graph = graphrun.load(tmp_path / "g.yaml")
    saved = tmp_path / "c.safetensors"
    graph.run(5, engine="numpy", save=saved)
    model = exported(graph, output=["normed"], resume=str(saved))
    expected = np.concatenate([piece["normed"] for piece in graph.predict(saved, ["normed"])])
    close(outputs_of(model, {"x": x})["normed"], expected, 1e-10)
    assert "normed.running_mean/next" in {value.name for value in exported(graph, training=True).graph.output}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--to python --training", "--training is not for --to python"),
        ("--to python --output f", "--output is not for --to python"),
        ("--to onnx --steps 3", "--steps is not for --to onnx"),
        ("--to onnx --output g", "there is no node 'g'"),
        ("--to onnx --training --output f", "--output is for a model without --training"),
        ("--to onnx --resume none.safetensors", "there is no checkpoint none.safetensors"),
    ],
)
def test_words_that_do_not_go_together(capfd: Any, words: str, told: str) -> None:
    """The message names the option."""
    assert run_command(["export", str(GRAPHS / "nested.yaml"), *words.split()]) == 2
    assert told in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("parameters: {x: [1, 2]}\nnodes: {y: sum(dropout(x))}\nminimize: y\n", "dropout 'y.1' needs random numbers"),
        ("nodes: {y: 1 + 1}\n", "no objective"),
        ("parameters: {x: 1}\nnodes: {y: x ** 2}\nminimize: y\nupdate: {type: lbfgs}\n", "the solver lbfgs makes no"),
    ],
)
def test_what_a_model_that_trains_has_not(load: Callable[..., Graph], text: str, told: str) -> None:
    """It is refused by name."""
    with pytest.raises(UsageError, match=told):
        exported(load(text), training=True)


def test_the_commands(tmp_path: Path, capfd: Any) -> None:
    """Out and in again; the numbers are those of the graph, also as a program's output."""
    model, graph = tmp_path / "m.onnx", tmp_path / "again.yaml"
    assert run_command(["export", str(GRAPHS / "nested.yaml"), "--to", "onnx", "-o", str(model)]) == 0
    assert run_command(["import", str(model), "-o", str(graph)]) == 0
    assert run_command([str(graph), "--steps", "0", "--format", "json"]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["values"]["f"] == -4
    assert printed["parameters"] == {"a": 5, "b": -3, "c": -2}
    (tmp_path / "bad.onnx").write_bytes(b"graphrun: 1")
    assert run_command(["import", str(tmp_path / "bad.onnx"), "-o", str(graph)]) == 2
    assert "is no model of ONNX" in capfd.readouterr().err
