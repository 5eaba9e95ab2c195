"""Several starts of a solver: published functions of many minima, whose best one is known."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize

import graphrun
from graphrun.api import Graph
from graphrun.declare.solver import Solver
from graphrun.engines.scipy.starts import drawn
from graphrun.solvers import SOLVERS

Load = Callable[[dict[str, Any]], Graph]

RASTRIGIN: dict[str, Any] = {
    "parameters": {"x": {"value": [2.1, -1.9], "lower": -2.5, "upper": 2.5}},
    "nodes": {"f": "20 + sum(x ** 2 - 10 * cos(2 * 3.141592653589793 * x))"},
    "minimize": "f",
    "steps": 10000,
}
ACKLEY: dict[str, Any] = {
    "parameters": {"x": {"value": [2.9, 2.9], "lower": -3, "upper": 3}},
    "nodes": {
        "f": "-20 * exp(-0.2 * sqrt(mean(x ** 2) + 1e-30)) - exp(mean(cos(2 * 3.141592653589793 * x))) "
        "+ 20 + 2.718281828459045",
    },
    "minimize": "f",
    "steps": 10000,
}
# Shekel's function with 10 foxholes (Dixon and Szegő, 1978): -10.5364 near (4, 4, 4, 4).
HOLES = [[4, 4, 4, 4], [1, 1, 1, 1], [8, 8, 8, 8], [6, 6, 6, 6], [3, 7, 3, 7], [2, 9, 2, 9], [5, 5, 3, 3], [8, 1, 8, 1]]
HOLES += [[6, 2, 6, 2], [7, 3.6, 7, 3.6]]
SHEKEL: dict[str, Any] = {
    "parameters": {"x": {"value": [8.2, 7.7, 8.9, 7.5], "lower": 0, "upper": 10}},
    "constants": {"holes": HOLES, "c": [0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5]},
    "nodes": {"f": "-sum(1 / (sum((x - holes) ** 2, axis=1) + c))"},
    "minimize": "f",
    "steps": 10000,
}
KNOWN = [
    pytest.param(RASTRIGIN, 0.0, id="rastrigin"),
    pytest.param(ACKLEY, 0.0, id="ackley", marks=pytest.mark.campaign),
    pytest.param(SHEKEL, -10.536409816692, id="shekel", marks=pytest.mark.campaign),
]


def many(data: dict[str, Any], starts: int = 30, **sections: Any) -> dict[str, Any]:
    """Return a graph that is minimized from many starts."""
    return {**data, "update": {"type": "lbfgs", "starts": starts}, **sections}


@pytest.mark.slow
@pytest.mark.parametrize(("data", "minimum"), KNOWN)
def test_published_functions(load: Load, data: dict[str, Any], minimum: float) -> None:
    """One start ends at another minimum, thirty come to the best; the objective falls from row to row."""
    alone = load(many(data, 1)).run()
    result = load(many(data)).run(every=1)
    assert alone.values["f"] > minimum + 0.1
    assert result.values["f"] == pytest.approx(minimum, abs=1e-7)
    assert np.all(np.diff(result.history["f"]) < 0)
    assert result.steps == len(result.history["f"]) - 1
    assert " of 30 starts came to this place" in result.stopped


@pytest.mark.slow
def test_how_many_came_there_is_right(load: Load) -> None:
    """A function of two wells, of which each start falls into its own: as many as have it on their side."""
    data = {
        "parameters": {"x": {"value": -0.5, "lower": -2, "upper": 2}},
        "nodes": {"f": "(x ** 2 - 1) ** 2 + 0.1 * x"},
        "minimize": "f",
        "steps": 10000,
    }
    result = load(many(data, 40)).run()
    wanted = optimize.minimize_scalar(lambda x: (x * x - 1) ** 2 + 0.1 * x, bounds=(-2, 0), options={"xatol": 1e-12})
    assert result.parameters["x"] == pytest.approx(wanted.x, abs=1e-7)
    here = int(result.stopped.partition("; ")[2].partition(" of ")[0])
    assert 10 <= here <= 30


def test_minima_that_are_as_good(load: Load) -> None:
    """Two places of one value are two places."""
    data = {
        "parameters": {"x": {"value": 0.3, "lower": -2, "upper": 2}},
        "nodes": {"f": "(x ** 2 - 1) ** 2"},
        "minimize": "f",
        "steps": 10000,
    }
    stopped = load(many(data, 20)).run().stopped
    here, _, others = stopped.partition("; ")[2].partition(" of 20 starts came to this place, ")
    assert others.endswith(" to others as good")
    assert int(here) + int(others.split()[0]) == 20


@pytest.mark.parametrize("solver", ["lbfgs", "newton_cg", "least_squares"])
def test_every_solver_has_them(load: Load, solver: str) -> None:
    """A start from which a fit fails is made good by others, and one minimum is found by all."""
    data = {
        "parameters": {"a": 1.0, "b": 2.0},
        "nodes": {"r": "stack(a - 3, b - a + 1)", "f": "sum(r ** 2)"},
        "minimize": "f",
        "update": {"type": solver, "starts": 4} | ({"residual": "r"} if solver == "least_squares" else {}),
        "steps": 500,
    }
    result = load(data).run()
    assert result.parameters == pytest.approx({"a": 3, "b": 2}, rel=1e-6)
    assert result.stopped.startswith(f"{solver}: ")
    assert result.stopped.endswith("; 4 of 4 starts came to this place")


def test_a_solver_of_ones_own(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """A declared solver gets starts for nothing, and of one that goes astray the best point is kept."""
    begun = []

    def wandering(problem: Any) -> str:
        """Go to 0, and away from it."""
        begun.append(float(problem.start[0]))
        for point in (problem.start * 0.5, problem.start * 0.0, problem.start * 3.0):
            problem.iteration(point)
        return "it went away"

    monkeypatch.setitem(SOLVERS, "wandering", Solver(wandering))
    data = {"parameters": {"x": 2.0}, "nodes": {"f": "x ** 2"}, "minimize": "f", "steps": 9}
    result = load({**data, "update": {"type": "wandering", "starts": 3}}).run(every=1)
    assert (begun[0], len(set(begun))) == (2.0, 3)
    assert result.parameters["x"] == 0
    assert result.history["x"].tolist() == [2, 1, 0]
    assert result.stopped == "wandering: it went away; 3 of 3 starts came to this place"


# --- where the starts are --------------------------------------------------------------------------------------------


def starts_of(load: Load, parameters: dict[str, Any], count: int, **given: Any) -> list[dict[str, Any]]:
    """Return where a solver begins, by the names of parameters."""
    begun: list[Any] = []

    def noting(problem: Any) -> str:
        """Note the start."""
        begun.append(problem.start.copy())
        return "noted"

    solver = Solver(noting)
    SOLVERS["noting"] = solver
    try:
        terms = " + ".join(f"sum({name} ** 2)" for name in parameters)
        data = {"parameters": parameters, "nodes": {"f": terms}, "minimize": "f"}
        graph = load({**data, "update": {"type": "noting", "starts": count}, **given})
        first = graph.run(1).parameters
    finally:
        del SOLVERS["noting"]
    ends = np.cumsum([np.size(value) for value in first.values()])[:-1]
    return [dict(zip(first, np.split(start, ends), strict=True)) for start in begun]


@pytest.mark.slow
def test_draws(load: Load) -> None:
    """Within bounds uniformly, by the initializer where there is one, else around the value by its own size."""
    parameters = {
        "within": {"value": 1.0, "lower": 0, "upper": 10},
        "above": {"value": 1.0, "lower": 0.5},
        "free": -300.0,
        "zero": 0.0,
        "drawn": {"shape": [3], "init": {"type": "uniform", "low": 7, "high": 8}},
        "zeros": {"shape": [2], "init": "zeros", "lower": [-1, -2], "upper": [1, 2]},
    }
    begun = starts_of(load, {**parameters, "wide": {"value": 0, "lower": -1e150, "upper": 1e150}}, 400)
    assert len(begun) == 400
    own = {"within": 1, "above": 1, "free": -300, "zero": 0}
    assert {name: begun[0][name][0] for name in own} == own
    column = {name: np.array([start[name] for start in begun[1:]]) for name in begun[0]}
    assert column["within"].min() < 0.5
    assert column["within"].max() > 9.5
    assert column["within"].mean() == pytest.approx(5, abs=0.6)
    assert column["above"].min() >= 0.5
    assert len(np.unique(column["above"])) > 390
    assert column["free"].mean() == pytest.approx(-300, abs=60)
    assert column["free"].std() == pytest.approx(300, rel=0.2)
    assert column["zero"].std() == pytest.approx(1, rel=0.2)
    assert np.all((column["drawn"] >= 7) & (column["drawn"] < 8))
    assert np.all(np.abs(column["zeros"]) <= [1, 2])
    assert np.abs(column["zeros"]).max(axis=0) == pytest.approx([1, 2], rel=0.05)
    assert np.abs(column["wide"]).max() > 1e149


@pytest.mark.slow
def test_the_seed_decides_them(load: Load) -> None:
    """The same seed makes the same run, another seed another; a further parameter changes no draw."""
    one, again = (starts_of(load, {"a": 1.0}, 5, seed=3) for _ in range(2))
    other, beside = starts_of(load, {"a": 1.0}, 5, seed=4), starts_of(load, {"b": 2.0, "a": 1.0}, 5, seed=3)
    assert one == again
    assert one[1:] != other[1:]
    assert [start["a"] for start in beside] == [start["a"] for start in one]
    graph = load(many(RASTRIGIN, 10))
    first, second = graph.run(), graph.run()
    assert (first.parameters["x"].tolist(), first.stopped) == (second.parameters["x"].tolist(), second.stopped)


@pytest.mark.slow
@settings(max_examples=examples(50))
@given(
    value=st.floats(-1e6, 1e6),
    below=st.none() | st.floats(0, 1e6),
    above=st.none() | st.floats(0, 1e6),
    seed=st.integers(0, 2**40),
)
def test_no_start_is_beyond_a_bound(
    tmp_path_factory: pytest.TempPathFactory, value: float, below: float | None, above: float | None, seed: int
) -> None:
    """Whatever the bounds are."""
    parameter: dict[str, Any] = {"value": value}
    lower, upper = (-np.inf if below is None else value - below), (np.inf if above is None else value + above)
    parameter |= {"lower": lower} if below is not None else {}
    parameter |= {"upper": upper} if above is not None else {}
    data = {"parameters": {"x": parameter}, "nodes": {"f": "x ** 2"}, "minimize": "f", "seed": seed}
    file = tmp_path_factory.getbasetemp() / "bounded.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    plan = graphrun.load(file).plan()
    with np.errstate(all="ignore"):
        assert all(lower <= float(drawn(plan, number)[0]) <= upper for number in range(1, 5))


# --- starts that come to nothing, and the way out --------------------------------------------------------------------


def test_a_start_without_a_finite_objective(load: Load) -> None:
    """It is left out and counted; the file's own start has to be finite, as ever."""
    data = {"parameters": {"x": 0.3}, "nodes": {"f": "x - log(x)"}, "minimize": "f", "steps": 1000}
    result = load(many(data, 30)).run()
    # Drawn around 0.3 by 0.3: one of six or seven is below 0.
    here, _, rest = result.stopped.partition("; ")[2].partition(" of 30 starts came to this place, ")
    skipped = int(rest.split()[0])
    assert rest == f"{skipped} had no finite objective to begin with"
    assert 1 <= skipped <= 12
    assert int(here) == 30 - skipped
    with pytest.raises(graphrun.NotFiniteError, match="step 0"):
        load(many({**data, "parameters": {"x": -1.0}}, 30)).run()


