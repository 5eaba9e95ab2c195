"""ONNX models as graph files: the numbers of onnxruntime, the names, the weights, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

import graphrun
from graphrun.base.errors import GraphrunError, UsageError
from graphrun.show.export import LANGUAGES
from graphrun.show.onnx.importing import import_model
from graphrun.show.onnx.node import clean_name

sys.path.append(str(Path(__file__).parents[2] / "bench"))


def model_of(
    nodes: list[Any], inputs: dict[str, Any], outputs: list[str], weights: dict[str, Any] | None = None, opset: int = 21
) -> Any:
    """A model of some nodes; inputs are shapes."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def imported(folder: Path, model: Any, given: dict[str, Any] | None = None) -> Any:
    """The graph of a model, with inputs or without."""
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    if given is not None:
        np.savez(folder / "inputs.npz", **given)
    import_model(folder / "model.onnx", folder / "graph.yaml", None if given is None else folder / "inputs.npz")
    return graphrun.load(folder / "graph.yaml")


def onnxruntime_of(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What onnxruntime gives, by the names of the outputs."""
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    return dict(zip(names, session.run(None, {k: v for k, v in given.items() if k in wanted}), strict=True))


def dense(folder: Path) -> tuple[Any, dict[str, Any]]:
    """A small network as a model, and its input."""
    random = np.random.default_rng(0)
    weights = {
        "layer.0.weight": random.standard_normal((4, 8)).astype(np.float32),
        "layer.0.bias": random.standard_normal(8).astype(np.float32),
        "running/mean": random.standard_normal(8).astype(np.float32),
        "running/var": np.ones(8, np.float32) * 2,
        "ones": np.ones(8, np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["in:0", "layer.0.weight", "layer.0.bias"], ["/h"]),
        helper.make_node("BatchNormalization", ["/h", "ones", "ones", "running/mean", "running/var"], ["if"]),
        helper.make_node("Relu", ["if"], ["relu"]),
        helper.make_node("Shape", ["in:0"], ["rows"], start=0, end=1),
        helper.make_node("Constant", [], ["rest"], value_ints=[2, -1]),
        helper.make_node("Concat", ["rows", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["relu", "shape"], ["pairs"]),
        helper.make_node("ReduceSum", ["pairs", "two"], ["sum"], keepdims=0),
    ]
    model = model_of(nodes, {"in:0": ("rows", 4)}, ["sum"], weights | {"two": np.array([2])})
    return model, {"in:0": random.standard_normal((3, 4)).astype(np.float32)}


def test_a_network(tmp_path: Path) -> None:
    """Names are cleaned, weights are parameters and running statistics constants, what shapes are made of is folded."""
    model, given = dense(tmp_path)
    graph = imported(tmp_path, model, given)
    assert list(graph.document.parameters) == ["layer_0_weight", "layer_0_bias", "ones"]
    assert list(graph.document.constants) == ["in_0", "running_mean", "running_var"]
    assert load_file(tmp_path / "graph.safetensors").keys() == {"layer_0_weight"}
    assert yaml.safe_load((tmp_path / "graph.yaml").read_text())["constants"]["in_0"] == {
        "file": "inputs.npz",
        "key": "in:0",
    }
    np.testing.assert_allclose(graph.run(0).values["sum"], onnxruntime_of(model, given)["sum"], rtol=1e-5)


def test_without_inputs_they_are_zeros(tmp_path: Path) -> None:
    """Of the declared shapes; axes of any size have one element."""
    model, _ = dense(tmp_path)
    graph = imported(tmp_path, model)
    expected = onnxruntime_of(model, {"in:0": np.zeros((1, 4), np.float32)})["sum"]
    np.testing.assert_allclose(graph.run(0).values["sum"], expected, rtol=1e-5)


def test_names_that_are_taken_or_are_none(tmp_path: Path) -> None:
    """Outputs keep theirs; what else would have it gets another."""
    nodes = [
        helper.make_node("Exp", ["x"], ["a b"]),
        helper.make_node("Neg", ["a b"], ["a_b"]),
        helper.make_node("Abs", ["a_b"], ["step"]),
        helper.make_node("Add", ["step", "x"], ["for"]),
        helper.make_node("Mul", ["for", "two"], ["9"]),
    ]
    model = model_of(nodes, {"x": (2,)}, ["a_b", "9", "x"], {"two": np.float32(2)})
    x = np.array([0.5, -1.0], np.float32)
    values = imported(tmp_path, model, {"x": x}).run(0).values
    assert list(values) == ["a_b_2", "a_b", "step_2", "v_for", "v_9", "x_output"]
    np.testing.assert_allclose(values["v_9"], (np.exp(x) + x) * 2, rtol=1e-6)


@pytest.mark.campaign(seconds=8)
@pytest.mark.parametrize("every", [30, pytest.param(1, marks=pytest.mark.nightly)])
def test_the_backend_tests_of_nodes(every: int) -> None:
    """Ninety of a hundred pass, no number is wrong, and nothing but a message comes of the rest.

    All of them take a minute: over a thousand models are read, loaded and run.
    """
    from onnx_nodes import outcomes

    found = [outcome for outcome in outcomes(every=every) if outcome.kind not in {"other", "types"}]
    assert [outcome for outcome in found if outcome.kind in {"wrong", "crash"}] == []
    passed = sum(outcome.kind == "pass" for outcome in found)
    assert len(found) > 1000 / every
    assert passed / len(found) >= 0.9
    assert all(outcome.told for outcome in found if outcome.kind == "refused")


def residual(blocks: int, size: int = 6) -> Any:
    """A model of equal blocks, each of which adds to what the one before it gives."""
    random, nodes, weights, before = np.random.default_rng(0), [], {}, "x"
    for k in range(blocks):
        weights[f"layer.{k}.weight"] = random.standard_normal((size, size)).astype(np.float32)
        weights[f"layer.{k}.bias"] = random.standard_normal(size).astype(np.float32)
        nodes += [
            helper.make_node("MatMul", [before, f"layer.{k}.weight"], [f"/{k}/matmul"]),
            helper.make_node("Add", [f"/{k}/matmul", f"layer.{k}.bias"], [f"/{k}/add"]),
            helper.make_node("Tanh", [f"/{k}/add"], [f"/{k}/tanh"]),
            helper.make_node("Add", [f"/{k}/tanh", before], [f"h{k}"]),
        ]
        before = f"h{k}"
    return model_of(
        [*nodes, helper.make_node("ReduceSum", [before], ["y"], keepdims=0)], {"x": (3, size)}, ["y"], weights
    )


def test_repeated_blocks_are_a_subgraph(tmp_path: Path) -> None:
    """Written once, with the arrays of each by their names; the numbers are the same, and it can be trained."""
    model = residual(5)
    given = {"x": np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)}
    graph = imported(tmp_path, model, given)
    written = yaml.safe_load((tmp_path / "graph.yaml").read_text())
    assert list(written["subgraphs"]) == ["block"]
    assert list(written["nodes"]) == ["h0", "h1", "h2", "h3", "h4", "y"]
    assert written["nodes"]["h1"] == 'block(h0, weight_key="layer_1_weight", bias_key="layer_1_bias")'
    assert list(graph.document.parameters)[:2] == ["h0.weight", "h0.bias"]
    close = pytest.approx(onnxruntime_of(model, given)["y"], rel=1e-5)
    assert graph.run(0).values["y"] == close
    # Out as calls of one function, and in again.
    (tmp_path / "again").mkdir()
    data = LANGUAGES["onnx"].export(graph)
    assert isinstance(data, bytes)
    assert [function.name for function in onnx.load_from_string(data).functions] == ["block"]
    again = imported(tmp_path / "again", onnx.load_from_string(data))
    assert again.run(0).values["y"] == close


def test_blocks_that_are_looked_into_stay_written_out(tmp_path: Path) -> None:
    """An inner value is an output of the model; or the blocks share a weight."""
    model = residual(3)
    model.graph.output.append(helper.make_tensor_value_info("/1/tanh", TensorProto.FLOAT, None))
    assert not imported(tmp_path, model).document.subgraphs
    model = residual(3)
    for node in model.graph.node:
        if node.op_type == "MatMul":
            node.input[1] = "layer.0.weight"
    assert not imported(tmp_path, model).document.subgraphs


# --- models that others wrote ----------------------------------------------------------------------------------------


def of_scikit_learn(name: str) -> tuple[bytes, dict[str, Any], str, Any]:
    """A model that scikit-learn trained and skl2onnx wrote, its input, an output, and what that should become."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_diabetes, load_iris
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True) if name != "regressor" else load_diabetes(return_X_y=True)
    x = x.astype(np.float32)
    y = y / 100 if name == "regressor" else y
    made = {
        "classifier": lambda: MLPClassifier(hidden_layer_sizes=(6,), max_iter=30, random_state=0),
        "regressor": lambda: MLPRegressor(hidden_layer_sizes=(8, 4), max_iter=30, random_state=0),
        "pipeline": lambda: make_pipeline(StandardScaler(), PCA(3), LogisticRegression()),
        "ridge": Ridge,
    }[name]()
    made.fit(x, y)
    options = {"zipmap": False} if name in {"classifier", "pipeline"} else None
    model = to_onnx(made, x[:1], options=options, target_opset=21)
    output = model.graph.output[-1].name
    target = np.eye(3)[y.astype(int)] if options else y.reshape(-1, 1)
    return model.SerializeToString(), {model.graph.input[0].name: x}, output, target


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore")  # scikit-learn's, of fits that are cut short
@pytest.mark.parametrize("name", ["classifier", "regressor", "pipeline", "ridge"])
def test_models_of_scikit_learn_come_in_are_trained_and_go_out(tmp_path: Path, name: str) -> None:
    """The numbers of onnxruntime, a loss that falls in ten steps, and a model again that gives the run's numbers."""
    data, given, output, target = of_scikit_learn(name)
    (tmp_path / "model.onnx").write_bytes(data)
    np.savez(tmp_path / "inputs.npz", **given)
    import_model(tmp_path / "model.onnx", tmp_path / "graph.yaml", tmp_path / "inputs.npz")
    graph = graphrun.load(tmp_path / "graph.yaml")
    expected = onnxruntime_of(data, given)[output]
    np.testing.assert_allclose(graph.run(0).values[clean_name(output)], expected, rtol=1e-5, atol=1e-6)
    # What is taken further: a target, a loss, an update rule.
    text = yaml.safe_load((tmp_path / "graph.yaml").read_text())
    np.savez(tmp_path / "target.npz", target=target)
    text["constants"]["target"] = {"file": "target.npz", "key": "target"}
    text["nodes"]["loss"] = f"mean_squared_error({clean_name(output)}, target)"
    text |= {"minimize": "loss", "update": {"type": "adam", "step_size": 0.001}}
    (tmp_path / "tuned.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    tuned = graphrun.load(tmp_path / "tuned.yaml")
    result = tuned.run(10, engine="numpy", every=1, save=tmp_path / "tuned.safetensors")
    assert result.history["loss"][-1] < result.history["loss"][0]
    again = LANGUAGES["onnx"].export(tuned, resume=str(tmp_path / "tuned.safetensors"), output=[clean_name(output)])
    assert isinstance(again, bytes)
    onnx.checker.check_model(onnx.load_from_string(again), full_check=True)
    found = onnxruntime_of(again, given)[clean_name(output)]
    np.testing.assert_allclose(found, result.values[clean_name(output)], rtol=1e-5, atol=1e-6)


PACKAGED = [
    *[
        "pytorch-converted/test_Conv2d_padding",
        "pytorch-converted/test_BatchNorm2d_eval",
        "simple/test_expand_shape_model1",
    ],
    *[
        "pytorch-converted/test_ConvTranspose2d",
        "pytorch-operator/test_operator_addmm",
        "pytorch-converted/test_Embedding",
    ],
    *["pytorch-operator/test_operator_convtranspose", "pytorch-converted/test_MaxPool1d_stride"],
]


@pytest.mark.parametrize("name", PACKAGED)
def test_models_that_come_with_onnx(tmp_path: Path, name: str) -> None:
    """With the numbers that come with them."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / name
    model = onnx.load(folder / "model.onnx")
    kept = {tensor.name for tensor in model.graph.initializer}
    names = [item.name for item in model.graph.input if item.name not in kept]

    def tensor(file: str) -> Any:
        return numpy_helper.to_array(
            onnx.TensorProto.FromString((folder / "test_data_set_0" / file).read_bytes())  # type: ignore[attr-defined]
        )

    given = {name: tensor(f"input_{k}.pb") for k, name in enumerate(names)}
    values = imported(tmp_path, model, given).run(0, engine="numpy").values
    for k, item in enumerate(model.graph.output):
        np.testing.assert_allclose(values[clean_name(item.name)], tensor(f"output_{k}.pb"), rtol=1e-4, atol=1e-5)


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore")  # onnxruntime's, of what the old model has
@pytest.mark.parametrize("name", ["shufflenet", "zfnet512"])
def test_architectures_that_come_with_onnx(tmp_path: Path, name: str) -> None:
    """Hundreds of nodes, of old versions of the operators, with onnxruntime's numbers."""
    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    model = onnx.load(path)
    kept = {tensor.name for tensor in model.graph.initializer}
    shapes = {
        item.name: [size.dim_value for size in item.type.tensor_type.shape.dim]
        for item in model.graph.input
        if item.name not in kept
    }
    random = np.random.default_rng(0)
    given = {name: random.random(shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(tmp_path / "inputs.npz", **given)
    import_model(path, tmp_path / "graph.yaml", tmp_path / "inputs.npz")
    values = graphrun.load(tmp_path / "graph.yaml").run(0, engine="numpy").values
    for output, expected in onnxruntime_of(model, given).items():
        np.testing.assert_allclose(values[clean_name(output)], expected, rtol=1e-5, atol=1e-6)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_operators_without_a_node_type_are_listed_at_once(tmp_path: Path) -> None:
    """Each with how often it is there."""
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["a", "b"]),
        helper.make_node("NonZero", ["x"], ["c"]),
        helper.make_node("NonZero", ["a"], ["d"]),
    ]
    model = model_of(nodes, {"x": (3,)}, ["c"], {"k": np.array([1])})
    with pytest.raises(UsageError, match=r"no node types for these operators of the model: TopK, NonZero \(2 nodes\)"):
        imported(tmp_path, model)


def test_what_nodes_cannot_be_is_told_of_all(tmp_path: Path) -> None:
    """One line each; what reads them is not told of."""
    nodes = [
        helper.make_node("Mod", ["x", "x"], ["a"], fmod=1),
        helper.make_node("MaxPool", ["y"], ["b", "places"], kernel_shape=[2, 2]),
        helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT16),
        helper.make_node("Exp", ["c"], ["d"]),
    ]
    model = model_of(nodes, {"x": (3,), "y": (1, 1, 4, 4)}, ["a", "b", "places", "d"])
    with pytest.raises(UsageError) as caught:
        imported(tmp_path, model)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "MaxPool 'b': where the largest elements are" in lines[1]
    assert "Cast 'c': the numbers of a graph are not rounded" in lines[2]


