"""Reports: a run as one page to step through, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphrun.base.errors import UsageError
from graphrun.run.loop import smallest_stride
from graphrun.run.result import Result
from graphrun.show.report.contents import contents
from graphrun.show.report.page import page
from graphrun.show.report.recording import Recording

if TYPE_CHECKING:
    from graphrun.run.api import Graph

MOST_VALUES = 20_000
"""Nobody reads a page of more values, and no browser shows it in a moment."""


MOST_ROWS = 1001
"""All steps of a run of 1,000, and the row before them."""


class Report(NamedTuple):
    """A page, as HTML, and the result of the run that it is about."""

    html: str
    result: Result


def make_report(
    graph: Graph,
    steps: int | None = None,
    *,
    dtype: str | None = None,
    seed: int | None = None,
    record: Sequence[str] | None = None,
    every: int | None = None,
    depth: int | None = None,
    **options: Any,
) -> Report:
    """Run a graph, and return a page about it; a run that fails has a page of what there is.

    Args:
        graph: the graph.
        steps, dtype, seed, record, every: as of `Graph.run`.
        depth: how many frames within each other the drawing opens; all that fit by default.
        options: more of `Graph.try_run`.

    Raises:
        UsageError: the graph is too large for a page.
    """
    plan = graph.plan(dtype, seed)
    if len(plan.names) > MOST_VALUES:
        raise UsageError(f"{graph.name} has {len(plan.names):,} values; a report has at most {MOST_VALUES:,}")
    steps = graph.steps if steps is None else steps
    if plan.objective is None:
        steps = 0
    stride = every or smallest_stride(steps, MOST_ROWS)
    recording = Recording(plan, stride, steps // stride + 1)
    result = graph.try_run(
        steps, dtype=dtype, seed=seed, record=record, every=stride, inspect=recording.take, **options
    )
    recording.finish()
    return Report(page(contents(graph, result, recording, depth)), result)
