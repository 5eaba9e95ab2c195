"""Measuring each parameter and the objective by their own sizes, for methods that take a length of one as it comes."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from graphrun.base.norms import norm
from graphrun.declare.solver import Problem, Solved, Vector

XScale = Literal["start", "none"]

LARGEST_EXPONENT = 1000
"""Units are powers of two within this, so that neither they nor what they divide one by overflow."""

ORDINARY = 1e6
"""A gradient of up to this size, or down to one over it, needs no unit."""

CHANGED = 2.0**100
"""Where the gradient has shrunk by this, or a size changed, its products tell nothing: other units are called for."""


def power_of_two(size: float) -> float:
    """Return the power of two next to a size, by which numbers are multiplied without an error; of 0 it is 1."""
    exponent = round(math.log2(size)) if 0 < size < math.inf else 0
    return 2.0 ** min(max(exponent, -LARGEST_EXPONENT), LARGEST_EXPONENT)


def check_gradient(problem: Problem | Scaled, point: Vector) -> None:
    """End where the gradient is exactly 0, from where SciPy would make steps of length 0."""
    _, gradient = problem.objective(point)
    if not gradient.any():
        raise Solved("the gradient is 0")


class Scaled:
    """A problem in other units: each element in that of its size at the start, or all as they are.

    Of NIST's 54 certified fits, whose parameters differ by up to ten orders of magnitude, this takes `lbfgs` from 39 to
    47 and `newton_cg` from 33 to 52. The objective is in a unit in which its gradient has a length of about 1 where a
    method begins: squares of it, and limits that a library has built in, know of no other.

    Args:
        problem: the problem.
        x_scale: what each element is measured by.
        point: where the method begins, in the problem's own units.
    """

    def __init__(self, problem: Problem, x_scale: XScale, point: Vector) -> None:
        self._problem = problem
        self._x_scale: XScale = x_scale
        self._scale = problem.scale_at(point) if x_scale == "start" else np.ones_like(point)
        self.start = point / self._scale
        self.lower = problem.lower / self._scale
        self.upper = problem.upper / self._scale
        self.has_bounds = problem.has_bounds
        value, gradient = problem.objective(point)
        # An objective that is not finite in its unit would be no better than one that is not finite at all.
        size = max(norm(gradient * self._scale), abs(value) * 2.0**-LARGEST_EXPONENT)
        as_it_is = x_scale == "none" and 1 / ORDINARY < size < ORDINARY
        self._unit = 1.0 if as_it_is else power_of_two(size)

    def measured_again(self, point: Vector) -> Scaled | None:
        """Return the problem in the units of where a method came to, if they are quite others."""
        scaled = Scaled(self._problem, self._x_scale, self.outside(point))
        ratios = np.append(scaled._scale / self._scale, scaled._unit / self._unit)
        return scaled if np.any((ratios > CHANGED) | (ratios < 1 / CHANGED)) else None

    def objective(self, point: Vector) -> tuple[float, Vector]:
        """Return the objective and its gradient."""
        value, gradient = self._problem.objective(self.outside(point))
        return value / self._unit, gradient * (self._scale / self._unit)

    def outside(self, point: Vector) -> Vector:
        """Return a point in the problem's own units."""
        found = point * self._scale
        return np.clip(found, self._problem.lower, self._problem.upper) if self.has_bounds else found

    def iteration(self, point: Vector) -> None:
        """Hand over the point that an iteration came to."""
        self._problem.iteration(self.outside(point))
