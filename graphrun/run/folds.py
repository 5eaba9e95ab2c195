"""Cross-validation: a run for each fold, which is held back from it; what is recorded on the folds, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.outcome import Folds
from graphrun.data.rows import DataSource
from graphrun.graph.graph import ComputationalGraph
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Plan
from graphrun.run.checkpoint import OTHER, Checkpoint, load_checkpoint
from graphrun.run.request import RunRequest
from graphrun.run.result import Result

SCORES = "folds/"
"""What stands before the names of the folds' values in a checkpoint: those of the folds before the one at hand."""

STEPS, COUNT = "steps/", "count/"

PlanOf = Callable[[str | None, int], Plan]


def run_folds(
    structure: ComputationalGraph,
    source: DataSource,
    plan_of: PlanOf,
    request: RunRequest,
    run: Callable[[ComputationalGraph, DataSource, PlanOf, RunRequest], Result],
) -> Result:
    """Run a graph once for each fold; the result is that of the last one, with the values of all.

    A run that fails or is interrupted ends it. A checkpoint knows the folds before its own, and is gone on from there.

    Raises:
        UsageError: what is asked for makes no sense.
    """
    if request.cluster is not None:
        raise UsageError("folds are run by one process: leave out --distributed, or 'folds'")
    count = source.folds
    known: dict[str, list[Any]] = {}
    if request.resume is not None:
        saved = load_checkpoint(request.resume)
        if COUNT not in saved.folds:
            raise UsageError(f"the checkpoint {request.resume} is of a run without folds{OTHER}")
        fold_of(saved, count, request.resume)
        known = _known(saved, request.resume)
    begun = min((len(values) for values in known.values()), default=0)
    quiet = replace(request, observers=(), on_row=None)
    for fold in range(begun, count):
        rows = source.at_fold(fold)

        def plan_of_fold(dtype: str | None, seed: int, rows: DataSource = rows) -> Plan:
            return build_plan(structure, plan_of(dtype, seed).dtype, seed, rows.open(seed))

        asked = replace(
            request if fold == count - 1 else quiet,
            resume=request.resume if fold == begun else None,
            folds_done={f"{SCORES}{name}": np.array(v) for name, v in (*known.items(), (COUNT, [count]))},
        )
        result = run(structure, rows, plan_of_fold, asked)
        if result.error is not None or result.stopped == "interrupted":
            return result
        for name, value in {STEPS: float(result.steps), **result.holdout}.items():
            known.setdefault(name, []).append(value)
        known = {name: values for name, values in known.items() if len({np.shape(value) for value in values}) == 1}
    steps = [int(number) for number in known.pop(STEPS)]
    return replace(result, folds=Folds(steps, {name: np.array(v) for name, v in known.items() if len(v) == count}))


def fold_of(saved: Checkpoint, count: int, path: str | Path) -> int:
    """Return the fold that a checkpoint's run held back; the last one where it knows of no folds.

    Raises:
        UsageError: it is one of another number of folds, or damaged.
    """
    known = _known(saved, path)
    begun, folds = min((len(values) for values in known.values()), default=0), saved.folds.get(COUNT, [count])
    if np.shape(folds) != (1,) or begun >= folds[0]:
        raise UsageError(f"the checkpoint {path} is damaged: its folds do not fit one another")
    if folds[0] != count:
        of = f"of a run of {folds[0]:g} folds"
        raise UsageError(f"the checkpoint {path} {of} has come to fold {begun + 1}, and there are {count}")
    return begun if COUNT in saved.folds else count - 1


def _known(saved: Checkpoint, path: str | Path) -> dict[str, list[Any]]:
    """Return what a checkpoint has of the folds before its own, by name."""
    found = {name: np.atleast_1d(values) for name, values in saved.folds.items() if name != COUNT}
    steps = found.get(STEPS, np.zeros(()))
    if found and (steps.ndim != 1 or len({len(v) for v in found.values()}) > 1 or not np.isfinite(steps).all()):
        raise UsageError(f"the checkpoint {path} is damaged: its folds do not fit one another")
    return {name: list(values) for name, values in found.items()}
