"""The pictures of the README, made anew by the commands that it shows: python tests/docs/pictures.py.

They need the extra `draw`, Playwright and Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from graphrun.cli.entry import run_command

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "graphs" / "pictures"

DRAWN = {
    "nested.svg": ["graphs/nested.yaml", "--step", "0"],
    "digits.svg": ["graphs/digits.yaml", "--depth", "0", "--direction", "right"],
}
"""What `graphrun draw` is given for each picture."""

WIDTH, HEIGHT = 1180, 1180
KEYS = ("b", "n")
"""What is pressed before the picture is taken: to the backward pass, and on within it."""

CHANGED = ("a", 7)
"""The value that is another one than in the file."""


def main() -> None:
    """Make all pictures."""
    for name, arguments in DRAWN.items():
        file, *options = arguments
        end_if(run_command(["draw", str(ROOT / file), *options, "-o", str(PICTURES / name)]))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "nested.html"
        end_if(run_command(["report", str(ROOT / "graphs/nested.yaml"), "--steps", "10", "-q", "-o", str(page)]))
        take(page, PICTURES / "report.png", go_back)
        page, digits = Path(folder) / "sweep.html", str(ROOT / "graphs/digits.yaml")
        end_if(run_command(["sweep", digits, "--folder", folder, "-q", "--page", str(page)]))
        take(page, PICTURES / "sweep.png", choose_runs)


def end_if(status: int) -> None:
    """End where a command failed."""
    if status:
        sys.exit(status)


def go_back(view: Page) -> None:
    """Go to the middle of a backward pass."""
    view.evaluate("([name, value]) => graphrun.set(name, value)", CHANGED)
    for key in KEYS:
        view.keyboard.press(key)


def choose_runs(view: Page) -> None:
    """Let the curves be seen from the beginning to the end, which are far from each other."""
    view.check("#log")


def take(page: Path, picture: Path, act: Callable[[Page], None]) -> None:
    """Take the picture of a page after something was done there."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        view.goto(page.as_uri())
        view.wait_for_selector("html[data-theme]")
        act(view)
        view.wait_for_timeout(500)
        view.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
