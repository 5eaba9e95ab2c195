"""A long arrangement in several columns: its layers are cut where few links cross, and stand side by side.

Links from one column to the next go around it: below, up through the gutter between the two, and above. The idea is
Rueegg and von Hanxleden's, "Wrapping layered graphs" (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log

from graphrun.show.draw.curves import Point, straight, turn
from graphrun.show.draw.items import Gaps, Layers

MOST_AROUND = 12
"""An arrangement is not cut where more links cross."""

SLENDER = 2.0
"""What is not longer than so many times its width stays in one column."""

MOST_COLUMNS = 30


class Columns:
    """Which column each layer is in, and the ways of the links between columns."""

    def __init__(self, layers: Layers, stack: tuple[Sequence[float], Sequence[float]], gaps: Gaps) -> None:
        self.layers = layers
        self.gaps = gaps
        self.cuts = _cuts(layers, *stack, gaps)
        self.column = [sum(cut < rank for cut in self.cuts) for rank in range(len(layers.rows))]
        self._lanes: dict[int, float] = {}
        self._ways: dict[tuple[int, int], tuple[float, float, float]] = {}

    def separate(self) -> None:
        """Let layers of different columns not pull at each other."""
        for near in (self.layers.above, self.layers.below) if self.cuts else ():
            for item, ends in enumerate(near):
                near[item] = [end for end in ends if self._of(end.item) == self._of(item)]

    def _of(self, item: int) -> int:
        return self.column[self.layers.rank[item]]

    def stand_side_by_side(self, places: list[float], chains: Sequence[Sequence[int]]) -> None:
        """Move each column's items beside the one before, and give each link between them its way."""
        crossing: dict[int, list[tuple[float, int]]] = {cut: [] for cut in self.cuts}
        for number, chain in enumerate(chains if self.cuts else ()):
            for upper, _ in pairwise(chain):
                if self.layers.rank[upper] in crossing:
                    crossing[self.layers.rank[upper]].append((places[upper], number))
        left, base = 0.0, self.gaps.along / 2
        for column, cut in enumerate([*self.cuts, -1] if self.cuts else ()):
            halves = {k: item.across / 2 for k, item in enumerate(self.layers.items) if self._of(k) == column}
            shift = left - min(places[item] - half for item, half in halves.items())
            for item in halves:
                places[item] += shift
            left = max(places[item] + half for item, half in halves.items()) + self.gaps.across
            # The link that is nearest to the gutter turns first, and last on the other side of it.
            found = sorted(crossing.get(cut, ()), reverse=True)
            for k, (_, number) in enumerate(found):
                below, above = (base + self.gaps.passing * place for place in (k, len(found) - 1 - k))
                self._ways[cut, number] = left + self.gaps.passing * k, below, above
            self._lanes[cut] = base + self.gaps.passing * len(found)
            left += self.gaps.passing * len(found) + self.gaps.across

    def lane(self, rank: int) -> float:
        """Return the room for turns after a layer that is the last one of its column, else 0."""
        return self._lanes.get(rank, 0.0)

    def around(self, rank: int, number: int, start: Point, end: Point) -> list[Point]:
        """Return the points of a link from the last layer of a column to the first of the next; none elsewhere."""
        way = self._ways.get((rank, number))
        if way is None:
            return []
        gutter, below, above = way
        points = turn(start, gutter, below)
        points += straight(points[-1], (end[0], gutter))
        return points + turn(points[-1], end[1], -above)


def _cuts(layers: Layers, starts: Sequence[float], stops: Sequence[float], gaps: Gaps) -> list[int]:
    """Return the layers after which a new column begins: none, unless what is long and slender gets a better shape."""
    whole = stops[-1]
    across = [
        sum(layers.items[item].across + (gaps.across if layers.items[item].across else gaps.passing) for item in row)
        for row in layers.rows
    ]
    if whole <= max(gaps.longest, SLENDER * max(across)):
        return []
    crossing = [sum(len(layers.below[item]) for item in row) for row in layers.rows]
    best, fairest = list[int](), log(whole / max(across))
    for count in range(2, MOST_COLUMNS + 1):
        cuts: list[int] = []
        for aim in (whole * k / count for k in range(1, count)):
            near = [
                rank
                for rank in range(cuts[-1] + 1 if cuts else 1, len(stops) - 2)
                if abs(stops[rank] - aim) < whole / count / 4 and crossing[rank] <= MOST_AROUND
            ]
            if near:
                cuts.append(min(near, key=lambda rank: (crossing[rank], abs(stops[rank] - aim))))
        if len(cuts) < count - 1:
            continue
        ends = list(pairwise([-1, *cuts, len(stops) - 1]))
        wide = sum(max(across[a + 1 : b + 1]) + 2 * gaps.across for a, b in ends)
        long = max(stops[b] - starts[a + 1] for a, b in ends) + 2 * gaps.along
        if abs(log(long / wide)) < fairest:
            best, fairest = cuts, abs(log(long / wide))
    return best
