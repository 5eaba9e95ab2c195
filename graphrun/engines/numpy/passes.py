"""The two passes, and the two ways to hold what they run over: node by node, and batch by batch.

The forward pass computes every value from its inputs. The backward pass goes the other way: it starts with the
derivative 1 of the objective by itself, and each operation gives to each of its inputs its own gradient times its local
derivative by that input; what a value is given by all its uses adds up (the chain rule).

A gradient of exactly zero gives zero, whatever the local derivative is: the objective does not depend on that value,
so nothing leaks from the branch of a `where` that is not taken, be it infinite or not a number. That, and all else that
is not the chain rule, is in an operation's `pull`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphrun.base.memory import paused_collection
from graphrun.base.types import Array
from graphrun.declare.declaration import Function
from graphrun.declare.updaterule import side_by_side
from graphrun.engines.numpy.operation import Bound, Operation, bind
from graphrun.plan.plan import Batch, Plan


def forward(operations: Iterable[Operation], values: Any) -> None:
    """Compute the values of some operations, in order."""
    value_of = values.__getitem__
    for operation in operations:
        values[operation.output] = operation.function(*map(value_of, operation.inputs))


def backward(operations: Sequence[Operation], values: Any, objective: int, one: Array) -> dict[int, Array]:
    """Return the derivatives of the objective by all values that operations lead to from it, by slot."""
    gradients = {objective: one}
    for operation in reversed(operations):
        gradient = gradients.get(operation.output)
        if gradient is not None:
            for slot, part in operation.pull(gradient, values):
                gradients[slot] = gradients[slot] + part if slot in gradients else part
    return gradients


def backward_by_batch(operations: Sequence[Operation], values: Array, objective: int) -> Array:
    """Return the same as a vector, where values are a vector of numbers and an operation computes a whole batch."""
    gradients = np.zeros_like(values)
    gradients[objective] = 1
    for operation in reversed(operations):
        for slots, part in operation.pull(gradients[operation.output], values):
            if isinstance(slots, int):
                gradients[slots] += part
            else:
                # Unlike `gradients[slots] += ...`, it adds up what a value is given by several nodes of the batch.
                np.add.at(gradients, slots, part)
    return gradients


class NodePasses:
    """Node by node: values are a list of NumPy numbers and arrays. For small graphs, and for arrays."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def values(self) -> list[Any]:
        """Return the values by slot before a pass: those of the leaves, and None."""
        return [*self.plan.leaves, *[None] * self.plan.node_count]

    def put(self, values: list[Any], vector: Array) -> None:
        """Take the values of all parameters from a vector, in which they stand end to end."""
        shapes = self.plan.shapes[: self.plan.parameters]
        if not any(shapes):
            values[: len(vector)] = vector
            return
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        for slot, (part, shape) in enumerate(zip(np.split(vector, ends[:-1]), shapes, strict=True)):
            values[slot] = part.reshape(shape)[()]

    def operations(
        self, batches: Iterable[Batch], *, masked: bool = False, everywhere: bool = False
    ) -> list[Operation]:
        """Bind each node on its own; gradients are wanted of what a parameter moves, or `everywhere`."""
        moving, shapes = self.plan.moving.tolist(), self.plan.shapes
        bound: dict[Any, Bound] = {}
        operations = []
        with paused_collection():
            for batch, output, inputs in self.plan.nodes(batches):
                # Binding takes longer than all else, and most nodes of a graph are of a few kinds.
                kind = batch.type, batch.settings, batch.shape, *[shapes[slot] for slot in inputs]
                if kind not in bound:
                    bound[kind] = bind(self.plan, batch, masked=masked)
                operations.append(bound[kind].at(output, inputs, [everywhere or moving[slot] for slot in inputs]))
        return operations

    def backward(self, operations: Sequence[Operation], values: list[Any]) -> list[Array | None]:
        """Return the gradients by slot, None where none reaches one."""
        gradients = backward(operations, values, self.plan.objective or 0, self.plan.dtype.type(1))
        return list(map(gradients.get, range(len(values))))

    def targets(self) -> list[tuple[Any, tuple[Array, Array] | None]]:
        """Return what the update rule is called for: each parameter's slot and bounds."""
        return list(enumerate(self.plan.bounds))

    def rules(self) -> list[Function]:
        """Return the update rule of each target."""
        return [rule.function for rule in self.plan.rules]

    def by_target(self, arrays: Sequence[Array]) -> list[Array]:
        """Return for each target what is given for each parameter."""
        return [np.asarray(array, dtype=self.plan.dtype)[()] for array in arrays]

    def by_parameter(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """Return for each parameter what is given for each target."""
        return arrays


class BatchPasses:
    """Batch by batch: values are one vector of numbers, and equal nodes are one array operation. For large graphs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def values(self) -> Array:
        """Return the values by slot before a pass: those of the leaves, and 0."""
        values = np.zeros(len(self.plan.names), self.plan.dtype)
        values[: len(self.plan.leaves)] = self.plan.leaves
        return values

    def put(self, values: Array, vector: Array) -> None:
        """Take the values of all parameters from a vector."""
        values[: len(vector)] = vector

    def operations(
        self, batches: Iterable[Batch], *, masked: bool = False, everywhere: bool = False
    ) -> list[Operation]:
        """Bind each batch as a whole; an input is given gradients where a parameter moves it in any of the nodes."""
        operations = []
        for batch in batches:
            inputs: Sequence[Any] = list(self.plan.inputs(batch))
            wanted = [everywhere or bool(self.plan.moving[slots].any()) for slots in inputs]
            output: Any = slice(batch.start, batch.stop)
            if batch.count == 1:
                inputs, output = self.plan.inputs_of(batch.start), batch.start
            operations.append(bind(self.plan, batch, masked=masked).at(output, inputs, wanted))
        return operations

    def backward(self, operations: Sequence[Operation], values: Array) -> Array:
        """Return the gradients by slot, 0 where none reaches one."""
        return backward_by_batch(operations, values, self.plan.objective or 0)

    def targets(self) -> list[tuple[Any, tuple[Array, Array] | None]]:
        """Return what the update rule is called for: all parameters' slots and bounds at once."""
        return [(slice(0, self.plan.parameters), self.plan.limits if any(self.plan.bounds) else None)]

    def rules(self) -> list[Function]:
        """Return the update rule of the vector."""
        return [side_by_side(self.plan.groups)]

    def by_target(self, arrays: Sequence[Array]) -> list[Array]:
        """Return one vector of the parameters' numbers."""
        return [np.array(arrays, self.plan.dtype)]

    def by_parameter(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """Return the numbers of the vector."""
        return list(arrays[0])
