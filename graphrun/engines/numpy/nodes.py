"""Node by node: for small graphs, and for arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphrun.engines.numpy.operation import Operation, bind, broadcast_axes, cast, mask
from graphrun.engines.numpy.program import NumpyProgram
from graphrun.plan.plan import Array, Batch


class NodeProgram(NumpyProgram):
    """Node by node: values are a list of NumPy numbers and arrays. For small graphs, and for arrays."""

    def form(self, steps: int) -> str:
        """Return how so many steps are run, in words."""
        return "node by node"

    def _make_targets(self) -> list[tuple[Any, tuple[Array, Array] | None]]:
        plan = self.plan
        self._values = [*plan.leaves, *[None] * (len(plan.names) - len(plan.leaves))]
        self._gradients = None
        return list(enumerate(plan.bounds))

    def _rule_state(self, parameter: int, state: int) -> Any:
        return self._states[parameter][state]

    def _set_rule_state(self, parameter: int, state: int, value: Array) -> None:
        states = list(self._states[parameter])
        states[state] = np.asarray(value, dtype=self.plan.dtype)[()]
        self._states[parameter] = tuple(states)

    def _operations(self, batches: Iterable[Batch], *, all_wanted: bool = False) -> list[Operation]:
        plan, shapes = self.plan, self.plan.shapes
        moving = plan.moving
        operations = []
        for batch in batches:
            forward, derivative = bind(batch, plan.dtype)
            if batch.casts:
                forward = cast(forward, plan.dtype)
            for _, output, inputs in plan.nodes([batch]):
                wanted = [
                    (position, slot, broadcast_axes(shapes[slot], batch.shape) if batch.type.is_elementwise else None)
                    for position, slot in enumerate(inputs)
                    if moving[slot] or all_wanted
                ]
                operations.append(Operation(forward, derivative, inputs, output, wanted, batch.type.is_elementwise))
        return operations

    def _backward(self, operations: Sequence[Operation], *, masked: bool) -> list[Array | None]:
        values, dtype = self._values, self.plan.dtype
        single = dtype != np.float64
        gradients: list[Array | None] = [None] * len(values)
        gradients[self.plan.objective or 0] = dtype.type(1)
        for _, derivative, inputs, output, wanted, elementwise in reversed(operations):
            gradient = gradients[output]
            if gradient is None or not wanted:
                continue
            arguments = [values[slot] for slot in inputs]
            if elementwise:
                given = derivative(values[output], *arguments)
            else:
                given = derivative(gradient, values[output], *arguments)
            for position, slot, axes in wanted:
                contribution = given[position]
                if contribution is None:
                    continue
                if elementwise:
                    contribution = mask(gradient, contribution) if masked else gradient * contribution
                    if axes is not None:
                        contribution = np.sum(contribution, axis=axes).reshape(np.shape(values[slot]))[()]
                elif callable(contribution):
                    contribution = contribution()
                if single:
                    contribution = np.asarray(contribution, dtype)[()]
                before = gradients[slot]
                gradients[slot] = contribution if before is None else before + contribution
        return gradients
