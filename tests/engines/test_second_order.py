"""Second derivatives: those of every elementwise type and of networks, against JAX's."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from depth import one_of
from random_graphs import TYPES

import graphrun
from graphrun.engines.jax.devices import double_precision
from graphrun.nodes import graphrun_node_types

JAX = pytest.mark.slow
TENSORS = {declared.name: declared for declared in graphrun_node_types() if not declared.is_elementwise}
POINTS = np.random.default_rng(0).uniform(-2.5, 2.5, (6, 3))
POINTS[3:] = np.abs(POINTS[3:]) * 0.35 + 0.05


@pytest.mark.campaign
@pytest.mark.parametrize("name", one_of(3, sorted(set(TYPES) - {"stop_gradient"})))
def test_every_type_bends_as_jax_finds(load, name):
    """The square of each type: by the traces here, by forward mode twice over the forward function alone in JAX."""
    declared = TYPES[name]
    inputs = [f"p{k}" for k in range(len(declared.inputs))]
    nodes = {"y": {"type": name, "inputs": inputs}, "f": "y * y"}
    graph = load({"parameters": dict.fromkeys(inputs, 1.5), "nodes": nodes, "minimize": "f"})
    function = graph.function(engine="numpy")
    assert "traces" in function.second_derivatives
    settings = {p.name: p.default for p in declared.keyword if p.default is not inspect.Parameter.empty}
    with double_precision(), np.errstate(all="ignore"):

        def square(x):
            return jnp.asarray(declared.function(jnp, *x, **settings), jnp.float64) ** 2

        second = jax.jit(jax.jacfwd(jax.jacfwd(square)))
        for point in POINTS[:, : len(inputs)] + (3.0 if name == "acosh" else 0.0):
            expected, found = np.asarray(second(jnp.asarray(point))), function.hessian(point)
            known = np.isfinite(expected)
            np.testing.assert_allclose(found[known], expected[known], rtol=1e-9, atol=1e-9)


def test_a_gradient_of_zero_may_bend(load):
    """At the solution of a fit the gradient is zero, and the curvature is that of the squares."""
    graph = load("parameters: {w: 2}\nconstants: {t: 2}\nnodes: {r: 3 * (w - t), f: r * r}\nminimize: f\n")
    assert graph.function().hessian([2.0]) == 18.0


def test_a_branch_that_is_not_taken_does_not_bend(load):
    """What is infinite there is multiplied by a gradient of zero."""
    text = "parameters: {x: 4, n: 0}\nnodes: {f: 'where(1, x * x, log(n) * sqrt(n)) + n'}\nminimize: f\n"
    np.testing.assert_array_equal(load(text).function().hessian([4.0, 0.0]), [[2, 0], [0, 0]])


def test_what_is_declared_counts_not_what_is_computed(load):
    """A gradient that is stopped does not bend either, of numbers and of arrays."""
    text = "nodes: {{s: stop_gradient(w), f: {}}}\nminimize: f\nparameters: {{w: {}}}\n"
    assert load(text.format("s * w", 3)).function().hessian([3.0]) == 0
    arrays = load(text.format("sum(s * w)", [1, 2])).function()
    assert "traces" in arrays.second_derivatives
    np.testing.assert_array_equal(arrays.hessian([1.0, 2.0]), np.zeros((2, 2)))


NETWORK = {
    "parameters": {
        "W": np.linspace(-1, 1, 12).reshape(3, 4).tolist(),
        "V": np.linspace(1, -2, 8).reshape(4, 2).tolist(),
        "b": [0.1, 0.2, 0.3, 0.4],
    },
    "constants": {"X": np.sin(np.arange(15)).reshape(5, 3).tolist(), "T": np.cos(np.arange(10)).reshape(5, 2).tolist()},
    "nodes": {"h": "tanh(X @ W + b)", "y": "h @ V", "r": "y - T", "loss": "mean(r * r)"},
    "minimize": "loss",
}


def loss_in_jax(vector):
    """The same in JAX."""
    weights, others, shift = vector[:12].reshape(3, 4), vector[12:20].reshape(4, 2), vector[20:]
    constants = {name: np.array(value) for name, value in NETWORK["constants"].items()}
    return jnp.mean((jnp.tanh(constants["X"] @ weights + shift) @ others - constants["T"]) ** 2)


@pytest.mark.campaign
@JAX
@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.nightly)])
def test_a_network_bends_as_jax_finds(load, engine):
    """Matrices, broadcasting, a mean; the arguments in another order are the same matrix in that order."""
    graph = load(NETWORK)
    function = graph.function(engine=engine)
    with double_precision():
        expected = np.asarray(jax.hessian(loss_in_jax)(function.start))
        gradient = np.asarray(jax.grad(loss_in_jax)(function.start))
    np.testing.assert_allclose(function.value_and_gradient(function.start)[1], gradient, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(function.hessian(function.start), expected, rtol=1e-12, atol=1e-14)
    some = graph.function(["b", "W"], engine=engine)
    places = np.r_[20:24, :12]
    np.testing.assert_allclose(some.hessian(some.start), expected[np.ix_(places, places)], rtol=1e-12, atol=1e-14)
    direction = np.arange(16.0)
    product = some.hessian_product(some.start, direction)
    np.testing.assert_allclose(product, expected[np.ix_(places, places)] @ direction, rtol=1e-12, atol=1e-13)


BY_JAX = {"prod", "det", "cholesky"}
"""The built-in types of which it is not known how their operations change."""


@pytest.mark.campaign
@pytest.mark.parametrize("name", one_of(3, sorted(TENSORS)))
def test_every_tensor_type_bends_as_its_gradient_does(name):
    """The cube of each type's examples, against central differences of exact gradients."""
    declared, random = TENSORS[name], np.random.default_rng(0)
    for example in declared.examples:
        values = example.values or [None] * len(example.shapes)
        shapes = example.shapes or [np.shape(value) for value in values]
        given = [
            random.uniform(0.3, 1.5, shape) if value is None else np.asarray(value)
            for value, shape in zip(values, shapes, strict=True)
        ]
        whole = {k for k, value in enumerate(values) if value is not None and k and given[k].dtype.kind == "i"}
        inputs = {f"p{k}": array for k, array in enumerate(given)}
        held = {f"p{k}" for k in whole | declared.index_inputs if k < len(given)}
        moving = {k: v for k, v in inputs.items() if k not in held and v.size}
        # Values that an example gives itself lie where functions have corners and ends.
        if len(moving) + len(held) < len(inputs) or not moving or values[0] is not None:
            continue
        drawn = random.integers(0, 2, 8)
        constants = {k: inputs[k] if int(k[1:]) in whole else np.resize(drawn, inputs[k].shape) for k in held}
        nodes = {"y": {"type": name, "inputs": [*inputs], **example.settings}, "f": "sum(y * y * y)"}
        graph = graphrun.load({"parameters": moving, "constants": constants, "nodes": nodes, "minimize": "f"})
        function = graph.function(engine="numpy")
        if name not in BY_JAX:
            assert "traces" in function.second_derivatives
            found = function.hessian(function.start)
            expected = function._function._differences(function.start, np.eye(len(function.start)))
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * max(1, np.abs(found).max()))


