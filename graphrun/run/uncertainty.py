"""What a fit is worth: standard errors, intervals and criteria from its derivatives; docs/fits.md has the formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from graphrun.base.errors import MemoryLimitError, UsageError
from graphrun.base.memory import MORE_MEMORY, memory_limit, size_text
from graphrun.base.norms import norm
from graphrun.base.outcome import Uncertainty
from graphrun.base.rows import element_name
from graphrun.base.types import Array
from graphrun.declare.solver import Vector
from graphrun.declare.trace import CannotTraceError
from graphrun.document import UncertaintyEntry
from graphrun.document.names import normalize
from graphrun.engines import NotFinite, StepFailed
from graphrun.engines.numpy import NumpyProgram, node_program
from graphrun.engines.scipy.problem import ProgramProblem
from graphrun.engines.scipy.sums import Response, response, scores, sums_over_rows
from graphrun.engines.second_order import SecondOrder
from graphrun.plan.plan import Feed, Plan
from graphrun.solvers.covariance import EPSILON, Inverse, combination_text, inverse_of_curvature, inverse_of_squares
from graphrun.solvers.newton_cg import hessian
from graphrun.solvers.robust import rho

HESSIAN_ERROR = EPSILON**0.5
"""Curvatures of less than this share of others are rounding of the differences that they are."""

NEAR_BOUND = 1e-6
"""So many standard errors from a bound is at it: a solver comes as near as numbers show, and not always onto it."""

FAR = 0.05
"""A minimum that is further away than so many standard errors was not reached."""


COPIES = 5
"""How many matrices of the covariance's size there are at once."""


class Criteria(NamedTuple):
    """How well a fit describes the data, less what each parameter costs."""

    r_squared: float | None = None
    adjusted_r_squared: float | None = None
    aic: float | None = None
    bic: float | None = None


class Fit:
    """A fit at its final parameters, and what follows from its derivatives there.

    Args:
        plan: of the graph, in double precision.
        feed: the rows.
        entry: what is asked for.
        parameters: their values.

    Attributes:
        program: the program, where the fit is.
        problem: what a solver is given, of which the elements are the unknowns.
        point: their values.
        names: their names.
        left_out: why a parameter is no unknown, or is at a bound.
        free: which unknowns are not at a bound.
    """

    def __init__(self, plan: Plan, feed: Feed | None, entry: UncertaintyEntry, parameters: Sequence[Array]) -> None:
        self.entry = entry
        self.is_squares = entry.kind == "least_squares"
        settings = dict(plan.update.settings)
        self.residual = plan.slots[normalize(settings["residual"])] if self.is_squares else None
        self.loss = settings.get("loss", "linear") if self.is_squares else "linear"
        self.program = node_program(plan, feed)
        self.program.set_parameters(parameters)
        self.program.evaluate()
        self.problem = ProgramProblem(self.program, self.residual)
        self.problem.take()
        self.point = self.problem.start
        held = self.problem.held
        elements = list(element_names(plan))
        self.names = [name for name, is_held in zip(elements, held, strict=True) if not is_held]
        self.left_out = dict.fromkeys(np.array(elements, object)[held], "held: its bounds are one number")
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
        sizes = np.linalg.norm(matrix, axis=0) if self.is_squares else np.sqrt(np.abs(np.diagonal(matrix)))
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
            return np.asarray(inverse * self.unit**2)
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
        return float(self.covariance[one, other] / self.unit**2 / (self.inverse.roots[one] * self.inverse.roots[other]))

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
        sums, other = sums_over_rows(self.program)
        return sums[0].rows if sums and not other else None

    def criteria(self) -> Criteria:
        """Return R² of the response about its mean, and the information criteria of the likelihood."""
        count, rank, n = self.inverse.rank, self.inverse.rank, self.rows()
        if not self.is_squares:
            deviance = 2 * self.problem.objective(self.point)[0]
            return Criteria(aic=deviance + 2 * count, bic=None if n is None else deviance + count * math.log(n))
        n, squares = len(self.residuals), norm(self.residuals) ** 2
        shares: tuple[float | None, float | None] = (None, None)
        if self.response is not None:
            weights = self.response.slopes**2
            mean = weights @ self.response.observed / weights.sum()
            total = float(weights @ (self.response.observed - mean) ** 2)
            if total > 0:
                adjusted = 1 - squares / total * (n - 1) / (n - rank) if n > rank else None
                shares = 1 - squares / total, adjusted
        if self.loss != "linear":
            return Criteria(*shares)
        if self.entry.absolute_sigma:
            deviance = squares + n * math.log(2 * math.pi)
        elif squares > 0:
            # The standard deviation is a parameter too, as in R.
            deviance, count = n * (math.log(2 * math.pi * squares / n) + 1), rank + 1
        else:
            return Criteria(*shares)
        return Criteria(*shares, deviance + 2 * count, deviance + count * math.log(n))

    def notes(self) -> Iterator[str]:
        """Yield what else there is to know."""
        if self.is_squares and (self.degrees_of_freedom or 0) <= 0:
            yield "there are no more residuals than parameters, so nothing tells how far they scatter"
        if self.inverse.falls:
            yield "this is no minimum: the objective falls along one of the combinations that are not determined"
        slopes = self.pulls @ self._whole if self.is_squares else self.problem.objective(self.point)[1]
        gradient = slopes[self.free]
        left = math.sqrt(max(float(gradient @ self.inverse.matrix @ gradient), 0.0))
        if left > FAR * self.unit:
            yield f"this is no minimum yet: it is about {left / self.unit:.2g} standard errors away"


