"""Node types as formulas: the symbolic namespace, the numbers it reads, LaTeX, and the formulas that listings show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrun
from graphrun import nodes
from graphrun.cli.entry import run_command
from graphrun.declare.nodetype import Tensor

sympy = pytest.importorskip("sympy")

from graphrun.check.formulas import formulas  # noqa: E402 (they need SymPy)
from graphrun.check.symbolic import Namespace, latex  # noqa: E402
from graphrun.check.symbolic.lowering import exact  # noqa: E402
from graphrun.check.symbolic.region import Region  # noqa: E402

BUILT_IN = nodes.graphrun_node_types()
ELEMENTWISE = [declared for declared in BUILT_IN if declared.is_elementwise]
TYPES = {declared.name: declared for declared in BUILT_IN}
FINITE = st.floats(allow_nan=False, allow_infinity=False)

x, y = sympy.symbols("x y", real=True)


@graphrun.elementwise
def bump(xp, x, *, width: float = 1.0):
    """Bump: 1 / (1 + (x / width)^2) where x > 0, else 1."""
    return xp.where(x > 0, 1 / (1 + xp.square(x / width)), 1.0)


@bump.local_derivatives
def _(xp, y, x, *, width):
    return (xp.where(x > 0, -2 * x / width**2 * y * y, 0.0),)


def settings_of(declared: graphrun.NodeType) -> list[Mapping[str, Any]]:
    """The settings by default and those of the examples."""
    return [{}, *(example.settings for example in declared.examples)]


@pytest.mark.parametrize("declared", ELEMENTWISE, ids=lambda declared: declared.name)
def test_formulas_compute_what_the_functions_compute(declared: graphrun.NodeType) -> None:
    """Forward and derivatives agree with NumPy, at points within every domain, for all settings of the examples."""
    for given_settings in settings_of(declared):
        settings = dict(declared.read_settings(given_settings))
        found = formulas(declared, settings, declared.inputs)
        assert found is not None
        symbols = [sympy.Symbol(name, real=True) for name in declared.inputs]
        for low in (0.3, 0.55):
            inputs = [1.2 + low if declared.name == "acosh" else low + 0.2 * k for k in range(len(symbols))]
            at = dict(zip(symbols, inputs, strict=True))
            output = np.float64(declared.function(np, *map(np.float64, inputs), **settings))
            parts = declared.derivative(np, output, *map(np.float64, inputs), **settings)
            assert float(found.forward.subs(at)) == pytest.approx(float(output), rel=1e-12)
            for formula, part in zip(found.local_derivatives, parts, strict=True):
                assert (formula is None) == (part is None)
                assert part is None or float(formula.subs(at)) == pytest.approx(float(part), rel=1e-12)


def test_a_plugins_type_gives_its_formulas() -> None:
    """With nothing more from its author; the output's name stands in the derivative where one is given."""
    found = formulas(bump, {"width": 2.0}, ["x"], "f")
    assert found is not None
    f = sympy.Symbol("f", real=True)
    assert found.forward.subs(x, 4) == sympy.Rational(1, 5)
    assert found.local_derivatives[0].subs(x, 4) == -2 * f**2
    assert found.local_derivatives[0].subs(x, -4) == 0
    assert found.latex[1] == (
        r"\begin{cases} - \frac{f^{2} x}{2} & \text{for}\: x > 0 \\0 & \text{otherwise} \end{cases}",
    )


def test_declared_functions_take_symbols_of_sympy() -> None:
    """And settings that are symbols: what comes out is an expression of SymPy."""
    beta = sympy.Symbol("beta", positive=True)
    softplus = TYPES["softplus"]
    assert sympy.sympify(softplus(Namespace(), x, beta=beta)) == sympy.log(sympy.exp(beta * x) + 1) / beta
    assert sympy.sympify(TYPES["hypot"](Namespace(), x, y)) == sympy.sqrt(x**2 + y**2)


