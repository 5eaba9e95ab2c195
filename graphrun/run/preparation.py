"""From what a user asks to what the step loop is given: checkpoint, plan, engine, what is recorded; and the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.memory import MORE_MEMORY, memory_limit, size_text
from graphrun.base.outcome import RunDescription
from graphrun.data.rows import DataSource
from graphrun.document import Document, did_you_mean
from graphrun.document.names import normalize
from graphrun.engines import Engine, Program
from graphrun.engines.auto import Choice, choose, get_engine, keep
from graphrun.engines.relay import Relay
from graphrun.engines.stop import StopRule
from graphrun.graph.graph import ComputationalGraph
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Feed, Plan
from graphrun.run.loop import Job, data_dependent, run, smallest_stride
from graphrun.run.observers import Observers
from graphrun.run.request import RunRequest, listed_names
from graphrun.run.result import Result
from graphrun.run.watch import Watch
from graphrun.solvers import Solver

if TYPE_CHECKING:
    from graphrun.base.outcome import Uncertainty
    from graphrun.data.dataset import DataSet
    from graphrun.run.checkpoint import Checkpoint

RECORDED_PARAMETERS = 1000
"""With more scalar parameters than this, only the objective is recorded by default."""


def run_graph(
    structure: ComputationalGraph, source: DataSource, plan_of: Callable[[str | None, int], Plan], request: RunRequest
) -> Result:
    """Run a graph; a run that failed has what there is, with its `error`.

    Raises:
        UsageError: what is asked for makes no sense.
    """
    if source.is_divided and request.inspect is None and not request.one_row:
        from graphrun.run.folds import run_folds

        return run_folds(structure, source, plan_of, request, run_graph)
    plan, engine, job, seed = prepare(structure, source, plan_of, request)
    fit = _fit(structure, plan, job.feed, seed, request)
    told = Observers(request.observers if request.writes else ())
    job = replace(job, request=replace(job.request, on_row=told.also(request.on_row)))
    told.started(describe(plan, engine, job, structure.document.description or "", seed))
    with nullcontext() if request.cluster is None else request.cluster.watched():
        result = run(plan, engine, job)
    if fit is not None and result.error is None and result.stopped != "interrupted" and request.writes:
        try:
            result = replace(result, uncertainty=fit(result))
        except KeyboardInterrupt:
            result = replace(result, stopped="interrupted")
    return told.ended(replace(result, made_of=(structure, plan)))


def prepare(
    structure: ComputationalGraph, source: DataSource, plan_of: Callable[[str | None, int], Plan], request: RunRequest
) -> tuple[Plan, Engine, Job, int]:
    """Return what a run is made of, and its seed.

    Raises:
        UsageError: what is asked for makes no sense.
    """
    document = structure.document
    request.check()
    checkpoint = _checkpoint(request)
    seed = request.seed if request.seed is not None or checkpoint is None else checkpoint.seed
    seed = (document.seed or 0) if seed is None else seed
    plan = plan_of(request.dtype, seed)
    feed = source.open(seed)
    if checkpoint is not None and request.resume is not None:
        from graphrun.run.checkpoint import check_fits

        # With other rows, a shape that names a column is another until the checkpoint says which categories there are.
        sized = any(isinstance(size, str) for entry in structure.parameters.values() for size in entry.shape)
        if not sized:
            check_fits(checkpoint, plan, request.resume)
        if feed is not None and feed.statistics:
            feed = source.open(seed, checkpoint.statistics)
            plan = build_plan(structure, plan.dtype, seed, feed)
        if sized:
            check_fits(checkpoint, plan, request.resume)
        plan = plan.holding(checkpoint.parameters)
    stop = StopRule(document.stop, maximize=plan.maximize) if document.stop and document.stop.has_rules else None
    steps = request.steps_of(document) if plan.objective is not None else 0
    watch = _watch(document, plan, feed, request, steps) if document.watches and plan.objective is not None else None
    if watch is not None and not request.one_row and not request.most_rows:
        request = replace(request, every=watch.every)
    if checkpoint is not None and stop is not None:
        stop.remember(checkpoint.watch)
    if checkpoint is not None and watch is not None:
        watch.remember(checkpoint.watch, checkpoint.best)
    stops = stop is not None or (watch is not None and "holdout" in watch.values)
    engine = choose_engine(plan, feed, request, steps, checkpoint, watched=stop is not None, stops=stops)
    record = recorded(plan, document.record if request.record is None else request.record, structure.unread)
    if watch is not None:
        record = list(dict.fromkeys([*record, *(watched.slot for watched in watch.values.values())]))
    _check_history(plan, record, steps // (request.every or smallest_stride(steps)) + 1)
    save = None
    if request.save is not None and request.writes:
        save = partial(write_checkpoint, Path(request.save), seed, feed, stop, watch, request.folds_done, engine.name)
    job = Job(
        name=document.source.name,
        parameters=list(document.parameters),
        nodes=[name for name in structure.names[len(structure.leaves) :] if name is not None],
        request=request,
        steps=steps,
        record=record,
        stop=stop,
        watch=watch,
        feed=feed,
        holdout=None if feed is None else feed.held_back(),
        resume=checkpoint,
        save=save,
    )
    return plan, engine, job, seed


def _watch(document: Document, plan: Plan, feed: DataSet | None, request: RunRequest, steps: int) -> Watch:
    """Return what looks at the recorded rows: those of the file's own run, where only one of its steps is asked for."""
    every = None if request.one_row else request.every
    dependent = set() if feed is None or feed.held_back() is None else data_dependent(plan)
    return Watch(document, plan, dependent, every or smallest_stride(max(steps, document.steps or 0)))


