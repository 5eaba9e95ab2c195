"""The lesson of one step: the forward pass, the backward pass, the update, and what came of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from graphrun.base.numbertext import describe
from graphrun.base.wording import counted, printable
from graphrun.declare.formula import call_text, setting_text
from graphrun.declare.nodetype import Tensor
from graphrun.engines.numpy import broadcast_axes
from graphrun.run.passes import Edge, Kind
from graphrun.show.explain.board import Board, is_number, value_text
from graphrun.show.explain.outcome import outcome, worth
from graphrun.show.explain.page import (
    Block,
    CellTable,
    Equations,
    Group,
    Heading,
    Math,
    MathRow,
    Page,
    Paragraph,
    Prose,
    joined,
)
from graphrun.show.explain.update import update

MOST_NODES, MOST_LEAVES, MOST_USES = 40, 60, 120
"""A graph of more nodes, leaves or uses of values is summed up."""

MOST_TYPES = 8
MOST_ON_PATH = 10

KINDS = {
    Kind.PARAMETER: ("parameter", "Parameters"),
    Kind.FROZEN: ("frozen parameter", "Frozen parameters"),
    Kind.CONSTANT: ("constant", "Constants"),
    Kind.DATA: ("data", "Data"),
    Kind.NOISE: ("random numbers", "Random numbers"),
    Kind.STATE: ("kept from step to step", "Kept from step to step"),
}

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


def lesson(board: Board) -> Page:
    """Return the lesson of a step; of a large graph a summary."""
    plan = board.plan
    is_large = len(board.order) > MOST_NODES or len(plan.leaves) > MOST_LEAVES or len(plan.operands) > MOST_USES
    passes = overview(board) if is_large else [*forward(board), *backward(board)]
    return [*title(board), *passes, *update(board), *outcome(board), *worth(board)]


def title(board: Board) -> Iterator[Block]:
    """Yield the title: the file, its description, the step, what is optimized."""
    graph, step = board.step.graph, board.passes.step
    description = (graph.document.description or "").strip().partition("\n")[0]
    name = Path(graph.name).name
    yield Heading([printable(f"{name}: {description}" if description else name)], level=1)
    if board.objective is None:
        yield Paragraph(["It is only evaluated: there is no objective, so nothing is passed back."])
        return
    when = "before any update" if step == 0 else f"after {step} update{'s' if step > 1 else ''}"
    direction = "maximized" if board.plan.maximize else "minimized"
    yield Paragraph([f"Step {step}, {when}; ", board.objective_name, f" is {direction}."])


def overview(board: Board) -> Iterator[Block]:
    """Yield what there is to say of a graph that no board has room for."""
    plan = board.plan
    numbers = sum(int(np.prod(plan.shapes[slot])) for slot in range(plan.parameters))
    counts = Counter[str]()
    for batch in plan.batches:
        counts[batch.type.name] += batch.count
    yield Heading([f"{counted(len(board.order), 'node')}, {plan.parameters:,} parameters of {numbers:,} numbers"])
    depth = max(plan.generations, default=0)
    longest = f"The longest way from a leaf has {depth:,} nodes." if depth else ""
    yield Paragraph([f"That is too much for one page: --node NAME shows a node with its neighbours. {longest}"])
    common = counts.most_common(MOST_TYPES)
    rows = [[name, f"{count:,}"] for name, count in common]
    if len(counts) > MOST_TYPES:
        others = len(board.order) - sum(count for _, count in common)
        rows.append([f"{len(counts) - MOST_TYPES} other types", f"{others:,}"])
    yield CellTable(["type", "nodes"], rows)
    objective = board.objective
    if objective is None:
        return
    yield Heading(["The objective"])
    if objective >= len(plan.leaves):
        yield Equations([Group([forward_row(board, objective)])])
    path = board.path_to_leaf(objective)
    if path:
        yield Heading(["The path of largest influence: at each node the input that is given most"])
        half = MOST_ON_PATH // 2
        shown = path if len(path) <= MOST_ON_PATH else [*path[:half], *path[-half:]]
        groups = [Group([edge_row(board, edge)], board.equation(edge.target)) for edge in shown]
        if len(path) == len(shown):
            yield Equations(groups, COLUMNS)
            return
        yield Equations(groups[:half], COLUMNS)
        yield Paragraph([f"... {len(path) - len(shown)} more edges ..."])
        yield Equations(groups[half:], COLUMNS)


# --- the forward pass -------------------------------------------------------------------------------------------------


def forward(board: Board) -> Iterator[Block]:
    """Yield the forward pass."""
    if not board.plan.names:
        yield Paragraph(["There are no values: it is there for other files to include."])
        return
    yield Heading(["Forward pass: each value from those before it"])
    yield from leaves(board, range(len(board.plan.leaves)))
    if board.order:
        yield Equations([Group([forward_row(board, node) for node in board.order])])


def leaves(board: Board, slots: range) -> Iterator[Block]:
    """Yield leaves by their kinds: numbers in one sentence, arrays in a row each."""
    arrays = []
    for kind, (name, title) in KINDS.items():
        here = [slot for slot in slots if board.passes.kind(slot) is kind]
        numbers = [slot for slot in here if is_number(board.passes.values[slot])]
        if numbers:
            words = f"{title}: " if len(numbers) > 1 else f"{name.capitalize()}: "
            given = ([Math(f"{board.name(k)} = {board.value(k)}"), *bounds(board, k)] for k in numbers)
            yield Paragraph([words, *joined(given)])
        others = (slot for slot in here if slot not in numbers)
        arrays += [MathRow(board.name(k), result=board.value(k), note=[name, *bounds(board, k)]) for k in others]
    if arrays:
        yield Equations([Group(arrays)])


def forward_row(board: Board, node: int) -> MathRow:
    """Return a node's line of the forward pass."""
    formula, numbers, result = board.forward(node), board.forward_in_numbers(node), board.value(node)
    return MathRow(board.name(node), formula, "" if numbers in {formula, result} else numbers, result)


def bounds(board: Board, slot: int) -> list[str]:
    """Return the bounds of a parameter in words."""
    given = board.plan.bounds[slot] if slot < board.plan.parameters else None
    if given is None:
        return []
    words = zip(("at least", "at most"), given, strict=True)
    shown = [f"{word} {describe(limit)}" for word, limit in words if np.any(np.isfinite(limit))]
    return [f" ({', '.join(shown)})"]


# --- the backward pass ------------------------------------------------------------------------------------------------


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
    if slot >= board.plan.parameters or not is_number(gradient) or gradient != gradient:
        return ()
    name = Math(board.name(slot))
    if gradient == 0:
        return [name, " makes no difference here"]
    return ["raising ", name, " raises " if gradient > 0 else " lowers ", board.objective_name]
