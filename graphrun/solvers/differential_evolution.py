"""Differential evolution: a search of all that is within bounds, for objectives with many minima."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from graphrun.base.memory import check_memory
from graphrun.base.types import NotNegative, Positive
from graphrun.declare.solver import Problem, Vector, solver
from graphrun.solvers.least_squares import least_squares
from graphrun.solvers.quasi_newton import lbfgs
from graphrun.solvers.scaling import power_of_two

TOGETHER = math.sqrt(np.finfo(np.float64).eps)
"""How wide a population is, in parts of the bounds, that has nothing left to find."""

POPULATIONS = 4
"""How many arrays of the population's size SciPy holds at once."""


@solver(needs_bounds=True)
def differential_evolution(
    problem: Problem,
    *,
    residual: str | None = None,
    popsize: Positive = 15,
    tol: NotNegative = 0.01,
) -> str:
    """Objectives with many minima, within bounds: SciPy's differential evolution (Storn and Price, 1997).

    A population of `popsize` points for each parameter is spread over what is within bounds, the start one of them; a
    step is a generation, and the run is at its best point. It ends where the objectives of all points differ by `tol`
    of their mean or less, or where the points have come together; from there `lbfgs` goes on, or `least_squares` where
    `residual` names the node whose sum of squares the objective is. The seed of the graph decides every draw.
    """
    from scipy.optimize import differential_evolution as solve

    lower, upper, count = problem.lower, problem.upper, len(problem.start)
    what = f"differential_evolution: a population of {popsize * count:,} points takes"
    check_memory(POPULATIONS * popsize * count * count * problem.start.itemsize, what, "a smaller popsize takes less")

    def outside(share: Vector) -> Vector:
        point: Vector = np.clip(lower * (1 - share) + upper * share, lower, upper)
        return point

    def generation(intermediate_result: Any) -> bool:
        problem.iteration(outside(intermediate_result.x), always=True)
        return bool(np.ptp(intermediate_result.population, axis=0).max() <= TOGETHER)

    # SciPy's own measure of what differs takes squares.
    unit = power_of_two(abs(problem.objective(problem.start)[0]))
    # Halves, for the bounds may be further apart than the largest number.
    start = (problem.start / 2 - lower / 2) / (upper / 2 - lower / 2)
    found = solve(
        lambda share: problem.objective(outside(share))[0] / unit,
        [(0, 1)] * count,
        x0=np.clip(start, 0, 1),
        popsize=popsize,
        tol=tol,
        rng=problem.random,
        callback=generation,
        maxiter=sys.maxsize,
        polish=False,
    )
    problem.begin_at(outside(found.x))
    polish = lbfgs if residual is None else least_squares
    reason = lbfgs(problem) if residual is None else least_squares(problem, residual=residual)
    return f"the population has come together, and {polish.name}: {reason}"
