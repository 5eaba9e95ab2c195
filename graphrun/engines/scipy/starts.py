"""A solver from several starts: where these are, and how many of them came to the best place."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.types import Array
from graphrun.declare.initializers import draw, generator
from graphrun.declare.solver import Solved, Vector
from graphrun.engines.scipy.problem import ProgramProblem
from graphrun.plan.plan import Plan

SAME_PLACE = 1e-3
"""Ends that are this close are one place, in parts of how far the starts are spread."""

SAME_VALUE = 1e-6, 1e-9
"""How far objectives may be apart at one place: in parts of the best, and of what it is below the first start's."""


class _End(NamedTuple):
    value: float
    point: Vector
    reason: str


def from_all_starts(problem: ProgramProblem, solve: Callable[[ProgramProblem], str], plan: Plan) -> str:
    """Solve from all starts, the file's own first; return why the best one ended, and how many came there too."""
    first, _ = problem.objective(problem.start)
    ends: list[_End] = []
    spread = np.zeros_like(problem.start)
    for number in range(plan.update.starts):
        if number and not problem.begin_at(problem.vector(drawn(plan, number))):
            continue
        problem.random = generator(plan.seed, f"solver {number}")
        start = problem.start
        try:
            reason = solve(problem)
        except Solved as solved:
            reason = str(solved)
        ends.append(_End(*problem.best, reason))
        spread = np.maximum(spread, np.abs(start - ends[0].point))
    best = min(ends, key=lambda end: end.value)
    if plan.update.starts == 1:
        return best.reason
    relative, of_way = SAME_VALUE
    limit = relative * abs(best.value) + of_way * (first - best.value)
    equal = [end for end in ends if end.value - best.value <= limit]
    here = sum(bool(np.all(np.abs(end.point - best.point) <= SAME_PLACE * spread)) for end in equal)
    said = f"{best.reason}; {here} of {plan.update.starts} starts came to this place"
    if here < len(equal):
        said += f", {len(equal) - here} to others as good"
    skipped = plan.update.starts - len(ends)
    return said + (f", {skipped} had no finite objective to begin with" if skipped else "")


def drawn(plan: Plan, number: int) -> list[Array]:
    """Return where the parameters begin: drawn as the first start was, else within bounds, else around the first."""
    parameters: list[Array] = []
    for slot in range(plan.parameters):
        name, shape = f"{plan.names[slot]} start {number}", plan.shapes[slot]
        random, own = generator(plan.seed, name), plan.leaves[slot]
        lower, upper = plan.bounds[slot] or (-np.inf, np.inf)
        size = norm(own) / max(np.size(own), 1) ** 0.5
        value = own + (size or 1.0) * random.standard_normal(shape)
        share = random.uniform(size=shape)
        value = np.where(np.isfinite(lower) & np.isfinite(upper), lower * (1 - share) + upper * share, value)
        if slot in plan.initializers:
            initializer, settings = plan.initializers[slot]
            given, other = (
                draw(initializer, dict(settings), shape, seed=plan.seed, name=key) for key in (name, f"{name}, again")
            )
            # One that draws nothing, as zeros, gives no other start.
            value = value if np.array_equal(given, other) else given
        # What is beyond a bound is as far within it, for a method may stay at one.
        value = np.where(value < lower, 2 * lower - value, value)
        value = np.where(value > upper, 2 * upper - value, value)
        parameters.append(np.clip(value, lower, upper).astype(plan.dtype))
    return parameters
