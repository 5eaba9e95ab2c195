"""Places in a file: a line and a column, and the path of keys that leads to a value."""

from __future__ import annotations

import re
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


class GraphSyntaxError(Exception):
    """A place where a file stops being readable; caught by the document stage, which adds the file's name and line."""

    def __init__(self, mark: Mark, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message
        self.suggestion = suggestion


def mark_at(text: str, index: int) -> Mark:
    """Return the place of the character with this index in the text."""
    line, start = 1, 0
    for found in LINE_BREAK.finditer(text, 0, index):
        line, start = line + 1, found.end()
    return Mark(line, index - start + 1)


def mark_of(event: Any) -> Mark:
    """Return the place where a YAML event begins."""
    mark = event.start_mark
    return Mark(mark.line + 1, mark.column + 1)
