"""What depends on the number of rows: two traces of one plan, at two numbers of rows, compared part by part.

A size that differs is so many times the rows, at any number of them; all else has to be the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphrun.declare.trace import Expression, inputs_first


class RowMultiple(NamedTuple):
    """So many times the number of rows."""

    factor: float


Size = int | RowMultiple


class FixedRowsError(Exception):
    """A model for any number of rows cannot be written; the text says why."""


class Twins:
    """What corresponds to each expression of a trace in another, at another number of rows.

    Args:
        rows: the two numbers of rows; None where there is one trace alone, and all sizes are what they are.
    """

    def __init__(self, rows: tuple[int, int] | None = None) -> None:
        self.rows = rows
        self._of: dict[Expression, Expression] = {}
        self._seen: dict[Expression, None] = {}

    def match(self, first: Expression, second: Expression) -> None:
        """Find what corresponds to each part of an expression.

        Raises:
            FixedRowsError: it is not the same at other numbers of rows.
        """
        if self.rows is None:
            return
        ours, theirs = inputs_first([first], self._of), inputs_first([second], self._seen)
        if len(ours) != len(theirs):
            raise FixedRowsError("is computed in another way at other numbers of rows")
        for a, b in zip(ours, theirs, strict=True):
            if a in self._of and self._of[a] is b:
                continue
            if a in self._of or b in self._seen or (a.operation, a.kind) != (b.operation, b.kind):
                raise FixedRowsError("is computed in another way at other numbers of rows")
            if any(self._of[x] is not y for x, y in zip(a.arguments, b.arguments, strict=True)):
                raise FixedRowsError("is computed in another way at other numbers of rows")
            self.pair(a, b)
            self.shape(a)
            self.setting(a)

    def pair(self, first: Expression, second: Expression) -> None:
        """Take an expression as what corresponds to another."""
        self._of[first] = second
        self._seen[second] = None

    def size(self, first: int, second: int) -> Size:
        """Return what a size is that was one number in the first trace and another in the second."""
        if first == second:
            return first
        few, many = self.rows or (1, 1)
        if first % few or first // few * many != second:
            raise FixedRowsError(f"has an axis of {first} elements at {few} rows and of {second} at {many}")
        return RowMultiple(first // few)

    def shape(self, expression: Any) -> tuple[Size, ...]:
        """Return the sizes of an expression's axes."""
        second = self._of.get(expression, expression)
        return tuple(self.size(a, b) for a, b in zip(expression.shape, second.shape, strict=True))

    def setting(self, expression: Any) -> Any:
        """Return the setting of an operation, or a constant's value, with sizes that may depend on the rows.

        Of a slice they are the pieces (start, number, step) that are not a whole axis, by axis; None for the number
        stands for all elements in reverse order.
        """
        first, second = expression, self._of.get(expression, expression)
        a, b = first.value, second.value
        if first.operation in {"reshape", "broadcast"}:
            return self.shape(expression)
        if first.operation == "slice":
            return self._pieces(first, second)
        if first.operation == "add_rows":
            return self.size(a, b)
        if np.array_equal(a, b, equal_nan=first.is_constant):
            return a
        if first.is_constant and not np.shape(a) and self.rows and a * self.rows[1] == b * self.rows[0]:
            return RowMultiple(a / self.rows[0])
        raise FixedRowsError("depends on the number of rows")

    def _pieces(self, first: Any, second: Any) -> dict[int, tuple[int, int | None, int]]:
        pieces: dict[int, tuple[int, int | None, int]] = {}
        sizes = zip(first.arguments[0].shape, second.arguments[0].shape, strict=True)
        for axis, (size, other) in enumerate(sizes):
            a, b = first.value[axis], second.value[axis]
            if a == (0, size, 1) and b == (0, other, 1):
                continue
            if a == (size - 1, size, -1) and b == (other - 1, other, -1):
                pieces[axis] = (-1, None, -1)
            elif a == b:
                pieces[axis] = a
            else:
                raise FixedRowsError("takes elements by their places among the rows")
        return pieces
