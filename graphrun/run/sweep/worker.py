"""One run of a sweep, as a process of its own makes it: the graph is loaded with the run's settings, and run."""

from __future__ import annotations

import os
import pickle
import platform
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.errors import GraphrunError, UsageError
from graphrun.base.rows import encode, thinned
from graphrun.base.streams import stdout_to_stderr
from graphrun.document.names import normalize
from graphrun.run.loop import smallest_stride
from graphrun.run.request import RunRequest
from graphrun.run.result import Result
from graphrun.run.sweep.plan import HELD_BACK, PRUNED, Varied, overrides

if TYPE_CHECKING:
    from graphrun.run.sweep.optuna_search import Pruning

KEPT_GRAPHS = 4
MOST_ROWS = 100
"""So many rows a run records where nothing looks at them on the way, and so many of its course are kept."""
NUMBER = "{number}"
"""Stands for the number of a run in the target of an observer."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")
"""What tells BLAS, Numba and XLA (`NPROC`) how many threads they may have."""


@dataclass(frozen=True)
class Task:
    """A run to make: its number, the settings, a seed for each repetition, what is compared, what a run is asked for.

    Attributes:
        checkpoint: where its checkpoint is written, of one that was interrupted also read.
        pruning: what decides that a run is not worth its end.
        observed: observers of ``--observe``, ``NAME=TARGET`` with ``{number}`` for that of the run.
    """

    number: int
    settings: Mapping[str, Any]
    seeds: list[int | None]
    objective: str
    request: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    pruning: Pruning | None = None
    observed: Sequence[str] = ()


_stopping: Callable[[], bool] = lambda: False  # noqa: E731 (a process of a sweep is given another)


def begin_worker(stopping: Callable[[], bool]) -> None:
    """Begin a process of a sweep: Ctrl-C is the sweep's to tell, and the process ends when the sweep is no more."""
    global _stopping  # noqa: PLW0603 (a pool hands nothing else to what it calls)
    _stopping = stopping
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@lru_cache(KEPT_GRAPHS)
def _opened(pickled: bytes) -> Varied:
    graph: Varied = pickle.loads(pickled)  # noqa: S301 (the sweep's own)
    return graph


def perform(pickled: bytes, task: Task) -> dict[str, Any]:
    """Make a run, and return the line that tells of it."""
    start, seeds = time.perf_counter(), [seed for seed in task.seeds if seed is not None]
    line: dict[str, Any] = {"number": task.number, "settings": dict(task.settings), "objective": None}
    line |= {"stopped": "", "seconds": 0.0, "engine": None, "steps": None, "seed": seeds[0] if seeds else None}
    try:
        with stdout_to_stderr():
            graph = _opened(pickled).varied(overrides(task.settings))
            values = [_repetition(graph, task, k, line) for k in range(len(task.seeds))]
        line["objective"] = encode(np.mean(values))
        if len(values) > 1:
            line["objectives"] = [encode(value) for value in values]
    except _EndError as end:
        line["stopped"] = str(end)
    except GraphrunError as error:
        line["stopped"] = f"failed: {error}"
    if not isinstance(line["objective"], float):
        line["objective"] = None
    return line | {"seconds": round(time.perf_counter() - start, 4), "host": platform.node()}


class _EndError(Exception):
    """A repetition that ends its run."""


def _repetition(graph: Varied, task: Task, at: int, line: dict[str, Any]) -> float:
    name, held, request = task.objective.removeprefix(HELD_BACK), task.objective.startswith(HELD_BACK), {**task.request}
    name = normalize(name)
    document = graph.document
    own = document.maximize or document.minimize
    if name != own or document.record is not None:
        request["record"] = list(dict.fromkeys([*(document.record or filter(None, [own])), name]))
    if not (document.watches or task.observed or task.pruning):
        # Values on the rows held back may take longer than a step, and nobody looks at so many.
        request["every"] = smallest_stride(RunRequest(**request).steps_of(document), MOST_ROWS)
    if task.observed:
        number = f"{task.number}.{at}" if len(task.seeds) > 1 else str(task.number)
        pairs = [text.replace(NUMBER, number).partition("=") for text in task.observed]
        request["observers"] = [graph.registry.observer(name)(target) for name, _, target in pairs]
        request["settings"] = task.settings
    watch = None if task.pruning is None else task.pruning.watch(task.objective)
    if watch is not None:
        request["on_row"] = watch.row
    if task.checkpoint is not None and len(task.seeds) == 1:
        request["save"] = task.checkpoint
        if os.path.exists(task.checkpoint):  # noqa: PTH110
            request["resume"] = task.checkpoint

    def ends() -> bool:
        return _stopping() or (watch is not None and watch.is_pruned)

    result = graph.answer(RunRequest(seed=task.seeds[at], interrupted=ends, **request))
    line |= {"engine": result.engine, "steps": result.steps, "stopped": result.stopped}
    line["course"] = course_of(result, name)
    if watch is not None:
        line |= watch.told()
    if result.error is not None:
        raise _EndError(f"failed: {result.error}")
    if result.stopped == "interrupted":
        raise _EndError(PRUNED if watch is not None and watch.is_pruned else "interrupted")
    return value_of(result, name, held=held)


def course_of(result: Result, name: str) -> dict[str, list[Any]]:
    """Return a value over the steps of a run, as few of them as a chart needs; of folds, of the last one."""
    history = result.history
    names = [key for key in (name, f"{HELD_BACK}{name}") if key in history and history[key].ndim == 1]
    kept = thinned(len(history["step"]), MOST_ROWS)
    values = {key: [encode(float(f"{v:.6g}")) for v in history[key][kept].tolist()] for key in names}
    return {"step": history["step"][kept].tolist(), **values}


def value_of(result: Result, name: str, *, held: bool) -> float:
    """Return the number of a result that is compared; of folds, the mean.

    Raises:
        UsageError: the result has no such number.
    """
    known: Mapping[str, Any] = {**result.values, **result.parameters}
    if held:
        known = result.holdout if result.folds is None else result.folds.mean
    if name not in known or np.ndim(known[name]):
        what = "no number" if name in known else "not there"
        raise UsageError(f"the objective {HELD_BACK * held}{name} is {what} in the result")
    return float(known[name])
