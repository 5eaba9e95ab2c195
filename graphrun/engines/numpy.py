"""The NumPy engine, the specification of what a run computes.

The forward pass computes every node from its inputs. The backward pass goes the other way: it starts with the
derivative 1 of the objective by itself, and each node gives to each of its inputs its own gradient times the local
derivative of the node by that input; what a value is given by all its uses adds up (the chain rule).

A gradient of exactly zero gives zero, whatever the local derivative is: the objective does not depend on that value,
so nothing leaks from the branch of a `where` that is not taken, be it infinite or not a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from graphrun.declaration import Function
from graphrun.engines import NotFinite, Program, StepFailed, Stop
from graphrun.engines.straight_line import Steps, compile_steps
from graphrun.errors import RunError, UsageError
from graphrun.plan import Array, Batch, Feed, Plan
from graphrun.random import uniform
from graphrun.shapes import Shape, as_index
from graphrun.updaterule import UpdateRule

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

    def compile(self, plan: Plan, feed: Feed | None = None) -> Program:
        """Make a plan ready to run."""
        nodes = len(plan.names) - len(plan.leaves)
        if feed is not None or plan.noise or plan.states:
            return NodeProgram(plan, feed)
        all_scalar = not any(plan.shapes)
        if all_scalar and nodes >= NODES_PER_BATCH * max(len(plan.batches), 1):
            return BatchProgram(plan)
        update = plan.update
        is_plain = isinstance(update.rule, UpdateRule) and update.schedule is None
        is_plain = is_plain and update.clip_norm is None and update.clip_value is None and plan.objective is not None
        if all_scalar and is_plain and nodes <= STRAIGHT_LINE_NODES and plan.dtype == np.float64:
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

    def __init__(self, plan: Plan, feed: Feed | None = None) -> None:
        self.plan = plan
        self.feed = feed
        self.step = 0
        self._targets = self._make_targets()
        rule = plan.update.rule
        names = rule.state if isinstance(rule, UpdateRule) else ()
        self._states = [tuple(np.zeros_like(self._values[t]) for _ in names) for t, _ in self._targets]
        self._off_loop_step = -1

    def evaluate(self) -> None:
        """Run the forward and the backward pass at the parameters as they are."""
        with np.errstate(all="ignore"):
            with self._failing_as_a_step():
                self._forward(self._operations(batch for batch in self.plan.batches if not batch.varying))
                finite = self._evaluate()
            if not finite:
                raise NotFinite(self._leaves())

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        """Make `count` steps, fewer if the stop rule gives a reason."""
        with np.errstate(all="ignore"):
            for _ in range(count):
                step, before = self.step, (self._parameters(), self._states, self._node_states())
                failure: RunError | None = None
                try:
                    self._update()
                    self.step += 1
                    if not self._evaluate():
                        failure = NotFinite(self._leaves())
                except (Exception, SystemExit) as error:
                    failure = StepFailed(self._leaves(), error)
                if failure is not None:
                    self.step = step
                    self._values[: self.plan.parameters], self._states, node_states = before
                    self._set_node_states(node_states)
                    with self._failing_as_a_step():
                        self._evaluate()
                    raise failure
                if stop is not None and (
                    reason := stop(float(self._values[self.plan.objective]), self.gradient_norm())
                ):
                    return reason
        return None

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        """Put the parameters elsewhere; `evaluate` has to follow."""
        for slot, value in enumerate(parameters):
            self._values[slot] = np.asarray(value, dtype=self.plan.dtype)[()]
        self._off_loop_step = -1

    def snapshot(self) -> dict[str, Array]:
        """Return what a run goes on from: parameters, the rule's states, the nodes' states, by name."""
        plan = self.plan
        arrays = {f"parameters/{plan.names[k]}": self._values[k] for k in range(plan.parameters)}
        for state, name in enumerate(plan.rule.state):
            arrays |= {f"rule/{name}/{plan.names[k]}": self._rule_state(k, state) for k in range(plan.parameters)}
        for node in plan.states:
            arrays |= {f"states/{plan.names[slot]}": self._values[slot] for slot in node.slots}
        return {name: np.array(value) for name, value in arrays.items()}

    def restore(self, snapshot: Mapping[str, Array], step: int) -> None:
        """Go on from a snapshot, at some step; `evaluate` has to follow."""
        plan = self.plan
        self.restore_values(snapshot)
        for state, name in enumerate(plan.rule.state):
            for k in range(plan.parameters):
                self._set_rule_state(k, state, snapshot[f"rule/{name}/{plan.names[k]}"])
        self.step = step

    def restore_values(self, snapshot: Mapping[str, Array]) -> None:
        """Take the parameters and the nodes' states of a snapshot; `evaluate` has to follow."""
        plan = self.plan
        self.set_parameters([snapshot[f"parameters/{plan.names[k]}"] for k in range(plan.parameters)])
        for node in plan.states:
            for slot in node.slots:
                self._values[slot] = np.asarray(snapshot[f"states/{plan.names[slot]}"], dtype=plan.dtype)[()]

    def evaluate_rows(self, columns: Sequence[Array], slots: Sequence[int]) -> list[Array]:
        """Return values on other rows of the data set, at the parameters as they are; nothing is changed by it.

        Args:
            columns: the columns of the rows, in the order of the plan's `data`.
            slots: the values that are asked for.

        Raises:
            UsageError: a node does not take that many rows, or what stands in them.
        """
        program = self._evaluation
        program._values[: len(self.plan.leaves)] = self._values[: len(self.plan.leaves)]
        for slot, column in zip(self.plan.data, columns, strict=True):
            program._values[slot] = self._as_leaf(slot, column)
        for noise in self.plan.noise:
            shape = np.shape(program._values[noise.like])
            program._values[noise.slot] = np.zeros(shape, self.plan.dtype)[()]
        with np.errstate(all="ignore"):
            for operation in program._operations(program.plan.batches):
                try:
                    program._forward([operation])
                except (Exception, SystemExit) as error:
                    name, rows = self.plan.names[operation.output], len(columns[0]) if columns else 0
                    raise UsageError(f"node {name!r} cannot be evaluated on {rows} rows: {error}") from error
        return [program._values[slot] for slot in slots]

    @cached_property
    def _evaluation(self) -> NodeProgram:
        return NodeProgram(self.plan.evaluation(), self.feed)

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

    @cached_property
    def _in_loop(self) -> list[Operation]:
        return self._operations(self.plan.in_loop)

    @cached_property
    def _off_loop(self) -> list[Operation]:
        return self._operations(batch for batch in self.plan.batches if batch.varying and not batch.needed)

    @property
    def operations(self) -> Sequence[Operation]:
        """The operations of the loop, in order."""
        return self._in_loop

    def pass_through(self, operations: Sequence[Operation]) -> None:
        """Run both passes over the operations of the loop, for one who looks at each as it is taken from them."""
        with np.errstate(all="ignore"), self._failing_as_a_step():
            self._begin_step()
            self._forward(operations)
            self._gradients = self._backward(operations, masked=False)

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

    def _begin_step(self) -> None:
        """Give the nodes what belongs to the step: its rows of the data set, its random numbers."""
        plan = self.plan
        if self.feed is not None and plan.feeds:
            for slot, column in zip(plan.data, self.feed.batch(self.step), strict=True):
                self._values[slot] = self._as_leaf(slot, column)
        for noise in plan.noise:
            drawn = uniform(np, noise.key, self.step, noise.shape)
            self._values[noise.slot] = np.asarray(drawn, dtype=plan.dtype)[()]

    def _as_leaf(self, slot: int, column: Array) -> Array:
        """Return a column of the data set as the graph takes it: as integers where it only selects."""
        keeps_integers = self.plan.leaves[slot].dtype.kind in "iu"
        return column if keeps_integers else np.asarray(column, dtype=self.plan.dtype)

    def _node_states(self) -> list[Array]:
        return [self._values[slot] for node in self.plan.states for slot in node.slots]

    def _set_node_states(self, values: Sequence[Array]) -> None:
        slots = [slot for node in self.plan.states for slot in node.slots]
        for slot, value in zip(slots, values, strict=True):
            self._values[slot] = value

    def _next_node_states(self) -> list[Array]:
        """Return the nodes' states after the step whose forward pass was run last."""
        following: list[Array] = []
        for node in self.plan.states:
            batch = node.batch
            assert batch.type.next_state is not None  # noqa: S101 (for the type checker: a declaration is checked)
            inputs = [self._values[slot] for slot in self.plan.inputs(batch)[:, 0].tolist()]
            given = batch.type.next_state(np, self._values[batch.start], *inputs, **dict(batch.settings))
            following += [np.asarray(value, dtype=self.plan.dtype)[()] for value in given]
        return following

    def _leaves(self) -> list[Array]:
        return list(self._values[: len(self.plan.leaves)])

    def _parameters(self) -> Any:
        return self._values[: self.plan.parameters]

    @contextmanager
    def _failing_as_a_step(self) -> Iterator[None]:
        """Turn whatever a plugin's function raises into the signal that a run understands."""
        try:
            yield
        except (Exception, SystemExit) as error:
            raise StepFailed(self._leaves(), error) from error

    def _evaluate(self) -> bool:
        """Run both passes; return whether the objective and the parameters' gradients are finite."""
        self._begin_step()
        if self.plan.objective is None:
            return True
        self._forward(self._in_loop)
        self._gradients = self._backward(self._in_loop, masked=False)
        if self._finite():
            return True
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
        values, gradients, rule = self._values, self._gradients, self._bound_rule()
        if self.plan.states:
            self._set_node_states(self._next_node_states())
        if self._clips:
            gradients = self._clipped(gradients)
        step = (self.step + 1,) if self.plan.rule.takes_step else ()
        states = []
        for (target, bounds), state in zip(self._targets, self._states, strict=True):
            gradient = gradients[target]
            if gradient is None:
                gradient = values[target] * 0
            elif self.plan.maximize:
                gradient = -gradient
            value = rule(values[target], gradient, *step, *state)
            following: Sequence[Array] = ()
            if state:
                value, *following = value
            if bounds is not None:
                value = np.minimum(np.maximum(value, bounds[0]), bounds[1])
            values[target] = value
            states.append(tuple(following))
        self._states = states

    @cached_property
    def _constant_rule(self) -> Function:
        return partial(self.plan.rule.function, np, **dict(self.plan.update.settings))

    def _bound_rule(self) -> Function:
        """Return the update rule with its settings in place, the step size that of the step."""
        schedule = self.plan.update.schedule
        if schedule is None:
            return self._constant_rule
        step_size = schedule[0].function(np, self.step, **dict(schedule[1]))
        return partial(self._constant_rule, step_size=self.plan.dtype.type(step_size))

    @cached_property
    def _clips(self) -> bool:
        return self.plan.update.clip_norm is not None or self.plan.update.clip_value is not None

    def _clipped(self, gradients: Any) -> Any:
        """Return the parameters' gradients, brought to the largest norm and the largest value that are allowed.

        The norm is that of the whole gradient; the formula is that of PyTorch's ``clip_grad_norm_``.
        """
        update = self.plan.update
        clipped = self.gradients(range(self.plan.parameters))
        if update.clip_value is not None:
            limit = self.plan.dtype.type(update.clip_value)
            clipped = [np.minimum(np.maximum(gradient, -limit), limit) for gradient in clipped]
        if update.clip_norm is not None:
            norm = math.hypot(*(float(np.linalg.norm(np.ravel(gradient))) for gradient in clipped))
            factor = self.plan.dtype.type(min(1.0, update.clip_norm / (norm + 1e-6)))
            clipped = [gradient * factor for gradient in clipped]
        return clipped if isinstance(gradients, list) else np.array(clipped)

    def _rule_state(self, parameter: int, state: int) -> Array:
        """Return one state of the update rule for one parameter."""
        raise NotImplementedError

    def _set_rule_state(self, parameter: int, state: int, value: Array) -> None:
        raise NotImplementedError

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

    def _rule_state(self, parameter: int, state: int) -> Array:
        return self._states[parameter][state]

    def _set_rule_state(self, parameter: int, state: int, value: Array) -> None:
        states = list(self._states[parameter])
        states[state] = np.asarray(value, dtype=self.plan.dtype)[()]
        self._states[parameter] = tuple(states)

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

    def _rule_state(self, parameter: int, state: int) -> Array:
        return self._states[0][state][parameter]

    def _set_rule_state(self, parameter: int, state: int, value: Array) -> None:
        self._states = [tuple(array.copy() for array in self._states[0])]
        self._states[0][state][parameter] = value

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
    """Return a batch's two functions with NumPy and the settings in place, inputs that select cast to integers."""
    settings = dict(batch.settings)
    forward = partial(batch.type.function, np, **settings)
    before = 1 if batch.type.is_elementwise else 2
    derivative: Function = lambda *given: tuple(np.full_like(x, np.nan) for x in given[before:])  # noqa: E731
    if batch.type.derivative is not None:
        derivative = partial(batch.type.derivative, np, **settings)
    indices = batch.type.index_inputs
    if not indices:
        return forward, derivative

    def with_indices(function: Function, first: int) -> Function:
        positions = {first + position for position in indices}
        return lambda *inputs: function(*(as_index(x) if k in positions else x for k, x in enumerate(inputs)))

    return with_indices(forward, 0), with_indices(derivative, before)


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
    # The sum of squares takes a fifth of the time of looking at each element, and is finite only if all are.
    return math.isfinite(np.vdot(value, value)) or bool(np.isfinite(value).all())
