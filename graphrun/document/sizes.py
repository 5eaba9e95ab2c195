"""How large a graph becomes when its subgraphs are expanded, counted before anything is made."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from graphrun.base.memory import MORE_MEMORY, allowed_memory
from graphrun.document.anchors import DEEPEST, MOST_VALUES, Anchors
from graphrun.document.nodes import NodeEntry
from graphrun.document.references import Reference, references, substitute
from graphrun.document.subgraphs import Instance, Subgraph, listed

MOST_NODES = 1_000_000
"""What 2 GiB hold, of nodes that each wait for the one before, with the program of NumPy's engine."""

BYTES_A_NODE = 2200

# The count itself is kept short: so deep may subgraphs stand in each other, and so many different uses may there be.
DEEPEST_NESTING = 64
MOST_USES = 1_000_000


class TooLargeError(Exception):
    """More than there may be of something."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


class Size(NamedTuple):
    """The nodes and the leaves that an instance stands for, and how deep subgraphs stand in each other in it."""

    nodes: int
    leaves: int
    depth: int


class Sizes:
    """Adds up the sizes of instances; equal uses of a subgraph are counted once.

    Attributes:
        nodes, leaves: what there is so far.
    """

    def __init__(self, subgraphs: dict[str, Subgraph], nodes: int) -> None:
        self.subgraphs = subgraphs
        self.nodes = nodes
        self.leaves = 0
        self.uses = 0
        self.known: dict[Any, Size] = {}
        self.instances: dict[str, list[NodeEntry]] = {}
        self.structural: dict[str, set[str]] = {}

    def add(self, instance: Instance) -> None:
        """Add an instance of the file itself; raise TooLargeError when that is too much."""
        size = self.size(instance, (instance.subgraph.name,))
        # The node that uses the subgraph is counted already.
        self.nodes += size.nodes - 1
        self.leaves += size.leaves
        _check(self.nodes, self.leaves)

    def size(self, instance: Instance, chain: tuple[str, ...]) -> Size:
        """Return the size of an instance; `chain` leads to it from the file, by subgraphs."""
        one = self._one_copy(instance, chain)
        nodes = (one.nodes + len(instance.over) + len(instance.collect)) * instance.repeat
        leaves = one.leaves * (1 if instance.share else instance.repeat)
        _check(nodes, leaves)
        return Size(nodes, leaves, one.depth)

    def _one_copy(self, instance: Instance, chain: tuple[str, ...]) -> Size:
        subgraph, settings = instance.subgraph, instance.settings
        key = subgraph.name, *(_structure(settings.get(name)) for name in sorted(self._structural(subgraph)))
        known = self.known.get(key)
        depth = 0
        if known is None:
            nested = self._nested(subgraph)
            nodes = len(subgraph.nodes) - len(nested) + (subgraph.output not in subgraph.nodes)
            leaves = len(subgraph.parameters) + len(subgraph.constants)
            if len(chain) > DEEPEST_NESTING:
                raise _too_deep(chain)
            for entry in nested:
                self.uses += 1
                if self.uses > MOST_USES:
                    raise TooLargeError(f"subgraphs are used in more than {MOST_USES:,} different ways")
                inner = self._instance(entry, settings)
                if inner is None:
                    nodes += 1
                    continue
                size = self.size(inner, (*chain, inner.subgraph.name))
                nodes, leaves, depth = nodes + size.nodes, leaves + size.leaves, max(depth, size.depth)
                _check(nodes, leaves)
            known = self.known[key] = Size(nodes, leaves, depth + 1)
        if len(chain) + known.depth - 1 > DEEPEST_NESTING:
            raise _too_deep(chain)
        return known

    def _instance(self, entry: NodeEntry, settings: dict[str, Any]) -> Instance | None:
        """Return the instance that a node of a definition is; what is wrong with it is told when it is expanded."""
        kind = substitute(entry.type, settings)
        if not isinstance(kind, str) or kind not in self.subgraphs:
            return None
        given = substitute(entry.settings or {}, settings)
        repeat, share = given.pop("repeat", 1), given.pop("share", False)
        over, collect = (listed(given.pop(key, ())) or () for key in ("over", "collect"))
        subgraph = self.subgraphs[kind]
        for name, default in subgraph.settings.items():
            if given.get(name) is None:
                given[name] = substitute(default, given)
        check_extent(given)
        whole = isinstance(repeat, int) or (isinstance(repeat, float) and repeat.is_integer())
        return Instance(subgraph, given, int(repeat) if whole and repeat > 0 else 1, share is True, over, collect)

    def _nested(self, subgraph: Subgraph) -> list[NodeEntry]:
        """Return the nodes of a definition that are instances, or may be."""
        name, nodes = subgraph.name, subgraph.nodes.values()
        if name not in self.instances:
            self.instances[name] = [e for e in nodes if isinstance(e.type, Reference) or e.type in self.subgraphs]
        return self.instances[name]

    def _structural(self, subgraph: Subgraph) -> set[str]:
        """Return the settings of a definition on which its size can depend."""
        if subgraph.name not in self.structural:
            self.structural[subgraph.name] = set()
            self.structural[subgraph.name] = set(self._size_settings(subgraph))
        return self.structural[subgraph.name]

    def _size_settings(self, subgraph: Subgraph) -> Iterator[str]:
        for entry in self._nested(subgraph):
            if isinstance(entry.type, Reference):
                yield from (name for name, _ in references((entry.type, entry.settings)))
                continue
            inner = self._structural(self.subgraphs[entry.type])
            for key, value in (entry.settings or {}).items():
                if key in inner or key in ("repeat", "share"):
                    yield from (name for name, _ in references(value))


def check_extent(value: Any) -> None:
    """Raise TooLargeError for a value that settings, put into each other, have multiplied."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if any(part.__class__ is list or part.__class__ is dict for part in parts):
        extent = Anchors().extent(value)
        if extent.values > MOST_VALUES:
            raise TooLargeError(f"the settings multiply this to more than {MOST_VALUES:,} values")
        if extent.depth > DEEPEST:
            raise TooLargeError(f"with the settings, lists and mappings are nested deeper than {DEEPEST} levels")


def _structure(value: Any) -> Any:
    """Return what counts of a setting's value: names of types and numbers of copies; all else makes no difference."""
    if isinstance(value, bool | str):
        return value.__class__, value
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return None


def most_nodes() -> int:
    """Return how many nodes there may be: more where the user allows more memory."""
    return max(MOST_NODES, min((allowed_memory() or 0) // BYTES_A_NODE, 10 * MOST_NODES))


def _check(nodes: int, leaves: int) -> None:
    for count, what in ((nodes, "nodes"), (leaves, "parameters and constants")):
        if count > MOST_NODES and count > most_nodes():
            shown = f"{count:,}" if count < 10**18 else f"more than {most_nodes():,}"
            raise TooLargeError(
                f"the graph would have {shown} {what}: at most {most_nodes():,} are possible",
                MORE_MEMORY,
            )


def _too_deep(chain: tuple[str, ...]) -> TooLargeError:
    shown = " → ".join(chain[:6])
    return TooLargeError(f"subgraphs are nested deeper than {DEEPEST_NESTING} levels: {shown} → ...")
