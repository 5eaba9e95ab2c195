"""The formats of an explanation: how each writes mathematics, and how it renders a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graphrun.show.explain import html, latex, markdown, text
from graphrun.show.explain.notation import BOARD_TEXT, BoardNotation
from graphrun.show.explain.page import Page


@dataclass(frozen=True, slots=True)
class Format:
    """A format."""

    notation: BoardNotation
    render: Callable[[Page], str]


FORMATS = {
    "text": Format(BOARD_TEXT, text.render),
    "markdown": Format(BOARD_TEXT, markdown.render),
    "latex": Format(latex.LATEX, latex.render),
    "html": Format(BOARD_TEXT, html.render),
}
"""The formats by name."""
