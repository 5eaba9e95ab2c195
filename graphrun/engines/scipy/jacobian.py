"""The derivatives of a whole node by all parameters, from the local derivatives of the nodes on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphrun.base.types import Array
from graphrun.declare.solver import Vector
from graphrun.engines.numpy import NumpyProgram, Operation, backward
from graphrun.plan.rows import RowAxes

HELD_BYTES = 256 * 2**20
"""What the derivatives on the way forwards may take."""

CALL = 1000
"""What a call of NumPy costs, counted in elements that it could have worked on meanwhile (about 1 us)."""


class Jacobian:
    """The Jacobian of one node by all parameters, at the values of a program's last forward pass.

    Forwards, each node's derivatives by all parameters are made of those of its inputs. A tensor type has a vjp, which
    goes backwards only; where it is affine in an input, as a product is, its forward function takes the derivatives
    through, and where each row of the data stands alone, one vjp gives an element of all rows at once. Any other is
    asked for one row of its own Jacobian after another. Backwards, one pass is made for each row of the result. The way
    that does less is taken.

    Whether a type is affine is tried on random numbers, so what comes of it is compared with one backward pass.

    Args:
        program: the program whose values it is taken at.
        slot: the node.
    """

    def __init__(self, program: NumpyProgram, slot: int) -> None:
        self.program = program
        self.slot = slot
        shapes = program.plan.shapes
        self.sizes = [math.prod(shapes[k]) for k in range(program.plan.parameters)]
        self.columns = sum(self.sizes)
        self.rows = math.prod(shapes[slot])
        self.operations = self._leading_to(slot)
        self._affine: dict[tuple[int, int], bool] = {}

    def __call__(self) -> Vector:
        """Return the Jacobian: a row an element of the node, a column an element of a parameter."""
        with self.program.plugins_called():
            if self.goes_forwards:
                matrix = self._forwards()
                if not self._is_of_a_backward_pass(matrix):
                    matrix = self._backwards()
            else:
                matrix = self._backwards()
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
                for position, slot, _ in operation.wanted:
                    one = math.prod(shapes[slot])
                    if self._is_affine(operation, position):
                        forwards += self.columns * (size + one + CALL)
                    else:
                        out, _ = self._axes_of_rows(operation, slot)
                        passes = size if out is None else size // max(shapes[operation.output][out], 1)
                        forwards += passes * (size + one * (1 + self.columns) + CALL)
        return forwards <= backwards

    def _leading_to(self, slot: int) -> list[Operation]:
        """Return the operations between the parameters and a node."""
        wanted: set[int] = {slot}
        found: list[Operation] = []
        operations = self.program.operations(masked=True)
        if all(operation.output != slot for operation in operations):
            # The objective does not depend on it, so it is none of the loop's.
            moving = [batch for batch in self.program.plan.batches if batch.moving]
            operations = self.program.passes.operations(moving, masked=True)
        for operation in reversed(operations):
            if operation.output in wanted and operation.wanted:
                found.append(operation)
                wanted.update(source for _, source, _ in operation.wanted)
        found.reverse()
        return found

    def _forwards(self) -> Array:
        # All derivatives on the way are held at once, of as many parameters as that leaves room for.
        shapes = self.program.plan.shapes
        held = 8 * sum(math.prod(shapes[operation.output]) for operation in self.operations)
        block = max(1, HELD_BYTES // max(held, 1))
        starts = range(0, self.columns, block)
        parts = [self._columns(start, min(start + block, self.columns)) for start in starts]
        return np.concatenate(parts, axis=1) if parts else np.zeros((self.rows, 0))

    def _columns(self, start: int, stop: int) -> Array:
        """Return some columns: the derivatives by some elements of the parameters."""
        program, columns = self.program, stop - start
        shapes, dtype = program.plan.shapes, program.plan.dtype
        values = program.values(range(len(shapes)))
        tangents: dict[int, Array] = {}
        first = 0
        for slot, size in enumerate(self.sizes):
            tangents[slot] = np.eye(columns, size, start - first, dtype).reshape(columns, *shapes[slot])
            first += size
        for operation in self.operations:
            push = _through_elementwise if operation.bound.elementwise else self._through_tensor
            tangents[operation.output] = push(operation, values, tangents)
        found = tangents.get(self.slot)
        return np.zeros((self.rows, columns)) if found is None else found.reshape(columns, self.rows).T

    def _through_tensor(self, operation: Operation, values: Sequence[Array], tangents: Mapping[int, Array]) -> Array:
        """Return the derivatives of a node of a tensor type by all parameters (the first axis), from its inputs'."""
        columns = len(tangents[operation.wanted[0][1]])
        total = np.zeros((columns, *np.shape(values[operation.output])))
        for position, slot, part in operation.wanted:
            if self._is_affine(operation, position):
                total += self._through_affine(operation, position, values, tangents[slot])
            else:
                total += self._through_vjp(operation, slot, part, position, values, tangents[slot])
        return total

    def _through_affine(self, operation: Operation, position: int, values: Sequence[Array], tangent: Array) -> Array:
        """Return what an input gives of which a node is an affine function: the function takes its derivatives."""
        inputs = [values[slot] for slot in operation.inputs]

        def at(value: Array) -> Array:
            return np.asarray(operation.function(*inputs[:position], value, *inputs[position + 1 :]))

        if not tangent.size:
            return np.zeros((self.columns, *np.shape(values[operation.output])))
        origin = at(np.zeros_like(tangent[0])[()])
        found = np.stack([at(column[()]) for column in tangent])
        return found - origin if origin.any() else found

    def _through_vjp(
        self, operation: Operation, slot: int, part: Any, position: int, values: Sequence[Array], tangent: Array
    ) -> Array:
        """Return what an input gives: rows of the node's own Jacobian, which its vjp gives for unit vectors.

        With rows of the data that stand alone, the unit vector of an element is 1 in all of them.
        """
        out, into = self._axes_of_rows(operation, slot)
        unit = np.zeros(np.shape(values[operation.output]), self.program.plan.dtype)
        total = np.zeros((len(tangent), *unit.shape))
        columns = _rows_first(tangent, into, 1)
        columns = columns.reshape(len(columns), len(tangent), -1)
        units, totals = _rows_first(unit, out), _rows_first(total, out, 1)
        for element in np.ndindex(units.shape[1:]):
            units[(slice(None), *element)] = 1
            given = operation.derivatives(unit[()], values)[position]
            if given is None:
                break
            # A part may be a function yet, which reads the unit vector when it is called.
            row = _rows_first(np.asarray(part(None, given)), into).reshape(len(columns), -1)
            units[(slice(None), *element)] = 0
            products = np.matmul(columns, row[:, :, None])[:, :, 0]
            if not np.isfinite(products).all():
                products = _product(columns, row[:, None, :]).sum(axis=2)
            totals[(slice(None), slice(None), *element)] = products
        return total

    def _axes_of_rows(self, operation: Operation, slot: int) -> tuple[int | None, int | None]:
        """Return which axes of a node and of an input are rows of the data, where each of them stands alone."""
        nothing = RowAxes(None)
        out, into = (self.program.plan.rows.get(s, nothing) for s in (operation.output, slot))
        return (out.axis, into.axis) if out.own and into.own else (None, None)

    def _is_affine(self, operation: Operation, position: int) -> bool:
        """Whether a node is an affine function of an input, tried on random numbers; others are where no step moves."""
        key = operation.output, position
        if key not in self._affine:
            self._affine[key] = self._try_affine(operation, position)
        return self._affine[key]

    def _try_affine(self, operation: Operation, position: int) -> bool:
        plan = self.program.plan
        random = np.random.default_rng(0)
        values = self.program.values(operation.inputs)
        inputs = [
            random.normal(size=np.shape(value)).astype(plan.dtype)[()] if plan.moving[slot] else value
            for slot, value in zip(operation.inputs, values, strict=True)
        ]

        def at(value: Array) -> Array:
            return np.asarray(operation.function(*inputs[:position], value, *inputs[position + 1 :]))

        x, y = (np.asarray(random.normal(size=np.shape(inputs[position])), plan.dtype)[()] for _ in range(2))
        try:
            parts = [at(x), at(y), at(x * 0), at(x + y)]
            doubled = at(x + x)
        except Exception:
            return False
        # Of the largest element, for among many some are sums that cancel.
        size = max((float(np.abs(value).max(initial=0.0)) for value in parts), default=0.0)
        tolerance = 100 * float(np.finfo(plan.dtype).eps) * size
        additive = np.abs(parts[0] + parts[1] - parts[2] - parts[3]) <= tolerance
        homogeneous = np.abs(2 * parts[0] - parts[2] - doubled) <= tolerance
        return bool(additive.all() and homogeneous.all())

    def _is_of_a_backward_pass(self, matrix: Array) -> bool:
        """Whether the Jacobian takes a vector of random signs where a backward pass takes it."""
        plan = self.program.plan
        seed = np.random.default_rng(0).choice([-1.0, 1.0], self.rows)
        expected = self._pulled(seed.astype(plan.dtype))
        scale = np.abs(matrix).sum(axis=0) + np.abs(expected)
        close = np.abs(seed @ matrix - expected) <= math.sqrt(np.finfo(plan.dtype).eps) * scale
        return bool((close | ~np.isfinite(scale)).all())

    def _backwards(self) -> Array:
        matrix = np.zeros((self.rows, self.columns))
        for row in range(self.rows):
            seed = np.zeros(self.rows, self.program.plan.dtype)
            seed[row] = 1
            matrix[row] = self._pulled(seed)
        return matrix

    def _pulled(self, seed: Array) -> Array:
        """Return the product of a vector and the Jacobian: a backward pass."""
        shapes = self.program.plan.shapes
        values = self.program.values(range(len(shapes)))
        gradients = backward(self.operations, values, self.slot, seed.reshape(shapes[self.slot])[()])
        parts = [gradients.get(slot, np.zeros(size)) for slot, size in enumerate(self.sizes)]
        return np.concatenate([np.ravel(part) for part in parts])


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


def _rows_first(array: Any, axis: int | None, before: int = 0) -> Any:
    """Return a view with an axis of rows before all others, one of size 1 where there is none; some axes precede it."""
    return array[None] if axis is None else np.moveaxis(array, axis + before, 0)


def _product(x: Array, y: Array) -> Array:
    """Multiply, but zero times anything is zero, as in the engine."""
    product = x * y
    return product if np.isfinite(product).all() else np.where((x == 0) | (y == 0), 0.0, product)
