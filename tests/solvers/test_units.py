"""Solvers do not depend on the unit of the objective or of a parameter, and end: the solutions are known by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from graphrun.api import Graph
from graphrun.solvers import SOLVERS

Load = Callable[[dict[str, Any]], Graph]

UPDATES: dict[str, dict[str, Any]] = {
    name: {"type": name} | ({"residual": "r"} if name == "least_squares" else {}) for name in SOLVERS
}
UNITS = [1e-150, 1e-100, 1e-82, 1e-30, 1e-10, 1e10, 1e70, 1e80, 1e150]
ENDS = [pytest.param(unit, marks=[pytest.mark.campaign] * (unit not in {1e-150, 1e150})) for unit in UNITS]
STARTS = [
    (start, unit) for start in (0.0, 1e-320, -1e-170, 1e200) for unit in (1e-200, 1.0, 1e150) if start / unit < 1e100
]

TIMES = np.arange(6.0)
DECAY = 2.0 * np.exp(-0.35 * TIMES)


@pytest.fixture(params=[name for name, declared in SOLVERS.items() if not declared.needs_bounds])
def solver(request: pytest.FixtureRequest) -> str:
    """Every solver that goes from a start; `test_differential_evolution` has the one that looks within bounds."""
    return str(request.param)


def solved(load: Load, solver: str, parameters: dict[str, Any], residual: str, **sections: Any) -> Any:
    """Return the result of minimizing the sum of squares of a residual."""
    nodes = {"r": residual, "f": "sum(r ** 2)"}
    data = {"parameters": parameters, "nodes": nodes, "minimize": "f", "update": UPDATES[solver], "steps": 2000}
    return load({**data, **sections}).run()


# --- the unit of the objective ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_residuals_in_any_unit(load: Load, solver: str, unit: float) -> None:
    """A parabola has its minimum at 5, whatever it is multiplied by."""
    assert solved(load, solver, {"x": [1, 2]}, f"(x - 5) * {unit!r}").parameters["x"] == pytest.approx(5, rel=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ENDS)
def test_a_curved_fit_in_any_unit(load: Load, solver: str, unit: float) -> None:
    """So has a fit the same parameters, and takes as many steps."""
    constants = {"t": TIMES.tolist(), "y": DECAY.tolist()}
    found, usual = (
        solved(load, solver, {"a": 1.0, "b": 0.1}, f"(a * exp(-b * t) - y) * {factor!r}", constants=constants)
        for factor in (unit, 1.0)
    )
    assert found.parameters == pytest.approx({"a": 2.0, "b": 0.35}, rel=1e-6)
    assert abs(found.steps - usual.steps) <= 5


# --- the unit of a parameter -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("start", "unit"), STARTS)
@pytest.mark.parametrize("beside", [pytest.param(False, marks=pytest.mark.campaign), True])
def test_a_start_of_any_size(load: Load, solver: str, start: float, unit: float, beside: bool) -> None:
    """The solution is 5 units from zero, wherever the start is, with an ordinary parameter beside it or not."""
    parameters = {"x": start} | ({"y": 1.0} if beside else {})
    residual = f"stack(x / {unit!r} - 5, y - 3)" if beside else f"x / {unit!r} - 5"
    wanted = {"x": 5 * unit} | ({"y": 3.0} if beside else {})
    assert solved(load, solver, parameters, residual).parameters == pytest.approx(wanted, rel=1e-6, abs=0)


@pytest.mark.slow
@pytest.mark.parametrize("start", [1e-320, 1e-200, 1e-20])
def test_a_start_that_is_next_to_nothing(load: Load, solver: str, start: float) -> None:
    """In a fit whose other parameter is of an ordinary size, as of NIST's Misra1a; it used to run for ever."""
    times, y = TIMES * 100, 3 * (1 - np.exp(-0.002 * TIMES * 100))
    constants = {"t": times.tolist(), "y": y.tolist()}
    found = solved(load, solver, {"a": 1.0, "b": start}, "a * (1 - exp(-b * t)) - y", constants=constants)
    assert found.parameters == pytest.approx({"a": 3.0, "b": 0.002}, rel=1e-5)


# --- parameters that are none ----------------------------------------------------------------------------------------