@pytest.mark.slow
@pytest.mark.parametrize("rule", [{"gradient_norm": 1e-3}, {"change": 1e-4}])
def test_a_stop_rule_ends_a_start(load: Load, rule: dict[str, float]) -> None:
    """And the next one begins: the run ends after all of them, at the best."""
    result = load(many(RASTRIGIN, stop=rule)).run()
    assert result.values["f"] < 0.01
    assert " of 30 starts came to this place" in result.stopped


def test_a_value_ends_the_run(load: Load) -> None:
    """As soon as one start has it."""
    result = load(many(RASTRIGIN, stop={"value": 5.0})).run()
    assert result.stopped == "value"
    assert 1e-3 < result.values["f"] <= 5


@pytest.mark.slow
def test_an_interruption_keeps_the_best(load: Load) -> None:
    """Also within a start that comes to nothing, of which no row is shown; resumed, a run gets as far as any."""
    ends, looks = load(many(SHEKEL, 8)).run(), iter(range(10**9))
    for patience in (1, 3):
        early = load(many(SHEKEL, 8)).try_run(interrupted=lambda most=patience: next(looks) % 50 > most)
        assert early.stopped == "interrupted"
        assert early.values["f"] >= ends.values["f"]
        assert early.values["f"] == min(early.history["f"])


