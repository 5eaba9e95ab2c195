"""Sets of data as packages have them, each in a graph file of under forty lines, and what other programs make of them.

`airquality`, `co2` and `titanic` are examples in `graphs/`, whose `expect` is checked with the others; here their
predictions and their held-back rows are compared, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.run.api import Graph

ROOT = Path(__file__).parents[2]
SETS = ROOT / "tests" / "data" / "sets"
pytestmark = pytest.mark.campaign


def frame(path: Path) -> Any:
    """Return a CSV file as pandas has it."""
    import pandas

    return pandas.read_csv(path)


def held(graph: Graph) -> np.ndarray[Any, Any]:
    """Return of each row that is used whether it is held back."""
    data = graph.source.open(0)
    assert data is not None
    return data._held  # type: ignore[attr-defined, no-any-return]


def test_airquality(tmp_path: Path) -> None:
    """A pipeline of scikit-learn's gives the same predictions, for days without ozone too."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    graph = graphrun.load(ROOT / "graphs/airquality.yaml")
    graph.run(save=tmp_path / "c")
    (piece,) = graph.predict(tmp_path / "c", ["guess"], carried=["Month", "Day"])
    days = frame(ROOT / "graphs/data/airquality.csv")
    weather, known = days[["Solar.R", "Wind", "Temp"]], days.Ozone.notna()
    model = make_pipeline(SimpleImputer(), StandardScaler(), LinearRegression()).fit(weather[known], days.Ozone[known])
    assert piece["guess"] == pytest.approx(model.predict(weather), rel=1e-10)
    assert piece["Month"].tolist() == [str(month) for month in days.Month]
    assert graph.evaluate(tmp_path / "c").values["share"] == pytest.approx(
        model.score(weather[known], days.Ozone[known])
    )


def test_co2() -> None:
    """On the last tenth of the weeks, statsmodels has the same error, given pandas' dates."""
    import pandas
    import statsmodels.api

    weeks = frame(ROOT / "graphs/data/co2.csv").dropna()
    day = pandas.to_datetime(weeks.date.astype(str))
    start, end = (pandas.to_datetime({"year": day.dt.year + more, "month": 1, "day": 1}) for more in (0, 1))
    since = day.dt.year + (day - start) / (end - start) - 1980 + 0.00137
    turns = 2 * np.pi * np.column_stack([since, 2 * since])
    terms = np.column_stack([np.ones(len(since)), since / 10, (since / 10) ** 2, np.sin(turns), np.cos(turns)])
    late = np.arange(len(weeks)) >= len(weeks) - int(len(weeks) / 10 + 0.5)
    fit = statsmodels.api.OLS(weeks.co2[~late], terms[~late]).fit()
    error = weeks.co2[late] - terms[late] @ fit.params.to_numpy()
    graph = graphrun.load(ROOT / "graphs/co2.yaml")
    assert held(graph).tolist() == late.tolist()
    assert graph.run().holdout["loss"] == pytest.approx((error**2).mean(), rel=1e-9)


def test_titanic() -> None:
    """By statsmodels' Logit; among those held back, the share of survivors is that of all."""
    import statsmodels.api

    people = frame(ROOT / "graphs/data/titanic.csv")
    graph = graphrun.load(ROOT / "graphs/titanic.yaml")
    result, back = graph.run(), held(graph)
    survived = (people.survived == "yes").to_numpy()
    assert back.sum() == 327
    assert survived[back].mean() == pytest.approx(survived.mean(), abs=1 / 327)
    age = people.age.fillna(people.age[~back].mean())
    age = (age - age[~back].mean()) / age[~back].std(ddof=0)
    terms = [people.passengerClass == name for name in ("1st", "2nd", "3rd")]
    terms += [age, people.age.isna(), people.sex == "female"]
    table = np.column_stack(terms).astype(float)
    fit = statsmodels.api.Logit(survived[~back], table[~back]).fit(disp=0, tol=1e-14)
    assert np.concatenate([*(result.parameters[n] for n in ("of_rank", "of_age")), [result.parameters["of_sex"]]]) == (
        pytest.approx(fit.params, abs=1e-6)
    )
    right = (fit.predict(table[back]) > 0.5) == survived[back]
    assert result.holdout["accuracy"] == pytest.approx(right.mean())


FLIGHTS = f"""
data:
  file: {SETS}/flights.csv
  columns: {{year: year, month: {{column: month, one_hot: true}}, passengers: passengers}}
  holdout: {{share: 0.25, time: year}}
parameters:
  growth: 0
  of_month: {{shape: [month], init: zeros}}
nodes:
  guess: growth * (year - 1955) + month @ of_month
  residual: guess - log(passengers)
  loss: mean(residual ** 2)
minimize: loss
update: {{type: least_squares, residual: residual}}
steps: 20
record: [loss]
"""


def test_flights() -> None:
    """By a formula of statsmodels'; the last three years are held back, and no year is cut."""
    import statsmodels.formula.api

    months = frame(SETS / "flights.csv")
    late = months.year >= 1958
    graph = graphrun.loads(FLIGHTS)
    assert held(graph).tolist() == late.tolist()
    fit = statsmodels.formula.api.ols("np.log(passengers) ~ 0 + I(year - 1955) + C(month)", months[~late]).fit()
    result = graph.run()
    names = sorted(months.month.unique())
    assert result.parameters["of_month"] == pytest.approx(
        fit.params[[f"C(month)[{name}]" for name in names]].to_numpy()
    )
    assert result.parameters["growth"] == pytest.approx(fit.params["I(year - 1955)"])
    error = np.log(months.passengers[late]) - fit.predict(months[late])
    assert result.holdout["loss"] == pytest.approx((error**2).mean(), rel=1e-8)


HITTERS = f"""
data:
  file: {SETS}/hitters.csv
  missing: drop
  columns:
    numbers: {{columns: [AtBat, Hits, HmRun, R*, Walks, Years, "C*", PutOuts, Assists, Errors], standardize: true}}
    league: {{column: League, one_hot: true}}
    division: {{column: Division, categories: auto}}
    salary: Salary
parameters:
  weights: {{shape: [numbers], init: zeros}}
  of_league: {{shape: [league], init: zeros}}
  of_division: 0
  bias: 0
constants: {{alpha: 3}}
nodes:
  guess: numbers @ weights + league @ of_league + division * of_division + bias
  penalty: sum(weights ** 2) + sum(of_league ** 2) + of_division ** 2
  loss: sum((guess - salary) ** 2) + alpha * penalty
minimize: loss
update: {{type: newton_cg}}
steps: 50
"""


def test_hitters() -> None:
    """scikit-learn's ridge regression of the players whose salary is known."""
    from sklearn.linear_model import Ridge

    players = frame(SETS / "hitters.csv").dropna()
    numbers = players.select_dtypes("number").drop(columns="Salary").to_numpy(float)
    numbers = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    table = np.column_stack([numbers, players.League == "A", players.League == "N", players.Division == "W"])
    model = Ridge(alpha=3, tol=1e-12).fit(table.astype(float), players.Salary)
    graph = graphrun.loads(HITTERS)
    assert any("59 of 322 rows are left out, for" in note for note in graph.notes())
    result = graph.run()
    found = [*result.parameters["weights"], *result.parameters["of_league"], result.parameters["of_division"]]
    assert found == pytest.approx(model.coef_, rel=1e-5)
    assert result.parameters["bias"] == pytest.approx(model.intercept_, rel=1e-6)
