"""The step loop: rows, stop rules, events. It knows no engine."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.errors import CheckpointError, NotFiniteError, PluginError, RunError
from graphrun.base.outcome import Kept, Objective
from graphrun.base.types import Array
from graphrun.engines import Engine, Interruptible, NotFinite, Program, StepFailed, Stop
from graphrun.plan.plan import Feed, Plan
from graphrun.run.diagnosis import diagnose, diagnose_failure
from graphrun.run.pieces import Piecewise
from graphrun.run.request import RunRequest
from graphrun.run.result import Result, plain

if TYPE_CHECKING:
    from graphrun.run.checkpoint import Checkpoint
    from graphrun.run.watch import Watch

HISTORY_ROWS = 1000
SECONDS_BETWEEN_LOOKS = 0.1
"""How long an engine is left alone: after this time a run looks for Ctrl-C and shows its progress."""


@dataclass(frozen=True)
class Job:
    """What the loop is given: a request, and what it comes to for one plan.

    Attributes:
        name: the name of the graph file.
        parameters: the names of its parameters.
        nodes: the names of its nodes; engines have them in the order in which they are computed.
        request: what was asked for.
        steps: how many updates to make at most.
        record: the slots whose values make the rows of the history.
        stop: the stop rule, or None.
        watch: what looks at the recorded rows, or None.
        feed: the data set, which gives each step its rows.
        holdout: gives the held-back rows, piece by piece; recorded values are computed on them too.
        resume: what to go on from.
        save: called with the program to write a checkpoint: every `save_every` steps, and at the end.
    """

    name: str
    parameters: Sequence[str]
    nodes: Sequence[str]
    request: RunRequest
    steps: int
    record: Sequence[int]
    stop: Stop | None = None
    watch: Watch | None = None
    feed: Feed | None = None
    holdout: Callable[[], Iterable[Sequence[Array]]] | None = None
    resume: Checkpoint | None = None
    save: Callable[[Program], None] | None = None

    def smallest(self, number: int) -> int:
        """Return the smallest of the numbers that the processes bring which run the same steps together."""
        return number if self.request.cluster is None else self.request.cluster.smallest(number)


def run(plan: Plan, engine: Engine, job: Job) -> Result:
    """Run a plan; the result of a run that failed has its `error`, and everything as it was at the last finite step."""
    program = begin(plan, engine, job)
    history = History(plan, job)
    error: RunError | None = None
    try:
        program.evaluate()
        so_far = partial(_result, plan, program, job, history, engine.name, "running", None)
        stopped = _loop(program, job, history, so_far)
    except (NotFinite, StepFailed) as signal:
        error, stopped = failure(plan, history.step_after(program), signal)
    except _RecordedNotFiniteError as recorded:
        leaves = program.values(range(len(plan.leaves)))
        error = _not_finite(program.step, leaves, diagnose(plan, leaves, recorded.slot))
        stopped = f"not finite: {error}"
    except CheckpointError as failed_save:
        error = failed_save
        stopped = f"failed: {error}"
    history.finish(program)
    steps = program.step
    if job.save is not None and not isinstance(error, CheckpointError):
        try:
            job.save(program)
        except CheckpointError as failed_save:
            error = error or failed_save
    try:
        kept = _go_to_best(program, job)
        holdout = history.holdout() if kept is None else history.held_back(program)
        result = _result(plan, program, job, history, engine.name, stopped, error)
        return replace(result, steps=steps, holdout=holdout, kept=kept)
    except StepFailed as failed:
        # Gradients of nodes that depend on no parameter are computed for the result alone.
        raise PluginError(f"step {program.step}: {diagnose_failure(plan, failed.leaves, failed.error)}") from failed


def begin(plan: Plan, engine: Engine, job: Job) -> Program:
    """Return the program of a run, where it begins; `evaluate` has to follow."""
    program = engine.compile(plan, job.feed)
    if isinstance(program, Interruptible):
        program.interrupted = job.request.interrupted
    if job.resume is not None:
        program.restore(job.resume.last, job.resume.step)
    if job.watch is not None:
        job.watch.begin(program)
    return program


def _go_to_best(program: Program, job: Job) -> Kept | None:
    """Put the parameters where the best row had them, if the run keeps it and has gone on since; say which it is."""
    watch = job.watch
    if watch is None or not watch.best or job.request.one_row:
        return None
    kept = Kept(*watch.kept)
    if kept.step != program.step:
        program.restore({**program.snapshot(), **watch.best}, kept.step)
        program.evaluate()
    return kept


def failure(plan: Plan, step: int, signal: NotFinite | StepFailed) -> tuple[RunError, str]:
    """Return the error that a signal of an engine is for a user, where in the graph it arose, and why the run ends."""
    if isinstance(signal, NotFinite):
        broken = _not_finite(step, signal.leaves, diagnose(plan, signal.leaves))
        return broken, f"not finite: {broken}"
    error = PluginError(f"step {step}: {diagnose_failure(plan, signal.leaves, signal.error)}")
    error.__cause__ = signal.error
    return error, f"failed: {error}"


def _not_finite(step: int, leaves: Sequence[Array], where: str) -> NotFiniteError:
    error = NotFiniteError(f"step {step}: {where}")
    error.step, error.leaves = step, leaves
    return error


def _loop(program: Program, job: Job, history: History, so_far: Callable[[], Result]) -> str:
    """Step until the steps are made, a rule stops them or somebody interrupts; return which."""
    history.take(program)
    reason = look_at_start(program, job)
    reason = history.look(program) or reason
    if reason:
        return reason
    chunk = 1
    while program.step < job.steps:
        count = min(chunk, history.steps_to_next_row(program.step), steps_to_next_save(program.step, job))
        start = time.perf_counter()
        reason = program.advance(count, job.stop)
        seconds = max(time.perf_counter() - start, 1e-9)
        chunk = job.smallest(max(1, min(2 * chunk, int(count * SECONDS_BETWEEN_LOOKS / seconds))))
        history.take_if_due(program)
        reason = history.look(program) or reason
        if job.save is not None and job.request.save_every and program.step % job.request.save_every == 0:
            job.save(program)
        job.request.on_progress(program.step, partial(objective_of, program))
        job.request.on_look(so_far)
        if reason:
            return reason
        if not job.smallest(not job.request.interrupted()):
            return "interrupted"
    return "steps"


def look_at_start(program: Program, job: Job) -> str | None:
    """Ask the stop rule before the first step, which a run from a checkpoint has behind it."""
    objective = program.plan.objective
    if job.stop is None or objective is None or job.resume is not None:
        return None
    return job.stop(float(program.values([objective])[0]), program.gradient_norm())


def steps_to_next_save(step: int, job: Job) -> int:
    """Return how many steps there are to the next checkpoint."""
    return job.request.save_every - step % job.request.save_every if job.request.save_every else job.steps


class _RecordedNotFiniteError(Exception):
    def __init__(self, slot: int) -> None:
        super().__init__(slot)
        self.slot = slot


class History:
    """The rows recorded so far."""

    def __init__(self, plan: Plan, job: Job) -> None:
        self._job = job
        self._most = None if job.request.every else job.request.most_rows
        self._every = 1 if self._most else job.request.every or smallest_stride(job.steps)
        self._latest: tuple[int, list[Array]] = (-1, [])
        self._names = [plan.names[slot] or "" for slot in job.record]
        self._held_back = held_back_slots(plan, job)
        self._names += [f"holdout.{plan.names[slot]}" for slot in self._held_back]
        self._piecewise: Piecewise | None = None
        self._rows: list[list[Array]] = []
        self.steps: list[int] = []

    def step_after(self, program: Program) -> int:
        """Return the step that failed: the one after the last that was made, or row 0, before any."""
        return program.step + (1 if self.steps else 0)

    def steps_to_next_row(self, step: int) -> int:
        """Return how many steps there are to the next row."""
        return min(self._job.steps - step, *(stride - step % stride for stride in self._strides))

    @property
    def _strides(self) -> list[int]:
        """What the steps of rows are multiples of: recorded ones, and those that are looked at."""
        return [self._every] if self._job.watch is None else [self._every, self._job.watch.every]

    def take_if_due(self, program: Program) -> None:
        """Record a row in a step that the stride divides."""
        due = any(program.step % stride == 0 for stride in self._strides)
        if due and self._latest[0] != program.step:
            self.take(program)

    def take(self, program: Program) -> None:
        """Record a row."""
        row = program.values(self._job.record)
        if self._held_back:
            row += self._on_held_back(program)
        self._latest = program.step, row
        self.steps.append(program.step)
        self._rows.append(row)
        if self._most and len(self.steps) > self._most:
            self._every *= 2
            kept = [k for k, step in enumerate(self.steps) if step % self._every == 0]
            self.steps, self._rows = [self.steps[k] for k in kept], [self._rows[k] for k in kept]
        if self._job.request.on_row is not None:
            self._job.request.on_row(program.step, dict(zip(self._names, map(plain, row), strict=True)))
        if self._job.request.inspect is not None:
            self._job.request.inspect(program)
        for slot, value in zip(self._job.record, row, strict=False):
            # NumPy takes ten times as long for a number, and a long run records a thousand rows.
            if not (math.isfinite(value) if isinstance(value, float) else np.isfinite(value).all()):
                raise _RecordedNotFiniteError(slot)

    def look(self, program: Program, *, last: bool = False) -> str | None:
        """Have the last row looked at; return why to stop, if there is a reason."""
        step, row = self._latest
        if self._job.watch is None or step != program.step:
            return None
        return self._job.watch.look(program, dict(zip(self._names, row, strict=True)), last=last)

    def held_back(self, program: Program) -> dict[str, Any]:
        """Return the recorded values on held-back rows, where the program is now."""
        values = self._on_held_back(program) if self._held_back else []
        return self._of_held_back(values)

    def _of_held_back(self, values: Sequence[Array]) -> dict[str, Any]:
        names = [name.removeprefix("holdout.") for name in self._names[len(self._job.record) :]]
        return dict(zip(names, map(plain, values), strict=True))

    def _on_held_back(self, program: Program) -> list[Array]:
        """Return recorded values on all held-back rows."""
        assert self._job.holdout is not None  # noqa: S101 (for the type checker: there are names to compute)
        if self._piecewise is None:
            first, *others = itertools.islice(self._job.holdout(), 2)
            if not others:
                return program.evaluate_rows(first, self._held_back)
            self._piecewise = Piecewise(program, self._held_back)
        known = self._piecewise.values(program, self._job.holdout)
        return [known[slot] for slot in self._held_back]

    def finish(self, program: Program) -> None:
        """Record the last row, be it due or not."""
        self._most = None
        if not self.steps or self.steps[-1] != program.step:
            with suppress(_RecordedNotFiniteError, StepFailed):
                self.take(program)
        self.look(program, last=True)

    def holdout(self) -> dict[str, Any]:
        """Return the last row's values on held-back rows."""
        return self._of_held_back(self._rows[-1][len(self._job.record) :]) if self._rows else {}

    def columns(self) -> dict[str, Any]:
        """Return the rows as columns, by name."""
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in self._names)
        return {
            "step": np.array(self.steps, dtype=np.int64),
            **{name: np.array(column) for name, column in zip(self._names, columns, strict=True)},
        }


