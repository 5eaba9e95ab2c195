"""Reports: a run as one page to step through, in one file that needs nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from graphrun.base.errors import UsageError
from graphrun.run.loop import smallest_stride
from graphrun.run.result import Result
from graphrun.show.report.contents import contents
from graphrun.show.report.page import page
from graphrun.show.report.recording import Recording

if TYPE_CHECKING:
    from graphrun.run.api import Graph
    from graphrun.run.request import RunRequest

MOST_VALUES = 20_000
"""Nobody reads a page of more values, and no browser shows it in a moment."""

MOST_ROWS = 1001
"""All steps of a run of 1,000, and the row before them."""


class RunReport(NamedTuple):
    """A page, as HTML, and the result of the run that it is about."""

    html: str
    result: Result


def make_report(graph: Graph, request: RunRequest, depth: int | None = None) -> RunReport:
    """Run a graph, and return a page about it; a run that fails has a page of what there is.

    Args:
        graph: the graph.
        request: what the run is asked for.
        depth: how many frames within each other the drawing opens; all that fit by default.

    Raises:
        UsageError: the graph is too large for a page.
    """
    plan = graph.plan(request.dtype, request.seed)
    if len(plan.names) > MOST_VALUES:
        raise UsageError(f"{graph.name} has {len(plan.names):,} values; a report has at most {MOST_VALUES:,}")
    steps = 0 if plan.objective is None else request.steps_of(graph.document)
    stride = request.every or smallest_stride(steps, MOST_ROWS)
    recording = Recording(plan, stride, steps // stride + 1)
    result = graph.answer(replace(request, steps=steps, every=stride, inspect=recording.take))
    recording.finish()
    return RunReport(page(contents(graph, result, recording, depth)), result)
