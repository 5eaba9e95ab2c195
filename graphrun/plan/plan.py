"""Graph → plan: an immutable schedule of integers, the one thing that engines read.

Every value has a slot: leaves first, then the nodes. Nodes of one type, settings and shapes within one topological
generation are a batch with neighbouring slots, so that an engine can run them as one array operation or one loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import PluginError, ShapeError, UsageError
from graphrun.base.random import key_of
from graphrun.base.types import Array as Array
from graphrun.declare.declaration import Noise, Settings, State
from graphrun.declare.initializers import draw
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.graph.graph import ComputationalGraph, Update
from graphrun.plan.shapes import Shape, Shapes, infer_shapes


class Feed(Protocol):
    """A data set, as an engine sees it."""

    feeds: bool
    """Whether steps are given different rows."""

    def batch(self, step: int) -> Sequence[NDArray[Any]]:
        """Return the columns of the rows that belong to a step; all steps' have the same shapes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Equal nodes that do not depend on each other.

    Attributes:
        start: the slot of the first node; the others follow.
        count: the number of nodes.
        operands: where in `Plan.operands` the slots of the inputs begin: all first inputs, then all second ones, ...
        arity: the number of inputs of each node.
        shape: the shape of each node's value.
        casts: the forward function gives another dtype than the graph's (a comparison), so its result is cast.
        needed: the objective depends on these nodes.
        moving: these nodes depend on a parameter.
        varying: their values change from step to step: they depend on a parameter, or on what each step is given.
    """

    type: NodeType
    settings: Settings
    start: int
    count: int
    operands: int
    arity: int
    shape: Shape
    casts: bool
    needed: bool
    moving: bool
    varying: bool

    @property
    def stop(self) -> int:
        """The slot after the last node's."""
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class NoisePlan:
    """Random numbers that a step is given.

    Attributes:
        slot: where they go.
        key: what they derive from, besides the step: the seed and the node's name.
        shape: how many are drawn, which is the shape of slot `like`.
    """

    slot: int
    key: int
    shape: Shape
    like: int


@dataclass(frozen=True, slots=True)
class StatePlan:
    """The states of one node, which a step updates: their slots, and the batch of the node."""

    slots: tuple[int, ...]
    batch: Batch


@dataclass(frozen=True)
class Plan:
    """What there is to compute, in order, in integers.

    Attributes:
        names: the name of each slot's value; None for a number literal.
        shapes: the shape of each slot's value.
        dtype: the dtype of every value.
        parameters: how many slots are parameters; they come first.
        leaves: the values of the leaves' slots.
        bounds: for each parameter its lower and upper bound, or None.
        batches: the batches in topological order.
        operands: the slots of all inputs, batch by batch.
        objective: the slot of the objective, or None; `maximize` says which way.
        update: what a step does with the parameters.
        data: the slots of the data set's columns, which each step is given anew where `feeds` is true.
        noise: the random numbers that each step is given.
        states: what the engine keeps from step to step for nodes.
    """

    names: Sequence[str | None]
    shapes: Sequence[Shape]
    dtype: np.dtype[Any]
    parameters: int
    leaves: Sequence[Array]
    bounds: Sequence[tuple[Array, Array] | None]
    batches: Sequence[Batch]
    operands: NDArray[np.int32]
    objective: int | None
    maximize: bool
    update: Update
    data: tuple[int, ...] = ()
    feeds: bool = False
    noise: tuple[NoisePlan, ...] = ()
    states: tuple[StatePlan, ...] = ()

    @property
    def rule(self) -> UpdateRule:
        """The update rule; a solver has a program of its own, which makes no plain steps."""
        assert isinstance(self.update.rule, UpdateRule)  # noqa: S101 (for the type checker)
        return self.update.rule

    @cached_property
    def slots(self) -> dict[str, int]:
        """The slot of each named value."""
        return {name: slot for slot, name in enumerate(self.names) if name is not None}

    @cached_property
    def in_loop(self) -> tuple[Batch, ...]:
        """The batches that every step computes: what changes, and the objective or what nodes keep depends on."""
        if self.objective is None:
            return ()
        kept = {node.batch.start for node in self.states if not node.batch.needed}
        reversed_batches = []
        for batch in reversed(self.batches):
            if batch.needed or (kept and not kept.isdisjoint(range(batch.start, batch.stop))):
                reversed_batches.append(batch)
                if not batch.needed:
                    kept.update(self.inputs(batch).ravel().tolist())
        return tuple(batch for batch in reversed(reversed_batches) if batch.varying)

    @cached_property
    def off_loop(self) -> tuple[Batch, ...]:
        """The batches that are computed where somebody looks: those that change, and that no step needs."""
        in_loop = {batch.start for batch in self.in_loop}
        return tuple(batch for batch in self.batches if batch.varying and batch.start not in in_loop)

    def evaluation(self) -> Plan:
        """Return the plan for rows that are only evaluated: what tells steps from evaluations is false there."""
        batches = []
        for batch in self.batches:
            training = batch.type.takes_training
            settings = tuple((name, False if name == training else value) for name, value in batch.settings)
            batches.append(replace(batch, settings=settings))
        return replace(self, batches=tuple(batches))

    def inputs(self, batch: Batch) -> NDArray[np.int32]:
        """Return the slots of a batch's inputs, shape (arity, count)."""
        stop = batch.operands + batch.arity * batch.count
        return self.operands[batch.operands : stop].reshape(batch.arity, batch.count)


