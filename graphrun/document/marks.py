"""Places in a file: a line and a column, and the path of keys that leads to a value."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

# The keys and list indices that lead from the top of the file to a value: ("nodes", "f", "inputs", 1).
Path: TypeAlias = tuple[str | int, ...]

# YAML 1.1's line breaks, which libyaml and PyYAML count by.
LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


class Mark(NamedTuple):
    """A place in a file: line and column, both from 1, in characters."""

    line: int
    column: int


START = Mark(1, 1)


@dataclass(eq=False)
class GraphSyntaxError(Exception):
    """A place where a file stops being readable; caught by the document stage, which adds the file's name and line."""

    mark: Mark
    message: str
    suggestion: str | None = None


def mark_at(text: str, index: int) -> Mark:
    """Return the place of the character with this index in the text."""
    line, start = 1, 0
    for found in LINE_BREAK.finditer(text, 0, index):
        line, start = line + 1, found.end()
    return Mark(line, index - start + 1)


# What may stand before a scalar at its place: an anchor, a tag.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_BLOCK_HEADER = re.compile(r"[|>][^\n]*\n")
_ESCAPES = {"x": 4, "u": 6, "U": 10}
# Those of YAML's other escapes that stand for blanks, and a line end, which stands for nothing.
_BLANK_ESCAPES = frozenset("tnvfrNLP_ \t\n\r")


def mark_within(text: str, lines: Sequence[str], start: Mark, value: str, offset: int) -> Mark:
    """Return the place of one character of a scalar's value, however the scalar is written.

    The value is followed through the text character by character: quotes, escapes, and line breaks that were folded
    into blanks are passed over. `lines` are those of the whole text, and the scalar begins at `start`.
    """
    index = _index_of(text, lines, start)
    index = _PROPERTIES.match(text, index).end()  # type: ignore[union-attr]
    if text[index : index + 1] == "*":
        # An alias: the scalar stands elsewhere.
        return start
    header = _BLOCK_HEADER.match(text, index)
    quote = text[index : index + 1] if text[index : index + 1] in ("'", '"') else ""
    index = header.end() if header else index + len(quote)
    for position, character in enumerate(value):
        if character.isspace():
            continue
        length = _blank(text, index, quote)
        while length:
            index += length
            length = _blank(text, index, quote)
        if position >= offset or index >= len(text):
            break
        if quote == '"' and text[index] == "\\":
            index += _ESCAPES.get(text[index + 1 : index + 2], 2)
        else:
            index += 2 if quote == "'" and text[index] == "'" else 1
    return mark_at(text, min(index, len(text)))


def _blank(text: str, index: int, quote: str) -> int:
    """Return how many characters of the text stand for a blank here, or for nothing; 0 where there is none."""
    if text[index : index + 1].isspace():
        return 1
    if quote != '"' or text[index : index + 1] != "\\":
        return 0
    kind = text[index + 1 : index + 2]
    length = _ESCAPES.get(kind, 2)
    if kind in _ESCAPES:
        try:
            is_blank = chr(int(text[index + 2 : index + length], 16)).isspace()
        except (ValueError, OverflowError):
            is_blank = False
    else:
        is_blank = kind in _BLANK_ESCAPES
    return length if is_blank else 0


def _index_of(text: str, lines: Sequence[str], mark: Mark) -> int:
    """Return the index in the text of a place."""
    index = 0
    for line in lines[: mark.line - 1]:
        index += len(line)
        index += 2 if text.startswith("\r\n", index) else 1
    return index + mark.column - 1


def mark_of(event: Any) -> Mark:
    """Return the place where a YAML event begins."""
    mark = event.start_mark
    return Mark(mark.line + 1, mark.column + 1)
