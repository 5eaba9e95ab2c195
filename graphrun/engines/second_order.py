"""Second derivatives of graphs of numbers: forward mode over the backward pass, both through the declarations.

The whole graph is traced once: what each direction does to the gradient is one expression for each parameter. How a
local derivative changes is told by the chain rule again, over the operations that it is made of, whose own derivatives
are those that the node types of the same names declare.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from graphrun.base.types import Array
from graphrun.declare.operations import COMPARISONS, FOLD, LOGICAL
from graphrun.declare.trace import FLOAT, CannotTraceError, Expression, Recorder, inputs_first, trace, trace_derivatives
from graphrun.nodes import graphrun_node_types
from graphrun.plan.plan import Plan

Tangent = Expression | None
"""How a number changes along a direction; None for not at all."""

RULES = {declared.name: declared for declared in graphrun_node_types() if declared.is_elementwise}

STEPS = {"input", "constant", "trunc", "floor_divide", *COMPARISONS, *LOGICAL}
"""Operations whose results do not change, but for jumps."""

COMPUTE: dict[str, Any] = FOLD | {"where": np.where, "cast": np.float64, "number": np.float64}

HELD_NUMBERS = 2**24
"""How many numbers may be held at once, of all operations along some directions."""


class SecondOrder:
    """The products of the Hessian of a plan's objective with any directions, in double precision.

    Args:
        plan: a plan of numbers, whose leaves but for the parameters stay as they are.

    Raises:
        CannotTraceError: the objective is made of arrays, or a node type cannot be traced.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._plain = _Products(plan, masked=False)

    @cached_property
    def _masked(self) -> _Products:
        return _Products(self._plan, masked=True)

    def __call__(self, vector: Array, directions: Array) -> Array:
        """Return the product of the Hessian at a point with each direction, a row each."""
        block = max(1, HELD_NUMBERS // self._plain.size)
        parts = [directions[k : k + block] for k in range(0, len(directions), block)]
        found = np.concatenate([self._plain(vector, part) for part in parts])
        if not np.isfinite(found).all():
            # As in the backward pass: what is multiplied by zero may be infinite.
            found = np.concatenate([self._masked(vector, part) for part in parts])
        return found


class _Products:
    """The operations that the products are made of, in order."""

    def __init__(self, plan: Plan, *, masked: bool) -> None:
        self._masked = masked
        self._recorder = recorder = Recorder(np.dtype(np.float64))
        self._tangents: dict[int, Tangent] = {}
        unknown = [(recorder.input(f"x{k}"), recorder.input(f"v{k}")) for k in range(plan.parameters)]
        for parameter, direction in unknown:
            self._tangents[id(parameter)] = direction
        roots = self._trace(plan, [parameter for parameter, _ in unknown])
        order = inputs_first(
            [*(name for pair in unknown for name in pair), *(root for root in roots if root is not None)]
        )
        places = {id(expression): place for place, expression in enumerate(order)}
        self._inputs = [[places[id(names[k])] for names in unknown] for k in (0, 1)]
        self._start = [expression.value if expression.is_constant else None for expression in order]
        self._operations = [
            (COMPUTE[expression.operation], places[id(expression)], [places[id(x)] for x in expression.arguments])
            for expression in order
            if expression.arguments
        ]
        self._roots = [None if root is None else places[id(root)] for root in roots]
        self.size = len(order)
        del self._recorder, self._tangents

    def __call__(self, vector: Array, directions: Array) -> Array:
        numbers: list[Any] = list(self._start)
        for places, given in zip(self._inputs, (np.asarray(vector, np.float64), directions.T), strict=True):
            for place, number in zip(places, given, strict=True):
                numbers[place] = number
        with np.errstate(all="ignore"):
            for function, place, arguments in self._operations:
                numbers[place] = function(*[numbers[argument] for argument in arguments])
        found = np.zeros_like(directions, np.float64)
        for column, root in enumerate(self._roots):
            if root is not None:
                found[:, column] = numbers[root]
        return found

    def _trace(self, plan: Plan, parameters: Sequence[Expression]) -> list[Tangent]:
        """Return how the gradient by each parameter changes."""
        recorder = self._recorder
        values: list[Any] = [*parameters, *[None] * (len(plan.names) - len(parameters))]
        nodes = list(plan.nodes(batch for batch in plan.batches if batch.needed))
        local: dict[int, Sequence[Tangent]] = {}
        for batch, slot, inputs in nodes:
            array = next((source for source in (*inputs, slot) if plan.shapes[source]), None)
            if array is not None or not batch.type.is_elementwise:
                raise CannotTraceError(f"node {plan.names[slot]!r} works on arrays")
            for source in inputs:
                if values[source] is None:
                    values[source] = recorder.constant(float(plan.leaves[source]), FLOAT)
            given, settings = [values[source] for source in inputs], dict(batch.settings)
            result = recorder.cast(trace(recorder, batch.type.function, given, settings))
            # What is given on as it is may be declared to change otherwise, as where a gradient is stopped.
            known = id(result) in self._tangents and not result.is_constant
            values[slot] = Expression(recorder, "cast", (result,), FLOAT) if known else result
            if batch.moving and batch.type.derivative is not None:
                partials = trace_derivatives(recorder, batch.type.derivative, values[slot], given, settings)
                local[slot] = [None if partial is None else recorder.cast(partial) for partial in partials]
                self._tangents[id(values[slot])] = self._along(local[slot], given)
        objective = plan.objective or 0
        gradients: dict[int, tuple[Tangent, Tangent]] = {objective: (recorder.constant(1.0, FLOAT), None)}
        for _, slot, inputs in reversed(nodes):
            if slot not in gradients or slot not in local:
                continue
            gradient, change = gradients[slot]
            for source, partial in zip(inputs, local[slot], strict=True):
                if partial is not None and plan.moving[source]:
                    before, bend = gradients.get(source, (None, None)), self._tangent(partial)
                    # The derivative of the product of gradient and local derivative.
                    changes = self._sum(self._product(change, partial), self._product(gradient, bend))
                    part = self._product(gradient, partial)
                    gradients[source] = self._sum(before[0], part), self._sum(before[1], changes)
        return [gradients.get(slot, (None, None))[1] for slot in range(len(parameters))]

    def _along(self, partials: Sequence[Tangent], inputs: Sequence[Expression]) -> Tangent:
        """Return how a result changes, of its derivatives by its inputs and of how those change."""
        total: Tangent = None
        for partial, source in zip(partials, inputs, strict=True):
            total = self._sum(total, self._product(self._tangent(source), partial))
        return total

    def _tangent(self, root: Expression) -> Tangent:
        """Return how an expression changes, by the operations that it is made of."""
        recorder, tangents = self._recorder, self._tangents
        pending = [root]
        while pending:
            expression = pending[-1]
            arguments = expression.arguments if expression.operation not in STEPS else ()
            unknown = [x for x in arguments if id(x) not in tangents]
            pending += unknown
            if unknown:
                continue
            pending.pop()
            if id(expression) in tangents:
                continue
            changes = [tangents[id(x)] for x in arguments]
            found: Tangent = None
            if any(change is not None for change in changes):
                if expression.operation in {"cast", "number"}:
                    found = changes[0]
                elif expression.operation == "where":
                    found = recorder.make("where", arguments[0], *(0.0 if x is None else x for x in changes[1:]))
                else:
                    found = self._along(self._partials(expression), arguments)
            tangents[id(expression)] = found
        return tangents[id(root)]

    def _partials(self, expression: Expression) -> Sequence[Tangent]:
        """Return the derivatives of an operation, as the node type of its name declares them."""
        recorder, arguments = self._recorder, expression.arguments
        if expression.operation == "copysign":
            size, sign = (recorder.make("copysign", 1.0, argument) for argument in arguments)
            return recorder.make("multiply", size, sign), None
        rule = RULES.get(expression.operation)
        if rule is None or rule.derivative is None:
            raise CannotTraceError(f"nothing is known of how xp.{expression.operation} changes")
        partials = trace_derivatives(recorder, rule.derivative, expression, arguments, {})
        return [None if partial is None else recorder.cast(partial) for partial in partials]

    def _product(self, first: Tangent, second: Tangent) -> Tangent:
        """Multiply; masked, zero times anything is zero."""
        if first is None or second is None or any(x.is_constant and x.value == 0 for x in (first, second)):
            return None
        recorder = self._recorder
        product = recorder.make("multiply", first, second)
        if self._masked and not (second.is_constant and np.isfinite(second.value)):
            product = recorder.make("where", recorder.make("equal", first, 0.0), 0.0, product)
        return product

    def _sum(self, first: Tangent, second: Tangent) -> Tangent:
        if first is None or second is None:
            return second if first is None else first
        return self._recorder.make("add", first, second)
