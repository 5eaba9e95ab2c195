"""Colours: those of Okabe and Ito (2008), which people with any kind of colour vision can tell apart.

Text is in darker shades of them, with a contrast to its background of at least 4.5 to 1 (WCAG 2.2, level AA).
"""

from __future__ import annotations

from graphrun.show.draw.drawing import Box, Shape
from graphrun.show.draw.rows import BoxRow, RowKind

STROKES = {
    Shape.PARAMETER: "#e69f00",
    Shape.CONSTANT: "#7f7f7f",
    Shape.DATA: "#56b4e9",
    Shape.NOISE: "#cc79a7",
    Shape.STATE: "#b8a800",
    Shape.NODE: "#0072b2",
    Shape.GROUP: "#4d4d4d",
}

FILLS = {
    Shape.PARAMETER: "#fdf3dd",
    Shape.CONSTANT: "#f2f2f2",
    Shape.DATA: "#e4f3fc",
    Shape.NOISE: "#f9ebf3",
    Shape.STATE: "#fdfbd8",
    Shape.NODE: "#ffffff",
    Shape.GROUP: "#e8eaf0",
}

OBJECTIVE = "#009e73"
OBJECTIVE_FILL = "#e3f5ef"

BACKGROUND = "#ffffff"
TEXT = "#1a1a1a"
FAINT = "#595959"
VALUE = "#005a8c"
GRADIENT = "#a84300"
ERROR, ERROR_FILL = "#a3161b", "#fdeaea"
ROWS = {RowKind.VALUE: VALUE, RowKind.GRADIENT: GRADIENT, RowKind.CULPRIT: ERROR}
LINE = "#6e6e6e"
FRAME = "#a6a6a6"
FRAME_FILL = "#fafafa"


def fill_and_stroke(box: Box) -> tuple[str, str]:
    """Return the colours of a box."""
    if box.is_culprit:
        return ERROR_FILL, ERROR
    return (OBJECTIVE_FILL, OBJECTIVE) if box.is_objective else (FILLS[box.shape], STROKES[box.shape])


def of_row(row: BoxRow) -> str:
    """Return the colour of a row of a box: that of its kind, or of an error where it has what is not finite."""
    return ERROR if row.is_bad else ROWS.get(row.kind, TEXT)
