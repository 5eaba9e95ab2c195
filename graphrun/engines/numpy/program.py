"""What all programs of the NumPy engine share: the loop over steps, the updates, the watch for what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.errors import RunError, UsageError
from graphrun.base.norms import Numbers, norm
from graphrun.base.random import uniform
from graphrun.declare.clipping import clip, factor
from graphrun.declare.declaration import Function
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines import NotFinite, StepFailed, Stop
from graphrun.engines.numpy.namespace import namespace
from graphrun.engines.numpy.operation import Operation, is_finite
from graphrun.engines.numpy.timing import time_operations
from graphrun.engines.timing import Timing
from graphrun.plan.plan import Array, Batch, Feed, Plan

if TYPE_CHECKING:
    from graphrun.engines.numpy.nodes import NodeProgram


class NumpyProgram:
    """What both kinds of program share: the loop over steps, the updates, the watch for what is not finite."""

    _values: Any
    _gradients: Any

    def __init__(self, plan: Plan, feed: Feed | None = None) -> None:
        self.plan = plan
        self.feed = feed
        self.step = 0
        self._xp = namespace(plan.dtype)
        self._targets = self._make_targets()
        rule = plan.update.rule
        names = rule.state if isinstance(rule, UpdateRule) else ()
        self._states = [tuple(np.zeros_like(self._values[t]) for _ in names) for t, _ in self._targets]
        self._off_loop_step = -1

    def evaluate(self) -> None:
        """Run the forward and the backward pass at the parameters as they are."""
        with np.errstate(all="ignore"):
            with self._failing_as_a_step():
                self._forward(self._operations(self.plan.once))
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

    def objective_at(self, parameters: Sequence[Array]) -> float:
        """Return the objective with the parameters elsewhere, by the forward pass alone; `evaluate` has to follow."""
        self.set_parameters(parameters)
        with np.errstate(all="ignore"), self._failing_as_a_step():
            self._begin_step()
            self._forward(self._in_loop)
        return float(self._values[self.plan.objective])

    def snapshot(self) -> dict[str, Array]:
        """Return what a run goes on from: parameters, the rule's states, the nodes' states, by name."""
        plan = self.plan
        arrays = {f"parameters/{plan.names[k]}": self._values[k] for k in range(plan.parameters)}
        for state, name in enumerate(plan.rule.state):
            arrays |= {f"rule/{name}/{plan.names[k]}": self._rule_state(k, state) for k in range(plan.parameters)}
        arrays |= {f"states/{plan.names[slot]}": self._values[slot] for slot in plan.state_slots}
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
        for slot in plan.state_slots:
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
        from graphrun.engines.numpy.nodes import NodeProgram

        return NodeProgram(self.plan.evaluation(), self.feed)

    def form(self, steps: int) -> str:
        """Return how so many steps are run, in words."""
        raise NotImplementedError

    def time_nodes(self, steps: int) -> Timing:
        """Time each operation of the loop, as the passes come to it."""
        return time_operations(self.operations, self.pass_through, divided=self.form(steps) != "straight-line Python")

    def cost(self) -> dict[str, float]:
        """Return nothing: there is no compiler."""
        return {}

    def gradient_norm(self) -> float:
        """Return the Euclidean norm of the gradient of all parameters."""
        return norm(*self.gradients(range(self.plan.parameters)))

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
        if gradients is not None and not self.plan.moving[list(slots)].all():
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
        return self._operations(self.plan.off_loop)

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
        return [self._values[slot] for slot in self.plan.state_slots]

    def _set_node_states(self, values: Sequence[Array]) -> None:
        for slot, value in zip(self.plan.state_slots, values, strict=True):
            self._values[slot] = value

    def _next_node_states(self) -> list[Array]:
        """Return the nodes' states after the step whose forward pass was run last."""
        following: list[Array] = []
        for node in self.plan.states:
            batch = node.batch
            assert batch.type.next_state is not None  # noqa: S101 (for the type checker: a declaration is checked)
            inputs = [self._values[slot] for slot in self.plan.inputs_of(batch.start)]
            given = batch.type.next_state(self._xp, self._values[batch.start], *inputs, **dict(batch.settings))
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
        if self.plan.update.clips:
            gradients = self._clip(self.gradients(range(self.plan.parameters)))
            gradients = gradients if isinstance(self._gradients, list) else np.array(gradients)
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
        return partial(self.plan.rule.function, self._xp, **dict(self.plan.update.settings))

    def _bound_rule(self) -> Function:
        """Return the update rule with its settings in place, the step size that of the step."""
        schedule = self.plan.update.schedule
        if schedule is None:
            return self._constant_rule
        step_size = schedule[0].function(np, self.step, **dict(schedule[1]))
        return partial(self._constant_rule, step_size=self.plan.dtype.type(step_size))

    @cached_property
    def _clip(self) -> Callable[[Sequence[Array]], list[Array]]:
        return clipping(self.plan)

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


def clipping(plan: Plan) -> Callable[[Sequence[Array]], list[Array]]:
    """Return what clips the parameters' gradients."""
    update = plan.update
    number = plan.dtype.type

    def multiplier(gradients: Sequence[Array], limit: float) -> Array:
        found: Array = number(factor(Numbers, norm(*gradients), limit))
        return found

    return partial(clip, np, value=update.clip_value, norm=update.clip_norm, multiplier=multiplier, cast=number)
