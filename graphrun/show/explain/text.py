"""A page as plain text, for a terminal of so many columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from graphrun.show.explain.page import CellTable, Equations, Heading, Math, MathRow, Page, Paragraph, Prose
from graphrun.show.tables import WIDTH, align

INDENT = "  "

WIDEST_LEFT = 0.45
"""A left side that takes a larger part of a line does not push the others' right sides to the right."""

WIDEST_MARGIN = 0.5
"""What goes on below stands where it began, unless that leaves it less of a line."""

LONG_RESULT = 16

WIDEST_GAP = 0.45
"""Notes stand one under the other, unless one would be this far from its line."""

NARROWEST = 30
"""For a terminal of fewer columns a page is as wide as for this."""


def render(page: Page, width: int = WIDTH) -> str:
    """Return a page as text."""
    return "".join(f"{line}\n" for line in _lines(page, max(width, NARROWEST)))


def _lines(page: Page, width: int) -> Iterator[str]:
    for position, block in enumerate(page):
        if isinstance(block, Heading):
            if position and block.level > 1:
                yield ""
            yield from _wrapped(block.prose, "", width)
        elif isinstance(block, Paragraph):
            yield from _wrapped(block.prose, INDENT, width)
        elif isinstance(block, Equations):
            yield from _equations(block, width)
        else:
            yield from _table(block, width)


def _wrapped(prose: Prose, indent: str, width: int) -> Iterator[str]:
    # What stands between two texts may be broken, a formula only if it is too long for a line of its own.
    text = "".join(_unbroken(piece, width) for piece in prose)
    lines = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    yield from (line.replace(UNBROKEN, " ") for line in lines)


UNBROKEN = "\N{NO-BREAK SPACE}"


def _unbroken(piece: str, width: int) -> str:
    return piece.replace(" ", UNBROKEN) if isinstance(piece, Math) and len(piece) < width - 8 else str(piece)


def _table(table: CellTable, width: int) -> Iterator[str]:
    lines = [INDENT + line for line in align([table.header, *table.rows], left=1)]
    if max(map(len, lines)) <= width:
        yield from lines
        return
    # What is too wide for a table is told row by row.
    for name, *cells in table.rows:
        told = ", ".join(f"{word} {cell}".strip() for word, cell in zip(table.header[1:], cells, strict=True) if cell)
        yield from _wrapped([f"{name}: {told}"], INDENT, width)


def _equations(equations: Equations, width: int) -> Iterator[str]:
    titled = any(group.title for group in equations.groups)
    start = len(INDENT) * (2 if titled else 1)
    groups = [
        (group.title, [PlacedRow(row, INDENT * (2 if group.title else 1), start) for row in group.rows])
        for group in equations.groups
    ]
    columns = PlacedColumns([line for _, lines in groups for line in lines], width)
    for title, lines in groups:
        if title:
            yield from _cut(title, INDENT, INDENT * 3, width)
        for line in lines:
            yield from columns.write(line)


class PlacedRow:
    """A row of a calculation, to be written with an indent; the left sides of the rows around it begin at `start`."""

    def __init__(self, row: MathRow, indent: str, start: int) -> None:
        self.left = indent + row.left
        self.hang = indent + INDENT * 2
        # The others are indented as far.
        self.left_width = max(len(self.left), start + len(row.left))
        self.sign = "gets" if row.gets else "="
        self.note = "".join(row.note)
        cells = [row.formula, row.numbers, row.result]
        first = next((k for k, cell in enumerate(cells) if cell), 2)
        # The sign of the first is that of the left side; what has only a result shows it there.
        self.cells = [f"= {cell}" if cell and k != first else cell for k, cell in enumerate(cells)]
        if first == len(cells) - 1:
            self.cells = [cells[first], "", ""]
        elif first:
            self.cells = [cells[1], "", self.cells[2]]
        # A long result takes the place of the numbers that it has none of.
        self.spans = not self.cells[1] and len(self.cells[2]) > LONG_RESULT


