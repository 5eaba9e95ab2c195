"""Random graphs over all elementwise types: values and gradients against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_graphs import TYPES, graphs

import graphrun

torch = pytest.importorskip("torch", reason="the oracle is PyTorch: pip install torch")
F = torch.nn.functional


def truth(function):
    """Give a comparison of PyTorch's as 0 and 1."""
    return lambda *inputs: function(*inputs).to(torch.float64)


ORACLE = {
    "add": torch.add,
    "subtract": torch.subtract,
    "multiply": torch.multiply,
    "divide": torch.divide,
    "pow": torch.pow,
    "remainder": torch.remainder,
    "negative": torch.negative,
    "abs": torch.abs,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "cbrt": lambda x: torch.sign(x) * torch.abs(x) ** (1 / 3),
    "reciprocal": torch.reciprocal,
    "sign": torch.sign,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "log2": torch.log2,
    "log10": torch.log10,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "atan2": torch.atan2,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "hypot": torch.hypot,
    "logaddexp": torch.logaddexp,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "clip": torch.clone,
    "where": lambda c, x, y: torch.where(c != 0, x, y),
    "identity": torch.clone,
    "equal": truth(torch.eq),
    "not_equal": truth(torch.ne),
    "less": truth(torch.less),
    "less_equal": truth(torch.less_equal),
    "greater": truth(torch.greater),
    "greater_equal": truth(torch.greater_equal),
    "logical_and": truth(torch.logical_and),
    "logical_or": truth(torch.logical_or),
    "logical_xor": truth(torch.logical_xor),
    "logical_not": truth(torch.logical_not),
    "sigmoid": torch.sigmoid,
    "log_sigmoid": F.logsigmoid,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    # PyTorch's softplus is the identity above a threshold; logaddexp is the formula itself.
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "softsign": F.softsign,
    "silu": F.silu,
    "mish": lambda x: x * torch.tanh(torch.logaddexp(x, torch.zeros_like(x))),
    # PyTorch takes 1/6 in float32 in its backward pass.
    "hard_sigmoid": lambda x: torch.clamp(x / 6 + 0.5, 0, 1),
    "hard_tanh": F.hardtanh,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "stop_gradient": torch.detach,
    "fmod": torch.fmod,
    "hard_swish": lambda x: x * torch.clamp(x / 6 + 0.5, 0, 1),
    "logit": torch.logit,
    "log1mexp": lambda x: torch.log(-torch.expm1(-x)),
    "lgamma": torch.lgamma,
    "digamma": torch.digamma,
    "erfinv": torch.erfinv,
    "normal_cdf": torch.special.ndtr,
    "normal_log_cdf": torch.special.log_ndtr,
}


def test_the_oracle_knows_every_elementwise_type():
    """A new built-in type has to be added to the oracle."""
    assert set(TYPES) == set(ORACLE)


def evaluate_by_torch(data):
    """Return PyTorch's values and gradients of a graph, as NumPy arrays by name."""
    leaves = {**data["parameters"], **data["constants"]}
    values = {name: torch.tensor(leaf, dtype=torch.float64, requires_grad=True) for name, leaf in leaves.items()}
    for name, node in data["nodes"].items():
        inputs = [
            values[source] if isinstance(source, str) else torch.tensor(source, dtype=torch.float64)
            for source in node["inputs"]
        ]
        values[name] = torch.sum(*inputs) if node["type"] == "sum" else ORACLE[node["type"]](*inputs)
        # What PyTorch gives no gradient back through still has a gradient of its own.
        values[name].requires_grad_().retain_grad()
    values["total"].backward()
    gradients = {
        name: np.zeros(value.shape) if value.grad is None else value.grad.numpy() for name, value in values.items()
    }
    return {name: value.detach().numpy() for name, value in values.items()}, gradients


def near_a_kink(data, values):
    """Whether some node sits where its derivative is a convention, which PyTorch may take in another way."""
    for node in data["nodes"].values():
        inputs = [np.asarray(values[source] if isinstance(source, str) else source) for source in node["inputs"]]
        kind = node["type"]
        if kind in {"maximum", "minimum", "hypot", "atan2", "pow", "remainder", "fmod", "logaddexp"}:
            if np.any(np.isclose(inputs[0], inputs[1], atol=1e-9)) or np.any(np.isclose(inputs[0], 0, atol=1e-9)):
                return True
            if np.any(np.isclose(inputs[1], 0, atol=1e-9)):
                return True
            ratio = inputs[0] / np.where(inputs[1] == 0, 1, inputs[1])
            if kind in {"remainder", "fmod"} and np.any(np.isclose(ratio, np.round(ratio), atol=1e-9)):
                return True
        elif len(inputs) == 1 or kind.startswith(("less", "greater", "equal", "not_equal")):
            difference = inputs[0] if len(inputs) == 1 else inputs[0] - inputs[1]
            if np.any(np.abs(difference * 2 - np.round(difference * 2)) < 1e-9):
                return True
        elif kind == "where" and np.any(np.abs(inputs[0]) < 1e-9):
            return True
    return False


