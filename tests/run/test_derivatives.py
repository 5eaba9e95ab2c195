"""``derivative(y, x)`` in graph files, against JAX and by hand."""

from __future__ import annotations

import csv
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lesson import GRAPHS
from random_graphs import graphs

import graphrun
from graphrun.run import derivatives
from graphrun.show.export import LANGUAGES

export = LANGUAGES["yaml"].export


def test_the_derivative_of_a_sum_in_the_shape_of_x(load: Any) -> None:
    """By hand: y = a x^2 has the slope 2 a x at each x, the sum of x^2 by a, and the curvature 2 a."""
    graph = load(
        """
parameters: {a: 3}
constants: {x: [1, 2]}
nodes:
  y: a * x ** 2
  slope: derivative(y, x)
  curvature: derivative(derivative(y, x), x)
  by_a: derivative(y, a)
  mixed: derivative(slope, a)
  both: derivative(y, x) + {type: other}
""".replace("  both: derivative(y, x) + {type: other}\n", "  both: {type: derivative, inputs: [slope, a]}\n")
    )
    values = graph.run(0).values
    np.testing.assert_array_equal(values["slope"], [6, 12])
    np.testing.assert_array_equal(values["curvature"], [6, 6])
    assert values["by_a"] == 5
    assert values["mixed"] == values["both"] == 6


def test_what_depends_on_nothing_has_the_derivative_zero(load: Any) -> None:
    """As in PyTorch with ``materialize_grads`` and in JAX; by itself a value has the derivative 1."""
    graph = load("""
parameters: {x: [1, 2]}
nodes: {y: x + 1, z: "derivative(y, f)", f: x * 3, own: "derivative(y, y)", line: "derivative(x - 7, x)"}
""")
    values = graph.run(0).values
    np.testing.assert_array_equal(values["z"], [0, 0])
    np.testing.assert_array_equal(values["own"], [1, 1])
    np.testing.assert_array_equal(values["line"], [1, 1])


def test_within_subgraphs(load: Any) -> None:
    """Each instance has its own; dotted names lead into them."""
    graph = load("""
subgraphs:
  slope_of_power:
    inputs: [x]
    settings: {n: 3}
    nodes: {power: x ** $n, slope: "derivative(power, x)"}
    output: slope
parameters: {x: 2}
nodes: {f: slope_of_power(x), g: "slope_of_power(f, n=2)", h: "derivative(g, f.power)"}
maximize: g
""")
    result = graph.run(0)
    assert (result.values["f"], result.values["g"], result.values["h"]) == (12, 24, 0)
    assert result.gradients["x"] == 24


def test_names_are_no_others(load: Any) -> None:
    """Those of nodes are told from what the trace calls its values."""
    graph = load(
        "parameters: {v0: 2, x: 3}\nnodes: {v3: 'derivative(v0 * x ** 3, x)', v1: 'derivative(v3 * v0, x) + v0'}\n"
    )
    values = graph.run(0).values
    assert (values["v3"], values["v1"]) == (54, 74)


def test_a_nested_one_waits_for_what_is_within(load: Any) -> None:
    """x^6, differentiated six times, is 720."""
    text = "x ** 6"
    for _ in range(6):
        text = f"derivative({text}, x)"
    assert load(f"parameters: {{x: 1.5}}\nnodes: {{f: '{text}'}}\n").run(0).values["f"] == pytest.approx(720, rel=1e-14)


