"""Values and derivatives against PyTorch in float64: a table of its functions, at random points and at kinks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphrun import nodes
from graphrun.declare.nodetype import NodeType

BUILT_IN = {node_type.name: node_type for node_type in nodes.graphrun_node_types()}

Oracle = Callable[..., Any]


def of_torch(name: str, **settings: Any) -> Oracle:
    """PyTorch's function of that name."""
    return lambda torch, *inputs: getattr(torch, name)(*inputs, **settings)


def of_functional(name: str, **settings: Any) -> Oracle:
    """PyTorch's function of that name in ``torch.nn.functional``."""
    return lambda torch, *inputs: getattr(torch.nn.functional, name)(*inputs, **settings)


SAME_NAME = [
    "add",
    "subtract",
    "multiply",
    "remainder",
    "fmod",
    "negative",
    "abs",
    "pow",
    "square",
    "sqrt",
    "reciprocal",
    "hypot",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "atan2",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "sign",
    "floor",
    "ceil",
    "round",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
    "maximum",
    "minimum",
    "sigmoid",
    "erf",
    "erfc",
    "erfinv",
    "logit",
    "lgamma",
    "digamma",
]
OTHER_NAME = {
    "divide": "div",
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}
FUNCTIONAL = {
    "log_sigmoid": "logsigmoid",
    "relu": "relu",
    "selu": "selu",
    "softsign": "softsign",
    "silu": "silu",
    "mish": "mish",
    "hard_sigmoid": "hardsigmoid",
    "hard_swish": "hardswish",
    "hard_tanh": "hardtanh",
}
ELEMENTWISE: list[tuple[str, dict[str, Any], Oracle]] = [
    *((name, {}, of_torch(name)) for name in SAME_NAME),
    *((name, {}, of_torch(theirs)) for name, theirs in OTHER_NAME.items()),
    *((name, {}, of_functional(theirs)) for name, theirs in FUNCTIONAL.items()),
    ("normal_cdf", {}, lambda torch, x: torch.special.ndtr(x)),
    ("normal_log_cdf", {}, lambda torch, x: torch.special.log_ndtr(x)),
    ("log1mexp", {}, lambda torch, x: torch.log(-torch.expm1(-x))),
    ("hard_sigmoid", {"alpha": 0.2, "beta": 0.25}, lambda torch, x: torch.clamp(0.2 * x + 0.25, 0, 1)),
    ("selu", {"alpha": 0.5, "gamma": 1.5}, lambda torch, x: 1.5 * torch.nn.functional.elu(x, alpha=0.5)),
    ("identity", {}, lambda torch, x: x),
    ("stop_gradient", {}, lambda torch, x: x.detach()),
    ("where", {}, lambda torch, condition, x, y: torch.where(condition != 0, x, y)),
    ("cbrt", {}, lambda torch, x: torch.sign(x) * torch.abs(x) ** (1 / 3)),
    ("clip", {}, lambda torch, x: x),
    ("clip", {"min": -0.5, "max": 2.0}, of_torch("clamp", min=-0.5, max=2.0)),
    ("clip", {"min": 1.0}, of_torch("clamp", min=1.0)),
    ("clip", {"max": 1.0}, of_torch("clamp", max=1.0)),
    ("leaky_relu", {}, of_functional("leaky_relu")),
    ("leaky_relu", {"slope": 0.2}, of_functional("leaky_relu", negative_slope=0.2)),
    ("elu", {}, of_functional("elu")),
    ("elu", {"alpha": 0.7}, of_functional("elu", alpha=0.7)),
    ("celu", {}, of_functional("celu")),
    # PyTorch divides by alpha in float32, so this one is a power of two.
    ("celu", {"alpha": 0.5}, of_functional("celu", alpha=0.5)),
    ("gelu", {}, of_functional("gelu")),
    ("gelu", {"approximate": "tanh"}, of_functional("gelu", approximate="tanh")),
    # PyTorch takes softplus for linear above its threshold.
    ("softplus", {}, of_functional("softplus", threshold=700)),
    ("softplus", {"beta": 2.5}, of_functional("softplus", beta=2.5, threshold=700)),
]
# Where PyTorch has fewer digits.
TOLERANCES = {
    "digamma": 1e-9,  # its trigamma ends the series early
    "fmod": 2e-6,  # of a quotient that rounds up to a whole number, its derivative by y is one off
    "acosh": 1e-10,  # its derivative squares x before it subtracts 1
    "hard_sigmoid": 3e-8,  # its derivative has 1/6 in float32
}


