"""What a page needs to open and fold single frames: the inside of each as a drawing of its own.

The page puts them into each other: the insides are small, and there are as many of them as frames, not as choices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphrun.graph.graph import ComputationalGraph
from graphrun.show.draw import Box, Drawing, Layout, Line, NodeBox, Shape, draw_graph
from graphrun.show.draw.curves import Point
from graphrun.show.draw.folding import ways_of
from graphrun.show.draw.layout import MOST_TO_THE_RIGHT
from graphrun.show.draw.rows import frame_title

MOST_LEVELS = 60
MOST_LEVEL_BOXES = 600
"""A larger graph is folded as it was drawn: laying out all its insides takes longer than its run."""

Place = Callable[[Drawing, str], tuple[Layout, str]]
Edges = Mapping[Line, list[int]]
Data = dict[str, Any]


def levels(
    graph: ComputationalGraph,
    place: Place,
    edges_of: Callable[[Drawing], Edges],
    box_data: Callable[[Box], Data],
) -> list[Data]:
    """Return the outermost drawing with all frames folded, then the inside of each frame; empty if there are none.

    `place` lays a drawing out in a direction, and says what its labels tell.
    """
    ways = ways_of(name for name in graph.names if name is not None)
    deepest = max(map(len, ways.values()), default=0)
    frames = {frame: k + 1 for way in ways.values() for k, frame in enumerate(way)}
    if not deepest or len(frames) > MOST_LEVELS or len(ways) > MOST_LEVEL_BOXES:
        return []
    drawings = [draw_graph(graph, depth=depth) for depth in range(deepest + 1)]
    edges = [edges_of(drawing) for drawing in drawings]
    insides = [(_inside(drawings[depth], name), edges[depth]) for name, depth in [(None, 0), *frames.items()]]
    directions = ["down"]
    if all(len(inside.boxes) <= MOST_TO_THE_RIGHT for inside, _ in insides):
        directions.append("right")
    return [_level(inside, place, uses, box_data, directions) for inside, uses in insides]


def _inside(drawing: Drawing, name: str | None) -> Drawing:
    """Return what is in a frame, and bare boxes for what its lines come from and go to."""
    inside = {box.name for box in drawing.boxes if box.frame == name}
    lines = tuple(line for line in drawing.lines if {line.source, line.target} & inside)
    ends = {end for line in lines for end in (line.source, line.target)}
    boxes = tuple(
        box if box.name in inside else Box(box.name, "", Shape.NODE)
        for box in drawing.boxes
        if box.name in inside | ends
    )
    frames = tuple(replace(frame, outer=None) for frame in drawing.frames if frame.name == name)
    return replace(drawing, boxes=boxes, lines=lines, frames=frames)


def _level(
    drawing: Drawing, place: Place, edges: Edges, box_data: Callable[[Box], Data], directions: Sequence[str]
) -> Data:
    frame = drawing.frames[0] if drawing.frames else None
    boxes = [box for box in drawing.boxes if box.frame == (frame and frame.name)]
    inside = {box.name: k for k, box in enumerate(boxes)}
    return {
        "frame": frame and frame.name,
        "title": frame and frame_title(frame),
        "boxes": [box_data(box) for box in boxes],
        "lines": [edges[line] for line in drawing.lines],
        "ends": [[inside.get(line.source, -1), inside.get(line.target, -1)] for line in drawing.lines],
        **{direction: _cut(drawing, inside, *place(drawing, direction)) for direction in directions},
    }


def _cut(drawing: Drawing, inside: Mapping[str, int], layout: Layout, labels: str) -> Data:
    """Return the inside of a layout, from the corner of its frame; lines end where they cross the border."""
    whole = NodeBox(0, 0, layout.width, layout.height)
    left, top, width, height = next(iter(layout.frames.values()), whole)

    def at(point: Point) -> list[int]:
        return [round(point[0] - left), round(point[1] - top)]

    def is_in(point: Point) -> bool:
        return left < point[0] < left + width and top < point[1] < top + height

    routes = []
    for line, route in zip(drawing.lines, layout.routes, strict=True):
        # Lines are made of curves; each has its ends at every third point.
        within = [k for k in range(0, len(route.points), 3) if is_in(route.points[k])]
        first = within[0] if within and line.source not in inside else 0
        last = within[-1] if within and line.target not in inside else len(route.points) - 1
        points = [coordinate for point in route.points[first : last + 1] for coordinate in at(point)]
        routes.append({"points": points, "label": at(route.label)})
    boxes = [layout.boxes[name] for name in inside]
    return {
        "size": [round(width), round(height)],
        "labels": labels,
        "boxes": [[*at((box.x, box.y)), round(box.width), round(box.height)] for box in boxes],
        "routes": routes,
    }
