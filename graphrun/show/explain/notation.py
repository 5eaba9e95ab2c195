"""How an explanation writes mathematics: as plain text, and what every other notation has to write too."""

from __future__ import annotations

from typing import Any, Protocol

from graphrun.base.numbertext import describe, number
from graphrun.declare.formula import Bound, Notation, TextNotation
from graphrun.declare.operations import ATOM, SIGN


class BoardNotation(Notation, Protocol):
    """Formulas, and what stands around them on a board."""

    is_text: bool
    """Whether it takes the texts of declarations as they are."""

    def derivative(self, of: str, by: str) -> str:
        """Return the derivative of one value by another, both by name."""

    def new(self, name: str) -> str:
        """Return the symbol of a value after the update."""

    def decimal(self, value: float) -> Bound:
        """Return a number that was computed: in decimals, never as a fraction."""

    def words(self, text: str) -> str:
        """Return words that stand in the place of a number: the summary of an array."""


class BoardText(TextNotation):
    """Plain text: the derivative of f by a is ``df/da``."""

    is_text = True

    def derivative(self, of: str, by: str) -> str:
        """Return the derivative of one value by another."""
        return f"d{of}/d{by}"

    def new(self, name: str) -> str:
        """Return the symbol of a value after the update."""
        return f"new {name}"

    def decimal(self, value: float) -> Bound:
        """Return a number that was computed."""
        text = number(value)
        return text, SIGN if text.startswith("-") else ATOM

    def words(self, text: str) -> str:
        """Return the summary of an array."""
        return text


def value_text(notation: BoardNotation, value: Any) -> str:
    """Return a value: a number, or the summary of an array."""
    return notation.decimal(float(value))[0] if is_number(value) else notation.words(describe(value))


def is_number(value: Any) -> bool:
    """Whether a value is a number rather than an array."""
    return not getattr(value, "shape", ())