def _fit(
    structure: ComputationalGraph, plan: Plan, feed: Feed | None, seed: int, request: RunRequest
) -> Callable[[Result], Uncertainty] | None:
    """Return what tells of a result what the fit is worth, where the graph file asks for it."""
    entry = structure.document.uncertainty
    if entry is None:
        return None
    from graphrun.run.fit import Fit
    from graphrun.run.uncertainty import check_uncertainty, uncertainty

    # Derivatives in single precision would tell half as much.
    double = plan if plan.dtype == np.float64 else build_plan(structure, np.dtype(np.float64), seed, feed)
    check_uncertainty(double, feed, entry)
    return lambda result: uncertainty(Fit(double, feed, entry, result.parameters, request.interrupted))


def _check_history(plan: Plan, record: Sequence[int], rows: int) -> None:
    """Refuse to record arrays for so many rows that memory does not hold them."""
    arrays = [slot for slot in record if plan.shapes[slot]]
    size = rows * plan.dtype.itemsize * sum(math.prod(plan.shapes[slot]) for slot in arrays)
    if size > memory_limit():
        names = ", ".join(repr(plan.names[slot]) for slot in arrays[:8])
        need = f"takes {size_text(size)} of memory; the limit is {size_text(memory_limit())}"
        raise UsageError(f"recording {names} in {rows:,} rows {need}\n  --every N keeps fewer rows; {MORE_MEMORY}")


def _checkpoint(request: RunRequest) -> Checkpoint | None:
    """Return the checkpoint that a run goes on from; refuse at once a place where none can be written."""
    if request.save is not None:
        from graphrun.run.checkpoint import check_writable

        check_writable(Path(request.save))
    if request.resume is None:
        return None
    from graphrun.run.checkpoint import load_checkpoint

    return load_checkpoint(request.resume)


def choose_engine(
    plan: Plan,
    feed: DataSet | None,
    request: RunRequest,
    steps: int,
    checkpoint: Checkpoint | None,
    *,
    watched: bool,
    stops: bool,
) -> Engine:
    """Return the engine of a run; a solver has one of its own.

    `steps` includes those before the checkpoint; `watched` says whether a stop rule watches each, `stops` whether
    they may end before the last.

    Raises:
        UsageError: the engine that is named does not do what is asked for.
    """
    name, rule = request.engine, plan.update.rule
    if request.needs_jax:
        if name not in {"auto", "jax"}:
            raise UsageError(f"device and distributed are the jax engine's, not the {name} engine's")
        name = "jax"
    if isinstance(rule, Solver):
        if name not in {"auto", "numpy"}:
            advice = "take that, or an update rule such as adam"
            raise UsageError(f"the solver {rule.name} works with the numpy engine, not with {name}: {advice}")
        from graphrun.engines.scipy.program import SolverEngine

        return SolverEngine()
    if name == "auto":
        first_step, began = (checkpoint.step, checkpoint.engine) if checkpoint else (0, "")
        choice = keep(began, choose(plan, steps - first_step, feed, stops=stops))
        request.on_choice(choice)
        name = choice.engine
    if request.cluster is not None:
        request.cluster.join(request.device)
    engine = get_engine(name, device=request.device, shared=request.cluster is not None, watch=watched)
    if isinstance(engine, Relay):
        engine.tell = lambda why: request.on_choice(Choice("numpy", "it goes on with this run", why))
    return engine


