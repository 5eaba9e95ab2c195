"""Differential evolution: published functions of many minima, and what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import graphrun
from graphrun.api import Graph
from graphrun.show.explain import explain
from graphrun.show.explain.step import take_step

Load = Callable[[dict[str, Any]], Graph]

PI = 3.141592653589793
UPDATE = {"type": "differential_evolution"}


def graph(objective: str, parameters: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Return the graph of a function to minimize."""
    data = {"parameters": parameters, "nodes": {"f": objective}, "minimize": "f", "update": UPDATE, "steps": 10_000}
    return {**data, **sections}


RASTRIGIN = graph(
    f"30 + sum(x ** 2 - 10 * cos(2 * {PI} * x))", {"x": {"value": [3.3, -2.2, 4.1], "lower": -5.12, "upper": 5.12}}
)
KNOWN = [
    pytest.param(RASTRIGIN, 0.0, id="rastrigin"),
    pytest.param(
        graph(
            f"-20 * exp(-0.2 * sqrt(mean(x ** 2) + 1e-30)) - exp(mean(cos(2 * {PI} * x))) + 20 + 2.718281828459045",
            {"x": {"value": [20.0, -12.0, 9.0], "lower": -32, "upper": 32}},
        ),
        0.0,
        id="ackley",
    ),
    pytest.param(
        graph(
            "-(y + 47) * sin(sqrt(abs(x / 2 + y + 47))) - x * sin(sqrt(abs(x - y - 47)))",
            {name: {"value": 0, "lower": -512, "upper": 512} for name in "xy"},
            update={**UPDATE, "popsize": 60},
        ),
        -959.6406627208507,
        id="eggholder",
    ),
    pytest.param(
        graph(
            "(x ** 2 + y - 11) ** 2 + (x + y ** 2 - 7) ** 2",
            {name: {"value": 0, "lower": -5, "upper": 5} for name in "xy"},
        ),
        0.0,
        id="himmelblau",
    ),
    pytest.param(
        graph(
            f"(y - 5.1 * x ** 2 / (4 * {PI} ** 2) + 5 * x / {PI} - 6) ** 2 + 10 * (1 - 1 / (8 * {PI})) * cos(x) + 10",
            {"x": {"value": 0, "lower": -5, "upper": 10}, "y": {"value": 0, "lower": 0, "upper": 15}},
        ),
        0.39788735772973816,
        id="branin",
    ),
]


@pytest.mark.campaign
@pytest.mark.parametrize(("data", "minimum"), KNOWN)
def test_published_functions(load: Load, data: dict[str, Any], minimum: float) -> None:
    """The best minimum is found and polished; no generation is worse than the one before."""
    result = load(data).run(every=1)
    assert result.values["f"] == pytest.approx(minimum, rel=1e-9, abs=1e-9)
    assert np.all(np.diff(result.history["f"]) <= 0)
    assert result.stopped.startswith("differential_evolution: the population has come together, and lbfgs: ")
    for name, given in data["parameters"].items():
        assert np.all((result.parameters[name] >= given["lower"]) & (result.parameters[name] <= given["upper"]))


@pytest.mark.slow
def test_a_step_is_a_generation(load: Load) -> None:
    """As many as are asked for, whether they bring something or not; a longer run begins with the same ones."""
    of = load(RASTRIGIN)
    short, longer = of.run(7, every=1), of.run(20, every=1)
    assert (short.steps, short.stopped) == (7, "steps")
    assert longer.history["f"][:8].tolist() == short.history["f"].tolist()
    direct: list[float] = []
    optimize.differential_evolution(
        lambda x: 30 + np.sum(x**2 - 10 * np.cos(2 * PI * x)),
        [(-5.12, 5.12)] * 3,
        maxiter=7,
        rng=0,
        polish=False,
        callback=lambda intermediate_result: direct.append(intermediate_result.fun),
    )
    # Other draws of the same method: about as good.
    assert 0.1 < short.values["f"] / direct[-1] < 10


@pytest.mark.slow
def test_the_seed_decides(load: Load) -> None:
    """The same seed makes the same run to the last bit, another one another; so does each of several starts."""
    data = {**RASTRIGIN, "seed": 5, "steps": 12}
    one, again, other = load(data).run(every=1), load(data).run(every=1), load({**data, "seed": 6}).run(every=1)
    assert one.history["f"].tolist() == again.history["f"].tolist()
    assert one.history["f"].tolist() != other.history["f"].tolist()
    several = load({**RASTRIGIN, "update": {**UPDATE, "starts": 2, "popsize": 5}})
    first, second = several.run().stopped, several.run().stopped
    assert first == second
    assert " of 2 starts came to this place" in first


@pytest.mark.slow
def test_a_fit_of_many_minima(load: Load) -> None:
    """The frequency of a sine, polished by least squares: as SciPy's from a start beside it."""
    t = np.linspace(0, 10, 60)
    y = 1.5 * np.sin(4.3 * t + 0.4) + np.random.default_rng(0).normal(scale=0.1, size=60)
    data = {
        "parameters": {
            "a": {"value": 1, "lower": 0.1, "upper": 5},
            "w": {"value": 1, "lower": 0.1, "upper": 10},
            "p": {"value": 0, "lower": -PI, "upper": PI},
        },
        "constants": {"t": t.tolist(), "y": y.tolist()},
        "nodes": {"r": "a * sin(w * t + p) - y", "f": "sum(r ** 2)"},
        "minimize": "f",
        "steps": 10_000,
    }
    result = load({**data, "update": {**UPDATE, "residual": "r"}}).run()
    wanted = optimize.least_squares(lambda p: p[0] * np.sin(p[1] * t + p[2]) - y, [1.4, 4.25, 0.5], xtol=1e-14).x
    np.testing.assert_allclose([result.parameters[name] for name in "awp"], wanted, rtol=1e-6)
    assert ", and least_squares: " in result.stopped
    stuck = load({**data, "update": {"type": "least_squares", "residual": "r"}}).run()
    assert stuck.values["f"] > 5 * result.values["f"]


