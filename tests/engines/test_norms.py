"""The norm of the gradient, clipping to it and stopping at it, where squares overflow or vanish: on every engine."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.base.norms import norm

ENGINES = ["numpy", "numba", "jax"]
SIZES = [("float64", 1e200), ("float64", 1e-200), ("float64", 3.0), ("float32", 1e30), ("float32", 1e-30)]


def size_id(size: Any) -> str:
    """Name a case."""
    return str(size)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engines that run graphs of numbers."""
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture
def graph(tmp_path: Path) -> Any:
    """A graph of numbers whose gradient is three and four times a size: its norm is five times that."""

    def load(size: float, more: str, dtype: str = "float64") -> graphrun.Graph:
        file = tmp_path / "graph.yaml"
        file.write_text(
            f"dtype: {dtype}\nparameters: {{x: 0.0, y: 0.0}}\nconstants: {{a: {3 * size}, b: {4 * size}}}\n"
            f"nodes: {{f: a * x + b * y}}\nminimize: f\n{more}\n"
        )
        return graphrun.load(file)

    return load


# --- the function itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e-320, 1e307, 1.0])
@pytest.mark.parametrize("parts", ["one array", "numbers", "both"])
def test_the_norm_neither_overflows_nor_vanishes(size: float, parts: str) -> None:
    """Of numbers of any size it is right to rounding, however they are given."""
    three, four = np.float64(3 * size), np.float64(4 * size)
    given = {"one array": [np.array([[three, four]])], "numbers": [three, four], "both": [np.array([three]), four]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert norm(*given[parts]) == pytest.approx(5 * size, rel=1e-3 if size == 1e-320 else 1e-15, abs=0)


@pytest.mark.parametrize("size", [1e30, 1e-30, 1e-44, 1.0])
def test_the_norm_of_single_precision(size: float) -> None:
    """Its squares overflow at 1e19 and vanish at 1e-23, long before its numbers do."""
    array = np.full(4, size, np.float32)
    assert norm(array) == pytest.approx(2 * float(array[0]), rel=1e-6, abs=0)
    assert norm(array[:1], array[0], array[2:]) == pytest.approx(2 * float(array[0]), rel=1e-6, abs=0)


def test_an_ordinary_norm_is_the_plain_root() -> None:
    """To the last bit or two, beside numbers whose squares vanish."""
    drawn = np.random.default_rng(0).normal(size=1000)
    assert norm(drawn) == pytest.approx(math.hypot(*drawn), rel=1e-14)
    assert norm(np.array([3.0, 4.0, 1e-200])) == 5.0


def test_the_norm_of_nothing_zeros_infinities_and_nan() -> None:
    """NaN is stronger than infinity, as in every sum."""
    assert norm() == norm(np.zeros(3)) == norm(np.array([])) == norm(np.float64(-0.0)) == 0
    assert norm(np.array([1.0, -np.inf])) == norm(np.float64(-np.inf)) == norm(np.float32(np.inf), np.ones(2)) == np.inf
    for parts in ([np.array([1.0, np.nan])], [np.float64(np.nan)], [np.float64(np.inf), np.array([np.nan])]):
        assert math.isnan(norm(*parts))


@pytest.mark.parametrize("count", [2, 3000])
@pytest.mark.parametrize("size", [1e200, 1e-200, 1.0, 0.0, np.inf, np.nan])
def test_the_compiled_norm_of_xla_is_the_same(size: float, count: int) -> None:
    """Of a few numbers and of many, which take another way."""
    jax = pytest.importorskip("jax")
    from graphrun.engines.jax.devices import double_precision
    from graphrun.engines.jax.loop import norm as compiled

    array = np.full(count, size)
    with double_precision():
        found = float(jax.jit(compiled)(array, array[:1]))
    assert found == pytest.approx(norm(array, array[:1]), rel=1e-14, abs=0, nan_ok=True)


# --- every engine ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "size"), SIZES, ids=size_id)
def test_clipping_to_a_norm(graph: Any, engine: str, dtype: str, size: float) -> None:
    """Two steps, for the second is made by what was compiled: both go as far as the limit, or as a small gradient."""
    loaded = graph(size, f"update: {{type: sgd, step_size: {0.5 / min(size, 1.0)}, clip_norm: 1.0}}", dtype)
    result = loaded.run(2, engine=engine)
    moved = size / (5 * size + 1e-6) if size > 1 else 1.0
    found = [float(result.parameters[name]) for name in "xy"]
    assert found == pytest.approx([-3 * moved, -4 * moved], rel=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "size"), [s for s in SIZES if s[1] != 3.0], ids=size_id)
