"""Building a plan: leaves get values, values get slots, equal nodes are gathered into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphrun.base.errors import ShapeError, UsageError
from graphrun.base.random import key_of
from graphrun.base.types import Array
from graphrun.declare.declaration import Noise, State
from graphrun.declare.initializers import draw
from graphrun.document.parameters import ANOTHER_NAME, FACTORS, Training
from graphrun.graph.graph import ComputationalGraph
from graphrun.plan.budget import Budget
from graphrun.plan.checks import check_derivatives, check_rule
from graphrun.plan.plan import Batch, Feed, NoisePlan, Plan, StatePlan
from graphrun.plan.shapes import Shapes, infer_shapes


def build_plan(
    graph: ComputationalGraph,
    dtype: np.dtype[Any] | None = None,
    seed: int = 0,
    feed: Feed | None = None,
) -> Plan:
    """Schedule a graph.

    Args:
        dtype: float64 or float32; default the graph file's.
        seed: what every random draw derives from.
        feed: the data set, which gives a step its rows.

    Raises:
        MemoryLimitError: a parameter or a node would take more than is left.
        ShapeError: shapes do not fit, or the objective is no scalar.
        PluginError: a node type's function raises or breaks its declaration.
    """
    dtype = np.dtype(graph.document.dtype) if dtype is None else dtype
    graph = _sized(graph, {} if feed is None else feed.widths)
    budget = Budget(graph, dtype)
    budget.check_parameters()
    values = _values(graph, seed)
    for number, column in zip(graph.data, feed.batch(0) if feed else (), strict=True):
        values[number] = column
    leaves = _leaves(graph, values, dtype)
    budget.held += sum(leaves[number].nbytes for number in graph.data)
    shapes = infer_shapes(graph, leaves, dtype, seed, budget)
    needed = _needed(graph)
    free = graph.free
    parameters = set(range(free))
    feeds = feed is not None and feed.feeds
    moving = _dependent(graph, parameters)
    changing = parameters.union(graph.engine_leaves, graph.data if feeds else ())
    varying = moving if changing == parameters else _dependent(graph, changing)
    check_derivatives(graph, needed, moving)
    check_rule(graph.update, leaves[:free])
    groups = _group(graph, shapes, needed, moving, varying)
    first = len(leaves)

    slots = list(range(first)) + [0] * len(graph.nodes)
    placed = [number for group in groups.values() for number in group]
    for slot, number in enumerate(placed, first):
        slots[number] = slot

    batches: list[Batch] = []
    operands: list[int] = []
    start = first
    for group in groups.values():
        number = group[0]
        node = graph.nodes[number - first]
        arity = len(node.inputs)
        batches.append(
            Batch(
                type=node.type,
                settings=node.settings,
                start=start,
                count=len(group),
                generation=graph.generations[number],
                operands=len(operands),
                arity=arity,
                shape=shapes.of[number],
                casts=shapes.casts(node, number),
                needed=needed[number],
                moving=moving[number],
                varying=varying[number],
            )
        )
        for position in range(arity):
            operands.extend([slots[graph.nodes[number - first].inputs[position]] for number in group])
        start += len(group)
    slots_of_inputs = np.array(operands, dtype=np.int32)
    slots_of_inputs.flags.writeable = False

    return Plan(
        names=graph.names[:first] + [graph.names[number] for number in placed],
        shapes=shapes.of[:first] + [shapes.of[number] for number in placed],
        dtype=dtype,
        parameters=free,
        frozen=len(graph.parameters) - free,
        factors=_factors(graph),
        leaves=leaves,
        bounds=[_bounds(parameter, dtype) for parameter in graph.parameters.values()][:free],
        batches=tuple(batches),
        operands=slots_of_inputs,
        objective=None if graph.objective is None else slots[graph.objective],
        maximize=graph.maximize,
        update=graph.update,
        data=graph.data,
        feeds=feeds,
        noise=tuple(_noise(graph, shapes, slots, seed)),
        states=tuple(_states(graph, slots, batches)),
        stated=None if graph.stated is None else (slots[graph.stated[0]], graph.stated[1]),
        seed=seed,
        initializers=graph.initializers,
    )


def _sized(graph: ComputationalGraph, widths: Mapping[str, int]) -> ComputationalGraph:
    """Return the graph with numbers in the shapes that name columns of the data."""
    sized = {}
    for name, entry in graph.parameters.items():
        named = [(axis, size) for axis, size in enumerate(entry.shape) if isinstance(size, str)]
        for axis, size in named:
            if size not in widths:
                at = graph.document.leaf_problems("parameters", name)
                message = f"{size!r} is one number a row: it has no number of categories, and none of columns"
                raise ShapeError(at.describe(("shape", axis), message))
        if named:
            sized[name] = entry._replace(shape=tuple(widths.get(size, size) for size in entry.shape))
    return replace(graph, parameters=graph.parameters | sized) if sized else graph


def _values(graph: ComputationalGraph, seed: int) -> list[Any]:
    """Return the leaves' values, those of parameters that are declared by shape drawn and brought within bounds."""
    values: list[Any] = list(graph.leaves)
    for number, (initializer, settings) in graph.initializers.items():
        name = graph.names[number] or ""
        entry = graph.parameters[name]
        if values[number] is not None:
            # It begins with what a checkpoint has.
            if np.shape(values[number]) != entry.shape:
                at = graph.document.leaf_problems("parameters", name)
                found = list(np.shape(values[number]))
                text = f"{name!r} has the shape {list(entry.shape)}, and {found} in the checkpoint"
                raise ShapeError(at.describe(("shape",), text, ANOTHER_NAME))
            continue
        try:
            drawn = draw(initializer, dict(settings), entry.shape, seed=seed, name=name)
        except ValueError as error:
            at = graph.document.leaf_problems("parameters", name)
            raise ShapeError(at.describe(("init",), str(error))) from None
        if entry.lower is not None or entry.upper is not None:
            lower = -np.inf if entry.lower is None else entry.lower
            drawn = np.clip(drawn, lower, np.inf if entry.upper is None else entry.upper)
        values[number] = drawn
    return values


