"""A drawing as text that other programs draw: DOT of Graphviz, and Mermaid, which pages of many code forges know."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from graphrun.show.draw import colours
from graphrun.show.draw.drawing import Box, Drawing, Frame, Line, Shape
from graphrun.show.draw.rows import FONT, SMALL, BoxRow, frame_title, rows, visible
from graphrun.show.draw.svg import escape

DOT_SHAPES = {
    Shape.PARAMETER: "box",
    Shape.CONSTANT: "octagon",
    Shape.DATA: "cylinder",
    Shape.NOISE: "hexagon",
    Shape.STATE: "parallelogram",
    Shape.NODE: "box",
    Shape.GROUP: "box3d",
}

MERMAID_BRACKETS = {
    Shape.PARAMETER: ("([", "])"),
    Shape.CONSTANT: ("{{", "}}"),
    Shape.DATA: ("[(", ")]"),
    Shape.NOISE: (">", "]"),
    Shape.STATE: ("[/", "/]"),
    Shape.NODE: ("[", "]"),
    Shape.GROUP: ("[[", "]]"),
}

ENTITIES = str.maketrans({c: f"#{ord(c)};" for c in "#&<>\"'`\\|$"})
"""Mermaid writes entities with a number sign; those of HTML it would take for markup once they are read."""

ICON = re.compile(r"\b(fa[bklrs]?):")
"""What Mermaid takes for the name of an icon."""


def _nested(
    drawing: Drawing,
    box: Callable[[Box], Iterable[str]],
    begin: Callable[[Frame], Iterable[str]],
    end: str,
    frame: str | None = None,
    indent: str = "  ",
) -> Iterator[str]:
    """Yield the lines of the boxes in a frame, then of the frames in it, each with what is inside."""
    for one in drawing.boxes:
        if one.frame == frame:
            yield from (f"{indent}{line}" for line in box(one))
    for inner in drawing.frames:
        if inner.outer == frame:
            yield from (f"{indent}{line}" for line in begin(inner))
            yield from _nested(drawing, box, begin, end, inner.name, f"{indent}  ")
            yield f"{indent}{end}"


# --- DOT -------------------------------------------------------------------------------------------------------------


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
        *_nested(drawing, _dot_box, _dot_frame, "}"),
        *(f"  {_dot_line(line)}" for line in drawing.lines),
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


def _dot_frame(frame: Frame) -> Iterator[str]:
    title = f'<b><font point-size="{SMALL:g}" color="{colours.FAINT}">{escape(frame_title(frame))}</font></b>'
    style = f'style="rounded,dashed" color={quote(colours.FRAME)} labeljust=l tooltip={shown(frame.name)}'
    yield f"subgraph {quote(f'cluster {frame.name}')} {{"
    yield f"  graph [label=<{title}> {style}]"


def _dot_box(box: Box) -> Iterator[str]:
    fill, stroke = colours.fill_and_stroke(box)
    extra = " peripheries=2" if box.is_objective else ""
    extra += " penwidth=3" if box.is_culprit else ""
    extra += ' style="rounded,filled"' if box.shape is Shape.PARAMETER else ""
    label = "<br/>".join(map(_dot_row, rows(box)))
    yield (
        f"{quote(box.name)} [label=<{label}> shape={DOT_SHAPES[box.shape]} fillcolor={quote(fill)} "
        f"color={quote(stroke)}{extra} tooltip={shown(box.detail)}]"
    )


def _dot_row(row: BoxRow) -> str:
    text = row.written(escape, "<b>{}</b>", f'<font point-size="{SMALL:g}">{{}}</font>')
    colour = colours.of_row(row)
    return text if colour == colours.TEXT else f'<font color="{colour}">{text}</font>'


def _dot_line(line: Line) -> str:
    label = f"label={shown(f' {line.label} ')} " if line.label else ""
    return f"{quote(line.source)} -> {quote(line.target)} [{label}tooltip={shown(line.detail)}]"


# --- Mermaid ---------------------------------------------------------------------------------------------------------


def to_mermaid(drawing: Drawing, direction: str = "down") -> str:
    """Write a drawing as a flowchart of Mermaid, ``right`` or ``down``; comments say which box is which value."""
    known = {box.name: f"n{k}" for k, box in enumerate(drawing.boxes)}
    numbers = {frame.name: k for k, frame in enumerate(drawing.frames)}

    def boxed(box: Box) -> Iterator[str]:
        left, right = MERMAID_BRACKETS[box.shape]
        label = "<br/>".join(row.written(entities, "<b>{}</b>") for row in rows(box))
        yield f"%% {known[box.name]} is {entities(box.name)}"
        look = "culprit" if box.is_culprit else "objective" if box.is_objective else box.shape
        yield f'{known[box.name]}{left}"{label}"{right}:::{look}'

    def framed(frame: Frame) -> Iterator[str]:
        yield f'subgraph s{numbers[frame.name]}["{entities(frame_title(frame))}"]'

    lines = [
        f"flowchart {'LR' if direction == 'right' else 'TB'}",
        f"  accTitle: {entities(drawing.title)}",
        f"  accDescr: {entities(drawing.description)}",
        *_nested(drawing, boxed, framed, "end"),
    ]
    for line in drawing.lines:
        label = f'|"{entities(line.label)}"|' if line.label else ""
        lines.append(f"  {known[line.source]} -->{label} {known[line.target]}")
    lines += [
        f"  classDef {shape} fill:{colours.FILLS[shape]},stroke:{colours.STROKES[shape]},color:{colours.TEXT}"
        for shape in Shape
    ]
    objective = f"fill:{colours.OBJECTIVE_FILL},stroke:{colours.OBJECTIVE},stroke-width:4px,color:{colours.TEXT}"
    lines.append(f"  classDef objective {objective}")
    if any(box.is_culprit for box in drawing.boxes):
        look = f"fill:{colours.ERROR_FILL},stroke:{colours.ERROR},stroke-width:4px,color:{colours.TEXT}"
        lines.append(f"  classDef culprit {look}")
    return "\n".join(lines) + "\n"


def entities(text: str) -> str:
    """Return a text as it stands in a label of Mermaid between quotation marks."""
    return ICON.sub(r"\1#58;", visible(text).translate(ENTITIES))
