"""Explaining one step of a run: both passes and the update, in numbers and in symbols."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphrun.show.explain import latex, text
from graphrun.show.explain.board import BOARD_TEXT, Board, BoardNotation
from graphrun.show.explain.lesson import lesson
from graphrun.show.explain.neighbourhood import neighbourhood
from graphrun.show.explain.page import to_html, to_markdown
from graphrun.show.explain.sensitivity import sensitivity
from graphrun.show.explain.step import Step
from graphrun.show.tables import WIDTH

FORMATS: dict[str, tuple[BoardNotation, Callable[..., str]]] = {
    "text": (BOARD_TEXT, text.render),
    "markdown": (BOARD_TEXT, to_markdown),
    "latex": (latex.LATEX, latex.render),
    "html": (BOARD_TEXT, to_html),
}
"""How each format writes mathematics, and how it renders a page."""


def explain(
    step: Step, output_format: str = "text", *, node: str | None = None, ranked: bool = False, width: int = WIDTH
) -> str:
    """Explain a step, in one of the `FORMATS`; as text it is for a terminal of so many columns.

    In place of the passes a `node` is shown with its neighbours, or how sensitive the objective is to the leaves
    (`ranked`).

    Raises:
        UsageError: there is no such value.
    """
    notation, render = FORMATS[output_format]
    board = Board(step, notation)
    # What is too large for a float is shown as infinite.
    with np.errstate(all="ignore"):
        page = sensitivity(board) if ranked else lesson(board) if node is None else neighbourhood(board, node)
    return render(page, width) if output_format == "text" else render(page)
