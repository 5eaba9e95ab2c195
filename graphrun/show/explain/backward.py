"""The backward pass on the board: from the objective to the leaves, what each edge carries, and the sums."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from graphrun.declare.formula import call_text, setting_text
from graphrun.declare.nodetype import Tensor
from graphrun.engines.numpy import broadcast_axes
from graphrun.run.passes import Edge
from graphrun.show.explain.board import Board
from graphrun.show.explain.notation import is_number, value_text
from graphrun.show.explain.page import Block, Equations, Group, Heading, Math, MathRow, Paragraph, Prose

SHOWN_TERMS = 4
"""Sums of more terms are not written out."""

SHOWN_APART = 8
"""No more of the values that the objective does not depend on are named."""

LONGEST = 60
"""A longer text of a tensor type's gradient explains nothing in a line."""

MATRIX = 2

NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(?!\w*\()")
"""A name that is no function's and no attribute."""

COLUMNS = ("derivative", "chain rule", "in numbers", "result")


def backward(board: Board) -> Iterator[Block]:
    """Yield the backward pass."""
    objective = board.objective
    if objective is None:
        return
    yield Heading(["Backward pass: what comes in times the local derivative"])
    seed = MathRow(board.derivative(objective), result=board.gradient(objective), note=["the pass begins here"])
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
    apart = [node for node in board.order if not board.passes.is_needed(node)]
    if apart:
        yield Paragraph([board.objective_name, " does not depend on ", *board.listed(apart, SHOWN_APART), "."])


def edge_row(board: Board, edge: Edge) -> MathRow:
    """Return the line of an edge: the derivative coming in times the local one is what the source is given."""
    one_of_many = len(board.parts(edge.source)) > 1
    left, result = board.derivative(edge.source), value_text(board.notation, edge.contribution)
    formula, numbers = _chain(board, edge), _chain_in_numbers(board, edge)
    return MathRow(
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
    text = _gradient_text(board, edge)
    if text is not None:
        return text
    local, is_a_number = board.local(edge)
    symbol = board.notation.derivative(board.raw(edge.target), board.raw(edge.source))
    if edge.target == board.objective:
        return symbol if local is None else local[0]
    # Of a mere number the symbol says more; the number stands beside it.
    factor = board.operand(symbol) if local is None or (is_a_number and board.names_are_short) else local
    chain = board.product(board.operand(board.derivative(edge.target)), factor)
    shapes = board.plan.shapes
    is_elementwise = board.plan.batch_of(edge.target).type.is_elementwise
    if is_elementwise and broadcast_axes(shapes[edge.source], shapes[edge.target]):
        return call_text(board.notation, "sum", [board.operand(chain)], {})[0]
    return chain


def _gradient_text(board: Board, edge: Edge) -> str | None:
    """Return what a tensor type gives an input, as text; None where the declaration has no formula for the case."""
    batch = board.plan.batch_of(edge.target)
    declared, settings = batch.type, dict(batch.settings)
    if not isinstance(declared, Tensor) or not board.notation.is_text or len(declared.gradients) <= edge.position:
        return None
    text = declared.gradients[edge.position]
    if text is None or len(text) > LONGEST or settings.get("reduction", "mean") != "mean":
        return None
    sources = board.plan.inputs_of(edge.target)
    # For vectors, and for matrices in stacks, products mean something else than the texts say.
    if re.search(r"@|\.T", text) and any(len(board.plan.shapes[slot]) != MATRIX for slot in sources):
        return None
    upstream = "1" if edge.target == board.objective else board.derivative(edge.target)
    names = {name: setting_text(value) for name, value in settings.items()}
    names |= dict(zip(declared.inputs, map(board.name, sources), strict=False))
    # The output has the name that no input has.
    output = next(name for name in "yz" if name not in declared.inputs)
    names |= {"gradient": upstream, output: board.name(edge.target)}
    if "n" not in names and re.search(r"\bn\b", text):
        names["n"] = _elements(board, edge, sources)
    if any(name not in names for name in NAME.findall(text)):
        return None
    if upstream == "1":
        text = re.sub(r"^(-?)gradient \* ", r"\1", text)
    return NAME.sub(lambda match: names[match[1]], text)


def _elements(board: Board, edge: Edge, sources: Sequence[int]) -> str:
    """Return how many elements a mean is taken of, for each element of the result."""
    shapes = board.plan.shapes
    try:
        elements = math.prod(np.broadcast_shapes(*(shapes[slot] for slot in sources)))
    except ValueError:
        return "n"
    return str(elements // max(math.prod(shapes[edge.target]), 1))


def _chain_in_numbers(board: Board, edge: Edge) -> str:
    upstream = board.passes.gradients[edge.target]
    if edge.local_derivative is None or not is_number(upstream):
        return ""
    if edge.target == board.objective:
        return board.local_in_numbers(edge)
    return board.product(board.bound(upstream), board.bound(edge.local_derivative))


def sum_row(board: Board, slot: int) -> MathRow:
    """Return the line that adds up what a value is given by all its uses."""
    parts = [edge.contribution for edge in board.parts(slot)]
    numbers = ""
    if is_number(board.passes.gradients[slot]) and len(parts) <= SHOWN_TERMS:
        numbers = board.total([board.bound(part) for part in parts])
    note = meaning = intuition(board, slot)
    if not (numbers and meaning):
        note = [f"the sum over its {len(parts)} uses", *(["; ", *meaning] if meaning else [])]
    return MathRow(board.derivative(slot), "", numbers, board.gradient(slot), note)


def intuition(board: Board, slot: int) -> Prose:
    """Say what the sign of a parameter's derivative means."""
    gradient = board.passes.gradients[slot]
    if slot >= board.plan.parameters or not is_number(gradient):
        return ()
    name = Math(board.name(slot))
    if gradient == 0:
        return [name, " makes no difference here"]
    return ["raising ", name, " raises " if gradient > 0 else " lowers ", board.objective_name]
