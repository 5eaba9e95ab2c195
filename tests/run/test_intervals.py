"""Profile intervals and regions against closed forms, iminuit and lmfit; open ends; the command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import squares
from lesson import GRAPHS

import graphrun
from graphrun.api import Graph
from graphrun.cli.entry import run_command

special = pytest.importorskip("scipy.special", reason="fits are SciPy's: pip install 'graphrun[scipy]'")
pytest.importorskip("scipy", minversion="1.16", reason="fits are SciPy's: pip install 'graphrun[scipy]'")

Load = Callable[[dict[str, Any]], Graph]

NIST = Path(__file__).parents[1] / "solvers" / "nist"
X = np.linspace(0.1, 4, 30)
LINE = 3 * X - 1 + np.random.default_rng(1).normal(size=30) * 0.3


def fit(model: str, starts: dict[str, Any], constants: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the graph file of a least-squares fit of `y`."""
    return squares(model, constants, starts, **{"steps": 1000, **more})


def certified(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the graph of one of NIST's fits, and what NIST says of it."""
    problem = json.loads((NIST / f"{name}.json").read_text())
    return fit(problem["model"], problem["starts"][1], problem["data"]), problem


# --- closed forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("absolute", [False, True])
def test_intervals_of_a_line_are_those_of_its_standard_errors(load: Load, absolute: bool) -> None:
    """The sum of squares of a linear model is a parabola, so the profile is one."""
    asked = {"kind": "least_squares", "absolute_sigma": absolute}
    graph = load(fit("a * x + b", {"a": 1, "b": 0}, {"x": X, "y": LINE}, uncertainty=asked))
    found, worth = graph.intervals(), graph.run().uncertainty
    assert worth is not None
    assert found.intervals["a"] == pytest.approx(worth.intervals["a"], rel=1e-7)
    assert found.intervals["b"] == pytest.approx(worth.intervals["b"], rel=1e-7)
    values, roots = found.profiles["a"]
    assert np.array(roots) == pytest.approx((np.array(values) - found.estimates["a"]) / worth.std_errors["a"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["least_squares", "likelihood"])
def test_the_region_of_a_line_is_an_ellipse(load: Load, kind: str) -> None:
    """Its quadratic form is 2 F(2, n - 2), or chi² of 2 degrees of freedom."""
    graph = fit("a * x + b", {"a": 1, "b": 0}, {"x": X, "y": LINE}, uncertainty=kind)
    if kind == "likelihood":
        graph |= {"update": {"type": "lbfgs"}}
    loaded = load(graph)
    found, worth = loaded.intervals(contour=["a", "b"], level=0.9), loaded.run().uncertainty
    assert worth is not None
    away = np.array(list(found.contour.values())) - np.array([[v] for v in loaded.run().parameters.values()])
    form = np.einsum("ik,ij,jk->k", away, np.linalg.inv(worth.covariance), away)
    limit = 2 * special.fdtri(2, 28, 0.9) if kind == "least_squares" else special.chdtri(2, 0.1)
    assert form == pytest.approx(limit, rel=1e-5)


def test_a_likelihood_by_hand(load: Load) -> None:
    """A rate that n events in time t are counted at: where 2 (n log(n / (r t)) - n + r t) is chi² of 1."""
    graph = {
        "parameters": {"rate": {"value": 1, "lower": 1e-9}},
        "nodes": {"loss": "rate * 2 - 5 * log(rate)"},
        "minimize": "loss",
        "update": {"type": "lbfgs"},
        "uncertainty": "likelihood",
        "steps": 100,
    }
    ends = load(graph).intervals().intervals["rate"]
    for end in ends:
        assert end is not None
        assert 2 * (5 * math.log(5 / (2 * end)) - 5 + 2 * end) == pytest.approx(special.chdtri(1, 0.05), rel=1e-7)


def test_an_interval_does_not_depend_on_how_a_parameter_is_written(load: Load) -> None:
    """That of the logarithm has the logarithms of the ends."""
    y = 2 * np.exp(-1.3 * X) + np.random.default_rng(2).normal(size=30) * 0.1
    plain = load(fit("a * exp(-b * x)", {"a": 1, "b": 1}, {"x": X, "y": y})).intervals(["b"]).intervals["b"]
    logarithm = load(fit("a * exp(-exp(l) * x)", {"a": 1, "l": 0}, {"x": X, "y": y})).intervals(["l"]).intervals["l"]
    assert np.exp(np.array(logarithm, float)) == pytest.approx(plain, rel=1e-6)


# --- other programs --------------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("name", "digits"), [("misra1a", 1e-4), ("danwood", 1e-4), ("chwirut2", 1e-3), ("misra1d", 1e-4)]
)
def test_minos_has_the_same_ends(load: Load, name: str, digits: float) -> None:
    """As shares of the standard errors; iminuit takes the objective and its gradient from SciPy's side."""
    iminuit = pytest.importorskip("iminuit", reason="the oracle is iminuit: pip install -e '.[oracles]'")
    graph, problem = certified(name)
    loaded = load(graph)
    found = loaded.intervals()
    at, errors = (np.array(list(problem[key].values())) for key in ("certified", "deviations"))
    function = loaded.function()
    least, free = problem["residual_sum_of_squares"], len(problem["data"]["y"]) - len(at)
    minuit = iminuit.Minuit(lambda z: (function.value(at + errors * z) / least - 1) * free, np.zeros(len(at)))
    minuit.errordef, minuit.strategy, minuit.tol = special.stdtrit(free, 0.975) ** 2, 2, 1e-4
    minuit.migrad()
    minuit.minos(cl=1)
    for k, (low, high) in enumerate(found.intervals.values()):
        error = minuit.merrors[k]
        assert error.is_valid
        assert ((low - at[k]) / errors[k], (high - at[k]) / errors[k]) == pytest.approx(
            (error.lower, error.upper), rel=digits
        )


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["rat43", "boxbod"])
def test_the_ends_are_where_a_refit_is_as_much_worse(load: Load, name: str) -> None:
    """Where MINOS gives up: the other parameters are fitted from other places by SciPy, and find nothing better."""
    from scipy.optimize import least_squares

    graph, problem = certified(name)
    found = load(graph).intervals()
    function = load(graph).function(of="residual")
    least, free = problem["residual_sum_of_squares"], len(problem["data"]["y"]) - len(problem["certified"])
    limit = special.stdtrit(free, 0.975) ** 2
    for k, (parameter, ends) in enumerate(found.intervals.items()):
        values = np.array(list(found.estimates.values()))
        others = [j for j in range(len(values)) if j != k]
        for end in ends:
            best = math.inf
            for factor in (0.8, 1.0, 1.3):

                def residuals(
                    z: Any, end: float | None = end, others: list[int] = others, values: Any = values, k: int = k
                ) -> Any:
                    point = values.copy()
                    point[k], point[others] = end, values[others] * z
                    return np.nan_to_num(function.value(point), nan=1e6, posinf=1e6, neginf=1e6)

                refit = least_squares(
                    residuals, np.full(len(others), factor), x_scale="jac", ftol=1e-14, xtol=1e-14, gtol=1e-14
                )
                best = min(best, 2 * refit.cost)
            assert (best / least - 1) * free == pytest.approx(limit, rel=1e-3), (parameter, end)


