"""A plan's passes and its update, traced on arrays: what is written out in other languages comes from here.

The passes are those of the NumPy engine, run on symbols (`engines/numpy/passes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphrun.declare import clipping
from graphrun.declare.array_namespace import trace_arrays
from graphrun.declare.arrays import ArrayRecorder
from graphrun.declare.declaration import Declaration
from graphrun.declare.trace import WEAK, CannotTraceError
from graphrun.engines.numpy import Bound, Operation, backward, broadcast_axes, forward, with_indices
from graphrun.engines.traced import NotSupportedError
from graphrun.plan.plan import Batch, Plan

OUTSIDE = 2.0**31 - 1
"""The position that stands for an index that is no whole number: behind the end of every array."""


class Updated(NamedTuple):
    """What a step makes of a parameter: its new value, and the new states of the update rule by their names."""

    value: Any
    states: Mapping[str, Any]


class PlanTrace:
    """The passes of a plan as expressions of its leaves.

    Attributes:
        recorder: made the expressions.
        leaves: the symbols of the leaves that are no numbers written in the file, by slot.
        values: the value of each slot.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.recorder = ArrayRecorder(plan.dtype)
        self.leaves: dict[int, Any] = {}
        self.values: list[Any] = [None] * len(plan.names)
        for slot in range(len(plan.leaves)):
            if plan.names[slot] is None:
                self.values[slot] = self.recorder.constant(float(plan.leaves[slot]), "float")
            else:
                kind = "int" if plan.leaves[slot] is not None and plan.leaves[slot].dtype.kind in "iu" else "float"
                self.leaves[slot] = self.values[slot] = self.recorder.array(f"v{slot}", plan.shapes[slot], kind)

    def forward(self, batches: Iterable[Batch]) -> None:
        """Trace the forward pass of some nodes.

        Raises:
            NotSupportedError: a node type cannot be traced; the text says which and why.
        """
        forward(self._operations(batches, np.ones(len(self.plan.names), bool)), self.values)

    def gradients(self, *, everywhere: bool = False) -> dict[int, Any]:
        """Return the derivatives of the objective by what the parameters move, or by all, by slot; no entry is 0.

        Raises:
            NotSupportedError: as of `forward`.
        """
        one = self.recorder.constant(1.0, "float")
        plan = self.plan
        batches = [batch for batch in plan.batches if batch.needed] if everywhere else plan.in_loop
        wanted = np.ones(len(plan.names), bool) if everywhere else plan.moving
        operations = list(self._operations(batches, wanted))
        return backward(operations, self.values, self.plan.objective or 0, one)

    def edges(self) -> Iterator[tuple[int, int, int, Any, Callable[[], Any]]]:
        """Yield node, position, source, local derivative and what makes the contribution, of each edge that has one.

        They are expressions of the values ``v`` and the gradients ``g`` of all slots, as those of a finished pass. A
        local derivative is None where a tensor type gives the contribution at once.
        """
        plan, make = self.plan, self.recorder
        values = list(self.values)
        for slot in range(len(plan.leaves), len(plan.names)):
            values[slot] = make.array(f"v{slot}", plan.shapes[slot])
        needed = [batch for batch in plan.batches if batch.needed]
        for operation in self._operations(needed, np.ones(len(plan.names), bool)):
            if not operation.wanted:
                continue
            shape = plan.shapes[operation.output]
            gradient = make.array(f"g{operation.output}", shape)
            given = operation.derivatives(gradient, values)
            for position, source, part in operation.wanted:
                if given[position] is not None:
                    elementwise = operation.bound.elementwise
                    local = make.broadcast(make.cast(given[position]), shape) if elementwise else None
                    yield operation.output, position, source, local, partial(part, gradient, given[position])

    def updates(self, gradients: Mapping[int, Any]) -> list[Updated]:
        """Return what a step makes of each parameter; `step` and the states are symbols ``step`` and ``NAME.slot``.

        Raises:
            NotSupportedError: the update rule or the schedule cannot be traced.
        """
        plan, make = self.plan, self.recorder
        rule = plan.rule
        step = make.array("step", (), WEAK)
        settings: dict[str, Any] = dict(plan.update.settings)
        if plan.update.by_step is not plan.update.schedule:
            raise NotSupportedError("a step size that falls by what a run looks at cannot be written out")
        if plan.update.schedule is not None:
            schedule, given = plan.update.schedule
            settings["step_size"] = make.cast(self._call(schedule, schedule.function, [step], dict(given)))
        slopes = [
            make.broadcast(gradients[slot] if slot in gradients else make.constant(0.0, "float"), plan.shapes[slot])
            for slot in range(plan.parameters)
        ]
        updated = []
        for slot, slope in enumerate(self._clipped(slopes)):
            states = [make.array(f"{name}.{slot}", plan.shapes[slot]) for name in rule.state]
            number = [make.make("add", step, 1.0)] if rule.takes_step else []
            arguments = [self.values[slot], -slope if plan.maximize else slope, *number, *states]
            found = self._call(rule, plan.rules[slot].function, arguments, settings)
            value, *following = found if rule.state else (found,)
            value = make.cast(value)
            bounds = plan.bounds[slot]
            if bounds is not None:
                lower, upper = (make.constant(np.asarray(bound), "float") for bound in bounds)
                value = make.make("minimum", make.make("maximum", value, lower), upper)
            kept = {name: make.cast(state) for name, state in zip(rule.state, following, strict=True)}
            updated.append(Updated(value, kept))
        return updated

    def node_states(self) -> dict[int, Any]:
        """Return what the states that nodes keep become with a step, by slot."""
        following: dict[int, Any] = {}
        for node in self.plan.states:
            declared, settings = node.batch.type, dict(node.batch.settings)
            assert declared.next_state is not None  # noqa: S101 (for the type checker: a declaration is checked)
            slots = [node.batch.start, *self.plan.inputs_of(node.batch.start)]
            found = self._call(declared, declared.next_state, [self.values[slot] for slot in slots], settings)
            following |= dict(zip(node.slots, map(self.recorder.cast, found), strict=True))
        return following

    def _clipped(self, slopes: Sequence[Any]) -> Sequence[Any]:
        update, make = self.plan.update, self.recorder
        if update.clips_means and (self.plan.feeds or self.plan.noise):
            raise NotSupportedError("the mean of several steps' gradients, which is clipped, cannot be written out")

        def norm(*parts: Any) -> Any:
            squares = [make.reduce("sum", make.make("multiply", part, part)) for part in parts]
            total = squares[0]
            for square in squares[1:]:
                total = make.make("add", total, square)
            return make.make("sqrt", total)

        def clip(xp: Any, *gradients: Any) -> Any:
            return clipping.clip(
                xp, gradients, value=update.clip_value, limit=update.clip_norm, norm=norm, numbers=xp, cast=make.cast
            )

        return trace_arrays(make, clip, slopes, {}) if update.clips else slopes

    def _operations(self, batches: Iterable[Batch], wanted: NDArray[np.bool_]) -> Iterator[Operation]:
        plan = self.plan
        for batch in batches:
            declared = batch.type
            settings, positions = dict(batch.settings), declared.index_inputs
            function = with_indices(partial(self._forward, batch, settings), positions, self._as_index)
            before = 1 if declared.is_elementwise else 2
            second: Callable[..., Any] = partial(self._derivatives, batch, settings)
            second = with_indices(second, {before + k for k in positions}, self._as_index)
            for _, output, inputs in plan.nodes([batch]):
                parts = [partial(self._part, batch, plan.shapes[slot]) for slot in inputs]
                bound = Bound(function, second, declared.is_elementwise, parts)
                given = [declared.derivative is not None and bool(wanted[slot]) for slot in inputs]
                yield bound.at(output, inputs, given)

    def _forward(self, batch: Batch, settings: Mapping[str, Any], *inputs: Any) -> Any:
        made = self._call(batch.type, batch.type.function, inputs, settings)
        return self.recorder.broadcast(self.recorder.cast(made), batch.shape)

    def _derivatives(self, batch: Batch, settings: Mapping[str, Any], *arguments: Any) -> Any:
        declared = batch.type
        assert declared.derivative is not None  # noqa: S101 (for the type checker: nothing is wanted without one)
        return self._call(declared, declared.derivative, arguments, settings)

    def _part(self, batch: Batch, shape: tuple[int, ...], gradient: Any, given: Any) -> Any:
        """Return what a node gives to the gradient of an input of a shape."""
        make = self.recorder
        if callable(given):
            given = self._call(batch.type, lambda _xp: given(), [], {})
        part = make.cast(given)
        if batch.type.is_elementwise:
            part = make.broadcast(self._product(gradient, part), batch.shape)
            axes = broadcast_axes(shape, batch.shape)
            if axes is not None:
                part = make.reshape(make.reduce("sum", part, axes), shape)
        return make.broadcast(part, shape)

    def _product(self, gradient: Any, part: Any) -> Any:
        """Multiply, but zero times anything is zero."""
        make = self.recorder
        product = make.make("multiply", gradient, part)
        if part.is_constant and np.isfinite(part.value).all():
            return product
        return make.make("where", make.make("equal", gradient, 0.0), 0.0, product)

    def _as_index(self, value: Any) -> Any:
        """Return whole numbers as integers."""
        make = self.recorder
        if value.kind == "int":
            return value
        whole = make.make("equal", value, make.make("floor", value))
        return make.integers(make.make("where", whole, value, OUTSIDE))

    def _call(
        self, declared: Declaration, function: Callable[..., Any], inputs: Sequence[Any], settings: Mapping[str, Any]
    ) -> Any:
        try:
            return trace_arrays(self.recorder, function, inputs, settings)
        except CannotTraceError as error:
            raise NotSupportedError(f"{declared.name} ({declared.file}) cannot be written out: {error}") from error
