"""The drawing of a report: what has a box, and where boxes and lines are. The page itself draws them.

There are two layouts: one for screens, one from top to bottom for telephones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from graphrun.draw import Box, Drawing, Layout, Shape, draw_graph, lay_out
from graphrun.draw.folding import MOST_BOXES
from graphrun.draw.rows import Part, frame_title, rows
from graphrun.graph import ComputationalGraph
from graphrun.plan import Plan
from graphrun.report.recording import Use

MOST_SINGLE_BOXES = 600
"""A page can be moved and enlarged, so it gives boxes of their own to more values than a picture does."""

MOST_PRODUCTS = 14
"""In a drawing of more lines, none says what is multiplied by what, only what comes of it."""

MOST_LABELS = 40

WIDEST_VALUE = "-0.00000"
WIDEST_GRADIENT = "-0.0000"
WIDEST_PRODUCT = "-0.00 · (-0.00) = -0.00"


def scene(graph: ComputationalGraph, plan: Plan, uses: Sequence[Use], depth: int | None = None) -> dict[str, Any]:
    """Return boxes, lines and frames, and both layouts of them.

    Args:
        graph: the graph.
        plan: its schedule, whose slots stand for values.
        uses: every use of a value by a node.
        depth: how many frames within each other are opened; all that fit by default.
    """
    drawing = _with_room_for_numbers(_draw(graph, depth), isinstance(plan.objective, int))
    box_of = {name: box.name for box in drawing.boxes for name in box.names}
    between: dict[tuple[str, str], list[int]] = {}
    single: dict[tuple[str, str, int], int] = {}
    for number, use in enumerate(uses):
        source, target = plan.names[use.source], plan.names[use.target]
        if source is None or target is None:
            continue
        between.setdefault((box_of[source], box_of[target]), []).append(number)
        single[source, target, use.position] = number
    places = {box.name: place for place, box in enumerate(drawing.boxes)}
    return {
        "boxes": [_box(box, plan) for box in drawing.boxes],
        "lines": [
            [single[line.source, line.target, line.position]]
            if (line.source, line.target, line.position) in single
            else between[line.source, line.target]
            for line in drawing.lines
        ],
        "frames": [frame_title(frame) for frame in drawing.frames],
        "labels": _labels(drawing),
        "note": drawing.note,
        "wide": _layout(drawing, lay_out(drawing), places),
        "tall": _layout(drawing, lay_out(drawing, "down"), places),
    }


def _draw(graph: ComputationalGraph, depth: int | None) -> Drawing:
    if depth is None:
        outermost = draw_graph(graph, depth=0)
        if MOST_BOXES < len(outermost.boxes) <= MOST_SINGLE_BOXES:
            return outermost
    return draw_graph(graph, depth=depth)


def _with_room_for_numbers(drawing: Drawing, has_gradients: bool) -> Drawing:
    """Put in place of each number the widest one that is likely, so that boxes fit all steps."""
    label = {"product": WIDEST_PRODUCT, "contribution": WIDEST_GRADIENT, "none": ""}[_labels(drawing)]
    boxes = tuple(
        replace(
            box,
            value=WIDEST_VALUE,
            gradient=WIDEST_GRADIENT if has_gradients and box.shape in (Shape.PARAMETER, Shape.NODE, Shape.GROUP) else "",
        )
        for box in drawing.boxes
    )
    lines = tuple(replace(line, label=label if has_gradients else "") for line in drawing.lines)
    return replace(drawing, boxes=boxes, lines=lines)


def _labels(drawing: Drawing) -> str:
    count = len(drawing.lines)
    return "product" if count <= MOST_PRODUCTS else "contribution" if count <= MOST_LABELS else "none"


def _box(box: Box, plan: Plan) -> dict[str, Any]:
    shown = [row for row in rows(box) if row.part in (Part.TITLE, Part.FORMULA)]
    entry: dict[str, Any] = {
        "name": box.name,
        "rows": [[row.strong, row.plain] for row in shown],
        "values": [plan.slots[name] for name in box.names],
    }
    if box.shape is Shape.GROUP:
        entry["group"] = True
        if box.name in plan.slots:
            entry["face"] = plan.slots[box.name]
    return entry


def _layout(drawing: Drawing, layout: Layout, places: dict[str, int]) -> dict[str, Any]:
    """Return an arrangement in whole pixels, in the order of the drawing."""
    boxes = [layout.boxes[name] for name in places]
    frames = [layout.frames[frame.name] for frame in drawing.frames]
    return {
        "size": [round(layout.width), round(layout.height)],
        "boxes": [[round(p.x), round(p.y), round(p.width), round(p.height)] for p in boxes],
        "frames": [[round(p.x), round(p.y), round(p.width), round(p.height)] for p in frames],
        "routes": [
            {
                "points": [round(coordinate) for point in route.points for coordinate in point],
                "label": [round(route.label[0]), round(route.label[1])],
            }
            for route in layout.routes
        ],
    }