@pytest.mark.slow
def test_resume(load: Load, tmp_path: Path) -> None:
    """The starts begin anew from the best that was found, which no run makes worse."""
    graph = load(many(RASTRIGIN))
    early = graph.run(4, save=tmp_path / "c")
    result = graph.run(resume=tmp_path / "c")
    assert result.values["f"] < early.values["f"]
    assert result.values["f"] == pytest.approx(0, abs=1e-7)


def test_no_thread_is_left(load: Load) -> None:
    """However a run of several starts ends."""
    before = threading.active_count()
    graph = load(many(RASTRIGIN, 5))
    for steps in (0, 1, 3, 1000):
        graph.run(steps)
    assert threading.active_count() == before


@pytest.mark.parametrize("starts", [0, -1, 1.5, "many", True, None, [3]])
def test_what_is_no_number_of_starts(load: Load, starts: Any) -> None:
    """It is a mistake of the file, with its place; an update rule has no starts."""
    with pytest.raises(graphrun.GraphFileError, match=r"graph\.yaml:\d+:\d+: 'starts' takes how many"):
        load({**RASTRIGIN, "update": {"type": "lbfgs", "starts": starts}})
    with pytest.raises(graphrun.GraphFileError, match="starts"):
        load({**RASTRIGIN, "update": {"type": "sgd", "starts": 3}})


