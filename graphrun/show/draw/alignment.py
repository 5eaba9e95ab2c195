"""Places within layers: links are as straight as can be, by least squares, and nothing comes too near."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from graphrun.show.draw.items import ASIDE, SPREAD, Gaps, Layers

SETTLING = 16
"""How often the layers are placed: half by one side's neighbours, half by those of both."""


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
