"""One step of a run, as the engine makes it: both passes before it, and those after its update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.types import Array
from graphrun.engines import Program
from graphrun.run.checkpoint import first_step
from graphrun.run.passes import Passes, tell_passes
from graphrun.run.result import Result

if TYPE_CHECKING:
    from graphrun.engines.auto import Choice
    from graphrun.run.api import Graph


@dataclass(frozen=True)
class Step:
    """What there is to explain.

    Attributes:
        before: the forward and the backward pass of the step.
        after: those after its update; None where there is none.
        ended: why there is no update.
        memory: what the engine keeps from step to step, after the update: ``rule/mean/a``, and ``step_size``.
        result: what the run came to, after the update.
    """

    graph: Graph
    before: Passes
    after: Passes | None
    ended: str
    memory: Mapping[str, Array]
    result: Result | None = None


def take_step(
    graph: Graph,
    step: int | None,
    *,
    seed: int | None = None,
    resume: str | Path | None = None,
    on_choice: Callable[[Choice], None] = lambda _choice: None,
) -> Step:
    """Run a graph up to a step, before which so many updates are made, and one update further.

    By default that is the first one, or the one that a checkpoint goes on with.

    Raises:
        UsageError: the run ends before that step.
        NotFiniteError: a value or a derivative was not finite, in that step or before; of that step, its `passes` are
            as far as they came.
    """
    step = first_step(step, resume)
    if step and graph.structure.objective is None:
        raise UsageError(f"there is no step {step}: without an objective nothing is updated")
    taken: dict[int, tuple[Passes, Mapping[str, Array]]] = {}

    def take(program: Program) -> None:
        if program.step >= step:
            size = {} if program.step_size is None else {"step_size": np.asarray(program.step_size)}
            taken[program.step] = Passes.of(program), {**program.snapshot(), **size}

    asked = {"seed": seed, "resume": resume, "record": (), "every": max(step, 1), "one_row": True}
    result = graph.try_run(step + 1, **asked, inspect=take, on_choice=on_choice)
    error = result.error
    if error is not None and (tell_passes(result, step) or step not in taken):
        raise error
    if step not in taken:
        raise UsageError(f"there is no step {step}: the run ends after {result.steps} ({result.stopped})")
    before, _ = taken[step]
    if error is not None and not _is_finite(before):
        raise error
    after, memory = taken.get(step + 1, (None, {}))
    return Step(graph, before, after, result.stopped, memory, result)


def _is_finite(passes: Passes) -> bool:
    """Whether the objective and the parameters' gradients are finite: an engine goes no further where they are not."""
    objective = passes.plan.objective
    gradients = (passes.gradients[slot] for slot in range(passes.plan.parameters))
    return objective is None or all(bool(np.isfinite(x).all()) for x in (passes.values[objective], *gradients))