def build_plan(
    graph: ComputationalGraph, dtype: np.dtype[Any] | None = None, seed: int = 0, feed: Feed | None = None
) -> Plan:
    """Schedule a graph.

    Args:
        graph: the graph.
        dtype: float64 or float32; default the graph file's.
        seed: what every random draw derives from.
        feed: the data set, which gives a step its rows.

    Raises:
        ShapeError: shapes do not fit, or the objective is no scalar.
        PluginError: a node type's function raises or breaks its declaration.
    """
    dtype = np.dtype(graph.document.dtype) if dtype is None else dtype
    values = _values(graph, seed)
    for number, column in zip(graph.data, feed.batch(0) if feed else (), strict=True):
        values[number] = column
    leaves = _leaves(graph, values, dtype)
    shapes = infer_shapes(graph, leaves, dtype, seed)
    generations = _generations(graph)
    needed = _needed(graph)
    parameters = set(range(len(graph.parameters)))
    feeds = feed is not None and feed.feeds
    moving = _dependent(graph, parameters)
    varying = _dependent(graph, parameters.union(graph.engine_leaves, graph.data if feeds else ()))
    _check_derivatives(graph, needed, moving)
    _check_rule(graph.update, leaves[: len(graph.parameters)])
    groups = _group(graph, shapes, generations, needed, moving, varying)
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

    return Plan(
        names=graph.names[:first] + [graph.names[number] for number in placed],
        shapes=shapes.of[:first] + [shapes.of[number] for number in placed],
        dtype=dtype,
        parameters=len(graph.parameters),
        leaves=leaves,
        bounds=[_bounds(parameter, dtype) for parameter in graph.parameters.values()],
        batches=tuple(batches),
        operands=_fixed(operands),
        objective=None if graph.objective is None else slots[graph.objective],
        maximize=graph.maximize,
        update=graph.update,
        data=graph.data,
        feeds=feeds,
        noise=tuple(_noise(graph, shapes, slots, seed)),
        states=tuple(_states(graph, slots, batches)),
    )


def _fixed(slots: list[int]) -> NDArray[np.int32]:
    """Return slots as an array that nobody can write to."""
    array = np.array(slots, dtype=np.int32)
    array.flags.writeable = False
    return array


