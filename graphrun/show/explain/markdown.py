"""A page as Markdown with tables, as GitHub shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from graphrun.show.explain.page import Block, Heading, Math, Page, Paragraph, Prose, cells

SPECIAL = re.compile(r"([\\`*_\[\]#!|~&<>@]|:(?=//)|\.(?<=www\.))")


def render(page: Page) -> str:
    """Return a page as Markdown."""
    return "\n".join(line for block in page for line in _block(block))


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f"{'#' * block.level} {_prose(block.prose)}\n"
    elif isinstance(block, Paragraph):
        yield f"{_prose(block.prose)}\n"
    else:
        header, rows = cells(block)
        yield _row([_prose([name]) for name in header])
        yield _row(["---"] * len(header))
        yield from (_row([_prose(cell).replace("\n", " ") for cell in row]) for row in rows)
        yield ""


def _row(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def _prose(prose: Prose) -> str:
    return "".join(_code(piece) if isinstance(piece, Math) else _escaped(piece) for piece in prose)


def _escaped(text: str) -> str:
    """Return a text with nothing in it that Markdown would read as markup, or GitHub as mathematics."""
    return SPECIAL.sub(r"\\\1", text).replace("$", "&#36;")


def _code(text: str) -> str:
    """Return a text as code, within more backticks than it has; a pipe would end a cell of a table all the same."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")
