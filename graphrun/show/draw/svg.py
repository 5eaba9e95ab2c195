"""A placed drawing as SVG: no script, no style sheet, no font from elsewhere, so that any page may have it in it.

Every box, line and frame is a group with data attributes: ``data-name`` of a box or a frame, ``data-source``,
``data-target`` and ``data-position`` of a line. Colours are presentation attributes, which a page's style sheet
overrides by the groups' classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import hypot
from xml.sax.saxutils import quoteattr

from graphrun.show.draw import colours
from graphrun.show.draw.curves import Point
from graphrun.show.draw.drawing import Box, Drawing, Frame, Line, Shape
from graphrun.show.draw.layout import ARROW, Layout, NodeBox, Route
from graphrun.show.draw.rows import FONT, NOT_FINITE, ROW, SMALL, frame_title, label_width, rows, visible, width

FAMILY = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"


def to_svg(drawing: Drawing, layout: Layout) -> str:
    """Write a drawing as SVG, ready to stand in a page or in a file."""
    wide, high = _number(layout.width), _number(layout.height)
    # In a page that is narrower, a notebook's too, the whole of it is smaller.
    size = f'viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" style="max-width:100%;height:auto"'
    font = f'font-family={quoteattr(FAMILY)} font-size="{_number(FONT)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graphrun" {size} role="img" {font}>',
        f"<title>{escape(drawing.title)}</title>",
        f"<desc>{escape(drawing.description)}</desc>",
        f'<rect class="background" width="{wide}" height="{high}" fill="{colours.BACKGROUND}"/>',
        *(_frame(frame, layout.frames[frame.name]) for frame in drawing.frames),
        *(_line(line, route) for line, route in zip(drawing.lines, layout.routes, strict=True)),
        *(_frame_label(frame, layout.frames[frame.name]) for frame in drawing.frames),
        *(_box(box, layout.boxes[box.name]) for box in drawing.boxes),
        # Labels come last, so that no line runs through one.
        *(_label(line, route.label) for line, route in zip(drawing.lines, layout.routes, strict=True) if line.label),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return a text as it stands in SVG and HTML, in an attribute too; what cannot be seen is made visible."""
    lines = (quoteattr(visible(line), {'"': "&quot;", "'": "&#39;"})[1:-1] for line in text.split("\n"))
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _frame(frame: Frame, place: NodeBox) -> str:
    paint = f'fill="{colours.FRAME_FILL}" stroke="{colours.FRAME}" stroke-dasharray="4 3"'
    title = f"<title>{escape(frame.title)}</title>"
    return f'<g class="frame" data-name="{escape(frame.name)}">{title}{_rectangle(place, 6, paint)}</g>'


def _frame_label(frame: Frame, place: NodeBox) -> str:
    title = frame_title(frame)
    wide = width(title, SMALL, bold=True)
    return (
        f'<g class="frame-label" data-name="{escape(frame.name)}"><rect x="{_number(place.x + 5)}" '
        f'y="{_number(place.y + 3)}" width="{_number(wide + 4)}" height="15" fill="{colours.FRAME_FILL}"/>'
        f'<text x="{_number(place.x + 8)}" y="{_number(place.y + 14)}" font-size="{_number(SMALL)}" '
        f'font-weight="bold" fill="{colours.FAINT}">{escape(title)}</text></g>'
    )


def _line(line: Line, route: Route) -> str:
    tip = route.points[-1]
    base = _before(route.points)
    points = [*route.points[:-1], base]
    path = f"M{_point(points[0])}" + "".join(
        f"C{' '.join(_point(point) for point in points[k : k + 3])}" for k in range(1, len(points), 3)
    )
    dx, dy = (tip[0] - base[0]) * 0.42, (tip[1] - base[1]) * 0.42
    head = " ".join(map(_point, (tip, (base[0] - dy, base[1] + dx), (base[0] + dy, base[1] - dx))))
    title = f"<title>{escape(line.detail)}</title>" if line.detail else ""
    return (
        f"{_group_of(line, 'line')}{title}"
        f'<path d="{path}" fill="none" stroke="{colours.LINE}" stroke-width="1.3"/>'
        f'<polygon points="{head}" fill="{colours.LINE}"/></g>'
    )


def _group_of(line: Line, kind: str) -> str:
    ends = f'data-source="{escape(line.source)}" data-target="{escape(line.target)}"'
    return f'<g class="{kind}" {ends} data-position="{line.position}">'


