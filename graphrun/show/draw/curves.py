"""What links are made of: cubic Bezier curves, each of which begins and ends along the direction of the graph."""

from __future__ import annotations

Point = tuple[float, float]


def straight(start: Point, end: Point) -> list[Point]:
    """Return the points that follow the start of a straight line, written as a curve; none where it has no length."""
    if start == end:
        return []
    third = (end[0] - start[0]) / 3, (end[1] - start[1]) / 3
    return [(start[0] + third[0], start[1] + third[1]), (end[0] - third[0], end[1] - third[1]), end]


def bend(start: Point, end: Point) -> list[Point]:
    """Return the points that follow the start of a curve from one layer to the next."""
    middle = (start[0] + end[0]) / 2
    return [(middle, start[1]), (middle, end[1]), end]


def turn(start: Point, across: float, depth: float) -> list[Point]:
    """Return the points that follow the start of a turn into the other direction; it goes on by `depth` before."""
    # A cubic curve reaches three quarters of the way to its middle points.
    far = start[0] + depth / 0.75
    return [(far, start[1]), (far, across), (start[0], across)]