def settings_of(node_type: NodeType, given: dict[str, Any]) -> dict[str, Any]:
    """All settings, the defaults included."""
    return dict(node_type.read_settings(given))


def ours(node_type: NodeType, settings: dict[str, Any], inputs: list[Any]) -> tuple[Any, list[Any]]:
    """Value and partial derivatives as graphrun has them; 0 where there is none."""
    with np.errstate(all="ignore"):
        value = node_type.function(np, *inputs, **settings)
        assert node_type.derivative is not None
        derivatives = node_type.derivative(np, value, *inputs, **settings)
    return value, [np.broadcast_to(0.0 if d is None else d, np.shape(value)) for d in derivatives]


def theirs(torch: Any, oracle: Oracle, inputs: list[Any]) -> tuple[Any, list[Any]]:
    """Value and partial derivatives as PyTorch has them; 0 where there is none."""
    tensors = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in inputs]
    value = oracle(torch, *tensors).to(torch.float64)
    if value.requires_grad:
        value.backward(torch.ones_like(value))
    gradients = [torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for tensor in tensors]
    return value.detach().numpy(), [gradient.numpy() for gradient in gradients]


def grid(node_type: NodeType) -> list[Any]:
    """Numbers of both signs and many magnitudes in the domain of each input, every one with every other."""
    magnitudes = np.geomspace(1e-6, 50, 37)
    candidates = np.concatenate([-magnitudes, magnitudes, 1 + magnitudes, np.linspace(-0.99, 0.99, 22)])
    axes = [
        [x for x in candidates if name not in node_type.domain or x in node_type.domain[name]]
        for name in node_type.inputs
    ]
    axes[2:] = [[-1.5, 0.25] for _ in axes[2:]]
    return [array.ravel() for array in np.meshgrid(*axes)]


def identify(case: Any) -> str | None:
    """A readable test id: names and settings, no oracles."""
    if isinstance(case, str):
        return case
    return ",".join(f"{k}={v}" for k, v in case.items()) or "default" if isinstance(case, dict) else ""


@pytest.mark.parametrize(("name", "settings", "oracle"), ELEMENTWISE, ids=identify)
def test_values_and_derivatives_on_a_grid(torch: Any, name: str, settings: dict[str, Any], oracle: Oracle) -> None:
    """Both agree to 12 digits, up to the last digits of what PyTorch computes by cancellation."""
    node_type = BUILT_IN[name]
    inputs = grid(node_type)
    value, derivatives = ours(node_type, settings_of(node_type, settings), inputs)
    their_value, their_derivatives = theirs(torch, oracle, inputs)
    np.testing.assert_allclose(value, their_value, rtol=1e-12, atol=1e-15)
    for derivative, their_derivative in zip(derivatives, their_derivatives, strict=True):
        np.testing.assert_allclose(derivative, their_derivative, rtol=TOLERANCES.get(name, 1e-11), atol=1e-14)


def test_every_type_is_in_a_table() -> None:
    """A new type needs an oracle here, or a line that says why it has none; tensor types have a file of their own."""
    assert {name for name, _, _ in ELEMENTWISE} == {name for name, node in BUILT_IN.items() if node.is_elementwise}


