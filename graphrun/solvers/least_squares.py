"""Least squares: the curvature of a sum of squares from the derivatives of its terms."""

from __future__ import annotations

import sys
from functools import partial
from typing import Literal

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.types import AboveZero
from graphrun.declare.solver import Problem, Solver, Vector
from graphrun.solvers.robust import Loss, rho
from graphrun.solvers.scaling import check_gradient, power_of_two

EPSILON = float(np.finfo(np.float64).eps)
FURTHEST = 1e140
"""The largest scale of a loss, in units of the residuals, whose square is a number with room to spare."""

NO_STEP = 3
"""SciPy's status where it ends because its steps became too short."""


@Solver
def least_squares(
    problem: Problem,
    *,
    residual: str,
    x_scale: Literal["jac", "none"] = "jac",
    loss: Loss = "linear",
    f_scale: AboveZero = 1.0,
) -> str:
    """Sums of squares, by a trust region and the exact Jacobian: SciPy's trf (Branch, Coleman and Li, 1999).

    `residual` names the node whose sum of squares the objective is, times any constant (1, 1/2, 1/n). ``x_scale: jac``
    measures each parameter by how much it moves the residuals (Moré, 1978), `none` all of them alike. It goes on until
    the objective no longer changes. Within bounds it comes as near to one as numbers can show, but not onto it.

    A `loss` other than `linear` counts residuals larger than about `f_scale` less. Then the cost that it makes of the
    residuals is minimized in place of their sum of squares, and is the objective of the run.
    """
    point = problem.start
    check_gradient(problem, point)
    while True:
        value, _ = problem.objective(point)
        point, status = solve_from(problem, point, x_scale, loss, f_scale)
        gained = value - problem.objective(point)[0]
        if status != NO_STEP:
            return "the objective no longer changes"
        # Sizes change on the way: only where a second look finds nothing more is there nothing more to find.
        if problem.has_bounds or not gained > EPSILON * abs(value):
            return "no step changes the parameters"


def solve_from(
    problem: Problem,
    start: Vector,
    x_scale: str = "jac",
    loss: str = "linear",
    f_scale: float = 1.0,
    tolerance: float = EPSILON,
) -> tuple[Vector, int]:
    """Solve from a point, until steps change less than a share of the objective; return the end, and SciPy's status."""
    from scipy.optimize import least_squares as solve

    # SciPy's one test of the parameters is on the norm of all of them, so each is measured by its own size.
    sizes = problem.scale_at(start)
    own = np.exp2(np.round(np.log2(np.where(start == 0, 1.0, np.abs(start)))))
    is_noticed = (own >= sizes * EPSILON) & (start != 0)
    unit = np.where(is_noticed, own, sizes)
    # The first radius is the length of the start, so one that nothing notices is none.
    begin = np.clip(np.where(is_noticed, start, 0.0), problem.lower, problem.upper)
    # Squares are summed up of residuals whose size is about 1.
    size = power_of_two(norm(problem.residuals(start)))

    def iteration(point: Vector) -> None:
        problem.iteration(point * unit)
        check_gradient(problem, point * unit)

    found = solve(
        lambda point: problem.residuals(point * unit) / size,
        begin / unit,
        jac=lambda point: _noticed(problem.jacobian(point * unit) * (unit / size), is_noticed),
        bounds=(problem.lower / unit, problem.upper / unit),
        method="trf",
        x_scale="jac" if x_scale == "jac" else 1 / unit,
        ftol=tolerance,
        xtol=tolerance,
        gtol=None,
        max_nfev=sys.maxsize,
        callback=iteration,
        loss=partial(_losses, loss) if loss != "linear" else loss,
        # SciPy squares it; so far from the residuals' size, a loss is the same at any scale.
        f_scale=min(max(f_scale / size, 1 / FURTHEST), FURTHEST),
    )
    return found.x * unit, found.status


def _losses(loss: str, z: Vector) -> Vector:
    """Return a loss and its derivatives as SciPy takes them, whose own loses digits where z is small."""
    return np.stack(rho(np, loss, z))


def _noticed(jacobian: Vector, is_sized: Vector) -> Vector:
    """Return a Jacobian, with 0 for an element whose own size does less than the rounding of what others do.

    SciPy measures each element by its column, and would take one that hardly matters as far as it takes to matter.
    """
    sizes = np.linalg.norm(jacobian, axis=0)
    return np.where(is_sized & (sizes < EPSILON * sizes.max(initial=0.0)), 0.0, jacobian)
