"""Quasi-Newton: the curvature is learnt from the gradients of the last steps."""

from __future__ import annotations

import sys
from typing import Annotated

import numpy as np
from pydantic import Field

from graphrun.declare.solver import Problem, Solver, Vector
from graphrun.solvers.scaling import Scaled, XScale

BACK_OFF = 0.1
"""The share of a step that is tried next where its end has no finite objective."""


@Solver
def lbfgs(problem: Problem, *, memory: Annotated[int, Field(ge=1)] = 10, x_scale: XScale = "start") -> str:
    """Limited-memory BFGS with bounds: SciPy's L-BFGS-B (Byrd, Lu, Nocedal and Zhu, 1995; Morales and Nocedal, 2011).

    `memory` is the number of steps whose gradients it remembers. ``x_scale: start`` measures each parameter by the size
    that it has at the start (an array by its root mean square, a zero by 1), `none` all of them alike, as SciPy does by
    itself. It goes on until the objective no longer decreases.
    """
    from scipy.optimize import minimize

    scaled = Scaled(problem, x_scale)
    origin = scaled.start
    value, gradient = scaled.objective(origin)

    def objective(point: Vector) -> tuple[float, Vector]:
        found, slope = scaled.objective(point)
        if np.isfinite(found):
            return found, slope
        # A line search cannot work with infinity. Along the line from the last iterate it sees a parabola instead,
        # with the slope that there is at the iterate, and its minimum at the share of the way that is to be tried.
        descent = float(gradient @ (point - origin))
        return value + descent * (1 - 0.5 / BACK_OFF), gradient * (1 - 1 / BACK_OFF)

    def iteration(point: Vector) -> None:
        nonlocal origin, value, gradient
        scaled.iteration(point)
        origin = point.copy()
        value, gradient = scaled.objective(origin)

    found = minimize(
        objective,
        origin,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(scaled.lower, scaled.upper, strict=True)) if scaled.has_bounds else None,
        callback=iteration,
        options={"maxcor": memory, "ftol": 0, "gtol": 0, "maxiter": sys.maxsize, "maxfun": sys.maxsize},
    )
    if "PROJECTED GRADIENT" in found.message:
        return "the gradient is 0" + (" but for parameters at their bounds" if problem.has_bounds else "")
    if found.success:
        return "the objective no longer changes"
    return "no smaller objective was found along the line of search"