def test_a_parameter_without_elements(load: Load, solver: str) -> None:
    """It has no size, and is in nobody's way."""
    empty = {"shape": [0, 3], "init": {"type": "zeros"}}
    found = solved(load, solver, {"w": empty, "x": 4}, "x - 1 + sum(w)")
    assert found.parameters["x"] == pytest.approx(1, rel=1e-7)
    alone = solved(load, solver, {"w": empty}, "sum(w) - 1")
    assert (alone.steps, alone.stopped) == (0, f"{solver}: no parameter has an element that may move")


@pytest.mark.parametrize("solver", ["lbfgs", "least_squares"])
def test_bounds_that_are_one_number(load: Load, solver: str) -> None:
    """They hold an element where it is, and the others find their place."""
    held = {"value": 1, "lower": 1, "upper": 1}
    found = solved(load, solver, {"a": held, "b": 0}, "a + b - 3")
    assert found.parameters == pytest.approx({"a": 1, "b": 2}, rel=1e-9)
    some = {"value": [1, 0], "lower": [1, -9], "upper": [1, 9]}
    found = solved(load, solver, {"a": some, "b": 0}, "concat(a - 3, stack(b - 2, b + 2))")
    assert found.parameters["a"] == pytest.approx([1, 3], rel=1e-7)
    assert solved(load, solver, {"a": held}, "a - 3").parameters == {"a": 1}


# --- an iteration without end ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_iteration_is_interrupted(load: Load, solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a solver does within one: the run ends at the last iteration, and so does the thread."""

    def endless(problem: Any, **_: Any) -> str:
        problem.iteration(problem.start + 1)
        while True:
            problem.objective(problem.start + 2)
            problem.objective(problem.start + 3)

    monkeypatch.setattr(SOLVERS[solver], "function", endless)
    before, began = threading.active_count(), time.monotonic()
    data = {"parameters": {"x": 7.0}, "nodes": {"r": "x - 5", "f": "r ** 2"}, "minimize": "f"}
    result = load({**data, "update": UPDATES[solver], "steps": 9}).try_run(
        interrupted=lambda: time.monotonic() - began > 0.5
    )
    assert (result.stopped, result.steps, result.parameters["x"], result.values["f"]) == ("interrupted", 1, 8, 9)
    assert threading.active_count() == before


# --- kinks -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_median_regression(load: Load, seed: int) -> None:
    """At a kink it says so, and what it found is near the solution of the linear program that the regression is."""
    random = np.random.default_rng(seed)
    matrix = np.column_stack([np.ones(40), random.normal(size=(40, 2))])
    y = matrix @ [1, -2, 3] + random.standard_t(2, size=40)
    data = {
        "parameters": {"w": [0.1, 0.1, 0.1]},
        "constants": {"m": matrix.tolist(), "y": y.tolist()},
        "nodes": {"f": "sum(abs(m @ w - y))"},
        "minimize": "f",
        "update": {"type": "lbfgs"},
        "steps": 2000,
    }
    result = load(data).run()
    weights, equations = np.repeat([0.0, 1.0], [3, 80]), np.hstack([matrix, np.eye(40), -np.eye(40)])
    best = linprog(weights, A_eq=equations, b_eq=y, bounds=[(None, None)] * 3 + [(0, None)] * 80).fun
    assert "kink" in result.stopped
    assert best * (1 - 1e-12) <= result.values["f"] <= best * (1 + 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "wanted", "is_kink"),
    [
        ("abs(w - 3) + 0.5 * abs(w + 2)", 3, True),
        ("maximum(w, 2) + 0.1 * abs(w)", 0, True),
        ("(w - 1) ** 2", 1, False),
        ("(w - 1) ** 2 + 1e6", 1, False),
        pytest.param("(w - 1) ** 4", 1, False, marks=pytest.mark.campaign),
        ("log(cosh(w - 2))", 2, False),
        ("abs(w - 1) ** 1.5", 1, False),
        ("exp(w) - 2 * w + 40", np.log(2), False),
    ],
)
def test_a_kink_is_told_from_a_smooth_minimum(load: Load, objective: str, wanted: float, is_kink: bool) -> None:
    """Where the gradient jumps it says so, and nowhere else."""
    data = {"parameters": {"w": 7.3}, "nodes": {"f": objective}, "minimize": "f", "update": UPDATES["lbfgs"]}
    result = load({**data, "steps": 2000}).run()
    assert ("kink" in result.stopped) is is_kink
    assert result.parameters["w"] == pytest.approx(wanted, abs=1e-3)
