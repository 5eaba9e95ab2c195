"""``derivative(y, x)`` in a graph file → the nodes that compute it, written when the file is loaded.

Shapes are known in the plan only: the graph is planned with the type `derivative` in their place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from itertools import count

import numpy as np
from numpy.typing import NDArray

from graphrun.data.rows import DataSource
from graphrun.document import Document, NodeEntry
from graphrun.document.nodes import read_nodes
from graphrun.engines.backward_nodes import BackwardNodes
from graphrun.engines.traced import NotSupportedError
from graphrun.graph.build import build_graph
from graphrun.nodes.calculus import derivative
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Plan
from graphrun.plugins.registry import Registry

MOST_NODES = 3000
"""So many expressions a derivative takes at most: what is differentiated again and again grows threefold each time."""


def write_derivatives(document: Document, registry: Registry, source: DataSource) -> None:
    """Put nodes in place of all derivatives, innermost first.

    Raises:
        GraphFileError: the file has problems; all of them are in the text.
        ShapeError: shapes do not fit.
    """
    seed = document.seed or 0
    while any(entry.type == derivative.name for entry in document.nodes.values()):
        graph = build_graph(document, registry, source.names)
        # Which columns are read may change, and a source is opened for those that are.
        plan = build_plan(graph, np.dtype(np.float64), seed, DataSource(document, source.file).open(seed))
        made = _made(document, plan)
        document.problems.raise_if_any()
        nodes: dict[str, NodeEntry] = {}
        for name, entry in document.nodes.items():
            nodes |= made.get(name) or {name: entry}
        document.nodes = nodes


def _made(document: Document, plan: Plan) -> dict[str, dict[str, NodeEntry]]:
    """Return the nodes that take the place of derivatives of what does not depend on another, by their names."""
    slots = {name: slot for slot, name in enumerate(plan.names) if name}
    asked = {name: entry for name, entry in document.nodes.items() if entry.type == derivative.name}
    unwritten = sorted(slots[name] for name in asked)
    targets: dict[int, dict[str, int]] = {}
    for name, entry in asked.items():
        y, x = plan.inputs_of(slots[name])
        if plan.names[x] is None:
            at = entry.problems(name, document.problems)
            hint = "give the number a name, under 'constants'"
            at.add(("inputs", 1), "a derivative is by a value with a name, not by a number", suggestion=hint)
        elif not _dependent(plan, [x], y)[unwritten[: bisect_right(unwritten, y)]].any():
            # No derivative lies between x and y that is to be written; one further in never waits for one further out.
            targets.setdefault(y, {})[name] = x
    writer = BackwardNodes(plan, {*slots, *document.broken} - asked.keys())
    made: dict[str, dict[str, NodeEntry]] = {}
    for y, by in targets.items():
        first = next(iter(by))
        at = asked[first].problems(first, document.problems)
        try:
            _write(writer, y, by)
        except NotSupportedError as error:
            at.add((), f"the derivative of {plan.names[y]!r} cannot be written as nodes: {error}")
            continue
        if len(writer.nodes) > MOST_NODES:
            at.add((), f"the derivative of {plan.names[y]!r} takes more than {MOST_NODES:,} nodes")
            continue
        for name in reversed(by):
            # All that is no derivative itself stands before the first.
            entries: dict[str, NodeEntry] = {}
            for own in [own for own in writer.nodes if name == first or own == name]:
                entries |= _read(own, writer.nodes.pop(own), document)
            if name in writer.constants:
                entries[name] = NodeEntry("identity", (writer.constants.pop(name),))
            origin, use = asked[name].problems(name, document.problems).as_a_whole(), asked[name].use
            made[name] = {own: entry._replace(origin=origin, use=use) for own, entry in entries.items()}
    document.constants |= writer.constants
    return made


def _read(name: str, text: str, document: Document) -> dict[str, NodeEntry]:
    """Return the nodes of an expression, numbered after those of the expression that the derivative stood in."""
    # Under a name that none can have, for the text may name parts of that expression.
    passing = f"{name}."
    read = read_nodes({passing: text}, document.problems, document.broken)
    free = (own for own in (f"{name}.{number}" for number in count(1)) if own not in document.nodes)
    names = {own: name if own == passing else next(free) for own in read}
    return {
        names[own]: entry._replace(
            inputs=tuple([names.get(source, source) if type(source) is str else source for source in entry.inputs])
        )
        for own, entry in read.items()
    }


def _write(writer: BackwardNodes, y: int, by: dict[str, int]) -> None:
    """Write the derivatives of one value, all that are asked for in one pass."""
    plan = writer.plan
    owners = {slot: name for name, slot in reversed(by.items())}
    first = next(iter(by))
    given = writer.differentiate(
        y,
        _dependent(plan, owners, y),
        lambda slot: owners.get(slot) or f"{first}.{writer.called(y, slot)}",
        results=owners,
        parts=f"{first}.part_",
        rows=bool(plan.data),
    )
    for name, slot in by.items():
        if name != owners[slot]:
            writer.nodes[name] = owners[slot]
        elif slot not in given:
            writer.write([(name, writer.zero(slot, rows=bool(plan.data)))])


def _dependent(plan: Plan, slots: Collection[int], last: int) -> NDArray[np.bool_]:
    """Return for each slot up to a last one whether its value depends on one of some values, or is one."""
    dependent = np.zeros(len(plan.names), bool)
    dependent[list(slots)] = True
    first = min(slots)
    for batch in plan.batches:
        if first < batch.stop and batch.start <= last:
            dependent[batch.start : batch.stop] |= dependent[plan.inputs(batch)].any(axis=0)
    return dependent
