"""Batch by batch: for large graphs of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphrun.engines.numpy.operation import Operation, bind, mask
from graphrun.engines.numpy.program import NumpyProgram
from graphrun.plan.plan import Array, Batch


class BatchProgram(NumpyProgram):
    """Batch by batch: values are one vector of numbers, and equal nodes are one array operation. For large graphs."""

    def form(self, steps: int) -> str:
        """Return how so many steps are run, in words."""
        return "batch by batch"

    def _make_targets(self) -> list[tuple[Any, tuple[Array, Array] | None]]:
        plan = self.plan
        self._values = np.zeros(len(plan.names), plan.dtype)
        self._values[: len(plan.leaves)] = plan.leaves
        self._gradients = None
        bounds = None
        if any(plan.bounds):
            lower, upper = zip(*[b or (-np.inf, np.inf) for b in plan.bounds], strict=True)
            bounds = np.array(lower, plan.dtype), np.array(upper, plan.dtype)
        return [(slice(0, plan.parameters), bounds)]

    def _parameters(self) -> Any:
        return self._values[: self.plan.parameters].copy()

    def _rule_state(self, parameter: int, state: int) -> Any:
        return self._states[0][state][parameter]

    def _set_rule_state(self, parameter: int, state: int, value: Array) -> None:
        self._states = [tuple(array.copy() for array in self._states[0])]
        self._states[0][state][parameter] = value

    def _operations(self, batches: Iterable[Batch], *, all_wanted: bool = False) -> list[Operation]:
        operations = []
        for batch in batches:
            forward, derivative = bind(batch, self.plan.dtype)
            inputs: Sequence[Any] = list(self.plan.inputs(batch))
            output: Any = slice(batch.start, batch.stop)
            if batch.count == 1:
                inputs, output = [int(slots[0]) for slots in inputs], batch.start
            wanted = [(position, slots, None) for position, slots in enumerate(inputs)]
            operations.append(Operation(forward, derivative, inputs, output, wanted, elementwise=True))
        return operations

    def _backward(self, operations: Sequence[Operation], *, masked: bool) -> Any:
        values = self._values
        gradients = np.zeros_like(values)
        gradients[self.plan.objective] = 1
        for _, derivative, inputs, output, wanted, _ in reversed(operations):
            gradient = gradients[output]
            partials = derivative(values[output], *[values[slots] for slots in inputs])
            for position, slots, _ in wanted:
                if partials[position] is None:
                    continue
                contribution = mask(gradient, partials[position]) if masked else gradient * partials[position]
                if isinstance(slots, int):
                    gradients[slots] += contribution
                else:
                    # Unlike `gradients[slots] += ...`, it adds up what a value is given by several nodes of the batch.
                    np.add.at(gradients, slots, contribution)
        return gradients
