"""The problem that a solver is given, made of a program that evaluates it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.types import Array
from graphrun.declare.solver import Vector
from graphrun.engines import NotFinite
from graphrun.engines.numpy import NumpyProgram
from graphrun.engines.scipy.jacobian import Jacobian


class ProgramProblem:
    """The problem that a solver is given, made of a program: to maximize is to minimize the negative."""

    def __init__(self, program: NumpyProgram, residual: int | None) -> None:
        plan = program.plan
        self._program = program
        self._parameters = range(plan.parameters)
        self._shapes = [plan.shapes[slot] for slot in self._parameters]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        self._sign = -1.0 if plan.maximize else 1.0
        self._slot = residual
        self._jacobian = None if residual is None else Jacobian(program, residual)
        sides = [bounds or (-np.inf, np.inf) for bounds in plan.bounds]
        self.lower, self.upper = (
            self._vector([np.broadcast_to(side[k], s) for side, s in zip(sides, self._shapes, strict=True)])
            for k in (0, 1)
        )
        self._current = self._evaluated = self.start = self._vector(plan.leaves[: plan.parameters])
        self._found = np.inf, self.start
        self.scale = np.ones_like(self.start)
        self.hand_over: Callable[[Vector], None] = lambda _: None

    @property
    def has_bounds(self) -> bool:
        """Whether any element has a bound."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def begin(self) -> None:
        """Take the point where the program is as the start; its passes were run."""
        self.start = self._current = self._evaluated = self._vector(self._program.values(self._parameters))
        self._found = self._read()
        sizes = [float(np.linalg.norm(part)) / len(part) ** 0.5 or 1.0 for part in self._split(self.start)]
        self.scale = np.repeat(np.exp2(np.round(np.log2(sizes))), np.diff(self._ends, prepend=0))
        if self._slot is not None:
            self._check_residuals()

    def accept(self, point: Vector) -> None:
        """Go to the point of an iteration and stay there."""
        self._current = point
        self.return_to_current()

    def return_to_current(self) -> None:
        """Bring the program back from the last trial point."""
        self._go(self._current)

    def objective(self, point: Vector) -> tuple[float, Vector]:
        """Return the objective and its gradient; an infinite objective where they are not finite."""
        self._go(point)
        return self._found

    def residuals(self, point: Vector) -> Vector:
        """Return the residuals, not numbers where something is not finite."""
        self._go(point)
        value, _ = self._found
        residuals = self._residuals()
        return residuals if np.isfinite(value) else np.full_like(residuals, np.nan)

    def jacobian(self, point: Vector) -> Vector:
        """Return the derivatives of the residuals by the parameters."""
        self._go(point)
        assert self._jacobian is not None  # noqa: S101 (for the type checker: there are residuals)
        return self._jacobian()

    def iteration(self, point: Vector) -> None:
        """Hand over the point of an iteration; one that brought nothing is none."""
        if not np.array_equal(point, self._current):
            self.hand_over(point.copy())

    def _go(self, point: Vector) -> None:
        if np.array_equal(point, self._evaluated):
            return
        self._evaluated = point.copy()
        parts = self._split(point)
        self._program.set_parameters([part.reshape(s) for part, s in zip(parts, self._shapes, strict=True)])
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
        return self._sign * value, self._sign * self._vector(program.gradients(self._parameters))

    def _residuals(self) -> Vector:
        return self._vector(self._program.values([self._slot or 0]))

    def _check_residuals(self) -> None:
        """Refuse an objective that is no multiple of the sum of the residuals' squares: its gradient is another."""
        value, gradient = self._found
        assert self._jacobian is not None  # noqa: S101 (for the type checker: there are residuals)
        residuals, jacobian = self._residuals(), self._jacobian()
        squares = float(residuals @ residuals)
        factor = value / squares if squares else 0.0
        expected = 2 * factor * (residuals @ jacobian)
        scale = 2 * abs(factor) * (np.abs(residuals) @ np.abs(jacobian))
        tolerance = np.sqrt(np.finfo(self._program.plan.dtype).eps)
        if (value and not factor > 0) or not np.all(np.abs(gradient - expected) <= tolerance * scale):
            plan = self._program.plan
            names = [plan.names[slot] for slot in (plan.objective, self._slot) if slot is not None]
            direction = "maximize" if plan.maximize else "minimize"
            wanted = "minus the sum" if plan.maximize else "the sum"
            raise UsageError(
                f"least_squares: {direction}: {names[0]} is not {wanted} of the squares of {names[-1]}, "
                "nor a positive multiple of it"
            )

    def _split(self, vector: Vector) -> list[Vector]:
        """Return the parts of a vector that belong to each parameter."""
        return np.split(vector, self._ends[:-1])

    @staticmethod
    def _vector(parts: Sequence[Array]) -> Vector:
        return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)