PRODUCT = "parameters: {w: [[2, 1], [1, 3]], b: [1, 2]}\nnodes: {d: det(w), p: prod(b), f: d * d * p}\nminimize: f\n"


@JAX
def test_what_is_not_traced_is_exact_by_jax(load):
    """A determinant and a product."""
    function = load(PRODUCT).function(engine="numpy")
    assert function.second_derivatives == "exact: forward over reverse, by JAX"
    with double_precision():
        expected = jax.hessian(lambda v: (v[0] * v[3] - v[1] * v[2]) ** 2 * v[4] * v[5])(function.start)
    np.testing.assert_allclose(function.hessian(function.start), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.campaign
@JAX
def test_a_large_graph_of_numbers_is_by_jax(load, monkeypatch):
    """Where that takes less: on one vector, the same as by the traces."""
    cell = "cell: {inputs: [x, c], nodes: {h: x * c, y: tanh(h)}, output: y}"
    nodes = "f: {type: cell, inputs: [x, w], repeat: 40}"
    graph = load(f"parameters: {{x: 0.5, w: 1.4}}\nsubgraphs: {{{cell}}}\nnodes: {{{nodes}}}\nminimize: f\n")
    traced, point = graph.function(engine="numpy"), np.array([0.5, 1.4])
    assert "traces" in traced.second_derivatives
    monkeypatch.setattr("graphrun.engines.function.MOST_TRACED", 10)
    compiled = graph.function(engine="numpy")
    assert compiled.second_derivatives == "exact: forward over reverse, by JAX"
    np.testing.assert_allclose(compiled.hessian(point), traced.hessian(point), rtol=1e-10, atol=1e-14)


def test_without_jax_there_are_differences(load, monkeypatch):
    """Central differences of exact gradients, which is told with the way to exact ones."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    function = load(PRODUCT).function(engine="numpy")
    assert function.second_derivatives.startswith("central differences of exact gradients: nothing is known of how ")
    assert "pip install 'graphrun[jax]'" in function.second_derivatives
    b = function.hessian(function.start)[4:, 4:]
    np.testing.assert_allclose(b, [[0, 25], [25, 0]], atol=1e-7)