def test_a_whole_number_as_yaml_has_it(load: Load) -> None:
    """1e1 is ten, as it is of steps."""
    assert "of 10 starts" in load({**RASTRIGIN, "update": {"type": "lbfgs", "starts": 1e1}}).run().stopped


def test_a_setting_called_starts() -> None:
    """A solver cannot declare one: it has it already."""

    def own(problem: Any, *, starts: int = 3) -> str:
        return f"{problem} {starts}"

    with pytest.raises(graphrun.DeclarationError, match="starts"):
        Solver(own).check_declaration()


@pytest.mark.campaign
@settings(max_examples=examples(20))
@given(
    weights=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    start=st.floats(-3, 3),
    solver=st.sampled_from(["lbfgs", "newton_cg"]),
)
@example(weights=[1.0, 0.0, 0.0, 0.0], start=1.0, solver="lbfgs")  # others of its starts end lower
def test_more_starts_are_never_worse(
    tmp_path_factory: pytest.TempPathFactory, weights: list[float], start: float, solver: str
) -> None:
    """The first start is the file's own, so what one start finds is among what several find."""
    a, b, c, d = weights
    data = {
        "parameters": {"x": start, "y": -start},
        "nodes": {"f": f"{a} * sin(3 * x) + {b} * cos(2 * y) + {c} * sin(x * y) + {d} * x + 0.2 * (x ** 2 + y ** 2)"},
        "minimize": "f",
        "steps": 10_000,
    }
    file, found = tmp_path_factory.getbasetemp() / "waves.yaml", []
    for starts in (1, 6):
        file.write_text(yaml.safe_dump({**data, "update": {"type": solver, "starts": starts}}), encoding="utf-8")
        # Each row: of so many steps only some would be recorded, and the last one, which is another in each run.
        found.append(graphrun.load(file).run(every=1))
    alone, several = found
    assert several.values["f"] <= alone.values["f"]
    assert several.history["f"].tolist() == sorted(several.history["f"], reverse=True)
    # The rows of the file's own start come first, as they do alone.
    own = falling(alone.history["f"].tolist())
    assert falling(several.history["f"].tolist())[: len(own)] == pytest.approx(own, rel=1e-9)


def falling(rows: list[float]) -> list[float]:
    """The rows that are lower than the one before by more than rounding, which the length of a run may depend on."""
    kept = rows[:1]
    for row in rows[1:]:
        if row < kept[-1] - 1e-6 * abs(kept[-1]) - 1e-9:
            kept.append(row)
    return kept
