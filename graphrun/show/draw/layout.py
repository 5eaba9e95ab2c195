"""A layout: where the boxes, lines and frames of a drawing go.

Frames are placed from the inside out: the inside of each is a layered drawing of its own, which is one item of the
frame around it; a line that crosses a border has an end there on either side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from graphrun.show.draw.drawing import Drawing, Line
from graphrun.show.draw.items import Gaps, Item, Link
from graphrun.show.draw.layers import PORT_GAP, Arrangement, Point, arrange, straight
from graphrun.show.draw.rows import SMALL, frame_title, label_width, measure, width

MARGIN = 12.0
FRAME_PADDING = 12.0
FRAME_TITLE = 18.0
WIDEST_TO_THE_RIGHT = 1000.0
"""A graph is drawn from left to right, as it is read, as long as that is no wider; else from top to bottom."""

MOST_TO_THE_RIGHT = 40
"""A graph of more boxes is too wide for any screen when it is drawn from left to right."""

LABEL_HEIGHT = 15.0
LABEL_GAP = 8.0
LABEL_PLACES = (0.5, 0.74, 0.4, 0.32)
"""Where on its line a label goes whose own place is taken."""


class Place(NamedTuple):
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
    boxes: Mapping[str, Place]
    frames: Mapping[str, Place]
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
    return "right" if _Placing(drawing, {}, to_the_right=True).layout().width <= WIDEST_TO_THE_RIGHT else "down"


@dataclass
class _Inside:
    """The inside of a frame: what is in it, the links among that, and which lines those are."""

    members: dict[str, int] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    arrangement: Arrangement = Arrangement(0.0, 0.0, [], [])  # noqa: RUF009 (nobody adds to it)
    ports: dict[int, int] = field(default_factory=dict)


class _Placing:
    def __init__(self, drawing: Drawing, before: Mapping[str, Place], *, to_the_right: bool) -> None:
        self.drawing = drawing
        self.before = before
        self.to_the_right = to_the_right
        label = max(map(label_width, drawing.lines), default=0.0)
        along = max(46.0, label + 40) if to_the_right else (54.0 if label else 36.0)
        self.gaps = Gaps(along, 16.0 if to_the_right else 22.0)
        self.outer = {frame.name: frame.outer for frame in drawing.frames}
        self.insides = {name: _Inside() for name in (None, *self.outer)}
        self.titles = {frame.name: frame_title(frame) for frame in drawing.frames}
        self.boxes: dict[str, Place] = {}
        self.frames: dict[str, Place] = {}
        frame_of = {box.name: box.frame for box in drawing.boxes}
        self.ways = [(self._way(line.source, frame_of), self._way(line.target, frame_of)) for line in drawing.lines]
        self.parallel: dict[tuple[str, str], list[int]] = {}
        for number, line in enumerate(drawing.lines):
            self.parallel.setdefault((line.source, line.target), []).append(number)
        self.pieces: list[dict[str | None, list[Point]]] = [{} for _ in drawing.lines]

    def layout(self) -> Layout:
        """Place everything."""
        for box in self.drawing.boxes:
            self._add(box.frame, f"box {box.name}", measure(box))
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
        crossing: dict[tuple[str, int], int] = {}
        for number, (line, (sources, targets)) in enumerate(zip(self.drawing.lines, self.ways, strict=True)):
            source, target = dict(sources).get(name), dict(targets).get(name)
            if source and target:
                # The innermost frame around both has the line; a frame around that has no part in it.
                if source != target:
                    self._link(inside, number, source, target)
            elif source or target:
                # A value crosses a border once, however many uses it has on the other side.
                pin = 1 if source else -1
                if (line.source, pin) not in crossing:
                    crossing[line.source, pin] = len(inside.items)
                    inside.items.append(Item(0.0, 0.0, pin, self._outside(line, pin)))
                port = inside.ports[number] = crossing[line.source, pin]
                self._link(inside, number, source or port, target or port)
        inside.arrangement = arrange(inside.items, inside.links, self.gaps)

    def _outside(self, line: Line, pin: int) -> float:
        """Return how far across the other end of a line is; not known before everything was placed once."""
        place = self.before.get(line.target if pin > 0 else line.source)
        if place is None:
            return 0.0
        return place.y + place.height / 2 if self.to_the_right else place.x + place.width / 2

    def _link(self, inside: _Inside, number: int, source: str | int, target: str | int) -> None:
        ends, offsets = [], []
        for end in (source, target):
            ends.append(end if isinstance(end, int) else inside.members[end])
            offsets.append(0.0 if isinstance(end, int) else self._offset(end, number))
        inside.links.append(Link(*ends, *offsets))
        inside.lines.append(number)

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

        for number, curve in zip(inside.lines, inside.arrangement.curves, strict=True):
            self.pieces[number][name] = [at(point) for point in curve]
        for member, item in inside.members.items():
            kind, _, inner = member.partition(" ")
            x, y = at(inside.arrangement.centers[item])
            wide, high = self._turned(inside.items[item].along, inside.items[item].across)
            place = Place(x - wide / 2, y - high / 2, wide, high)
            if kind == "box":
                self.boxes[inner] = place
            else:
                self.frames[inner] = place
                indent = self._indent(inner)
                self._put(inner, place.x + indent, place.y + FRAME_TITLE + FRAME_PADDING / 2)

    def _routes(self) -> Iterator[Route]:
        """Yield the way of each line; labels move along their lines until none lies on another."""
        taken: list[tuple[Point, float]] = []
        for number, line in enumerate(self.drawing.lines):
            points, bend = self._joined(number)
            wide = label_width(line)
            first = self._label_place(number)
            places = [_at(bend, t) for t in ((first, *LABEL_PLACES) if wide else (first,))]
            # Lines into a frame may run on each other, and their labels stand one above the other.
            places += [(places[0][0], places[0][1] + shift) for shift in (-LABEL_HEIGHT, LABEL_HEIGHT)]
            label = next(
                (place for place in places if not any(_overlap(place, wide, *one) for one in taken)), places[0]
            )
            if wide:
                taken.append((label, wide))
            yield Route(points, label)

    def _joined(self, number: int) -> tuple[tuple[Point, ...], list[Point]]:
        """Join the pieces of a line: out of the frames around its source, then into those around its target.

        Also return the piece that has room for its label.
        """
        sources, targets = self.ways[number]
        pieces = self.pieces[number]
        points: list[Point] = []
        bends: list[list[Point]] = []
        for frame in dict.fromkeys([name for name, _ in sources] + [name for name, _ in reversed(targets)]):
            piece = pieces.get(frame)
            if piece is None:
                continue
            points = points + straight(points[-1], piece[0]) + piece[1:] if points else piece[:]
            bends += [piece[k : k + 4] for k in range(0, len(piece) - 1, 3) if self._is_bend(piece[k : k + 4])]
        return tuple(points), bends[-1] if bends else points[:4]

    def _label_place(self, number: int) -> float:
        """Return how far along its last bend a line has its label: beyond the middle, where lines are further apart.

        Two lines between the same boxes that run downwards are next to each other, so their labels are one below the
        other.
        """
        line = self.drawing.lines[number]
        same = self.parallel[line.source, line.target]
        if self.to_the_right or len(same) == 1:
            return 0.62
        return 0.35 + 0.45 * same.index(number) / (len(same) - 1)

    def _is_bend(self, curve: list[Point]) -> bool:
        """Whether a piece of a line goes from one layer to the next one, where there is room for a label."""
        axis = 0 if self.to_the_right else 1
        return curve[1][axis] == curve[2][axis] and abs(curve[3][axis] - curve[0][axis]) > PORT_GAP


def _overlap(label: Point, wide: float, other: Point, other_wide: float) -> bool:
    """Whether two labels lie on each other, by their middles and widths."""
    return abs(label[0] - other[0]) < (wide + other_wide) / 2 + LABEL_GAP and abs(label[1] - other[1]) < LABEL_HEIGHT


def _at(curve: list[Point], t: float) -> Point:
    """Return the point of a cubic curve at a parameter between 0 and 1."""
    weights = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
    x, y = (sum(w * point[axis] for w, point in zip(weights, curve, strict=True)) for axis in (0, 1))
    return x, y
