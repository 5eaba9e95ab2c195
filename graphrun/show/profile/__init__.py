"""`graphrun profile FILE`: where the time of a step goes, what a step moves and computes, and what the machine can do.

A step is timed by calls of many steps, always the same ones: the program is put back to the start before each call.
What a call takes besides its steps is left out by the difference to a call of one step.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, overload

import numpy as np

from graphrun.base.errors import NotFiniteError, PluginError, UsageError
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines import Engine, NotFinite, Program, StepFailed, get_engine
from graphrun.engines.auto import Choice, choose
from graphrun.engines.numpy import NumpyProgram, Operation
from graphrun.plan.plan import Feed, Plan
from graphrun.run.api import Graph
from graphrun.run.diagnosis import diagnose, diagnose_failure
from graphrun.show.profile.machine import Machine, measure_machine
from graphrun.show.profile.work import Work, work_of_batches, work_of_update

ROUNDS = 7
SECONDS_PER_ROUND = 0.05
MOST_SECONDS = 3.0
"""Rounds end after this time; there is one at least."""

PASSES = 50
SECONDS_OF_PASSES = 0.5

BATCHES_ONE_BY_ONE = 100
"""Compiled code of more batches than this is timed by node type alone."""


@dataclass(frozen=True)
class Part:
    """A node, or some equal nodes that are computed together.

    Attributes:
        name: the name of the first node.
        type: the name of the type.
        count: how many nodes there are.
        shape: the shape of each node's value.
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
        graph: the name of the graph file.
        engine: the engine's name; `form` is the way in which it runs this plan.
        form: see `engine`.
        dtype: the dtype.
        seconds_of_plan: what scheduling the loaded graph took.
        seconds_of_compilation: what making the plan ready took, up to the first step; `compiled` says what that was.
        compiled: see `seconds_of_compilation`.
        steps: how many steps a round made.
        rounds: how many rounds there were.
        seconds: what a step takes, the median of the rounds.
        how: how the nodes were timed.
        seconds_divided: what a step takes in the form in which the nodes were timed; None where it was not measured.
        parts: the nodes of the loop, in order.
        types: the node types.
        update: what the update moves and computes.
        touched: the bytes of all values and gradients.
        machine: what the machine can do.
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


def profile_graph(
    graph: Graph,
    steps: int | None = None,
    *,
    engine: str = "auto",
    dtype: str | None = None,
    seed: int | None = None,
    on_choice: Callable[[Choice], None] = lambda _choice: None,
) -> Profile:
    """Measure a graph's steps.

    Args:
        graph: the graph.
        steps: how many steps a round makes, default as many as take a twentieth of a second.
        engine: the engine; ``auto`` chooses as for a run of so many steps, default the file's number.
        dtype: as of a run.
        seed: as of a run.
        on_choice: called with what ``auto`` chose, and why.

    Raises:
        UsageError: the graph makes no steps of its own, or the engine cannot run it.
        NotFiniteError: the first step is not finite.
        PluginError: a function raises.
    """
    start = time.perf_counter()
    plan = graph.plan(dtype, seed)
    seconds_of_plan = time.perf_counter() - start
    if plan.objective is None:
        raise UsageError("profile: there is no objective, so there are no steps to measure")
    if not isinstance(plan.update.rule, UpdateRule):
        raise UsageError(
            f"profile: {plan.update.rule.name} is a solver, whose steps differ from one another; "
            "--set 'update={type: sgd}' profiles the same passes"
        )
    feed = graph.source.open((graph.document.seed or 0) if seed is None else seed)
    made, compiled, start = _choose(plan, graph.steps if steps is None else steps, feed, engine, on_choice)
    started = False
    program = made.compile(plan, feed)
    try:
        program.evaluate()
        started = True
        first = program.snapshot()
        program.advance(1)
        seconds_of_first = time.perf_counter() - start
        count, seconds, rounds = time_steps(program, first, steps)
        _restart(program, first)
        form = form_of(program, count)
        how, parts = measure_parts(plan, program, form)
        divided = seconds if form == "loops by batch" else None
        if isinstance(program, NumpyProgram):
            divided = time_one_by_one(program, first, count)
    except NotFinite as failed:
        what = diagnose(plan, failed.leaves)
        where = f"in step {program.step + 1}" if started else "at the start"
        hint = f"; --steps {program.step} ends before" if program.step else ""
        raise NotFiniteError(f"profile: {where}, {what}{hint}") from failed
    except StepFailed as failed:
        raise PluginError(f"profile: {diagnose_failure(plan, failed.leaves, failed.error)}") from failed
    touched = 2 * sum(int(np.prod(shape)) for shape in plan.shapes) * plan.dtype.itemsize
    return Profile(
        graph=graph.name,
        engine=made.name,
        form=form,
        dtype=plan.dtype.name,
        seconds_of_plan=seconds_of_plan,
        seconds_of_compilation=max(seconds_of_first - 2 * seconds, 0.0),
        compiled=compiled,
        steps=count,
        rounds=rounds,
        seconds=seconds,
        how=how,
        seconds_divided=divided,
        parts=parts,
        types=totals(parts) if how != BY_TYPE else _types_by_code(plan, program, parts),
        update=work_of_update(plan),
        touched=touched,
        machine=measure_machine(touched, plan.dtype),
        xla=getattr(program, "cost", dict)(),
    )


