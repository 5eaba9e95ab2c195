"""What every kind of data file can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphrun.data.problems import Place

Array: TypeAlias = NDArray[Any]

# The headers that are wanted, and of each whether its cells are texts.
Wanted: TypeAlias = Mapping[str, bool]


class Cell(NamedTuple):
    """A cell: its row, from 0 below the header, and the header of its column."""

    row: int
    header: str


class Table(Protocol):
    """A file of named columns.

    Attributes:
        name: the file as messages name it.
        headers: the names of its columns, in the file's order.
    """

    name: str
    headers: tuple[str, ...]

    def unfit(self, header: str, *, text: bool) -> str | None:
        """Say why a column cannot be read as numbers, or as texts; None where it can."""

    def item_shape(self, header: str) -> tuple[int, ...]:
        """Return the shape of what one row holds in a column: () for a number."""

    def read(self, wanted: Wanted) -> dict[str, Array]:
        """Return whole columns: numbers as integers or floats, texts as objects; raise DataError for a bad cell."""

    def places(self, cells: Sequence[Cell]) -> list[Place]:
        """Return where cells stand."""


def whole_as_integers(values: Array) -> Array:
    """Return floats that are all whole as integers, where none is too large to be exact."""
    if values.dtype.kind != "f" or not is_whole(values):
        return values
    return values.astype(np.int64)


def is_whole(values: Array) -> bool:
    """Say whether all numbers are whole and exact: below 2**53."""
    return bool((np.abs(values) <= 2**53).all() and (values == np.rint(values)).all())
