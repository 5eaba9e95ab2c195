"""A drawing as Mermaid, which pages of many code forges and note-taking programs draw."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from graphrun.show.draw import colours
from graphrun.show.draw.drawing import Box, Drawing, Shape
from graphrun.show.draw.rows import RowKind, frame_title, rows
from graphrun.show.draw.text import visible

BRACKETS = {
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


def to_mermaid(drawing: Drawing, direction: str = "down") -> str:
    """Write a drawing as a flowchart of Mermaid, ``right`` or ``down``; comments say which box is which value."""
    known = {box.name: f"n{k}" for k, box in enumerate(drawing.boxes)}
    lines = [
        f"flowchart {'LR' if direction == 'right' else 'TB'}",
        f"  accTitle: {escape(drawing.title)}",
        f"  accDescr: {escape(drawing.description)}",
        *_inside(drawing, None, known, "  "),
    ]
    for line in drawing.lines:
        label = f'|"{escape(line.label)}"|' if line.label else ""
        lines.append(f"  {known[line.source]} -->{label} {known[line.target]}")
    lines += [
        f"  classDef {shape} fill:{colours.FILLS[shape]},stroke:{colours.STROKES[shape]},color:{colours.TEXT}"
        for shape in Shape
    ]
    objective = f"fill:{colours.OBJECTIVE_FILL},stroke:{colours.OBJECTIVE},stroke-width:4px,color:{colours.TEXT}"
    lines.append(f"  classDef objective {objective}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return a text as it stands in a label between quotation marks."""
    return ICON.sub(r"\1#58;", visible(text).translate(ENTITIES))


def _inside(drawing: Drawing, frame: str | None, known: Mapping[str, str], indent: str) -> Iterator[str]:
    for box in drawing.boxes:
        if box.frame == frame:
            yield f"{indent}%% {known[box.name]} is {escape(box.name)}"
            yield f"{indent}{known[box.name]}{_label(box)}"
    for number, inner in enumerate(drawing.frames):
        if inner.outer == frame:
            yield f'{indent}subgraph s{number}["{escape(frame_title(inner))}"]'
            yield from _inside(drawing, inner.name, known, f"{indent}  ")
            yield f"{indent}end"


def _label(box: Box) -> str:
    left, right = BRACKETS[box.shape]
    texts = []
    for row in rows(box):
        strong = f"<b>{escape(row.strong)}</b>" if row.strong else ""
        pair = (escape(row.plain), strong) if row.kind is RowKind.GRADIENT else (strong, escape(row.plain))
        texts.append(" ".join(filter(None, pair)))
    kind = "objective" if box.is_objective else box.shape
    return f'{left}"{"<br/>".join(texts)}"{right}:::{kind}'