class PlacedColumns:
    """Where the parts of a calculation's lines stand; the longest lines stay out of them until the others fit."""

    def __init__(self, lines: Sequence[PlacedRow], width: int) -> None:
        self.width = width
        self.left = max((line.left_width for line in lines if line.left_width <= WIDEST_LEFT * width), default=0)
        self.sign = max((len(line.sign) for line in lines), default=1)
        self.indent = self.left + self.sign + 2
        inside = sorted((line for line in lines if any(line.cells[1:])), key=lambda line: sum(map(len, line.cells)))
        self.widths = [0, 0, 0]
        while inside:
            shared = [line.cells for line in inside if not line.spans] or [["", "", ""]]
            self.widths = [max(map(len, column)) for column in zip(*shared, strict=True)]
            self.widths[0] = max(len(line.cells[0]) for line in inside)
            if all(self._end(line) <= width for line in inside):
                break
            inside.pop()
        self.inside = set(map(id, inside))

    def _end(self, line: PlacedRow) -> int:
        """Return where a line ends that keeps to the columns."""
        indent = max(self.indent, len(line.left) + self.sign + 2)
        if line.spans:
            return indent + self.widths[0] + 2 + len(line.cells[2])
        return indent + sum(width + 2 for width in self.widths if width) - 2

    def write(self, line: PlacedRow) -> Iterator[str]:
        """Yield one line or, where a part is too long for its column, several."""
        text = f"{line.left.ljust(self.left)} {line.sign.rjust(self.sign)} "
        margin = " " * (len(text) - 2)
        if len(margin) > WIDEST_MARGIN * self.width:
            margin = line.hang
        if len(text) + len(line.cells[0]) <= self.width and (id(line) in self.inside or not any(line.cells[1:])):
            place = begin = len(text)
            for cell, width in zip(line.cells, self.widths, strict=True):
                text = text.ljust(place) + cell if cell else text
                place += width + 2 if width and not (line.spans and place > begin) else 0
            yield from self._noted(text, place + 1, line.note, margin)
            return
        first, *others = [cell for cell in line.cells if cell]
        second = "  ".join(others)
        yield from _cut(first, text, margin + INDENT * 2, self.width)
        if second and len(margin) + len(second) <= self.width:
            yield from self._noted(margin + second, 0, line.note, margin)
            return
        for cell in others:
            yield from _cut(cell, margin, margin + INDENT * 2, self.width)
        yield from self._noted("", 0, line.note, margin)

    def _noted(self, text: str, place: int, note: str, margin: str) -> Iterator[str]:
        """Yield a line with its note, which stands on the next one where it has no place."""
        place = max(place, len(text) + 3)
        if note and text and (place + len(note) > self.width or place > len(text) + WIDEST_GAP * self.width):
            place = len(text) + 3
        if note and text and place + len(note) <= self.width:
            yield text.ljust(place) + note
            return
        if text:
            yield text.rstrip()
        if note:
            yield from _wrapped([note], margin + INDENT, self.width)


def _cut(text: str, first: str, following: str, width: int) -> Iterator[str]:
    """Yield a formula in as many lines as it takes."""
    if len(first) + len(text) > width and first.strip():
        # Rather below than in pieces.
        indent = first[: len(first) - len(first.lstrip())]
        yield from _cut(first.strip(), indent, indent + INDENT, width)
        first = following = INDENT * 3
    for piece in _pieces(text, width - len(first), width - len(following)):
        yield first + piece
        first = following


def _pieces(text: str, width: int, following: int) -> Iterator[str]:
    """Yield a formula in pieces: it is broken before an operator or a word, within as few parentheses as possible.

    A name that is longer than a line is broken too, after a sign within it where there is one.
    """
    while len(text) > width:
        depth, depths = 0, []
        for character in text:
            depth += (character in "([") - (character in ")]")
            depths.append(depth)
        places = [k for k, character in enumerate(text[: width + 1]) if character == " " and k >= width // 3]
        # A power is not torn from its base.
        places = [k for k in places if "**" not in text[max(k - 2, 0) : k + 3]]
        if places:
            place = min(places, key=lambda k: (depths[k], text[k + 1] not in "+-*/", -k))
            after = place + 1
        else:
            place = after = next((k for k in range(width, width // 2, -1) if text[k - 1] in "/._ "), width)
        yield text[:place].rstrip()
        text, width = text[after:], following
    yield text
