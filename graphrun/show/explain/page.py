"""What an explanation is made of, whatever it is printed as: headings, prose, rows of equations, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class Math(str):
    """A text in mathematical notation, within prose or in a table."""

    __slots__ = ()


Prose = Sequence[str]
"""Texts one after the other; those that are `Math` are set as such."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: of the page at level 1, of a section at level 2."""

    prose: Prose
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    prose: Prose


@dataclass(frozen=True, slots=True)
class MathRow:
    """One line of a calculation: ``left = formula = numbers = result``; what is empty is left out.

    Attributes:
        gets: the left side is given the rest as one part of several.
        note: what a teacher says to it.
    """

    left: str
    formula: str = ""
    numbers: str = ""
    result: str = ""
    note: Prose = ()
    gets: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together, under an equation of their own or none."""

    rows: Sequence[MathRow]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Equations:
    """Calculations; `columns` names what the left sides, formulas, numbers and results are, where they are a table."""

    groups: Sequence[Group]
    columns: tuple[str, str, str, str] = ("value", "formula", "in numbers", "result")


@dataclass(frozen=True, slots=True)
class CellTable:
    """Cells in rows under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Paragraph | Equations | CellTable


Page = Sequence[Block]
"""An explanation, from top to bottom."""


def joined(parts: Iterable[Prose], separator: str = ", ") -> list[str]:
    """Return prose with a separator between its parts."""
    return [piece for k, part in enumerate(parts) for piece in ((separator, *part) if k else part)]
