"""What an explanation is made of, whatever it is printed as: headings, prose, rows of equations, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


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
class Row:
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

    rows: Sequence[Row]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Equations:
    """Calculations; `columns` names what the left sides, formulas, numbers and results are, where they are a table."""

    groups: Sequence[Group]
    columns: tuple[str, str, str, str] = ("value", "formula", "in numbers", "result")


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in rows under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Paragraph | Equations | Table


@dataclass(frozen=True, slots=True)
class Page:
    """An explanation, from top to bottom."""

    blocks: Sequence[Block] = field(default_factory=list)


def printable(text: str) -> str:
    """Return a text of a user's with nothing in it that could steer a terminal or turn the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