def test_literals_are_numbers() -> None:
    """The text of a number among the inputs stands for it."""
    found = formulas(TYPES["pow"], {}, ["x", "2"])
    assert found is not None
    assert found.forward == x**2
    assert found.local_derivatives[0] == 2 * x


def test_what_has_no_formula_has_none() -> None:
    """A tensor type, and a function that calls something else than `xp`."""

    @graphrun.elementwise
    def rounded(xp, x):
        """Nearest number of two decimals."""
        return round(float(x), 2)

    assert formulas(TYPES["matmul"], {}, ["x", "y"]) is None
    assert formulas(rounded, {}, ["x"]) is None


def test_comparisons_are_conditions_of_the_numbers() -> None:
    """Also `==`, which SymPy's symbols take for the question whether they are the same symbol."""
    xp = Namespace()
    a, b = xp.number(x), xp.number(y)
    assert sympy.sympify(a == b) == sympy.Eq(x, y)
    assert sympy.sympify((a > 0) + 2 * (b > 0)).subs({x: 1, y: 1}) == 3
    assert sympy.sympify((a > 0) & (b > 0)) == (x > 0) & (y > 0)
    with pytest.raises(TypeError, match=r"xp\.where works on every engine"):
        bool(a > 0)
    with pytest.raises(TypeError, match=r"it calls numpy\.exp; xp\.exp works on every engine"):
        np.exp(a)
    with pytest.raises(TypeError, match=r"it calls xp\.matmul, which formulas have not"):
        xp.matmul(a, b)
    assert sympy.sympify(np.float64(0.5) * a + np.float64(1)) == x / 2 + 1


def test_formulas_are_finite() -> None:
    """Whether a number is finite is no case of its own, whatever SymPy knows of it."""
    xp = Namespace()
    ratio = xp.number(x) / y
    assert sympy.sympify(xp.where(xp.isfinite(ratio), x, 0)) == x
    assert sympy.sympify(xp.where(xp.isinf(ratio) | xp.isnan(ratio), x, y)) == y
    assert sympy.sympify(xp.where(ratio < math.inf, x, y)) == x
    assert sympy.sympify(xp.where(ratio < -math.inf, x, y)) == y


@settings(deadline=None)
@given(FINITE)
def test_a_number_is_read_as_one_that_rounds_to_it(number: float) -> None:
    """To three units in the last place, whatever it is taken for."""
    read = exact(number)
    assert read.is_real
    assert abs(float(read) - number) <= 3 * math.ulp(number)


@pytest.mark.parametrize(
    ("number", "meant"),
    [
        (0.01, "1/100"),
        (0.044715, "44715/1000000"),
        (1 / 3, "1/3"),
        (1.0005, "10005/10000"),
        (math.pi / 4, "pi/4"),
        (2 / math.sqrt(math.pi), "2/sqrt(pi)"),
        (1 / math.log(2), "1/log(2)"),
        (-math.sqrt(0.5), "-sqrt(2)/2"),
        (math.inf, "oo"),
        (-math.inf, "-oo"),
        (2**60, "1152921504606846976"),
    ],
)
def test_numbers_are_read_as_they_were_meant(number: float, meant: str) -> None:
    """Decimals, simple fractions, and multiples of the constants that functions are made of."""
    assert exact(number) == sympy.sympify(meant)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (1 / (1 + sympy.exp(-x)), r"\frac{1}{1 + e^{- x}}"),
        (sympy.Rational(1, 100) * x, "0.01 x"),
        (sympy.Rational(1, 3) * x, r"\frac{x}{3}"),
        (x / 10**9, r"1 \cdot 10^{-9} x"),
        (sympy.Symbol("hidden.W_1") * sympy.Symbol("alpha"), r"\alpha \mathit{hidden.W\_1}"),
        (sympy.Symbol(r"\input{x}$&"), r"\mathit{\backslash{}input\{x\}\$\&}"),
    ],
)
def test_latex(expression: Any, text: str) -> None:
    """Short names as letters, others as words with nothing in them that LaTeX would obey; numbers as written."""
    assert latex(expression) == text


