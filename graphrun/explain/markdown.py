"""A page as Markdown with tables, as GitHub shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from graphrun.explain.page import Block, Heading, Math, Page, Paragraph, Prose
from graphrun.explain.tables import cells

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~&<>@:])")


def render(page: Page) -> str:
    """Return a page as Markdown."""
    return "\n".join(line for block in page.blocks for line in _block(block))


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
    # A pipe would end a cell of a table, even within code.
    return "".join(f"`{p}`".replace("|", "\\|") if isinstance(p, Math) else SPECIAL.sub(r"\\\1", p) for p in prose)
