"""A drawing as a table for the terminal: by sections, with what belongs to a subgraph or an expression indented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from graphrun.base.numbertext import shortened
from graphrun.document.excerpt import cells
from graphrun.show.draw import Box, Drawing, Shape
from graphrun.show.draw.rows import visible
from graphrun.show.tables import FEWEST_DIGITS, cut, fitted, shared

SECTIONS = {
    Shape.PARAMETER: "parameters",
    Shape.CONSTANT: "constants",
    Shape.DATA: "data",
    Shape.NOISE: "noise",
    Shape.STATE: "states",
    Shape.NODE: "nodes",
    Shape.GROUP: "nodes",
}

NARROWEST = 20
GAP = 2
LEAST = (12, 0, 8, 8)
"""What each column has of a line before the others have what they need."""

SHORT_FORMULA = 12
"""Where there is less room than this for a formula, it stands on a line of its own."""


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
        yield from [name] if number else _lines(heading._replace(title=name), widths, columns)
        for row in found:
            yield from [cut(row.title, columns)] if row.is_title else _lines(row, widths, columns)


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
    """Return the widths of the columns; those that hold nothing have none, and a formula without room has a line."""
    widest = [max(cells(row[k]) for row in rows if not (k == 0 and row.is_title)) for k in range(4)]
    room = columns - GAP * (sum(map(bool, widest)) - 1)
    least = [min(width, share) for width, share in zip(widest, LEAST, strict=True)]
    few = [widest[0] if k == 0 else max(cells(shortened(row[k], FEWEST_DIGITS)) for row in rows) for k in range(4)]
    few[1] = min(widest[1], SHORT_FORMULA)
    widths = shared([few, widest], least, room)
    if widths[1] < few[1]:
        widest[1] = few[1] = least[1] = 0
        widths = shared([few, widest], least, room + GAP)
    return widths


def _lines(row: _Row, widths: Sequence[int], columns: int) -> Iterator[str]:
    parts = []
    for k, (cell, width) in enumerate(zip(row, widths, strict=True)):
        if width:
            text = cut(cell, width) if k < 2 else fitted(cell, width)
            space = " " * (width - cells(text))
            parts.append(text + space if k < 2 else space + text)
    yield (" " * GAP).join(parts).rstrip()
    if row.formula and not widths[1]:
        margin = " " * (len(row.title) - len(row.title.lstrip()) + 2 * GAP)
        yield margin + cut(row.formula, columns - len(margin))


def _wrapped(text: str, columns: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and cells(line) + 1 + cells(word) > columns:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line
