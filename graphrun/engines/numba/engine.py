"""The numba engine: graphs of numbers as native loops, both passes and the update of many steps in one call.

A small graph becomes straight-line code, a large one a loop for each kind of node over the plan's arrays. Both are the
node types' own functions, traced (`declare.trace`), and both give the numbers of the NumPy engine to rounding.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.types import Array
from graphrun.engines import NotFinite, Program, Stop, Timed, Timing
from graphrun.engines.numba.compiler import Steps, compile_steps, is_compiled
from graphrun.engines.numba.loops import loops
from graphrun.engines.numba.source import NOT_FINITE, StepsCode
from graphrun.engines.numba.straight import straight_line
from graphrun.engines.numpy import batch_program
from graphrun.engines.stop import RULES, StopRule
from graphrun.engines.traced import NotSupportedError, check_supported
from graphrun.plan.plan import Feed, Plan

STRAIGHT_LINE_OPERATIONS = 600
"""More operations than this are loops: straight-line code of so many takes half the time a step (0.5 µs instead of 1),
and Numba takes 3 s for it instead of 1.5, 6 s for 900, 13 s for 1,800."""

MEASURED_NODES = 50_000
"""So many nodes are computed to find what one takes, or all of a larger group once: a few tenths of a millisecond."""

ROUNDS = 7

BATCHES_ONE_BY_ONE = 100
"""More batches than this are timed by node type alone."""

LOOPS = "batches done many times over in the compiled loops, both passes together"
AS_LOOPS = "the same functions as compiled loops, done many times over; straight-line code cannot be divided"


class NumbaEngine:
    """Compiles plans of numbers."""

    name = "numba"

    def compilation(self, plan: Plan) -> str:
        """Return how `compile` would come to the code of a plan, in words."""
        try:
            before = is_compiled(form_of(plan).text)
        except NotSupportedError:
            before = False
        return "from the cache" if before else "compiled anew, and kept"

    def compile(self, plan: Plan, feed: Feed | None = None) -> Program:
        """Make a plan ready to run.

        Raises:
            UsageError: the engine cannot run the plan, or Numba is not installed; the text says why.
        """
        try:
            if feed is not None:
                raise NotSupportedError("it runs graphs of numbers alone, without data sets")
            return NumbaProgram(plan, form_of(plan))
        except NotSupportedError as error:
            raise UsageError(f"engine numba: {error}") from error


def form_of(plan: Plan, *, masked: bool = False) -> StepsCode:
    """Return what is compiled of a plan; where it need not be masked, straight-line code is faster.

    Raises:
        NotSupportedError: the engine cannot run the plan; the text says why.
    """
    check_supported(plan)
    code = None
    if len(plan.names) <= STRAIGHT_LINE_OPERATIONS:
        code = straight_line(plan, masked=masked, limit=STRAIGHT_LINE_OPERATIONS)
    return code or loops(plan)


class NumbaProgram:
    """A program whose steps are compiled; what is asked for besides, the NumPy engine computes from its values."""

    def __init__(self, plan: Plan, code: StepsCode) -> None:
        self.plan = plan
        states = len(plan.rule.state)
        dtype = plan.dtype
        self._numpy = numpy = batch_program(plan)
        self.set_parameters, self.snapshot = numpy.set_parameters, numpy.snapshot
        self.values, self.gradients, self.gradient_norm = numpy.values, numpy.gradients, numpy.gradient_norm
        self.evaluate_rows, self.cost = numpy.evaluate_rows, numpy.cost
        self._numpy.gradients_by_slot = np.zeros(len(plan.names), dtype)
        self._rule_states = np.zeros((states, plan.parameters), dtype)
        # The compiled steps write where the NumPy program reads.
        self._numpy.updater.states = [tuple(self._rule_states)]
        self._trial = np.zeros(plan.parameters, dtype)
        self._kept = np.zeros((states + 1, plan.parameters), dtype)
        self._limits, self._memory = np.full(len(RULES), np.nan), np.full(4, np.nan)
        # In the third row, the number of the group whose rule each parameter has.
        self._bounds = np.zeros((3, plan.parameters), dtype)
        self._bounds[:2] = plan.limits
        for number, (_, slots) in enumerate(plan.groups[1:], 1):
            self._bounds[2, slots] = number
        self.step_size: float | None = float(dict(plan.update.settings).get("step_size", np.nan))
        self._bound: tuple[Steps, Any, Any, Any] | None = None
        self._use(code)

    def _use(self, code: StepsCode) -> None:
        self._code = code
        self._steps: Steps = compile_steps(code.text, self.plan.dtype.name)

    @property
    def step(self) -> int:
        """How many updates were made."""
        return self._numpy.step

    @property
    def _parameters(self) -> Any:
        return self._numpy.values_by_slot[: self.plan.parameters]

    def evaluate(self) -> None:
        """Run the forward and the backward pass at the parameters as they are."""
        self._numpy.begin()
        if self._call(0) == NOT_FINITE and not self._finite_when_masked():
            raise NotFinite(self._numpy.leaves())

    def at(self, vector: Array) -> tuple[float, Array]:
        """Return the objective and its gradient with the parameters elsewhere, finite or not; no step is made."""
        if self._bound is None:
            self._memory[:] = np.nan
            arguments = 0, 0, *self._arguments(self._code)
            gradients = self._numpy.gradients_by_slot[: self.plan.parameters]
            self._bound = self._steps, arguments, self._parameters, gradients
        steps, arguments, parameters, gradients = self._bound
        parameters[:] = vector
        if steps(*arguments)[1] == NOT_FINITE:
            # It is looked at closely, which may bring other code and puts the gradients elsewhere.
            self._bound = None
            self._finite_when_masked()
            gradients = self._numpy.gradients_by_slot[: len(parameters)]
        return self._numpy.values_by_slot.item(self.plan.objective), gradients.copy()

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        """Make `count` steps, fewer if the stop rule gives a reason."""
        if stop is not None and not isinstance(stop, StopRule):
            return self._advance_one_by_one(count, stop)
        last = self.step + count
        while self.step < last:
            code = self._call(last - self.step, stop)
            if code == NOT_FINITE:
                self._after_not_finite()
            elif code:
                return RULES[code - NOT_FINITE - 1]
        return None

    def _advance_one_by_one(self, count: int, stop: Stop) -> str | None:
        for _ in range(count):
            self.advance(1)
            reason = stop(float(self.values([self.plan.objective or 0])[0]), self.gradient_norm())
            if reason:
                return reason
        return None

    def _call(self, count: int, stop: StopRule | None = None) -> int:
        """Make some steps; return the code that they ended with."""
        self._memory[:] = np.nan
        if stop is not None:
            self._limits[:], self._memory[:] = stop.limits(), (*stop.memory().values(), stop.sign)
        self._numpy.step, code = self._steps(count, self.step, *self._arguments(self._code))
        if stop is not None:
            stop.remember(dict(zip(stop.memory(), self._memory.tolist(), strict=False)))
        return code

    def _arguments(self, code: StepsCode) -> tuple[Any, ...]:
        """Return what `steps` takes after the number of steps and the step, in the order of `source.ARGUMENTS`."""
        return (
            self.step_size,
            self._numpy.values_by_slot,
            self._numpy.gradients_by_slot,
            self._rule_states,
            self._trial,
            self._kept,
            self._bounds,
            self._limits,
            self._memory,
            code.batches,
            code.operands,
        )

    def _after_not_finite(self) -> None:
        """Find out whether a step failed or only its gradients have to be masked, which the form in use does not."""
        parameters = self._parameters.copy()
        self._parameters[:] = self._trial
        leaves = self._numpy.leaves()
        finite = self._finite_when_masked()
        self._parameters[:] = parameters
        self._call(0)
        if not finite:
            raise NotFinite(leaves)

    def _finite_when_masked(self) -> bool:
        """Whether all is finite when a gradient of 0 gives 0; if so, the masked form is taken from now on."""
        with np.errstate(all="ignore"):
            finite = self._numpy.run_passes()
        if not finite or self._code.masked:
            return False
        self._use(form_of(self.plan, masked=True))
        return self._call(0) != NOT_FINITE

    def form(self, steps: int) -> str:
        """Return how so many steps are run, in words."""
        return "straight-line code" if self._code.is_straight_line else "loops by batch"

    def time_nodes(self, steps: int) -> Timing:
        """Time the batches by the compiled loops: one by one or, where there are many, those of each type."""
        how, groups = LOOPS, [[number] for number in range(len(self.plan.in_loop))]
        if self._code.is_straight_line:
            how = AS_LOOPS
        if len(groups) > BATCHES_ONE_BY_ONE:
            how = f"the batches of each type, {LOOPS}"
            by_type: dict[str, list[int]] = defaultdict(list)
            for number, batch in enumerate(self.plan.in_loop):
                by_type[batch.type.name].append(number)
            groups = list(by_type.values())
        times = zip(groups, self._seconds_of(groups), strict=True)
        nodes = [Timed([self.plan.in_loop[number].slots for number in group], seconds) for group, seconds in times]
        return Timing(how, nodes, None if self._code.is_straight_line else "step")

    def restore(self, snapshot: Mapping[str, Array], step: int) -> None:
        """Go on from a snapshot, at some step; `evaluate` has to follow."""
        self._numpy.restore(snapshot, step)
        for kept, state in zip(self._rule_states, self._numpy.updater.states[0], strict=True):
            kept[:] = state
        self._numpy.updater.states = [tuple(self._rule_states)]

    def _seconds_of(self, groups: Sequence[Sequence[int]]) -> list[float]:
        """Return how long both passes of groups of the loop's batches take, in loops that do them many times over.

        The code is that of the loops, also where the program is straight-line code, which cannot be divided. What more
        the repetitions take than the passes alone is what the batches take; the program's state is as it was.
        """
        code = loops(self.plan, divided=True)
        steps = compile_steps(code.text, self.plan.dtype.name)
        rows = code.batches.reshape(-1, 4)
        # The first batches are the last of the backward pass: by then every gradient is there, and none is skipped.
        # Times are taken in turns, for the speed of a machine changes.
        repeated = []
        for group in groups:
            nodes = sum(self.plan.in_loop[number].count for number in group)
            count = max(1, MEASURED_NODES // nodes)
            repeated.append((count, np.concatenate([np.tile(rows[list(group)], (count, 1)), rows]).ravel()))
        taken = np.zeros((ROUNDS + 1, len(groups) + 1))
        for each in taken:
            for number, batches in enumerate((code.batches, *(batches for _, batches in repeated))):
                arguments = self._arguments(replace(code, batches=batches))
                start = time.perf_counter()
                steps(0, self.step, *arguments)
                each[number] = time.perf_counter() - start
        self._call(0)
        # The first round reads the code and the numbers.
        more = np.median(taken[1:, 1:] - taken[1:, :1], axis=0)
        return [max(float(seconds), 0.0) / count for seconds, (count, _) in zip(more, repeated, strict=True)]
