"""Reports, and what opens them in a browser that has no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphrun.cli.entry import run_command

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return what writes the report of a graph file, once for the same arguments."""
    written: dict[tuple[str, ...], Path] = {}

    def write(file: Path, *arguments: str, status: int = 0) -> Path:
        key = str(file), *arguments
        if key not in written:
            target = tmp_path_factory.mktemp("report") / "report.html"
            assert run_command(["report", str(file), "-q", "-o", str(target), *arguments]) == status
            written[key] = target
        return written[key]

    return write


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Return what opens a page; at the end nothing may have been asked for, and nothing may have gone wrong."""
    troubles: list[str] = []
    contexts = []

    def open_page(file: Path, width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))

        def refuse(route: Any) -> None:
            if route.request.url == file.as_uri():
                route.continue_()
            else:
                troubles.append(route.request.url)
                route.abort()

        page.route("**/*", refuse)
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-theme]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []
