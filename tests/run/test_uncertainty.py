"""What a fit is worth: standard errors, covariance and intervals against NIST, statsmodels, lmfit and simulation."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from fits import squares
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrun
from graphrun.api import Graph
from graphrun.base.outcome import Uncertainty
from graphrun.cli.entry import run_command
from graphrun.document import Source
from graphrun.run import preparation
from graphrun.run.fit import Fit
from graphrun.run.request import RunRequest
from graphrun.run.result import Result
from graphrun.run.uncertainty import uncertainty

pytest.importorskip("scipy", minversion="1.16", reason="fits are SciPy's: pip install 'graphrun[scipy]'")

Load = Callable[[dict[str, Any]], Graph]

NIST = [json.loads(file.read_text()) for file in sorted((Path(__file__).parents[1] / "solvers/nist").glob("*.json"))]


def worth(graph: Graph, **asked: Any) -> Uncertainty:
    """Run a fit, and return what it is worth."""
    found = graph.run(**asked).uncertainty
    assert found is not None
    return found


# --- certified -------------------------------------------------------------------------------------------------------

FITS = [pytest.param(problem, start, id=f"{problem['name']}-{start + 1}") for problem in NIST for start in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "start"), FITS)
def test_nist_certified_standard_deviations(load: Load, problem: dict[str, Any], start: int) -> None:
    """All parameters' and the residuals', to six digits; Lanczos1's residuals are rounding in the third."""
    data = {**problem["data"]}
    graph = squares(problem["model"], data, problem["starts"][start])
    graph["nodes"] |= {"y_observed": problem["observed"], "residual": "y_observed - model"}
    found = worth(load(graph))
    free = len(problem["data"]["y"]) - len(problem["deviations"])
    digits = 2e-3 if problem["name"] == "Lanczos1" else 1e-6
    assert found.std_errors == pytest.approx(problem["deviations"], rel=digits)
    assert found.residual_sd == pytest.approx(math.sqrt(problem["residual_sum_of_squares"] / free), rel=digits)
    assert found.degrees_of_freedom == free
    assert not found.notes
    assert not found.undetermined


# --- against lmfit and statsmodels -----------------------------------------------------------------------------------

X = np.linspace(0.1, 4, 40)


def noisy(values: Any, seed: int, size: float = 0.05) -> Any:
    """Add noise, with two outliers."""
    noise = np.random.default_rng(seed).normal(size=np.shape(values)) * size
    noise[[5, 25]] += 6 * size
    return values + noise


MODELS = {
    "decay": ("a * exp(-b * x) + c", {"a": 2, "b": 1, "c": 0.3}, lambda x, a, b, c: a * np.exp(-b * x) + c),
    "peak": (
        "a * exp(-((x - b) / c) ** 2)",
        {"a": 3, "b": 2, "c": 0.7},
        lambda x, a, b, c: a * np.exp(-(((x - b) / c) ** 2)),
    ),
    "rate": ("a * x / (b + x)", {"a": 2, "b": 0.5}, lambda x, a, b: a * x / (b + x)),
    "wave": ("a * sin(b * x + c)", {"a": 1, "b": 2, "c": 0.3}, lambda x, a, b, c: a * np.sin(b * x + c)),
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weights": {"weights": 1 / (0.02 + 0.01 * X)},
    "sigma": {"weights": 1 / (0.02 + 0.01 * X), "absolute_sigma": True},
    "bounds": {"bounds": {"a": (0.5, 10), "b": (0.1, 5)}},
    "soft_l1": {"loss": "soft_l1"},
    "cauchy": {"loss": "cauchy"},
}


@pytest.mark.campaign
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", MODELS)
def test_lmfit_has_the_same_standard_errors(load: Load, model: str, way: str) -> None:
    """Six digits of 24 fits with weights, known deviations, bounds and robust losses, and of the correlations."""
    lmfit = pytest.importorskip("lmfit", reason="the oracle is lmfit: pip install -e '.[oracles]'")
    formula, true, function = MODELS[model]
    asked = WAYS[way]
    y, weights, loss = noisy(function(X, **true), 3), asked.get("weights", np.ones_like(X)), asked.get("loss", "linear")
    starts = {name: 1.1 * value for name, value in true.items()}
    bounds = asked.get("bounds", {})
    limited = {
        n: {"value": v, "lower": bounds[n][0], "upper": bounds[n][1]} if n in bounds else v for n, v in starts.items()
    }
    graph = squares(formula, {"x": X, "y": y, "w": weights}, limited)
    graph["nodes"]["residual"] = "(model - y) * w"
    graph["update"] |= {} if loss == "linear" else {"loss": loss, "f_scale": 0.1}
    graph["uncertainty"] = {"kind": "least_squares", "absolute_sigma": asked.get("absolute_sigma", False)}
    parameters = lmfit.Parameters()
    for name, value in starts.items():
        parameters.add(name, value, min=bounds.get(name, (-np.inf,))[0], max=bounds.get(name, (0, np.inf))[1])
    tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    told = lmfit.Minimizer(
        lambda p: (function(X, **p.valuesdict()) - y) * weights,
        parameters,
        scale_covar=not asked.get("absolute_sigma", False),
    ).least_squares(
        **tight, jac=jacobian_of(model, weights), **({} if loss == "linear" else {"loss": loss, "f_scale": 0.1})
    )
    found = worth(load(graph))
    assert found.std_errors == pytest.approx({name: told.params[name].stderr for name in true}, rel=1e-6)
    for name, others in {name: told.params[name].correl for name in true}.items():
        row = found.correlations[found.names.index(name)]
        for other, value in others.items():
            assert row[found.names.index(other)] == pytest.approx(value, rel=1e-5, abs=1e-6)


def jacobian_of(model: str, weights: Any) -> Callable[..., Any]:
    """Return the Jacobian by complex steps, which lose no digit; lmfit's own are differences."""
    _, true, function = MODELS[model]

    def jacobian(x: Any, *_: Any, **__: Any) -> Any:
        columns = []
        values = dict(zip(true, x.valuesdict().values() if hasattr(x, "valuesdict") else x, strict=True))
        for name in true:
            moved = values | {name: values[name] + 1e-30j}
            columns.append(np.imag(function(X, **moved)) / 1e-30 * weights)
        return np.array(columns).T

    return jacobian


def design(seed: int = 0, rows: int = 200) -> tuple[Any, Any]:
    """Return two columns, and a linear predictor."""
    columns = np.random.default_rng(seed).normal(size=(rows, 2))
    return columns, 0.3 + columns @ [0.5, -0.8]


LIKELIHOODS = {
    "logistic": "binary_cross_entropy_with_logits(eta, y, reduction='sum')",
    "poisson of the loss": "poisson_nll_loss(eta, y, full=true, reduction='sum')",
    "poisson": "sum(exp(eta) - y * eta + log_factorial)",
}


@pytest.mark.campaign
@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("family", LIKELIHOODS)
def test_statsmodels_has_the_same_likelihoods(load: Load, family: str, robust: bool) -> None:
    """Standard errors, intervals, AIC and BIC to six digits, with the inverse Hessian and with the sandwich."""
    api = pytest.importorskip("statsmodels.api", reason="the oracle is statsmodels: pip install -e '.[oracles]'")
    special = pytest.importorskip("scipy.special")
    columns, eta = design()
    random = np.random.default_rng(1)
    y = (
        random.poisson(np.exp(eta))
        if family.startswith("poisson")
        else random.random(len(eta)) < 1 / (1 + np.exp(-eta))
    )
    y = y.astype(float)
    kind = api.Logit if family == "logistic" else api.Poisson
    told = kind(y, api.add_constant(columns)).fit(
        disp=0, method="newton", tol=1e-13, cov_type="HC0" if robust else "nonrobust"
    )
    graph = {
        "parameters": {"a": 0, "b": [0, 0]},
        "constants": {"X": columns.tolist(), "y": y.tolist(), "log_factorial": special.gammaln(y + 1).tolist()},
        "nodes": {"eta": "X @ b + a", "loss": LIKELIHOODS[family]},
        "minimize": "loss",
        "update": {"type": "lbfgs"},
        "uncertainty": {"kind": "likelihood", "robust": robust},
        "steps": 1000,
    }
    found = worth(load(graph))
    assert list(found.std_errors) == ["a", "b[0]", "b[1]"]
    assert list(found.std_errors.values()) == pytest.approx(told.bse.tolist(), rel=1e-6)
    assert np.array(list(found.intervals.values())) == pytest.approx(told.conf_int(), rel=1e-6)
    assert (found.aic, found.bic) == pytest.approx((told.aic, told.bic), rel=1e-9)


