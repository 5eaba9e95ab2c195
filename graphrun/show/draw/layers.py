"""A layered layout: items in layers along the direction of the graph, links as curves between them.

The steps are those of Sugiyama, Tagawa and Toda (1981): break cycles, give each item a layer, order the layers so that
few links cross, and place items so that links are straight. Places are chosen by least squares: pooling adjacent
violators finds the exact optimum of a layer for the neighbours' places. Coordinates are (along, across); who calls
decides which of them is horizontal.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphrun.show.draw.columns import Columns
from graphrun.show.draw.curves import Point, bend, straight
from graphrun.show.draw.items import ASIDE, SPREAD, Gaps, Item, Layers, Link, layers_of

PORT_GAP = 14.0
"""The distance of a border from what is next to it."""

SWEEPS = 12
"""How often the layers are ordered; from then on hardly a crossing goes."""

SETTLING = 16
"""How often the layers are placed: half by one side's neighbours, half by those of both."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where everything goes: both sizes, the middle of each item, and each link as cubic curves (1 + 3n points)."""

    along: float
    across: float
    centers: list[Point]
    curves: list[list[Point]]


def arrange(items: Sequence[Item], links: Sequence[Link], gaps: Gaps) -> Arrangement:
    """Place items and links."""
    if not items:
        return Arrangement(0.0, 0.0, [], [])
    layers, chains, turned = layers_of(items, links, gaps)
    order_rows(layers)
    rooms = _label_rooms(layers, chains, links, turned, gaps)
    columns = Columns(layers, _stack(layers, gaps, rooms), gaps)
    columns.separate()
    places = place_across(layers, gaps)
    columns.stand_side_by_side(places, chains)
    starts, stops = _stack(layers, gaps, rooms, columns)
    lowest = max(stop + columns.lane(rank) for rank, stop in enumerate(stops))
    leaves = [not above for above in layers.above]
    roots = [not below for below in layers.below]

    def along(item: int) -> float:
        """An item without inputs is as near as can be to what uses it, one that nobody uses to what it uses."""
        rank, half = layers.rank[item], layers.items[item].along / 2
        if layers.items[item].pin > 0:
            return lowest
        if layers.items[item].pin < 0 or (roots[item] and not leaves[item]):
            return starts[rank] + half
        return stops[rank] - half if leaves[item] and not roots[item] else (starts[rank] + stops[rank]) / 2

    centers = [(along(k), places[k]) for k in range(len(items))]
    spread = _spread(layers, places, links, chains, turned)
    curves = []
    for number, chain in enumerate(chains):
        first, last = chain[0], chain[-1]
        leave, reach = spread[number]
        curve = [(centers[first][0] + layers.items[first].along / 2, centers[first][1] + leave)]
        end = (centers[last][0] - layers.items[last].along / 2, centers[last][1] + reach)
        for upper, lower in pairwise(chain):
            rank = layers.rank[upper]
            curve += straight(curve[-1], (stops[rank] + rooms[rank][1], curve[-1][1]))
            below = (starts[rank + 1] - rooms[rank + 1][0], end[1] if lower == last else places[lower])
            curve += columns.around(rank, number, curve[-1], below) or bend(curve[-1], below)
        curve += straight(curve[-1], end)
        curves.append(curve[::-1] if turned[number] else curve)
    width = max(places[k] + layers.items[k].across / 2 for k in range(len(places)))
    return Arrangement(lowest, width, centers, curves)


def _label_rooms(
    layers: Layers, chains: Sequence[Sequence[int]], links: Sequence[Link], turned: Sequence[bool], gaps: Gaps
) -> list[tuple[float, float]]:
    """Return the room that the labels at the ends of links take before and after each layer."""
    rooms = [[0.0, 0.0] for _ in layers.rows]
    for chain, link, turn in zip(chains, links, turned, strict=True):
        if link.is_labelled:
            rooms[layers.rank[chain[0 if turn else -1]]][int(turn)] = gaps.label
    return [(before, after) for before, after in rooms]


def _stack(
    layers: Layers, gaps: Gaps, rooms: Sequence[tuple[float, float]], columns: Columns | None = None
) -> tuple[list[float], list[float]]:
    """Return where each layer starts and stops; layers of nothing but ends of links at a border take no room."""
    starts: list[float] = []
    stops: list[float] = []
    at = 0.0
    previous_is_border = True
    for rank, row in enumerate(layers.rows):
        is_border = not any(layers.items[item].across for item in row)
        if columns is not None and rank and columns.lane(rank - 1):
            at = columns.lane(rank - 1) + rooms[rank][0]
        elif starts:
            at += PORT_GAP if is_border or previous_is_border else gaps.along
            at += rooms[rank - 1][1] + rooms[rank][0]
        starts.append(at)
        at += max(layers.items[item].along for item in row)
        stops.append(at)
        previous_is_border = is_border
    return starts, stops


