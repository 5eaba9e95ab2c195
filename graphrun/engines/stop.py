"""Stop rules: when a run ends before its number of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from graphrun.base.norms import Numbers
from graphrun.document import StopEntry

RULES = ("gradient_norm", "value", "change", "patience")
"""The rules in the order in which they are asked."""


class Seen(NamedTuple):
    """What the rules look at in a row, and what they remember of it; a rule is met where that is at most its limit."""

    value: Any
    change: Any
    patience: Any
    best: Any
    since_best: Any


def look(xp: Any, objective: Any, previous: Any, best: Any, since_best: Any, *, sign: float) -> Seen:
    """Take one row in, whose objective is given: every engine lowers this function.

    Args:
        xp: the array namespace; only its `where` is needed.
        previous: the objective of the row before, NaN or infinite before the first.
        best: the least of all rows before, of the objective times `sign`.
        since_best: how many rows were no better in a row.
        sign: -1 of an objective to maximize, else 1.
    """
    value = sign * objective
    better = value < best
    since = xp.where(better, 0.0, since_best + 1.0)
    return Seen(value, abs(objective - previous), -since, xp.where(better, value, best), since)


class StopRule:
    """Watches the objective and the norm of the gradient, row by row, and tells the reason to stop.

    ``gradient_norm``: the norm is at most this. ``value``: the objective is at least this (maximize) or at most this
    (minimize). ``change``: a step changed the objective by at most this. ``patience``: so many steps in a row brought
    no better objective than the best before them.
    """

    def __init__(self, entry: StopEntry, *, maximize: bool) -> None:
        self._entry = entry
        self.sign = -1.0 if maximize else 1.0
        self._previous = math.nan
        self._best = math.inf
        self._since_best = 0.0
        self._limits = self.limits()

    def limits(self) -> tuple[float, ...]:
        """Return the limit of what `look` sees for each of `RULES`; NaN, which is never met, where there is none."""
        entry = self._entry
        signs = (1.0, self.sign, 1.0, -1.0)
        given = (entry.gradient_norm, entry.value, entry.change, entry.patience)
        return tuple(math.nan if limit is None else s * limit for s, limit in zip(signs, given, strict=True))

    def memory(self) -> dict[str, float]:
        """Return what the rule remembers of the rows so far, for a checkpoint."""
        return {"previous": self._previous, "best": self._best, "since_best": self._since_best}

    def remember(self, memory: Mapping[str, float]) -> None:
        """Go on from what `memory` gave."""
        if "best" in memory:
            self._previous, self._best, self._since_best = memory["previous"], memory["best"], memory["since_best"]

    def __call__(self, objective: float, gradient_norm: float) -> str | None:
        """Take one row in; return the name of the rule that is met, or None."""
        seen = look(Numbers, objective, self._previous, self._best, self._since_best, sign=self.sign)
        self._previous, self._best, self._since_best = objective, seen.best, seen.since_best
        watched = (gradient_norm, seen.value, seen.change, seen.patience)
        return next((name for name, x, limit in zip(RULES, watched, self._limits, strict=True) if x <= limit), None)
