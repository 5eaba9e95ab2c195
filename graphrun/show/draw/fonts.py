"""The fonts of pictures: our own, which is on every machine, and the system's for scripts that it does not have."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OWN = Path(__file__).parent / "vendor"
REGULAR, BOLD = OWN / "GraphrunSans.ttf", OWN / "GraphrunSans-Bold.ttf"
FAMILY = "Graphrun Sans"
"""What these two are called; they are parts of DejaVu Sans, which `text.width` is measured on."""

FOLDERS = {
    "win32": (r"%WINDIR%\Fonts", r"%LOCALAPPDATA%\Microsoft\Windows\Fonts"),
    "darwin": ("~/Library/Fonts", "/Library/Fonts", "/System/Library/Fonts"),
}.get(sys.platform, ("~/.local/share/fonts", "~/.fonts", "/usr/local/share/fonts", "/usr/share/fonts"))
"""Where the system has its fonts."""


@dataclass(frozen=True, slots=True)
class Font:
    """A font: its file and family, the characters that it has, as numbers, and how much bolder or lighter it is."""

    file: Path
    family: str = ""
    characters: frozenset[int] = frozenset()
    boldness: int = 0


def fonts_of(text: str) -> dict[str, Font | None]:
    """Return the font of each character of a text that our own does not have; None where no font has it."""
    missing = {ord(character) for character in text} - read(REGULAR).characters
    found: dict[str, Font | None] = dict.fromkeys(map(chr, missing))
    if not missing:
        return found
    fonts = [font for font in map(read, _files()) if missing & font.characters]
    while fonts:
        # The font that has the most of them comes first, so that a word is in one font.
        best = max(fonts, key=lambda font: (len(missing & font.characters), -font.boldness))
        found |= dict.fromkeys(map(chr, missing & best.characters), best)
        missing -= best.characters
        fonts = [font for font in fonts if missing & font.characters and font.family != best.family]
    return found


@cache
def read(file: Path) -> Font:
    """Read which characters a font has; one that cannot be read has none."""
    from fontTools.ttLib import TTFont

    try:
        with file.open("rb") as stream, TTFont(stream, fontNumber=0, lazy=True) as font:
            if not {"glyf", "CFF "} & set(font.keys()):
                return Font(file)  # pictures of characters, not outlines
            boldness = abs(font["OS/2"].usWeightClass - 400)
            return Font(file, font["name"].getBestFamilyName(), frozenset(font.getBestCmap()), boldness)
    except Exception:  # whatever is wrong with a file of the system
        return Font(file)


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        root = Path(os.path.expandvars(os.path.expanduser(folder)))  # noqa: PTH111 (for who has no home)
        yield from sorted(file for file in root.rglob("*") if file.suffix.lower() in {".ttf", ".ttc", ".otf"})
