"""The topological order of nodes that do not stand below their inputs in the file, and the cycles that forbid one.

NetworkX does it, which takes as long to import as everything else that the lesson needs: only such files pay for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import networkx as nx
import numpy as np


class CycleError(Exception):
    """The nodes have no order.

    Attributes:
        cycles: one cycle of each strongly connected part, starting from the node that stands first in the file.
    """

    def __init__(self, cycles: Sequence[list[int]]) -> None:
        super().__init__(cycles)
        self.cycles = cycles


def topological_order(first: int, inputs: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return the numbers of nodes in topological order, file order among those that are ready.

    Nodes are numbered from `first`, and what has a lower number is a leaf; raise CycleError where there is none.
    """
    try:
        return array("i", map(first.__add__, nx.lexicographical_topological_sort(OrderGraph(first, inputs))))
    except nx.NetworkXUnfeasible:
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_edges_from((source, node) for node, sources in enumerate(inputs, first) for source in sources)
        raise CycleError(list(_cycles(graph))) from None


class OrderGraph(nx.DiGraph):  # type: ignore[type-arg]
    """A graph as far as NetworkX's order reads it: the nodes that read each node, side by side in one array.

    The dictionaries of a DiGraph take most of the time and the memory of the order; a repeated input is two edges here.
    """

    def __init__(self, first: int, inputs: Sequence[Sequence[int]]) -> None:
        super().__init__()
        counts = np.fromiter(map(len, inputs), np.intc, len(inputs))
        sources = np.fromiter(chain.from_iterable(inputs), np.intc, counts.sum()) - np.intc(first)
        within = sources >= 0
        readers = np.repeat(np.arange(len(inputs), dtype=np.intc), counts)[within]
        sources = sources[within]
        # NetworkX makes two dictionaries of the nodes: the same objects are the keys of both.
        self._nodes = list(range(len(inputs)))
        self._degrees = _integers(np.bincount(readers, minlength=len(inputs)))
        self._readers = _integers(readers[np.argsort(sources, kind="stable")])
        self._ends = _integers(np.cumsum(np.bincount(sources, minlength=len(inputs))))

    def __iter__(self) -> Iterator[int]:
        return iter(self._nodes)

    def __contains__(self, node: object) -> bool:
        return True

    def in_degree(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        """Yield the nodes, and how many edges lead to each."""
        return zip(self._nodes, self._degrees, strict=True)

    def edges(self, node: int) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        """Yield the edges that leave a node."""
        return zip(repeat(node), self._readers[self._ends[node - 1] if node else 0 : self._ends[node]], strict=False)


def _integers(numbers: np.ndarray[Any, Any]) -> array[int]:
    """Return whole numbers in four bytes each, which are Python's where they are taken out."""
    return array("i", numbers.astype(np.intc).tobytes())


def _cycles(graph: nx.DiGraph[int]) -> Iterator[list[int]]:
    """Yield one cycle of each strongly connected part, starting from the node that stands first in the file."""
    for part in sorted(nx.strongly_connected_components(graph), key=min):
        start = min(part)
        if len(part) > 1 or graph.has_edge(start, start):
            cycle = [source for source, _ in nx.find_cycle(graph.subgraph(part), start)]
            first = cycle.index(min(cycle))
            yield cycle[first:] + cycle[:first]