def _choose(
    plan: Plan, steps: int, feed: Feed | None, name: str, on_choice: Callable[[Choice], None]
) -> tuple[Engine, str, float]:
    """Return the engine, how its code is made, and when that began."""
    before = name in {"auto", "numba"} and _is_compiled(plan)
    compiled = {
        "numpy": "no code is compiled",
        "numba": "from the cache" if before else "compiled anew, and kept",
        "jax": "traced and compiled by XLA, or from JAX's cache",
    }
    if name == "auto":
        start = time.perf_counter()
        choice = choose(plan, steps, feed)
        on_choice(choice)
        if choice.engine == "numba":
            # It was compiled to choose it.
            return get_engine("numba"), f"{compiled['numba']}, with importing Numba", start
        name = choice.engine
    if name == "numba":
        with suppress(Exception):
            # So that it is not taken for compilation; where it fails, the engine says so.
            import_module("numba")
    engine = get_engine(name)
    return engine, compiled[engine.name], time.perf_counter()


# --- a step ----------------------------------------------------------------------------------------------------------


def _restart(program: Program, first: Any) -> None:
    program.restore(first, 0)
    program.evaluate()


def time_steps(program: Program, first: Any, steps: int | None) -> tuple[int, float, int]:
    """Return how many steps a round makes, the median of the seconds of one, and how many rounds there were.

    Without a number of steps, a round makes as many as take some time and are finite.

    Args:
        program: the program, which was run before.
        first: the snapshot to begin each round from.
        steps: how many steps a round makes.
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
            if seconds > SECONDS_PER_ROUND:
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

    Args:
        program: the program.
        first: the snapshot to begin from.
        limit: so many steps are known to be finite.
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


def form_of(program: Program, steps: int) -> str:
    """Return the way in which an engine runs so many steps of its plan."""
    if isinstance(program, NumpyProgram):
        return program.form(steps)
    if type(program).__name__ == "JaxProgram":
        return "one XLA program"
    return "straight-line code" if getattr(program, "is_straight_line", False) else "loops by batch"


def _is_compiled(plan: Plan) -> bool:
    from graphrun.engines.numba.compiler import is_compiled
    from graphrun.engines.numba.form import form_of as native_form_of
    from graphrun.engines.numba.functions import NotSupportedError

    try:
        return is_compiled(native_form_of(plan).source)
    except NotSupportedError:
        return False


# --- nodes -----------------------------------------------------------------------------------------------------------

ONE_BY_ONE = "each operation as the passes come to it, inputs gathered and gradients added up"
NODE_BY_NODE = f"{ONE_BY_ONE}; straight-line code cannot be divided"
LOOPS = "batches done many times over in the compiled loops, both passes together"
AS_LOOPS = "the same functions as compiled loops, done many times over; straight-line code cannot be divided"
BY_TYPE = f"the batches of each type, {LOOPS}"
NOT_DIVIDED = "not, for XLA fuses operations into one program; operations and bytes are those of the plan"


def measure_parts(plan: Plan, program: Program, form: str) -> tuple[str, list[Part]]:
    """Return how the nodes of a loop were timed, and the nodes."""
    if hasattr(program, "seconds_of"):
        parts = list(_parts(plan, whole=True))
        if len(parts) > BATCHES_ONE_BY_ONE:
            return BY_TYPE, parts
        seconds = program.seconds_of([[number] for number in range(len(parts))])
        how = AS_LOOPS if form == "straight-line code" else LOOPS
        return how, [_timed(part, each, None) for part, each in zip(parts, seconds, strict=True)]
    if isinstance(program, NumpyProgram):
        parts = list(_parts(plan, whole=form == "batch by batch"))
        forward, backward = time_operations(program)
        how = NODE_BY_NODE if form == "straight-line Python" else ONE_BY_ONE
        return how, [_timed(*each) for each in zip(parts, forward + backward, backward, strict=True)]
    return NOT_DIVIDED, list(_parts(plan, whole=True))


def _timed(part: Part, seconds: float, backward: float | None) -> Part:
    backward = None if backward is None else float(backward)
    return Part(part.name, part.type, part.count, part.shape, part.work, float(seconds), backward)


def _parts(plan: Plan, *, whole: bool) -> Iterator[Part]:
    """Yield the nodes of the loop, batch by batch or one by one."""
    for batch, work in zip(plan.in_loop, work_of_batches(plan), strict=True):
        for slot in [batch.start] if whole else batch.slots:
            count = batch.count if whole else 1
            yield Part(plan.names[slot] or "", batch.type.name, count, batch.shape, work * count)


def totals(parts: Sequence[Part]) -> list[TypeTotal]:
    """Add up the parts of each type, the slowest first."""
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
            added([part.seconds for part in group]),
            added([part.backward for part in group]),
        )
        for name, group in by_type.items()
    ]
    return sorted(found, key=lambda total: (-(total.seconds or 0), -total.work.operations))


def _types_by_code(plan: Plan, program: Any, parts: Sequence[Part]) -> list[TypeTotal]:
    """Return the types, each timed as a whole by compiled code."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, batch in enumerate(plan.in_loop):
        groups[batch.type.name].append(number)
    seconds = dict(zip(groups, program.seconds_of(list(groups.values())), strict=True))
    found = [TypeTotal(t.type, t.count, t.work, seconds[t.type], None) for t in totals(parts)]
    return sorted(found, key=lambda total: -(total.seconds or 0))


class _Watched(Sequence[Operation]):
    """Operations that note when each is taken and when it is done with, forwards and backwards."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self.forward = [0.0] * len(operations)
        self.backward = [0.0] * len(operations)

    def __len__(self) -> int:
        return len(self._operations)

    @overload
    def __getitem__(self, index: int) -> Operation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Operation]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._operations[index]

    def __iter__(self) -> Iterator[Operation]:
        return self._watched(range(len(self)), self.forward)

    def __reversed__(self) -> Iterator[Operation]:
        return self._watched(range(len(self) - 1, -1, -1), self.backward)

    def _watched(self, order: range, times: list[float]) -> Iterator[Operation]:
        clock, operations = time.perf_counter, self._operations
        for number in order:
            start = clock()
            yield operations[number]
            times[number] = clock() - start


def time_operations(program: NumpyProgram) -> tuple[Any, Any]:
    """Return the seconds of the forward and of the backward pass of each operation of the loop, medians of passes."""
    forward: list[list[float]] = []
    backward: list[list[float]] = []
    watching = []
    began = time.perf_counter()
    while len(forward) < PASSES and (len(forward) < 3 or time.perf_counter() - began < SECONDS_OF_PASSES):
        watched = _Watched(program.operations())
        program.pass_through(watched)
        forward.append(watched.forward)
        backward.append(watched.backward)
        only_watched = _Watched(program.operations())
        for _ in only_watched:
            pass
        watching.append(statistics.median(only_watched.forward))
    # What it takes to note the time is left out.
    clock = statistics.median(watching)
    taken = np.maximum(np.median([forward, backward], axis=1) - clock, 0.0)
    return taken[0], taken[1]
