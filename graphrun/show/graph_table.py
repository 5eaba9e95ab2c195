"""A drawing as a table for the terminal: by sections, with what belongs to a subgraph or an expression indented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from graphrun.document.excerpt import cells
from graphrun.show.draw import Box, Drawing, Shape
from graphrun.show.draw.rows import visible

SECTIONS = {
    Shape.PARAMETER: "parameters",
    Shape.CONSTANT: "constants",
    Shape.DATA: "data",
    Shape.NOISE: "noise",
    Shape.STATE: "states",
    Shape.NODE: "nodes",
    Shape.GROUP: "nodes",
}

NARROWEST = 40
GAP = 2
SHARES = (0.3, 0.2, 0.3, 0.2)
"""How much of a line each column may take before the others have what they need."""


class _Row(NamedTuple):
    """A row of the table; a title alone has the whole line."""

    title: str
    formula: str = ""
    value: str = ""
    gradient: str = ""

    @property
    def is_title(self) -> bool:
        return not any(self[1:])


def table(drawing: Drawing, columns: int) -> Iterator[str]:
    """Yield the lines of a table that is no wider than a terminal of so many columns."""
    columns = max(columns, NARROWEST)
    sections: dict[str, list[Box]] = {name: [] for name in SECTIONS.values()}
    for box in drawing.boxes:
        sections[SECTIONS[box.shape]].append(box)
    rows = {name: list(_rows(drawing, boxes)) for name, boxes in sections.items() if boxes}
    every = [row for found in rows.values() for row in found]
    heading = _Row("", "", "value", "gradient" if any(row.gradient for row in every) else "")
    widths = _widths([heading, *(heading._replace(title=name) for name in rows), *every], columns)
    yield from _wrapped(visible(drawing.description), columns)
    for number, (name, found) in enumerate(rows.items()):
        yield ""
        # The columns are named once, on the line of the first section.
        yield _line(heading._replace(title=name), widths) if not number else name
        for row in found:
            yield cut(row.title, columns) if row.is_title else _line(row, widths)


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, no wider than so many columns."""
    if cells(text) <= most:
        return text
    while cells(text) > most - 1:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _rows(drawing: Drawing, boxes: Sequence[Box]) -> Iterator[_Row]:
    """Yield the rows of a section: boxes in their order, but all of a frame where its first one is."""
    frames = {frame.name: frame for frame in drawing.frames}
    ways: list[tuple[str, ...]] = []
    first: dict[str, int] = {}
    for number, box in enumerate(boxes):
        way: tuple[str, ...] = ()
        frame = box.frame
        while frame is not None:
            way = (frame, *way)
            frame = frames[frame].outer
        ways.append(way)
        for frame in way:
            first.setdefault(frame, number)
    begun: tuple[str, ...] = ()
    for number in sorted(range(len(boxes)), key=lambda k: (*(first[frame] for frame in ways[k]), k)):
        box, way = boxes[number], ways[number]
        for depth, frame in enumerate(way):
            if begun[: depth + 1] != way[: depth + 1]:
                yield _Row(_indented(frames[frame].title, depth))
        begun = way
        formula = f"= {box.formula}" if box.shape is Shape.NODE else box.formula
        yield _Row(_indented(box.title, len(way)), *map(visible, (formula, box.value, box.gradient)))


def _indented(title: str, depth: int) -> str:
    return "  " * (depth + 1) + visible(title)


def _widths(rows: Sequence[_Row], columns: int) -> list[int]:
    """Return the widths of the columns; those that hold nothing have none."""
    widest = [max(cells(row[k]) for row in rows if not (k == 0 and row.is_title)) for k in range(4)]
    room = columns - GAP * (sum(map(bool, widest)) - 1)
    widths = [min(width, int(room * share)) for width, share in zip(widest, SHARES, strict=True)]
    for k in (0, 2, 3, 1):
        widths[k] = min(widest[k], widths[k] + room - sum(widths))
    return widths


def _line(row: _Row, widths: Sequence[int]) -> str:
    parts = []
    for k, (cell, width) in enumerate(zip(row, widths, strict=True)):
        if width:
            text = cut(cell, width)
            space = " " * (width - cells(text))
            parts.append(text + space if k < 2 else space + text)
    return (" " * GAP).join(parts).rstrip()


def _wrapped(text: str, columns: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and cells(line) + 1 + cells(word) > columns:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line
