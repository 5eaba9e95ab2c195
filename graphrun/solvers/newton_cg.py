"""Newton's method: the curvature itself, but never the whole of it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from graphrun.declare.solver import Problem, Vector, solver
from graphrun.solvers.scaling import Scaled, XScale, check_gradient

DIFFERENCE = float(np.finfo(np.float64).eps) ** (1 / 3)
"""The step of a central difference, relative to the size of what it starts from, that has the smallest error."""


@solver(takes_bounds=False)
def newton_cg(problem: Problem, *, trust_radius: Annotated[float, Field(gt=0)] = 1.0, x_scale: XScale = "start") -> str:
    """Newton's method by conjugate gradients in a trust region (Steihaug, 1983): SciPy's trust-ncg.

    Products with the Hessian are central differences of exact gradients. ``x_scale: start`` measures each parameter by
    the size that it has at the start (an array by its root mean square, a zero by 1), `none` all of them alike;
    `trust_radius` is the longest first step in that measure. It goes on until the model of the objective promises no
    decrease that a number can show. It takes no bounds.
    """
    from scipy.optimize import minimize

    scaled = Scaled(problem, x_scale)

    def hessian_product(point: Vector, direction: Vector) -> Vector:
        length = float(np.linalg.norm(direction))
        if not length:
            return np.zeros_like(point)
        step = DIFFERENCE * max(1.0, float(np.linalg.norm(point))) / length
        (ahead, up), (behind, down) = (scaled.objective(point + sign * step * direction) for sign in (1, -1))
        if np.isfinite(ahead) and np.isfinite(behind):
            change: Vector = (up - down) / 2
        else:
            _, here = scaled.objective(point)
            change = up - here if np.isfinite(ahead) else here - down if np.isfinite(behind) else 0 * here
        return np.asarray(change / step)

    def iteration(intermediate_result: Any) -> None:
        scaled.iteration(intermediate_result.x)
        check_gradient(scaled, intermediate_result.x)

    check_gradient(scaled, scaled.start)
    minimize(
        scaled.objective,
        scaled.start,
        jac=True,
        hessp=hessian_product,
        method="trust-ncg",
        callback=iteration,
        options={"gtol": 0.0, "maxiter": sys.maxsize, "initial_trust_radius": trust_radius, "max_trust_radius": np.inf},
    )
    return "no step promises a smaller objective"
