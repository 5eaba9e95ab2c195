"""Newton's method: the curvature itself, but never the whole of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.types import AboveZero
from graphrun.declare.solver import Problem, Vector, solver
from graphrun.solvers.scaling import Scaled, XScale, check_gradient

DIFFERENCE = float(np.finfo(np.float64).eps) ** (1 / 3)
"""The step of a central difference, relative to the size of what it starts from, that has the smallest error."""

ACCEPTED, POOR, GOOD = 0.15, 0.25, 0.75
"""Of the decrease that the model promises: from where on a step is made, the radius shrinks and grows, as in SciPy."""

PRODUCTS = 10
"""How many products with the Hessian a step takes at most, for each parameter: rounding can keep it from its end."""


@solver(takes_bounds=False)
def newton_cg(problem: Problem, *, trust_radius: AboveZero = 1.0, x_scale: XScale = "start") -> str:
    """Newton's method by conjugate gradients in a trust region (Steihaug, 1983): the method of SciPy's trust-ncg.

    Products with the Hessian are central differences of exact gradients. ``x_scale: start`` measures each parameter by
    the size that it has at the start (an array by its root mean square, a zero by 1), `none` all of them alike;
    `trust_radius` is the longest first step in that measure. It goes on until the model of the objective promises no
    decrease that a number can show. It takes no bounds.
    """
    # SciPy's own has no end where the products are not exact, and stops at numbers that are not finite.
    scaled = Scaled(problem, x_scale, problem.start)
    point, radius, moved = scaled.start, trust_radius, True
    value, gradient = scaled.objective(point)
    while True:
        check_gradient(scaled, point)
        step, change, at_boundary = steihaug(gradient, _Products(scaled, point), radius)
        proposed = point + step
        if not value + change < value or np.array_equal(proposed, point):
            again = scaled.measured_again(point)
            if not moved or not (again or at_boundary):
                return "no step promises a smaller objective"
            # The radius that the last steps took may be too short for others.
            if again:
                scaled, point = again, again.start
                value, gradient = scaled.objective(point)
            radius, moved = trust_radius, False
            continue
        new_value, new_gradient = scaled.objective(proposed)
        share = (value - new_value) / -change
        if not share >= POOR:
            radius *= 0.25
        elif share > GOOD and at_boundary:
            radius *= 2
        if share > ACCEPTED:
            point, value, gradient, moved = proposed, new_value, new_gradient, True
            scaled.iteration(point)


def steihaug(gradient: Vector, product: Callable[[Vector], Vector], radius: float) -> tuple[Vector, float, bool]:
    """Minimize a quadratic model within a radius, roughly: algorithm 7.2 of Nocedal and Wright, 2006.

    Args:
        gradient: the model's gradient at the origin.
        product: returns the product of the model's Hessian with a vector.
        radius: the longest step.

    Returns:
        The step, the model's change on it, and whether it ends at the boundary.
    """
    step, image = np.zeros_like(gradient), np.zeros_like(gradient)
    residual, direction = gradient, -gradient
    size = norm(gradient)
    goal = min(0.5, math.sqrt(size)) * size

    def change(length: float) -> float:
        """Return the model's change on the step, followed by the direction for a length."""
        whole = step + length * direction
        return float(gradient @ whole + 0.5 * (whole @ (image + length * turned)))

    for _ in range(PRODUCTS * len(gradient) + PRODUCTS):
        turned = product(direction)
        curvature = float(direction @ turned)
        squared = norm(residual) ** 2
        length = squared / curvature if curvature > 0 else math.inf
        if not norm(step + length * direction) < radius:
            ends = _to_boundary(step, direction, radius)
            length = min(ends, key=change) if not curvature > 0 else ends[1]
            return step + length * direction, change(length), True
        reached = change(length)
        step, image, residual = step + length * direction, image + length * turned, residual + length * turned
        if norm(residual) < goal:
            break
        direction = -residual + norm(residual) ** 2 / squared * direction
    return step, reached, False


class _Products:
    """Products of the Hessian at a point with vectors, by differences of the gradient."""

    def __init__(self, scaled: Scaled, point: Vector) -> None:
        self.scaled = scaled
        self.point = point

    def __call__(self, direction: Vector) -> Vector:
        length = norm(direction)
        if not 0 < length < math.inf:
            return np.zeros_like(direction)
        step = DIFFERENCE * max(1.0, norm(self.point)) / length
        (ahead, up), (behind, down) = (self.scaled.objective(self.point + sign * step * direction) for sign in (1, -1))
        if np.isfinite(ahead) and np.isfinite(behind):
            change: Vector = (up - down) / 2
        else:
            _, here = self.scaled.objective(self.point)
            change = up - here if np.isfinite(ahead) else here - down if np.isfinite(behind) else 0 * here
        return np.asarray(change / step)


def hessian(problem: Problem, point: Vector) -> Vector:
    """Return the Hessian at a point, by differences of exact gradients: central ones, but for bounds and the like."""
    steps = DIFFERENCE * np.maximum(problem.scale_at(point), np.abs(point))
    found = np.zeros((len(point), len(point)))
    for k, step in enumerate(steps):
        ends = []
        for move in (step, -step):
            moved = point.copy()
            moved[k] = min(max(point[k] + move, problem.lower[k]), problem.upper[k])
            value, gradient = problem.objective(moved)
            ends.append((moved[k], gradient) if np.isfinite(value) else (point[k], problem.objective(point)[1]))
        (ahead, up), (behind, down) = ends
        found[k] = (up - down) / (ahead - behind)
    return np.asarray((found + found.T) / 2)


def _to_boundary(step: Vector, direction: Vector, radius: float) -> tuple[float, float]:
    """Return how far to go along a direction, backwards and forwards, to a length of the whole step of the radius."""
    size = norm(direction)
    unit = direction / size
    # In units of the radius, whose square may be too large for a number.
    step = step / radius
    along = float(step @ unit)
    root = math.sqrt(max(along * along + 1.0 - float(step @ step), 0.0))
    # Of the two roots the larger one first, and the other from their product: nothing is lost by a difference.
    far = -(along + math.copysign(root, along))
    near = (float(step @ step) - 1.0) / far if far else 0.0
    low, high = sorted((far, near))
    return low * radius / size, high * radius / size
