"""Order within layers: few links cross, by the barycenters of neighbours, back and forth."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence

from graphrun.show.draw.items import Item, Layers

SWEEPS = 12
"""How often the layers are ordered; from then on hardly a crossing goes."""


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
    mean.update(zip(sorted(ports, key=lambda item: items[item].outside), means, strict=True))


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
