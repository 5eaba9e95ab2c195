"""Tensor types under JAX's compiler: no look at values, no assignment, the same numbers as with NumPy."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphrun import nodes
from graphrun.declare.declaration import Noise
from graphrun.declare.nodetype import Example, NodeType

TENSOR = [node_type for node_type in nodes.graphrun_node_types() if not node_type.is_elementwise]


@pytest.fixture(scope="module")
def jax() -> Any:
    """JAX, where it is installed; float64 for this module only."""
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


def inputs_of(node_type: NodeType, example: Example, settings: dict[str, Any]) -> list[Any]:
    """The inputs of an example, those of the engine included."""
    random = np.random.default_rng(0)
    values = example.values or [None] * len(example.shapes)
    given: list[Any] = [
        random.standard_normal(example.shapes[i]) if value is None else np.asarray(value)
        for i, value in enumerate(values)
    ]
    for i, array in enumerate(given):
        if i in node_type.index_inputs:
            given[i] = array.astype(np.int64)
        elif node_type.domain and node_type.domain.get(node_type.inputs[i]):
            given[i] = np.abs(array)
    states = list(node_type.first_state(np, *given, **settings)) if node_type.first_state else []
    for _, marker in node_type.engine_inputs:
        given.append(random.uniform(size=given[0].shape) if marker is Noise else states.pop(0))
    return given


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node_type", "examples"),
    [
        pytest.param(node_type, examples, id=f"{node_type.name}, {which}", marks=marks)
        for k, node_type in enumerate(TENSOR)
        for which, examples, marks in [
            ("first example", node_type.examples[:1], []),
            ("others", node_type.examples[1:], [pytest.mark.nightly if k % 4 else pytest.mark.campaign]),
        ]
        if examples
    ],
)
def test_a_compiled_type_gives_the_same(jax: Any, node_type: NodeType, examples: Sequence[Example]) -> None:
    """Forward function and vjp, jitted, on every example, in a step and in an evaluation."""
    jnp = importlib.import_module("jax.numpy")
    for example in examples:
        for training in (True, False) if node_type.takes_training else (True,):
            settings = dict(node_type.read_settings(example.settings))
            if node_type.takes_training:
                settings[node_type.takes_training] = training
            inputs = inputs_of(node_type, example, settings)

            def both(xp: Any, gradient: Any, *inputs: Any, settings: dict[str, Any] = settings) -> Any:
                output = node_type.function(xp, *inputs, **settings)
                assert node_type.derivative is not None
                entries = node_type.derivative(xp, gradient, output, *inputs, **settings)
                return output, [entry() if callable(entry) else entry for entry in entries]

            with np.errstate(all="ignore"):
                shape = np.shape(node_type.function(np, *inputs, **settings))
                gradient = np.random.default_rng(1).standard_normal(shape)
                ours, products = both(np, gradient, *inputs)
            compiled = jax.jit(lambda *arrays, both=both: both(jnp, *arrays))
            theirs, their_products = compiled(gradient, *inputs)
            np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-12)
            for product, their_product in zip(products, their_products, strict=True):
                assert (product is None) == (their_product is None)
                if product is not None:
                    np.testing.assert_allclose(their_product, product, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["take", "embedding", "nll_loss", "cross_entropy"])
def test_an_index_out_of_range_gives_nan(jax: Any, name: str) -> None:
    """A compiled program cannot raise; the run stops at the value that is not a number."""
    jnp = importlib.import_module("jax.numpy")
    node_type = next(node for node in TENSOR if node.name == name)
    settings = dict(node_type.read_settings({}))
    bad = 7.0 if name == "cross_entropy" else 7
    for index in (bad, -bad):
        value = node_type.function(jnp, jnp.ones((2, 3)), jnp.asarray([0, index]), **settings)
        assert bool(jnp.any(jnp.isnan(value)))


@pytest.mark.slow
def test_a_segment_or_a_class_out_of_range_gives_nan(jax: Any) -> None:
    """Of sums and of zeros and ones it would be left out in silence."""
    jnp = importlib.import_module("jax.numpy")
    of_name = {node.name: node for node in TENSOR}
    for index in (2, -1):
        sums = of_name["segment_sum"].function(jnp, jnp.ones((2, 3)), jnp.asarray([0, index]), num_segments=2)
        assert bool(jnp.any(jnp.isnan(sums)))
        assert bool(jnp.any(jnp.isnan(of_name["one_hot"].function(jnp, jnp.asarray([0, index]), num_classes=2))))
