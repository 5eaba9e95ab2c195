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


class Numbers:
    """Python's numbers as an array namespace: small steps would wait for NumPy's functions."""

    sqrt, minimum = math.sqrt, min

    @staticmethod
    def where(condition: bool, x: float, y: float) -> float:
        """Return x where the condition holds, else y."""
        return x if condition else y

    @staticmethod
    def choose(condition: bool, x: Callable[[], float], y: Callable[[], float]) -> float:
        """Return what x does where the condition holds, else what y does."""
        return x() if condition else y()


def root_of_squares(
    xp: Any,
    squares: Callable[[Any], Any],
    choose: Callable[[Any, Callable[[], Any], Callable[[], Any]], Any],
) -> Any:
    """Return the root of a sum of squares; NaN if there is a NaN, else infinity if there is one.

    `squares` returns the sum of the squares of all numbers times a factor, of float64; `choose` returns what one of two
    functions does, the first where a condition holds.
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
    return float(root_of_squares(Numbers, partial(_squares, parts), Numbers.choose))


def _squares(parts: Iterable[Any], factor: float) -> float:
    total = 0.0
    for part in parts:
        if isinstance(part, float):
            number = float(part) * factor
            total += number * number
            continue
        array = np.asarray(part)
        if factor != 1.0 or array.dtype != np.float64:
            found = float(np.vdot(array, array)) if factor == 1.0 and array.dtype == np.float32 else math.inf
            if LEAST_SINGLE < found < math.inf:
                total += found
                continue
            array = array.astype(np.float64) * factor
        # Of all functions for it the one that does not warn.
        total += float(np.vdot(array, array))
    return total
