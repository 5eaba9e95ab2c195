"""The problem that a solver is given, made of a program that evaluates it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.norms import norm
from graphrun.base.types import Array
from graphrun.declare.solver import Vector
from graphrun.engines import NotFinite
from graphrun.engines.numpy import NumpyProgram
from graphrun.engines.scipy.jacobian import Jacobian


LARGEST_EXPONENT = 1000
"""Sizes are powers of two within this, so that neither they nor what they divide one by overflow."""


class ProgramProblem:
    """The problem that a solver is given, made of a program: to maximize is to minimize the negative.

    An element whose bounds are one number is no unknown: a solver does not see it.
    """

    def __init__(self, program: NumpyProgram, residual: int | None) -> None:
        plan = program.plan
        self._program = program
        self._parameters = range(plan.parameters)
        self._shapes = [plan.shapes[slot] for slot in self._parameters]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes], dtype=np.intp)
        self._sign = -1.0 if plan.maximize else 1.0
        self._slot = residual
        self._jacobian = None if residual is None else Jacobian(program, residual)
        sides = [bounds or (-np.inf, np.inf) for bounds in plan.bounds]
        lower, upper = (
            _end_to_end([np.broadcast_to(side[k], s) for side, s in zip(sides, self._shapes, strict=True)])
            for k in (0, 1)
        )
        held = lower == upper
        self._free: Any = np.flatnonzero(~held) if held.any() else slice(None)
        self.lower, self.upper = lower[self._free], upper[self._free]
        self._whole = _end_to_end(plan.leaves[: plan.parameters])
        self._current = self._evaluated = self.start = self._whole[self._free].copy()
        self._found = np.inf, self.start
        self.epsilon = float(np.finfo(plan.dtype).eps)
        self.scale = np.ones_like(self.start)
        self.hand_over: Callable[[Vector], None] = lambda _: None
        self.look: Callable[[], None] = lambda: None

    @property
    def has_bounds(self) -> bool:
        """Whether any element has a bound."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def begin(self) -> None:
        """Take the point where the program is as the start; its passes were run."""
        self._whole = _end_to_end(self._program.values(self._parameters))
        self.start = self._current = self._evaluated = self._whole[self._free].copy()
        self._found = self._read()
        self.scale = self.scale_at(self.start)
        if self._slot is not None:
            self._check_residuals()

    def scale_at(self, point: Vector) -> Vector:
        """Return the size of each element at a point where the objective is known to be finite."""
        value, gradient = self.objective(point)
        whole, slopes = self._whole.copy(), np.zeros_like(self._whole)
        whole[self._free], slopes[self._free] = point, gradient
        pairs = zip(np.split(whole, self._ends[:-1]), np.split(slopes, self._ends[:-1]), strict=True)
        exponents = [self._exponent(part, slope, value) for part, slope in pairs]
        return np.exp2(np.repeat(exponents, np.diff(self._ends, prepend=0)))[self._free]

    def _exponent(self, part: Vector, slope: Vector, value: float) -> float:
        """Return the power of two that the elements of a parameter are measured by."""
        size, steepness, root = norm(part), norm(slope), math.sqrt(max(part.size, 1))
        own = math.log2(size / root) if size else 0.0
        if value and steepness:
            # So far the objective is from 0 along its slope. A parameter that moves by less than the rounding of that
            # when it moves by its own size has none; nor has a zero, for which 1 is as far out.
            reach = math.log2(abs(value)) - math.log2(steepness) - math.log2(root)
            digits = np.finfo(self._program.plan.dtype).nmant
            if own < reach - digits or (not size and own > reach + digits):
                own = reach
        return round(min(max(own, -LARGEST_EXPONENT), LARGEST_EXPONENT))

    def accept(self, point: Vector) -> None:
        """Go to the point of an iteration and stay there."""
        self._current = point
        self.return_to_current()

    def return_to_current(self) -> None:
        """Bring the program back from the last trial point."""
        self._go(self._current)

    def objective(self, point: Vector) -> tuple[float, Vector]:
        """Return the objective and its gradient; an infinite objective where they are not finite."""
        self.look()
        self._go(point)
        return self._found

    def residuals(self, point: Vector) -> Vector:
        """Return the residuals, not numbers where something is not finite."""
        value, _ = self.objective(point)
        residuals = self._residuals()
        return residuals if np.isfinite(value) else np.full_like(residuals, np.nan)

    def jacobian(self, point: Vector) -> Vector:
        """Return the derivatives of the residuals by the parameters."""
        self.objective(point)
        assert self._jacobian is not None  # noqa: S101 (for the type checker: there are residuals)
        return self._jacobian()[:, self._free]

    def iteration(self, point: Vector) -> None:
        """Hand over the point of an iteration; one that brought nothing is none."""
        if not np.array_equal(point, self._current):
            self.hand_over(point.copy())

    def _go(self, point: Vector) -> None:
        if np.array_equal(point, self._evaluated):
            return
        self._evaluated = point.copy()
        # A new array each time, for the program keeps parts of it.
        self._whole = self._whole.copy()
        self._whole[self._free] = point
        parts = zip(np.split(self._whole, self._ends[:-1]), self._shapes, strict=True)
        self._program.set_parameters([part.reshape(shape) for part, shape in parts])
        try:
            self._program.evaluate()
        except NotFinite:
            self._found = np.inf, np.zeros_like(point)
        else:
            self._found = self._read()

    def _read(self) -> tuple[float, Vector]:
        program = self._program
        if program.plan.objective is None:
            return 0.0, np.zeros_like(self.start)
        value = float(program.values([program.plan.objective])[0])
        return self._sign * value, self._sign * _end_to_end(program.gradients(self._parameters))[self._free]

    def _residuals(self) -> Vector:
        return _end_to_end(self._program.values([self._slot or 0]))

    def _check_residuals(self) -> None:
        """Refuse an objective that is no multiple of the sum of the residuals' squares: its gradient is another."""
        value, gradient = self._found
        assert self._jacobian is not None  # noqa: S101 (for the type checker: there are residuals)
        residuals, jacobian = self._residuals(), self._jacobian()[:, self._free]
        size = norm(residuals)
        unit = residuals / (size or 1.0)
        # The gradient over the objective is twice that of the residuals over their size, whatever the factor is.
        expected, most = 2 * (unit @ jacobian), 2 * (np.abs(unit) @ np.abs(jacobian))
        found = gradient / (value or 1.0) * size
        limits = np.finfo(self._program.plan.dtype)
        if 0 <= value < limits.tiny / limits.eps and size:
            # The squares vanish, and nothing can be said of what they are.
            return
        if value < 0 or (value and not size) or not np.all(np.abs(found - expected) <= limits.eps**0.5 * most):
            plan = self._program.plan
            names = [plan.names[slot] for slot in (plan.objective, self._slot) if slot is not None]
            direction = "maximize" if plan.maximize else "minimize"
            wanted = "minus the sum" if plan.maximize else "the sum"
            raise UsageError(
                f"least_squares: {direction}: {names[0]} is not {wanted} of the squares of {names[-1]}, "
                "nor a positive multiple of it"
            )


def _end_to_end(parts: Sequence[Array]) -> Vector:
    """Return the elements of some arrays as one vector."""
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)
