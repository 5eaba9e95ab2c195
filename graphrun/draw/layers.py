"""A layered layout: items in layers along the direction of the graph, links as curves between them.

The steps are those of Sugiyama, Tagawa and Toda (1981): break cycles, give each item a layer, order the layers so that
few links cross, and place items so that links are straight. Places are chosen by least squares: pooling adjacent
violators finds the exact optimum of a layer for the neighbours' places. Coordinates are (along, across); who calls
decides which of them is horizontal.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]

SWEEPS = 12
SETTLING = 16
ASIDE = 0.02
"""How much a leaf that is used once weighs: it stands aside, so that the way of the values is straight."""

SPREAD = 26.0
"""The largest distance between the ends of links at one border of a box."""

PORT_GAP = 14.0
"""The distance of a border from what is next to it."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something to place.

    Attributes:
        along, across: its sizes.
        pin: -1 for what belongs at the very beginning, 1 at the very end, else 0.
        outside: of a line's end at a border, where the line goes on outside, in whatever unit; lines that are in this
            order do not cross there.
    """

    along: float
    across: float
    pin: int = 0
    outside: float = 0.0


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two items; an offset says where it has to meet the item, from the middle; None: anywhere."""

    source: int
    target: int
    source_offset: float | None = None
    target_offset: float | None = None


