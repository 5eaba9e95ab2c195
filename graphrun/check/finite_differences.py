"""Slopes by finite differences, each with an estimate of its own error.

Central differences of fourth order are taken at a ladder of steps. A coarse step has a truncation error, a fine one a
rounding error; from one rung to the next the change of the slope shows the first, and the second is known. The rung of
the smallest error is taken, point by point, so that no scale has to be known beforehand; the ladder ends where no finer
rung can do better, which is mostly the second (after C. J. F. Ridders,
"Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4 (1982), 75-76).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FIRST_STEP = 0.1
RATIO = math.e**2
"""From rung to rung; irrational, or else steps over the jumps of a staircase agree by accident."""

RUNGS = 9
EPSILON = float(np.finfo(np.float64).eps)
SMALLEST_NORMAL = float(np.finfo(np.float64).smallest_normal)
ROUNDING = 8.0
"""How many units in the last place the function's own values may be wrong by."""


@dataclass(frozen=True)
class Slopes:
    """Slopes at many points at once, NaN where there is none, and how far each may be off: infinitely there."""

    slope: Floats
    error: Floats

    def replaced(self, where: NDArray[np.bool_], other: Slopes) -> Slopes:
        """Take the other slopes at the points of a mask, where they are better."""
        slope, error = self.slope.copy(), self.error.copy()
        better = other.error < error[where]
        slope[where] = np.where(better, other.slope, slope[where])
        error[where] = np.where(better, other.error, error[where])
        return Slopes(slope, error)


def differentiate(values_at: Callable[[Floats], tuple[Floats, Floats]], position: Floats, scale: Floats) -> Slopes:
    """Return the slopes of a function of one variable at many positions.

    `values_at` takes a step for each and gives the function's values there, NaN where the step cannot be taken, and the
    size of the terms that they are sums of. Steps go from a tenth of the scale downwards.
    """
    best = Slopes(np.full(np.shape(scale), np.nan), np.full(np.shape(scale), np.inf))
    coarser = best.slope
    for rung in range(RUNGS):
        step = np.asarray(scale * (FIRST_STEP / RATIO**rung))
        (ahead, size), (behind, _) = values_at(step), values_at(-step)
        (far_ahead, _), (far_behind, _) = values_at(2 * step), values_at(-2 * step)
        finer = (8 * (ahead - behind) - (far_ahead - far_behind)) / (12 * step)
        rounding = ROUNDING * (EPSILON * (size + np.abs(position * finer)) + SMALLEST_NORMAL) / step
        estimate = np.abs(finer - coarser) + rounding
        better = estimate < best.error
        best = Slopes(np.where(better, finer, best.slope), np.where(better, estimate, best.error))
        # The next rung's rounding error alone, which is so many times this one's, will be more than the error so far.
        if np.all(np.isfinite(best.error) & (RATIO * rounding >= best.error)):
            break
        coarser = finer
    return best