def _values(graph: ComputationalGraph, seed: int) -> list[Any]:
    """Return the leaves' values, those of parameters that are declared by shape drawn and brought within bounds."""
    values: list[Any] = list(graph.leaves)
    for number, (initializer, settings) in graph.initializers.items():
        name = graph.names[number] or ""
        entry = graph.parameters[name]
        try:
            drawn = draw(initializer, dict(settings), entry.shape, seed=seed, name=name)
        except ValueError as error:
            at = graph.document.leaf_problems("parameters", name)
            raise ShapeError(at.describe(("init",), str(error))) from None
        lower = -np.inf if entry.lower is None else entry.lower
        values[number] = np.clip(drawn, lower, np.inf if entry.upper is None else entry.upper)
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


def _generations(graph: ComputationalGraph) -> list[int]:
    """Return for each value the length of the longest path that leads to it from a leaf."""
    first = len(graph.leaves)
    generations = [0] * (first + len(graph.nodes))
    for number in graph.order:
        inputs = graph.nodes[number - first].inputs
        generations[number] = 1 + max([generations[source] for source in inputs], default=0)
    return generations


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


def _check_derivatives(graph: ComputationalGraph, needed: list[bool], moving: list[bool]) -> None:
    """Refuse a type without a derivative between a parameter and the objective."""
    for number, node in enumerate(graph.nodes, len(graph.leaves)):
        if node.type.derivative is None and needed[number] and moving[number]:
            name = graph.names[number] or ""
            graph.document.problems.add(
                ("nodes", name, "type"),
                f"the objective needs a derivative of {name!r}, and its type {node.type.name} declares none",
                suggestion=f"declare it with @{node.type.name}.{node.type.derivative_decorator} in {node.type.file}",
            )
    graph.document.problems.raise_if_any()


def _check_rule(update: Update, parameters: Sequence[Array]) -> None:
    """Try the update rule once on a parameter of each shape, with a gradient of zero."""
    rule, settings = update.rule, update.settings
    if not isinstance(rule, UpdateRule):
        return
    for value in {np.shape(value): value for value in parameters}.values():
        zero = np.zeros_like(value)[()]
        step = (1,) if rule.takes_step else ()
        given = tuple(zero for _ in rule.state)
        try:
            with np.errstate(all="ignore"):
                result = rule.function(np, value, zero, *step, *given, **dict(settings))
        except (Exception, SystemExit) as error:
            raise _broken_rule(rule, f"it raises {type(error).__name__}: {error}") from error
        results = result if rule.state else (result,)
        if not isinstance(results, tuple) or len(results) != 1 + len(rule.state):
            what = "a tuple of the value and the states " + ", ".join(rule.state)
            raise _broken_rule(rule, f"it gives {type(result).__name__}, not {what}")
        for part in results:
            if np.asarray(part).dtype.kind not in "fiu" or np.shape(part) != np.shape(value):
                given_shape = f"{type(part).__name__} of shape {np.shape(part)}"
                raise _broken_rule(rule, f"for a value of shape {np.shape(value)} it gives a {given_shape}")


def _broken_rule(rule: UpdateRule, reason: str) -> PluginError:
    return PluginError(f"the update rule {rule.name} ({rule.file}): {reason}")


def _group(
    graph: ComputationalGraph,
    shapes: Shapes,
    generations: list[int],
    needed: list[bool],
    moving: list[bool],
    varying: list[bool],
) -> dict[Any, list[int]]:
    """Gather the numbers of equal nodes, generation by generation."""
    first = len(graph.leaves)
    # Sorted by generation, stably: a batch comes after everything that it reads, in the order of the file.
    by_generation = sorted(graph.order, key=generations.__getitem__)
    groups: dict[Any, list[int]] = {}
    scalar = shapes.all_scalar
    for number in by_generation:
        node = graph.nodes[number - first]
        key = (
            generations[number],
            node.type,
            node.settings,
            len(node.inputs),
            needed[number],
            moving[number],
            varying[number],
            # Only numbers are batched: an array is work enough for an operation of its own.
            None if scalar or shapes.is_scalar(node, number) else number,
        )
        group = groups.get(key)
        if group is None:
            groups[key] = [number]
        else:
            group.append(number)
    return groups
