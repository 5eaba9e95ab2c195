"""The derivatives of a whole node by all parameters, from the local derivatives of the nodes on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphrun.base.types import Array
from graphrun.declare.solver import Vector
from graphrun.engines.numpy import NodeProgram, Operation

CALL = 1000
"""What a call of NumPy costs, counted in elements that it could have worked on meanwhile (about 1 us)."""


class Jacobian:
    """The Jacobian of one node by all parameters, at the values of the last forward pass.

    Forwards, each node's derivatives by all parameters are made of those of its inputs; a node of a tensor type, whose
    vjp goes backwards only, asks it for one row after another. Backwards, one pass is made for each row of the result.
    The way that does less is taken.

    Args:
        program: the program whose values it is taken at.
        slot: the node.
    """

    def __init__(self, program: NodeProgram, slot: int) -> None:
        self.program = program
        self.slot = slot
        shapes = program.plan.shapes
        self.sizes = [math.prod(shapes[k]) for k in range(program.plan.parameters)]
        self.columns = sum(self.sizes)
        self.rows = math.prod(shapes[slot])
        self.operations = self._leading_to(slot)

    def __call__(self) -> Vector:
        """Return the Jacobian: a row an element of the node, a column an element of a parameter."""
        with np.errstate(all="ignore"):
            matrix = self._forwards() if self.goes_forwards else self._backwards()
        return np.asarray(matrix, dtype=np.float64)

    @property
    def goes_forwards(self) -> bool:
        """Whether going forwards does less work."""
        shapes = self.program.plan.shapes
        forwards = backwards = 0
        for operation in self.operations:
            size = math.prod(shapes[operation.output])
            inputs = sum(math.prod(shapes[slot]) for _, slot, _ in operation.wanted)
            backwards += self.rows * (size + inputs + CALL)
            if operation.elementwise:
                forwards += self.columns * size * len(operation.wanted) + CALL
            else:
                forwards += size * (size + inputs * (1 + self.columns) + CALL)
        return forwards <= backwards

    def _leading_to(self, slot: int) -> list[Operation]:
        """Return the operations between the parameters and a node."""
        wanted: set[int] = {slot}
        found: list[Operation] = []
        for operation in reversed(self.program.operations):
            if operation.output in wanted and operation.wanted:
                found.append(operation)
                wanted.update(source for _, source, _ in operation.wanted)
        found.reverse()
        return found

    def _forwards(self) -> Array:
        program, columns = self.program, self.columns
        shapes, dtype = program.plan.shapes, program.plan.dtype
        values = program.values(range(len(shapes)))
        tangents: dict[int, Array] = {}
        first = 0
        for slot, size in enumerate(self.sizes):
            tangent = np.zeros((columns, size), dtype)
            tangent[first : first + size] = np.eye(size)
            tangents[slot] = tangent.reshape(columns, *shapes[slot])
            first += size
        for operation in self.operations:
            arguments = [values[slot] for slot in operation.inputs]
            push = _through_elementwise if operation.elementwise else _through_tensor
            tangents[operation.output] = push(operation, values[operation.output], arguments, tangents)
        found = tangents.get(self.slot)
        return np.zeros((self.rows, columns)) if found is None else found.reshape(columns, self.rows).T

    def _backwards(self) -> Array:
        program = self.program
        shapes, dtype = program.plan.shapes, program.plan.dtype
        values = program.values(range(len(shapes)))
        matrix = np.zeros((self.rows, self.columns))
        for row in range(self.rows):
            seed = np.zeros(self.rows, dtype)
            seed[row] = 1
            gradients: dict[int, Array] = {self.slot: seed.reshape(shapes[self.slot])[()]}
            for operation in reversed(self.operations):
                gradient = gradients.get(operation.output)
                if gradient is None:
                    continue
                arguments = [values[slot] for slot in operation.inputs]
                for slot, part in _contributions(operation, gradient, values[operation.output], arguments):
                    gradients[slot] = gradients[slot] + part if slot in gradients else part
            parts = [gradients.get(slot, np.zeros(size)) for slot, size in enumerate(self.sizes)]
            matrix[row] = np.concatenate([np.ravel(part) for part in parts])
        return matrix


def _through_elementwise(
    operation: Operation, value: Array, arguments: Sequence[Array], tangents: dict[int, Array]
) -> Array:
    """Return the derivatives of a node's value by all parameters (the first axis), from those of its inputs."""
    assert operation.derivative is not None  # noqa: S101 (for the type checker: the plan was checked)
    partials = operation.derivative(value, *arguments)
    shape = np.shape(value)
    total: Any = 0.0
    columns = 1
    for position, slot, _ in operation.wanted:
        tangent = tangents[slot]
        columns = len(tangent)
        if partials[position] is None:
            continue
        missing = (1,) * (len(shape) - tangent.ndim + 1)
        tangent = tangent.reshape(columns, *missing, *tangent.shape[1:])
        total = total + _product(partials[position], tangent)
    return np.broadcast_to(total, (columns, *shape))


def _through_tensor(
    operation: Operation, value: Array, arguments: Sequence[Array], tangents: dict[int, Array]
) -> Array:
    """Return the same for a tensor type: a row of its own Jacobian at a time, which its vjp gives for a unit vector."""
    columns = len(tangents[operation.wanted[0][1]])
    total = np.zeros((columns, np.size(value)))
    unit = np.zeros(np.size(value), np.asarray(value).dtype)
    for element in range(unit.size):
        unit[element] = 1
        for slot, row in _contributions(operation, unit.reshape(np.shape(value))[()], value, arguments):
            tangent = tangents[slot].reshape(columns, -1)
            products = tangent @ np.ravel(row)
            if not np.isfinite(products).all():
                products = _product(tangent, np.ravel(row)).sum(axis=1)
            total[:, element] += products
        unit[element] = 0
    return total.reshape(columns, *np.shape(value))


def _contributions(
    operation: Operation, gradient: Array, value: Array, arguments: Sequence[Array]
) -> Iterator[tuple[int, Array]]:
    """Yield what a node gives to each of its inputs: the slot and the gradient."""
    assert operation.derivative is not None  # noqa: S101 (for the type checker: the plan was checked)
    if operation.elementwise:
        given = operation.derivative(value, *arguments)
    else:
        given = operation.derivative(gradient, value, *arguments)
    for position, slot, axes in operation.wanted:
        part = given[position]
        if part is None:
            continue
        if operation.elementwise:
            part = _product(gradient, part)
            if axes is not None:
                part = np.sum(part, axis=axes).reshape(np.shape(arguments[position]))
        elif callable(part):
            part = part()
        yield slot, part


def _product(x: Array, y: Array) -> Array:
    """Multiply, but zero times anything is zero, as in the engine."""
    product = x * y
    return product if np.isfinite(product).all() else np.where((x == 0) | (y == 0), 0.0, product)
