"""A line of a file as a terminal shows it, with a caret under one character."""

import unicodedata
from collections.abc import Sequence

from graphrun.base.wording import printable
from graphrun.document.marks import Mark

# A terminal's usual 80 columns less the indentation of the excerpt, and how much of them may lie before the caret.
WIDEST = 76
BEFORE_CARET = 50


def excerpt(lines: Sequence[str], mark: Mark) -> list[str]:
    """Return the line at a mark, cut to a window around it, and the line with the caret; nothing for an empty line."""
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    column = min(mark.column - 1, len(line))
    if not line.strip():
        return []
    start = min(len(line) - len(line.lstrip()), column)
    end = len(line)
    # Cut by characters before anything is measured: the line may be the whole of a file of 20 MB.
    if end - start > WIDEST and column - start > BEFORE_CARET:
        start = column - BEFORE_CARET
    end = min(end, max(start + WIDEST, column + 1))
    before, rest = printable(line[start:column]), printable(line[column:end])
    left = "…" if start and line[:start].strip() else ""
    right = "…" if line[end:].strip() else ""
    return [f"{left}{before}{rest.rstrip()}{right}", " " * cells(left + before) + "^"]


def describe_problem(
    name: str, lines: Sequence[str], mark: Mark, message: str, suggestion: str | None, *, located: bool = True
) -> str:
    """Return a problem as users see it: place and message, the line with a caret, the suggestion."""
    place = f"{printable(name)}:{mark.line}:{mark.column}" if located else printable(name)
    shown = [f"{place}: {message}"]
    shown += [f"    {line}" for line in excerpt(lines, mark)]
    if suggestion:
        shown.append(f"  {suggestion}")
    return "\n".join(shown)


def cells(text: str) -> int:
    """Return how many columns a text takes on a terminal: two for a wide character, none for one that combines."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
