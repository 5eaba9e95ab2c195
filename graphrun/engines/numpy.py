"""The NumPy engine, the specification of what a run computes.

The forward pass computes every node from its inputs. The backward pass goes the other way: it starts with the
derivative 1 of the objective by itself, and each node gives to each of its inputs its own gradient times the local
derivative of the node by that input; what a value is given by all its uses adds up (the chain rule).

A gradient of exactly zero gives zero, whatever the local derivative is: the objective does not depend on that value,
so nothing leaks from the branch of a `where` that is not taken, be it infinite or not a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from graphrun.declaration import Function
from graphrun.engines import NotFinite, Program, StepFailed, Stop
from graphrun.engines.straight_line import Steps, compile_steps
from graphrun.errors import RunError
from graphrun.plan import Array, Batch, Plan
from graphrun.shapes import Shape

# Fewer nodes in a batch than this are faster one by one: gathering their inputs into arrays costs about 1 us for any
# number of them, one operation on NumPy's numbers a tenth of that.
NODES_PER_BATCH = 6

# Straight-line code takes about 0.1 ms a node to write and compile, and saves about 1 us a node and step: it is made
# for graphs up to so many nodes, when a run has come to so many steps.
STRAIGHT_LINE_NODES = 500
STRAIGHT_LINE_STEPS = 100


class NumpyEngine:
    """Runs plans with NumPy: node by node or, where a graph has many equal nodes of numbers, batch by batch."""

    name = "numpy"

    def compile(self, plan: Plan) -> Program:
        """Make a plan ready to run."""
        nodes = len(plan.names) - len(plan.leaves)
        all_scalar = not any(plan.shapes)
        if all_scalar and nodes >= NODES_PER_BATCH * max(len(plan.batches), 1):
            return BatchProgram(plan)
        if all_scalar and nodes <= STRAIGHT_LINE_NODES and plan.dtype == np.float64 and plan.objective is not None:
            return StraightLineProgram(plan)
        return NodeProgram(plan)


class Operation(NamedTuple):
    """One operation of a pass; slots are an int for a single node, and an array or a slice for a batch.

    Attributes:
        forward: the forward function of the inputs.
        derivative: the local derivatives of (output, *inputs) or, of a tensor type, the vjp of (gradient, output, ...);
            NaN where a type declares none, for an input that no parameter reaches.
        inputs: the slots of the inputs.
        output: the slot of the output.
        wanted: the inputs whose gradient is wanted: position, slots, and the axes along which the input was broadcast.
        elementwise: whether `derivative` gives local derivatives.
    """

    forward: Function
    derivative: Function
    inputs: Sequence[Any]
    output: Any
    wanted: Sequence[tuple[int, Any, tuple[int, ...] | None]]
    elementwise: bool


class NumpyProgram:
    """What both kinds of program share: the loop over steps, the updates, the watch for what is not finite."""

    _values: Any
    _gradients: Any

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.step = 0
        self._rule = partial(plan.rule.function, np, **dict(plan.rule_settings))
        self._targets = self._make_targets()
        self._states = [tuple(np.zeros_like(self._values[t]) for _ in plan.rule.state) for t, _ in self._targets]
        self._in_loop = self._operations(plan.in_loop)
        self._off_loop = self._operations(batch for batch in plan.batches if batch.moving and not batch.needed)
        self._off_loop_step = -1

    def evaluate(self) -> None:
        """Run the forward and the backward pass at the parameters as they are."""
        with np.errstate(all="ignore"):
            with self._failing_as_a_step():
                self._forward(self._operations(batch for batch in self.plan.batches if not batch.moving))
                finite = self._evaluate()
            if not finite:
                raise NotFinite(self._parameters())

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        """Make `count` steps, fewer if the stop rule gives a reason."""
        with np.errstate(all="ignore"):
            for _ in range(count):
                parameters, states = self._parameters(), self._states
                failure: RunError | None = None
                try:
                    self._update()
                    if not self._evaluate():
                        failure = NotFinite(self._parameters())
                except (Exception, SystemExit) as error:
                    failure = StepFailed(self._parameters(), error)
                if failure is not None:
                    self._values[: self.plan.parameters], self._states = parameters, states
                    with self._failing_as_a_step():
                        self._evaluate()
                    raise failure
                self.step += 1
                if stop is not None and (
                    reason := stop(float(self._values[self.plan.objective]), self.gradient_norm())
                ):
                    return reason
        return None

    def gradient_norm(self) -> float:
        """Return the Euclidean norm of the gradient of all parameters."""
        parts = self.gradients(range(self.plan.parameters))
        return math.hypot(*(part if isinstance(part, float) else np.linalg.norm(np.ravel(part)) for part in parts))

    def values(self, slots: Sequence[int]) -> list[Array]:
        """Return the values of some slots."""
        if self._off_loop and self._off_loop_step != self.step:
            self._off_loop_step = self.step
            for operation in self._off_loop:
                self._values[operation.output] = None
            with np.errstate(all="ignore"), self._failing_as_a_step():
                self._forward(self._off_loop)
        values = (self._values[slot] for slot in slots)
        # What a failed pass did not come to has no value.
        return [
            np.full(self.plan.shapes[slot], np.nan)[()] if v is None else v
            for slot, v in zip(slots, values, strict=True)
        ]

    def gradients(self, slots: Sequence[int]) -> list[Array]:
        """Return the derivatives of the objective by the values of some slots."""
        gradients = self._gradients
        if gradients is not None and not all(self._moving[slot] for slot in slots):
            with np.errstate(all="ignore"), self._failing_as_a_step():
                gradients = self._backward(self._needed, masked=True)
        # What a failed pass did not come to is not known; what the objective does not depend on is 0.
        nothing = self.plan.dtype.type(np.nan if gradients is None else 0)
        shapes = self.plan.shapes
        found = (nothing if gradients is None or gradients[slot] is None else gradients[slot] for slot in slots)
        return [
            gradient if np.shape(gradient) == shapes[slot] else np.full(shapes[slot], gradient)
            for slot, gradient in zip(slots, found, strict=True)
        ]

    @property
    def operations(self) -> Sequence[Operation]:
        """The operations of the loop, in order."""
        return self._in_loop

    @property
    def raw_gradients(self) -> Any:
        """The gradients of the last backward pass by slot; None where nothing reaches a slot."""
        return self._gradients

    @cached_property
    def _needed(self) -> list[Operation]:
        """Every operation that the objective depends on, also those that no step changes."""
        return self._operations((batch for batch in self.plan.batches if batch.needed), all_wanted=True)

    @cached_property
    def _moving(self) -> list[bool]:
        """Whether the value of a slot depends on a parameter."""
        plan = self.plan
        moving = [slot < plan.parameters for slot in range(len(plan.leaves))]
        for batch in plan.batches:
            moving += [batch.moving] * batch.count
        return moving

    def _parameters(self) -> Any:
        return self._values[: self.plan.parameters]

    @contextmanager
    def _failing_as_a_step(self) -> Iterator[None]:
        """Turn whatever a plugin's function raises into the signal that a run understands."""
        try:
            yield
        except (Exception, SystemExit) as error:
            raise StepFailed(self._parameters(), error) from error

    def _evaluate(self) -> bool:
        """Run both passes; return whether the objective and the parameters' gradients are finite."""
        if self.plan.objective is None:
            return True
        self._forward(self._in_loop)
        self._gradients = self._backward(self._in_loop, masked=False)
        if not self._finite():
            # The masked pass gives the same where all is finite, and takes longer.
            self._gradients = self._backward(self._in_loop, masked=True)
        return self._finite()

    def _finite(self) -> bool:
        gradients = self._gradients[: self.plan.parameters]
        return is_finite(self._values[self.plan.objective]) and all(map(is_finite, gradients))

    def _forward(self, operations: Iterable[Operation]) -> None:
        values = self._values
        for forward, _, inputs, output, _, _ in operations:
            values[output] = forward(*[values[slot] for slot in inputs])

    def _update(self) -> None:
        """Give every parameter its new value; all of them read the gradients of the same pass."""
        values, gradients = self._values, self._gradients
        step = (self.step + 1,) if self.plan.rule.takes_step else ()
        states = []
        for (target, bounds), state in zip(self._targets, self._states, strict=True):
            gradient = gradients[target]
            if gradient is None:
                gradient = values[target] * 0
            elif self.plan.maximize:
                gradient = -gradient
            value = self._rule(values[target], gradient, *step, *state)
            following: Sequence[Array] = ()
            if state:
                value, *following = value
            if bounds is not None:
                value = np.minimum(np.maximum(value, bounds[0]), bounds[1])
            values[target] = value
            states.append(tuple(following))
        self._states = states

    def _make_targets(self) -> list[tuple[Any, tuple[Array, Array] | None]]:
        """Set the leaves' values; return what the rule updates: slots and their bounds."""
        raise NotImplementedError

    def _operations(self, batches: Iterable[Batch], *, all_wanted: bool = False) -> list[Operation]:
        """Bind the batches' functions to NumPy, to their settings and to their slots."""
        raise NotImplementedError

    def _backward(self, operations: Sequence[Operation], *, masked: bool) -> Any:
        """Return the gradients by slot."""
        raise NotImplementedError