def bomb(nodes: list[Any], **weights: Any) -> Callable[[], Any]:
    """A model whose nodes ask for a great deal."""
    return lambda: model_of(nodes, {"x": (1,)}, ["y"], {name: np.asarray(array) for name, array in weights.items()})


def outside() -> Any:
    """A model whose weights are said to stand in another folder."""
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], {"x": (2,)}, ["y"], {"w": np.ones(2, np.float32)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    return model


HUGE = np.array([1 << 20, 1 << 20, 1 << 10])
HOSTILE: dict[str, Callable[[], Any]] = {
    "a shape": bomb([helper.make_node("ConstantOfShape", ["s"], ["y"])], s=HUGE),
    "expanded": bomb([helper.make_node("Expand", ["x", "s"], ["y"])], s=HUGE),
    "tiled": bomb([helper.make_node("Tile", ["x", "s"], ["y"])], s=np.array([1 << 50])),
    "a range": bomb(
        [helper.make_node("Range", ["a", "b", "c"], ["y"])], a=np.float32(0), b=np.float32(1e18), c=np.float32(1)
    ),
    "padded": bomb([helper.make_node("Pad", ["x", "p"], ["y"])], p=np.array([0, 1 << 50])),
    "an input": lambda: model_of([helper.make_node("Exp", ["x"], ["y"])], {"x": (1 << 40,)}, ["y"]),
    "files elsewhere": outside,
    "a cycle": lambda: model_of(
        [helper.make_node("Add", ["x", "z"], ["y"]), helper.make_node("Exp", ["y"], ["z"])], {"x": (1,)}, ["y"]
    ),
    "attributes of another kind": bomb([helper.make_node("Softmax", ["x"], ["y"], axis="no")]),
    "an axis that is not there": bomb([helper.make_node("Softmax", ["x"], ["y"], axis=7)]),
    "a permutation that is none": bomb([helper.make_node("Transpose", ["x"], ["y"], perm=[3, 3])]),
    "no output": lambda: model_of([], {"x": (1,)}, ["y"]),
    "an input that nothing gives": lambda: model_of([helper.make_node("Exp", ["q"], ["y"])], {"x": (1,)}, ["y"]),
    "not finite": bomb([helper.make_node("Add", ["x", "w"], ["y"])], w=np.array([np.nan], np.float32)),
    "a name of many lines": bomb([helper.make_node("TopK\n\x1b[31m", ["x"], ["y"], domain="evil\n")]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_models(tmp_path: Path, name: str) -> None:
    """A message within the limits of memory, or a graph; never anything else."""
    (tmp_path / "folder").mkdir()
    try:
        graph = imported(tmp_path / "folder", HOSTILE[name]())
        graph.run(0, engine="numpy")
    except GraphrunError as error:
        assert "\x1b" not in str(error)  # noqa: PT017 (a graph is as good)
        assert len(str(error).splitlines()) < 25  # noqa: PT017


@pytest.mark.parametrize("data", [b"", b"\x08", b"\xff" * 100, b"graphrun: 1\n", b"\x0a\xff\xff\xff\xff\x0f"])
def test_files_that_are_no_models(tmp_path: Path, data: bytes) -> None:
    """Empty, cut short, of another kind."""
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(UsageError):
        import_model(tmp_path / "model.onnx", tmp_path / "graph.yaml")
    assert not (tmp_path / "graph.yaml").exists()


def test_inputs_that_do_not_fit(tmp_path: Path) -> None:
    """None of the model's names, no archive, texts."""
    model, _ = dense(tmp_path)
    with pytest.raises(UsageError, match="none of the model's inputs: 'in:0'"):
        imported(tmp_path, model, {"x": np.ones(3)})
    with pytest.raises(UsageError, match=r"holds <U1, not numbers"):
        imported(tmp_path, model, {"in:0": np.array(["a"])})
    with pytest.raises(UsageError, match=r"an \.npz file"):
        import_model(tmp_path / "model.onnx", tmp_path / "graph.yaml", tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="cannot be read"):
        import_model(tmp_path / "model.onnx", tmp_path / "graph.yaml", tmp_path / "none.npz")
