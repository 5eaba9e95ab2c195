"""Which values have a box of their own, which share one, and the frames around those that belong together.

Dotted names say what belongs together: `hidden.W` is inside the instance `hidden`, whose own value is inside as well;
`f.1` is a part of the expression `f`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphrun.graph.graph import ComputationalGraph
from graphrun.run.request import whole
from graphrun.show.draw.drawing import Frame

MOST_UNFOLDED = 80
"""Frames are folded, inner ones first, until there are no more boxes than this."""

MOST_BOXES = 200
"""With more boxes although every frame is folded, generations of nodes share a box."""

BANDS = 12
"""How many boxes the generations of a large graph share."""


@dataclass(frozen=True)
class Folding:
    """Who has which box.

    Attributes:
        box_of: the name of the box of each value, which is the value's own name unless it is folded.
        shares: what the boxes of several values are called.
        frame_of: the innermost frame around each box.
        frames: outer ones before inner ones.
        note: what is folded, and how to see it; empty where nothing is.
        is_summary: whether generations of nodes share boxes.
    """

    box_of: Mapping[str, str]
    shares: Mapping[str, str]
    frame_of: Mapping[str, str | None]
    frames: tuple[Frame, ...]
    note: str
    is_summary: bool = False


def fold(graph: ComputationalGraph, depth: int | None = None) -> Folding:
    """Decide who shares a box; so many frames within each other are opened, all that fit by default."""
    names = [name for name in graph.names if name is not None]
    ways = ways_of(names)
    deepest = max(map(len, ways.values()), default=0)
    opened = deepest if depth is None else min(whole("depth", depth, 0), deepest)
    if depth is None:
        while opened and _count_boxes(ways, opened) > MOST_UNFOLDED:
            opened -= 1
        if _count_boxes(ways, opened) > MOST_BOXES:
            return _bands(graph)
    box_of = _boxes_of(ways, opened)
    open_frames = dict.fromkeys(frame for way in ways.values() for frame in way[:opened])
    depths = {frame: k for way in ways.values() for k, frame in enumerate(way)}
    outer = {frame: way[k - 1] if k else None for way in ways.values() for k, frame in enumerate(way)}
    shares = {
        box: relative(box, outer[box])
        for box in box_of.values()
        if box not in open_frames and (box not in ways or box in outer)
    }
    frame_of = {box_of[name]: (way[:opened] or (None,))[-1] for name, way in ways.items()}
    folded = sum(1 for name, box in box_of.items() if box in shares)
    note = f"{folded} values are folded into {len(shares)} boxes; --depth {opened + 1} opens more" if shares else ""
    ordered = sorted(open_frames, key=depths.__getitem__)
    frames = tuple(Frame(name, relative(name, outer[name]), outer[name]) for name in ordered)
    return Folding(box_of, shares, frame_of, frames, note)


def relative(name: str, frame: str | None) -> str:
    """Return a name as it stands in a frame, where the frame's own name goes without saying.

    A part of an expression keeps the expression's name: `f.1` alone would be a number.
    """
    if not frame or not name.startswith(f"{frame}."):
        return name
    rest = name[len(frame) + 1 :]
    return f"{frame.rpartition('.')[2]}.{rest}" if rest[0].isdecimal() else rest


def ways_of(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the frames around each value, outer ones first."""
    known = dict.fromkeys(names)
    groups = {prefix for name in known for prefix in _prefixes(name)}
    # The last of several copies has no value of its own name: it is the value of them all.
    copies: dict[str, int] = {}
    for group in groups:
        outer, _, number = group.rpartition(".")
        if number.isdecimal() and group not in known:
            copies[outer] = max(copies.get(outer, 0), int(number))
    # What is neither a value nor a copy is the output of something: `hidden.y.1` is a part of `hidden` itself.
    kept = {group for group in groups if group in known or group in {f"{k}.{n}" for k, n in copies.items()}}
    ways = {}
    for name in known:
        way = [prefix for prefix in _prefixes(name) if prefix in kept]
        if name in kept:
            way.append(name)
            if name in copies:
                way.append(f"{name}.{copies[name]}")
        ways[name] = way
    sizes = Counter(group for way in ways.values() for group in way)
    return {name: tuple(group for group in way if sizes[group] > 1) for name, way in ways.items()}


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts))]


def _count_boxes(ways: Mapping[str, Sequence[str]], opened: int) -> int:
    return len(set(_boxes_of(ways, opened).values()))


def _boxes_of(ways: Mapping[str, Sequence[str]], opened: int) -> dict[str, str]:
    return {name: way[opened] if len(way) > opened else name for name, way in ways.items()}


def _bands(graph: ComputationalGraph) -> Folding:
    """Let neighbouring generations of nodes share a box, and the leaves that are first used there another one."""
    first = len(graph.leaves)
    generation = graph.generations
    sizes = Counter(generation[number] for number in graph.order)
    band_of, total, share = {}, 0, len(graph.order) / BANDS
    for position in sorted(sizes):
        band_of[position] = int(total / share)
        total += sizes[position]
    spans: dict[int, list[int]] = {}
    for position, band in band_of.items():
        spans.setdefault(band, []).append(position)
    used: dict[int, int] = {}
    for number in graph.order:
        for source in graph.nodes[number - first].inputs:
            used[source] = min(used.get(source, BANDS), band_of[generation[number]])
    box_of: dict[str, str] = {}
    shares: dict[str, str] = {}
    for number, name in enumerate(graph.names):
        if name is None:
            continue
        if number == graph.objective:
            box_of[name] = name
            continue
        if number >= first:
            span = spans[band_of[generation[number]]]
            title = f"generation {span[0]}" if len(span) == 1 else f"generations {span[0]} to {span[-1]}"
        else:
            title = "parameters" if number < len(graph.parameters) else "data" if number in graph.data else "constants"
            span = spans.get(used.get(number, 0), [0])
        box = box_of[name] = f"{title} {span[0]}"
        shares[box] = title
    note = (
        f"{len(box_of)} values share {len(shares)} boxes, and lines that skip a box are left out; "
        "--depth gives each value its own"
    )
    return Folding(box_of, shares, dict.fromkeys(box_of.values()), (), note, is_summary=True)