@settings(deadline=None, max_examples=examples(40))
@given(st.integers(-50, 50), st.integers(1, 10**9))
def test_points_are_found_in_the_narrowest_corner(low: int, part: int) -> None:
    """Between two lines that nearly meet, and above a third."""
    narrow = sympy.Rational(1, part)
    bounds = (x - y - low, low + narrow - (x - y), x + y)
    region = Region(bounds, {}, {})
    points = list(region.points([x, y], 3))
    assert len(points) == 3
    assert all(bound.subs(point) > 0 for point in points for bound in bounds)
    assert not Region((*bounds, -x - y - 1), {}, {}).may_exist()


# --- the formulas of `graphrun nodes` --------------------------------------------------------------------------------


def shown(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `graphrun nodes TYPE` prints."""
    assert run_command(["nodes", name]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("sigmoid", ["y = 1 / (1 + exp(-x))", "dy/dx = y * (1 - y)"]),
        ("leaky_relu", ["y = where(x > 0, x, slope * x)", "dy/dx = where(x > 0, 1, slope)"]),
        ("multiply", ["z = x * y", "dz/dx = y", "dz/dy = x"]),
        ("where", ["dz/dcondition = none", "dz/dx = where(condition != 0, 1, 0)"]),
        ("matmul", ["z = x @ y", "gradient of x = gradient @ y.T", "gradient of y = x.T @ gradient"]),
        ("take", ["y = x[indices]", "indices has no gradient"]),
        ("gelu", ["y = 0.5 * x * erfc(-0.707107 * x)"]),
        # Too long for a line: as its author wrote it.
        ("mish", ["gate = xp.tanh(xp.logaddexp(x, 0.0))"]),
    ],
)
def test_nodes_shows_formula_and_derivatives(name: str, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """In the names of the type's own inputs, output and settings."""
    out = shown(name, capsys).splitlines()
    for line in lines:
        assert f"    {line}" in [text.replace("        ", "    ", 1) for text in out]


@pytest.mark.slow
def test_every_built_in_tensor_type_has_its_formula(capsys: pytest.CaptureFixture[str]) -> None:
    """And a gradient, or none, for each input; no line of them is wider than a terminal."""
    for declared in BUILT_IN:
        if isinstance(declared, Tensor):
            declared.check_declaration()
            assert declared.formula
            assert len(declared.gradients) == len(declared.inputs)
            lines = shown(declared.name, capsys).splitlines()
            start = lines.index("  formula:")
            assert all(len(line) <= 80 for line in lines[start:] if not line.startswith("from "))


VOCABULARY: dict[str, Any] = {
    name: getattr(np, name)
    for name in ("sum", "mean", "exp", "log", "sqrt", "abs", "sign", "where", "prod", "clip", "reshape", "squeeze")
} | {
    "max": np.max,
    "min": np.min,
    "flip": np.flip,
    "argmax": np.argmax,
    "argsort": np.argsort,
    "permute_dims": np.permute_dims,
    "expand_dims": np.expand_dims,
    "cumulative_sum": np.cumulative_sum,
    "count": np.count_nonzero,
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "cholesky": np.linalg.cholesky,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
A_MATRIX = np.array([[2.0, -1.0, 0.5], [0.25, 1.5, 1.0], [-1.0, 0.75, 3.0]])
A_VECTOR = np.array([0.5, -1.25, 2.0])
SHARES = np.array([0.2, 0.3, 0.5])
IN_WORDS = {
    # Their texts are sentences, or name parts of arrays, which nothing can evaluate.
    "accuracy",
    "diag_embed",
    "diagonal",
    "group_norm",
    "max_pool1d",
    "negative_binomial_nll_loss",
    "normal_noise",
    "one_hot",
    "poisson_nll_loss",
    "quantile_loss",
    "segment_sum",
    "solve_triangular",
    "student_t_nll_loss",
    "avg_pool2d",
    "batch_norm",
    "broadcast_to",
    "cholesky",
    "concat",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "einsum",
    "embedding",
    "huber_loss",
    "layer_norm",
    "max_pool2d",
    "nll_loss",
    "pad",
    "prod",
    "rms_norm",
    "scaled_dot_product_attention",
    "slice",
    "stack",
    "take",
    "take_along_axis",
    "tensordot",
    "tile",
    "trace",
    "unstack",
}
TRIED: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "matmul": ((A_MATRIX, A_MATRIX[:, :2]), {}),
    "outer": ((A_VECTOR, SHARES), {}),
    "vecdot": ((A_VECTOR, SHARES), {}),
    "solve": ((A_MATRIX, A_MATRIX[:, :2]), {}),
    "det": ((A_MATRIX,), {}),
    "inv": ((A_MATRIX,), {}),
    "matrix_transpose": ((A_MATRIX[:2],), {}),
    "reshape": ((A_MATRIX[:2],), {"shape": (3, 2)}),
    "permute_dims": ((A_MATRIX[:2],), {"axes": (1, 0)}),
    "squeeze": ((A_MATRIX[:1],), {"axis": 0}),
    "dropout": ((A_VECTOR, SHARES), {"rate": 0.25, "training": True}),
    "mean_squared_error": ((A_VECTOR, SHARES), {}),
    "mean_absolute_error": ((A_VECTOR, SHARES), {}),
    "binary_cross_entropy_with_logits": ((A_VECTOR, SHARES), {}),
    "kl_div": ((A_VECTOR, SHARES), {}),
    "vector_norm": ((A_VECTOR,), {"ord": 3.0}),
    "var": ((A_VECTOR,), {"correction": 1.0}),
    "std": ((A_VECTOR,), {"correction": 1.0}),
}


@pytest.mark.parametrize(
    "declared",
    [declared for declared in BUILT_IN if isinstance(declared, Tensor) and declared.name not in IN_WORDS],
    ids=lambda declared: declared.name,
)
def test_formulas_of_tensor_types_say_what_they_compute(declared: Tensor) -> None:
    """Evaluated as they stand, they give what the functions give."""
    inputs, given_settings = TRIED.get(declared.name, ((A_VECTOR,), {}))
    settings = {p.name: p.default for p in declared.parameters if p.kind is p.KEYWORD_ONLY} | given_settings
    output = declared.function(np, *inputs, **settings)
    gradient = np.linspace(0.5, 2, np.size(output)).reshape(np.shape(output))
    names = VOCABULARY | settings | dict(zip(declared.inputs, inputs, strict=False)) | {"n": len(inputs[0])}
    assert np.allclose(evaluate(declared.formula, names), output)
    own_name = list(declared.derivative.__code__.co_varnames)[2]
    names |= {"gradient": gradient} | ({own_name: output} if own_name not in declared.inputs else {})
    products = declared.derivative(np, gradient, output, *inputs, **settings)
    for text, product in zip(declared.gradients[: len(inputs)], products, strict=True):
        assert (text is None) == (product is None)
        if text is not None:
            wanted = product() if callable(product) else product
            assert np.allclose(np.broadcast_to(evaluate(text, names), np.shape(wanted)), wanted)


def evaluate(text: str, names: dict[str, Any]) -> Any:
    """Return the value of a formula that this repository declares."""
    return eval(text, {"__builtins__": {}}, names)  # noqa: S307 (its text is the repository's own)


def test_gradients_of_a_declaration_are_counted() -> None:
    """As many texts as inputs, or a mistake is told."""

    @graphrun.tensor(formula="x + y", gradients=["gradient"])
    def plus(xp, x, y):
        """Sum."""
        return x + y

    with pytest.raises(graphrun.DeclarationError, match="plus: it gives 1 gradients for the inputs x, y"):
        plus.check_declaration()