@dataclass(frozen=True, slots=True)
class Gaps:
    """Distances: between layers, between items of a layer, and of links that pass between them."""

    along: float
    across: float
    passing: float = 12.0


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where everything goes: both sizes, the middle of each item, and each link as cubic curves (1 + 3n points)."""

    along: float
    across: float
    centers: list[Point]
    curves: list[list[Point]]


class _End(NamedTuple):
    """One end of a link between neighbouring layers, as seen from the other end.

    Attributes:
        item: what is there.
        shift: how much further across it is than this end where the link is straight.
        weight: how much that matters.
        own: where the link is at this end, of the item's size: -0.5 to 0.5.
        other: where it is at that end.
    """

    item: int
    shift: float
    weight: float
    own: float
    other: float


@dataclass
class _Layers:
    """The layers on the way: items first, then a place for each layer that a link passes."""

    items: list[Item]
    rank: list[int]
    rows: list[list[int]] = field(default_factory=list)
    above: list[list[_End]] = field(default_factory=list)
    below: list[list[_End]] = field(default_factory=list)


def arrange(items: Sequence[Item], links: Sequence[Link], gaps: Gaps) -> Arrangement:
    """Place items and links."""
    if not items:
        return Arrangement(0.0, 0.0, [], [])
    turned = _turned(len(items), links)
    ends = [(k.target, k.source) if turn else (k.source, k.target) for k, turn in zip(links, turned, strict=True)]
    layers = _Layers(list(items), _ranks(items, ends))
    chains = _chain(layers, links, ends, turned)
    _order(layers)
    places = _place(layers, gaps)
    starts, stops = _stack(layers, gaps)
    leaves = [not above for above in layers.above]
    roots = [not below for below in layers.below]

    def along(item: int) -> float:
        """An item without inputs is as near as can be to what uses it, one that nobody uses to what it uses."""
        rank, half = layers.rank[item], layers.items[item].along / 2
        if layers.items[item].pin < 0 or (roots[item] and not leaves[item] and not layers.items[item].pin):
            return starts[rank] + half
        if layers.items[item].pin > 0 or (leaves[item] and not roots[item]):
            return stops[rank] - half
        return (starts[rank] + stops[rank]) / 2

    centers = [(along(k), places[k]) for k in range(len(items))]
    spread = _spread(layers, places, links, chains, turned)
    curves = []
    for number, chain in enumerate(chains):
        first, last = chain[0], chain[-1]
        leave, reach = spread[number]
        path = [(centers[first][0] + layers.items[first].along / 2, centers[first][1] + leave)]
        curve = path + straight(path[-1], (stops[layers.rank[first]], path[-1][1]))
        for item in chain[1:-1]:
            rank = layers.rank[item]
            curve += _bend(curve[-1], (starts[rank], places[item]))
            curve += straight(curve[-1], (stops[rank], places[item]))
        end = centers[last][1] + reach
        curve += _bend(curve[-1], (starts[layers.rank[last]], end))
        curve += straight(curve[-1], (centers[last][0] - layers.items[last].along / 2, end))
        curves.append(curve[::-1] if turned[number] else curve)
    width = max(places[k] + layers.items[k].across / 2 for k in range(len(places)))
    return Arrangement(stops[-1], width, centers, curves)


def _turned(count: int, links: Sequence[Link]) -> list[bool]:
    """Return which links are to be turned around so that no cycle is left: those back to an item on the way there."""
    targets: list[list[int]] = [[] for _ in range(count)]
    for number, link in enumerate(links):
        targets[link.source].append(number)
    turned = [False] * len(links)
    state = [0] * count
    for start in range(count):
        if state[start]:
            continue
        state[start] = 1
        way = [(start, iter(targets[start]))]
        while way:
            item, rest = way[-1]
            number = next(rest, -1)
            if number < 0:
                state[item] = 2
                way.pop()
                continue
            target = links[number].target
            if state[target] == 1:
                turned[number] = True
            elif not state[target]:
                state[target] = 1
                way.append((target, iter(targets[target])))
    return turned


def _ranks(items: Sequence[Item], ends: Sequence[tuple[int, int]]) -> list[int]:
    """Return the layers: the longest way from the beginning; then what has more uses than inputs moves towards them."""
    count = len(items)
    targets: list[list[int]] = [[] for _ in range(count)]
    inputs = [0] * count
    for source, target in ends:
        targets[source].append(target)
        inputs[target] += 1
    waiting = inputs[:]
    order = [k for k in range(count) if not inputs[k]]
    rank = [0] * count
    for item in order:  # which grows on the way
        for target in targets[item]:
            rank[target] = max(rank[target], rank[item] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    last = max(rank)
    for item in reversed(order):
        if items[item].pin > 0:
            rank[item] = last
        elif not items[item].pin and len(targets[item]) > inputs[item]:
            rank[item] = max(rank[item], min(rank[target] for target in targets[item]) - 1)
    return rank


def _chain(
    layers: _Layers, links: Sequence[Link], ends: Sequence[tuple[int, int]], turned: Sequence[bool]
) -> list[list[int]]:
    """Give each link a place in every layer that it passes; return the items and places along each."""
    chains = []
    passing = Item(0.0, 0.0)
    for source, target in ends:
        chain = [source]
        for rank in range(layers.rank[source] + 1, layers.rank[target]):
            chain.append(len(layers.items))
            layers.items.append(passing)
            layers.rank.append(rank)
        chains.append([*chain, target])
    inputs, uses = Counter(target for _, target in ends), Counter(source for source, _ in ends)
    lone = [not inputs[k] and uses[k] == 1 and not item.pin for k, item in enumerate(layers.items)]
    layers.above = [[] for _ in layers.items]
    layers.below = [[] for _ in layers.items]
    for chain, link, turn in zip(chains, links, turned, strict=True):
        leave, reach = link.source_offset or 0.0, link.target_offset or 0.0
        offsets = [reach if turn else leave, *[0.0] * (len(chain) - 2), leave if turn else reach]
        for k in range(len(chain) - 1):
            upper, lower = chain[k], chain[k + 1]
            shift = offsets[k] - offsets[k + 1]
            # A link that passes a layer is to be straight there, which matters more the further it goes.
            weight = 1.0 if len(chain) == 2 else 2.0 if k in {0, len(chain) - 2} else 8.0
            if lone[chain[0]]:
                weight *= ASIDE
            at = [
                offset / layers.items[item].across if offset else 0.0
                for item, offset in ((upper, offsets[k]), (lower, offsets[k + 1]))
            ]
            layers.below[upper].append(_End(lower, -shift, weight, *at))
            layers.above[lower].append(_End(upper, shift, weight, *reversed(at)))
    layers.rows = [[] for _ in range(max(layers.rank) + 1)]
    for item in _from_the_ends(layers):
        layers.rows[layers.rank[item]].append(item)
    return chains


def _from_the_ends(layers: _Layers) -> list[int]:
    """Return the items in the order in which they are met from those that nobody uses: inputs are in their order."""
    met: dict[int, None] = {}
    pending = [item for item, below in enumerate(layers.below) if not below][::-1]
    while pending:
        item = pending.pop()
        if item not in met:
            met[item] = None
            pending += [end.item for end in reversed(layers.above[item])]
    return list(met)


def _order(layers: _Layers) -> None:
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
    mean.update(zip(sorted(ports, key=lambda item: items[item].outside), means, strict=True))


def _crossings(layers: _Layers) -> int:
    """Count the crossings between layers, and those at the borders."""
    total = 0
    for rank, row in enumerate(layers.rows):
        for pin in (-1, 1):
            total += _inversions(layers.items[item].outside for item in row if layers.items[item].pin == pin)
        if rank + 1 < len(layers.rows):
            position = {item: k for k, item in enumerate(layers.rows[rank + 1])}
            links = sorted(
                (k + end.own, position[end.item] + end.other)
                for k, item in enumerate(row)
                for end in layers.below[item]
            )
            total += _inversions(place for _, place in links)
    return total


def _inversions(numbers: Iterable[float]) -> int:
    seen: list[float] = []
    total = 0
    for value in numbers:
        total += len(seen) - bisect_right(seen, value)
        insort(seen, value)
    return total


def _place(layers: _Layers, gaps: Gaps) -> list[float]:
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


def _distances(layers: _Layers, row: Sequence[int], gaps: Gaps) -> list[float]:
    """Return how far each item of a layer is from the first one, at the least."""
    result = [0.0]
    for left, right in pairwise(row):
        a, b = layers.items[left].across, layers.items[right].across
        is_border = layers.items[left].pin and layers.items[right].pin
        gap = gaps.across if a and b else SPREAD if is_border else gaps.passing
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


def _stack(layers: _Layers, gaps: Gaps) -> tuple[list[float], list[float]]:
    """Return where each layer starts and stops; layers of nothing but ends of links at a border take no room."""
    starts: list[float] = []
    stops: list[float] = []
    at = 0.0
    previous_is_border = True
    for row in layers.rows:
        is_border = not any(layers.items[item].across for item in row)
        if starts:
            at += PORT_GAP if is_border or previous_is_border else gaps.along
        starts.append(at)
        at += max(layers.items[item].along for item in row)
        stops.append(at)
        previous_is_border = is_border
    return starts, stops


def _spread(
    layers: _Layers,
    places: Sequence[float],
    links: Sequence[Link],
    chains: Sequence[Sequence[int]],
    turned: Sequence[bool],
) -> list[tuple[float, float]]:
    """Return where each link leaves the upper item and meets the lower one, from the middle.

    Links leave an item in one place, for they carry one value, and arrive next to each other.
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
        step = min(SPREAD, max(layers.items[item].across - 24.0, 0.0) / max(len(found) - 1, 1))
        for k, (_, number) in enumerate(found):
            result[number][side] = (k - (len(found) - 1) / 2) * step
    return [(leave, reach) for leave, reach in result]


def straight(start: Point, end: Point) -> list[Point]:
    """Return the points that follow the start of a straight line, written as a curve; none where it has no length."""
    if start == end:
        return []
    third = (end[0] - start[0]) / 3, (end[1] - start[1]) / 3
    return [(start[0] + third[0], start[1] + third[1]), (end[0] - third[0], end[1] - third[1]), end]


def _bend(start: Point, end: Point) -> list[Point]:
    middle = (start[0] + end[0]) / 2
    return [(middle, start[1]), (middle, end[1]), end]
