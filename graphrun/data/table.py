"""What every kind of data file can do."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphrun.base.wording import printable
from graphrun.data.problems import MOST_OF_A_KIND, Findings, Place

Array: TypeAlias = NDArray[Any]

# The headers that are wanted, and of each whether its cells are texts.
Wanted: TypeAlias = Mapping[str, bool]

# A text in memory: Python's object of a short one, and its place in an array.
TEXT_BYTES = 64

# A mistake in words, and a suggestion.
Told: TypeAlias = tuple[str, str | None]


class Table(ABC):
    """A file of named columns.

    Attributes:
        name: the file as messages name it.
        headers: the names of its columns, in the file's order.
        part: what it calls one of them.
        gaps: the columns in which cells may be missing: NaN in place of a number, "" in place of a text.
    """

    part = "column"
    gaps: frozenset[str] = frozenset()

    name: str
    headers: tuple[str, ...]

    def unfit(self, header: str, *, text: bool) -> str | None:
        """Say why a column cannot be read as numbers, or as texts; None where it can, or where only reading tells."""
        del header, text
        return None

    def item_shape(self, header: str) -> tuple[int, ...]:
        """Return the shape of what one row holds in a column: () for a number."""
        del header
        return ()

    def check(self, wanted: Wanted) -> None:  # noqa: B027 (most files cannot hold a name twice)
        """Refuse columns of which the file has several by that name; raise a DataError with their places."""

    @abstractmethod
    def read(self, wanted: Wanted) -> dict[str, Array]:
        """Return whole columns: numbers as integers or floats, texts as objects; raise DataError for a bad cell."""

    def places(self, header: str, rows: Iterable[int]) -> list[Place]:
        """Return where the cells of a column stand, by their rows, counted from 0 below the header."""
        del header
        return [Place(f"{printable(self.name)}: row {row + 1}") for row in rows]

    def rounded(self, header: str, values: Array, start: int = 0) -> str | None:
        """Return a whole number of a column, as the file has it, that no float64 is; None where there is none.

        Args:
            header: the column.
            values: some of its rows, as they were read.
            start: the first of these rows, counted from 0 below the header.
        """
        del header, start
        if values.dtype.kind not in "iu" or not is_large(values):
            return None
        with np.errstate(invalid="ignore"):
            bad = values[values.astype(np.float64).astype(values.dtype) != values]
        return str(bad.flat[0]) if bad.size else None

    def report(self, findings: Findings, header: str, kind: str, rows: Array, told: Iterator[Told]) -> None:
        """Add mistakes of one kind in rows of a column: the first ones with their places, the others by their number.

        What is `told` of each row is asked for the first ones only.
        """
        places = self.places(header, rows[:MOST_OF_A_KIND].tolist())
        for position, place in enumerate(places):
            if not findings.wants(header, kind):
                findings.count(len(rows) - position - 1, header, kind)
                return
            findings.add(place, *next(told))
        findings.count(len(rows) - len(places), header, kind)

    def has_integers(self, header: str) -> bool:
        """Say whether whole numbers of a column are integers."""
        del header
        return False

    def row_bytes(self, wanted: Wanted) -> int:
        """Return how many bytes a row of some columns takes in memory, where texts are short."""
        return sum(TEXT_BYTES if text else 8 * math.prod(self.item_shape(header)) for header, text in wanted.items())

    def close(self) -> None:  # noqa: B027 (most files are open only while they are read)
        """Let go of the file."""


# What is written where there is no number, or no text.
MISSING = ("", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", ".")


def is_missing(cell: str) -> bool:
    """Say whether a text stands for nothing."""
    return cell.strip().casefold() in MISSING


def filled(columns: dict[str, Array], headers: Iterable[str]) -> Array:
    """Return of each row whether none of its cells is missing."""
    result = np.ones(len(next(iter(columns.values()))), bool)
    for header in headers:
        values = columns[header]
        result &= values != "" if values.dtype == object else ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
    return result


def whole_as_integers(values: Array) -> Array:
    """Return floats that are all whole as integers, where none is too large to be exact."""
    if values.dtype.kind != "f" or not is_whole(values):
        return values
    return values.astype(np.int64)


def is_large(values: Array) -> bool:
    """Say whether there is a number of 2**53 or more, to which the next whole number is rounded."""
    return bool(values.size and (values.max() >= 2**53 or values.min() <= -(2**53)))


def is_whole(values: Array) -> bool:
    """Say whether all numbers are whole and exact: below 2**53."""
    return bool((np.abs(values) <= 2**53).all() and (values == np.rint(values)).all())
