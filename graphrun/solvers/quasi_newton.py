"""Quasi-Newton: the curvature is learnt from the gradients of the last steps."""

from __future__ import annotations

import sys

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.types import Positive
from graphrun.declare.solver import Problem, Solver, Vector
from graphrun.solvers.scaling import Scaled, XScale

BACK_OFF = 0.1
"""The share of a step that is tried next where its end has no finite objective."""

AT_KINK = "it came to a kink, where the gradient jumps, and found no way down from there: that may be no minimum"


@Solver
def lbfgs(problem: Problem, *, memory: Positive = 10, x_scale: XScale = "start") -> str:
    """Limited-memory BFGS with bounds: SciPy's L-BFGS-B (Byrd, Lu, Nocedal and Zhu, 1995; Morales and Nocedal, 2011).

    `memory` is the number of steps whose gradients it remembers. ``x_scale: start`` measures each parameter by the size
    that it has at the start (an array by its root mean square, a zero by 1), `none` all of them alike, as SciPy does by
    itself. It goes on until the objective no longer decreases. Of an objective with kinks, as a sum of absolute values,
    it may end at one that is no minimum, and says so.
    """
    scaled = Scaled(problem, x_scale, problem.start)
    while True:
        value, _ = scaled.objective(scaled.start)
        end, reason = _minimize(scaled, memory)
        at_kink = is_at_kink(scaled, end, problem.epsilon)
        # What it learnt on the way says nothing of what lies behind a kink.
        again = Scaled(problem, x_scale, scaled.outside(end)) if at_kink else scaled.measured_again(end)
        if again is None or not scaled.objective(end)[0] < value:
            return AT_KINK if at_kink else reason
        scaled = again


def _minimize(scaled: Scaled, memory: int) -> tuple[Vector, str]:
    """Minimize from the start; return where that ended, and why."""
    from scipy.optimize import minimize

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
        return origin, "the gradient is 0" + (" but for parameters at their bounds" if scaled.has_bounds else "")
    if found.success:
        return origin, "the objective no longer changes"
    return origin, "no smaller objective was found along the line of search"


def is_at_kink(scaled: Scaled, point: Vector, epsilon: float) -> bool:
    """Whether the gradient jumps next to a point where it promises a smaller objective.

    Where an objective is smooth, the gradient changes eight times as much on eight times the way.
    """
    value, gradient = scaled.objective(point)
    # What a bound keeps from moving is no part of a way down.
    inwards = point - np.clip(point - gradient, scaled.lower, scaled.upper)
    down = np.where(inwards == 0, 0.0, gradient)
    steepness = norm(down)
    if not 0 < steepness < np.inf:
        return False
    size = max(float(np.max(np.abs(point))), 1.0)
    # The shortest way on which the promised change shows in the objective and in the parameters.
    way = max(100 * epsilon * abs(value) / steepness, 1000 * epsilon * size)
    if way > epsilon ** (1 / 3) * size:
        return False

    def jump(length: float) -> float:
        step = down * (length / steepness)
        ends = [np.clip(point + sign * step, scaled.lower, scaled.upper) for sign in (1, -1)]
        (_, behind), (_, ahead) = map(scaled.objective, ends)
        return norm(np.where(down == 0, 0.0, behind - ahead))

    near = jump(way)
    return near > steepness / 4 and jump(8 * way) < 5 * near