def uncertainty(fit: Fit) -> Uncertainty:
    """Return what a fit is worth."""
    with np.errstate(all="ignore"):
        errors, known = fit.errors, fit.inverse.is_determined
        values, reach = fit.point[fit.free], fit.quantile * errors
        names, criteria, notes = fit.free_names, fit.criteria(), tuple(fit.notes())
    return Uncertainty(
        kind=fit.entry.kind,
        level=fit.entry.level,
        degrees_of_freedom=fit.degrees_of_freedom,
        residual_sd=fit.residual_sd if fit.is_squares else None,
        std_errors=dict(zip(names, errors.tolist(), strict=True)),
        intervals=dict(zip(names, zip((values - reach).tolist(), (values + reach).tolist(), strict=True), strict=True)),
        names=tuple(np.array(names, object)[known]),
        covariance=fit.covariance[np.ix_(known, known)],
        r_squared=criteria.r_squared,
        adjusted_r_squared=criteria.adjusted_r_squared,
        aic=criteria.aic,
        bic=criteria.bic,
        undetermined=tuple(combination_text(row, names) for row in fit.inverse.open),
        left_out=fit.left_out,
        notes=notes,
    )


def element_names(plan: Plan) -> Iterator[str]:
    """Yield the names of the numbers that the parameters hold, end to end."""
    for slot in range(plan.parameters):
        for index in np.ndindex(plan.shapes[slot]):
            yield element_name(plan.names[slot] or "", index)


def check_uncertainty(plan: Plan, feed: Feed | None, entry: UncertaintyEntry) -> None:
    """Refuse, before a run, an uncertainty that could not be had of it.

    Raises:
        UsageError: what is in its way.
    """
    changing = [plan.names[item.slot] for item in plan.noise] + [plan.names[slot] for slot in plan.state_slots]
    if plan.feeds:
        raise UsageError("uncertainty: it is that of one objective for all rows: leave out batch_size")
    if changing:
        raise UsageError(f"uncertainty: it is that of one objective, and {changing[0]} changes from step to step")
    count = sum(math.prod(shape) for shape in plan.shapes[: plan.parameters])
    if (size := COPIES * 8 * count**2) > memory_limit():
        need = f"the covariance of {count:,} numbers takes {size_text(size)} of memory"
        raise MemoryLimitError(f"uncertainty: {need}; the limit is {size_text(memory_limit())}\n  {MORE_MEMORY}")
    if entry.kind == "likelihood":
        _check_likelihood(node_program(plan, feed), robust=entry.robust)


def _check_likelihood(program: NumpyProgram, *, robust: bool) -> None:
    """Refuse a mean in the place of a log-likelihood, and scores of rows where there are none."""
    try:
        program.evaluate()
    except (NotFinite, StepFailed):
        return
    sums, other = sums_over_rows(program)
    if robust and other:
        raise UsageError(f"uncertainty: robust needs an objective that is a sum over rows: {other}")
    for one in sums:
        if one.is_mean and one.rows > 1 and abs(float(program.gradients([one.node])[0])) == 1:
            name = program.plan.names[one.node]
            raise UsageError(
                f"uncertainty: {name!r} is a mean over {one.rows:,} rows, and a log-likelihood is a sum\n"
                "  write sum(...), or reduction: sum"
            )
