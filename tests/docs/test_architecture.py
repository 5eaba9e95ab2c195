"""What the pages for contributors name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
NAMED = re.compile(r"`((?:[\w.]+/)*[\w.]+\.(?:py|yaml|md|toml)|(?:[\w.]+/)+|\.ci/\w+)`")
ROOMS = sorted(path.name for path in (ROOT / "graphrun").iterdir() if path.is_dir() and path.name != "__pycache__")


def candidates(name: str, line: str) -> list[Path]:
    """Return where a name could be: in the repository, in the package, in a folder of it that the line names."""
    rooms = re.findall(r"`(?:graphrun/)?([\w/]+)/", line)
    return [folder / name for folder in (ROOT, ROOT / "graphrun", *(ROOT / "graphrun" / room for room in rooms))]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    """Files and folders, wherever the line says that they are."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    missing = [
        f"{page}:{number}: {name}"
        for number, line in enumerate(lines, 1)
        for name in NAMED.findall(line)
        if not any(place.exists() for place in candidates(name, line))
    ]
    assert missing == []


def test_every_room_is_introduced() -> None:
    """A folder of the package that the page does not tell of is one that a reader meets unprepared."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [room for room in ROOMS if f"`{room}/`" not in text] == []