class NodeProgram(NumpyProgram):
    """Node by node: values are a list of NumPy numbers and arrays. For small graphs, and for arrays."""

    def _make_targets(self) -> list[tuple[Any, tuple[Array, Array] | None]]:
        plan = self.plan
        self._values = [*plan.leaves, *[None] * (len(plan.names) - len(plan.leaves))]
        self._gradients = None
        return list(enumerate(plan.bounds))

    def _operations(self, batches: Iterable[Batch], *, all_wanted: bool = False) -> list[Operation]:
        plan, shapes = self.plan, self.plan.shapes
        moving = self._moving
        operations = []
        for batch in batches:
            forward, derivative = bind(batch)
            if batch.casts:
                forward = cast(forward, plan.dtype)
            for output, inputs in enumerate(plan.inputs(batch).T.tolist(), batch.start):
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


class StraightLineProgram(NodeProgram):
    """Node by node, with long stretches of steps as straight-line code. For small graphs of numbers."""

    @cached_property
    def _steps(self) -> Steps:
        return compile_steps(self.plan, self._values)

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        """Make `count` steps; those that need a closer look node by node."""
        if stop is not None or self.step + count < STRAIGHT_LINE_STEPS:
            return super().advance(count, stop)
        last = self.step + count
        parameters = self.plan.parameters
        while self.step < last:
            for k in range(parameters):
                if self._gradients[k] is None:
                    self._gradients[k] = np.float64(0)
            states = [state for states in self._states for state in states]
            with np.errstate(all="ignore"):
                made, states = self._steps(last - self.step, self.step, self._values, self._gradients, states)
            size = len(self.plan.rule.state)
            self._states = [tuple(states[k * size : (k + 1) * size]) for k in range(parameters)]
            self.step += made
            if self.step < last:
                super().advance(1)
        return None


