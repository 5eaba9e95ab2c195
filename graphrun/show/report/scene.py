"""The drawing of a report: what has a box, and where boxes and lines are. The page itself draws them.

There are two layouts: from left to right, and from top to bottom for what is too wide, and for telephones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from graphrun.graph.graph import ComputationalGraph
from graphrun.plan.plan import Plan
from graphrun.show.draw import Box, Drawing, Layout, Line, Shape, draw_graph, lay_out
from graphrun.show.draw.folding import MOST_BOXES
from graphrun.show.draw.layout import MOST_TO_THE_RIGHT
from graphrun.show.draw.rows import RowKind, frame_title, rows
from graphrun.show.report.levels import levels
from graphrun.show.report.recording import EdgeUse

MOST_SINGLE_BOXES = 600
"""A page can be moved and enlarged, so it gives boxes of their own to more values than a picture does."""

MOST_PRODUCTS = {"right": 14, "down": 4}
"""In a drawing of more lines, none says what is multiplied by what, only what comes of it."""

MOST_LABELS = 40
"""In a drawing of more lines than this, only those say it that the passes are at."""

WIDEST_VALUE = "-0.00000"
WIDEST_RANGE = "-0.0000 to -0.0000"
WIDEST_GRADIENT = "-0.0000"
WIDEST_PRODUCT = "-0.000 · (-0.000) = -0.000"
WIDEST_PART = "-0.000000"
"""What labels say: three digits, with the zeros before them. A longer product says only what it comes to."""


def scene(graph: ComputationalGraph, plan: Plan, uses: Sequence[EdgeUse], depth: int | None = None) -> dict[str, Any]:
    """Return boxes, lines and frames, and both layouts of them; values are the slots of the plan."""
    drawing = draw_graph(graph, depth=0 if depth is None else depth)
    if depth is None and not MOST_BOXES < len(drawing.boxes) <= MOST_SINGLE_BOXES:
        drawing = draw_graph(graph)
    edges = _edges(drawing, plan, uses)
    return {
        "boxes": [_box(box, plan) for box in drawing.boxes],
        "lines": [edges[line] for line in drawing.lines],
        "frames": [frame_title(frame) for frame in drawing.frames],
        "note": drawing.note,
        "down": _layout(drawing, plan, "down"),
        "right": _layout(drawing, plan, "right") if len(drawing.boxes) <= MOST_TO_THE_RIGHT else None,
        **_levels(graph, plan, uses, drawing),
    }


def _edges(drawing: Drawing, plan: Plan, uses: Sequence[EdgeUse]) -> dict[Line, list[int]]:
    """Return which uses of values each line stands for."""
    box_of = {name: box.name for box in drawing.boxes for name in box.names}
    between: dict[tuple[str, str], list[int]] = {}
    single: dict[tuple[str, str, int], list[int]] = {}
    for number, use in enumerate(uses):
        source, target = plan.names[use.source], plan.names[use.target]
        if source is None or target is None:
            continue
        between.setdefault((box_of[source], box_of[target]), []).append(number)
        single[source, target, use.position] = [number]
    return {
        line: single.get((line.source, line.target, line.position)) or between[line.source, line.target]
        for line in drawing.lines
    }


def _levels(graph: ComputationalGraph, plan: Plan, uses: Sequence[EdgeUse], drawing: Drawing) -> dict[str, Any]:
    """Return the insides of all frames, and which ones are open in the drawing; nothing where there are no frames."""
    found = levels(graph, partial(_placed, plan), partial(_edges, plan=plan, uses=uses), partial(_box, plan=plan))
    if not found:
        return {}
    note = drawing.note and f"{drawing.note.partition(';')[0]}; + opens one"
    return {"levels": found, "open": [frame.name for frame in drawing.frames], "note": note}


def _layout(drawing: Drawing, plan: Plan, direction: str) -> dict[str, Any]:
    """Return an arrangement in whole pixels, in the order of the drawing."""
    layout, labels = _placed(plan, drawing, direction)
    return {
        "size": _whole((layout.width, layout.height)),
        "labels": labels,
        "boxes": [_whole(layout.boxes[box.name]) for box in drawing.boxes],
        "frames": [_whole(layout.frames[frame.name]) for frame in drawing.frames],
        "routes": [
            {"points": _whole(itertools.chain(*route.points)), "label": _whole(route.label)} for route in layout.routes
        ],
    }


def _placed(plan: Plan, drawing: Drawing, direction: str) -> tuple[Layout, str]:
    """Return an arrangement with room for numbers, and what the labels of its lines say."""
    # From top to bottom, labels stand side by side and have less room.
    count, room = len(drawing.lines), MOST_PRODUCTS[direction]
    labels = "product" if count <= room else "contribution" if count <= MOST_LABELS else "none"
    labels = labels if plan.objective is not None else "none"
    drawing = _with_room_for_numbers(drawing, labels, has_gradients=plan.objective is not None)
    return lay_out(drawing, direction), labels


def _with_room_for_numbers(drawing: Drawing, labels: str, *, has_gradients: bool) -> Drawing:
    """Put in place of each number the widest one that is likely, so that boxes fit all steps."""
    widest = {"product": WIDEST_PRODUCT, "contribution": WIDEST_PART, "none": ""}[labels]
    moved = (Shape.PARAMETER, Shape.NODE, Shape.GROUP) if has_gradients else ()
    boxes = tuple(
        replace(
            box,
            value=WIDEST_RANGE if len(box.names) > 1 else WIDEST_VALUE,
            gradient=WIDEST_GRADIENT if box.shape in moved else "",
        )
        for box in drawing.boxes
    )
    return replace(drawing, boxes=boxes, lines=tuple(replace(line, label=widest) for line in drawing.lines))


def _whole(coordinates: Iterable[float]) -> list[int]:
    return [round(coordinate) for coordinate in coordinates]


def _box(box: Box, plan: Plan) -> dict[str, Any]:
    shown = [row for row in rows(box) if row.kind in (RowKind.TITLE, RowKind.FORMULA)]
    entry: dict[str, Any] = {
        "name": box.name,
        "rows": [[row.strong, row.plain] for row in shown],
        "values": [plan.slots[name] for name in box.names],
    }
    if box.shape is Shape.GROUP:
        entry["group"] = True
        # The last of several copies has the name of all of them.
        own = next((name for name in (box.name, box.name.rpartition(".")[0]) if name in box.names), None)
        if own is not None:
            entry["face"] = plan.slots[own]
    return entry
