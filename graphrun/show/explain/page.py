"""What an explanation is made of: headings, prose, rows of equations, tables; and how it is written with markup.

That is Markdown with tables, as GitHub shows it, or one HTML file that asks for nothing from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

SPECIAL = re.compile(r"([\\`*_\[\]#!|~&<>@]|:(?=//)|\.(?<=www\.))")

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }}
h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
.table {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid #8886; vertical-align: top; }}
th {{ font-weight: 600; }}
code {{ font: 0.95em ui-monospace, monospace; }}
td {{ white-space: nowrap; }}
.table + .table {{ margin-top: 1rem; }}
</style>
</head>
<body>
<main>
"""

TAIL = """</main>
</body>
</html>
"""


class Math(str):
    """A text in mathematical notation, within prose or in a table."""

    __slots__ = ()


Prose = Sequence[str]
"""Texts one after the other; those that are `Math` are set as such."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: of the page at level 1, of a section at level 2."""

    prose: Prose
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    prose: Prose


@dataclass(frozen=True, slots=True)
class MathRow:
    """One line of a calculation: ``left = formula = numbers = result``; what is empty is left out.

    Attributes:
        gets: the left side is given the rest as one part of several.
        note: what a teacher says to it.
    """

    left: str
    formula: str = ""
    numbers: str = ""
    result: str = ""
    note: Prose = ()
    gets: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together, under an equation of their own or none."""

    rows: Sequence[MathRow]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Equations:
    """Calculations; `columns` names what the left sides, formulas, numbers and results are, where they are a table."""

    groups: Sequence[Group]
    columns: tuple[str, str, str, str] = ("value", "formula", "in numbers", "result")


@dataclass(frozen=True, slots=True)
class CellTable:
    """Cells in rows under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Paragraph | Equations | CellTable


Page = Sequence[Block]
"""An explanation, from top to bottom."""


def joined(parts: Iterable[Prose], separator: str = ", ") -> list[str]:
    """Return prose with a separator between its parts."""
    return [piece for k, part in enumerate(parts) for piece in ((separator, *part) if k else part)]


def cells(block: Equations | CellTable) -> tuple[Sequence[str], Sequence[Sequence[Prose]]]:
    """Return a block as a table, its header and its rows, for formats that have no columns of equal letters.

    Columns that are empty throughout are left out.
    """
    if isinstance(block, CellTable):
        return block.header, [[[cell] for cell in row] for row in block.rows]
    header = ["node", *block.columns, ""]
    rows: list[list[Prose]] = []
    for group in block.groups:
        for position, row in enumerate(group.rows):
            title = [Math(group.title)] if group.title and not position else []
            left = [Math(row.left), " gets"] if row.gets else [Math(row.left)]
            parts = [[Math(part)] if part else [] for part in (row.formula, row.numbers, row.result)]
            rows.append([title, left, *parts, row.note])
    used = [k for k in range(len(header)) if any(row[k] for row in rows)]
    return [header[k] for k in used], [[row[k] for k in used] for row in rows]


def to_markdown(page: Page) -> str:
    """Return a page as Markdown."""
    return "\n".join(line for block in page for line in _markdown_block(block))


def _markdown_block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f"{'#' * block.level} {_markdown(block.prose)}\n"
    elif isinstance(block, Paragraph):
        yield f"{_markdown(block.prose)}\n"
    else:
        header, rows = cells(block)
        yield _row([_markdown([name]) for name in header])
        yield _row(["---"] * len(header))
        yield from (_row([_markdown(cell).replace("\n", " ") for cell in row]) for row in rows)
        yield ""


def _row(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def _markdown(prose: Prose) -> str:
    return "".join(_code(piece) if isinstance(piece, Math) else _escaped(piece) for piece in prose)


def _escaped(text: str) -> str:
    """Return a text with nothing in it that Markdown would read as markup, or GitHub as mathematics."""
    return SPECIAL.sub(r"\\\1", text).replace("$", "&#36;")


def _code(text: str) -> str:
    """Return a text as code, within more backticks than it has; a pipe would end a cell of a table all the same."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")


def to_html(page: Page) -> str:
    """Return a page as HTML; every name and description in it is text, never markup."""
    title = next(("".join(block.prose) for block in page if isinstance(block, Heading)), "")
    body = "".join(f"{line}\n" for block in page for line in _html_block(block))
    return HEAD.format(title=escape(title)) + body + TAIL


def _html_block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f"<h{block.level}>{_html(block.prose)}</h{block.level}>"
    elif isinstance(block, Paragraph):
        yield f"<p>{_html(block.prose)}</p>"
    else:
        header, rows = cells(block)
        yield '<div class="table" tabindex="0"><table>'
        yield "<thead><tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in header) + "</tr></thead>"
        yield "<tbody>"
        for row in rows:
            yield f"<tr>{''.join(f'<td>{_html(cell)}</td>' for cell in row)}</tr>"
        yield "</tbody></table></div>"


def _html(prose: Prose) -> str:
    return "".join(f"<code>{escape(piece)}</code>" if isinstance(piece, Math) else escape(piece) for piece in prose)
