"""What every kind of data file can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphrun.data.problems import MOST_OF_A_KIND, Findings, Place
from graphrun.document.excerpt import printable

Array: TypeAlias = NDArray[Any]

# The headers that are wanted, and of each whether its cells are texts.
Wanted: TypeAlias = Mapping[str, bool]

# A mistake in words, and a suggestion.
Told: TypeAlias = tuple[str, str | None]


class Table(ABC):
    """A file of named columns.

    Attributes:
        name: the file as messages name it.
        headers: the names of its columns, in the file's order.
        part: what it calls one of them.
    """

    part = "column"

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

    @abstractmethod
    def read(self, wanted: Wanted) -> dict[str, Array]:
        """Return whole columns: numbers as integers or floats, texts as objects; raise DataError for a bad cell."""

    def places(self, header: str, rows: Iterable[int]) -> list[Place]:
        """Return where the cells of a column stand, by their rows, counted from 0 below the header."""
        del header
        return [Place(f"{printable(self.name)}: row {row + 1}") for row in rows]

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

    def close(self) -> None:  # noqa: B027 (most files are open only while they are read)
        """Let go of the file."""


def whole_as_integers(values: Array) -> Array:
    """Return floats that are all whole as integers, where none is too large to be exact."""
    if values.dtype.kind != "f" or not is_whole(values):
        return values
    return values.astype(np.int64)


def is_whole(values: Array) -> bool:
    """Say whether all numbers are whole and exact: below 2**53."""
    return bool((np.abs(values) <= 2**53).all() and (values == np.rint(values)).all())
