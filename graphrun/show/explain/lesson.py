"""The lesson of one step: the forward pass, the backward pass, the update, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from graphrun.base.wording import counted, printable
from graphrun.show.explain.backward import COLUMNS, backward, edge_row
from graphrun.show.explain.board import Board
from graphrun.show.explain.forward import forward, forward_row
from graphrun.show.explain.influence import path_to_leaf
from graphrun.show.explain.outcome import outcome
from graphrun.show.explain.page import Block, CellTable, Equations, Group, Heading, Page, Paragraph
from graphrun.show.explain.update import update

MOST_NODES, MOST_LEAVES, MOST_USES = 40, 60, 120
"""A graph of more nodes, leaves or uses of values is summed up."""

MOST_TYPES = 8
MOST_ON_PATH = 10


def lesson(board: Board) -> Page:
    """Return the lesson of a step; of a large graph a summary."""
    plan = board.plan
    is_large = len(board.order) > MOST_NODES or len(plan.leaves) > MOST_LEAVES or len(plan.operands) > MOST_USES
    passes = overview(board) if is_large else [*forward(board), *backward(board)]
    return [*title(board), *passes, *update(board), *outcome(board)]


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
    path = path_to_leaf(board, objective)
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