KINKS: list[tuple[str, dict[str, Any], list[float]]] = [
    ("abs", {}, [0]),
    ("sign", {}, [0]),
    ("floor", {}, [2]),
    ("ceil", {}, [2]),
    ("round", {}, [2.5]),
    ("sqrt", {}, [0]),
    ("asin", {}, [1]),
    ("asin", {}, [-1]),
    ("acos", {}, [1]),
    ("acos", {}, [-1]),
    ("acosh", {}, [1]),
    ("pow", {}, [0, 0]),
    ("pow", {}, [0, 2]),
    ("pow", {}, [0, 1]),
    ("pow", {}, [0, 0.5]),
    ("pow", {}, [-3, 0]),
    ("atan2", {}, [0, 0]),
    ("atan2", {}, [0, -2]),
    ("remainder", {}, [6, 3]),
    ("remainder", {}, [-6, 3]),
    ("maximum", {}, [3, 3]),
    ("minimum", {}, [3, 3]),
    ("clip", {"min": -0.5, "max": 2.0}, [-0.5]),
    ("clip", {"min": -0.5, "max": 2.0}, [2.0]),
    ("clip", {"min": 1.0}, [1.0]),
    ("clip", {"max": 1.0}, [1.0]),
    ("relu", {}, [0]),
    ("leaky_relu", {"slope": 0.2}, [0]),
    ("elu", {"alpha": 0.7}, [0]),
    ("selu", {}, [0]),
    ("celu", {"alpha": 0.5}, [0]),
    ("hard_sigmoid", {}, [-3]),
    ("hard_sigmoid", {}, [3]),
    ("hard_swish", {}, [-3]),
    ("hard_swish", {}, [3]),
    ("fmod", {}, [6, 3]),
    ("fmod", {}, [-6, 3]),
    ("hard_tanh", {}, [-1]),
    ("hard_tanh", {}, [1]),
    ("logaddexp", {}, [2, 2]),
    ("where", {}, [0, 2, 3]),
]


def oracle_of(name: str, settings: dict[str, Any]) -> Oracle:
    """The oracle for a type with these settings."""
    return next(oracle for other, given, oracle in ELEMENTWISE if (other, given) == (name, settings))


@pytest.mark.parametrize(("name", "settings", "point"), KINKS)
def test_derivatives_at_kinks(torch: Any, name: str, settings: dict[str, Any], point: list[float]) -> None:
    """Where there is a choice, it is PyTorch's."""
    inputs = [np.float64(number) for number in point]
    value, derivatives = ours(BUILT_IN[name], settings_of(BUILT_IN[name], settings), inputs)
    their_value, their_derivatives = theirs(torch, oracle_of(name, settings), inputs)
    np.testing.assert_allclose(value, their_value, rtol=1e-12)
    np.testing.assert_allclose(derivatives, their_derivatives, rtol=1e-12)


# Ours, then PyTorch's; each line is a choice that was made knowingly.
DIFFERENCES: list[tuple[str, list[float], list[float], list[float], str]] = [
    ("hypot", [0, 0], [0, 0], [math.nan, math.nan], "a distance of 0 must not end a descent"),
    ("logaddexp", [-math.inf, -math.inf], [0.5, 0.5], [math.nan, math.nan], "a masked row has all its scores at -inf"),
    ("logaddexp", [math.inf, math.inf], [0.5, 0.5], [math.nan, math.nan], "as at every other tie"),
]


@pytest.mark.parametrize(("name", "point", "mine", "other", "reason"), DIFFERENCES)
def test_known_differences(
    torch: Any, name: str, point: list[float], mine: list[float], other: list[float], reason: str
) -> None:
    """The list of differences from PyTorch is true on both sides."""
    assert reason
    inputs = [np.float64(number) for number in point]
    np.testing.assert_array_equal(ours(BUILT_IN[name], {}, inputs)[1], mine)
    np.testing.assert_array_equal(theirs(torch, oracle_of(name, {}), inputs)[1], other)