@pytest.mark.slow
def test_it_grows_and_is_refused_before_it_takes_minutes(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times the nodes with each derivative; the numbers are those of mpmath."""
    text = "sin(x*x)/x"
    for times in range(1, 5):
        text = f"derivative({text}, x)"
        if times != 2:
            found = load(f"parameters: {{x: 1.5}}\nnodes: {{f: '{text}'}}\n").run(0).values["f"]
            assert found == pytest.approx(float(mpmath.diff(lambda x: mpmath.sin(x * x) / x, 1.5, times)), rel=1e-10)
    monkeypatch.setattr(derivatives, "MOST_NODES", 100)
    with pytest.raises(graphrun.GraphFileError, match="takes more than 100 nodes"):
        load(f"parameters: {{x: 1.5}}\nnodes: {{f: '{text}'}}\n")


MISTAKES = {
    "derivative(z, x)": ("graph.yaml:4:17", "input 'z' is unknown"),
    "derivative(y)": ("graph.yaml:4:6", "derivative(y, x) takes 2 inputs, not 1"),
    "derivative(y, 2)": ("graph.yaml:4:20", "by a value with a name, not by a number"),
    "derivative(y, x, n=2)": ("graph.yaml:4:23", "derivative has no setting 'n'"),
    "1 + derivatif(y, x)": ("graph.yaml:4:10", "did you mean 'derivative'?"),
    "1 + derivative(det(m), m)": ("graph.yaml:4:10", "no node type for the operation svd"),
    "1 + derivative(dropout(y), x)": ("graph.yaml:4:10", "dropout is another function where rows are only evaluated"),
    "1 + derivative(f, x)": ("graph.yaml:4:21", "the inputs close a cycle"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_place(text: str, load: Any) -> None:
    """In the expression itself, before anything runs."""
    place, message = MISTAKES[text]
    with pytest.raises(graphrun.GraphFileError) as raised:
        load(f"parameters: {{x: 1, m: [[1, 2], [3, 4]]}}\nnodes:\n  y: x ** 2\n  f: {text}\n")
    assert place in str(raised.value)
    assert message in str(raised.value)


PLUGIN = """
import graphrun


@graphrun.elementwise
def odd(xp, x):
    return x * x


@graphrun.elementwise
def without(xp, x):
    return x * x


@odd.local_derivatives
def _(xp, y, x):
    return (2 * float(x),)


@graphrun.hookimpl
def graphrun_node_types():
    return [odd, without]
"""


@pytest.mark.parametrize(("name", "reason"), [("odd", "cannot be written out"), ("without", "declares no derivative")])
def test_a_plugin_that_cannot_be_traced(name: str, reason: str, tmp_path: Path) -> None:
    """It is refused by its name, where the derivative is asked for."""
    (tmp_path / "odd.py").write_text(PLUGIN)
    file = tmp_path / "graph.yaml"
    file.write_text(f"parameters: {{x: 1}}\nnodes:\n  y: {name}(x)\n  f: 1 + derivative(y, x)\n")
    with pytest.raises(graphrun.GraphFileError, match=rf"graph.yaml:4:10: .*{name} .*{reason}"):
        graphrun.load(file, plugins=tmp_path)


@pytest.mark.campaign
def test_arrays_on_another_engine() -> None:
    """An engine sees plain nodes; those of numbers, in Newton's method, are in the tests of each engine's examples."""
    graph = graphrun.load(GRAPHS / "pendulum.yaml", overrides=["update={type: sgd, step_size: 0.001}"])
    expected = graph.run(3, engine="numpy").parameters
    for name, value in graph.run(3, engine="jax").parameters.items():
        np.testing.assert_allclose(value, expected[name], 1e-10, 1e-12)


def test_rows_may_be_more_than_those_of_a_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network of a column: of other rows, the derivative by it is that of those."""
    x = np.linspace(-1, 1, 7)
    with (tmp_path / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["x"], *([number] for number in x)])
    file = tmp_path / "graph.yaml"
    file.write_text("""
data: {file: data.csv, columns: {x: [x]}, batch_size: 3}
parameters: {W: {shape: [1, 4], init: {type: normal}}, b: [0, 1, 2, 3], V: {shape: [4, 1], init: {type: normal}}}
nodes:
  y: tanh(x @ W + b) @ V
  slope: derivative(y, x)
  curvature: derivative(slope, x)
  loss: mean((curvature + y) ** 2)
minimize: loss
steps: 5
""")
    saved = tmp_path / "saved.npz"
    graph = graphrun.load(file)
    result = graph.run(5, save=saved)
    pieces = list(graph.predict(saved, ["slope", "curvature"]))
    found = {name: np.concatenate([piece[name] for piece in pieces]).ravel() for name in pieces[0]}
    inner, bias, outer = (np.asarray(result.parameters[name]) for name in ("W", "b", "V"))
    h = np.tanh(x[:, None] @ inner + bias)
    np.testing.assert_allclose(found["slope"], ((1 - h**2) * inner @ outer).ravel(), 1e-12)
    np.testing.assert_allclose(found["curvature"], (-2 * h * (1 - h**2) * inner**2 @ outer).ravel(), 1e-12)


@pytest.mark.campaign
def test_the_pendulum_swings_as_scipy_says(tmp_path: Path) -> None:
    """Between the times that the network was trained at, too: nothing of the solution was given."""
    from scipy.integrate import solve_ivp

    result = graphrun.load(GRAPHS / "pendulum.yaml").run()
    inner, bias, outer, shift = (np.asarray(result.parameters[name]) for name in ("W", "b", "V", "c"))
    times = np.linspace(0, 3, 101)
    h = np.tanh(times[:, None] @ inner + bias)
    found = [h @ outer + shift, (1 - h**2) * inner @ outer]
    exact = solve_ivp(lambda _, y: [y[1], -np.sin(y[0])], (0, 3), [2, 0], t_eval=times, rtol=1e-10, atol=1e-12).y
    np.testing.assert_allclose(np.hstack(found).T, exact, atol=2e-3)


