"""A fit at its final parameters: its derivatives there, and the covariance and standard errors that they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from statistics import NormalDist
from typing import Any

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.rows import element_name
from graphrun.declare.solver import Vector
from graphrun.declare.trace import CannotTraceError
from graphrun.document import UncertaintyEntry
from graphrun.document.names import normalize
from graphrun.engines.numpy import node_program
from graphrun.engines.scipy.problem import ProgramProblem
from graphrun.engines.scipy.sums import Response, response, scores, sums_over_rows
from graphrun.engines.second_order import SecondOrder
from graphrun.plan.plan import Feed, Plan
from graphrun.solvers.covariance import EPSILON, Inverse, column_lengths, inverse_of_curvature, inverse_of_squares
from graphrun.solvers.newton_cg import hessian
from graphrun.solvers.robust import rho

HESSIAN_ERROR = EPSILON**0.5
"""Curvatures of less than this share of others are rounding of the differences that they are."""

NEAR_BOUND = 1e-6
"""So many standard errors from a bound is at it: a solver comes as near as numbers show, and not always onto it."""


class Fit:
    """A fit at its final parameters, and what follows from its derivatives there.

    Args:
        plan: of the graph, in double precision.
        feed: the rows.
        entry: what is asked for.
        parameters: their values by name, those that are frozen too.
        interrupted: asked now and then whether to raise KeyboardInterrupt.

    Attributes:
        program: the program, where the fit is.
        problem: what a solver is given, of which the elements are the unknowns.
        point: their values.
        names: their names.
        left_out: why a parameter is no unknown, or is at a bound.
        free: which unknowns are not at a bound.
    """

    def __init__(
        self,
        plan: Plan,
        feed: Feed | None,
        entry: UncertaintyEntry,
        parameters: Mapping[str, Any],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.entry = entry
        self.is_squares = entry.kind == "least_squares"
        settings = dict(plan.update.settings)
        self.residual = plan.slots[normalize(settings["residual"])] if self.is_squares else None
        self.loss = settings.get("loss", "linear") if self.is_squares else "linear"
        plan = plan.holding(parameters)
        self.program = node_program(plan, feed)
        self.program.set_parameters([parameters[name or ""] for name in plan.names[: plan.parameters]])
        self.program.evaluate()
        self.problem = ProgramProblem(self.program, self.residual)
        self.problem.take()
        self.problem.look = partial(_look, interrupted)
        self.point = self.problem.start
        held = self.problem.held
        elements = list(element_names(plan))
        self.names = [name for name, is_held in zip(elements, held, strict=True) if not is_held]
        self.left_out = dict.fromkeys(np.array(elements, object)[held], "held: its bounds are one number")
        self.left_out |= dict.fromkeys(frozen_elements(plan), "frozen")
        with np.errstate(all="ignore"):
            self._whole = self.problem.jacobian(self.point) if self.is_squares else self._curvature()
            # Differences have left the program beside the point.
            self.problem.objective(self.point)
            # The derivatives times these are the gradient, of half the sum of squares.
            self.pulls = self.residuals
            if self.loss != "linear":
                # As SciPy scales them (Triggs et al., 2000), of whose product the curvature is made.
                squares = (self.residuals / settings.get("f_scale", 1.0)) ** 2
                _, first, second = rho(np, self.loss, squares)
                roots = np.sqrt(np.maximum(first + 2 * squares * second, EPSILON))
                self._whole *= roots[:, None]
                self.pulls = first / roots * self.residuals
            self.free = np.array([reason is None for reason in self._reasons()], bool)
            self.inverse: Inverse = self._inverse()

    def _curvature(self) -> Vector:
        """Return the Hessian of minus the log-likelihood: exact for a graph of numbers, else by differences."""
        plan = self.program.plan
        if plan.has_arrays:
            return hessian(self.problem, self.point)
        try:
            products = SecondOrder(plan)
        except CannotTraceError:
            return hessian(self.problem, self.point)
        point = np.concatenate([np.ravel(value) for value in self.program.values(range(plan.parameters))])
        moving = np.flatnonzero(~self.problem.held)
        found = products(point, np.eye(len(point)))[np.ix_(moving, moving)]
        return np.asarray(-found if plan.maximize else found)

    def _reasons(self) -> Iterator[str | None]:
        """Yield for each unknown why it is left out, or None."""
        problem, matrix = self.problem, self._whole
        sizes = column_lengths(matrix) if self.is_squares else np.sqrt(np.abs(np.diagonal(matrix)))
        # What its standard error is where all others are known.
        deviation = norm(self.residuals) / math.sqrt(max(len(self.residuals) - len(sizes), 1)) if self.is_squares else 1
        near = NEAR_BOUND * np.where(sizes > 0, deviation / sizes, 0.0)
        for k, name in enumerate(self.names):
            reason = None
            for side, bound in (("lower", problem.lower[k]), ("upper", problem.upper[k])):
                if abs(self.point[k] - bound) <= near[k]:
                    reason = f"at its {side} bound"
            if not np.isfinite(sizes[k]):
                reason = "the derivatives by it are not finite"
            if reason is not None:
                self.left_out[name] = reason
            yield reason

    def _inverse(self) -> Inverse:
        if self.is_squares:
            return inverse_of_squares(self.jacobian)
        curvature = self._whole[np.ix_(self.free, self.free)]
        # Where a mixed derivative alone is none, nothing can be said of any.
        return inverse_of_curvature(curvature if np.isfinite(curvature).all() else 0 * curvature, HESSIAN_ERROR)

    @cached_property
    def residuals(self) -> Vector:
        """The residuals of a least-squares fit; none of a likelihood."""
        return self.problem.residuals(self.point) if self.is_squares else np.zeros(0)

    @property
    def jacobian(self) -> Vector:
        """Their derivatives by the unknowns that are not at a bound."""
        return self._whole[:, self.free]

    @property
    def gradient(self) -> Vector:
        """The derivatives of minus the log-likelihood, or of half the sum of squares, by them."""
        slopes = self.pulls @ self._whole if self.is_squares else self.problem.objective(self.point)[1]
        return np.asarray(slopes[self.free])

    @property
    def free_names(self) -> list[str]:
        """The names of the unknowns that are not at a bound."""
        return [name for name, is_free in zip(self.names, self.free, strict=True) if is_free]

    @property
    def degrees_of_freedom(self) -> int | None:
        """How many residuals there are beyond those that the parameters could make 0."""
        return len(self.residuals) - self.inverse.rank if self.is_squares else None

    @property
    def residual_sd(self) -> float:
        """The standard deviation of the residuals; NaN where nothing tells it."""
        left = self.degrees_of_freedom or 0
        return norm(self.residuals) / math.sqrt(left) if left > 0 else math.nan

    @property
    def unit(self) -> float:
        """The standard deviation that covariances are in: of residuals where it is estimated, else 1."""
        return self.residual_sd if self.is_squares and not self.entry.absolute_sigma else 1.0

    @cached_property
    def covariance(self) -> Vector:
        """The covariance of the unknowns that are not at a bound; nothing of it holds for those not determined."""
        inverse = self.inverse.matrix
        if not self.entry.robust:
            return np.asarray(inverse * self.unit * self.unit)
        given = self.pulls[:, None] * self.jacobian if self.is_squares else self._scores
        influence = given @ inverse
        return np.asarray(influence.T @ influence)

    @property
    def errors(self) -> Vector:
        """The standard errors of the unknowns that are not at a bound; NaN for those not determined."""
        # The squares of small ones are no numbers.
        roots = np.sqrt(np.diagonal(self.covariance)) if self.entry.robust else self.inverse.roots * self.unit
        return np.where(self.inverse.is_determined, roots, np.nan)

    def correlation(self, one: int, other: int) -> float:
        """Return that of two unknowns that are at no bound."""
        return float(self.covariance[one, other] / self.errors[one] / self.errors[other])

    def error_along(self, jacobian: Vector) -> Vector:
        """Return the standard errors of functions of the unknowns at no bound, of their derivatives, a row each."""
        errors = np.sqrt(np.einsum("ij,jk,ik->i", jacobian, self.covariance, jacobian, optimize=True))
        for direction in self.inverse.open:
            moved, most = np.abs(jacobian @ direction), np.abs(jacobian) @ np.abs(direction)
            errors = np.where(moved > EPSILON**0.5 * most, np.nan, errors)
        return np.asarray(errors)

    @property
    def scatter(self) -> float | None:
        """The standard deviation of observations about the model; None where it is not known, or not one."""
        slopes = np.zeros(0) if self.response is None else np.abs(self.response.slopes)
        if not slopes.size or np.ptp(slopes) > EPSILON**0.5 * slopes.max():
            return None
        return float(self.unit / slopes[0]) if self.unit > 0 else None

    @property
    def _scores(self) -> Vector:
        elements = np.flatnonzero(~self.problem.held)[self.free]
        return scores(self.program)[:, elements]

    @property
    def quantile(self) -> float:
        """How many standard errors an interval reaches to both sides: of Student's distribution, or the normal one."""
        level = (1 + self.entry.level) / 2
        if not self.is_squares or self.entry.absolute_sigma:
            return NormalDist().inv_cdf(level)
        from scipy.special import stdtrit

        left = self.degrees_of_freedom or 0
        return float(stdtrit(left, level)) if left > 0 else math.nan

    @cached_property
    def response(self) -> Response | None:
        """What a least-squares fit describes."""
        return None if self.residual is None else response(self.program, self.residual)

    def rows(self) -> int | None:
        """Return how many observations there are."""
        plan = self.program.plan
        if self.is_squares:
            return len(self.residuals)
        if plan.data:
            return len(self.program.values(plan.data[:1])[0])
        sums = sums_over_rows(self.program)
        return sums.found[0].rows if sums.found and not sums.why else None


def _look(interrupted: Callable[[], bool]) -> None:
    if interrupted():
        raise KeyboardInterrupt


def element_names(plan: Plan) -> Iterator[str]:
    """Yield the names of the numbers that the parameters hold, end to end."""
    yield from _elements(plan, range(plan.parameters))


def frozen_elements(plan: Plan) -> Iterator[str]:
    """Yield the names of the numbers that the frozen parameters hold."""
    yield from _elements(plan, range(plan.parameters, plan.parameters + plan.frozen))


def _elements(plan: Plan, slots: range) -> Iterator[str]:
    for slot in slots:
        for index in np.ndindex(plan.shapes[slot]):
            yield element_name(plan.names[slot] or "", index)
