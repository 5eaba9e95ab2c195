"""Models that are exported: the checker takes them, and onnxruntime gives the numbers of the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson import GRAPHS

import graphrun
from graphrun.base.errors import UsageError
from graphrun.declare.updaterule import UpdateRule
from graphrun.run.api import Graph
from graphrun.show.export import LANGUAGES

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
FILES = [file for file in sorted(GRAPHS.glob("*.yaml")) if file.stem != "layers"]  # a library of subgraphs


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


def outputs_of(model: Any, given: Any) -> dict[str, Any]:
    """What onnxruntime makes of inputs, by name."""
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


def close(found: Any, expected: Any, rtol: float) -> None:
    """Equal but for rounding, in units of the largest element."""
    largest = np.abs(expected).max(initial=1e-300, where=np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * largest)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_forward_pass_of_every_example(file: Path, dtype: str) -> None:
    """Every node that no step tells from an evaluation."""
    graph = graphrun.load(file)
    names = list(graph.document.nodes)
    model = exported(graph, outputs=names, dtype=dtype)
    found = outputs_of(model, columns_of(graph, dtype))
    expected = graph.run(0, engine="numpy", dtype=dtype).values
    assert found.keys() == expected.keys()
    for name in names:
        close(found[name], expected[name], 1e-12 if dtype == "float64" else 1e-5)