@pytest.mark.campaign
def test_statsmodels_has_the_same_negative_binomial(load: Load) -> None:
    """A likelihood of which a parameter is the dispersion, as the loss has it and written out."""
    api = pytest.importorskip("statsmodels.api", reason="the oracle is statsmodels: pip install -e '.[oracles]'")
    columns, eta = design()
    random = np.random.default_rng(2)
    y = random.poisson(np.exp(eta) * random.gamma(2, 0.5, len(eta))).astype(float)
    told = api.NegativeBinomial(y, api.add_constant(columns)).fit(disp=0, maxiter=2000, gtol=1e-5, method="bfgs")
    told = told.model.fit(told.params, disp=0, method="newton", tol=1e-12)
    # Of two logarithms of the gamma function at a distance of y, the difference is a sum of y logarithms.
    terms = int(y.max())
    counted = (np.arange(terms) < y[:, None]).astype(float)
    graph = {
        "parameters": {"a": 0, "b": [0, 0], "alpha": {"value": 1, "lower": 1e-6}},
        "constants": {"X": columns.tolist(), "y": y.tolist(), "counted": counted.tolist(), "k": list(range(terms))},
        "nodes": {
            "eta": "X @ b + a",
            "rising": "counted @ log(k + 1 / alpha)",
            "loss": "sum((y + 1 / alpha) * log(1 + alpha * exp(eta)) - y * (eta + log(alpha)) - rising)",
        },
        "minimize": "loss",
        "update": {"type": "lbfgs"},
        "uncertainty": "likelihood",
        "steps": 1000,
    }
    for loss in (graph["nodes"]["loss"], "negative_binomial_nll_loss(exp(eta), y, alpha, reduction='sum')"):
        graph["nodes"]["loss"] = loss
        found = worth(load(graph))
        assert list(found.std_errors.values()) == pytest.approx(told.bse.tolist(), rel=1e-6)


@pytest.mark.campaign
@pytest.mark.parametrize("robust", [False, True])
def test_statsmodels_has_the_same_linear_fit(load: Load, robust: bool) -> None:
    """Ordinary and weighted least squares: standard errors, intervals, R² and, with R's count, the criteria."""
    api = pytest.importorskip("statsmodels.api", reason="the oracle is statsmodels: pip install -e '.[oracles]'")
    columns, y = design()
    y = y + np.random.default_rng(3).normal(size=len(y)) * (1 + np.abs(columns[:, 0]))
    for weights in (np.ones_like(y), 1 / (1 + columns[:, 1] ** 2)):
        told = api.WLS(y, api.add_constant(columns), weights=weights)
        told = told.fit(cov_type="HC0", use_t=True) if robust else told.fit()
        graph = squares("a + X @ b", {"X": columns, "y": y, "w": np.sqrt(weights)}, {"a": 0, "b": [0, 0]})
        graph["nodes"]["residual"] = "w * (y - model)"
        graph["uncertainty"] = {"kind": "least_squares", "robust": robust, "level": 0.9}
        found = worth(load(graph))
        assert list(found.std_errors.values()) == pytest.approx(told.bse.tolist(), rel=1e-9)
        assert np.array(list(found.intervals.values())) == pytest.approx(told.conf_int(0.1), rel=1e-9)
        assert found.covariance == pytest.approx(told.cov_params(), rel=1e-8)
        assert found.r_squared == pytest.approx(told.rsquared, rel=1e-9)
        assert found.adjusted_r_squared == pytest.approx(told.rsquared_adj, rel=1e-9)
        # R counts the deviation; statsmodels adds half the logarithms of the weights to the likelihood.
        shift = float(np.log(weights).sum())
        assert found.aic == pytest.approx(told.aic + 2 + shift, rel=1e-9)
        assert found.bic == pytest.approx(told.bic + math.log(len(y)) + shift, rel=1e-9)


