"""Any expression of the grammar: values and gradients against PyTorch, which evaluates the same text."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graphrun.api import Graph
from graphrun.base.errors import NotFiniteError
from graphrun.document import Source, load_document
from graphrun.graph.build import build_graph
from graphrun.plugins.registry import Registry

torch = pytest.importorskip("torch", reason="the oracle is PyTorch: pip install torch")
F = torch.nn.functional
REGISTRY = Registry()

START = {"a": 0.75, "b": -1.25, "θ": 2.5, "h.1": 1.5}
UNARY = {
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "cos": torch.cos,
    "sigmoid": torch.sigmoid,
    # Not F.softplus, which is x itself from 20 on.
    "softplus": lambda x, beta=1.0: torch.logaddexp(beta * x, torch.zeros_like(x)) / beta,
    "relu": torch.relu,
    "leaky_relu": lambda x, slope=0.01: F.leaky_relu(x, slope),
    "elu": lambda x, alpha=1.0: F.elu(x, alpha),
    "square": torch.square,
    "atan": torch.atan,
    "abs": torch.abs,
    "log1p": torch.log1p,
    "identity": lambda x: x,
    "negative": torch.negative,
}
BINARY = {
    "add": torch.add,
    "subtract": torch.subtract,
    "multiply": torch.multiply,
    "divide": torch.divide,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "atan2": torch.atan2,
    "logaddexp": torch.logaddexp,
    "pow": torch.pow,
}
SETTINGS = {"leaky_relu": "slope", "elu": "alpha", "softplus": "beta"}

blanks = st.sampled_from(["", "", " ", "  ", "\t"])
numbers = st.one_of(
    st.integers(0, 20).map(str),
    st.floats(0, 100).map(repr),
    st.sampled_from(["1e-3", ".5", "2.", "1_0", "0x1F", "3E+1"]),
)
atoms = st.one_of(st.sampled_from(list(START)), st.sampled_from(list(START)), numbers)


@st.composite
def larger(draw: Any, inner: st.SearchStrategy[str]) -> str:
    """Put parts together; whether an operand needs parentheses is left to chance, for precedence is what is tested."""
    part = st.one_of(inner, inner.map(lambda text: f"({text})"))
    kind = draw(st.sampled_from(["operator", "operator", "power", "sign", "unary", "binary", "setting"]))
    gap = draw(blanks)
    if kind == "operator":
        sign = draw(st.sampled_from("+-*/"))
        return f"{draw(part)}{gap}{sign}{gap}{draw(part)}"
    if kind == "power":
        exponent = draw(st.sampled_from(["2", "3", "-1", "-2", "0", "1", "0.5", "2.0", "-a"]))
        return f"{draw(part)}{gap}**{gap}{exponent}"
    if kind == "sign":
        return f"-{gap}{draw(part)}"
    if kind == "unary":
        return f"{draw(st.sampled_from(list(UNARY)))}{gap}({draw(inner)})"
    if kind == "binary":
        return f"{draw(st.sampled_from(list(BINARY)))}({draw(inner)},{gap}{draw(inner)})"
    name = draw(st.sampled_from(list(SETTINGS)))
    return f"{name}({draw(inner)}, {SETTINGS[name]}={draw(st.sampled_from(['0.5', '1', '2']))})"


expressions = st.recursive(atoms, larger, max_leaves=25)


class Tensors(ast.NodeTransformer):
    """Makes the numbers of a text tensors, for PyTorch's functions take no others; settings stay as they are."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Wrap one number."""
        return ast.copy_location(ast.Call(ast.Name("number", ast.Load()), [node], []), node)

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        """Leave a setting alone."""
        return node


def by_pytorch(text: str, leaves: dict[str, Any]) -> Any:
    """Evaluate the text in Python, on PyTorch's tensors."""
    tree = Tensors().visit(ast.parse(text.replace("h.1", "h_1").strip(), mode="eval"))
    names = {name.replace(".", "_"): value for name, value in leaves.items()}
    scope = {**UNARY, **BINARY, **names, "number": lambda x: torch.tensor(float(x), dtype=torch.float64)}
    return eval(compile(ast.fix_missing_locations(tree), "text", "eval"), {**scope, "sum": torch.sum})  # noqa: S307


def graph_of(parameters: dict[str, Any], text: str) -> Graph:
    """Return the graph of one expression, which is quoted as YAML does."""
    lines = "".join(f"  {name}: {value}\n" for name, value in parameters.items())
    quoted = text.replace("\t", "\\t")
    document = load_document(Source("g.yaml", f'parameters:\n{lines}nodes:\n  f: "{quoted}"\nmaximize: f\n'))
    return Graph(build_graph(document, REGISTRY))


