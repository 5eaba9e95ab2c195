"""The problem that a solver is given, made of a program that evaluates it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import UsageError
from graphrun.base.memory import check_memory
from graphrun.base.norms import norm
from graphrun.base.types import Array
from graphrun.base.wording import counted
from graphrun.declare.solver import Solved, Vector
from graphrun.engines import NotFinite
from graphrun.engines.numpy import NumpyProgram
from graphrun.engines.scipy.jacobian import Jacobian

LARGEST_EXPONENT = 1000
"""Sizes are powers of two within this, so that neither they nor what they divide one by overflow."""


JACOBIANS = 10
"""How many arrays of the Jacobian's size there are at once: our own, in units, and what SciPy decomposes."""


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
        if self._jacobian is not None:
            rows, columns = self._jacobian.rows, self._jacobian.columns
            what = f"the derivatives of {plan.names[residual or 0]!r}, {counted(rows, 'number')}, by"
            what = f"{plan.update.rule.name}: {what} {counted(columns, 'parameter')} take"
            check_memory(JACOBIANS * rows * columns * 8, what, "lbfgs needs none of them")
        sides = [bounds or (-np.inf, np.inf) for bounds in plan.bounds]
        self.bounds = tuple(
            _end_to_end([np.broadcast_to(side[k], s) for side, s in zip(sides, self._shapes, strict=True)])
            for k in (0, 1)
        )
        self.hold(self.bounds[0] == self.bounds[1])
        self._whole = _end_to_end(plan.leaves[: plan.parameters])
        self._current = self._evaluated = self.start = self.reached = self._whole[self._free].copy()
        self._found = np.inf, self.start
        self.best: tuple[float, Vector] = self._found
        self._shown = np.inf
        self.enough = ""
        self.random = np.random.default_rng(plan.seed)
        self.epsilon = float(np.finfo(plan.dtype).eps)
        self.scale = np.ones_like(self.start)
        self.hand_over: Callable[[Vector], None] = lambda _: None
        self.look: Callable[[], None] = lambda: None

    @property
    def has_bounds(self) -> bool:
        """Whether any element has a bound."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def hold(self, held: NDArray[np.bool_]) -> None:
        """Have some elements be no unknowns: they stay where they are. `begin` or `place` has to follow."""
        self.held = held
        self._free: Any = np.flatnonzero(~held) if held.any() else slice(None)
        self.lower, self.upper = (side[self._free] for side in self.bounds)

    def place(self, whole: Vector) -> bool:
        """Put all elements where a vector has them, and make that the start; return whether all is finite there."""
        whole = np.clip(whole, *self.bounds)
        self._set_parameters(whole)
        try:
            self._program.evaluate()
        except NotFinite:
            return False
        self.take()
        return True

    @property
    def whole(self) -> Vector:
        """All elements, those that are no unknowns included."""
        return self._whole.copy()

    def begin(self) -> None:
        """Take the point where the program is as the start of a solver; its passes were run."""
        self.take()
        if self._slot is not None:
            self._check_residuals()

    def take(self) -> None:
        """Take the point where the program is as the current one."""
        self._whole = _end_to_end(self._program.values(self._parameters))
        self.start = self.reached = self._current = self._evaluated = self._whole[self._free].copy()
        self._found = self._read()
        self.best = self._found[0], self.start
        self._shown = self._found[0]
        self.enough = ""
        self.scale = self.scale_at(self.start)

    def begin_at(self, point: Vector) -> bool:
        """Make a point the start; return whether the objective is finite there."""
        self.start = self.reached = point.copy()
        value, _ = self.objective(point)
        self.best = value, self.start
        if np.isfinite(value):
            self.scale = self.scale_at(point)
        return bool(np.isfinite(value))

    def vector(self, parameters: Sequence[Array]) -> Vector:
        """Return the point of some values of the parameters."""
        point: Vector = _end_to_end(parameters)[self._free]
        return point

    def scale_at(self, point: Vector) -> Vector:
        """Return the size of each element at a point where the objective is known to be finite."""
        value, gradient = self.objective(point)
        whole, slopes = self._whole.copy(), np.zeros_like(self._whole)
        whole[self._free], slopes[self._free] = point, gradient
        parts = [*zip(np.split(whole, self._ends[:-1]), np.split(slopes, self._ends[:-1]), strict=True)]
        own = [_exponent(norm(part)) - _root(part) for part, _ in parts]
        # So far the objective is from 0 along its slope.
        reach = [_exponent(abs(value)) - _exponent(norm(slope)) - _root(slope) for _, slope in parts]
        digits = np.finfo(self._program.plan.dtype).nmant
        is_explained = any(x > -math.inf and x > y - digits for x, y in zip(own, reach, strict=True))
        exponents = [_size(x, y, digits, is_explained) for x, y in zip(own, reach, strict=True)]
        scale: Vector = np.exp2(np.repeat(exponents, np.diff(self._ends, prepend=0)))[self._free]
        return scale

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

    def iteration(self, point: Vector, *, always: bool = False) -> None:
        """Hand over the point of an iteration; one that brought nothing is none.

        Of several starts only what is better than all before is handed over: between two steps the best is in place.
        """
        if np.array_equal(point, self.reached) and not always:
            return
        self.reached = point.copy()
        value, _ = self.objective(point)
        self.best = min(self.best, (value, self.reached), key=itemgetter(0))
        if self._program.plan.update.starts == 1 or value < self._shown or (always and value == self._shown):
            self._shown = value
            self.hand_over(self.reached)
            if self.enough:
                reason, self.enough = self.enough, ""
                raise Solved(reason)

    def _go(self, point: Vector) -> None:
        if np.array_equal(point, self._evaluated):
            return
        self._evaluated = point.copy()
        # A new array each time, for the program keeps parts of it.
        self._whole = self._whole.copy()
        self._whole[self._free] = point
        self._set_parameters(self._whole)
        try:
            self._program.evaluate()
        except NotFinite:
            self._found = np.inf, np.zeros_like(point)
        else:
            self._found = self._read()

    def _set_parameters(self, whole: Vector) -> None:
        parts = zip(np.split(whole, self._ends[:-1]), self._shapes, strict=True)
        self._program.set_parameters([part.reshape(shape) for part, shape in parts])

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
        plan = self._program.plan
        value, gradient, slot, maximize = *self._found, plan.objective, plan.maximize
        if plan.stated is not None:
            slot, maximize = plan.stated
            sign = -1.0 if maximize else 1.0
            value = sign * float(self._program.values([slot])[0])
            gradient = sign * Jacobian(self._program, slot)()[0, self._free]
        assert self._jacobian is not None  # noqa: S101 (for the type checker: there are residuals)
        residuals, jacobian = self._residuals(), self._jacobian()[:, self._free]
        size = norm(residuals)
        unit = residuals / (size or 1.0)
        # The gradient over the objective is twice that of the residuals over their size, whatever the factor is.
        expected, most = 2 * (unit @ jacobian), 2 * (np.abs(unit) @ np.abs(jacobian))
        found = gradient / (value or 1.0) * size
        limits = np.finfo(plan.dtype)
        if 0 <= value < limits.tiny / limits.eps and size:
            # The squares vanish, and nothing can be said of what they are.
            return
        if value < 0 or (value and not size) or not np.all(np.abs(found - expected) <= limits.eps**0.5 * most):
            names = [plan.names[k] for k in (slot, self._slot) if k is not None]
            direction = "maximize" if maximize else "minimize"
            wanted = "minus the sum" if maximize else "the sum"
            raise UsageError(
                f"{plan.update.rule.name}: {direction}: {names[0]} is not {wanted} of the squares of {names[-1]}, "
                "nor a positive multiple of it"
            )


def _end_to_end(parts: Sequence[Array]) -> Vector:
    """Return the elements of some arrays as one vector."""
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)


def _exponent(size: float) -> float:
    """Return the logarithm of a size to the base of 2."""
    return math.log2(size) if size else -math.inf


def _root(part: Vector) -> float:
    """Return the logarithm of the root of how many elements there are."""
    return math.log2(max(part.size, 1)) / 2


def _size(own: float, reach: float, digits: int, is_explained: bool) -> int:
    """Return the power of two that a parameter is measured by: its own size, where it has one.

    Args:
        own: that of its root mean square; minus infinity for zeros.
        reach: that of the way to an objective of 0.
        digits: how many powers of two a number has digits for.
        is_explained: whether the objective notices a move of some parameter by its own size.
    """
    size = own if own > -math.inf else 0.0
    if math.isfinite(reach):
        is_unnoticed = own < -digits and size < reach - digits
        if (own > -math.inf and is_unnoticed) or (
            own == -math.inf and (reach < -digits or (reach > digits and not is_explained))
        ):
            size = reach
    return round(min(max(size, -LARGEST_EXPONENT), LARGEST_EXPONENT))
