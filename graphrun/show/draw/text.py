"""Text in pictures: what cannot be seen is made visible, and how wide a text will be."""

from __future__ import annotations

import unicodedata

UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of characters that show nothing, or that change how others are shown (bidi controls)."""

NARROW = frozenset("ijlI|!.,:;'`[]()ftr -")
BROAD = frozenset("mwMW@%")


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