def _before(points: tuple[Point, ...]) -> Point:
    """Return where the arrow's head begins, in the direction in which the line comes in."""
    tip = points[-1]
    before = next((point for point in reversed(points[:-1]) if point != tip), (tip[0] - 1, tip[1]))
    length = hypot(tip[0] - before[0], tip[1] - before[1])
    return tip[0] - ARROW * (tip[0] - before[0]) / length, tip[1] - ARROW * (tip[1] - before[1]) / length


def _point(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _label(line: Line, at: Point) -> str:
    half = label_width(line) / 2 + 3
    back = _rectangle(NodeBox(at[0] - half, at[1] - 8, 2 * half, 16), 4, f'fill="{colours.BACKGROUND}"')
    return (
        f"{_group_of(line, 'label')}{back}"
        f'<text x="{_number(at[0])}" y="{_number(at[1] + 4)}" text-anchor="middle" font-size="{_number(SMALL)}" '
        f'fill="{colours.ERROR if NOT_FINITE.search(line.label) else colours.GRADIENT}">{escape(line.label)}</text></g>'
    )


def _box(box: Box, place: NodeBox) -> str:
    fill, stroke = colours.fill_and_stroke(box)
    kind = f"box {box.shape}" + (" objective" if box.is_objective else "") + (" culprit" if box.is_culprit else "")
    title = f"<title>{escape(box.detail)}</title>" if box.detail else ""
    outline, thick = "".join(_outline(box, place)), 3 if box.is_culprit else 1.6
    return (
        f'<g class="{kind}" data-name="{escape(box.name)}">{title}'
        f'<g class="outline" fill="{fill}" stroke="{stroke}" stroke-width="{thick}">{outline}</g>'
        f"{''.join(_texts(box, place))}</g>"
    )


def _texts(box: Box, place: NodeBox) -> Iterator[str]:
    found = rows(box)
    lid = 5 if box.shape is Shape.DATA else 0
    top = place.y + lid + (place.height - lid - ROW * len(found)) / 2
    middle = _number(place.x + (place.width - (5 if box.shape is Shape.GROUP else 0)) / 2)
    bold, small = '<tspan font-weight="bold">{}</tspan>', f'<tspan font-size="{_number(SMALL)}">{{}}</tspan>'
    for k, row in enumerate(found):
        yield (
            f'<text class="{row.kind}" x="{middle}" y="{_number(top + ROW * k + 13)}" text-anchor="middle" '
            f'fill="{colours.of_row(row)}">{row.written(escape, bold, small)}</text>'
        )


def _outline(box: Box, place: NodeBox) -> Iterator[str]:
    x, y, wide, high = place
    if box.shape is Shape.PARAMETER:
        yield _rectangle(place, min(high / 2, 20.0))
    elif box.shape is Shape.DATA:
        top, bottom, half = _number(y + 6), _number(y + high - 6), _number(wide / 2)
        yield (
            f'<path d="M{_number(x)},{top}A{half},6 0 0 1 {_number(x + wide)},{top}V{bottom}'
            f'A{half},6 0 0 1 {_number(x)},{bottom}Z"/>'
            f'<path d="M{_number(x)},{top}A{half},6 0 0 0 {_number(x + wide)},{top}" fill="none"/>'
        )
    elif box.shape is Shape.CONSTANT:
        # A rectangle with its corners cut off.
        cut = 7.0
        yield _polygon(
            (x + cut, y), (x + wide - cut, y), (x + wide, y + cut), (x + wide, y + high - cut),
            (x + wide - cut, y + high), (x + cut, y + high), (x, y + high - cut), (x, y + cut),
        )  # fmt: skip
    elif box.shape is Shape.NOISE:
        cut, middle = 10.0, y + high / 2
        yield _polygon(
            (x + cut, y), (x + wide - cut, y), (x + wide, middle), (x + wide - cut, y + high), (x + cut, y + high),
            (x, middle),
        )  # fmt: skip
    elif box.shape is Shape.STATE:
        yield _polygon((x + 10, y), (x + wide, y), (x + wide - 10, y + high), (x, y + high))
    elif box.shape is Shape.GROUP:
        # Sheets behind each other.
        yield _rectangle(NodeBox(x + 5, y + 5, wide - 5, high - 5), 3)
        yield _rectangle(NodeBox(x, y, wide - 5, high - 5), 3)
    elif box.is_objective:
        yield _rectangle(place, 5)
        yield _rectangle(NodeBox(x + 3, y + 3, wide - 6, high - 6), 3)
    else:
        yield _rectangle(place, 3)


def _rectangle(place: NodeBox, radius: float, paint: str = "") -> str:
    x, y, wide, high = map(_number, place)
    return f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="{_number(radius)}"{paint and " "}{paint}/>'


def _polygon(*corners: Point) -> str:
    return f'<polygon points="{" ".join(map(_point, corners))}"/>'
