"""What derivatives say of how far data determine parameters: a covariance, and the combinations that are left open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphrun.base.numbertext import number
from graphrun.declare.solver import Vector

EPSILON = float(np.finfo(np.float64).eps)
NOTHING = EPSILON**0.5
"""A smaller part in a combination is rounding."""

SHOWN_TERMS = 6
LARGEST_FACTOR = 30
ROUNDED = 1e-5


class Inverse(NamedTuple):
    """The inverse of the matrix of a quadratic form, as far as it has one.

    Attributes:
        matrix: its pseudo-inverse, in which what the form does not see has no part.
        roots: the roots of its diagonal.
        open: a row for each combination of the elements that the form does not see, as few elements in each as may be.
        falls: whether it curves downwards along one of them.
        rank: how many combinations it sees.
    """

    matrix: Vector
    roots: Vector
    open: Vector
    falls: bool
    rank: int

    @property
    def is_determined(self) -> NDArray[np.bool_]:
        """Whether each element is determined: it is in no combination that is open."""
        return np.asarray(~self.open.any(axis=0), bool)


def column_lengths(matrix: Vector) -> Vector:
    """Return the Euclidean norms of the columns, also where squares of their elements are no numbers."""
    largest = np.abs(matrix).max(axis=0, initial=0.0)
    units = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return np.asarray(units * np.linalg.norm(matrix / units, axis=0))


def inverse_of_squares(jacobian: Vector) -> Inverse:
    """Return the inverse of JᵀJ, by an orthogonal decomposition of J, whose columns are brought to one length.

    Forming JᵀJ would lose half of the digits (Golub and Van Loan, 2013, section 5.3.8).
    """
    lengths = column_lengths(jacobian)
    sizes = np.where(lengths > 0, lengths, 1.0)
    triangle = np.linalg.qr(jacobian / sizes, mode="r")
    count = len(sizes)
    square = np.zeros((count, count))
    square[: len(triangle)] = triangle
    _, values, directions = np.linalg.svd(square)
    limit = EPSILON * max(jacobian.shape) * values.max(initial=0.0)
    return _inverse(values, values**2, directions, sizes, limit)


def inverse_of_curvature(hessian: Vector, error: float) -> Inverse:
    """Return the inverse of a Hessian, whose elements have such a relative error."""
    sizes = np.sqrt(np.abs(np.diagonal(hessian)))
    sizes = np.where(sizes > 0, sizes, 1.0)
    values, directions = np.linalg.eigh(hessian / sizes / sizes[:, None])
    limit = error * len(sizes) * np.abs(values).max(initial=0.0)
    return _inverse(values, values, directions.T, sizes, limit)


def _inverse(values: Vector, curvatures: Vector, directions: Vector, sizes: Vector, limit: float) -> Inverse:
    seen = values > limit
    factor = directions[seen] / np.sqrt(curvatures[seen])[:, None]
    roots, factor = np.linalg.norm(factor, axis=0) / sizes, factor / sizes
    open_ones = _simplest(directions[~seen]) / sizes
    return Inverse(factor.T @ factor, roots, open_ones, bool((values < -limit).any()), int(seen.sum()))


def _simplest(directions: Vector) -> Vector:
    """Return other vectors of the same space, with as many zeros as elimination gives (Gauss and Jordan)."""
    rows = directions.copy()
    for row in range(len(rows)):
        below, pivot = divmod(int(np.argmax(np.abs(rows[row:]))), rows.shape[1])
        rows[[row, row + below]] = rows[[row + below, row]]
        rows[row] /= rows[row, pivot]
        others = np.arange(len(rows)) != row
        rows[others] -= np.outer(rows[others, pivot], rows[row])
    rows[np.abs(rows) < NOTHING] = 0.0
    return rows


def combination_text(coefficients: Vector, names: Sequence[str]) -> str:
    """Write a combination, ``2*a - b``: in whole numbers where it has such, else with 1 for the first."""
    places = np.flatnonzero(coefficients)
    parts = coefficients[places]
    ratios = parts / np.abs(parts).min() * np.sign(parts[0])
    wholes = (ratios * factor for factor in range(1, LARGEST_FACTOR + 1))
    parts = next((np.rint(x) for x in wholes if np.abs(x - np.rint(x)).max() < ROUNDED), parts / parts[0])
    text = ""
    for part, place in zip(parts[:SHOWN_TERMS].tolist(), places.tolist(), strict=False):
        size = "" if abs(part) == 1 else f"{number(abs(part), 4)}*"
        sign = (" - " if part < 0 else " + ") if text else ("-" if part < 0 else "")
        text += f"{sign}{size}{names[place]}"
    more = len(places) - SHOWN_TERMS
    return f"{text} + … ({more:,} more)" if more > 0 else text
