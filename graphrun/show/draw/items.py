"""What a layered layout places, items and the links between them, and the layers that it puts them in.

Cycles are broken, each item is given a layer, and each link a place in every layer that it passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import networkx as nx

ASIDE = 0.001
"""How much a leaf that is used once weighs: it stands aside, so that the way of the values is straight."""

SPREAD = 26.0
"""The largest distance between the ends of links at one border of a box."""


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
    """A link between two items; an offset says where it has to meet the item, from the middle; None: anywhere.

    `room` is how far across its end at the target reaches, with the label there; `is_labelled` whether there is one.
    """

    source: int
    target: int
    source_offset: float | None = None
    target_offset: float | None = None
    room: float = 0.0
    is_labelled: bool = False


@dataclass(frozen=True, slots=True)
class Gaps:
    """Distances: between layers, between items of a layer, of links that pass between them, and for labels.

    `label` is what a label at the end of a link takes along it; a layer is at most `widest` across, unless one item is
    wider, and an arrangement about `longest` along before it is folded into several columns.
    """

    along: float
    across: float
    passing: float = 12.0
    label: float = 0.0
    widest: float = inf
    longest: float = inf


class End(NamedTuple):
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
class Layers:
    """The layers on the way: items first, then a place for each layer that a link passes."""

    items: list[Item]
    rank: list[int]
    rows: list[list[int]] = field(default_factory=list)
    above: list[list[End]] = field(default_factory=list)
    below: list[list[End]] = field(default_factory=list)


def layers_of(items: Sequence[Item], links: Sequence[Link], gaps: Gaps) -> tuple[Layers, list[list[int]], list[bool]]:
    """Put items into layers.

    Returns:
        The layers; the items and places along each link, from the upper layer to the lower one; and which links run the
        other way, for they are on a cycle.
    """
    turned = _turned(len(items), links)
    ends = [(k.target, k.source) if turn else (k.source, k.target) for k, turn in zip(links, turned, strict=True)]
    rank = _ranks(items, ends)
    if _size(items, rank, gaps)[0] > gaps.widest:
        # Narrower layers are more of them, which can come out longer than the others are wide.
        both = rank, _narrow_ranks(items, ends, gaps)
        rank = min(both, key=lambda rank: max(_size(items, rank, gaps)))
    layers = Layers(list(items), rank)
    return layers, _chain(layers, links, ends, turned), turned


def _turned(count: int, links: Sequence[Link]) -> list[bool]:
    """Return which links are to be turned around so that no cycle is left: those back to an item on the way there."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from((link.source, link.target) for link in links)
    way, back = set[int](), set[tuple[int, int]]()
    for source, target, kind in nx.dfs_labeled_edges(graph):
        if kind == "forward":
            way.add(target)
        elif kind == "reverse":
            way.discard(target)
        elif target in way:
            back.add((source, target))
    return [(link.source, link.target) in back for link in links]


def _ranks(items: Sequence[Item], ends: Sequence[tuple[int, int]]) -> list[int]:
    """Return the layers: the longest way from the beginning; then what has more uses than inputs moves towards them."""
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    graph.add_nodes_from(range(len(items)))
    graph.add_edges_from(ends)
    generations = list(nx.topological_generations(graph))
    rank = [0] * len(items)
    for number, generation in enumerate(generations):
        for item in generation:
            rank[item] = number
    for generation in reversed(generations):
        for item in generation:
            if items[item].pin > 0:
                rank[item] = len(generations) - 1
            elif not items[item].pin and graph.out_degree(item) > graph.in_degree(item):
                rank[item] = max(rank[item], min(rank[target] for target in graph.successors(item)) - 1)
    return rank


def _size(items: Sequence[Item], rank: Sequence[int], gaps: Gaps) -> tuple[float, float]:
    """Return about how wide and how long layers are, without the links that pass them."""
    widths, lengths = [gaps.across] * (max(rank) + 1), [0.0] * (max(rank) + 1)
    for item, place in zip(items, rank, strict=True):
        widths[place] += item.across + gaps.across if item.across else 0.0
        lengths[place] = max(lengths[place], item.along + gaps.along + gaps.label)
    return max(widths), sum(lengths)


def _narrow_ranks(items: Sequence[Item], ends: Sequence[tuple[int, int]], gaps: Gaps) -> list[int]:
    """Return layers that are not too wide: filled from the last one up, as Coffman and Graham (1972) do.

    What was made possible last comes first, so that inputs stand near their use; of those what has the longest way
    before it. Links that pass a layer take room in it.
    """
    above: list[list[int]] = [[] for _ in items]
    for source, target in ends:
        above[target].append(source)
    uses = Counter(source for source, _ in ends)
    left, height = dict(uses), _ranks(items, ends)
    layer = [0] * len(items)
    row = [item for item, known in enumerate(items) if known.pin > 0]
    ready = {item: 0 for item, known in enumerate(items) if not known.pin and not uses[item]}
    pending = sum(not known.pin for known in items)
    current = passing = 0
    while pending or row:
        # However many links pass, some boxes stand between them.
        room = max(gaps.widest - passing * gaps.passing, gaps.widest / 2)
        for item in sorted(ready, key=lambda item: (-ready[item], -height[item], item)) if not row else ():
            need = items[item].across + gaps.across - uses[item] * gaps.passing
            if not row or need <= room:
                row.append(item)
                room -= need
        current += 1
        for item in row:
            ready.pop(item, None)
            layer[item] = current
            pending -= not items[item].pin
            passing += len(above[item]) - uses[item]
            for source in above[item]:
                left[source] -= 1
                if not left[source] and not items[source].pin:
                    ready[source] = current
        row = []
    first = int(any(known.pin < 0 for known in items))
    return [0 if known.pin < 0 else current - place + first for known, place in zip(items, layer, strict=True)]


def _chain(
    layers: Layers, links: Sequence[Link], ends: Sequence[tuple[int, int]], turned: Sequence[bool]
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
            layers.below[upper].append(End(lower, -shift, weight, *at))
            layers.above[lower].append(End(upper, shift, weight, *reversed(at)))
    layers.rows = [[] for _ in range(max(layers.rank) + 1)]
    for item in _from_the_ends(layers):
        layers.rows[layers.rank[item]].append(item)
    return chains


def _from_the_ends(layers: Layers) -> list[int]:
    """Return the items in the order in which they are met from those that nobody uses: inputs are in their order."""
    met: dict[int, None] = {}
    pending = [item for item, below in enumerate(layers.below) if not below][::-1]
    while pending:
        item = pending.pop()
        if item not in met:
            met[item] = None
            pending += [end.item for end in reversed(layers.above[item])]
    return list(met)