def compare(data, path):
    """Run a graph and compare it with PyTorch, to 1e-9 of the largest number on the way."""
    values, gradients = evaluate_by_torch(data)
    numbers = [*values.values(), *gradients.values()]
    assume(all(np.isfinite(number).all() and np.abs(number).max(initial=0) < 1e6 for number in numbers))
    assume(not near_a_kink(data, values))
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    result = graphrun.load(path).run(steps=0)
    for name in data["nodes"]:
        np.testing.assert_allclose(result.values[name], values[name], rtol=1e-9, atol=1e-12, err_msg=name)
    for name in [*data["parameters"], *data["nodes"]]:
        np.testing.assert_allclose(result.gradients[name], gradients[name], rtol=1e-9, atol=1e-9, err_msg=name)


RELAXED = settings(
    deadline=None,
    max_examples=examples(200),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@RELAXED
@given(data=graphs())
def test_graphs_of_numbers_agree_with_pytorch(data, tmp_path):
    """Values and gradients of every node and parameter agree."""
    compare(data, tmp_path / "graph.yaml")


@RELAXED
@given(data=graphs(shapes=st.sampled_from([(), (3,), (2, 3), (2, 1), (1, 3), (1,)])))
def test_graphs_of_arrays_agree_with_pytorch(data, tmp_path):
    """Broadcasting in every elementwise type is undone in the backward pass."""
    compare(data, tmp_path / "graph.yaml")


def hessian_by_torch(data):
    """Return PyTorch's second derivatives of the total by all elements of the parameters, end to end."""
    starts = [torch.tensor(value, dtype=torch.float64) for value in data["parameters"].values()]

    def total(vector):
        parts = torch.split(vector, [start.numel() for start in starts])
        values = {k: part.reshape(s.shape) for k, part, s in zip(data["parameters"], parts, starts, strict=True)}
        values |= {name: torch.tensor(value, dtype=torch.float64) for name, value in data["constants"].items()}
        for name, node in data["nodes"].items():
            given = node["inputs"]
            inputs = [values[x] if isinstance(x, str) else torch.tensor(x, dtype=torch.float64) for x in given]
            values[name] = torch.sum(*inputs) if node["type"] == "sum" else ORACLE[node["type"]](*inputs)
        return values["total"] + 0 * vector.sum()

    vector = torch.cat([start.reshape(-1) for start in starts])
    return torch.autograd.functional.hessian(total, vector).numpy()


def compare_hessians(data, engine):
    """Compare second derivatives with PyTorch's, to 1e-9 of the largest number on the way."""
    values, gradients = evaluate_by_torch(data)
    expected = hessian_by_torch(data)
    numbers = [*values.values(), *gradients.values(), expected]
    largest = max(np.abs(number).max(initial=1) for number in numbers)
    assume(all(np.isfinite(number).all() for number in numbers) and largest < 1e4)
    assume(not near_a_kink(data, values))
    function = graphrun.load(data).function(engine=engine)
    assert function.second_derivatives.startswith("exact: ")
    found = function.hessian(function.start)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * largest)
    direction = np.linspace(1, 2, len(found))
    product = function.hessian_product(function.start, direction)
    np.testing.assert_allclose(product, expected @ direction, rtol=1e-9, atol=1e-8 * largest)


@settings(RELAXED, max_examples=examples(60))
@given(data=graphs())
def test_graphs_of_numbers_bend_as_pytorch_finds(data):
    """Forward over reverse through the declarations, without JAX."""
    data["nodes"]["total"] = {"type": "identity", "inputs": data["nodes"]["total"]["inputs"]}
    compare_hessians(data, "numpy")


@settings(RELAXED, max_examples=examples(10))
@given(data=graphs(shapes=st.sampled_from([(), (3,), (2, 3), (1, 3)])))
def test_graphs_of_arrays_bend_as_pytorch_finds(data):
    """By JAX, through the declared backward pass."""
    compare_hessians(data, "numpy")
