"""The numbers of a report: one column for each quantity, one number for each row, and nothing written twice.

In a graph many quantities are the same: the gradient of what is only added is that of the sum, the derivative of a
product is the other factor. Columns that are equal are kept once, and a column that stays the same is one number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.numbertext import SHOWN_ELEMENTS

DIGITS = 7
"""One more than are shown."""

DIGITS_OF_TIES = 12
"""What ends in 5 has more, so that rounding it again shows the digits that `explain` does."""

Number = float | int | str
"""As JSON has it: what is not finite is a string."""


def parts(value: Any) -> list[float]:
    """Return the numbers that stand for a value: those of a small one, the smallest, largest and norm of a larger."""
    array = np.asarray(value)
    if array.size <= SHOWN_ELEMENTS:
        return [float(element) for element in array.ravel()]
    with np.errstate(all="ignore"):
        return [float(array.min()), float(array.max()), norm(array)]


def count_parts(shape: tuple[int, ...]) -> int:
    """Return how many numbers stand for a value of some shape."""
    size = math.prod(shape)
    return size if size <= SHOWN_ELEMENTS else 3


def shortened(value: float) -> Number:
    """Round to the digits that a report has; whole numbers lose their point, and minus zero its sign."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.{DIGITS}g}"
    rounded = float(f"{value:.{DIGITS_OF_TIES}g}" if text.partition("e")[0].endswith("5") else text)
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


class Columns:
    """All columns by number: a list of numbers, or one number where all are the same."""

    def __init__(self) -> None:
        self.data: list[Number | list[Number]] = []
        self._known: dict[tuple[Number, ...], int] = {}

    def add(self, column: Sequence[float]) -> int:
        """Return the number of a column, a new one if there is none like it."""
        key = tuple(map(shortened, column))
        if len(set(key)) == 1:
            # What stays the same does so over any rows.
            key = key[:1]
        if key not in self._known:
            self._known[key] = len(self.data)
            self.data.append(key[0] if len(key) == 1 else list(key))
        return self._known[key]

    def add_rows(self, rows: Sequence[Sequence[float]]) -> list[int]:
        """Return the numbers of the columns of a table that is given by its rows, which are of one length."""
        return [self.add(column) for column in zip(*rows, strict=True)]

    def __iter__(self) -> Iterator[Number | list[Number]]:
        return iter(self.data)
