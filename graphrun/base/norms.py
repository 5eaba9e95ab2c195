"""The Euclidean norm of numbers whose squares overflow or vanish.

Squares are summed up as they are, and of numbers multiplied by a power of 2, which rounds nothing, where that sum says
nothing: E. Anderson, "Algorithm 978: Safe Scaling in the Level 1 BLAS", ACM TOMS 44 (2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

LEAST, MOST = 2.0**-900, 2.0**1023
"""Between these a sum of squares is right: what vanished of it is less than its rounding."""

GROWN, SHRUNK = 2.0**600, 2.0**-600
"""What numbers are multiplied by whose squares vanish, and those whose squares overflow."""

NUMBERS = {float, np.float32, np.float64}
LEAST_SINGLE = 1e-20
"""As `LEAST`, of a sum in single precision."""


def root_of_squares(
    xp: Any,
    squares: Callable[[Any], Any],
    choose: Callable[[Any, Callable[[], Any], Callable[[], Any]], Any],
) -> Any:
    """Return the root of a sum of squares; NaN if there is a NaN, else infinity if there is one.

    Args:
        xp: the array namespace.
        squares: returns the sum of the squares of all numbers times a factor, of float64.
        choose: returns what one of two functions does, the first where a condition holds.
    """
    total = squares(1.0)

    def scaled() -> Any:
        # A number of the run's: a compiler that knew the factor would square that, and multiply the squares by it.
        factor = choose(total < LEAST, lambda: GROWN, lambda: SHRUNK)
        return xp.sqrt(squares(factor)) / factor

    return choose((total >= LEAST) & (total <= MOST), lambda: xp.sqrt(total), scaled)


def norm(*parts: Any) -> float:
    """Return the Euclidean norm of all elements of some arrays; of a number its absolute value."""
    if NUMBERS.issuperset(map(type, parts)):
        # Python's own is scaled too, and takes a tenth of the time.
        return math.hypot(*parts)
    with np.errstate(all="ignore"):
        return float(root_of_squares(math, partial(_squares, parts), _choose))


def _choose(holds: bool, this: Callable[[], float], other: Callable[[], float]) -> float:
    return this() if holds else other()


def _squares(parts: Iterable[Any], factor: float) -> float:
    total = 0.0
    for part in parts:
        if isinstance(part, float):
            number = float(part) * factor
            total += number * number
            continue
        array = np.ravel(part)
        if factor == 1.0 and array.dtype == np.float32:
            found = float(np.dot(array, array))
            if LEAST_SINGLE < found < math.inf:
                total += found
                continue
        if factor != 1.0 or array.dtype != np.float64:
            array = array.astype(np.float64) * factor
        total += float(np.dot(array, array))
    return total
