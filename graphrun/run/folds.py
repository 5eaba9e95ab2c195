"""Cross-validation: a run for each fold, which is held back from it; what is recorded on the folds, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.outcome import Folds
from graphrun.data.rows import DataSource
from graphrun.graph.graph import ComputationalGraph
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Plan
from graphrun.run.request import RunRequest
from graphrun.run.result import Result

SCORES = "folds/"
"""What stands before the names of the folds' values in a checkpoint: those of the folds before the one at hand."""

STEPS = "steps/"

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
    data = structure.document.data
    count = 0 if data is None else data.holdout.folds
    known = _known(request)
    begun = min((len(values) for values in known.values()), default=0)
    if begun >= count:
        raise UsageError(f"the checkpoint {request.resume} has come to fold {begun + 1}, and there are {count}")
    quiet = replace(request, observers=(), on_row=None)
    for fold in range(begun, count):
        rows = source.at_fold(fold)

        def plan_of_fold(dtype: str | None, seed: int, rows: DataSource = rows) -> Plan:
            return build_plan(structure, plan_of(dtype, seed).dtype, seed, rows.open(seed))

        asked = replace(
            request if fold == count - 1 else quiet,
            resume=request.resume if fold == begun else None,
            folds_done={f"{SCORES}{name}": np.array(values) for name, values in known.items()},
        )
        result = run(structure, rows, plan_of_fold, asked)
        if result.error is not None or result.stopped == "interrupted":
            return result
        for name, value in {STEPS: float(result.steps), **result.holdout}.items():
            known.setdefault(name, []).append(value)
        known = {name: values for name, values in known.items() if len({np.shape(value) for value in values}) == 1}
    steps = [int(number) for number in known.pop(STEPS)]
    return replace(result, folds=Folds(steps, {name: np.array(v) for name, v in known.items() if len(v) == count}))


def _known(request: RunRequest) -> dict[str, list[Any]]:
    """Return what a checkpoint has of the folds before its own, by name."""
    if request.resume is None:
        return {}
    from graphrun.run.checkpoint import load_checkpoint

    found = {name: np.atleast_1d(values) for name, values in load_checkpoint(request.resume).folds.items()}
    steps = found.get(STEPS, np.zeros(()))
    if found and (steps.ndim != 1 or len({len(v) for v in found.values()}) > 1 or not np.isfinite(steps).all()):
        raise UsageError(f"the checkpoint {request.resume} is damaged: its folds do not fit one another")
    return {name: list(values) for name, values in found.items()}
