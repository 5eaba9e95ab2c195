"""Second derivatives: forward mode over the backward pass, both through the declarations.

Both passes are traced once (`array_trace`). How the gradient changes along a direction is told by the chain rule again,
over the operations that it is made of: those on each element change as the node types of the same names declare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from graphrun.base.types import Array
from graphrun.declare.array_operations import ARRAY_OPERATIONS, evaluate
from graphrun.declare.arrays import INT, ArrayExpression
from graphrun.declare.operations import BEYOND_NUMPY, FOLD
from graphrun.declare.trace import BOOL, FLOAT, CannotTraceError, Expression, inputs_first, trace_derivatives
from graphrun.engines.array_trace import PlanTrace
from graphrun.nodes import graphrun_node_types
from graphrun.plan.plan import Batch, Plan

Tangent = Any
"""How an array changes along a direction, as an expression of its shape; None for not at all."""

RULES = {declared.name: declared for declared in graphrun_node_types() if declared.is_elementwise}

LINEAR: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("reshape", "permute", "broadcast", "slice", "sum", "cumulative_sum", "take", "take_along"), (0,)),
    "add_rows": (1,),
    "matmul": (0, 1),
    "solve": (1,),
}
"""The operations on whole arrays that are linear in each of these arguments; `einsum` is in all of its."""

STEPS = {"trunc", "floor_divide"}
"""Operations whose results do not change, but for jumps, and that are no node types."""

HELD_NUMBERS = 2**24
"""How many numbers may be held at once, of all operations along some directions."""


class SecondOrder:
    """The products of the Hessian of a plan's objective with any directions, in double precision.

    Args:
        plan: a plan whose leaves but for the parameters stay as they are.

    Raises:
        CannotTraceError, NotSupportedError: a node type cannot be traced, or it is not known how it changes.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = replace(plan, dtype=np.dtype(np.float64))
        self._plain = _Products(self._plan, masked=False)

    @cached_property
    def _masked(self) -> _Products:
        return _Products(self._plan, masked=True)

    def __call__(self, vector: Array, directions: Array) -> Array:
        """Return the product of the Hessian at a point with each direction, a row each."""
        found = self._plain(vector, directions)
        # As in the backward pass: what is multiplied by zero may be infinite.
        return found if np.isfinite(found).all() else self._masked(vector, directions)