def test_steps_of_newton_are_differentiated(load: Any) -> None:
    """Six derivatives, each within the way of the next."""
    result = graphrun.load(GRAPHS / "newton.yaml").run(0)
    assert result.values["root"] == pytest.approx(2.0945514815423265, rel=1e-15)
    assert result.gradients["c"] == pytest.approx(1 / (3 * 2.0945514815423265**2 - 2), rel=1e-14)


JAX = {
    "add": "add", "subtract": "subtract", "multiply": "multiply", "divide": "divide", "negative": "negative",
    "square": "square", "sqrt": "sqrt", "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "sin": "sin",
    "cos": "cos", "tan": "tan", "atan": "arctan", "atan2": "arctan2", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "asinh": "arcsinh", "hypot": "hypot", "logaddexp": "logaddexp", "abs": "abs", "maximum": "maximum",
    "minimum": "minimum", "exp2": "exp2", "reciprocal": "reciprocal", "log2": "log2", "log10": "log10",
}  # fmt: skip
"""Node types and what `jax.numpy` calls them; of `jax.nn` there are more."""

JAX_NN = ["sigmoid", "softplus", "silu", "relu", "elu", "selu", "celu", "log_sigmoid", "mish"]


@st.composite
def smooth_graphs(draw: Any) -> dict[str, Any]:
    """Draw a graph of types that JAX has, far from the points where they have no second derivative."""
    data: dict[str, Any] = draw(graphs(types=sorted([*JAX, *JAX_NN])))
    parameters = {name: value + 0.1234567 * k for k, (name, value) in enumerate(data["parameters"].items(), 1)}
    return data | {"parameters": parameters}


@pytest.mark.campaign(seconds=5)
@settings(deadline=None, max_examples=examples(40), suppress_health_check=list(HealthCheck))
@given(data=smooth_graphs())
def test_hessians_are_those_of_jax(data: dict[str, Any], tmp_path: Path) -> None:
    """By two derivatives, and by the export of an export."""
    jax = pytest.importorskip("jax")
    functions = {name: getattr(jax.numpy, own) for name, own in JAX.items()}
    functions |= {name: getattr(jax.nn, name) for name in JAX_NN} | {"sum": lambda x: x}

    def total(parameters: dict[str, Any]) -> Any:
        values = {**data["constants"], **parameters}
        for name, node in data["nodes"].items():
            inputs = [jax.numpy.float64(values.get(source, source)) for source in node["inputs"]]
            values[name] = functions[node["type"]](*inputs)
        return values["total"]

    with jax.enable_x64(True):
        gradient, hessian = jax.grad(total)(data["parameters"]), jax.hessian(total)(data["parameters"])
        size = abs(float(total(data["parameters"])))
    numbers = np.array([[float(value) for value in row.values()] for row in hessian.values()])
    assume(np.isfinite(numbers).all() and np.abs(numbers).max() < 1e100)
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    assume(graphrun.load(file).try_run(0, engine="numpy").error is None)
    pairs = list(combinations_with_replacement(hessian, 2))
    asked = {f"h_{a}_{b}": f"derivative(derivative(total, {a}), {b})" for a, b in pairs}
    file.write_text(yaml.safe_dump(data | {"nodes": data["nodes"] | asked}, sort_keys=False), encoding="utf-8")
    found = graphrun.load(file).run(0).values
    slopes = [abs(float(value)) for value in gradient.values()]
    # Second derivatives that cancel leave rounding of the size of the first.
    scale = max(np.abs(numbers).max(), *slopes)
    # What cancels altogether, as in x / x, leaves rounding of the terms.
    terms = size / min(x * x for x in data["parameters"].values())
    rest = 1e-9 * scale + 1e-13 * terms
    for a, b in pairs:
        np.testing.assert_allclose(found[f"h_{a}_{b}"], hessian[a][b], 1e-9, rest)
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    file.write_text(export(graphrun.load(file), gradient=True), encoding="utf-8")
    written = graphrun.load(file).document.nodes
    # A derivative that is a number stands among the constants.
    for a in [name for name in hessian if f"dtotal_d{name}" in written][:1]:
        own = f"dtotal_d{a}"
        once = graphrun.load(file, overrides=f"maximize={own}")
        assert once.run(0).objective.value == pytest.approx(float(gradient[a]), rel=1e-9, abs=rest)
        file.write_text(export(once, gradient=True), encoding="utf-8")
        twice = graphrun.load(file)
        values = {**twice.document.constants, **twice.run(0).values}
        for b in hessian:
            np.testing.assert_allclose(values[f"d{own}_d{b}"], hessian[a][b], 1e-9, rest)
