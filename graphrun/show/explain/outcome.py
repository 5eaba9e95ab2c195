"""After the update: the values that came of it, and why the objective rose or fell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphrun.base.numbertext import number
from graphrun.run.passes import Passes
from graphrun.show.explain.board import Board, is_number
from graphrun.show.explain.page import Block, CellTable, Equations, Group, Heading, Math, MathRow, Paragraph, Prose
from graphrun.show.tables import uncertainty_header, uncertainty_lines, uncertainty_rows
from graphrun.solvers import Solver

SHOWN_NODES = 8
"""Of a graph of more nodes only the objective is shown after the update."""

SHOWN_TERMS = 4
SHOWN_PARAMETERS = 40

EXACT = 1e-9
"""A difference of a smaller share is rounding."""

SMALL = 1e-3
"""A difference of a smaller share is not worth an explanation."""

CURVED = 0.5
"""Where the true change is off by more than this share of what the derivatives promise, it is said."""


def outcome(board: Board) -> Iterator[Block]:
    """Yield what came of the update."""
    after, objective = board.step.after, board.objective
    if after is None or objective is None or not board.plan.parameters:
        return
    nodes = board.order if len(board.order) <= SHOWN_NODES else [slot for slot in board.order if slot == objective]
    rows = []
    for node in nodes:
        numbers, result = board.forward_in_numbers(node, after), board.value(node, after)
        rows.append(MathRow(board.name(node), "", "" if numbers == result else numbers, result))
    what_happened, why = _why(board, after)
    yield Heading(["After the update", *what_happened])
    if rows:
        yield Equations([Group(rows)])
    yield Paragraph(why)


def worth(board: Board) -> Iterator[Block]:
    """Yield what the fit is worth after the update, where the graph file asks for it."""
    result = board.step.result
    found = None if result is None else result.uncertainty
    if result is None or found is None:
        return
    yield Heading(["What the fit is worth"])
    if found.kind == "least_squares":
        how = "The covariance is s² (JᵀJ)⁻¹: J holds the derivatives of the residuals by the parameters, s is the "
        yield Paragraph([how + "residuals' standard deviation. A standard error is the root of its diagonal."])
    else:
        how = "The covariance is the inverse of the objective's second derivatives"
        yield Paragraph(
            [how + ": where it curves much, little is left open. A standard error is the root of its diagonal."]
        )
    rows = uncertainty_rows(result)
    yield CellTable(["", "value", *uncertainty_header(found)], rows[:SHOWN_PARAMETERS])
    if len(rows) > SHOWN_PARAMETERS:
        yield Paragraph([f"{SHOWN_PARAMETERS} of {len(rows)} parameters."])
    yield from (Paragraph([f"{line[:1].upper()}{line[1:]}."]) for line in uncertainty_lines(found))


def _why(board: Board, after: Passes) -> tuple[Prose, Prose]:
    """Return what became of the objective, and why: what the derivatives promise, and what is different."""
    plan, objective, goal = board.plan, board.objective or 0, board.objective_name
    changes = [after.values[slot] - board.passes.values[slot] for slot in range(plan.parameters)]
    parts = [float(np.sum(board.passes.gradients[slot] * change)) for slot, change in enumerate(changes)]
    promised, actual = sum(parts), float(after.values[objective] - board.passes.values[objective])
    what = board.passes.varying
    if what:
        before = f"Each step has other {what}, so before and after cannot be compared. With the same {what}: "
        return [], [before, *_promise(board, changes, parts), "."]
    if not any(np.any(change) for change in changes):
        flat = not any(np.any(board.passes.gradients[slot]) for slot in range(plan.parameters))
        reason = ": the bounds hold those that have a derivative" if any(plan.bounds) else ""
        if isinstance(plan.update.rule, Solver):
            reason = f": {plan.update.rule.name} found nothing better in this step"
        held = f"No parameter moved{reason}."
        return [": ", goal, " stays"], ["Every derivative is 0: ", goal, " is flat here."] if flat else [held]
    verb = "rose" if actual > 0 else "fell" if actual < 0 else "stayed"
    wrong = actual < 0 if plan.maximize else actual > 0
    wanted = f", though it is to be {'maximized' if plan.maximize else 'minimized'}" if wrong else ""
    amount = [" by ", board.math(abs(actual))] if actual else []
    why = ["Why: ", *_promise(board, changes, parts), ". ", *_direction(board, parts), *_rest(board, promised, actual)]
    return [": ", goal, f" {verb}", *amount, wanted], why


def _promise(board: Board, changes: Sequence[Any], parts: Sequence[float]) -> Prose:
    """Say what the derivatives promise: each parameter's derivative times its change."""
    numbers = [slot for slot, change in enumerate(changes) if is_number(change)]
    total = board.math(sum(parts))
    prose: Prose = ["a parameter adds its derivative times its change"]
    if len(parts) == 1 and not numbers:
        return [*prose, ", summed over the elements: ", total]
    if numbers:
        shown = max(numbers, key=lambda slot: abs(float(number(parts[slot]))))
        product = board.product(board.bound(board.passes.gradients[shown]), board.bound(changes[shown]))
        prose = [*prose, ": for ", Math(board.name(shown)), ", ", Math(f"{product} = {board.bound(parts[shown])[0]}")]
    if len(parts) == 1:
        return prose
    if len(parts) > SHOWN_TERMS:
        return [*prose, ". Together: ", total]
    return [*prose, ". Together: ", Math(board.total([board.bound(part) for part in parts])), " = ", total]


def _direction(board: Board, parts: Sequence[float]) -> Prose:
    """Say which way the parameters moved."""
    plan, sign = board.plan, 1 if board.plan.maximize else -1
    against = sum(sign * part < 0 for part in parts)
    if not against:
        way = "the way that its derivative points" if plan.maximize else "against its derivative"
        each = "Each parameter moved" if len(parts) > 1 else "The parameter moved"
        what = "raises" if plan.maximize else "lowers"
        return [f"{each} {way}, so {'every part' if len(parts) > 1 else 'that'} {what} ", board.objective_name, ". "]
    why = "chooses steps that reach further than the slope"
    if not isinstance(plan.update.rule, Solver):
        why = "remembers earlier gradients" if plan.rule.state else "moved it so"
    some = "One part goes" if against == 1 else f"{against} parts go"
    return [f"{some} the other way, for {plan.update.rule.name} {why}. "]


def _rest(board: Board, promised: float, actual: float) -> Prose:
    """Say how what happened differs from what was promised."""
    rest = actual - promised
    happened: Prose = ["What happened is ", board.math(actual)]
    if not math.isfinite(rest):
        return [*happened, ": the step is too long to be told by the slope."]
    if abs(rest) <= EXACT * max(abs(promised), abs(actual)):
        return ["What happened is that, for the derivatives stay the same on the way."]
    if not actual:
        return ["That is less than the last digit of ", board.objective_name, " can show."]
    if abs(rest) <= SMALL * abs(promised):
        return ["What happened differs by ", board.math(rest), ": so short a step follows the slope."]
    if abs(rest) <= CURVED * abs(promised):
        return ["The rest, ", board.math(rest), ", is curvature: the derivatives change on the way."]
    if actual * promised < 0:
        long = " Try a smaller step_size." if "step_size" in dict(board.plan.update.settings) else ""
        return [*happened, f": the step is so long that the slope where it began says little.{long}"]
    return [*happened, ": the step is long, and the derivatives change much on the way."]
