"""A page as one HTML file that asks for nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from graphrun.show.explain.page import Block, Heading, Math, Page, Paragraph, Prose, cells

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


def render(page: Page) -> str:
    """Return a page as HTML; every name and description in it is text, never markup."""
    title = next(("".join(block.prose) for block in page if isinstance(block, Heading)), "")
    body = "".join(f"{line}\n" for block in page for line in _block(block))
    return HEAD.format(title=escape(title)) + body + TAIL


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f"<h{block.level}>{_prose(block.prose)}</h{block.level}>"
    elif isinstance(block, Paragraph):
        yield f"<p>{_prose(block.prose)}</p>"
    else:
        header, rows = cells(block)
        yield '<div class="table" tabindex="0"><table>'
        yield "<thead><tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in header) + "</tr></thead>"
        yield "<tbody>"
        for row in rows:
            yield f"<tr>{''.join(f'<td>{_prose(cell)}</td>' for cell in row)}</tr>"
        yield "</tbody></table></div>"


def _prose(prose: Prose) -> str:
    return "".join(f"<code>{escape(piece)}</code>" if isinstance(piece, Math) else escape(piece) for piece in prose)
