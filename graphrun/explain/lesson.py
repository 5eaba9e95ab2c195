"""The whole lesson of one step: the forward pass, the backward pass, the update, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graphrun.explain.backward import backward
from graphrun.explain.board import Board
from graphrun.explain.forward import forward
from graphrun.explain.outcome import outcome
from graphrun.explain.page import Block, Heading, Math, Page, Paragraph, printable
from graphrun.explain.update import update


def lesson(board: Board) -> Page:
    """Return the lesson of a step."""
    return Page([*title(board), *forward(board), *backward(board), *update(board), *outcome(board)])


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
    goal = Math(board.notation.name(board.goal))
    yield Paragraph([f"Step {step}, {when}; ", goal, f" is {direction}."])
