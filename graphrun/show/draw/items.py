"""What a layered layout places, items and the links between them, and the layers that it puts them in.

Cycles are broken, each item is given a layer, and each link a place in every layer that it passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import networkx as nx

ASIDE = 0.02
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


def layers_of(items: Sequence[Item], links: Sequence[Link]) -> tuple[Layers, list[list[int]], list[bool]]:
    """Put items into layers.

    Returns:
        The layers; the items and places along each link, from the upper layer to the lower one; and which links run the
        other way, for they are on a cycle.
    """
    turned = _turned(len(items), links)
    ends = [(k.target, k.source) if turn else (k.source, k.target) for k, turn in zip(links, turned, strict=True)]
    layers = Layers(list(items), _ranks(items, ends))
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