def _spread(
    layers: Layers,
    places: Sequence[float],
    links: Sequence[Link],
    chains: Sequence[Sequence[int]],
    turned: Sequence[bool],
) -> list[tuple[float, float]]:
    """Return where each link leaves the upper item and meets the lower one, from the middle.

    Links leave an item in one place, for they carry one value, and arrive next to each other, their labels too.
    """
    result = [[0.0, 0.0] for _ in chains]
    arriving: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for number, (chain, link, turn) in enumerate(zip(chains, links, turned, strict=True)):
        upper, lower = (1, 0) if turn else (0, 1)
        result[number][upper] = link.source_offset or 0.0
        result[number][lower] = link.target_offset or 0.0
        if link.target_offset is None:
            ends = chain[::-1] if turn else chain
            arriving.setdefault((ends[-1], lower), []).append((places[ends[-2]], number))
    for (item, side), found in arriving.items():
        found.sort()
        rooms = [links[number].room for _, number in found]
        spare = (layers.items[item].across - 24.0 - sum(rooms)) / max(len(found) - 1, 1)
        gap = max(min(SPREAD - max(rooms), spare), 0.0)
        at = -(sum(rooms) + gap * (len(found) - 1)) / 2
        for room, (_, number) in zip(rooms, found, strict=True):
            result[number][side] = at + room / 2
            at += room + gap
    return [(leave, reach) for leave, reach in result]


# --- the order within layers ------------------------------------------------------------------------------------------


def order_rows(layers: Layers) -> None:
    """Order each layer by its neighbours' mean places, back and forth; the order with the fewest crossings stays."""
    best, fewest = [row[:] for row in layers.rows], _crossings(layers)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        position: dict[int, float] = {}
        for row in layers.rows if down else reversed(layers.rows):
            near = layers.above if down else layers.below
            own = {item: float(k) for k, item in enumerate(row)}
            mean = {
                k: sum(position[end.item] + end.other for end in near[k]) / len(near[k]) if near[k] else own[k]
                for k in row
            }
            _keep_outside(layers.items, row, mean, -1 if down else 1)
            row.sort(key=lambda item: (mean[item], own[item]))
            position.update((item, float(k)) for k, item in enumerate(row))
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [row[:] for row in layers.rows], crossings
    layers.rows = best


def _keep_outside(items: Sequence[Item], row: Sequence[int], mean: dict[int, float], pin: int) -> None:
    """Give the ends of lines at a border each other's places, so that they are in the order of the outside."""
    ports = [item for item in row if items[item].pin == pin]
    means = sorted(mean[item] for item in ports)
    mean.update(zip(sorted(ports, key=lambda item: (items[item].outside, mean[item])), means, strict=True))


def _crossings(layers: Layers) -> int:
    """Count the crossings between layers, and those at the borders."""
    total = 0
    for rank, row in enumerate(layers.rows):
        for pin in (-1, 1):
            total += _inversions(layers.items[item].outside for item in row if layers.items[item].pin == pin)
        if rank + 1 < len(layers.rows):
            position = {item: k for k, item in enumerate(layers.rows[rank + 1])}
            ends = [(k + end.own, end) for k, item in enumerate(row) for end in layers.below[item]]
            links = sorted((own, position[end.item] + end.other) for own, end in ends)
            total += _inversions(place for _, place in links)
    return total


def _inversions(numbers: Iterable[float]) -> int:
    seen: list[float] = []
    total = 0
    for value in numbers:
        total += len(seen) - bisect_right(seen, value)
        insort(seen, value)
    return total


# --- the places within layers -----------------------------------------------------------------------------------------


def place_across(layers: Layers, gaps: Gaps) -> list[float]:
    """Return the middle of each item across: back and forth, each layer where its links are straightest."""
    places = [0.0] * len(layers.items)
    distances = [_distances(layers, row, gaps) for row in layers.rows]
    for row, distance in zip(layers.rows, distances, strict=True):
        for item, place in zip(row, distance, strict=True):
            places[item] = place - distance[-1] / 2
    for sweep in range(SETTLING):
        both, down = sweep >= SETTLING // 2, sweep % 2 == 0
        order = range(len(layers.rows)) if down else range(len(layers.rows) - 1, -1, -1)
        for rank in order:
            row = layers.rows[rank]
            wanted, weights = [], []
            for item in row:
                near = layers.above[item] if both or down else []
                near = near + layers.below[item] if both or not down else near
                weight = sum(end.weight for end in near)
                mean = sum((places[end.item] + end.shift) * end.weight for end in near)
                mean = mean / weight if weight else places[item]
                wanted.append(mean)
                weights.append(weight or ASIDE)
            for item, place in zip(row, _separate(wanted, weights, distances[rank]), strict=True):
                places[item] = place
    least = min(places[k] - layers.items[k].across / 2 for k in range(len(places)))
    return [place - least for place in places]


def _distances(layers: Layers, row: Sequence[int], gaps: Gaps) -> list[float]:
    """Return how far each item of a layer is from the first one, at the least."""
    result = [0.0]
    for left, right in pairwise(row):
        a, b = layers.items[left].across, layers.items[right].across
        gap = gaps.across if a and b else gaps.passing
        result.append(result[-1] + a / 2 + gap + b / 2)
    return result


def _separate(wanted: Sequence[float], weights: Sequence[float], distances: Sequence[float]) -> list[float]:
    """Return the places nearest to those that are wanted, by weighted squares, that keep the distances."""
    blocks: list[tuple[float, float, int]] = []
    for want, weight, distance in zip(wanted, weights, distances, strict=True):
        mean, total, count = want - distance, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, mass, many = blocks.pop()
            mean, total, count = (mean * total + other * mass) / (total + mass), total + mass, count + many
        blocks.append((mean, total, count))
    flat = [mean for mean, _, count in blocks for _ in range(count)]
    return [place + distance for place, distance in zip(flat, distances, strict=True)]
