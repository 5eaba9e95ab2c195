"""Both passes of a large graph of numbers: all values are one vector, and a loop goes through a table of operations.

Written out, each batch of equal nodes is an operation of XLA's, which takes 50 ms to compile, a chain of 1,500 nodes is
more than XLA can take. So there is one program for all: an operation of the table gathers the inputs of up to `width`
equal nodes, branches to their type's function, and writes their values next to each other; the backward pass goes
through the table the other way and scatters. It compiles in 0.3 s and takes 45-70 ns a node and step (NumPy: 57-137),
of a chain 520.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from graphrun.base.types import Array
from graphrun.declare.declaration import Function
from graphrun.declare.updaterule import side_by_side
from graphrun.engines.jax.devices import Placement
from graphrun.engines.jax.passes import ArrayPasses, PlanPart, masked_product, traced_derivative, traced_forward
from graphrun.plan.plan import Batch, Plan

# XLA takes about 20 ms a node to compile what is written node by node; the program for one vector takes 0.3 s.
NODES_ONE_BY_ONE = 64

WIDTHS = (1, 4, 16, 64, 256, 1024)
NANOSECONDS_PER_OPERATION = 500
NANOSECONDS_PER_NODE = 45


class OperationTable(NamedTuple):
    """Operations in order.

    Attributes:
        kind: which function each has.
        start: the slot of its first node.
        size: how many nodes it has, at most the table's width.
        inputs: the slots of the inputs: operations x inputs x width; what is too much is the slot behind the last one.
    """

    kind: NDArray[np.int32]
    start: NDArray[np.int32]
    size: NDArray[np.int32]
    inputs: NDArray[np.int32]


class Vector(NamedTuple):
    """Values under way: the vector, which goes on for a width behind the last slot, and the tables of the parts."""

    values: jax.Array
    tables: Mapping[str, OperationTable]


class VectorPasses:
    """What `ArrayPasses` does, on one vector; the targets of the update rule are one vector of all parameters."""

    masks_all = True

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._arity = max(batch.arity for batch in plan.batches)
        self._width = best_width([batch.count for batch in plan.in_loop or plan.batches])
        self._kinds: dict[Any, int] = {}
        self._kind_batches: list[Batch] = []
        for batch in plan.batches:
            if kind_of(batch) not in self._kinds:
                self._kinds[kind_of(batch)] = len(self._kinds)
                self._kind_batches.append(batch)

    def targets(self, parameters: Sequence[Array]) -> tuple[Array, ...]:
        """Return all parameters as one vector."""
        return (np.array(parameters, self.plan.dtype),)

    def parameters(self, targets: Sequence[Array]) -> list[Array]:
        """Return the elements of the vector."""
        return list(np.asarray(targets[0]))

    def bounds(self) -> list[tuple[Array, Array] | None]:
        """Return the bounds of all parameters together."""
        return [self.plan.limits if any(self.plan.bounds) else None]

    def rules(self) -> list[Function]:
        """Return the update rule of all parameters together."""
        return [side_by_side(self.plan.groups)]

    def fixed(self, placement: Placement) -> Any:
        """Return the vector with what no step changes, and the tables."""
        plan = self.plan
        start = np.zeros(len(plan.names) + self._width, plan.dtype)
        start[: len(plan.leaves)] = np.array(plan.leaves, plan.dtype)
        made: dict[tuple[int, ...], OperationTable] = {}
        tables = {}
        for part in (PlanPart.LOOP, PlanPart.RESTING, PlanPart.VARYING, PlanPart.NEEDED):
            batches = part.batches(plan)
            chosen = tuple(batch.start for batch in batches)
            if chosen not in made:
                made[chosen] = jax.tree.map(placement.whole, self._table(batches))
            tables[part.value] = made[chosen]
        vector = placement.whole(start), tables
        if len(made[tuple(batch.start for batch in PlanPart.RESTING.batches(plan))].kind):
            values = jax.jit(lambda fixed: self.forward(self.begin((), {}, fixed), PlanPart.RESTING).values)(vector)
            return values, tables
        return vector

    def _table(self, batches: Sequence[Batch]) -> OperationTable:
        """Cut batches into operations of at most the width."""
        width, nowhere = self._width, len(self.plan.names)
        kinds, starts, counts, inputs = [], [], [], []
        for batch in batches:
            operations = -(-batch.count // width)
            slots = np.full((self._arity, operations * width), nowhere, np.int32)
            slots[: batch.arity, : batch.count] = self.plan.inputs(batch)
            first = np.arange(operations) * width
            kinds.append(np.full(operations, self._kinds[kind_of(batch)]))
            starts.append(batch.start + first)
            counts.append(np.minimum(width, batch.count - first))
            inputs.append(slots.reshape(self._arity, operations, width).swapaxes(0, 1))
        whole = [np.concatenate(parts) if parts else np.zeros(0) for parts in (kinds, starts, counts)]
        every_input = np.concatenate(inputs) if inputs else np.zeros((0, self._arity, width))
        return OperationTable(*(array.astype(np.int32) for array in (*whole, every_input)))

    def begin(self, targets: Sequence[Array], given: Mapping[int, Array], fixed: Any) -> Vector:
        """Return the vector with the parameters in place."""
        del given  # such graphs are given nothing: they have no data, no noise and no states
        values, tables = fixed
        return Vector(lax.dynamic_update_slice(values, targets[0], (0,)) if targets else values, tables)

    def forward(self, values: Vector, part: PlanPart) -> Vector:
        """Go through a part's table."""
        table = OperationTable(*values.tables[part.value])
        if not len(table.kind):
            return values
        places = jnp.arange(self._width)

        def operation(number: Array, vector: jax.Array) -> jax.Array:
            kind, start, size, slots = (at(array, number) for array in table)
            result = lax.switch(kind, self._forwards, vector.at[slots].get(mode="promise_in_bounds"))
            # What lies behind the last node belongs to others.
            own = jnp.where(places < size, result, lax.dynamic_slice(vector, (start,), (self._width,)))
            return lax.dynamic_update_slice(vector, own, (start,))

        return values._replace(values=lax.fori_loop(0, len(table.kind), operation, values.values))

    def backward(self, values: Vector, part: PlanPart) -> Array:
        """Go through a part's table from its end, and return the vector of gradients."""
        plan, vector = self.plan, values.values
        table = OperationTable(*values.tables[part.value])
        gradients = jnp.zeros_like(vector).at[plan.objective or 0].set(1)
        if not len(table.kind):
            return gradients
        places = jnp.arange(self._width)
        last = len(table.kind) - 1

        def operation(number: Array, gradients: jax.Array) -> Any:
            kind, start, size, slots = (at(array, last - number) for array in table)
            own = jnp.where(places < size, lax.dynamic_slice(gradients, (start,), (self._width,)), 0)
            outputs = lax.dynamic_slice(vector, (start,), (self._width,))
            inputs = vector.at[slots].get(mode="promise_in_bounds")
            given = lax.switch(kind, self._backwards, own, outputs, inputs)
            return gradients.at[slots].add(given, mode="promise_in_bounds")

        added_up: Array = lax.fori_loop(0, len(table.kind), operation, gradients)
        return added_up

    @cached_property
    def _forwards(self) -> list[Callable[..., Array]]:
        """The forward function of each kind, of (inputs x width)."""

        def make(batch: Batch) -> Callable[..., Array]:
            function = traced_forward(batch, self.plan.dtype)
            return lambda inputs: jnp.broadcast_to(function(*inputs[: batch.arity]), (self._width,))

        return [make(batch) for batch in self._kind_batches]

    @cached_property
    def _backwards(self) -> list[Callable[..., Array]]:
        """The function of each kind that gives what a gradient contributes to those of the inputs."""
        shape, dtype = (self._width,), self.plan.dtype

        def make(batch: Batch) -> Callable[..., Array]:
            if batch.type.derivative is None:
                return lambda _gradient, _output, inputs: jnp.zeros_like(inputs)
            derivative = traced_derivative(batch)

            def contributions(gradient: Array, output: Array, inputs: Array) -> Array:
                given = derivative(gradient, output, *inputs[: batch.arity])
                products = [jnp.zeros(shape, dtype)] * self._arity
                for position, local_derivative in enumerate(given):
                    if local_derivative is not None:
                        product = masked_product(gradient, local_derivative)
                        products[position] = jnp.broadcast_to(product, shape).astype(dtype)
                return jnp.stack(products)

            return contributions

        return [make(batch) for batch in self._kind_batches]

    def value(self, values: Vector, slot: int) -> Array:
        """Return the value of a slot."""
        return values.values[slot]

    def target_gradients(self, gradients: Any) -> tuple[Array, ...]:
        """Return the gradients of all parameters as one vector."""
        return (gradients[: self.plan.parameters],)

    def all(self, values: Any) -> Any:
        """Return the vector of all slots."""
        vector = values.values if isinstance(values, Vector) else values
        return vector[: len(self.plan.names)]

    def by_slot(self, found: Any) -> Any:
        """Return what `all` gave, fetched at once."""
        return np.asarray(found)


JaxPasses = ArrayPasses | VectorPasses
"""The two passes of a plan."""


def make_passes(plan: Plan) -> JaxPasses:
    """Return the passes of a plan, value by value or on one vector."""
    nodes = plan.node_count
    numbers = not plan.has_arrays and all(batch.type.is_elementwise for batch in plan.batches)
    if numbers and nodes > NODES_ONE_BY_ONE and not (plan.data or plan.noise or plan.states):
        return VectorPasses(plan)
    return ArrayPasses(plan)


def kind_of(batch: Batch) -> Any:
    """Return what nodes have in common that are of one kind."""
    return batch.type, batch.settings, batch.arity


def best_width(counts: Sequence[int]) -> int:
    """Return the width of operations at which batches of some sizes take the least time."""
    sizes = np.array(counts)

    def nanoseconds(width: int) -> float:
        operations = float(np.sum(-(-sizes // width)))
        return operations * (NANOSECONDS_PER_OPERATION + NANOSECONDS_PER_NODE * width)

    return min(WIDTHS, key=nanoseconds)


def at(array: Any, number: Any) -> Any:
    """Return an element of an array, or a row."""
    return lax.dynamic_index_in_dim(array, number, keepdims=False)