@pytest.mark.parametrize("limit", [4.9, 5.1])
def test_stopping_at_a_norm(graph: Any, engine: str, dtype: str, size: float, limit: float) -> None:
    """At 5.1 times the size the rule is met at once, at 4.9 times never."""
    more = f"update: {{type: sgd, step_size: {0.01 / size}}}\nstop: {{gradient_norm: {limit * size}}}"
    result = graph(size, more, dtype).run(3, engine=engine)
    assert (result.steps, result.stopped) == ((0, "gradient_norm") if limit > 5 else (3, "steps"))


@pytest.mark.campaign
@pytest.mark.parametrize(("dtype", "size"), [("float64", 1e200), ("float64", 1e-200), ("float32", 1e30)], ids=size_id)
def test_stopping_at_a_norm_after_some_steps(graph: Any, engine: str, dtype: str, size: float) -> None:
    """The compiled loop finds the step at which the norm has become small enough, as the first look does."""
    more = f"update: {{type: sgd, step_size: {0.25 / size}}}\nstop: {{gradient_norm: {0.3 * size}}}"
    loaded = graph(size, more, dtype)
    file = Path(loaded.name)
    text = (
        file.read_text()
        .replace("a * x + b * y", "a / 6 * x ** 2 + b / 8 * y ** 2")
        .replace("x: 0.0, y: 0.0", "x: 1.0, y: 1.0")
    )
    file.write_text(text)
    # The gradient is (x, y) times the size, and halves by a factor of 3/4 each step: 1.41 * 0.75 ** 6 = 0.25.
    result = graphrun.load(file).run(20, engine=engine)
    assert (result.steps, result.stopped) == (6, "gradient_norm")


@pytest.mark.campaign
@pytest.mark.parametrize("derivative", ["inf", "nan"])
def test_a_gradient_that_is_not_finite_is_clipped_by_nobody(tmp_path: Path, engine: str, derivative: str) -> None:
    """The run ends before an update is made of it, by the same error on every engine."""
    node = {"inf": "sqrt(x - 1)", "nan": "log(x - 2)"}[derivative]
    file = tmp_path / "graph.yaml"
    file.write_text(
        f"parameters: {{x: 1.0}}\nnodes: {{f: '{node}'}}\nminimize: f\nupdate: {{type: sgd, clip_norm: 1.0}}\n"
        "stop: {gradient_norm: 1.0}\n"
    )
    loaded = graphrun.load(file)
    error = loaded.try_run(5, engine=engine).error
    assert isinstance(error, graphrun.NotFiniteError)
    assert str(error) == str(loaded.try_run(5, engine="numpy").error)


def test_an_array_is_clipped_by_the_norm_of_all(tmp_path: Path) -> None:
    """Arrays and numbers together, with a gradient of 1e200 in one and zeros in the other."""
    pytest.importorskip("jax")
    file = tmp_path / "graph.yaml"
    file.write_text(
        "parameters: {x: [1.0, 1.0], y: 1.0, z: [0.0, 0.0]}\nconstants: {a: [3e200, 0.0]}\n"
        "nodes: {f: sum(a * x) + 4e200 * y + sum(0 * z)}\nminimize: f\n"
        "update: {type: sgd, step_size: 1.0, clip_norm: 0.5}\n"
    )
    results = [graphrun.load(file).run(2, engine=engine) for engine in ("numpy", "jax")]
    for result in results:
        assert result.parameters["x"] == pytest.approx([1 - 0.6, 1.0], rel=1e-12)
        assert result.parameters["y"] == pytest.approx(1 - 0.8, rel=1e-12)
