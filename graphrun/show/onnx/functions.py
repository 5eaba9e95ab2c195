"""Instances of subgraphs as calls of functions: equal ones of one function, which a model keeps beside its graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import networkx as nx

from graphrun.document import Document
from graphrun.show.onnx import load_onnx
from graphrun.show.onnx.operators import OPSET

DOMAIN = "graphrun"


def with_functions(
    document: Document, nodes: Sequence[tuple[Any, str]], outputs: Sequence[str]
) -> tuple[list[Any], list[Any]]:
    """Return a model's nodes with a call for each instance of a subgraph, and the functions that are called.

    Args:
        document: the graph file, which knows its instances.
        nodes: the nodes, each with the name of the graph's node that it is of.
        outputs: what the model gives.
    """
    calls: dict[tuple[str, str], _Instance] = {}
    places: dict[str, _Instance] = {}
    for prefix, output, kind in _copies(document):
        found = calls[prefix, output] = _Instance(kind, prefix, output)
        places[output] = found
    by_node: list[tuple[Any, _Instance | None]] = []
    for node, owner in nodes:
        inside = places.get(owner) or next((c for c in calls.values() if owner.startswith(f"{c.prefix}.")), None)
        if inside is not None:
            inside.nodes.append(node)
        by_node.append((node, inside))
    readers: dict[str, list[_Instance | None]] = {name: [None] for name in outputs}
    for node, inside in by_node:
        for name in node.input:
            readers.setdefault(name, []).append(inside)
    functions: dict[Any, Any] = {}
    made: list[Any] = []
    done: set[int] = set()
    for node, inside in by_node:
        if inside is None:
            made.append(node)
        elif id(inside) not in done:
            done.add(id(inside))
            made.append(inside.call(readers, functions))
    ordered = _in_order(made)
    if ordered is None:
        return [node for node, _ in nodes], []
    return ordered, list(functions.values())


def _copies(document: Document) -> Iterator[tuple[str, str, str]]:
    """Yield for each copy of a subgraph what the names inside begin with, the name of its value, and the subgraph."""
    for name, entry in document.instances.items():
        settings = entry.settings or {}
        repeat = int(settings.get("repeat", 1))
        is_numbered = repeat > 1 or settings.get("over") or settings.get("collect")
        if not is_numbered:
            yield name, name, entry.type
        for number in range(1, repeat + 1) if is_numbered else ():
            yield f"{name}.{number}", name if number == repeat else f"{name}.{number}", entry.type


class _Instance:
    """The nodes of one instance."""

    def __init__(self, kind: str, prefix: str, output: str) -> None:
        self.kind, self.prefix, self.output = kind, prefix, output
        self.nodes: list[Any] = []

    def call(self, readers: Any, functions: dict[Any, Any]) -> Any:
        """Return a call of a function that computes these nodes; it is made where no equal one is there."""
        onnx = load_onnx()
        own = [name for node in self.nodes for name in node.output]
        given = list(dict.fromkeys(name for node in self.nodes for name in node.input if name and name not in own))
        results = [name for name in own if any(reader is not self for reader in readers.get(name, ()))]
        inner = {name: self._inner(name) for name in (*own, *given)}
        if len(set(inner.values())) < len(inner):
            inner = {name: f"v{k}" for k, name in enumerate(inner)}
        others = [name for name in given if not name.startswith(f"{self.prefix}.")]
        inner |= {name: f"input{k or ''}" for k, name in enumerate(others)}
        body = []
        for node in self.nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            del copy.input[:], copy.output[:]
            copy.input.extend(inner.get(name, "") for name in node.input)
            copy.output.extend(inner[name] for name in node.output)
            copy.name = copy.output[-1]
            body.append(copy)
        texts = tuple(node.SerializeToString(deterministic=True) for node in body)
        key = self.kind, texts, tuple(inner[name] for name in (*given, *results))
        if key not in functions:
            same = sum(other[0] == self.kind for other in functions)
            functions[key] = onnx.helper.make_function(
                DOMAIN,
                f"{self.kind}_{same + 1}" if same else self.kind,
                [inner[name] for name in given],
                [inner[name] for name in results],
                body,
                [onnx.helper.make_opsetid("", OPSET)],
            )
        return onnx.helper.make_node(functions[key].name, given, results, self.output, domain=DOMAIN)

    def _inner(self, name: str) -> str:
        """Return the name of a value within the function."""
        if name == self.output:
            return "output"
        for beginning in (f"{self.prefix}.", f"{self.output}/"):
            if name.startswith(beginning):
                return name.removeprefix(beginning)
        return name


def _in_order(nodes: Sequence[Any]) -> list[Any] | None:
    """Return nodes with each after what it reads; None where they read each other."""
    makers = {name: k for k, node in enumerate(nodes) for name in node.output}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(nodes)))
    graph.add_edges_from((makers[name], k) for k, node in enumerate(nodes) for name in node.input if name in makers)
    try:
        return [nodes[k] for k in nx.lexicographical_topological_sort(graph)]
    except nx.NetworkXUnfeasible:
        return None
