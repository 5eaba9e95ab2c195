"""A drawing as DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from graphrun.show.draw import colours
from graphrun.show.draw.drawing import Box, Drawing, Frame, Line, Shape
from graphrun.show.draw.rows import FONT, SMALL, BoxRow, RowKind, frame_title, rows
from graphrun.show.draw.svg import escape
from graphrun.show.draw.text import visible

SHAPES = {
    Shape.PARAMETER: "box",
    Shape.CONSTANT: "octagon",
    Shape.DATA: "cylinder",
    Shape.NOISE: "hexagon",
    Shape.STATE: "parallelogram",
    Shape.NODE: "box",
    Shape.GROUP: "box3d",
}


def to_dot(drawing: Drawing, direction: str = "down") -> str:
    """Write a drawing as DOT, which goes ``right`` or ``down``."""
    family = 'fontname="Helvetica,Arial,sans-serif"'
    font = f"{family} fontsize={FONT:g}"
    edge = f"{family} fontsize={SMALL:g} color={quote(colours.LINE)} fontcolor={quote(colours.GRADIENT)}"
    lines = [
        "digraph {",
        f"  graph [rankdir={'LR' if direction == 'right' else 'TB'} bgcolor={quote(colours.BACKGROUND)} {font}]",
        f"  graph [tooltip={shown(drawing.description)}]",
        f'  node [style=filled penwidth=1.6 margin="0.14,0.06" fontcolor={quote(colours.TEXT)} {font}]',
        f"  edge [arrowsize=0.7 {edge}]",
        *_inside(drawing, None, "  "),
        *(f"  {_line(line)}" for line in drawing.lines),
        "}",
    ]
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    """Return a text as a string of DOT: the name of something."""
    lines = (visible(line).replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n"))
    return '"' + "\\n".join(lines) + '"'


def shown(text: str) -> str:
    """Return a text as a string that Graphviz shows: it reads the entities of HTML there."""
    return quote(text.replace("&", "&amp;"))


def _inside(drawing: Drawing, frame: str | None, indent: str) -> Iterator[str]:
    for box in drawing.boxes:
        if box.frame == frame:
            yield f"{indent}{_box(box)}"
    for inner in drawing.frames:
        if inner.outer == frame:
            yield f"{indent}subgraph {quote(f'cluster {inner.name}')} {{"
            yield f"{indent}  {_frame(inner)}"
            yield from _inside(drawing, inner.name, f"{indent}  ")
            yield f"{indent}}}"


def _frame(frame: Frame) -> str:
    title = f'<b><font point-size="{SMALL:g}" color="{colours.FAINT}">{escape(frame_title(frame))}</font></b>'
    style = f'style="rounded,dashed" color={quote(colours.FRAME)} labeljust=l tooltip={shown(frame.name)}'
    return f"graph [label=<{title}> {style}]"


def _box(box: Box) -> str:
    fill, stroke = colours.fill_and_stroke(box)
    extra = " peripheries=2" if box.is_objective else ""
    extra += ' style="rounded,filled"' if box.shape is Shape.PARAMETER else ""
    label = "<br/>".join(map(_row, rows(box)))
    return (
        f"{quote(box.name)} [label=<{label}> shape={SHAPES[box.shape]} fillcolor={quote(fill)} "
        f"color={quote(stroke)}{extra} tooltip={shown(box.detail)}]"
    )


def _row(row: BoxRow) -> str:
    strong = f"<b>{escape(row.strong)}</b>" if row.strong else ""
    plain = escape(row.plain)
    if row.kind is RowKind.GRADIENT:
        text = f'<font point-size="{SMALL:g}">{plain}</font> {strong}'
    else:
        text = f"{strong} {plain}".strip()
    return f'<font color="{colours.ROWS[row.kind]}">{text}</font>' if row.kind in colours.ROWS else text


def _line(line: Line) -> str:
    label = f"label={shown(f' {line.label} ')} " if line.label else ""
    return f"{quote(line.source)} -> {quote(line.target)} [{label}tooltip={shown(line.detail)}]"
