"""A plan's declarations, traced for programs that compute with plain numbers: Numba's, and those of `graphrun export`.

Forward functions, what a node gives to its inputs, update, schedule, clipping, stop rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.declare import clipping
from graphrun.declare.nodetype import NodeType
from graphrun.declare.trace import (
    WEAK,
    CannotTraceError,
    Expression,
    Recorder,
    size_of,
    trace,
    trace_derivatives,
)
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines.stop import Seen, look
from graphrun.plan.plan import Batch, Plan

Known = tuple[float | None, ...]
"""For each input of a node its number where it is known when the program is written, else None."""


class NotSupportedError(UsageError):
    """A graph, a node type or an update rule that no program of plain numbers computes; the text says what and why."""


@dataclass(frozen=True)
class Functions:
    """The two functions of a node type; the inputs are ``x0``, ``x1``, ..., the output ``y``, its gradient ``g``.

    Attributes:
        forward: the output.
        contributions: what the node gives to the gradient of each input, None for none.
    """

    forward: Expression
    contributions: tuple[Expression | None, ...]

    @property
    def size(self) -> int:
        """How many operations there are."""
        return size_of([self.forward, *(given for given in self.contributions if given is not None)])


class Tracer:
    """Traces a plan's declarations, each only once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.recorder = Recorder(plan.dtype)
        self._functions: dict[Any, Functions] = {}
        self._updates: dict[int, tuple[Expression, ...]] = {}

    @cached_property
    def literals(self) -> dict[int, float]:
        """The numbers that the file writes where they are used: they may be part of the text, named ones may change."""
        plan = self.plan
        unnamed = (slot for slot in range(plan.parameters, len(plan.leaves)) if plan.names[slot] is None)
        return {slot: float(plan.leaves[slot]) for slot in unnamed}

    def known(self, inputs: Sequence[int]) -> Known:
        """Return the numbers of those of a node's inputs that are literals."""
        return tuple(self.literals.get(slot) for slot in inputs)

    def functions(self, batch: Batch, known: Known, *, seed: bool = False, masked: bool = False) -> Functions:
        """Return the functions of a batch's nodes, of which some inputs are known numbers.

        Args:
            seed: the node is the objective, whose gradient is 1.
            masked: a gradient of exactly 0 gives 0, whatever the local derivative is.

        Raises:
            NotSupportedError: they cannot be traced.
        """
        key = batch.type, batch.settings, known, seed, masked
        if key not in self._functions:
            try:
                self._functions[key] = self._trace(batch, known, seed=seed, masked=masked)
            except CannotTraceError as error:
                raise NotSupportedError(_refusal("node type", batch.type, str(error))) from error
        return self._functions[key]

    def _trace(self, batch: Batch, known: Known, *, seed: bool, masked: bool) -> Functions:
        recorder, node_type, settings = self.recorder, batch.type, dict(batch.settings)
        inputs = recorder.inputs(known)
        forward = recorder.cast(trace(recorder, node_type.function, inputs, settings))
        if node_type.derivative is None:
            return Functions(forward, (None,) * len(known))
        partials = trace_derivatives(recorder, node_type.derivative, recorder.input("y"), inputs, settings)
        gradient = recorder.constant(1.0, "float") if seed else recorder.input("g")
        contributions: list[Expression | None] = []
        for partial in partials:
            if partial is None:
                contributions.append(None)
                continue
            factor = recorder.cast(partial)
            product = recorder.make("multiply", gradient, factor)
            if masked and not seed and not (factor.is_constant and np.isfinite(factor.value)):
                product = recorder.make("where", recorder.make("equal", gradient, 0.0), 0.0, product)
            contributions.append(product)
        return Functions(forward, tuple(contributions))

    def update(self, rule: UpdateRule) -> tuple[Expression, ...]:
        """Return the new value and the new states, of ``value``, ``gradient``, ``step``, ``step_size``, the states.

        `rule` is the plan's, or that of a parameter, which knows its factors.
        """
        if id(rule) not in self._updates:
            self._updates[id(rule)] = self._update(rule)
        return self._updates[id(rule)]

    def _update(self, rule: UpdateRule) -> tuple[Expression, ...]:
        update, recorder = self.plan.update, self.recorder
        settings: dict[str, Any] = dict(update.settings)
        step = [recorder.input("step", WEAK)] if rule.takes_step else []
        gradient = recorder.input("gradient")
        if self.plan.maximize:
            gradient = recorder.make("negative", gradient)
        inputs = [recorder.input("value"), gradient, *step, *(recorder.input(name) for name in rule.state)]
        if update.by_step is not None:
            settings["step_size"] = recorder.input("step_size")
        elif "step_size" in settings:
            settings["step_size"] = recorder.input("step_size", WEAK)
        try:
            try:
                given = trace(recorder, rule.function, inputs, settings)
            except CannotTraceError:
                # A rule that decides by its step size gets it as a number.
                if update.schedule is not None:
                    raise
                given = trace(recorder, rule.function, inputs, dict(update.settings))
            results = given if rule.state else (given,)
            return tuple(recorder.cast(result) for result in results)
        except CannotTraceError as error:
            raise NotSupportedError(_refusal("update rule", rule, str(error))) from error

    def step_size(self) -> Expression | None:
        """Return the schedule's step size, of ``steps_made``; None where there is no schedule."""
        schedule = self.plan.update.by_step
        if schedule is None:
            return None
        declared, settings = schedule
        try:
            made = self.recorder.input("steps_made", WEAK)
            return self.recorder.cast(trace(self.recorder, declared.function, [made], dict(settings)))
        except CannotTraceError as error:
            raise NotSupportedError(f"the schedule {declared.name}: {error}") from error

    def clipping(self) -> tuple[Expression | None, Expression | None]:
        """Return a clipped element, of ``gradient``, and what all are multiplied by, of ``norm``; None for no limit."""
        update, recorder = self.plan.update, self.recorder
        within = factor = None
        if update.clip_value is not None:
            limit = recorder.constant(update.clip_value)
            within = trace(recorder, clipping.within, [recorder.input("gradient"), limit], {})
        if update.clip_norm is not None:
            limit = recorder.constant(update.clip_norm)
            factor = recorder.cast(trace(recorder, clipping.factor, [recorder.input("norm", WEAK), limit], {}))
        return within, factor

    def watched(self, sign: float | None = None) -> Seen:
        """Return what a stop rule sees and remembers, of the inputs of `look`; the sign may be known."""
        inputs = [self.recorder.input(name, WEAK) for name in ("objective", "previous", "best", "since_best")]
        seen: Seen = trace(
            self.recorder, look, inputs, {"sign": self.recorder.input("sign", WEAK) if sign is None else sign}
        )
        return seen


