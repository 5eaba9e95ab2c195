"""What stands in a box, row by row, and how much room it takes; what cannot be seen is made visible."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from graphrun.show.draw.drawing import Box, Frame, Line, Shape

FONT = 13.0
SMALL = 11.0
ROW = 17.0
PADDING = 8.0

LONGEST_TITLE = 28
LONGEST_ROW = 38

UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of characters that show nothing, or that change how others are shown (bidi controls)."""

NARROW = frozenset("ijlI|!.,:;'`[]()ftr -")
BROAD = frozenset("mwMW@%")


CULPRIT = "first not finite here"

NOT_FINITE = re.compile(r"\b(NaN|inf)\b")


class RowKind(StrEnum):
    """What a row tells."""

    TITLE = "title"
    FORMULA = "formula"
    VALUE = "value"
    GRADIENT = "gradient"
    CULPRIT = "culprit"


@dataclass(frozen=True, slots=True)
class BoxRow:
    """A row of a box: a title in bold, then more in plain type; either may be empty."""

    kind: RowKind
    strong: str
    plain: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether it is a number that is not finite, or an array that has one."""
        return self.kind in {RowKind.VALUE, RowKind.GRADIENT} and NOT_FINITE.search(self.strong) is not None

    def written(self, escape: Callable[[str], str], bold: str, small: str = "{}") -> str:
        """Return the row as text with markup; of a gradient the word is small and comes first."""
        strong, plain = bold.format(escape(self.strong)) if self.strong else "", escape(self.plain)
        return f"{small.format(plain)} {strong}" if self.kind is RowKind.GRADIENT else f"{strong} {plain}".strip()


def rows(box: Box) -> list[BoxRow]:
    """Return the rows of a box: its name and formula, its value, its gradient."""
    title, formula = shorten(visible(box.title), LONGEST_TITLE), visible(box.formula)
    joined = f"= {formula}" if box.shape is Shape.NODE else formula
    if formula and len(title) + len(joined) < LONGEST_TITLE and box.shape is not Shape.GROUP:
        result = [BoxRow(RowKind.TITLE, title, joined)]
    else:
        result = [BoxRow(RowKind.TITLE, title)]
        if formula:
            result.append(BoxRow(RowKind.FORMULA, "", shorten(joined, LONGEST_ROW)))
    if box.value:
        result.append(BoxRow(RowKind.VALUE, shorten(visible(box.value), LONGEST_ROW)))
    if box.gradient:
        result.append(BoxRow(RowKind.GRADIENT, shorten(visible(box.gradient), LONGEST_ROW), "gradient"))
    if box.is_culprit:
        result.append(BoxRow(RowKind.CULPRIT, "", CULPRIT))
    return result


def row_width(row: BoxRow) -> float:
    """Return how wide a row is."""
    strong = width(row.strong, FONT, bold=True)
    return strong + (width(row.plain, SMALL if row.kind is RowKind.GRADIENT else FONT) + 5 if row.plain else 0.0)


def measure(box: Box) -> tuple[float, float]:
    """Return width and height of a box."""
    found = rows(box)
    wide = max(map(row_width, found)) + 2 * PADDING
    high = ROW * len(found) + 2 * PADDING - 4
    # The ends of a pill, the points of a hexagon and the lids of a cylinder take room.
    if box.shape is Shape.DATA:
        high += 12
    elif box.shape is not Shape.NODE:
        wide += 14
    if box.is_objective:
        wide, high = wide + 6, high + 6
    return max(wide, 44.0), high


def label_width(line: Line) -> float:
    """Return how wide the label of a line is."""
    return width(visible(line.label), SMALL) if line.label else 0.0


def frame_title(frame: Frame) -> str:
    """Return the title of a frame as it is shown."""
    return shorten(visible(frame.title), LONGEST_ROW)


def visible(text: str) -> str:
    """Return a text on one line in which every character can be seen: a control character is shown by its number."""
    if text.isascii() and text.isprintable():
        return text
    spaced = " ".join(text.split())
    return "".join(f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in UNSEEN else c for c in spaced)


def shorten(text: str, most: int) -> str:
    """Return a text with at most so many characters, cut in the middle."""
    if len(text) <= most:
        return text
    end = (most - 1) // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Estimate how wide a text is, in the unit of the font's size.

    Measured on DejaVu Sans, the widest of the sans-serif fonts in use, so that no other one leaves its box.
    """
    ems = sum(map(_em, text))
    return ems * size * (1.1 if bold else 1.0)


def _em(character: str) -> float:
    if character in NARROW:
        return 0.4
    if character in BROAD:
        return 1.0
    if character.isascii():
        return 0.72 if character.isupper() or character in "+=<>~" else 0.63
    if unicodedata.combining(character):
        return 0.0
    return 1.05 if unicodedata.east_asian_width(character) in "WF" else 0.8
