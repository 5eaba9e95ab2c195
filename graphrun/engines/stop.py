"""Stop rules: when a run ends before its number of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping

from graphrun.document import StopEntry

RULES = ("gradient_norm", "value", "change", "patience")
"""The rules in the order in which they are asked."""


class StopRule:
    """Watches the objective and the norm of the gradient, row by row, and tells the reason to stop.

    Args:
        entry: the rules of the graph file. ``gradient_norm``: the norm is at most this. ``value``: the objective is at
            least this (maximize) or at most this (minimize). ``change``: a step changed the objective by at most this.
            ``patience``: so many steps in a row brought no better objective than the best before them.
        maximize: the direction of the objective.
    """

    def __init__(self, entry: StopEntry, *, maximize: bool) -> None:
        self._entry = entry
        self.sign = -1.0 if maximize else 1.0
        self._previous = math.nan
        self._best = math.inf
        self._since_best = 0

    def limits(self) -> tuple[float, ...]:
        """Return the limit of each of `RULES`, of the objective times `sign` for ``value``; NaN where there is none."""
        entry = self._entry
        value = None if entry.value is None else self.sign * entry.value
        given = (entry.gradient_norm, value, entry.change, entry.patience)
        return tuple(math.nan if limit is None else float(limit) for limit in given)

    def memory(self) -> dict[str, float]:
        """Return what the rule remembers of the rows so far, for a checkpoint."""
        return {"previous": self._previous, "best": self._best, "since_best": float(self._since_best)}

    def remember(self, memory: Mapping[str, float]) -> None:
        """Go on from what `memory` gave."""
        self._previous, self._best = memory["previous"], memory["best"]
        self._since_best = int(memory["since_best"])

    def __call__(self, objective: float, gradient_norm: float) -> str | None:
        """Take one row in; return the name of the rule that is met, or None."""
        loss = self.sign * objective
        change, self._previous = abs(objective - self._previous), objective
        self._since_best = 0 if loss < self._best else self._since_best + 1
        self._best = min(self._best, loss)
        # A limit of NaN is never met.
        watched = (gradient_norm, loss, change, -float(self._since_best))
        gradient_limit, value_limit, change_limit, patience = self.limits()
        limits = (gradient_limit, value_limit, change_limit, -patience)
        return next((name for name, x, limit in zip(RULES, watched, limits, strict=True) if x <= limit), None)