def _leaves(graph: ComputationalGraph, values: list[Any], dtype: np.dtype[Any]) -> list[Any]:
    """Return the leaves as NumPy numbers and arrays; a column of whole numbers that only selects keeps its integers."""
    indices = _index_only(graph)
    return [
        None
        if value is None
        else np.asarray(value)[()]
        if number in indices
        else _leaf(value, dtype, graph.names[number])
        for number, value in enumerate(values)
    ]


def _index_only(graph: ComputationalGraph) -> set[int]:
    """Return the columns whose every use is as an index."""
    columns = set(graph.data)
    if not columns:
        return columns
    for node in graph.nodes:
        columns.difference_update(
            source for position, source in enumerate(node.inputs) if position not in node.type.index_inputs
        )
    return columns


def _noise(graph: ComputationalGraph, shapes: Shapes, slots: list[int], seed: int) -> Iterator[NoisePlan]:
    first = len(graph.leaves)
    for number, leaf in graph.engine_leaves.items():
        if leaf.kind is Noise:
            like = graph.nodes[leaf.node - first].inputs[0]
            key = key_of(seed, graph.names[number] or "")
            yield NoisePlan(slots[number], key, shapes.of[number], slots[like])


def _states(graph: ComputationalGraph, slots: list[int], batches: Sequence[Batch]) -> Iterator[StatePlan]:
    by_node: dict[int, list[int]] = {}
    for number, leaf in graph.engine_leaves.items():
        if leaf.kind is State:
            by_node.setdefault(slots[leaf.node], []).append(slots[number])
    for batch in batches:
        if batch.start in by_node:
            yield StatePlan(tuple(by_node[batch.start]), batch)


def _leaf(value: Any, dtype: np.dtype[Any], name: str | None = None) -> Array:
    """Make a number a NumPy scalar and a nested list an array."""
    with np.errstate(over="ignore"):
        leaf = np.asarray(value, dtype=dtype)[()]
    if dtype != np.float64 and not np.isfinite(leaf).all() and np.isfinite(np.asarray(value, dtype=float)).all():
        what = f"{name!r} has a number" if name else f"the number {value} is one"
        raise UsageError(f"{what} that is too large for {dtype}, whose largest is {np.finfo(dtype).max:.3g}")
    return leaf


def _bounds(parameter: Any, dtype: np.dtype[Any]) -> tuple[Array, Array] | None:
    if parameter.lower is None and parameter.upper is None:
        return None
    lower = -np.inf if parameter.lower is None else parameter.lower
    upper = np.inf if parameter.upper is None else parameter.upper
    return _leaf(lower, dtype), _leaf(upper, dtype)


def _factors(graph: ComputationalGraph) -> dict[int, dict[str, float]]:
    usual = Training()
    return {
        slot: {name: factor for name in FACTORS if (factor := getattr(entry.training, name)) != 1}
        for slot, entry in enumerate(graph.parameters.values())
        if entry.training != usual and not entry.training.frozen
    }


def _needed(graph: ComputationalGraph) -> list[bool]:
    """Return for each value whether the objective depends on it."""
    first = len(graph.leaves)
    needed = [False] * (first + len(graph.nodes))
    if graph.objective is not None:
        needed[graph.objective] = True
    for number in reversed(graph.order):
        if needed[number]:
            for source in graph.nodes[number - first].inputs:
                needed[source] = True
    return needed


def _dependent(graph: ComputationalGraph, leaves: set[int]) -> list[bool]:
    """Return for each value whether it depends on one of some leaves."""
    first = len(graph.leaves)
    dependent = [number in leaves for number in range(first)] + [False] * len(graph.nodes)
    for number in graph.order:
        for source in graph.nodes[number - first].inputs:
            if dependent[source]:
                dependent[number] = True
                break
    return dependent


def _group(
    graph: ComputationalGraph,
    shapes: Shapes,
    needed: list[bool],
    moving: list[bool],
    varying: list[bool],
) -> dict[Any, list[int]]:
    """Gather the numbers of equal nodes, generation by generation."""
    first, generations = len(graph.leaves), graph.generations
    # Sorted by generation, stably: a batch comes after everything that it reads, in the order of the file.
    by_generation = sorted(graph.order, key=generations.__getitem__)
    groups: dict[Any, list[int]] = {}
    kinds: dict[Any, int] = {}
    scalar = shapes.all_scalar
    for number in by_generation:
        node = graph.nodes[number - first]
        kind = node.type, node.settings, len(node.inputs), needed[number], moving[number], varying[number]
        # Only numbers are batched: an array is work enough for an operation of its own.
        alone = None if scalar or shapes.is_scalar(node, number) else number
        key = generations[number], kinds.setdefault(kind, len(kinds)), alone
        group = groups.get(key)
        if group is None:
            groups[key] = [number]
        else:
            group.append(number)
    return groups