@pytest.mark.campaign
def test_statsmodels_has_the_same_bands(load: Load) -> None:
    """The standard error of the mean, its interval, and that of a new observation, on other rows than those fitted."""
    api = pytest.importorskip("statsmodels.api", reason="the oracle is statsmodels: pip install -e '.[oracles]'")
    columns, y = design(rows=30)
    y = y + np.random.default_rng(3).normal(size=len(y))
    new, _ = design(seed=9, rows=7)
    for name, rows, last in (("old", columns, y), ("new", new, np.zeros(len(new)))):
        np.savez(f"{name}.npz", x=rows, y=last)
    graph = squares("a + x @ b", {}, {"a": 0, "b": [0, 0]}, data={"file": "old.npz"})
    loaded = load(graph)
    loaded.run(save="fit.safetensors")
    told = api.OLS(y, api.add_constant(columns)).fit().get_prediction(api.add_constant(new)).summary_frame(0.05)
    (found,) = graphrun.load("graph.yaml", data="new.npz").predict("fit.safetensors", ["model"], band=True)
    pairs = {
        "model": "mean",
        "model.se": "mean_se",
        "model.low": "mean_ci_lower",
        "model.high": "mean_ci_upper",
        "model.prediction_low": "obs_ci_lower",
        "model.prediction_high": "obs_ci_upper",
    }
    assert list(found) == list(pairs)
    for ours, theirs in pairs.items():
        assert found[ours] == pytest.approx(told[theirs].to_numpy(), rel=1e-9)


@pytest.mark.campaign
def test_intervals_cover_what_they_promise(load: Load) -> None:
    """Of a thousand data sets drawn from a decay, 93 to 97 % of the 95 % intervals hold the true parameters."""
    from scipy.optimize import curve_fit

    random, x, true = np.random.default_rng(5), np.linspace(0, 4, 30), {"a": 5.0, "b": 0.8}
    graph = load(squares("a * exp(-b * x)", {"x": x, "y": x}, {"a": 4, "b": 1}))
    plan, entry = graph.plan(), graph.document.uncertainty
    assert entry is not None
    held = dict.fromkeys(true, 0)
    for _ in range(1000):
        y = true["a"] * np.exp(-true["b"] * x) + 0.3 * random.normal(size=len(x))
        # The graph is loaded once, and SciPy makes the fits, for what a run costs is not the question.
        fitted, _ = curve_fit(lambda x, a, b: a * np.exp(-b * x), x, y, [4, 1], xtol=1e-10)
        leaves = [*plan.leaves]
        leaves[plan.slots["y"]] = y
        found = uncertainty(Fit(replace(plan, leaves=leaves), None, entry, dict(zip(true, fitted, strict=True))))
        assert not found.notes
        for name, (low, high) in found.intervals.items():
            held[name] += low <= true[name] <= high
    assert all(930 <= count <= 970 for count in held.values()), held


# --- what must hold for every fit ------------------------------------------------------------------------------------