def held_back_slots(plan: Plan, job: Job) -> list[int]:
    """Return the recorded slots that are computed on held-back rows too: those that depend on the data set."""
    dependent = set() if job.holdout is None else data_dependent(plan)
    return [slot for slot in job.record if slot in dependent]


def data_dependent(plan: Plan) -> set[int]:
    """Return the slots that depend on the data set."""
    dependent = set(plan.data)
    for _, slot, inputs in plan.nodes():
        if dependent.intersection(inputs):
            dependent.add(slot)
    return dependent


def smallest_stride(steps: int, rows: int = HISTORY_ROWS) -> int:
    """Return the smallest stride that keeps a history at so many rows, the first and the last row included."""
    return max(1, -(-steps // (rows - 1)))


def objective_of(program: Program) -> Objective | None:
    """Return what is minimized or maximized, as the program has it now."""
    plan = program.plan
    if plan.objective is None:
        return None
    direction = "maximize" if plan.maximize else "minimize"
    return Objective(plan.names[plan.objective] or "", direction, float(program.values([plan.objective])[0]))


def _result(
    plan: Plan,
    program: Program,
    job: Job,
    history: History,
    engine: str,
    stopped: str,
    error: RunError | None,
) -> Result:
    objective = objective_of(program)
    gradients: dict[str, Any] = {}
    if plan.objective is not None:
        free = [name for name in job.parameters if plan.slots[name] < plan.parameters]
        gradients = _by_name(plan, program.gradients, [*free, *job.nodes])
    return Result(
        graph=job.name,
        steps=program.step,
        stopped=stopped,
        engine=engine,
        objective=objective,
        parameters=_by_name(plan, program.values, job.parameters),
        values=_by_name(plan, program.values, job.nodes),
        gradients=gradients,
        history=history.columns(),
        holdout=history.holdout(),
        error=error,
    )


def _by_name(plan: Plan, read: Callable[[Sequence[int]], list[Array]], names: Sequence[str]) -> dict[str, Any]:
    return dict(zip(names, map(plain, read([plan.slots[name] for name in names])), strict=True))
