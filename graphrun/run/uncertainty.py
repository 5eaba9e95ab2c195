"""What a fit is worth: errors, intervals, criteria, and what is in their way; docs/fits.md has the formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from graphrun.base.errors import MemoryLimitError, UsageError
from graphrun.base.memory import MORE_MEMORY, memory_limit, size_text
from graphrun.base.norms import norm
from graphrun.base.outcome import Uncertainty
from graphrun.document import UncertaintyEntry
from graphrun.engines import NotFinite, StepFailed
from graphrun.engines.numpy import NumpyProgram, node_program
from graphrun.engines.scipy.sums import sums_over_rows
from graphrun.plan.plan import Feed, Plan
from graphrun.run.fit import Fit
from graphrun.solvers.covariance import combination_text

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


def uncertainty(fit: Fit) -> Uncertainty:
    """Return what a fit is worth."""
    with np.errstate(all="ignore"):
        errors, known = fit.errors, fit.inverse.is_determined
        values, reach = fit.point[fit.free], fit.quantile * errors
        covariance = fit.covariance[np.ix_(known, known)]
        names, criteria, notes = fit.free_names, _criteria(fit), tuple(_notes(fit))
    return Uncertainty(
        kind=fit.entry.kind,
        level=fit.entry.level,
        degrees_of_freedom=fit.degrees_of_freedom,
        residual_sd=fit.residual_sd if fit.is_squares else None,
        std_errors=dict(zip(names, errors.tolist(), strict=True)),
        intervals=dict(zip(names, zip((values - reach).tolist(), (values + reach).tolist(), strict=True), strict=True)),
        names=tuple(np.array(names, object)[known]),
        covariance=covariance,
        r_squared=criteria.r_squared,
        adjusted_r_squared=criteria.adjusted_r_squared,
        aic=criteria.aic,
        bic=criteria.bic,
        undetermined=tuple(combination_text(row, names) for row in fit.inverse.open),
        left_out=fit.left_out,
        notes=notes,
    )


def _criteria(fit: Fit) -> Criteria:
    """Return R² of the response about its mean, and the information criteria of the likelihood."""
    count, rank, n = fit.inverse.rank, fit.inverse.rank, fit.rows()
    if not fit.is_squares:
        deviance = 2 * fit.problem.objective(fit.point)[0]
        return Criteria(aic=deviance + 2 * count, bic=None if n is None else deviance + count * math.log(n))
    n, squares = len(fit.residuals), norm(fit.residuals) * norm(fit.residuals)
    shares: tuple[float | None, float | None] = (None, None)
    if fit.response is not None:
        weights = fit.response.slopes**2
        mean = weights @ fit.response.observed / weights.sum()
        total = float(weights @ (fit.response.observed - mean) ** 2)
        if 0 < total < math.inf:
            adjusted = 1 - squares / total * (n - 1) / (n - rank) if n > rank else None
            shares = 1 - squares / total, adjusted
    if fit.loss != "linear":
        return Criteria(*shares)
    if fit.entry.absolute_sigma:
        deviance = squares + n * math.log(2 * math.pi)
    elif (size := norm(fit.residuals)) > 0:
        # The standard deviation is a parameter too, as in R.
        deviance, count = n * (math.log(2 * math.pi / n) + 2 * math.log(size) + 1), rank + 1
    else:
        return Criteria(*shares)
    return Criteria(*shares, deviance + 2 * count, deviance + count * math.log(n))


def _notes(fit: Fit) -> Iterator[str]:
    """Yield what else there is to know."""
    if fit.is_squares and (fit.degrees_of_freedom or 0) <= 0:
        yield "there are no more residuals than parameters, so nothing tells how far they scatter"
    if fit.inverse.falls:
        yield "this is no minimum: the objective falls along one of the combinations that are not determined"
    left = math.sqrt(max(float(fit.gradient @ fit.inverse.matrix @ fit.gradient), 0.0))
    if FAR * fit.unit < left < math.inf:
        yield f"this is no minimum yet: it is about {left / fit.unit:.2g} standard errors away"


def check_uncertainty(plan: Plan, feed: Feed | None, entry: UncertaintyEntry) -> None:
    """Refuse, before a run, an uncertainty that could not be had of it.

    Raises:
        UsageError: what is in its way.
    """
    changing = [plan.names[item.slot] for item in plan.noise] + [plan.names[slot] for slot in plan.state_slots]
    if not plan.parameters:
        raise UsageError("uncertainty: there is no parameter that moves")
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
    sums, plan = sums_over_rows(program), program.plan
    if robust and sums.why:
        raise UsageError(f"uncertainty: robust needs an objective that is a sum over rows: {sums.why}")
    for slot in sums.means:
        # One that is scaled may be scaled by the number of rows.
        if abs(float(program.gradients([slot])[0])) == 1 and any(plan.shapes[k] for k in plan.inputs_of(slot)):
            raise UsageError(
                f"uncertainty: {plan.names[slot]!r} is a mean over rows, and a log-likelihood is a sum\n"
                "  write sum(...), or reduction: sum"
            )
