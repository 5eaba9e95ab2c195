"""Layers of a layout: cycles broken, a layer for each item, a place in every layer that a link passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from graphrun.show.draw.items import ASIDE, End, Item, Layers, Link


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