def _refusal(what: str, declared: NodeType | UpdateRule, reason: str) -> str:
    return f"the {what} {declared.name} ({declared.file}) cannot be compiled: {reason}"


def check_numbers(plan: Plan) -> None:
    """Refuse what is no graph of numbers that an update rule moves by itself, without data.

    Raises:
        NotSupportedError: the plan is none; the text says why.
    """
    array = next((slot for slot, shape in enumerate(plan.shapes) if shape), None)
    if array is not None:
        raise NotSupportedError(
            f"it runs graphs of numbers, and {plan.names[array]} has the shape {plan.shapes[array]}"
        )
    if not isinstance(plan.update.rule, UpdateRule):
        raise NotSupportedError(f"its steps are those of an update rule, and {plan.update.rule.name} is a solver")
    if plan.objective is None:
        raise NotSupportedError("there is no objective, so there are no steps to compile")
    if plan.data or plan.noise or plan.states:
        raise NotSupportedError("it runs graphs of numbers alone, without data sets, random numbers and states")


def check_supported(plan: Plan) -> None:
    """Say what of a plan no program of plain numbers computes.

    Raises:
        NotSupportedError: there is something.
    """
    check_numbers(plan)
    for batch in plan.in_loop:
        if not batch.type.is_elementwise:
            raise NotSupportedError(_refusal("node type", batch.type, "it works on whole arrays"))
        if batch.type.index_inputs:
            raise NotSupportedError(_refusal("node type", batch.type, "it takes whole numbers that select"))
