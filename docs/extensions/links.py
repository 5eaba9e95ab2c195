"""Every link of the built documents to one of their files or anchors leads somewhere: else there is a warning."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

TOLD = logging.getLogger(__name__)


class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note the attributes of a tag that are links and anchors."""
        for name, value in attributes:
            if value and name in {"id", "name"}:
                self.anchors.add(value)
            elif value and name in {"href", "src", "data"}:
                self.links.add(value)


def broken(folder: Path) -> Iterator[str]:
    """Yield each link of the pages of a folder that leads nowhere."""
    # What runs in a page that an example's run has made is no document.
    files = [file for file in folder.rglob("*.html") if file.parent.name != "pages"]
    pages = {file.resolve(): Page(file) for file in files}
    for file, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                yield f"{file.relative_to(folder.resolve())}: {link} is no file"
            elif target in pages and parts.fragment and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{file.relative_to(folder.resolve())}: {link} is no anchor"


def check(app: Sphinx, error: Exception | None) -> None:
    """Warn of links that lead nowhere, and lead from the folder itself to the first page."""
    if error is not None or app.builder.format != "html":
        return
    start = f"{app.config.root_doc}.html"
    Path(app.outdir, "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>graphrun</title>'
        f'<meta http-equiv="refresh" content="0; url={start}">'
        f'<a href="{start}">graphrun</a>\n',
        encoding="utf-8",
    )
    for text in broken(Path(app.outdir)):
        TOLD.warning(text, type="links")


def setup(app: Sphinx) -> dict[str, Any]:
    """Have Sphinx call it."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
