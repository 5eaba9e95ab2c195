"""Formulas as text: they compute what the declared functions compute, and read well."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sympy
from scipy import special

from graphrun import nodes
from graphrun.declare.formula import formulas_of
from graphrun.declare.nodetype import NodeType

TYPES = {declared.name: declared for declared in nodes.graphrun_node_types()}
ELEMENTWISE = sorted(name for name, declared in TYPES.items() if declared.is_elementwise)

NUMPY = (
    "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh",
    "floor", "ceil", "trunc", "round", "sign", "where", "maximum", "minimum", "logaddexp", "hypot", "copysign",
)  # fmt: skip

FUNCTIONS: dict[str, Any] = {name: getattr(np, name) for name in NUMPY} | {
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "atan2": np.arctan2, "abs": abs, "inf": math.inf,
    "erf": np.vectorize(math.erf), "erfc": np.vectorize(math.erfc), "erfinv": special.erfinv,
    "lgamma": special.gammaln, "digamma": special.digamma, "trigamma": lambda x: special.zeta(2, x),
}  # fmt: skip

NO_LINE = {"cbrt"}
"""Types whose formula is too long for a line; they are shown as a call."""

NO_LINE_OF_DERIVATIVE = {"mish", "atan2"}
"""Types whose local derivative is."""


def evaluate(text: str, names: dict[str, Any]) -> Any:
    """Compute a formula; Python has no word for the exclusive or."""
    text = text.replace("a != 0 xor b != 0", "(a != 0) != (b != 0)")
    with np.errstate(all="ignore"):
        return eval(text, {"__builtins__": {}}, FUNCTIONS | names)  # noqa: S307 (the text under test)


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("inputs", [(0.7, 0.4, 0.3), (-0.7, 1.5, -0.2), (2.5, -1.25, 3.0), (1.0, 1.0, 1.0)])
def test_formulas_compute(name: str, inputs: tuple[float, ...]) -> None:
    """The formulas of every elementwise type give the numbers of its functions."""
    declared = TYPES[name]
    assert declared.default_settings is not None
    names = "abc"[: declared.arity[0]]
    found = formulas_of(declared, declared.default_settings, names, "y")
    values = {key: np.float64(x) for key, x in zip(names, inputs, strict=False)}
    with np.errstate(all="ignore"):
        y = np.asarray(declared.function(np, *values.values(), **dict(declared.default_settings)), float)[()]
        assert declared.derivative is not None
        partials = declared.derivative(np, y, *values.values(), **dict(declared.default_settings))
    if name in NO_LINE:
        assert found.forward == f"{name}(a)"
    else:
        np.testing.assert_allclose(float(evaluate(found.forward, values)), y, rtol=1e-5)
    for text, partial in zip(found.local_derivatives, partials, strict=True):
        if text is None:
            assert partial is None or name in NO_LINE_OF_DERIVATIVE
        else:
            np.testing.assert_allclose(float(evaluate(text, values | {"y": y})), partial, rtol=1e-5)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "sqrt", "exp", "square", "multiply", "divide", "atan"])
def test_local_derivatives_are_the_derivatives(name: str) -> None:
    """SymPy's derivative of the formula is the local derivative's formula."""
    declared = TYPES[name]
    symbols = sympy.symbols("a b", positive=True)[: declared.arity[0]]
    space = {str(symbol): symbol for symbol in symbols} | {
        "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y))
    }
    assert declared.default_settings is not None
    found = formulas_of(declared, declared.default_settings, [str(symbol) for symbol in symbols], "y")
    forward = sympy.sympify(found.forward, locals=space)
    for symbol, text in zip(symbols, found.local_derivatives, strict=True):
        local = sympy.nsimplify(sympy.sympify(text, locals=space | {"y": forward}))
        assert sympy.simplify(sympy.diff(forward, symbol) - local) == 0


@pytest.mark.parametrize(
    ("name", "inputs", "forward", "local_derivatives"),
    [
        ("multiply", ["d", "c"], "d * c", ("c", "d")),
        ("multiply", ["a", "a"], "a * a", ("a", "a")),
        ("sigmoid", ["hidden.z"], "1 / (1 + exp(-hidden.z))", ("f * (1 - f)",)),
        ("square", ["x"], "x ** 2", ("2 * x",)),
        ("subtract", ["x", "-1.0"], "x - (-1)", ("1", "-1")),
        ("pow", ["x", "2.0"], "x ** 2", ("2 * x", "where(x == 0, 0, f * log(x))")),
        ("pow", ["-2.0", "n"], "(-2) ** n", ("where(n == 0, 0, n * (-2) ** (n - 1))", "f * NaN")),
        ("divide", ["x", "y"], "x / y", ("1 / y", "-f / y")),
        ("relu", ["x"], "maximum(x, 0)", ("where(x > 0, 1, 0)",)),
        ("hard_sigmoid", ["x"], "minimum(maximum(x / 6 + 0.5, 0), 1)", ("where(abs(x) < 3, 1/6, 0)",)),
        ("logical_and", ["x", "y"], "x != 0 and y != 0", ("0", "0")),
        ("matmul", ["x", "hidden.W"], "x @ hidden.W", (None, None)),
        ("mean", ["inf"], "mean(inf)", (None,)),
        ("stop_gradient", ["x"], "x", (None,)),
    ],
)
def test_formulas_read_well(
    name: str, inputs: list[str], forward: str, local_derivatives: tuple[str | None, ...]
) -> None:
    """Signs, powers, literals and dotted names are written as a teacher would."""
    declared = TYPES[name]
    found = formulas_of(declared, declared.default_settings or (), inputs, "f")
    assert (found.forward, found.local_derivatives) == (forward, local_derivatives)


def test_settings() -> None:
    """Settings are numbers in a formula; in a call those that are not the default are named."""
    assert formulas_of(TYPES["leaky_relu"], (("slope", 0.2),), ["x"], "f").forward == "where(x > 0, x, 0.2 * x)"
    settings = TYPES["sum"].read_settings({"axis": [0, 1]})
    assert formulas_of(TYPES["sum"], settings, ["x"], "f").forward == "sum(x, axis=[0, 1])"


def test_what_cannot_be_traced() -> None:
    """A type that decides by a number's value, or raises, is shown as a call without derivatives."""

    def step(xp: Any, x: Any) -> Any:
        return 1.0 if x > 0 else 0.0

    declared: NodeType = nodes.arithmetic.elementwise(step)  # type: ignore[attr-defined]
    declared.derivative = lambda xp, y, x: (1 / 0,)
    found = formulas_of(declared, (), ["a"], "f")
    assert (found.forward, found.local_derivatives) == ("step(a)", (None,))


def test_a_call_of_many_inputs() -> None:
    """The middle of a long list of inputs is left out."""
    inputs = [f"x{k}" for k in range(100)]
    found = formulas_of(TYPES["concat"], TYPES["concat"].default_settings or (), inputs, "y")
    assert found.forward == "concat(x0, x1, x2, x3, ..., x96, x97, x98, x99)"
