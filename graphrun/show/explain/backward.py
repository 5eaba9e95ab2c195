"""The backward pass on the board: from the objective to the leaves, what each edge carries, and the sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from graphrun.declare.formula import call_text
from graphrun.engines.numpy import broadcast_axes
from graphrun.run.passes import Edge
from graphrun.show.explain.board import Board
from graphrun.show.explain.gradients import gradient_text
from graphrun.show.explain.notation import is_number, value_text
from graphrun.show.explain.page import Block, Equations, Group, Heading, Math, Paragraph, Prose, Row

SHOWN_TERMS = 4
"""Sums of more terms are not written out."""

SHOWN_APART = 8
"""No more of the values that the objective does not depend on are named."""

COLUMNS = ("derivative", "chain rule", "in numbers", "result")


def backward(board: Board) -> Iterator[Block]:
    """Yield the backward pass."""
    objective = board.objective
    if objective is None:
        return
    yield Heading(["Backward pass: what comes in times the local derivative"])
    seed = Row(board.derivative(objective), result=board.gradient(objective), note=["the pass begins here"])
    groups = [Group([seed])]
    shown: Counter[int] = Counter()
    for node in reversed(board.order):
        rows = []
        for edge in board.edges_into(node) if board.passes.is_needed(node) else ():
            rows.append(edge_row(board, edge))
            shown[edge.source] += 1
            if shown[edge.source] == len(board.parts(edge.source)) > 1:
                rows.append(sum_row(board, edge.source))
        if rows:
            groups.append(Group(rows, board.equation(node)))
    yield Equations(groups, COLUMNS)
    yield from _apart(board)


def edge_row(board: Board, edge: Edge) -> Row:
    """Return the line of an edge: the derivative coming in times the local one is what the source is given."""
    one_of_many = len(board.parts(edge.source)) > 1
    left, result = board.derivative(edge.source), value_text(board.notation, edge.contribution)
    formula, numbers = _chain(board, edge), _chain_in_numbers(board, edge)
    return Row(
        left,
        "" if formula in {left, result} else formula,
        "" if numbers in {formula, result} else numbers,
        result,
        _stopped(board, edge) or (() if one_of_many else intuition(board, edge.source)),
        gets=one_of_many,
    )


def _stopped(board: Board, edge: Edge) -> Prose:
    """Say why an infinite local derivative passes nothing on."""
    local = edge.local_derivative
    if local is None or not is_number(local) or np.isfinite(local) or board.passes.gradients[edge.target] != 0:
        return ()
    return ["where 0 comes in, 0 goes out"]


def _chain(board: Board, edge: Edge) -> str:
    """Return the chain rule of an edge in symbols."""
    text = gradient_text(board, edge)
    if text is not None:
        return text
    local, is_a_number = board.local(edge)
    symbol = board.notation.derivative(board.raw(edge.target), board.raw(edge.source))
    if edge.target == board.objective:
        return symbol if local is None else local[0]
    # Of a mere number the symbol says more; the number stands beside it.
    factor = board.operand(symbol) if local is None or (is_a_number and board.names_are_short) else local
    chain = board.product(board.operand(board.derivative(edge.target)), factor)
    if is_broadcast(board, edge):
        return call_text(board.notation, "sum", [board.operand(chain)], {})[0]
    return chain


def is_broadcast(board: Board, edge: Edge) -> bool:
    """Whether the source of an edge was repeated along an axis."""
    shapes = board.plan.shapes
    is_elementwise = board.plan.batch_of(edge.target).type.is_elementwise
    return is_elementwise and bool(broadcast_axes(shapes[edge.source], shapes[edge.target]))


def _chain_in_numbers(board: Board, edge: Edge) -> str:
    upstream = board.passes.gradients[edge.target]
    if edge.local_derivative is None or not is_number(upstream):
        return ""
    if edge.target == board.objective:
        return board.local_in_numbers(edge)
    return board.product(board.bound(upstream), board.bound(edge.local_derivative))


def sum_row(board: Board, slot: int) -> Row:
    """Return the line that adds up what a value is given by all its uses."""
    parts = [edge.contribution for edge in board.parts(slot)]
    numbers = ""
    if is_number(board.passes.gradients[slot]) and len(parts) <= SHOWN_TERMS:
        numbers = board.total([board.bound(part) for part in parts])
    meaning = intuition(board, slot)
    note = (
        meaning
        if numbers and meaning
        else [f"the sum over its {len(parts)} uses", *(["; ", *meaning] if meaning else [])]
    )
    return Row(board.derivative(slot), "", numbers, board.gradient(slot), note)


def intuition(board: Board, slot: int) -> Prose:
    """Say what the sign of a parameter's derivative means."""
    gradient = board.passes.gradients[slot]
    if slot >= board.plan.parameters or not is_number(gradient):
        return ()
    name, goal = Math(board.name(slot)), Math(board.notation.name(board.goal))
    if gradient == 0:
        return [name, " makes no difference here"]
    return ["raising ", name, " raises " if gradient > 0 else " lowers ", goal]


def _apart(board: Board) -> Iterator[Block]:
    """Say what the backward pass does not come to."""
    apart = [node for node in board.order if not board.passes.is_needed(node)]
    if not apart:
        return
    prose: list[str] = [Math(board.notation.name(board.goal)), " does not depend on "]
    for position, node in enumerate(apart[:SHOWN_APART]):
        prose += [", " if position else "", Math(board.name(node))]
    more = len(apart) - SHOWN_APART
    yield Paragraph([*prose, f" and {more} more." if more > 0 else "."])
