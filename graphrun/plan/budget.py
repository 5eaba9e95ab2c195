"""What a graph may take: estimated from shapes before anything of a size is made, and refused with the node."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphrun.base.errors import MemoryLimitError
from graphrun.base.memory import MORE_MEMORY, memory_limit, size_text
from graphrun.declare.updaterule import UpdateRule
from graphrun.graph.graph import ComputationalGraph, Node
from graphrun.plan.hollow import HollowNamespace, Meter, TooMuchError

MOST_OPERATIONS = 10**11
"""What an einsum may take at once: NumPy makes a thousand million of its operations in a second or more."""

# No function of a node holds so many arrays of the size of its largest at once. So nothing has to be tried where sizes
# and settings, all multiplied, times this are within half of the limit.
MOST_ARRAYS = 64

# What a drawn parameter takes while it is drawn, in float64: the draw, its scaling, what is within bounds.
DRAWN = 3


class Budget:
    """Counts what the parts of a graph would hold, and refuses what would be more than the limit.

    Args:
        graph: the graph.
        dtype: its dtype.
    """

    def __init__(self, graph: ComputationalGraph, dtype: np.dtype[Any]) -> None:
        self.graph = graph
        self.dtype = dtype
        self.limit = memory_limit()
        self.little = self.limit // 2 // (MOST_ARRAYS * dtype.itemsize)
        self.held = 0
        # Of each value of a step there is the gradient too.
        self.copies = 1 if graph.objective is None else 2
        self.known: set[Any] = set()

    def hold(self, elements: int) -> None:
        """Count a value that stays."""
        self.held += elements * self.copies * self.dtype.itemsize

    def check_parameters(self) -> None:
        """Refuse parameters that are too large to be drawn, with their gradients and the update rule's states."""
        rule = self.graph.update.rule
        states = len(rule.state) if isinstance(rule, UpdateRule) else 0
        for number, (name, entry) in enumerate(self.graph.parameters.items()):
            if number not in self.graph.initializers:
                continue
            elements = math.prod(entry.shape)
            need = self.held + elements * DRAWN * 8
            self.held += elements * (1 if entry.training.frozen else self.copies + states) * self.dtype.itemsize
            if max(need, self.held) > self.limit:
                at = self.graph.document.leaf_problems("parameters", name)
                what = f"the parameter {name!r} of the shape {list(entry.shape)}"
                text = f"{what} {self._brings_to(max(need, self.held))}"
                raise MemoryLimitError(at.describe(("shape",), text, MORE_MEMORY))

    def check_node(self, number: int, node: Node, inputs: list[Any]) -> None:
        """Refuse a node whose value, or what is made on the way to it and to its derivatives, would be too large."""
        shapes = tuple([np.shape(value) for value in inputs])
        if node.type.is_elementwise:
            try:
                elements = math.prod(np.broadcast_shapes(*shapes))
            except ValueError:
                return
            # The value, a derivative for each input, and one more on the way.
            need = elements * (len(inputs) + 2) * self.dtype.itemsize
            if self.held + need > self.limit:
                raise self._refusal(number, node, self._brings_to(self.held + need))
            return
        if self.held <= self.limit // 2 and _bound(shapes, node.settings, self.little) <= self.little:
            return
        key = node.type, node.settings, shapes
        if key in self.known and self.held < self.limit // 2:
            return
        self.known.add(key)
        meter = Meter(max(self.limit - self.held, 0), MOST_OPERATIONS)
        try:
            _try(node, inputs, meter, self.dtype)
        except TooMuchError as error:
            raise self._refusal(number, node, self._too_much(error)) from None
        except (Exception, SystemExit):  # noqa: S110 (what it is, the functions show on the values themselves)
            pass

    def _too_much(self, error: TooMuchError) -> str:
        return f"takes {error}" if error.size is None else self._brings_to(self.held + error.size)

    def _brings_to(self, size: float) -> str:
        return f"brings what the graph takes to {size_text(size)} of memory; the limit is {size_text(self.limit)}"

    def _refusal(self, number: int, node: Node, what: str) -> MemoryLimitError:
        name = str(self.graph.names[number])
        entry, document = self.graph.document.nodes.get(name), self.graph.document
        # What a robust loss makes of the residuals stands in the file as the solver's settings.
        at = document.problems.at(("update",)) if entry is None else entry.problems(name, document.problems)
        hint = MORE_MEMORY if "memory" in what else "write it as several nodes, of two arrays each"
        return MemoryLimitError(at.describe((), f"node {name!r} of type {node.type.name} {what}", hint))


def _bound(shapes: tuple[tuple[int, ...], ...], settings: Any, enough: int) -> int:
    """Return a number that no array of a node has more elements than: sizes and whole numbers multiplied.

    Where it is more than `enough`, it is not multiplied further.
    """
    bound = math.prod(max(math.prod(shape), 1) for shape in shapes)
    pending = [value for _, value in settings]
    while pending and bound <= enough:
        value = pending.pop()
        if isinstance(value, tuple):
            pending.extend(value)
        elif isinstance(value, int):
            bound *= abs(value) + 2
    return bound


def _try(node: Node, inputs: list[Any], meter: Meter, dtype: np.dtype[Any]) -> None:
    """Run a node's two functions on arrays without elements."""
    xp, settings = HollowNamespace(meter), dict(node.settings)
    # The inputs are there already.
    hollow = [meter.array(np.shape(value), getattr(value, "dtype", dtype), counted=False) for value in inputs]
    output = node.type.function(xp, *hollow, **settings)
    if node.type.derivative is not None:
        gradient = meter.array(np.shape(output), dtype)
        parts = node.type.derivative(xp, gradient, output, *hollow, **settings)
        for part in parts:
            if callable(part):
                part()
