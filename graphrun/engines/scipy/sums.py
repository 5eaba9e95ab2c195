"""What an objective is a sum over: the response that residuals are differences from, the scores of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphrun.declare.solver import Vector
from graphrun.engines.numpy import NumpyProgram, backward
from graphrun.engines.scipy.jacobian import Jacobian
from graphrun.plan.plan import Plan
from graphrun.plan.rows import RowAxes, RowNode, combination

SAME, ADDED, SCALED = {"identity": 1.0, "negative": -1.0}, {"add": 1.0, "subtract": -1.0}, ("multiply", "divide")
"""The types of which a residual, or minus a log-likelihood, is put together of its terms."""


class Response(NamedTuple):
    """What was observed, an element a residual, and the derivative of the residual by it: the weight's root, or -1."""

    observed: Vector
    slopes: Vector


def response(program: NumpyProgram, residual: int) -> Response | None:
    """Return the response of residuals: what no parameter moves among the terms of which they are a sum.

    None where there is none of the residuals' shape, or more than one.
    """
    plan = program.plan
    found: list[Response] = []
    waiting: list[tuple[int, Any]] = [(residual, np.ones(plan.shapes[residual]))]
    while waiting:
        slot, slopes = waiting.pop()
        if not plan.moving[slot]:
            if plan.shapes[slot] == plan.shapes[residual] and plan.shapes[slot]:
                found.append(Response(np.ravel(program.values([slot])[0]), np.ravel(slopes)))
            continue
        with np.errstate(all="ignore"):
            waiting += [(term, slopes * factor) for term, factor in _terms(program, slot)]
    return found[0] if len(found) == 1 else None


def _terms(program: NumpyProgram, slot: int) -> Iterator[tuple[int, Any]]:
    """Yield the terms that a node adds up, each with what it is multiplied by; nothing of other nodes and leaves."""
    plan = program.plan
    inputs = plan.inputs_of(slot)
    name = plan.batch_of(slot).type.name if inputs else ""
    if name in SAME:
        yield inputs[0], SAME[name]
    elif name in ADDED:
        yield from zip(inputs, (1.0, ADDED[name]), strict=True)
    elif name in SCALED:
        for term, factor in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            if plan.moving[term] and not plan.moving[factor] and (name == "multiply" or term == inputs[0]):
                value = program.values([factor])[0]
                yield term, value if name == "multiply" else 1 / value


class SumOverRows(NamedTuple):
    """A node that adds up rows, or takes their mean: its inputs that move, and which axis of each is the rows."""

    node: int
    inputs: Sequence[tuple[int, int]]
    rows: int


class Sums(NamedTuple):
    """What an objective is made of by adding and scaling.

    Attributes:
        found: the nodes that add up rows.
        means: those among all nodes that take a mean.
        why: what keeps it from being a sum over rows, or "".
    """

    found: list[SumOverRows]
    means: list[int]
    why: str


def sums_over_rows(program: NumpyProgram) -> Sums:
    """Return the nodes that add up rows, of which the objective is made by adding and scaling."""
    plan = program.plan
    means: list[int] = []
    found: list[SumOverRows] = []
    others: list[int] = []
    waiting, seen = [plan.objective or 0], set[int]()
    while waiting:
        slot = waiting.pop()
        if not plan.moving[slot] or slot in seen:
            continue
        seen.add(slot)
        terms = [term for term, _ in _terms(program, slot)]
        sums = None if terms else _sum_over_rows(plan, slot)
        waiting += terms
        found += [sums] if sums else []
        others += [] if terms or sums else [slot]
        means += [slot] if not terms and _takes_mean(plan, slot) else []
    if others:
        return Sums(found, means, f"{plan.names[others[0]]!r} is no sum of what stands in single rows")
    if len({one.rows for one in found}) > 1:
        names = " and ".join(repr(plan.names[one.node]) for one in found[:2])
        return Sums(found, means, f"{names} are sums of different numbers of rows")
    return Sums(found, means, "")


def _takes_mean(plan: Plan, slot: int) -> bool:
    """Whether a node takes a mean, weighted or not, by its own word."""
    if slot < len(plan.leaves):
        return False
    batch = plan.batch_of(slot)
    return batch.type.name == "mean" or dict(batch.settings).get("reduction") == "mean"


def _sum_over_rows(plan: Plan, slot: int) -> SumOverRows | None:
    """Return what a node adds up, None where that is no rows."""
    inputs = plan.inputs_of(slot)
    moving = [source for source in dict.fromkeys(inputs) if plan.moving[source]]
    # Without a data set the first axis is taken for the rows.
    rows = plan.rows if plan.data else {s: RowAxes(0, own=True) for s in inputs if plan.shapes[s]}
    if not inputs or plan.shapes[slot] or not all(source in rows and rows[source].own for source in moving):
        return None
    batch = plan.batch_of(slot)
    how = combination(RowNode(batch.type, batch.settings, slot, inputs), rows, plan.shapes, plan.leaves)
    # A weighted mean is no mean of those of parts, but adds up rows all the same.
    if how not in ("sum", "mean") and not _takes_mean(plan, slot):
        return None
    axes = [(source, rows[source].axis or 0) for source in moving]
    return SumOverRows(slot, axes, plan.shapes[axes[0][0]][axes[0][1]])


def scores(program: NumpyProgram) -> Vector:
    """Return the derivatives of what each row adds to the objective, a sum over rows: a column a parameter."""
    values = program.values(range(len(program.plan.names)))
    operations = {operation.output: operation for operation in program.operations(masked=True)}
    total: Vector | float = 0.0
    for one in sums_over_rows(program).found:
        given = backward([operations[one.node]], values, one.node, program.gradients([one.node])[0])
        for slot, axis in one.inputs:
            jacobian = Jacobian(program, slot)()
            # An input whose derivative is none, as of labels, is given nothing.
            parts = np.ravel(given.get(slot, np.zeros(program.plan.shapes[slot])))[:, None] * jacobian
            by_row = np.moveaxis(parts.reshape(*program.plan.shapes[slot], -1), axis, 0)
            total = total + by_row.reshape(one.rows, -1, jacobian.shape[1]).sum(axis=1)
    return np.asarray(total, dtype=np.float64)