@pytest.mark.campaign
@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_units(load: Load, unit: float) -> None:
    """The units of the objective and of a parameter change nothing but the numbers."""
    objective = f"30 + sum(x ** 2 - 10 * cos(2 * {PI} * x))"
    usual = load({**RASTRIGIN, "steps": 10}).run()
    scaled = load({**RASTRIGIN, "steps": 10, "nodes": {"f": f"({objective}) * {unit!r}"}}).run()
    assert scaled.values["f"] / unit == pytest.approx(usual.values["f"], rel=1e-9)
    parameters = {"x": {key: np.multiply(v, unit).tolist() for key, v in RASTRIGIN["parameters"]["x"].items()}}
    text = objective.replace("x", f"(x / {unit!r})").replace("e(x / ", "ex")
    moved = load({**RASTRIGIN, "steps": 10, "parameters": parameters, "nodes": {"f": text}}).run()
    np.testing.assert_allclose(moved.parameters["x"] / unit, usual.parameters["x"], rtol=1e-9)


@pytest.mark.slow
def test_a_generation_that_finds_nothing_is_explained(load: Load) -> None:
    """It is a step all the same, in which no parameter moves, and bounds are not to blame."""
    graph = load({**RASTRIGIN, "seed": 5})
    steps = graph.run(60, every=1).history["f"]
    still = next(k for k in range(60) if steps[k + 1] == steps[k])
    text = " ".join(explain(take_step(graph, still)).split())
    assert "No parameter moved: differential_evolution found nothing better in this step." in text


def test_bounds_as_far_apart_as_numbers_go(load: Load) -> None:
    """Their difference is no number."""
    data = graph("abs(x / 1e300 - 3)", {"x": {"value": 0, "lower": -1.7e308, "upper": 1.7e308}})
    assert load(data).run().parameters["x"] == pytest.approx(3e300, rel=1e-6)


def test_elements_that_are_held(load: Load) -> None:
    """One whose bounds are one number stays, and is no dimension of the search."""
    parameters = {"x": {"value": [1, 1], "lower": [1, -5], "upper": [1, 5]}}
    result = load(graph("sum((x - 3) ** 2)", parameters)).run()
    assert result.parameters["x"] == pytest.approx([1, 3], abs=1e-7)
    held = {"x": {"value": 1, "lower": 1, "upper": 1}}
    assert load(graph("x ** 2", held)).run().stopped.endswith("no parameter has an element that may move")


def test_points_without_a_finite_objective(load: Load) -> None:
    """They are worse than any other."""
    data = graph("x - log(x)", {"x": {"value": 3, "lower": -5, "upper": 5}})
    assert load(data).run().parameters["x"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("parameter", "missing"),
    [
        (1.0, "lower and no finite upper"),
        ({"value": 1.0, "lower": 0}, "upper"),
        ({"value": [1.0, 2.0], "lower": 0, "upper": [3, float("inf")]}, "upper"),
        ({"shape": [3], "init": "normal", "upper": 9}, "lower"),
    ],
)
def test_bounds_are_needed(load: Load, parameter: Any, missing: str) -> None:
    """A parameter without them is a mistake of the file, with its place and the way out."""
    parameters = {"a": {"value": 1, "lower": 0, "upper": 2}, "x": parameter}
    with pytest.raises(graphrun.GraphFileError, match=r"graph\.yaml:\d+:\d+: differential_evolution") as error:
        load(graph("a ** 2 + sum(x ** 2)", parameters))
    assert f"'x' has no finite {missing} one" in str(error.value)
    assert "write {value: 1, lower: 0, upper: 10}" in str(error.value)


def test_another_objective_than_the_residuals(load: Load) -> None:
    """Least squares would polish something else."""
    data = graph("(x - 1) ** 2 + 1", {"x": {"value": 0, "lower": -1, "upper": 2}})
    data["nodes"]["r"] = "x - 1"
    with pytest.raises(graphrun.UsageError, match="differential_evolution: minimize: f is not the sum"):
        load({**data, "update": {**UPDATE, "residual": "r"}}).run()


def test_a_population_that_does_not_fit(load: Load) -> None:
    """It is refused before it is drawn."""
    parameters = {"w": {"shape": [60_000], "init": "zeros", "lower": -1, "upper": 1}}
    with pytest.raises(graphrun.GraphrunError, match=r"a population of 900,000 points takes 1\.57 TiB of memory"):
        load(graph("sum(w ** 2)", parameters)).run()


@pytest.mark.parametrize("given", [{"popsize": 0}, {"tol": -1}, {"tol": "small"}, {"mutation": 0.5}])
def test_wrong_settings(load: Load, given: dict[str, Any]) -> None:
    """They are mistakes of the file."""
    with pytest.raises(graphrun.GraphFileError, match=r"graph\.yaml:\d+:\d+: "):
        load({**RASTRIGIN, "update": {**UPDATE, **given}})