class _Products:
    """The operations that the products are made of, in order: what no direction changes, and the others."""

    def __init__(self, plan: Plan, *, masked: bool) -> None:
        self._plan = plan
        trace = _Trace(plan, masked=masked)
        trace.forward(batch for batch in plan.batches if batch.needed)
        gradients = trace.gradients()
        roots = [trace.tangent(gradients[k]) if k in gradients else None for k in range(plan.parameters)]
        order = inputs_first([*trace.leaves.values(), *trace.directions, *(x for x in roots if x is not None)])
        places = {id(expression): place for place, expression in enumerate(order)}
        self._numbers = [expression.value if expression.is_constant else None for expression in order]
        for slot, symbol in trace.leaves.items():
            if slot >= plan.parameters:
                self._numbers[places[id(symbol)]] = np.asarray(plan.leaves[slot], np.float64)[()]
        self._inputs = [
            [places[id(symbol)] for symbol in symbols]
            for symbols in ([trace.leaves[k] for k in range(plan.parameters)], trace.directions)
        ]
        self._roots = [None if root is None else places[id(root)] for root in roots]
        # Numbers are taken along all directions at once, arrays along one after the other.
        self._at_once = not any(getattr(expression, "shape", ()) for expression in order)
        changing = set(self._inputs[1])
        self._steps: tuple[list[Any], list[Any]] = [], []
        for expression in order:
            if expression.arguments:
                arguments = [places[id(x)] for x in expression.arguments]
                changes = not changing.isdisjoint(arguments)
                if changes:
                    changing.add(places[id(expression)])
                self._steps[changes].append((_computing(expression), places[id(expression)], arguments))

    def __call__(self, vector: Array, directions: Array) -> Array:
        shapes = self._plan.shapes[: self._plan.parameters]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        numbers: list[Any] = list(self._numbers)

        def put(places: Sequence[int], given: Array) -> None:
            for place, part, shape in zip(places, np.split(given, ends[:-1], axis=-1), shapes, strict=True):
                numbers[place] = part[..., 0] if self._at_once else part.reshape(shape)[()]

        def compute(steps: Sequence[Any]) -> None:
            for function, place, arguments in steps:
                numbers[place] = function(*[numbers[argument] for argument in arguments])

        found = np.zeros(directions.shape)
        rows = max(1, HELD_NUMBERS // len(numbers)) if self._at_once else 1
        with np.errstate(all="ignore"):
            try:
                put(self._inputs[0], np.asarray(vector, np.float64))
                compute(self._steps[0])
                for first in range(0, len(found), rows):
                    part = slice(first, first + rows)
                    put(self._inputs[1], directions[part] if self._at_once else directions[first])
                    compute(self._steps[1])
                    for root, size, end in zip(self._roots, np.diff(ends, prepend=0), ends, strict=True):
                        if root is not None:
                            found[part, end - size : end] = np.reshape(numbers[root], (-1, size))
            except np.linalg.LinAlgError:
                found[:] = np.nan
        return found


def _computing(expression: Expression) -> Callable[..., Any]:
    """Return what computes an operation with NumPy."""
    operation = expression.operation
    if operation in ARRAY_OPERATIONS:
        return partial(ARRAY_OPERATIONS[operation], expression.value)
    if operation in {"cast", "number"}:
        dtype = np.int64 if expression.kind == INT else np.float64
        return lambda x: np.asarray(x, dtype)[()]
    if operation in BEYOND_NUMPY and expression.shape:
        return lambda *arrays: evaluate(operation, None, arrays)
    other: dict[str, Callable[..., Any]] = {"where": np.where, "masked": _masked_product}
    return other.get(operation) or FOLD[operation]


def _masked_product(first: Any, second: Any) -> Any:
    return np.where((first == 0) | (second == 0), 0.0, first * second)


class _Trace(PlanTrace):
    """Both passes, and how what they compute changes.

    Attributes:
        directions: the symbols of how the parameters change.
    """

    def __init__(self, plan: Plan, *, masked: bool) -> None:
        super().__init__(plan)
        self._is_masked = masked
        self.directions = [self.recorder.array(f"d{k}", plan.shapes[k]) for k in range(plan.parameters)]
        self._tangents = {id(self.values[k]): direction for k, direction in enumerate(self.directions)}

    def tangent(self, root: Any) -> Tangent:
        """Return how an expression changes."""
        pending = [root]
        while pending:
            expression = pending[-1]
            unknown = [x for x in expression.arguments if id(x) not in self._tangents]
            if id(expression) in self._tangents or not unknown:
                pending.pop()
            else:
                pending += unknown
                continue
            if id(expression) not in self._tangents:
                self._tangents[id(expression)] = self._moved(expression)
        return self._tangents[id(root)]

    def _forward(self, batch: Batch, settings: Mapping[str, Any], *inputs: Any) -> Any:
        result = super()._forward(batch, settings, *inputs)
        if id(result) in self._tangents and not result.is_constant:
            # What is given on as it is may be declared to change otherwise, as where a gradient is stopped.
            shape, result = result.shape, ArrayExpression(self.recorder, "cast", (result,), FLOAT)
            result.shape = shape
        if batch.moving and batch.type.is_elementwise and batch.type.derivative is not None:
            given = self._derivatives(batch, settings, result, *inputs)
            parts = [self._call(batch.type, lambda _xp, p=p: p(), [], {}) if callable(p) else p for p in given]
            self._tangents[id(result)] = self._along(result, parts, inputs)
        return result

    def _product(self, gradient: Any, part: Any) -> Any:
        if not self._is_masked or (part.is_constant and np.all(np.isfinite(part.value))):
            return self.recorder.make("multiply", gradient, part)
        # As one operation, for it changes as a product does, also where the gradient is zero.
        return self.recorder.apply("masked", [gradient, part], FLOAT)

    def _moved(self, expression: Any) -> Tangent:
        """Return how an expression changes whose arguments' changes are known."""
        make, operation, arguments = self.recorder, expression.operation, expression.arguments
        changes = [self._tangents[id(x)] for x in arguments]
        if all(x is None for x in changes) or expression.kind in {INT, BOOL} or operation in STEPS:
            return None
        if operation in {"cast", "number"}:
            return changes[0]
        if operation == "masked":
            return self._along(expression, arguments[::-1], arguments)
        if operation == "where" or operation == "concat":
            filled = [make.broadcast(0.0, x.shape) if y is None else y for x, y in zip(arguments, changes, strict=True)]
            if operation == "concat":
                return make.apply("concat", filled, FLOAT, expression.value)
            return make.broadcast(make.make("where", arguments[0], *filled[1:]), expression.shape)
        if operation in {"max", "min"}:
            (x,), kept = arguments, [1 if k in expression.value else n for k, n in enumerate(arguments[0].shape)]
            ties = make.cast(make.make("equal", x, make.reshape(expression, kept)))
            shares = make.make("divide", ties, make.reduce("sum", ties, expression.value, keepdims=True))
            return make.reduce("sum", make.make("multiply", shares, changes[0]), expression.value)
        if operation == "inv":
            return make.make("negative", make.matmul(make.matmul(expression, changes[0]), expression))
        if operation == "solve" and changes[0] is not None:
            moved = make.matmul(changes[0], expression)
            changes = [None, make.make("negative", moved) if changes[1] is None else changes[1] - moved]
        if operation in LINEAR or operation == "einsum":
            total: Tangent = None
            for k in LINEAR.get(operation, range(len(arguments))):
                if changes[k] is not None:
                    with_change = [*arguments[:k], changes[k], *arguments[k + 1 :]]
                    total = self._sum(total, make.apply(operation, with_change, FLOAT, expression.value))
            return total
        return self._along(expression, self._partials(expression), arguments)

    def _partials(self, expression: Any) -> Sequence[Any]:
        """Return the derivatives of an operation on each element, as the node type of its name declares them."""
        make, arguments = self.recorder, expression.arguments
        if expression.operation == "copysign":
            size, sign = (make.make("copysign", 1.0, argument) for argument in arguments)
            return make.make("multiply", size, sign), None
        rule = RULES.get(expression.operation)
        if rule is None or rule.derivative is None:
            raise CannotTraceError(f"nothing is known of how {expression.operation} changes")
        return trace_derivatives(make, rule.derivative, expression, arguments, {})

    def _along(self, result: Any, partials: Sequence[Any], inputs: Sequence[Any]) -> Tangent:
        """Return how a result changes, of its derivatives by its inputs, element by element, and how those change."""
        total: Tangent = None
        for given, source in zip(partials, inputs, strict=True):
            if given is None or (change := self.tangent(source)) is None:
                continue
            local = self.recorder.cast(given)
            if not (local.is_constant and np.all(local.value == 0)):
                total = self._sum(total, self._product(change, local))
        return None if total is None else self.recorder.broadcast(total, result.shape)

    def _sum(self, first: Tangent, second: Tangent) -> Tangent:
        return second if first is None else first + second
