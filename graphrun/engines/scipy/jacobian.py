"""The derivatives of a whole node by all parameters, from the local derivatives of the nodes on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphrun.base.types import Array
from graphrun.declare.solver import Vector
from graphrun.engines.numpy import NumpyProgram, Operation, backward

CALL = 1000
"""What a call of NumPy costs, counted in elements that it could have worked on meanwhile (about 1 us)."""


class Jacobian:
    """The Jacobian of one node by all parameters, at the values of a program's last forward pass.

    Forwards, each node's derivatives by all parameters are made of those of its inputs; a node of a tensor type, whose
    vjp goes backwards only, asks it for one row after another. Backwards, one pass is made for each row of the result.
    The way that does less is taken.
    """

    def __init__(self, program: NumpyProgram, slot: int) -> None:
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
            if operation.bound.elementwise:
                forwards += self.columns * size * len(operation.wanted) + CALL
            else:
                forwards += size * (size + inputs * (1 + self.columns) + CALL)
        return forwards <= backwards

    def _leading_to(self, slot: int) -> list[Operation]:
        """Return the operations between the parameters and a node."""
        wanted: set[int] = {slot}
        found: list[Operation] = []
        for operation in reversed(self.program.operations(masked=True)):
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
            push = _through_elementwise if operation.bound.elementwise else _through_tensor
            tangents[operation.output] = push(operation, values, tangents)
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
            gradients = backward(self.operations, values, self.slot, seed.reshape(shapes[self.slot])[()])
            parts = [gradients.get(slot, np.zeros(size)) for slot, size in enumerate(self.sizes)]
            matrix[row] = np.concatenate([np.ravel(part) for part in parts])
        return matrix


def _through_elementwise(operation: Operation, values: Sequence[Array], tangents: Mapping[int, Array]) -> Array:
    """Return the derivatives of a node's value by all parameters (the first axis), from those of its inputs."""
    given = operation.derivatives(None, values)
    shape = np.shape(values[operation.output])
    total: Any = 0.0
    columns = 1
    for position, slot, _ in operation.wanted:
        tangent = tangents[slot]
        columns = len(tangent)
        if given[position] is None:
            continue
        missing = (1,) * (len(shape) - tangent.ndim + 1)
        tangent = tangent.reshape(columns, *missing, *tangent.shape[1:])
        total = total + _product(given[position], tangent)
    return np.broadcast_to(total, (columns, *shape))


def _through_tensor(operation: Operation, values: Sequence[Array], tangents: Mapping[int, Array]) -> Array:
    """Return the same for a tensor type: a row of its own Jacobian at a time, which its vjp gives for a unit vector."""
    columns = len(tangents[operation.wanted[0][1]])
    value = np.asarray(values[operation.output])
    total = np.zeros((columns, value.size))
    unit = np.zeros(value.size, value.dtype)
    for element in range(unit.size):
        unit[element] = 1
        for slot, row in operation.pull(unit.reshape(value.shape)[()], values):
            tangent = tangents[slot].reshape(columns, -1)
            products = tangent @ np.ravel(row)
            if not np.isfinite(products).all():
                products = _product(tangent, np.ravel(row)).sum(axis=1)
            total[:, element] += products
        unit[element] = 0
    return total.reshape(columns, *value.shape)


def _product(x: Array, y: Array) -> Array:
    """Multiply, but zero times anything is zero, as in the engine."""
    product = x * y
    return product if np.isfinite(product).all() else np.where((x == 0) | (y == 0), 0.0, product)
