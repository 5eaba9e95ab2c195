"""Nothing leaks from what the objective does not depend on, through any type on any engine that runs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphrun import nodes
from graphrun.declare.declaration import Noise
from graphrun.declare.nodetype import NodeType
from graphrun.engines.masking import masked_vjp
from graphrun.run.api import Graph

TENSOR = [node_type for node_type in nodes.graphrun_node_types() if not node_type.is_elementwise]
Load = Callable[[str], Graph]


def inputs_of(node_type: NodeType, settings: dict[str, Any], fill: float) -> list[Any]:
    """The inputs of a type's first example, as an engine gives them, those that are numbers all the same."""
    example = node_type.examples[0]
    shapes = example.shapes or [np.shape(value) for value in example.values]
    values = example.values or [None] * len(shapes)
    given = [
        np.full(shape, fill)
        if values[i] is None
        else np.asarray(values[i], np.int64 if i in node_type.index_inputs else np.float64)
        for i, shape in enumerate(shapes)
    ]
    states = list(node_type.first_state(np, *given, **settings)) if node_type.first_state else []
    for _, marker in node_type.engine_inputs:
        given.append(np.full(given[0].shape, 0.5) if marker is Noise else states.pop(0))
    return given


@pytest.mark.parametrize("fill", [math.inf, -math.inf, math.nan, 1e300])
@pytest.mark.parametrize("node_type", TENSOR, ids=lambda node_type: node_type.name)
def test_a_gradient_of_zero_gives_zero(node_type: NodeType, fill: float) -> None:
    """Through every tensor type, whatever its inputs and its value are; another gradient is no error either."""
    settings = dict(node_type.read_settings(node_type.examples[0].settings))
    if node_type.takes_training:
        settings[node_type.takes_training] = True
    inputs = inputs_of(node_type, settings, fill)
    function, second = node_type.functions("numpy")
    assert second is not None
    with np.errstate(all="ignore"):
        try:
            value = np.asarray(function(np, *inputs, **settings), float)[()]
        except ValueError:
            # It has no value here, so that the run ends.
            return
        vjp = masked_vjp(np, lambda *given: second(np, *given, **settings))
        found = [entry() for entry in vjp(np.zeros_like(value), value, *inputs) if entry is not None]
        _ = [entry() for entry in vjp(np.ones_like(value), value, *inputs) if entry is not None]
    for part in found:
        np.testing.assert_array_equal(part, np.zeros_like(part))


# An expression of the parameters w and of `bad`, whose second row is infinite, and the gradient of w by hand.
ROWS = [
    ("vecdot(bad, w)", "[2, 3]"),
    ("matmul(bad, w)", "[2, 3]"),
    ("sum(bad * w, axis=1)", "[2, 3]"),
    ("prod(bad * w, axis=1)", "[12, 6]"),
    ("tensordot(bad, w, axes=1)", "[2, 3]"),
    ("einsum(bad, w, subscripts='ij,j->i')", "[2, 3]"),
    ("sum(mean_squared_error(bad, broadcast_to(w, shape=[2, 2]), reduction='none'), axis=1)", "[-2, -2]"),
    ("logsumexp(bad * w, axis=1)", "[2 / (1 + np.exp(4)), 3 / (1 + np.exp(-4))]"),
    ("max(bad * w, axis=1)", "[0, 3]"),
]


# JAX takes seconds to compile each: one is in the quick part, two in the campaign.
OF_BOTH_ENGINES = [
    *(pytest.param("numpy", *row) for row in ROWS),
    *(
        pytest.param("jax", *row, marks=[] if k == 0 else pytest.mark.nightly if k % 4 else pytest.mark.campaign)
        for k, row in enumerate(ROWS)
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "expression", "gradient"), OF_BOTH_ENGINES)
def test_a_row_that_is_not_taken_leaks_nothing(load: Load, engine: str, expression: str, gradient: str) -> None:
    """Also where other rows of the same node do reach the objective."""
    if engine == "jax":
        pytest.importorskip("jax")
    graph = load(
        f"""
        parameters: {{w: [1, 2]}}
        constants: {{table: [[2, 3], [1, 1]], finite: [[1, 1], [0, 0]], taken: [1, 0]}}
        nodes:
          bad: table / finite
          t: {expression}
          f: sum(where(taken, t, 0))
        minimize: f
        """
    )
    result = graph.run(0, engine=engine)
    np.testing.assert_allclose(result.gradients["w"], np.array(eval(gradient)), rtol=1e-3)  # noqa: S307 (ours)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.campaign)])
def test_a_run_goes_on_past_what_is_not_taken(load: Load, engine: str) -> None:
    """The jax engine goes on with another program, from the first step that needs it."""
    if engine == "jax":
        pytest.importorskip("jax")
    graph = load(
        """
        parameters: {w: [1, 2], x: 1}
        constants: {switch: 3}
        nodes:
          bad: 1 / maximum(x, 0)
          dot: vecdot(stack(bad, bad), w)
          y: where(switch, sum(w ** 2) + x, dot)
        minimize: y
        update: {type: sgd, step_size: 0.25}
        """
    )
    result = graph.run(8, engine=engine)
    np.testing.assert_allclose(result.parameters["w"], [1 / 256, 2 / 256])
    assert result.parameters["x"] == -1


# Of a value that is 0 and from which nothing goes on to a parameter: derivatives that are infinite, where 0 comes in.
INFINITE = {
    "number": "sqrt(kept)",
    "elements": "sum(sqrt(stack(kept, x)) * 0)",
    "tensor type": "where(greater(x, 5), vecdot(stack(kept, x), stack(1 / kept, x)), 0)",
}
SHOWN = [(engine, name) for engine in ("numpy", "jax") for name in INFINITE] + [("numba", "number")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "name"), [pytest.param(*case, marks=[pytest.mark.campaign] * (case[0] == "jax")) for case in SHOWN]
)
def test_what_goes_on_to_no_parameter_is_masked_too(load: Load, engine: str, name: str) -> None:
    """The gradients of nodes are those that are shown, also where the parameters' did not ask for a mask."""
    pytest.importorskip(engine)
    graph = load(
        f"""
        parameters: {{x: 0.5, z: 0}}
        nodes:
          kept: {{type: stop_gradient, inputs: [z]}}
          root: {INFINITE[name]}
          f: x ** 2 + root ** 2
        minimize: f
        """
    )
    for steps in (0, 100):
        gradients = graph.run(steps, engine=engine).gradients
        assert (gradients["root"], gradients["kept"]) == (0, 0)
