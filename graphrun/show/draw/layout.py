"""A layout: where the boxes, lines and frames of a drawing go.

Frames are placed from the inside out: the inside of each is a layered drawing of its own, which is one item of the
frame around it; a line that crosses a border has an end there on either side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from graphrun.show.draw.curves import Point, straight
from graphrun.show.draw.drawing import Drawing, Line
from graphrun.show.draw.items import Gaps, Item, Link
from graphrun.show.draw.layers import Arrangement, arrange
from graphrun.show.draw.rows import SMALL, frame_title, label_width, measure, width

MARGIN = 12.0
FRAME_PADDING = 12.0
FRAME_TITLE = 18.0
WIDEST_TO_THE_RIGHT = 1000.0
"""A graph is drawn from left to right, as it is read, as long as that is no wider; else from top to bottom."""

MOST_TO_THE_RIGHT = 40
"""A graph of more boxes is too wide for any screen when it is drawn from left to right."""

LABEL_HEIGHT = 16.0
LABEL_GAP = 6.0
ARROW = 8.0

WIDEST_LAYER = 900.0
"""Boxes in a row that would be wider stand in several rows."""

LONGEST_COLUMN = 1400.0
"""A drawing that would be longer stands in several columns, where that makes it less slender."""

PORT_MARGIN = 14.0
NARROWEST_PORT, WIDEST_PORTS = 9.0, 480.0
"""Arrowheads side by side are so far apart, as long as all of them take no more than that."""


class NodeBox(NamedTuple):
    """A rectangle: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a line: cubic Bezier curves (1 + 3n points) from its source to its target, and where its label is."""

    points: tuple[Point, ...]
    label: Point


@dataclass(frozen=True)
class Layout:
    """Where everything goes, in pixels from the upper left corner: boxes and frames by name, lines in their order."""

    width: float
    height: float
    boxes: Mapping[str, NodeBox]
    frames: Mapping[str, NodeBox]
    routes: tuple[Route, ...]


def lay_out(drawing: Drawing, direction: str = "auto") -> Layout:
    """Place a drawing ``right``, ``down``, or by ``auto`` to the right as long as that is not too wide."""
    if direction == "auto":
        direction = direction_of(drawing)
    layout = _Placing(drawing, {}, to_the_right=direction == "right").layout()
    if not drawing.frames:
        return layout
    # Now it is known where lines come from that cross a border, and in which order they cross it best.
    return _Placing(drawing, layout.boxes, to_the_right=direction == "right").layout()


def direction_of(drawing: Drawing) -> str:
    """Return ``right`` for a drawing that is not too wide when it is read from left to right, else ``down``."""
    if len(drawing.boxes) > MOST_TO_THE_RIGHT:
        return "down"
    unfolded = _Placing(drawing, {}, to_the_right=True, folds=False).layout()
    return "right" if unfolded.width <= WIDEST_TO_THE_RIGHT else "down"


@dataclass
class _Inside:
    """The inside of a frame: what is in it, the links among that, and which lines those are."""

    members: dict[str, int] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    lines: list[list[int]] = field(default_factory=list)
    arrangement: Arrangement = Arrangement(0.0, 0.0, [], [])  # noqa: RUF009 (nobody adds to it)
    ports: dict[int, int] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)


class _Placing:
    def __init__(
        self, drawing: Drawing, before: Mapping[str, NodeBox], *, to_the_right: bool, folds: bool = True
    ) -> None:
        self.drawing = drawing
        self.before = before
        self.to_the_right = to_the_right
        longest = max(map(label_width, drawing.lines), default=0.0) + LABEL_GAP
        label = ARROW + LABEL_GAP + (longest if to_the_right else LABEL_HEIGHT)
        across = 16.0 if to_the_right else 22.0
        self.gaps = Gaps(38.0, across, label=label, widest=WIDEST_LAYER, longest=LONGEST_COLUMN if folds else inf)
        self.outer = {frame.name: frame.outer for frame in drawing.frames}
        self.insides = {name: _Inside() for name in (None, *self.outer)}
        self.titles = {frame.name: frame_title(frame) for frame in drawing.frames}
        self.boxes: dict[str, NodeBox] = {}
        self.frames: dict[str, NodeBox] = {}
        frame_of = {box.name: box.frame for box in drawing.boxes}
        self.ways = [(self._way(line.source, frame_of), self._way(line.target, frame_of)) for line in drawing.lines]
        self.rooms = self._rooms()
        self.pieces: list[dict[str | None, list[Point]]] = [{} for _ in drawing.lines]

    def _rooms(self) -> list[float]:
        """Return how far across the end of each line reaches, with its label."""
        uses = Counter(line.target for line in self.drawing.lines)
        port = [min(NARROWEST_PORT, WIDEST_PORTS / uses[line.target]) for line in self.drawing.lines]
        labels = [LABEL_HEIGHT if self.to_the_right else label_width(line) + LABEL_GAP for line in self.drawing.lines]
        return [
            max(least, label + LABEL_GAP) if line.label else least
            for line, least, label in zip(self.drawing.lines, port, labels, strict=True)
        ]

    def layout(self) -> Layout:
        """Place everything."""
        ports = dict.fromkeys((box.name for box in self.drawing.boxes), 0.0)
        for line, room in zip(self.drawing.lines, self.rooms, strict=True):
            ports[line.target] += room
        for box in self.drawing.boxes:
            wide, high = measure(box)
            need = ports[box.name] + PORT_MARGIN
            size = (wide, max(high, need)) if self.to_the_right else (max(wide, need), high)
            self._add(box.frame, f"box {box.name}", size)
        for frame in reversed(self.drawing.frames):
            self._arrange(frame.name)
            self._add(frame.outer, f"frame {frame.name}", self._size(frame.name))
        self._arrange(None)
        self._put(None, MARGIN, MARGIN)
        wide, high = self._inner_size(None)
        return Layout(wide + 2 * MARGIN, high + 2 * MARGIN, self.boxes, self.frames, tuple(self._routes()))

    def _add(self, frame: str | None, member: str, size: tuple[float, float]) -> None:
        inside = self.insides[frame]
        inside.members[member] = len(inside.items)
        inside.items.append(Item(*self._turned(*size)))

    def _turned(self, first: float, second: float) -> tuple[float, float]:
        """Turn (wide, high) into (along, across), or back."""
        return (first, second) if self.to_the_right else (second, first)

    def _way(self, name: str, frame_of: Mapping[str, str | None]) -> list[tuple[str | None, str]]:
        """Return the frames around a box, inner ones first, and which member of each it is, or is inside of."""
        way: list[tuple[str | None, str]] = []
        frame, member = frame_of[name], f"box {name}"
        while True:
            way.append((frame, member))
            if frame is None:
                return way
            frame, member = self.outer[frame], f"frame {frame}"

    def _arrange(self, name: str | None) -> None:
        inside = self.insides[name]
        leaving: dict[str, int] = {}
        for number, (line, (sources, targets)) in enumerate(zip(self.drawing.lines, self.ways, strict=True)):
            source, target = dict(sources).get(name), dict(targets).get(name)
            if source and target:
                # The innermost frame around both has the line; a frame around that has no part in it.
                if source != target:
                    self._link(inside, number, source, target)
            elif source or target:
                # A value leaves a frame once, and has an entry of its own for each use in one: those have labels.
                pin = 1 if source else -1
                if pin > 0 and line.source in leaving:
                    inside.ports[number] = leaving[line.source]
                    inside.lines[inside.exits[line.source]].append(number)
                    continue
                port = inside.ports[number] = len(inside.items)
                inside.items.append(Item(0.0, 0.0, pin, self._outside(line, pin)))
                if pin > 0:
                    leaving[line.source] = port
                    inside.exits[line.source] = len(inside.lines)
                self._link(inside, number, source or port, target or port)
        inside.arrangement = arrange(inside.items, inside.links, self.gaps)

    def _outside(self, line: Line, pin: int) -> float:
        """Return how far across the other end of a line is; not known before everything was placed once."""
        place = self.before.get(line.target if pin > 0 else line.source)
        if place is None:
            return 0.0
        return place.y + place.height / 2 if self.to_the_right else place.x + place.width / 2

    def _link(self, inside: _Inside, number: int, source: str | int, target: str | int) -> None:
        ends, offsets = list[int](), list[float | None]()
        for end in (source, target):
            ends.append(end if isinstance(end, int) else inside.members[end])
            offsets.append(0.0 if isinstance(end, int) else self._offset(end, number))
        is_last = not isinstance(target, int) and target.startswith("box ")
        is_labelled = is_last and bool(self.drawing.lines[number].label)
        inside.links.append(Link(ends[0], ends[1], offsets[0], offsets[1], self.rooms[number], is_labelled))
        inside.lines.append([number])

    def _offset(self, member: str, number: int) -> float | None:
        """Return where a line crosses the border of a frame, from its middle; None for a box."""
        kind, _, name = member.partition(" ")
        if kind == "box":
            return None
        inside = self.insides[name]
        across = inside.arrangement.centers[inside.ports[number]][1]
        if self.to_the_right:
            return FRAME_TITLE + FRAME_PADDING / 2 + across - self._size(name)[1] / 2
        return self._indent(name) + across - self._size(name)[0] / 2

    def _inner_size(self, name: str | None) -> tuple[float, float]:
        arrangement = self.insides[name].arrangement
        return self._turned(arrangement.along, arrangement.across)

    def _size(self, name: str) -> tuple[float, float]:
        wide, high = self._inner_size(name)
        title = width(self.titles[name], SMALL, bold=True)
        return max(wide, title) + 2 * FRAME_PADDING, high + FRAME_TITLE + 1.5 * FRAME_PADDING

    def _indent(self, name: str) -> float:
        """Return how far the inside begins from the left; a frame may be wider than it for the sake of its title."""
        return (self._size(name)[0] - self._inner_size(name)[0]) / 2

    def _put(self, name: str | None, left: float, top: float) -> None:
        """Place what is inside of a frame whose inside begins at this point, and everything further inside."""
        inside = self.insides[name]

        def at(point: Point) -> Point:
            x, y = self._turned(*point)
            return left + x, top + y

        for numbers, curve in zip(inside.lines, inside.arrangement.curves, strict=True):
            for number in numbers:
                self.pieces[number][name] = [at(point) for point in curve]
        for member, item in inside.members.items():
            kind, _, inner = member.partition(" ")
            x, y = at(inside.arrangement.centers[item])
            wide, high = self._turned(inside.items[item].along, inside.items[item].across)
            place = NodeBox(x - wide / 2, y - high / 2, wide, high)
            if kind == "box":
                self.boxes[inner] = place
            else:
                self.frames[inner] = place
                indent = self._indent(inner)
                self._put(inner, place.x + indent, place.y + FRAME_TITLE + FRAME_PADDING / 2)

    def _routes(self) -> Iterator[Route]:
        """Yield the way of each line; its label is where its arrow's head begins."""
        axis = 0 if self.to_the_right else 1
        for number, line in enumerate(self.drawing.lines):
            points = self._joined(number)
            tip = points[-1]
            before = next((point for point in reversed(points[:-1]) if point[axis] != tip[axis]), tip)
            half = (label_width(line) + LABEL_GAP if self.to_the_right else LABEL_HEIGHT) / 2
            back = (ARROW + LABEL_GAP / 2 + half) * (1 if before[axis] > tip[axis] else -1)
            yield Route(points, (tip[0] + back, tip[1]) if self.to_the_right else (tip[0], tip[1] + back))

    def _joined(self, number: int) -> tuple[Point, ...]:
        """Join the pieces of a line: out of the frames around its source, then into those around its target."""
        sources, targets = self.ways[number]
        points: list[Point] = []
        for frame in dict.fromkeys([name for name, _ in sources] + [name for name, _ in reversed(targets)]):
            piece = self.pieces[number].get(frame)
            if piece is not None:
                points = points + straight(points[-1], piece[0]) + piece[1:] if points else piece[:]
        return tuple(points)
