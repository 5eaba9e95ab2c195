"""Checking a graph at its own values: every local derivative, the whole gradient, and what the file expects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphrun.base.numbertext import format_value
from graphrun.base.outcome import CheckReport
from graphrun.base.types import Array
from graphrun.check.local_check import check_local_derivatives
from graphrun.document import ExpectEntry
from graphrun.engines import NotFinite, StepFailed
from graphrun.engines.numpy import NumpyEngine, NumpyProgram
from graphrun.plan.plan import Plan
from graphrun.run.api import Graph
from graphrun.run.result import Result

GRADIENT_ELEMENTS = 30
"""Up to so many elements of the parameters the gradient is checked one by one, above in so many random directions."""

DIRECTIONS = 10
STEPS = (1e-4, 1e-5, 1e-6, 1e-3)
TOLERANCE = 1e-5
EXPECT_TOLERANCE = 1e-6


def check_graph(graph: Graph) -> CheckReport:
    """Check a graph.

    Raises:
        GraphrunError: the graph cannot be run at all.
    """
    report = CheckReport()
    plan = graph.plan("float64")
    start = NumpyEngine().compile(plan)
    try:
        start.evaluate()
        values = start.values(range(len(plan.names)))
    except (NotFinite, StepFailed):
        result = graph.try_run(0)
        report.failures.append(str(result.error))
        return report
    _check_local(plan, values, report)
    if plan.objective is not None:
        _check_gradient(start, report)
    _check_expect(graph, report)
    return report


def _check_local(plan: Plan, values: Sequence[Array], report: CheckReport) -> None:
    for batch in plan.batches:
        if batch.type.derivative is None:
            continue
        gathered = [[values[slot] for slot in slots.tolist()] for slots in plan.inputs(batch)]
        inputs = [given[0] if batch.count == 1 else np.array(given) for given in gathered]
        if not all(np.isfinite(array).all() for array in inputs):
            continue
        found = check_local_derivatives(batch.type, dict(batch.settings), inputs)
        report.derivatives += found.compared
        report.skipped += found.skipped
        names = ", ".join(str(plan.names[slot]) for slot in range(batch.start, min(batch.stop, batch.start + 3)))
        report.failures += [f"node {names}{', ...' if batch.count > 3 else ''}: {text}" for text in found.failures]


def _check_gradient(program: NumpyProgram, report: CheckReport) -> None:
    """Compare the derivative of the objective along directions with its differences to both sides.

    Where the objective has a kink, the derivative may be anything between the slopes to both sides.
    """
    plan = program.plan
    gradient = program.gradients(range(plan.parameters))
    for label, direction in _directions(plan):
        declared = sum(float(np.sum(g * d)) for g, d in zip(gradient, direction, strict=True))
        report.gradient += 1
        for step, may_be_noisy in _steps(plan, direction):
            low, high, noise = _slopes(program, direction, step)
            scale = max(abs(low), abs(high), abs(declared)) if math.isfinite(low + high) else 0.0
            margin = TOLERANCE * scale + noise
            if low - margin <= declared <= high + margin and (may_be_noisy or noise <= TOLERANCE * scale):
                break
        else:
            report.failures.append(
                f"the derivative of {plan.names[plan.objective or 0]} by {label} is {declared:.10g}, but finite "
                f"differences give {low:.10g} to {high:.10g}"
            )


def _directions(plan: Plan) -> Iterator[tuple[str, Sequence[Array]]]:
    leaves = plan.leaves[: plan.parameters]
    if sum(np.size(leaf) for leaf in leaves) <= GRADIENT_ELEMENTS:
        for slot, leaf in enumerate(leaves):
            for index in np.ndindex(np.shape(leaf)):
                direction = [np.zeros(np.shape(other)) for other in leaves]
                direction[slot][index] = 1.0
                where = f"[{', '.join(map(str, index))}]" if index else ""
                yield f"{plan.names[slot]}{where}", direction
        return
    random = np.random.default_rng(0)
    for number in range(DIRECTIONS):
        direction = [random.standard_normal(np.shape(leaf)) for leaf in leaves]
        yield f"all parameters in random direction {number}", direction


def _steps(plan: Plan, direction: Sequence[Array]) -> Iterator[tuple[float, bool]]:
    """Yield the steps to try, and whether a difference may be lost in rounding errors there.

    The scale of most functions near 0 is 1, but of some (the logarithm) it is the distance from 0.
    """
    leaves = plan.leaves[: plan.parameters]
    moved = np.concatenate(
        [np.abs(np.ravel(leaf))[np.ravel(d) != 0] for leaf, d in zip(leaves, direction, strict=True)]
    )
    yield from ((step * np.max(moved, initial=1.0), True) for step in STEPS)
    yield from ((step * np.min(moved[moved > 0], initial=1.0), False) for step in STEPS)


def _slopes(program: NumpyProgram, direction: Sequence[Array], h: float) -> tuple[float, float, float]:
    """Return the smaller and the larger one-sided slope of fourth-order differences, and their rounding error."""
    leaves = program.plan.leaves[: program.plan.parameters]
    at = {
        k: _objective(program, [leaf + k * h * d for leaf, d in zip(leaves, direction, strict=True)])
        for k in range(-4, 5)
    }
    ahead = (-25 * at[0] + 48 * at[1] - 36 * at[2] + 16 * at[3] - 3 * at[4]) / (12 * h)
    behind = (25 * at[0] - 48 * at[-1] + 36 * at[-2] - 16 * at[-3] + 3 * at[-4]) / (12 * h)
    noise = 64 * np.finfo(float).eps * max(abs(value) for value in at.values()) / h
    return min(ahead, behind), max(ahead, behind), noise


def _objective(program: NumpyProgram, parameters: Sequence[Array]) -> float:
    try:
        return program.objective_at(parameters)
    except StepFailed:
        return math.nan


def _check_expect(graph: Graph, report: CheckReport) -> None:
    results: dict[int | None, Result] = {}
    for entry in graph.document.expect:
        if entry.at not in results:
            steps = graph.steps if entry.at is None else entry.at
            results[entry.at] = graph.try_run(steps, every=max(steps, 1), one_row=entry.at is not None)
        result = results[entry.at]
        if result.error is not None:
            report.failures.append(f"expect: {result.error}")
        elif entry.at is not None and result.steps < entry.at:
            report.failures.append(
                f"expect: the run stopped at step {result.steps} ({result.stopped}), not at {entry.at}"
            )
        else:
            _compare(entry, graph, result, report)


def _compare(entry: ExpectEntry, graph: Graph, result: Result, report: CheckReport) -> None:
    constants = graph.document.constants
    tolerance = EXPECT_TOLERANCE if entry.tolerance is None else entry.tolerance
    values: dict[str, Any] = {**constants, **result.parameters, **result.values}
    std_errors = {} if result.uncertainty is None else result.uncertainty.std_errors
    for kind, expected, found in (
        ("", entry.values, values),
        ("gradient of ", entry.gradients, result.gradients),
        ("standard error of ", entry.std_errors, std_errors),
    ):
        for name, number in expected.items():
            report.expected += 1
            if expected is entry.gradients and name in result.parameters and name not in found:
                report.failures.append(f"expect at step {result.steps}: there is no gradient of {name}: it is frozen")
                continue
            actual = np.asarray(found.get(name, math.nan if expected is entry.std_errors else 0.0), dtype=float)
            wanted = np.asarray(number, dtype=float)
            if actual.shape != wanted.shape or not np.allclose(actual, wanted, rtol=tolerance, atol=tolerance):
                report.failures.append(
                    f"expect at step {result.steps}: {kind}{name} is {format_value(actual)}, "
                    f"not {format_value(wanted)} within {tolerance:g}"
                )