@given(
    scale=st.sampled_from([1e-170, 1e-12, 1e-3, 1.0, 1e5, 1e14, 1e170]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=examples(20))
def test_units_change_standard_errors_as_they_change_parameters(scale: float, seed: int) -> None:
    """What is fitted in other units is the same fit; names, R² and criteria do not change."""
    y = noisy(3 * X + 1, seed)
    found = []
    for unit in (1.0, scale):
        graph = squares("slope * unit * x + offset", {"x": X, "y": y, "unit": unit}, {"slope": 1 / unit, "offset": 0.5})
        found.append(worth(graphrun.load(Source("g.yaml", yaml.safe_dump(graph, sort_keys=False)))))
    one, other = found
    assert other.std_errors["slope"] * scale == pytest.approx(one.std_errors["slope"], rel=1e-7)
    assert other.std_errors["offset"] == pytest.approx(one.std_errors["offset"], rel=1e-7)
    assert (other.r_squared, other.aic) == pytest.approx((one.r_squared, one.aic), rel=1e-9)


@given(
    weights=st.lists(st.sampled_from([-3, -2, -1, 1, 2, 5]), min_size=2, max_size=4),
    kind=st.sampled_from(["least_squares", "likelihood"]),
)
@settings(max_examples=examples(20))
def test_what_is_not_determined_is_named(weights: list[int], kind: str) -> None:
    """Of parameters that count as one sum alone, every change that leaves the sum is open; the others stay."""
    names = [f"p{k}" for k in range(len(weights))]
    total = " + ".join(f"({weight}) * {name}" for weight, name in zip(weights, names, strict=True))
    y = noisy(2 * X + 1, 1)
    graph = squares(f"({total}) * x + c", {"x": X, "y": y}, {**dict.fromkeys(names, 0.3), "c": 0.0}, uncertainty=kind)
    if kind == "likelihood":
        graph |= {"update": {"type": "lbfgs"}}
    found = worth(graphrun.load(Source("g.yaml", yaml.safe_dump(graph, sort_keys=False))))
    assert len(found.undetermined) == len(names) - 1
    for text in found.undetermined:
        change = {name: eval(text, {}, {n: float(n == name) for n in names}) for name in names}  # noqa: S307
        assert sum(weight * change[name] for weight, name in zip(weights, names, strict=True)) == pytest.approx(0)
    assert all(math.isnan(found.std_errors[name]) for name in names)
    alone = worth(graphrun.load(Source("g.yaml", yaml.safe_dump(_without(graph, total), sort_keys=False))))
    assert found.std_errors["c"] == pytest.approx(alone.std_errors["c"], rel=1e-6)
    assert found.degrees_of_freedom == alone.degrees_of_freedom
    assert found.names == ("c",)


def _without(graph: dict[str, Any], total: str) -> dict[str, Any]:
    """Return the graph with one parameter in place of the sum."""
    model = graph["nodes"]["model"].replace(f"({total})", "p")
    return graph | {"parameters": {"p": 0.3, "c": 0.0}, "nodes": graph["nodes"] | {"model": model}}


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_a_mean_by_hand(load: Load) -> None:
    """Of 1, 2 and 6: the mean is 3, s² is 14 / 2, the standard error √(7 / 3); t of 2 degrees of freedom is 4.3027."""
    found = worth(load(squares("m + 0 * y", {"y": [1, 2, 6]}, {"m": 0})))
    assert found.residual_sd == pytest.approx(math.sqrt(7))
    assert found.std_errors == pytest.approx({"m": math.sqrt(7 / 3)})
    assert found.intervals["m"] == pytest.approx(
        (3 - 4.302652730 * math.sqrt(7 / 3), 3 + 4.302652730 * math.sqrt(7 / 3))
    )
    assert found.degrees_of_freedom == 2


NORMAL = """
parameters: {m: 0, s: 1}
nodes:
  a: (m - 1) ** 2 + (m - 2) ** 2 + (m - 6) ** 2
  f: -a / (2 * s ** 2) - 3 * log(s)
maximize: f
update: {type: UPDATE}
steps: 20000
uncertainty: likelihood
"""


@pytest.mark.campaign
@pytest.mark.parametrize("update", ["lbfgs", pytest.param("adam, step_size: 0.01", marks=pytest.mark.slow)])
def test_a_likelihood_by_hand(load: Callable[[str], Graph], update: str) -> None:
    """Of a normal distribution the standard errors are s / √n and s / √(2 n), whatever came to the maximum."""
    found = worth(load(NORMAL.replace("UPDATE", update)))
    deviation = math.sqrt(14 / 3)
    assert found.std_errors == pytest.approx({"m": deviation / math.sqrt(3), "s": deviation / math.sqrt(6)}, rel=1e-5)
    assert found.degrees_of_freedom is None
    assert found.bic is None


def test_an_element_close_to_its_bound_has_its_own_curvature(load: Load) -> None:
    """Differences do not go beyond a bound, be it nearer than their steps are long."""
    graph = {
        "parameters": {"b": {"value": [0.5, 1.5], "lower": 0}},
        "constants": {"y": [1e-5, 2.0], "s": [0.1, 0.3]},
        "nodes": {"loss": "sum(((b - y) / s) ** 2) / 2"},
        "minimize": "loss",
        "update": {"type": "lbfgs"},
        "uncertainty": "likelihood",
        "steps": 100,
    }
    assert worth(load(graph)).std_errors == pytest.approx({"b[0]": 0.1, "b[1]": 0.3}, rel=1e-6)


def test_elements_of_arrays_have_names(load: Load) -> None:
    """W[0,1] is that of row 0 and column 1; single precision has the same numbers."""
    columns, y = design(rows=30)
    graph = squares("X @ W @ [1, 1] + noise", {"X": columns, "y": y, "noise": noisy(0 * y, 1)}, {"W": [[0.0], [0.0]]})
    graph["nodes"]["model"] = "squeeze(X @ W, axis=1) + noise"
    found = worth(load(graph))
    assert list(found.std_errors) == ["W[0,0]", "W[1,0]"]
    single = worth(load(graph), dtype="float32")
    assert single.std_errors == pytest.approx(found.std_errors, rel=1e-4)


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_a_parameter_at_a_bound_is_left_out(load: Load, side: str) -> None:
    """The others are as if it were a constant."""
    bound = {"lower": 0.02, "upper": -0.02}[side]
    y = noisy(2 * np.exp(-1.3 * X), 0)
    y = y - y.mean() + (2 * np.exp(-1.3 * X)).mean() - (0.3 if side == "lower" else -0.3)
    bounded = squares(
        "a * exp(-1.3 * x) + c",
        {"x": X, "y": y},
        {"a": 1, "c": {"value": bound * 5, side: bound}},
    )
    found = worth(load(bounded))
    fixed = worth(load(squares(f"a * exp(-1.3 * x) + {bound}", {"x": X, "y": y}, {"a": 1})))
    assert found.left_out == {"c": f"at its {side} bound"}
    assert found.std_errors == pytest.approx(fixed.std_errors, rel=1e-6)
    assert found.degrees_of_freedom == fixed.degrees_of_freedom


def test_a_run_that_ends_early_says_so(load: Load) -> None:
    """How far the minimum is away is told in standard errors."""
    graph = squares("a * exp(-b * x)", {"x": X, "y": noisy(2 * np.exp(-X), 0)}, {"a": 1, "b": 3}, steps=1)
    assert any(note.startswith("this is no minimum yet: it is about") for note in worth(load(graph)).notes)


def test_nothing_tells_the_scatter_of_as_many_residuals_as_parameters(load: Load) -> None:
    """There are no standard errors, and it is said why; with known deviations there are."""
    graph = squares("a * x + b", {"x": [1.0, 2.0], "y": [1.0, 3.0]}, {"a": 1, "b": 0})
    found = worth(load(graph))
    assert all(math.isnan(error) for error in found.std_errors.values())
    assert "no more residuals than parameters" in found.notes[0]
    graph["uncertainty"] = {"kind": "least_squares", "absolute_sigma": True}
    assert worth(load(graph)).std_errors == pytest.approx({"a": math.sqrt(2), "b": math.sqrt(5)})


RESPONSES = {
    "y - model": True,
    "model - y": True,
    "w * (model - y)": True,
    "(y - model) / w": True,
    "-(model - y) * 2": True,
    "model - y + 3": True,
    "model - y + w": False,
    "y / model - 1": False,
    "log(model + 10) - y": True,
}


@pytest.mark.parametrize("residual", RESPONSES)
def test_the_response_is_found_where_there_is_one(load: Load, residual: str) -> None:
    """R² compares with the best constant in the model's place, which is fitted here by NumPy."""
    y, w = noisy(2 * X + 1, 1), 1 + X
    graph = squares("a * x + b", {"x": X, "y": y, "w": w}, {"a": 1, "b": 1})
    graph["nodes"]["residual"] = residual
    result = load(graph).run()
    found = result.uncertainty
    assert found is not None
    assert (found.r_squared is not None) == RESPONSES[residual]
    if RESPONSES[residual]:
        weight = {"w * (model - y)": w, "(y - model) / w": 1 / w, "-(model - y) * 2": 2 + 0 * w}.get(
            residual, 1 + 0 * w
        )
        rest = np.linalg.lstsq(weight[:, None], weight * y, rcond=None)[1]
        assert found.r_squared == pytest.approx(1 - float(np.sum(result.values["residual"] ** 2)) / float(rest[0]))


# --- what is refused -------------------------------------------------------------------------------------------------

WRONG = {
    "minimize": ({"uncertainty": "least_squares", "minimize": None}, "there is no objective"),
    "sgd": ({"update": {"type": "sgd"}}, "least_squares needs the residuals, which sgd does not name"),
    "kind": ({"uncertainty": "least_sqares"}, "did you mean 'least_squares'?"),
    "level": ({"uncertainty": {"kind": "likelihood", "level": 95}}, "write 0.95"),
    "sigma": ({"uncertainty": {"kind": "likelihood", "absolute_sigma": True}}, "goes with least_squares"),
    "key": ({"uncertainty": {"kind": "likelihood", "robst": True}}, "did you mean 'robust'?"),
    "no kind": ({"uncertainty": {"robust": True}}, "kind"),
    "null": ({"uncertainty": None}, "a value is needed here: 'uncertainty' takes"),
    "expect": ({"expect": {"std_errors": {"c": 1}}}, "parameter 'c' is unknown"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_in_the_section_are_told(load: Load, case: str) -> None:
    """Each with its place and the way out."""
    changes, message = WRONG[case]
    graph = squares("a * x", {"x": X, "y": X}, {"a": 1}) | changes
    graph = {key: value for key, value in graph.items() if value is not None or key == "uncertainty"}
    with pytest.raises(graphrun.GraphFileError, match=re.escape(message)):
        load(graph)


IMPOSSIBLE = {
    "mean": ("mean((a * x - y) ** 2)", {}, "is a mean over rows, and a log-likelihood is a sum"),
    "weighted mean": (
        "mean_squared_error(a * x, y, x)",
        {},
        "is a mean over rows, and a log-likelihood is a sum",
    ),
    "mean with a dispersion": (
        "negative_binomial_nll_loss(exp(a * x), round(y), exp(a))",
        {},
        "is a mean over rows, and a log-likelihood is a sum",
    ),
    "mean and penalty": (
        "mean((a * x - y) ** 2) + a ** 2",
        {},
        "is a mean over rows, and a log-likelihood is a sum",
    ),
    "penalty": ("sum((a * x - y) ** 2) + a ** 2", {"robust": True}, "is no sum of what stands in single rows"),
    "log of a sum": ("log(sum((a * x - y) ** 2))", {"robust": True}, "is no sum of what stands in single rows"),
    "two lengths": ("sum((a * x - y) ** 2) + sum((a * z) ** 2)", {"robust": True}, "sums of different numbers of rows"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_no_likelihood_is_refused_before_the_run(load: Load, case: str) -> None:
    """By name, with the way out."""
    loss, asked, message = IMPOSSIBLE[case]
    graph = squares("a * x", {"x": X, "y": X, "z": [1.0, 2.0]}, {"a": 0.5}, update={"type": "lbfgs"})
    graph |= {"nodes": {"loss": loss}, "uncertainty": {"kind": "likelihood", **asked}}
    with pytest.raises(graphrun.UsageError, match=message):
        load(graph).run()


@pytest.mark.parametrize("update", ["lbfgs", "adam"])
def test_what_is_frozen_has_no_uncertainty(load: Load, update: str) -> None:
    """Where nothing moves, there is none to tell."""
    frozen = {"a": {"value": 0.5, "frozen": True}}
    graph = squares("a * x", {"x": X, "y": X}, frozen, uncertainty="likelihood")
    with pytest.raises(graphrun.UsageError, match="there is no parameter"):
        load(graph | {"update": {"type": update}}).run()


def test_batches_have_no_uncertainty(load: Load) -> None:
    """It would be that of a few rows."""
    np.savez("data.npz", x=X, y=X)
    data = {"file": "data.npz", "batch_size": 8}
    graph = squares("a * x", {}, {"a": 0.5}, data=data, update={"type": "sgd"}, uncertainty="likelihood")
    with pytest.raises(graphrun.UsageError, match="leave out batch_size"):
        load(graph).run()


# --- how it is shown -------------------------------------------------------------------------------------------------


def test_the_table_and_the_json_have_it(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns beside the value, what is left out and not determined below; null for what is not known."""
    model = "(a + 2 * b) * x + c"
    load(squares(model, {"x": X, "y": noisy(3 * X - 1, 2)}, {"a": 1, "b": 1, "c": {"value": 0.5, "lower": 0}}))
    assert run_command(["graph.yaml"]) == 0
    table = capsys.readouterr().out
    assert re.search(r"value +± std. error +95% from +to +gradient", table)
    assert re.search(r"^a +\S+ +not determined +\S+$", table, re.MULTILINE)
    assert "not determined: 2*a - b" in table
    assert "left out: c: at its lower bound" in table
    assert run_command(["graph.yaml", "--format", "json", "--set", "uncertainty.level=0.9"]) == 0
    found = json.loads(capsys.readouterr().out)["uncertainty"]
    assert found["kind"] == "least_squares"
    assert found["level"] == 0.9
    assert found["std_errors"] == {"a": None, "b": None}
    assert found["intervals"] == {"a": [None, None], "b": [None, None]}
    assert found["covariance"] == {"names": [], "matrix": []}
    assert found["undetermined"] == ["2*a - b"]
    assert found["left_out"] == {"c": "at its lower bound"}
    keys = "degrees_of_freedom residual_sd r_squared adjusted_r_squared aic bic correlations notes"
    assert set(keys.split()) <= set(found)


@pytest.mark.parametrize("command", [["explain", "--step", "1"], ["report", "-o", "page.html"]])
def test_pages_say_what_a_fit_is_worth(load: Load, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """The explanation of a step, and the report."""
    load(squares("a * x + b", {"x": X, "y": noisy(3 * X - 1, 2)}, {"a": 1, "b": 1}))
    assert run_command([command[0], "graph.yaml", *command[1:]]) == 0
    shown = capsys.readouterr().out if command[0] == "explain" else Path("page.html").read_text(encoding="utf-8")
    assert re.search(r"[Rr]esidual standard deviation", shown)
    assert "± std. error" in shown


def test_bands_need_a_fit(load: Load) -> None:
    """The way out is told."""
    np.savez("data.npz", x=X, y=X)
    graph = squares("a * x", {}, {"a": 0.5}, data={"file": "data.npz"})
    del graph["uncertainty"]
    loaded = load(graph)
    loaded.run(save="fit.safetensors")
    with pytest.raises(graphrun.UsageError, match="write uncertainty: least_squares"):
        next(loaded.predict("fit.safetensors", ["model"], band=True))


def test_bands_of_a_likelihood_are_written(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """By the delta method, with no band of new observations; a row of an array has a column for each element."""
    columns, eta = design(rows=40)
    y = (np.random.default_rng(1).random(40) < 1 / (1 + np.exp(-eta))).astype(float)
    np.savez("data.npz", x=columns, y=y)
    graph = squares("x @ b + a", {}, {"a": 0, "b": [0.0, 0.0]}, data={"file": "data.npz"})
    graph["nodes"] = {
        "eta": "x @ b + a",
        "share": "sigmoid(eta)",
        "both": "stack(eta, share, axis=1)",
        "loss": "binary_cross_entropy_with_logits(eta, y, reduction='sum')",
    }
    loaded = load(graph | {"update": {"type": "newton_cg"}, "uncertainty": "likelihood"})
    covariance = worth(loaded, save="fit.safetensors").covariance
    (found,) = loaded.predict("fit.safetensors", ["eta", "share"], band=True)
    assert list(found) == [name + end for name in ("eta", "share") for end in ("", ".se", ".low", ".high")]
    rows = np.column_stack([np.ones(40), columns])
    error = np.sqrt(np.einsum("ij,jk,ik->i", rows, covariance, rows))
    assert found["eta.se"] == pytest.approx(error, rel=1e-6)
    assert found["share.se"] == pytest.approx(error * found["share"] * (1 - found["share"]), rel=1e-6)
    assert found["eta.high"] - found["eta"] == pytest.approx(1.959963984540054 * error, rel=1e-6)
    assert run_command(["predict", "graph.yaml", "--resume", "fit.safetensors", "--output", "both", "--band"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split(",")[:4] == ["both[0]", "both[1]", "both.se[0]", "both.se[1]"]


def test_ctrl_c_ends_what_comes_after_the_fit(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameters are there, and what they are worth is not."""
    graph = squares("a * x + b", {"x": X, "y": noisy(3 * X - 1, 2)}, {"a": 1, "b": 1}, uncertainty="likelihood")
    loaded, ended, run = load(graph | {"update": {"type": "lbfgs"}}), [], preparation.run

    def then_ctrl_c(*given: Any) -> Result:
        result = run(*given)
        ended.append(result.stopped)
        return result

    monkeypatch.setattr(preparation, "run", then_ctrl_c)
    result = loaded.answer(RunRequest(interrupted=lambda: bool(ended)))
    assert ended[0].startswith("lbfgs: ")
    assert result.stopped == "interrupted"
    assert result.uncertainty is None
    assert result.parameters["a"] == pytest.approx(3, abs=0.2)
    with pytest.raises(KeyboardInterrupt):
        loaded.intervals(interrupted=lambda: bool(ended))