class BatchProgram(NumpyProgram):
    """Batch by batch: values are one vector of numbers, and equal nodes are one array operation. For large graphs."""

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

    def _operations(self, batches: Iterable[Batch], *, all_wanted: bool = False) -> list[Operation]:
        operations = []
        for batch in batches:
            forward, derivative = bind(batch)
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


def bind(batch: Batch) -> tuple[Function, Function]:
    """Return a batch's two functions with NumPy and the settings in place."""
    settings = dict(batch.settings)
    bound = partial(batch.type.function, np, **settings)
    if batch.type.derivative is None:
        leading = 1 if batch.type.is_elementwise else 2
        return bound, lambda *arguments: tuple(np.full_like(x, np.nan) for x in arguments[leading:])
    return bound, partial(batch.type.derivative, np, **settings)


def cast(function: Function, dtype: np.dtype[Any]) -> Function:
    """Return the function with its result cast to a dtype: what a comparison gives becomes 0 or 1."""
    return lambda *inputs: np.asarray(function(*inputs)).astype(dtype)[()]


def mask(gradient: Array, partial_derivative: Array) -> Array:
    """Multiply, but zero times anything is zero."""
    return np.where(gradient == 0, 0.0, gradient * partial_derivative)[()]


def broadcast_axes(shape: Shape, output: Shape) -> tuple[int, ...] | None:
    """Return the axes of an output along which an input of some shape was broadcast; None where it was not."""
    if shape == output:
        return None
    added = len(output) - len(shape)
    return tuple(axis for axis, size in enumerate(output) if axis < added or (shape[axis - added] == 1 != size))


def is_finite(value: Array | None) -> bool:
    """Whether every element is finite; None, a gradient that nothing reaches, is."""
    if isinstance(value, float | None):
        return value is None or math.isfinite(value)
    return bool(np.isfinite(value).all())
