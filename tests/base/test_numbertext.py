"""Values in a line: short numbers, arrays by shape, range and norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from graphrun.base.numbertext import count, describe, norm, number, seconds, size


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2, "2"), (-0.0, "0"), (1 / 3, "0.333333"), (-3.8808, "-3.8808"), (1e-5, "1e-5"), (1.5e-300, "1.5e-300"),
        (1e6, "1e6"), (123456, "123456"), (1234567, "1.23457e6"), (math.nan, "NaN"), (math.inf, "inf"),
        (-math.inf, "-inf"), (np.float32(4.98), "4.98"), (np.int64(7), "7"), (5e-324, "4.94066e-324"),
    ],
)  # fmt: skip
def test_numbers(value: Any, shown: str) -> None:
    """Six digits, no minus zero, no zeros in the exponent."""
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.5, "2.5"),
        ([5, -3, 2], "[5, -3, 2]"),
        ([[1.0, 0], [0, math.nan]], "[[1, 0], [0, NaN]]"),
        (np.zeros((3, 2)), "matrix 3x2: all 0"),
        (np.arange(5.0), "vector of 5: 0 to 4, norm 5.477"),
        (np.arange(5), "vector of 5: 0 to 4"),
        (np.full((2, 2, 2), 1e200), "array 2x2x2: all 1e200, norm 2.828e200"),
        (np.array([1, 2, 3, math.nan, math.inf]), "vector of 5: 2 of 5 not finite, the others 1 to 3"),
        (np.full(5, math.nan), "vector of 5: 5 of 5 not finite"),
        (np.zeros((0, 3)), "matrix 0x3: empty"),
    ],
)
def test_descriptions(value: Any, shown: str) -> None:
    """Small arrays are shown whole, large ones never."""
    assert describe(value) == shown


def test_norm_does_not_overflow() -> None:
    """The squares may be too large for a float, the norm is not."""
    assert norm([3e200, -4e200]) == pytest.approx(5e200)
    assert norm([3e-200, -4e-200]) == pytest.approx(5e-200)
    assert norm(-2) == 2
    assert math.isnan(norm([1, math.nan]))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (size(999), "999 B"),
        (size(1000), "1 kB"),
        (size(999_900), "1 MB"),
        (size(2.5e15), "2.5e+03 TB"),
        (seconds(1.5e-6), "1.5 us"),
        (seconds(0.9999), "1 s"),
        (count(12), "12"),
        (count(999_999), "1 M"),
    ],
)
def test_units(shown: str, expected: str) -> None:
    """Three digits in the unit that fits; what rounds up to a thousand is one of the next unit."""
    assert shown == expected