@pytest.mark.slow
def test_challenger_has_the_intervals_that_r_gives() -> None:
    """confint(glm(...)) of R, as many lectures print it, is interpolated: (3.33, 34.34) and (-0.5154, -0.0608)."""
    found = graphrun.load(GRAPHS / "orings.yaml").intervals()
    assert found.intervals["intercept"] == pytest.approx((3.33, 34.34), abs=0.01)
    assert found.intervals["slope"] == pytest.approx((-0.5154, -0.0608), abs=2e-4)


# --- ends that are open ----------------------------------------------------------------------------------------------


def test_an_end_beyond_a_bound_is_open(load: Load) -> None:
    """It is said which, and why."""
    bounded = {"a": {"value": 1, "upper": 3.02}, "b": 0}
    found = load(fit("a * x + b", bounded, {"x": X, "y": LINE})).intervals(["a"])
    low, high = found.intervals["a"]
    assert low is not None
    assert high is None
    assert found.notes == ("a is open above: a bound is met before",)


def test_an_end_that_never_comes_is_open(load: Load) -> None:
    """Of a decay whose rate may be as large as it likes."""
    graph = fit("a * exp(-b * x)", {"a": 1, "b": 1}, {"x": [0, 1, 2, 3], "y": [1, 0.05, -0.03, 0.02]})
    low, high = load(graph).intervals(["b"]).intervals["b"]
    assert low is not None
    assert high is None


def test_what_is_not_determined_has_no_interval_and_the_others_have(load: Load) -> None:
    """By name."""
    graph = load(fit("(a + 2 * b) * x + c", {"a": 1, "b": 1, "c": 0}, {"x": X, "y": LINE}))
    worth = graph.run().uncertainty
    assert worth is not None
    assert graph.intervals().intervals == {"c": pytest.approx(worth.intervals["c"], rel=1e-6)}
    with pytest.raises(graphrun.UsageError, match="'a' has no interval: it is not determined; there are: c"):
        graph.intervals(["a"])


WRONG = {
    "unknown": ({}, {"parameters": ["d"]}, "'d' has no interval: no such parameter; there are: a, b"),
    "contour": ({}, {"contour": ["a"]}, "a contour is that of two parameters"),
    "level": ({}, {"level": 95}, "level is a number between 0 and 1"),
    "exact": ({"constants": {"x": [0, 1, 2], "y": [0, 1, 2]}}, {}, "no residual is left"),
    "robust": ({"uncertainty": {"kind": "least_squares", "robust": True}}, {}, "leave out robust"),
    "early": ({"steps": 0}, {}, "the run did not end at the best fit; begin it from a: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_profiled_is_told(load: Load, case: str) -> None:
    """With the way out."""
    changes, asked, message = WRONG[case]
    graph = load(fit("a * x + b", {"a": 1, "b": 0}, {"x": X, "y": LINE}) | changes)
    with pytest.raises(graphrun.UsageError, match=message):
        graph.intervals(**asked)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_prints_and_draws(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables of numbers, JSON, and a page with a chart of each profile and of the region."""
    load(fit("a * x + b", {"a": 1, "b": 0}, {"x": X, "y": LINE}))
    assert (
        run_command(["intervals", "graph.yaml", "-q", "--parameters", "a,b", "--contour", "a,b", "-o", "i.html"]) == 0
    )
    table = capsys.readouterr().out
    assert "95% profile intervals" in table
    assert "The profile of b" in table
    page = Path("i.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert run_command(["intervals", "graph.yaml", "-q", "--format", "json", "--level", "0.5"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["level"] == 0.5
    assert set(data["intervals"]) == {"a", "b"}
    assert len(data["profiles"]["a"]["values"]) == len(data["profiles"]["a"]["roots"])
    assert run_command(["intervals", "graph.yaml", "-q", "-o", "i.svg"]) == 2
    assert "as in -o intervals.html" in capsys.readouterr().err
