"""A program of the NumPy engine: the loop over steps, and the watch for what is not finite."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np

from graphrun.base.errors import RunError, UsageError
from graphrun.base.norms import norm
from graphrun.base.random import uniform
from graphrun.base.types import Array
from graphrun.declare.clipping import clip_mean
from graphrun.engines import NotFinite, StepFailed, Stop, Timing
from graphrun.engines.numpy.namespace import namespace
from graphrun.engines.numpy.operation import Operation, is_finite
from graphrun.engines.numpy.passes import BatchPasses, NodePasses, forward
from graphrun.engines.numpy.straight_line import STRAIGHT_LINE_STEPS, Steps, compile_steps
from graphrun.engines.numpy.timing import time_operations
from graphrun.engines.numpy.update import Updater
from graphrun.plan.plan import Feed


class NumpyProgram:
    """A plan with its passes and its updates.

    Attributes:
        straight_line: long stretches of steps are made by straight-line code; the passes are node by node.
        values_by_slot, gradients_by_slot: what the passes of the last step gave, as `passes` holds it.
        updater: the update, with the states of its rule.
    """

    def __init__(
        self, passes: NodePasses | BatchPasses, feed: Feed | None = None, *, straight_line: bool = False
    ) -> None:
        self.plan = passes.plan
        self.feed = feed
        self.step = 0
        self.passes = passes
        self.straight_line = straight_line
        self.values_by_slot: Any = passes.values()
        self.gradients_by_slot: Any = None
        self.updater = Updater(passes, self.values_by_slot)
        self._off_loop_step = -1

    def form(self, steps: int) -> str:
        """Return how so many steps are made, in words."""
        if isinstance(self.passes, BatchPasses):
            return "batch by batch"
        return "straight-line Python" if self.straight_line and steps >= STRAIGHT_LINE_STEPS else "node by node"

    def evaluate(self) -> None:
        """Run the forward and the backward pass at the parameters as they are."""
        self.begin()
        with self.plugins_called():
            finite = self.run_passes()
        if not finite:
            raise NotFinite(self.leaves())

    def begin(self) -> None:
        """Compute what no step changes."""
        with self.plugins_called():
            forward(self._once, self.values_by_slot)

    def run_passes(self) -> bool:
        """Run both passes of a step; return whether the objective and the parameters' gradients are finite."""
        self.begin_step()
        if self.plan.objective is None:
            return True
        forward(self._in_loop, self.values_by_slot)
        self.gradients_by_slot = self.passes.backward(self._in_loop, self.values_by_slot)
        if self._finite():
            return True
        # The masked pass gives the same where all is finite, and takes longer.
        self.gradients_by_slot = self.passes.backward(self._in_loop_masked, self.values_by_slot)
        return self._finite()

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        """Make `count` steps, fewer if the stop rule gives a reason."""
        last = self.step + count
        if not self.straight_line or last < STRAIGHT_LINE_STEPS or self.gradients_by_slot is None:
            return self._advance_one_by_one(count, stop)
        while self.step < last:
            made, reason = self._advance_in_a_stretch(last - self.step, stop)
            if reason is None and self.step < last:
                if self.plan.states:
                    # What nodes keep is made of the values of the step before.
                    self.evaluate()
                # Where one step needs a closer look, the next ones mostly do too.
                reason = self._advance_one_by_one(1 if made else last - self.step, stop)
            if reason:
                return reason
        return None

    def _advance_in_a_stretch(self, count: int, stop: Stop | None) -> tuple[int, str | None]:
        """Make steps by straight-line code, up to one that needs a closer look; return how many, and why to stop."""
        states = [state for states in self.updater.states for state in states]
        with np.errstate(all="ignore"):
            made, states, reason = self._steps(
                count, self.step, self.values_by_slot, self.gradients_by_slot, states, stop
            )
        size = len(self.plan.rule.state)
        self.updater.states = [tuple(states[k * size : (k + 1) * size]) for k in range(self.plan.parameters)]
        self.step += made
        return made, reason

    @cached_property
    def _steps(self) -> Steps:
        return compile_steps(self.plan, self.values_by_slot, self.feed, self.updater.step_size)

    def _advance_one_by_one(self, count: int, stop: Stop | None) -> str | None:
        with np.errstate(all="ignore"):
            for _ in range(count):
                step, parameters = self.step, copy(self.values_by_slot[: self.plan.parameters])
                states, node_states = self.updater.states, [self.values_by_slot[slot] for slot in self.plan.state_slots]
                failure: RunError | None = None
                try:
                    self._update()
                    self.step += 1
                    if not self.run_passes():
                        failure = NotFinite(self.leaves())
                except (Exception, SystemExit) as error:
                    failure = StepFailed(self.leaves(), error)
                if failure is not None:
                    self.step = step
                    self.values_by_slot[: self.plan.parameters], self.updater.states = parameters, states
                    self._set_node_states(node_states)
                    with self.plugins_called():
                        self.run_passes()
                    raise failure
                if stop is not None and (
                    reason := stop(float(self.values_by_slot[self.plan.objective]), self.gradient_norm())
                ):
                    return reason
        return None

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        """Put the parameters elsewhere; `evaluate` has to follow."""
        for slot, value in enumerate(parameters):
            self.values_by_slot[slot] = np.asarray(value, dtype=self.plan.dtype)[()]
        self._off_loop_step = -1

    @property
    def step_size(self) -> float | None:
        """The step size that was put here in place of the file's."""
        return self.updater.step_size

    @step_size.setter
    def step_size(self, step_size: float | None) -> None:
        self.updater.set_step_size(step_size)
        vars(self).pop("_steps", None)

    def at(self, vector: Array) -> tuple[float, Array]:
        """Return the objective and its gradient with the parameters elsewhere, finite or not; no step is made.

        Args:
            vector: all parameters, end to end; so is the gradient.
        """
        parameters = self.plan.parameters
        with self.plugins_called():
            self.passes.put(self.values_by_slot, vector)
            self.run_passes()
            self._off_loop_step = -1
        gradients = [np.ravel(gradient) for gradient in self.gradients(range(parameters))]
        return float(self.values_by_slot[self.plan.objective]), np.concatenate(gradients)

    def values_at(self, vector: Array, slots: Sequence[int]) -> list[Array]:
        """Return the values of some slots with the parameters elsewhere, by the forward pass alone."""
        with self.plugins_called():
            self.passes.put(self.values_by_slot, vector)
            self.begin_step()
            forward(self._in_loop, self.values_by_slot)
        self._off_loop_step = -1
        return self.values(slots)

    def objective_at(self, parameters: Sequence[Array]) -> float:
        """Return the objective with the parameters elsewhere, by the forward pass alone; `evaluate` has to follow."""
        self.set_parameters(parameters)
        with self.plugins_called():
            self.begin_step()
            forward(self._in_loop, self.values_by_slot)
        return float(self.values_by_slot[self.plan.objective])

    def snapshot(self) -> dict[str, Array]:
        """Return what a run goes on from: parameters, the rule's states, the nodes' states, by name."""
        plan = self.plan
        arrays = {f"parameters/{plan.names[k]}": self.values_by_slot[k] for k in range(plan.parameters)}
        for state, name in enumerate(self.updater.names):
            kept = self.passes.by_parameter([states[state] for states in self.updater.states])
            arrays |= {f"rule/{name}/{plan.names[k]}": kept[k] for k in range(plan.parameters)}
        arrays |= {f"states/{plan.names[slot]}": self.values_by_slot[slot] for slot in plan.state_slots}
        return {name: np.array(value) for name, value in arrays.items()}

    def restore(self, snapshot: Mapping[str, Array], step: int) -> None:
        """Go on from a snapshot, at some step; `evaluate` has to follow."""
        plan = self.plan
        self.restore_values(snapshot)
        parameters, rule = plan.names[: plan.parameters], self.updater.names
        kept = [[snapshot[f"rule/{state}/{name}"] for name in parameters] for state in rule]
        if kept:
            self.updater.states = list(zip(*map(self.passes.by_target, kept), strict=True))
        self.step = step

    def restore_values(self, snapshot: Mapping[str, Array]) -> None:
        """Take the parameters and the nodes' states of a snapshot; `evaluate` has to follow."""
        plan = self.plan
        self.set_parameters([snapshot[f"parameters/{plan.names[k]}"] for k in range(plan.parameters)])
        for slot in plan.state_slots:
            self.values_by_slot[slot] = np.asarray(snapshot[f"states/{plan.names[slot]}"], dtype=plan.dtype)[()]

    def evaluate_rows(
        self, columns: Sequence[Array], slots: Sequence[int], known: Mapping[int, Array] | None = None
    ) -> list[Array]:
        """Return values on other rows of the data set, at the parameters as they are; nothing is changed by it.

        Args:
            columns: the columns of the rows, in the order of the plan's `data`.
            slots: the values that are asked for.
            known: values that are given, by slot.

        Raises:
            UsageError: a node does not take that many rows, or what stands in them.
        """
        plan = self.plan
        values: list[Any] = [*self.leaves(), *[None] * plan.node_count]
        for slot, column in zip(plan.data, columns, strict=True):
            values[slot] = self._as_leaf(slot, column)
        for noise in plan.noise:
            values[noise.slot] = np.zeros(np.shape(values[noise.like]), plan.dtype)[()]
        for slot, value in (known or {}).items():
            values[slot] = value
        with np.errstate(all="ignore"):
            for operation in self._evaluation_of(slots, known or ()):
                try:
                    forward([operation], values)
                except (Exception, SystemExit) as error:
                    name, rows = plan.names[operation.output], len(columns[0]) if columns else 0
                    raise UsageError(f"node {name!r} cannot be evaluated on {rows} rows: {error}") from error
        return [values[slot] for slot in slots]

    def _evaluation_of(self, slots: Iterable[int], known: Collection[int]) -> list[Operation]:
        """Return the operations that some values need, where others are known."""
        needed, found = {slot for slot in slots if slot not in known}, []
        for operation in reversed(self._evaluation):
            if operation.output in needed:
                found.append(operation)
                needed.update(slot for slot in operation.inputs if slot not in known)
        return found[::-1]

    @cached_property
    def _evaluation(self) -> list[Operation]:
        plan = self.plan.evaluation()
        # Nothing is pulled back through them, so nothing is kept.
        return [o._replace(function=o.bound.function) for o in NodePasses(plan).operations(plan.batches)]

    def time_nodes(self, steps: int) -> Timing:
        """Time the operations of the loop, as the passes come to them."""
        divided = self.form(steps) != "straight-line Python"
        return time_operations(self.operations(), self.pass_through, divided=divided)

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
                self.values_by_slot[operation.output] = None
            with self.plugins_called():
                forward(self._off_loop, self.values_by_slot)
        values = (self.values_by_slot[slot] for slot in slots)
        # What a failed pass did not come to has no value.
        return [
            np.full(self.plan.shapes[slot], np.nan)[()] if v is None else v
            for slot, v in zip(slots, values, strict=True)
        ]

    def gradients(self, slots: Sequence[int]) -> list[Array]:
        """Return the derivatives of the objective by the values of some slots."""
        gradients = self.gradients_by_slot
        if gradients is not None and not (self.plan.moving[list(slots)].all() and self._are_finite(slots)):
            with self.plugins_called():
                gradients = self.passes.backward(self._needed, self.values_by_slot)
        # What a failed pass did not come to is not known; what the objective does not depend on is 0.
        nothing = self.plan.dtype.type(np.nan if gradients is None else 0)
        shapes = self.plan.shapes
        found = (nothing if gradients is None or gradients[slot] is None else gradients[slot] for slot in slots)
        return [
            gradient if np.shape(gradient) == shapes[slot] else np.full(shapes[slot], gradient)
            for slot, gradient in zip(slots, found, strict=True)
        ]

    def _are_finite(self, slots: Sequence[int]) -> bool:
        """Whether the gradients of nodes are finite; a step looks at those of the parameters, to see if it has to mask.

        What is not finite need not come to them: `stop_gradient` passes nothing on.
        """
        parameters = self.plan.parameters
        return all(is_finite(self.gradients_by_slot[slot]) for slot in slots if slot >= parameters)

    @cached_property
    def _once(self) -> list[Operation]:
        # A solver begins anew at each point.
        return self.passes.operations(self.plan.once)

    @cached_property
    def _in_loop(self) -> list[Operation]:
        return self.passes.operations(self.plan.in_loop)

    @cached_property
    def _in_loop_masked(self) -> list[Operation]:
        return self.passes.operations(self.plan.in_loop, masked=True)

    @cached_property
    def _off_loop(self) -> list[Operation]:
        return self.passes.operations(self.plan.off_loop)

    def operations(self, *, masked: bool = False) -> Sequence[Operation]:
        """Return the operations of the loop, in order."""
        return self._in_loop_masked if masked else self._in_loop

    def pass_through(self, operations: Sequence[Operation]) -> None:
        """Run both passes over the operations of the loop, for one who looks at each as it is taken from them."""
        with self.plugins_called():
            self.begin_step()
            forward(operations, self.values_by_slot)
            self.gradients_by_slot = self.passes.backward(operations, self.values_by_slot)

    @cached_property
    def _needed(self) -> list[Operation]:
        """Every operation that the objective depends on, also those that no step changes."""
        needed = [batch for batch in self.plan.batches if batch.needed]
        return self.passes.operations(needed, masked=True, everywhere=True)

    def begin_step(self) -> None:
        """Give the nodes what belongs to the step: its rows of the data set, its random numbers."""
        plan = self.plan
        if self.feed is not None and plan.feeds:
            for slot, column in zip(plan.data, self.feed.batch(self.step), strict=True):
                self.values_by_slot[slot] = self._as_leaf(slot, column)
        for noise in plan.noise:
            drawn = uniform(np, noise.key, self.step, noise.shape)
            self.values_by_slot[noise.slot] = np.asarray(drawn, dtype=plan.dtype)[()]

    def _as_leaf(self, slot: int, column: Array) -> Array:
        """Return a column of the data set as the graph takes it: as integers where it only selects."""
        keeps_integers = self.plan.leaves[slot].dtype.kind in "iu"
        return column if keeps_integers else np.asarray(column, dtype=self.plan.dtype)

    def _set_node_states(self, values: Sequence[Array]) -> None:
        for slot, value in zip(self.plan.state_slots, values, strict=True):
            self.values_by_slot[slot] = value

    def _next_node_states(self) -> list[Array]:
        """Return the nodes' states after the step whose forward pass was run last."""
        following: list[Array] = []
        for node in self.plan.states:
            batch = node.batch
            assert batch.type.next_state is not None  # noqa: S101 (for the type checker: a declaration is checked)
            inputs = [self.values_by_slot[slot] for slot in self.plan.inputs_of(batch.start)]
            given = batch.type.next_state(
                namespace(self.plan.dtype), self.values_by_slot[batch.start], *inputs, **dict(batch.settings)
            )
            following += [np.asarray(value, dtype=self.plan.dtype)[()] for value in given]
        return following

    def leaves(self) -> list[Array]:
        """Return the values of the plan's leaves."""
        return list(self.values_by_slot[: len(self.plan.leaves)])

    @contextmanager
    def plugins_called(self) -> Iterator[None]:
        """Turn whatever a plugin's function raises into the signal that a run understands, and NumPy's warnings off."""
        try:
            with np.errstate(all="ignore"):
                yield
        except (Exception, SystemExit) as error:
            raise StepFailed(self.leaves(), error) from error

    def _finite(self) -> bool:
        gradients = (self.gradients_by_slot[target] for target, _ in self.updater.targets)
        return is_finite(self.values_by_slot[self.plan.objective]) and all(map(is_finite, gradients))

    def _clipped(self) -> list[Array]:
        """Return clipped gradients; where an update takes the mean of several, it is their mean that is clipped."""
        updater, count = self.updater, self.plan.update.accumulate
        gradients = self.gradients(range(self.plan.parameters))
        if count == 1:
            return self.passes.by_target(updater.clip(gradients))
        sign = -1.0 if self.plan.maximize else 1.0
        before = [sign * kept for kept in self.passes.by_parameter([states[-1] for states in updater.states])]
        pairs = clip_mean(np, gradients, before, count, (self.step + 1) % count == 0, updater.clip)
        gradients, before = (self.passes.by_target(part) for part in zip(*pairs, strict=True))
        updater.states = [(*s[:-1], sign * kept) for s, kept in zip(updater.states, before, strict=True)]
        return gradients

    def _update(self) -> None:
        """Give every parameter its new value; all of them read the gradients of the same pass."""
        if self.plan.states:
            self._set_node_states(self._next_node_states())
        gradients = [self.gradients_by_slot[target] for target, _ in self.updater.targets]
        if self.plan.update.clips and gradients:
            gradients = self._clipped()
        self.updater(self.values_by_slot, gradients, self.step)
