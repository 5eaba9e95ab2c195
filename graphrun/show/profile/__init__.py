"""`graphrun profile FILE`: where the time of a step goes, what a step moves and computes, and what the machine can do.

A step is timed by calls of many steps, always the same ones: the program is put back to the start before each call.
What a call takes besides its steps is left out by the difference to a call of one step.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from graphrun.base.errors import NotFiniteError, PluginError, UsageError
from graphrun.base.types import MOST
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines import Engine, NotFinite, Program, StepFailed, Timing
from graphrun.engines.auto import choose, get_engine
from graphrun.engines.numpy.timing import PASSES, SECONDS_OF_PASSES
from graphrun.plan.plan import Feed, Plan
from graphrun.run.api import Graph
from graphrun.run.diagnosis import diagnose, diagnose_failure
from graphrun.run.request import RunRequest
from graphrun.show.profile.work import Machine, Work, measure_machine, work_of_batches, work_of_update

ROUNDS = 7
SECONDS_PER_ROUND = 0.05
MOST_SECONDS = 3.0
"""Rounds end after this time; there is one at least."""


@dataclass(frozen=True)
class Part:
    """A node, or some equal nodes that are computed together.

    Attributes:
        name, type, count, shape: the first node's name, the type's, how many nodes there are, the shape of each value.
        work: what all of them move and compute in both passes.
        seconds: what both passes of all of them take; None where it was not measured.
        backward: what of it is the backward pass; None where the passes were not told apart.
    """

    name: str
    type: str
    count: int
    shape: tuple[int, ...]
    work: Work
    seconds: float | None = None
    backward: float | None = None


@dataclass(frozen=True)
class TypeTotal:
    """All nodes of one type, with the attributes of `Part`."""

    type: str
    count: int
    work: Work
    seconds: float | None
    backward: float | None


@dataclass(frozen=True)
class Profile:
    """Where the time of a step goes.

    Attributes:
        graph, engine, form, dtype: the graph file, the engine and the way in which it runs this plan, the dtype.
        seconds_of_plan: what scheduling the loaded graph took.
        seconds_of_compilation: what making the plan ready took, up to the first step; `compiled` says what that was.
        steps, rounds: how many steps a round made, and how many rounds there were.
        seconds: what a step takes, the median of the rounds.
        how: how the nodes were timed.
        seconds_divided: what a step takes in the form in which the nodes were timed; None where it was not measured.
        parts, types: the nodes of the loop, in order, and the node types.
        update: what the update moves and computes.
        touched: the bytes of all values and gradients.
        xla: what XLA says of a step.
    """

    graph: str
    engine: str
    form: str
    dtype: str
    seconds_of_plan: float
    seconds_of_compilation: float
    compiled: str
    steps: int
    rounds: int
    seconds: float
    how: str
    seconds_divided: float | None
    parts: Sequence[Part]
    types: Sequence[TypeTotal]
    update: Work
    touched: int
    machine: Machine
    xla: dict[str, float]

    @property
    def rest(self) -> float | None:
        """What a step takes besides its nodes: update, rows of the data set, checks; None where it is not told."""
        if self.seconds_divided is None:
            return None
        return max(self.seconds_divided - sum(total.seconds or 0.0 for total in self.types), 0.0)

    @property
    def work(self) -> Work:
        """What a whole step moves and computes."""
        return sum((part.work for part in self.parts), self.update)


def profile_graph(graph: Graph, request: RunRequest) -> Profile:
    """Measure a graph's steps.

    Args:
        request: how many steps a round makes, default as many as take a twentieth of a second; the engine, where
            ``auto`` chooses as for a run of so many steps, default the file's number; dtype and seed.

    Raises:
        UsageError: the graph makes no steps of its own, or the engine cannot run it.
        NotFiniteError: the first step is not finite.
        PluginError: a function raises.
    """
    start = time.perf_counter()
    plan = graph.plan(request.dtype, request.seed)
    seconds_of_plan = time.perf_counter() - start
    if plan.objective is None:
        raise UsageError("profile: there is no objective, so there are no steps to measure")
    if not isinstance(plan.update.rule, UpdateRule):
        raise UsageError(
            f"profile: {plan.update.rule.name} is a solver, whose steps differ from one another; "
            "--set 'update={type: sgd}' profiles the same passes"
        )
    feed = graph.source.open((graph.document.seed or 0) if request.seed is None else request.seed)
    made, compiled, start = _choose(plan, request.steps_of(graph.document), feed, request)
    started = False
    program = made.compile(plan, feed)
    try:
        program.evaluate()
        started = True
        first = program.snapshot()
        program.advance(1)
        seconds_of_first = time.perf_counter() - start
        count, seconds, rounds = time_steps(program, first, request.steps)
        _restart(program, first)
        timing = program.time_nodes(count)
        divided = None
        if timing.divides is not None:
            divided = seconds if timing.divides == "step" else time_one_by_one(program, first, count)
    except NotFinite as failed:
        what = diagnose(plan, failed.leaves)
        where = f"in step {program.step + 1}" if started else "at the start"
        hint = f"; --steps {program.step} ends before" if program.step else ""
        raise NotFiniteError(f"profile: {where}, {what}{hint}") from failed
    except StepFailed as failed:
        raise PluginError(f"profile: {diagnose_failure(plan, failed.leaves, failed.error)}") from failed
    parts, types = divide(plan, timing)
    touched = 2 * sum(int(np.prod(shape)) for shape in plan.shapes) * plan.dtype.itemsize
    return Profile(
        graph=graph.name,
        engine=made.name,
        form=program.form(count),
        dtype=plan.dtype.name,
        seconds_of_plan=seconds_of_plan,
        seconds_of_compilation=max(seconds_of_first - 2 * seconds, 0.0),
        compiled=compiled,
        steps=count,
        rounds=rounds,
        seconds=seconds,
        how=timing.how,
        seconds_divided=divided,
        parts=parts,
        types=types,
        update=work_of_update(plan),
        touched=touched,
        machine=measure_machine(touched, plan.dtype),
        xla=program.cost(),
    )


def _choose(plan: Plan, steps: int, feed: Feed | None, request: RunRequest) -> tuple[Engine, str, float]:
    """Return the engine, how its code is made, and when that began."""
    name = request.engine
    # Asked before a choice is made, which compiles.
    compiled = get_engine("numba" if name == "auto" else name).compilation(plan)
    if name == "auto":
        start = time.perf_counter()
        choice = choose(plan, steps, feed)
        request.on_choice(choice)
        if choice.engine == "numba":
            # It was compiled to choose it.
            return get_engine("numba"), f"{compiled}, with importing Numba", start
        name = choice.engine
        compiled = get_engine(name).compilation(plan)
    if name == "numba":
        with suppress(Exception):
            # So that it is not taken for compilation; where it fails, the engine says so.
            import_module("numba")
    engine = get_engine(name)
    return engine, compiled, time.perf_counter()


# --- a step ----------------------------------------------------------------------------------------------------------


def _restart(program: Program, first: Any) -> None:
    program.restore(first, 0)
    program.evaluate()


def time_steps(program: Program, first: Any, steps: int | None) -> tuple[int, float, int]:
    """Return how many steps a round makes, the median of the seconds of one, and how many rounds there were.

    Each round begins from the snapshot `first`. Without a number of steps, it makes as many as take some time and are
    finite.
    """

    def timed(count: int) -> float:
        _restart(program, first)
        start = time.perf_counter()
        program.advance(count)
        return time.perf_counter() - start

    count = steps or 1
    if steps is None:
        while True:
            try:
                seconds = timed(2 * count)
            except NotFinite:
                break
            count *= 2
            # Steps in which nothing moves are none where they are compiled.
            if seconds > SECONDS_PER_ROUND or count >= MOST:
                break
    rounds: list[float] = []
    began = time.perf_counter()
    while len(rounds) < ROUNDS and (not rounds or time.perf_counter() - began < MOST_SECONDS):
        one, all_of_them = timed(1), timed(count)
        rounds.append((all_of_them - one) / (count - 1) if count > 1 else one)
    # Of a few short steps the difference may be lost in the noise.
    return count, max(statistics.median(rounds), 1e-10), len(rounds)


def time_one_by_one(program: Program, first: Any, limit: int) -> float:
    """Return the median of the seconds of a step that is made alone, as nodes are timed.

    Steps begin from the snapshot `first`, of which so many are known to be finite.
    """
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < PASSES and (len(taken) < 3 or time.perf_counter() - began < SECONDS_OF_PASSES):
        if not program.step < limit:
            _restart(program, first)
        start = time.perf_counter()
        program.advance(1)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


# --- nodes -----------------------------------------------------------------------------------------------------------


def divide(plan: Plan, timing: Timing) -> tuple[list[Part], list[TypeTotal]]:
    """Return the nodes in order with their times, and the node types; several batches timed together are one type's."""
    works = dict(zip(plan.in_loop, work_of_batches(plan), strict=True))
    of_slot = {slot: batch for batch in plan.in_loop for slot in range(batch.start, batch.stop)}
    parts: dict[int, Part] = {}
    together: dict[str, float | None] = {}
    for timed in timing.nodes:
        alone = len(timed.slots) == 1
        for slots in timed.slots:
            batch, count = of_slot[slots.start], len(slots)
            name, work = plan.names[slots.start] or "", works[batch] * count
            times = (timed.seconds, timed.backward) if alone else ()
            parts[slots.start] = Part(name, batch.type.name, count, batch.shape, work, *times)
            if not alone:
                together[batch.type.name] = timed.seconds
    ordered = [parts[slot] for slot in sorted(parts)]
    return ordered, totals(ordered, together)


def totals(parts: Sequence[Part], together: Mapping[str, float | None]) -> list[TypeTotal]:
    """Add up the parts of each type, the slowest first; `together` has the times of types that were timed whole."""
    by_type: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        by_type[part.type].append(part)

    def added(values: Sequence[float | None]) -> float | None:
        return None if None in values else sum(value for value in values if value is not None)

    found = [
        TypeTotal(
            name,
            sum(part.count for part in group),
            sum((part.work for part in group), Work()),
            together[name] if name in together else added([part.seconds for part in group]),
            added([part.backward for part in group]),
        )
        for name, group in by_type.items()
    ]
    return sorted(found, key=lambda total: (-(total.seconds or 0), -total.work.operations))