def describe(plan: Plan, engine: Engine, job: Job, description: str, seed: int) -> RunDescription:
    """Return what observers are told of a run."""
    update = plan.update
    settings: dict[str, Any] = {"type": update.rule.name, **dict(update.settings)}
    if update.schedule is not None:
        settings["step_size"] = {"type": update.schedule[0].name, **dict(update.schedule[1])}
    if update.starts > 1:
        settings["starts"] = update.starts
    return RunDescription(
        graph=job.name,
        description=description,
        objective=None if plan.objective is None else plan.names[plan.objective],
        direction="maximize" if plan.maximize else "minimize",
        steps=job.steps,
        first_step=0 if job.resume is None else job.resume.step,
        engine=engine.name,
        dtype=plan.dtype.name,
        seed=seed,
        update=settings,
        record=[plan.names[slot] or "" for slot in job.record],
        parameters=sum(math.prod(shape) for shape in plan.shapes[: plan.parameters]),
        settings=job.request.settings,
    )


def recorded(plan: Plan, names: Sequence[str] | None, unread: Collection[str] = ()) -> list[int]:
    """Return the slots to record: those of the names, else the objective and the scalar parameters.

    The columns of the data that are `unread` cannot be recorded, for there is nothing of them.
    """
    if names is not None:
        names = [normalize(name) for name in listed_names("record", names)]
        for name in names:
            if name not in plan.slots:
                hint = did_you_mean(name, plan.slots)
                if name in unread:
                    raise UsageError(f"record: no node reads the column {name!r} of the data")
                raise UsageError(f"record: the name {name!r} is unknown" + (f"; {hint}" if hint else ""))
        return [plan.slots[name] for name in dict.fromkeys(names)]
    scalars = [slot for slot in range(plan.parameters) if not plan.shapes[slot]]
    if len(scalars) > RECORDED_PARAMETERS:
        scalars = []
    if plan.objective is not None:
        return [plan.objective, *(slot for slot in scalars if slot != plan.objective)]
    read = {int(slot) for slot in plan.operands}
    results = [s for s in range(len(plan.leaves), len(plan.names)) if s not in read and not plan.shapes[s]]
    return scalars + results[:RECORDED_PARAMETERS]


def write_checkpoint(
    path: Path,
    seed: int,
    data: DataSet | None,
    stop: StopRule | None,
    watch: Watch | None,
    folds_done: Mapping[str, Any],
    engine: str,
    program: Program,
) -> None:
    """Write a checkpoint of a program; where the best is kept, its parameters are those."""
    from graphrun.run.checkpoint import BEST, LAST, Checkpoint, fingerprint, save_checkpoint

    statistics = {} if data is None else {f"data/{name}": array for name, array in data.statistics.items()}
    plan = program.plan
    held = {f"parameters/{name}": np.asarray(value) for name, value in plan.frozen_values.items()}
    arrays: dict[str, Any] = {**program.snapshot(), **held, **statistics, **folds_done}
    best = {} if watch is None else watch.best
    if watch is not None and watch.last is not None:
        arrays |= {f"{BEST}{name}": array for name, array in best.items()}
    else:
        arrays |= {**best, **{f"{LAST}{name}": arrays[name] for name in best}}
    memory = {**(stop.memory() if stop else {}), **(watch.memory() if watch else {})}
    save_checkpoint(Checkpoint(program.step, seed, fingerprint(plan), arrays, memory, engine), path)
