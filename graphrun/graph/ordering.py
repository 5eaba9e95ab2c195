"""The topological order of nodes that do not stand below their inputs in the file, and the cycles that forbid one.

NetworkX does it, which takes as long to import as everything else that the lesson needs: only such files pay for it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import networkx as nx


class CycleError(Exception):
    """The nodes have no order.

    Attributes:
        cycles: one cycle of each strongly connected part, starting from the node that stands first in the file.
    """

    def __init__(self, cycles: Sequence[list[int]]) -> None:
        super().__init__(cycles)
        self.cycles = cycles


def topological_order(first: int, inputs: Sequence[Sequence[int]]) -> list[int]:
    """Return the numbers of nodes in topological order, file order among those that are ready.

    Nodes are numbered from `first`, and what has a lower number is a leaf; raise CycleError where there is none.
    """
    graph = OrderGraph()
    graph.add_nodes_from(range(first, first + len(inputs)))
    graph.add_edges_from(
        (source, number) for number, sources in enumerate(inputs, first) for source in sources if source >= first
    )
    try:
        return list(nx.lexicographical_topological_sort(graph))
    except nx.NetworkXUnfeasible:
        raise CycleError(list(_cycles(graph))) from None


class OrderGraph(nx.DiGraph):  # type: ignore[type-arg]
    """A DiGraph whose edges share one empty attribute dictionary: two thirds of the memory of a large graph."""

    _no_attributes: dict[str, Any] = {}  # noqa: RUF012 (shared on purpose)

    def edge_attr_dict_factory(self) -> dict[str, Any]:
        """Return the one dictionary."""
        return self._no_attributes

    node_attr_dict_factory = edge_attr_dict_factory


def _cycles(graph: OrderGraph) -> Iterator[list[int]]:
    """Yield one cycle of each strongly connected part, starting from the node that stands first in the file."""
    for part in sorted(nx.strongly_connected_components(graph), key=min):
        start = min(part)
        if len(part) > 1 or graph.has_edge(start, start):
            cycle = [source for source, _ in nx.find_cycle(graph.subgraph(part), start)]
            first = cycle.index(min(cycle))
            yield cycle[first:] + cycle[:first]
