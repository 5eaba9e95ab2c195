"""Robust losses of `least_squares`: SciPy's own, and lmfit, have to come to the same fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import optimize
from scipy.optimize._lsq.least_squares import IMPLEMENTED_LOSSES

import graphrun
from graphrun.api import Graph
from graphrun.solvers.robust import rho

Load = Callable[[dict[str, Any]], Graph]

LOSSES = ("soft_l1", "huber", "cauchy", "arctan")
TIMES = np.linspace(0, 5, 40)
SIGNAL = 3 * np.exp(-0.7 * TIMES) + np.random.default_rng(7).normal(scale=0.05, size=40)
SIGNAL[[4, 11, 25, 33]] += [2.0, -1.5, 3.0, 1.0]

EXACT = {
    "linear": lambda z: z,
    "soft_l1": lambda z: 2 * (mpmath.sqrt(1 + z) - 1),
    "huber": lambda z: z if z <= 1 else 2 * mpmath.sqrt(z) - 1,
    "cauchy": lambda z: mpmath.log(1 + z),
    "arctan": mpmath.atan,
}


def outliers(loss: str, f_scale: float, *, unit: float = 1.0, **sections: Any) -> dict[str, Any]:
    """Return the graph of a decay with four outliers."""
    return {
        "parameters": {"a": 1.0, "b": 0.1, "c": 0.5},
        "constants": {"t": TIMES.tolist(), "y": SIGNAL.tolist()},
        "nodes": {"r": f"(a * exp(-b * t) + c - y) * {unit!r}", "f": "sum(r ** 2)"},
        "minimize": "f",
        "update": {"type": "least_squares", "residual": "r", "loss": loss, "f_scale": f_scale * unit},
        "steps": 5000,
        **sections,
    }


def by_scipy(loss: str, f_scale: float, **given: Any) -> Any:
    """Return SciPy's result of the same fit; its last steps divide by differences that are 0."""
    with np.errstate(all="ignore"):
        return optimize.least_squares(
            lambda p: p[0] * np.exp(-p[1] * TIMES) + p[2] - SIGNAL,
            [1.0, 0.1, 0.5],
            jac=lambda p: np.stack(
                [np.exp(-p[1] * TIMES), -p[0] * TIMES * np.exp(-p[1] * TIMES), np.ones_like(TIMES)], axis=1
            ),
            loss=loss,
            f_scale=f_scale,
            x_scale="jac",
            **{"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, **given},
        )


# --- the losses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", EXACT)
@pytest.mark.parametrize("z", [1e-300, 1e-20, 1e-9, 1e-3, 0.5, 1.5, 7.0, 1e6, 1e20])
def test_a_loss_and_its_derivatives(loss: str, z: float) -> None:
    """They are those of the formulas in SciPy's documents, to the last digits, where SciPy's own code loses them."""
    with mpmath.workdps(400):
        exact = EXACT[loss]
        wanted = [float(mpmath.diff(exact, mpmath.mpf(z), k, h=mpmath.mpf(10) ** -320)) for k in range(3)]
    found = [float(part) for part in rho(np, loss, np.array(z))]
    np.testing.assert_allclose(found, wanted, rtol=4e-15, atol=1e-300)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_are_those_of_scipy(loss: str) -> None:
    """Value, first and second derivative, where no digits are lost."""
    z = np.geomspace(0.01, 1e6, 50)
    wanted = np.empty((3, 50))
    IMPLEMENTED_LOSSES[loss](z, wanted, cost_only=False)
    np.testing.assert_allclose(np.stack(rho(np, loss, z)), wanted, rtol=1e-12)


# --- the fits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("f_scale", [0.05, 0.2, 3.0])
def test_a_fit_is_that_of_scipy(load: Load, loss: str, f_scale: float) -> None:
    """The parameters agree to 1e-8 of their size, the objective is twice SciPy's cost, which has a factor 1/2."""
    result = load(outliers(loss, f_scale)).run()
    wanted = by_scipy(loss, f_scale)
    assert result.objective is not None
    found = np.array([result.parameters[name] for name in "abc"])
    assert np.linalg.norm(found - wanted.x) <= 1e-8 * np.linalg.norm(wanted.x)
    assert result.objective.value == pytest.approx(2 * wanted.cost, rel=1e-13)
    assert result.stopped.startswith("least_squares: ")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_bounded_fit_is_that_of_scipy(load: Load, loss: str) -> None:
    """Within bounds, too; the best fit lies at one."""
    parameters = {"a": 1.0, "b": {"value": 0.1, "lower": 0, "upper": 0.6}, "c": {"value": 0.5, "lower": -9}}
    result = load(outliers(loss, 0.2, parameters=parameters)).run()
    wanted = by_scipy(loss, 0.2, bounds=([-np.inf, 0, -9], [np.inf, 0.6, np.inf]), ftol=1e-15, xtol=1e-15, gtol=None)
    np.testing.assert_allclose([result.parameters[name] for name in "abc"], wanted.x, rtol=1e-6)


@pytest.mark.campaign
@pytest.mark.parametrize("loss", ["linear", *LOSSES])
def test_a_fit_is_that_of_lmfit(load: Load, loss: str) -> None:
    """It hands its keywords to the same function of SciPy."""
    lmfit = pytest.importorskip("lmfit", reason="an oracle: pip install -e '.[oracles]'")
    model = lmfit.models.ExpressionModel("a * exp(-b * t) + c", independent_vars=["t"])
    fit = model.fit(
        SIGNAL,
        t=TIMES,
        a=1.0,
        b=0.1,
        c=0.5,
        method="least_squares",
        fit_kws={"loss": loss, "f_scale": 0.2, "xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-12},
    )
    result = load(outliers(loss, 0.2)).run()
    assert result.parameters == pytest.approx(fit.best_values, rel=1e-5)
    assert result.values["f"] == pytest.approx(fit.chisqr, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("unit", [1e-150, 1e-30, 1e70, 1e150])
def test_the_unit_of_the_residuals(load: Load, loss: str, unit: float) -> None:
    """A fit whose residuals are in another unit, as its scale is, is the same fit."""
    usual, found = load(outliers(loss, 0.2)).run(), load(outliers(loss, 0.2, unit=unit)).run()
    assert found.parameters == pytest.approx(usual.parameters, rel=1e-7, abs=1e-8)
    assert abs(found.steps - usual.steps) <= 5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("f_scale", [1e-100, 1e-8, 1e8, 1e100, 1e300])
def test_a_scale_that_is_far_from_the_residuals(load: Load, loss: str, f_scale: float) -> None:
    """A wide one leaves the sum of squares; of a narrow one the run ends, with what is finite."""
    result = load(outliers(loss, f_scale)).run(50)
    assert all(np.isfinite(value) for value in result.parameters.values())
    if f_scale > 1:
        assert result.parameters == pytest.approx(load(outliers("linear", 1.0)).run().parameters, rel=1e-6)


# --- what is minimized, and that it is said -----------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_the_robust_cost_is_the_objective(load: Load, loss: str) -> None:
    """Table, history, gradients and stop rules are of the cost; the sum of squares is a value beside it."""
    result = load(outliers(loss, 0.2)).run(every=1)
    name = f"{loss}_of_r"
    assert (result.objective.name, result.objective.direction) == (name, "minimize")
    assert np.all(np.diff(result.history[name]) <= 0)
    residuals = np.array(result.values["r"])
    losses = np.empty((3, residuals.size))
    IMPLEMENTED_LOSSES[loss]((residuals / 0.2) ** 2, losses, cost_only=False)
    assert result.objective.value == pytest.approx(0.04 * losses[0].sum(), rel=1e-12)
    assert result.values["f"] == pytest.approx(np.sum(residuals**2), rel=1e-12)
    np.testing.assert_allclose(result.gradients["r"], 2 * losses[1] * residuals, rtol=1e-12)
    assert np.linalg.norm([result.gradients[key] for key in "abc"]) < 1e-5
    stopped = load(outliers(loss, 0.2, stop={"value": 1.01 * result.objective.value})).run()
    assert (stopped.stopped, stopped.steps < result.steps) == ("value", True)


def test_lbfgs_finds_the_same_minimum(load: Load) -> None:
    """Of the same cost written as nodes, which are differentiated as any others are."""
    data = outliers("soft_l1", 0.2)
    data["nodes"]["g"] = "sum(2 * 0.2 ** 2 * (sqrt(1 + (r / 0.2) ** 2) - 1))"
    written = load({**data, "minimize": "g", "update": {"type": "lbfgs"}}).run()
    result = load(outliers("soft_l1", 0.2)).run()
    assert result.objective.value == pytest.approx(written.values["g"], rel=1e-12)
    assert result.parameters == pytest.approx(written.parameters, rel=1e-6)


@pytest.mark.parametrize("objective", ["mean(r ** 2)", "sum(r ** 2) / 2"])
def test_the_constant_does_not_matter(load: Load, objective: str) -> None:
    """Any positive multiple of the sum of squares states the same fit, and so does its negative that is maximized."""
    usual = load(outliers("cauchy", 0.2)).run()
    nodes = {"r": outliers("cauchy", 0.2)["nodes"]["r"], "f": objective, "g": "-f"}
    other = load(outliers("cauchy", 0.2, nodes=nodes)).run()
    up = {**outliers("cauchy", 0.2, nodes=nodes), "maximize": "g"}
    del up["minimize"]
    assert usual.parameters == other.parameters == load(up).run().parameters


@pytest.mark.parametrize(
    ("objective", "direction"),
    [("sum(r ** 2) + b ** 2", "minimize"), ("sum(r ** 2)", "maximize"), ("a * b", "minimize")],
)
def test_another_objective_is_refused(load: Load, objective: str, direction: str) -> None:
    """The file's own objective has to be a sum of squares of the residuals, whatever takes its place."""
    data = outliers("huber", 0.2)
    data["nodes"]["f"] = objective
    del data["minimize"]
    with pytest.raises(graphrun.UsageError, match=rf"least_squares: {direction}: f is not .* of the squares of r"):
        load({**data, direction: "f"}).run()


def test_a_name_that_is_taken(load: Load) -> None:
    """The cost has a name that no other value has; it may be recorded and expected as any other."""
    data = outliers("huber", 0.2, record=["huber_of_r_", "f"])
    data["nodes"]["huber_of_r"] = "2 * f"
    result = load({**data, "expect": {"gradients": {"a": 0}, "tolerance": 1e-4}}).run()
    assert list(result.history) == ["step", "huber_of_r_", "f"]
    assert result.values["huber_of_r"] == 2 * result.values["f"]


def test_a_checkpoint(load: Load, tmp_path: Any) -> None:
    """A resumed run goes on to the same fit; a run of another loss does not take it up."""
    graph = load(outliers("arctan", 0.2))
    graph.run(3, save=tmp_path / "c")
    assert graph.run(resume=tmp_path / "c").parameters == pytest.approx(graph.run().parameters, rel=1e-7)
    with pytest.raises(graphrun.UsageError, match="of another graph"):
        load(outliers("huber", 0.2)).run(resume=tmp_path / "c")


def test_numbers_alone(load: Load) -> None:
    """A residual that is one number, in float32 as well."""
    data = {
        "parameters": {"x": 4.0},
        "nodes": {"r": "exp(x) - 2", "f": "r ** 2"},
        "minimize": "f",
        "update": {"type": "least_squares", "residual": "r", "loss": "cauchy", "f_scale": 0.5},
        "steps": 100,
    }
    assert load(data).run().parameters["x"] == pytest.approx(np.log(2), rel=1e-9)
    assert load(data).run(dtype="float32").parameters["x"] == pytest.approx(np.log(2), rel=1e-4)


@pytest.mark.parametrize("given", [{"loss": "tukey"}, {"f_scale": 0}, {"f_scale": -1.0}, {"loss": None}])
def test_wrong_settings(load: Load, given: dict[str, Any]) -> None:
    """They are mistakes of the file, with their place."""
    data = outliers("huber", 0.2)
    with pytest.raises(graphrun.GraphFileError, match=r"graph\.yaml:\d+:\d+: "):
        load({**data, "update": {**data["update"], **given}})


def test_memory_for_the_jacobian(load: Load) -> None:
    """A Jacobian that does not fit is refused before it is made, with the figure."""
    shape = {"shape": [400, 400], "init": "zeros"}
    data = {
        "parameters": {"w": shape},
        "nodes": {"r": "w - 1", "f": "sum(r ** 2)"},
        "minimize": "f",
        "update": {"type": "least_squares", "residual": "r"},
    }
    with pytest.raises(graphrun.GraphrunError, match=r"'r', 160,000 numbers, by 160,000 parameters take 1\.86 TiB"):
        load(data).run()
