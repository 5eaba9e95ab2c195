"""NIST's certified nonlinear fits (Statistical Reference Datasets): 27 problems, each from two starts.

The files hold the numbers that NIST publishes: the data, the starts, the certified parameters and their standard
deviations, the certified residual sum of squares, all certified to 11 digits (https://www.itl.nist.gov/div898/strd/).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from graphrun.api import Graph

Load = Callable[[dict[str, Any]], Graph]

PROBLEMS = [json.loads(file.read_text()) for file in sorted((Path(__file__).parent / "nist").glob("*.json"))]
FITS = [
    # The first start of a problem is far off, and takes long.
    pytest.param(problem, start, id=f"{problem['name']}-{start + 1}", marks=[pytest.mark.campaign] * (start == 0))
    for problem in PROBLEMS
    for start in (0, 1)
]
LEAST_SQUARES = {"type": "least_squares", "residual": "residual"}


def graph(problem: dict[str, Any], start: int, update: dict[str, Any]) -> dict[str, Any]:
    """Return the graph file of a fit."""
    return {
        "parameters": problem["starts"][start],
        "constants": problem["data"],
        "nodes": {
            "observed": problem["observed"],
            "model": problem["model"],
            "residual": "observed - model",
            "squares": "sum(residual**2)",
        },
        "minimize": "squares",
        "update": update,
        "steps": 20_000,
    }


def accuracy(problem: dict[str, Any]) -> float:
    """Return how well a residual sum of squares can be known: six digits, or what rounding leaves of them.

    Residuals are differences of numbers of the data's size, each rounded by up to one part in 2^52. Of Lanczos1, whose
    residuals are of size 1e-13, that leaves two digits.
    """
    rounding = np.finfo(np.float64).eps * np.linalg.norm(problem["data"]["y"])
    return float(1e-6 + 2 * rounding / np.sqrt(problem["residual_sum_of_squares"]))


def is_reached(problem: dict[str, Any], squares: float) -> bool:
    """Whether a fit is the certified one."""
    certified = problem["residual_sum_of_squares"]
    return abs(squares - certified) <= accuracy(problem) * certified


def test_there_are_27_problems() -> None:
    """None of them got lost."""
    assert len(PROBLEMS) == 27
    assert sorted(problem["level"] for problem in PROBLEMS) == ["average"] * 11 + ["higher"] * 8 + ["lower"] * 8


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "start"), FITS)
def test_least_squares_reaches_every_certified_fit(load: Load, problem: dict[str, Any], start: int) -> None:
    """The residual sum of squares has six digits of the certified one; the parameters are those certified."""
    result = load(graph(problem, start, LEAST_SQUARES)).run()
    assert result.objective is not None
    assert result.stopped.startswith("least_squares: ")
    assert is_reached(problem, result.objective.value)
    for name, certified in problem["certified"].items():
        assert result.parameters[name] == pytest.approx(certified, abs=1e-4 * problem["deviations"][name], rel=1e-6)


OTHERS = [problem for problem in PROBLEMS if problem["name"] not in {"Lanczos1", "Lanczos2"}]
"""Those two are Lanczos3 with more digits of the data, and take a third of the time of all."""


@pytest.mark.campaign(seconds=5)
@pytest.mark.parametrize(
    ("solver", "levels", "starts", "least"),
    [
        ("newton_cg", {"lower", "average"}, [1], 15),
        ("lbfgs", {"lower", "average"}, [1], 13),
        pytest.param("newton_cg", {"lower", "average", "higher"}, [0, 1], 44, marks=pytest.mark.nightly),
        pytest.param("lbfgs", {"lower", "average", "higher"}, [0, 1], 38, marks=pytest.mark.nightly),
    ],
)
def test_the_general_solvers_reach_most(
    load: Load, solver: str, levels: set[str], starts: list[int], least: int
) -> None:
    """They do not know that the objective is a sum of squares, and still reach nearly all: 54 and 49 of 54 fits."""
    problems = [problem for problem in OTHERS if problem["level"] in levels]
    results = [
        (problem, load(graph(problem, start, {"type": solver})).run()) for problem in problems for start in starts
    ]
    reached = [is_reached(problem, result.objective.value) for problem, result in results if result.objective]
    assert sum(reached) >= least


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("name", "start"),
    [("Eckerle4", 0), *(pytest.param(*case, marks=pytest.mark.nightly) for case in (("ENSO", 0), ("Lanczos3", 1)))],
)
def test_several_starts_reach_what_one_does_not(load: Load, name: str, start: int) -> None:
    """From these of NIST's starts `lbfgs` ends elsewhere, and from five the certified fit is found."""
    problem = next(problem for problem in PROBLEMS if problem["name"] == name)
    alone, several = (load(graph(problem, start, {"type": "lbfgs", "starts": n})).run() for n in (1, 5))
    assert alone.objective is not None
    assert several.objective is not None
    assert not is_reached(problem, alone.objective.value)
    assert is_reached(problem, several.objective.value)


def test_the_oscillation_is_certified() -> None:
    """What `graphs/oscillation.yaml` expects is what NIST certifies, and its data are NIST's."""
    problem = next(problem for problem in PROBLEMS if problem["name"] == "ENSO")
    graphs = Path(__file__).parents[2] / "graphs"
    rows = [line.split(",") for line in (graphs / "data" / "enso.csv").read_text(encoding="utf-8").split()[1:]]
    assert [float(month) for month, _ in rows] == problem["data"]["x"]
    assert [float(pressure) for _, pressure in rows] == problem["data"]["y"]
    expected = yaml.safe_load((graphs / "oscillation.yaml").read_text(encoding="utf-8"))["expect"][0]["values"]
    assert [*expected.values()] == [*problem["certified"].values(), problem["residual_sum_of_squares"]]
