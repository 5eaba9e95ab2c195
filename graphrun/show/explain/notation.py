"""How an explanation writes mathematics: formulas, and what stands around them on a board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphrun.base.numbertext import describe, number
from graphrun.declare.notation import TEXT_FORMS, Bound, Notation, readable_number, signed


@dataclass(frozen=True, kw_only=True)
class BoardNotation(Notation):
    """A notation with what stands around formulas on a board.

    Attributes:
        decimal: writes a number that was computed: in decimals, never as a fraction.
        derivative_form: the derivative of one value by another.
        new_form: the symbol of a value after the update.
        is_text: whether it takes the texts of declarations as they are.
    """

    truths: tuple[str, str] = ("false", "true")
    is_for_readers: bool = True
    decimal: Callable[[float], Bound] = lambda value: signed(number(value))
    derivative_form: str = "d{0}/d{1}"
    new_form: str = "new {0}"
    is_text: bool = True

    def derivative(self, of: str, by: str) -> str:
        """Return the derivative of one value by another, both by name."""
        return self.derivative_form.format(self.name(of), self.name(by))

    def new(self, name: str) -> str:
        """Return the symbol of a value after the update."""
        return self.new_form.format(self.name(name))


BOARD_TEXT = BoardNotation(forms=TEXT_FORMS, number=readable_number)
"""Plain text: the derivative of f by a is ``df/da``."""


def value_text(notation: BoardNotation, value: Any) -> str:
    """Return a value: a number, or the summary of an array."""
    return notation.decimal(float(value))[0] if is_number(value) else notation.words(describe(value))


def is_number(value: Any) -> bool:
    """Whether a value is a number rather than an array."""
    return not getattr(value, "shape", ())
