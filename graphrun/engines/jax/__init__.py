"""The JAX engine: the step loop compiled by XLA, for arrays, accelerators and many machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphrun.base.errors import RunError, UsageError

try:
    import jax
except ModuleNotFoundError as missing:
    if missing.name != "jax":
        raise
    raise UsageError("the jax engine needs JAX: pip install 'graphrun[jax]'") from None

from graphrun.base.norms import norm
from graphrun.base.types import Array
from graphrun.engines import NotFinite, StepFailed, Stop, Timed, Timing
from graphrun.engines.jax.devices import Placement, double_precision, find_device, keep_compiled_programs
from graphrun.engines.jax.feed import make_rows
from graphrun.engines.jax.inspection import Inspection
from graphrun.engines.jax.loop import (
    WATCHED,
    LoopKind,
    LoopOutcome,
    LoopState,
    Request,
    all_finite,
    make_loop,
    must_be_careful,
)
from graphrun.engines.jax.passes import ArrayPasses
from graphrun.engines.jax.vector import JaxPasses, make_passes
from graphrun.engines.numpy import node_program
from graphrun.plan.plan import Feed, Plan


class JaxEngine:
    """Runs plans with JAX, on a device or, `shared`, on those of all processes, which share out the rows of each step.

    `watch` says whether a stop rule will watch; else a loop that it can watch is compiled when one does.

    Raises:
        UsageError: there is no such device.
    """

    name = "jax"

    def __init__(self, device: str | None = None, *, shared: bool = False, watch: bool = False) -> None:
        self.placement = Placement.on_all_devices() if shared else Placement(find_device(device))
        self.watch = watch
        keep_compiled_programs()

    def compilation(self, plan: Plan) -> str:
        """Return how `compile` would come to the code of a plan, in words."""
        return "traced and compiled by XLA, or from JAX's cache"

    def compile(self, plan: Plan, feed: Feed | None = None) -> JaxProgram:
        """Make a plan ready to run.

        Raises:
            UsageError: a node type's function cannot be traced by JAX.
        """
        with double_precision(), np.errstate(all="ignore"):
            return JaxProgram(plan, feed, self.placement, watch=self.watch)


class JaxProgram:
    """A plan compiled by XLA, with the state of its run on the device."""

    def __init__(self, plan: Plan, feed: Feed | None, placement: Placement, *, watch: bool) -> None:
        self.plan = plan
        self.feed = feed
        self.step = 0
        self._placement = placement
        self._passes: JaxPasses = make_passes(plan)
        self._rows = make_rows(plan, feed, placement)
        self._inspection = Inspection(plan, self._passes, self._rows, placement)
        self._steps = plan.objective is not None
        self.step_size: float | None = float("nan")
        self._kind = LoopKind(careful=self._steps and must_be_careful(plan), watch=watch)
        self._loops: dict[LoopKind, Callable[..., LoopOutcome]] = {}
        self._state = self._first_state()
        self._spare: LoopState | None = None
        self._inspection.check(self._state)

    def evaluate(self) -> None:
        """Run the forward and the backward pass at the parameters as they are."""
        self._inspection.forget()
        if not self._steps:
            return
        outcome = self._call(self._state, self.step, 1, updates=False)
        if np.isfinite(outcome.state.objective) and not all_finite(*outcome.state.gradients) and self._mask():
            outcome = self._call(self._state, self.step, 1, updates=False)
        # What is not finite is shown all the same: there is nothing before it to go back to.
        self._state = outcome.state
        if not all_finite(outcome.state.objective, *outcome.state.gradients):
            raise self._failure(outcome.state, self.step)

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        """Make `count` steps, fewer if the stop rule gives a reason."""
        self._kind = self._kind._replace(watch=self._kind.watch or stop is not None)
        while count > 0:
            limits = (count, self._rows.room(self.step + 1), WATCHED if self._kind.watch else None)
            asked = min(limit for limit in limits if limit is not None)
            if reason := self._advance(asked, stop):
                return reason
            count -= asked
        return None

    def _advance(self, count: int, stop: Stop | None) -> str | None:
        """Make so many steps in one call of the loop; of a call that went too far, only the right ones are kept."""
        self._inspection.forget()
        before, step = self._state, self.step
        outcome = self._call(before, step, count)
        if not outcome.finite and not self._kind.careful:
            # Somewhere a gradient was not finite, or a parameter became infinite and nothing else did.
            self._spare = outcome.state
            self._kind = self._kind._replace(careful=True)
            outcome = self._call(before, step, count)
        if not outcome.finite and np.isfinite(outcome.state.objective) and self._mask():
            self._spare = outcome.state
            outcome = self._call(before, step, count)
        passes, finite = int(outcome.passes), bool(outcome.finite)
        made, reason = passes - (not finite), None
        watched = np.asarray(outcome.watched[0])[:made].tolist() if stop is not None else ()
        for row, (objective, length) in enumerate(watched, 1):
            if stop is not None and (reason := stop(objective, length)):
                made = row
                break
        failure = None if finite or reason else self._failure(outcome.state, step + passes)
        if made == passes:
            self._state, self._spare = outcome.state, before
        else:
            self._spare = outcome.state
            self._state = self._call(before, step, made).state if made else before
        self.step = step + made
        if failure is not None:
            raise failure
        return reason

    def _mask(self) -> bool:
        """Go on with passes that mask tensor types too, whose gradients may be what is not finite; False if they do."""
        if self._passes.masks_all:
            return False
        self._passes = ArrayPasses(self.plan, masked=True)
        with double_precision(), np.errstate(all="ignore"):
            self._inspection = Inspection(self.plan, self._passes, self._rows, self._placement)
        self._loops.clear()
        self._kind = self._kind._replace(careful=True)
        return True

    def _call(self, state: LoopState, step: int, count: int, *, updates: bool = True) -> LoopOutcome:
        """Run the loop from a state, which stays as it is; the outcome is written where `spare` was."""
        spare, self._spare = self._spare, None
        if spare is None:
            spare = jax.tree.map(lambda array: array.copy(), state)
        request = Request(np.int64(step), np.int64(count), np.bool_(updates), np.float64(self.step_size))
        if self._kind not in self._loops:
            results = self._placement.results
            self._loops[self._kind] = make_loop(self.plan, self._passes, self._rows, self._kind, results)
        with double_precision(), np.errstate(all="ignore"):
            columns = self._rows.of(step + 1 if updates else step)
            outcome = self._loops[self._kind](state, spare, self._inspection.fixed, columns, request)
            # The call has only begun: JAX comes back at once.
            self._rows.prepare(step + 1 + count if updates else step + 1)
            return outcome

    def form(self, steps: int) -> str:
        """Return how so many steps are run, in words."""
        return "one XLA program"

    def time_nodes(self, steps: int) -> Timing:
        """Return no times."""
        how = "not, for XLA fuses operations into one program; operations and bytes are those of the plan"
        return Timing(how, [Timed([batch.slots]) for batch in self.plan.in_loop])

    def cost(self) -> dict[str, float]:
        """Return what XLA says of a step of the compiled loop: ``flops``, ``bytes accessed``; what it knows of them."""
        with double_precision(), np.errstate(all="ignore"):
            self._call(self._state, self.step, 1)
            request = Request(np.int64(self.step), np.int64(1), np.bool_(True), np.float64(self.step_size))
            given = self._state, self._state, self._inspection.fixed, self._rows.of(self.step + 1), request
            loop: Any = self._loops[self._kind]
            found = loop.lower(*given).compile().cost_analysis()
        # The loop's body is counted once, whatever the number of steps.
        return {name: float(found[name]) for name in ("flops", "bytes accessed") if found and name in found}

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        """Put the parameters elsewhere; `evaluate` has to follow."""
        values = [np.asarray(value, self.plan.dtype) for value in parameters]
        self._state = self._state._replace(targets=self._put(self._passes.targets(values)))
        self._inspection.forget()

    def snapshot(self) -> dict[str, Array]:
        """Return what a run goes on from: parameters, the rule's states, the nodes' states, by name."""
        plan, state = self.plan, self._state
        arrays = {f"parameters/{name}": value for name, value in self._named(state.targets)}
        for number, rule_state in enumerate(plan.rule.state):
            own = [states[number] for states in state.rule]
            arrays |= {f"rule/{rule_state}/{name}": value for name, value in self._named(own)}
        nodes = zip(plan.state_slots, state.nodes, strict=True)
        arrays |= {f"states/{plan.names[slot]}": value for slot, value in nodes}
        return {name: np.array(value) for name, value in arrays.items()}

    def _named(self, targets: Sequence[Array]) -> list[tuple[str | None, Array]]:
        return list(zip(self.plan.names, self._passes.parameters(targets), strict=False))

    def restore(self, snapshot: Mapping[str, Array], step: int) -> None:
        """Go on from a snapshot, at some step; `evaluate` has to follow."""
        plan = self.plan
        names = plan.names[: plan.parameters]

        def of_parameters(prefix: str) -> tuple[Array, ...]:
            return self._passes.targets([np.asarray(snapshot[f"{prefix}/{name}"], plan.dtype) for name in names])

        states = [of_parameters(f"rule/{rule_state}") for rule_state in plan.rule.state]
        nodes = [np.asarray(snapshot[f"states/{plan.names[slot]}"], plan.dtype) for slot in plan.state_slots]
        self._state = self._state._replace(
            targets=self._put(of_parameters("parameters")),
            rule=self._put(tuple(zip(*states, strict=True)) if states else self._state.rule),
            nodes=self._put(tuple(nodes)),
        )
        self.step = step
        self._inspection.forget()

    def evaluate_rows(self, columns: Sequence[Array], slots: Sequence[int]) -> list[Array]:
        """Return the values of some slots on other rows of the data set; nothing is changed by it.

        Raises:
            UsageError: a node does not take that many rows.
        """
        try:
            return self._inspection.on_rows(self._state, columns, slots)
        except UsageError as error:
            # What JAX itself does not take is told by it as a TypeError; this is a shape that does not fit.
            if not isinstance(error.__cause__, ValueError):
                raise
            rows = len(columns[0]) if columns else 0
            raise UsageError(f"the nodes cannot be evaluated on {rows} rows: {error.__cause__}") from error

    def gradient_norm(self) -> float:
        """Return the Euclidean norm of the gradient of all parameters."""
        return norm(*map(np.asarray, self._state.gradients))

    def values(self, slots: Sequence[int]) -> list[Array]:
        """Return the values of some slots; those of parameters and of the objective are the loop's own."""
        plan, state = self.plan, self._state
        known: dict[int, Any] = {}
        if any(slot < plan.parameters for slot in slots):
            known |= dict(enumerate(self._passes.parameters(state.targets)))
        if plan.objective is not None and plan.objective >= plan.parameters:
            known[plan.objective] = state.objective
        return self._looked_up("values", slots, known)

    def gradients(self, slots: Sequence[int]) -> list[Array]:
        """Return the derivatives of the objective by the values of some slots; those of parameters are the loop's."""
        plan, state = self.plan, self._state
        if not self._steps:
            return [np.zeros(plan.shapes[slot], plan.dtype)[()] for slot in slots]
        known = dict(enumerate(self._passes.parameters(state.gradients)))
        found = self._looked_up("gradients", slots, known)
        if not self._passes.masks_all and not all(np.isfinite(part).all() for part in found):
            # The loop masks tensor types only where the gradients of parameters need it.
            found = self._looked_up("masked_gradients", slots, known)
        return found

    def _looked_up(self, what: str, slots: Sequence[int], known: Mapping[int, Any]) -> list[Array]:
        others = {} if known.keys() >= set(slots) else self._inspection.by_slot(what, self._state, self.step)
        # Copies, for memory on the host's own device may be taken by a later outcome.
        return [np.array(known[slot] if slot in known else others[slot])[()] for slot in slots]

    def _failure(self, state: LoopState, step: int) -> RunError:
        """Return what is wrong at a state whose pass gave something not finite, as the NumPy engine finds it there."""
        program = node_program(self.plan, self.feed)
        program.set_parameters([np.array(value) for value in self._passes.parameters(state.targets)])
        for slot, value in zip(self.plan.state_slots, state.nodes, strict=True):
            program.values_by_slot[slot] = np.array(value)[()]
        program.step = step
        try:
            program.evaluate()
        except (StepFailed, NotFinite) as failed:
            return failed
        return NotFinite(program.leaves())

    def _put(self, tree: Any) -> Any:
        with double_precision():
            return jax.tree.map(self._placement.whole, tree)

    def _first_state(self) -> LoopState:
        """Return the state before the first pass."""
        plan = self.plan
        targets = self._passes.targets([np.asarray(leaf) for leaf in plan.leaves[: plan.parameters]])
        states = plan.rule.state if self._steps else ()
        nodes = tuple(np.asarray(plan.leaves[slot]) for slot in plan.state_slots)
        return LoopState(
            targets=self._put(targets),
            rule=tuple(tuple(self._put(np.zeros_like(value)) for _ in states) for value in targets),
            nodes=self._put(nodes),
            following=self._put(tuple(np.array(value) for value in nodes)),
            gradients=self._put(tuple(np.zeros_like(value) for value in targets)),
            objective=self._put(np.zeros((), plan.dtype)),
        )