def compare(parameters: dict[str, Any], text: str, tolerance: float) -> None:
    """Compare value and gradients of one expression."""
    leaves = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in parameters.items()}
    expected = by_pytorch(text, leaves)
    value = expected.detach().numpy()
    assume(bool(np.isfinite(value)) and abs(value) < 1e100)
    if expected.requires_grad:
        expected.backward()
    gradients = {
        name: np.zeros(np.shape(parameters[name])) if leaf.grad is None else leaf.grad.numpy()
        for name, leaf in leaves.items()
    }
    assume(all(np.isfinite(gradient).all() and (abs(gradient) < 1e100).all() for gradient in gradients.values()))
    try:
        result = graph_of(parameters, text).run(0)
    except NotFiniteError:
        # PyTorch lets an infinite part of a finite whole pass, as in 1 / exp(1000).
        assume(False)
    np.testing.assert_allclose(result.values["f"], value, rtol=tolerance, atol=tolerance)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(result.gradients[name], gradient, rtol=tolerance, atol=tolerance, err_msg=name)


FILTERS = [HealthCheck.filter_too_much, HealthCheck.too_slow]


@settings(max_examples=examples(400), deadline=None, suppress_health_check=FILTERS, derandomize=True)
@given(expressions.filter(lambda text: any(name in text for name in ("(", "*", "+", "-", "/"))))
def test_values_and_gradients_are_those_of_pytorch(text: str) -> None:
    """Precedence, signs, powers, calls, settings, numbers in every spelling, dotted and Unicode names."""
    assume(isinstance(ast.parse(text.replace("h.1", "h_1").strip(), mode="eval").body, ast.BinOp | ast.Call))
    compare(START, text, 1e-9)


MATRICES = {"x": [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], "W": [[1.0, 2.0], [-0.5, 0.5], [0.25, -1.0]], "v": [0.5, -2.0]}


@st.composite
def matrix(draw: Any, shape: tuple[int, ...], depth: int) -> str:
    """Return an expression of a shape."""
    leaves = {(2, 3): "x", (3, 2): "W", (2,): "v"}
    kinds = ["leaf"] if depth == 0 and shape in leaves else ["product", "sum", "call", "scale"]
    kind = draw(st.sampled_from(kinds + (["leaf"] if shape in leaves else [])))
    inner = lambda of: draw(matrix(of, max(depth - 1, 0)))  # noqa: E731
    if kind == "leaf":
        return leaves[shape]
    if kind == "product" or (depth == 0 and shape not in leaves):
        if shape == (2,):
            return f"({inner((2, 3))} @ W @ v)" if depth else "(x @ W @ v)"
        middle = 3 if shape[0] == 2 else 2
        left, right = (shape[0], middle), (middle, shape[1])
        return f"({inner(left)} @ {inner(right)})" if depth else f"({leaves[left]} @ {leaves[right]})"
    if kind == "sum":
        return f"({inner(shape)} {draw(st.sampled_from('+-*'))} {inner(shape)})"
    if kind == "call":
        return f"{draw(st.sampled_from(['tanh', 'sin', 'relu', 'sigmoid']))}({inner(shape)})"
    return f"(0.5 * {inner(shape)})"


@settings(max_examples=examples(60), deadline=None, suppress_health_check=FILTERS, derandomize=True)
@given(st.sampled_from([(2, 3), (2, 2), (3, 2), (2,)]).flatmap(lambda shape: matrix(shape, 3)))
def test_matrix_expressions(text: str) -> None:
    """`@` binds as Python's does."""
    compare(MATRICES, f"sum({text})", 1e-8)


@pytest.mark.parametrize("exponent", ["2", "3", "-1", "-2", "2.0", "0", "1"])
@pytest.mark.parametrize("base", [-1.5, 2.0])
def test_a_literal_exponent_is_an_exact_power(base: float, exponent: str) -> None:
    """Of a negative number too: r ** 2 has the derivative 2 r."""
    result = graph_of({"r": base}, f"r ** {exponent}").run(0)
    power = float(exponent)
    assert result.values["f"] == pytest.approx(base**power, rel=1e-15)
    assert result.gradients["r"] == pytest.approx(power * base ** (power - 1), rel=1e-15)


def test_zeros_of_both_signs_stay_apart() -> None:
    """0.0 and -0.0 are equal, and not the same."""
    result = graph_of({"a": 1.0}, "atan2(0.0, -a) + 3 * atan2(-0.0, -a)").run(0)
    assert result.values["f"] == pytest.approx(-2 * np.pi)
