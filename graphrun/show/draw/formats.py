"""The formats of pictures: which there are, which one a file's name asks for, and how a file is written.

A PNG is made of the drawing's SVG by resvg, a PDF by fpdf2 (the extra `draw`), in the same places and the same font.
That is our own, which is on every machine; scripts that it does not have are in the system's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from math import sqrt
from pathlib import Path
from xml.etree import ElementTree as ET

from graphrun.base.errors import UsageError
from graphrun.base.files import write_output
from graphrun.plugins.registry import Registry
from graphrun.show.draw.drawing import Drawing
from graphrun.show.draw.layout import direction_of, lay_out
from graphrun.show.draw.svg import to_svg
from graphrun.show.draw.texts import to_dot, to_mermaid

PICTURES = ("png", "pdf")
FORMATS = ("svg", "dot", "mmd", *PICTURES)
HOOK = "graphrun_drawings"
"""The plugins' hook with more of them."""

MOST_PLACED = 2000
"""A picture of more boxes takes minutes to place, and nobody could look at it."""

SCALE = 2.0
"""How many pixels there are for one of the SVG: so many are sharp on the screens of today."""
MOST_PIXELS, LONGEST_SIDE = 100_000_000, 32_767
"""What programs that show a PNG can open; larger pictures have a smaller scale."""
LONGEST_PAGE = 14_400.0
"""The longest side of a page in points (ISO 32000-2, annex C.1)."""

SQUARE = "□"
"""What stands for a character that no font has, as in browsers."""

OWN = Path(__file__).parent / "vendor"
REGULAR, BOLD = OWN / "GraphrunSans.ttf", OWN / "GraphrunSans-Bold.ttf"
FAMILY = "Graphrun Sans"
"""What these two are called; they are parts of DejaVu Sans, which `text.width` is measured on."""

FOLDERS = {
    "win32": (r"%WINDIR%\Fonts", r"%LOCALAPPDATA%\Microsoft\Windows\Fonts"),
    "darwin": ("~/Library/Fonts", "/Library/Fonts", "/System/Library/Fonts"),
}.get(sys.platform, ("~/.local/share/fonts", "~/.fonts", "/usr/local/share/fonts", "/usr/share/fonts"))
"""Where the system has its fonts."""


def format_of(target: str, registry: Registry) -> str:
    """Return the format that a file's name asks for, which a plugin may have.

    Raises:
        UsageError: its suffix is none that is known.
    """
    suffix = Path(target).suffix.lower()
    if suffix[1:] in FORMATS or (suffix and registry.named(HOOK, suffix)):
        return suffix[1:]
    known = registry.known(HOOK, suffix, [f".{name}" for name in FORMATS])
    if not suffix:
        raise UsageError(f"{target!r} has no suffix, which says the format; there are: {known}")
    raise UsageError(f"the suffix {Path(target).suffix!r} is none of {known}")


def write(drawing: Drawing, picture_format: str, direction: str = "auto") -> str | bytes:
    """Return a drawing in one of the `FORMATS`, as text or, of a picture, as bytes.

    Raises:
        UsageError: the format needs what is not installed, or there is too much for a picture.
    """
    if picture_format not in {"dot", "mmd"} and len(drawing.boxes) > MOST_PLACED:
        many = f"{len(drawing.boxes):,} boxes are too many for a picture, which has {MOST_PLACED:,} at the most"
        raise UsageError(f"{many}; without --depth they are folded, and dot and mmd have all of them")
    direction = direction_of(drawing) if direction == "auto" else direction
    if picture_format == "dot":
        return to_dot(drawing, direction)
    if picture_format == "mmd":
        return to_mermaid(drawing, direction)
    svg = to_svg(drawing, lay_out(drawing, direction))
    return svg if picture_format == "svg" else render(svg, picture_format)


def save(content: str | bytes, target: Path) -> None:
    """Write a picture to a file.

    Raises:
        RunError: the file cannot be written.
    """
    write_output(target, content)


def render(svg: str, picture_format: str) -> bytes:
    """Return a drawing that `to_svg` wrote as ``png`` or ``pdf``.

    Raises:
        UsageError: the extra is not installed.
    """
    root = ET.fromstring(svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1))  # noqa: S314 (our own output)
    try:
        return _png(root) if picture_format == "png" else _pdf(root)
    except ModuleNotFoundError as error:
        needs = f"{picture_format.upper()} needs {error.name}"
        raise UsageError(f"{needs}; svg, dot and mmd do not\n  pip install 'graphrun[draw]'") from None


def _png(root: ET.Element) -> bytes:
    from resvg_py import svg_to_bytes

    wide, high = _size(root)
    scale = min(SCALE, LONGEST_SIDE / max(wide, high), sqrt(MOST_PIXELS / (wide * high)))
    files = [str(REGULAR), str(BOLD), *(str(font.file) for font in _set_fonts(root))]
    picture: bytes = svg_to_bytes(svg_string=_text(root), zoom=scale, skip_system_fonts=True, font_files=files)
    return picture


def _pdf(root: ET.Element) -> bytes:
    from fpdf import FPDF
    from fpdf.svg import SVGObject

    size = _size(root)
    scale = min(1.0, LONGEST_PAGE / max(size))
    wide, high = (side * scale for side in size)
    root.attrib |= {"width": f"{wide:.1f}", "height": f"{high:.1f}"}
    pdf = FPDF(unit="pt", format=(wide, high))
    pdf.set_title(root.findtext("title", ""))
    pdf.set_subject(root.findtext("desc", ""))
    pdf.add_font(FAMILY, "", REGULAR)
    pdf.add_font(FAMILY, "B", BOLD)
    for font in _set_fonts(root):
        for style in ("", "B"):
            pdf.add_font(font.family, style, font.file)
    pdf.add_page()
    SVGObject(_text(root)).draw_to_page(pdf)
    return bytes(pdf.output())


def _size(root: ET.Element) -> tuple[float, float]:
    return float(root.attrib["width"]), float(root.attrib["height"])


def _text(root: ET.Element) -> str:
    """Return a drawing without what a picture does not show, which fpdf2 would warn of."""
    for element in list(root.iter()):
        for hidden in [child for child in element if child.tag in {"title", "desc"}]:
            element.remove(hidden)
    return ET.tostring(root, "unicode").replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _set_fonts(root: ET.Element) -> list[Font]:
    """Let every text of a drawing be in our own font, and what that does not have in others, which are returned."""
    root.set("font-family", FAMILY)
    texts = list(root.iter("text"))
    fonts = fonts_of("".join("".join(text.itertext()) for text in texts))
    ours = Font(REGULAR, FAMILY)
    for text in texts:
        if not fonts.keys() & set("".join(text.itertext())):
            continue
        pieces = [({}, text.text), *(piece for part in text for piece in ((part.attrib, part.text), ({}, part.tail)))]
        text[:], text.text = [], None
        for style, piece in pieces:
            for font, characters in groupby(piece or "", key=lambda character: fonts.get(character, ours)):
                part = ET.SubElement(text, "tspan", style | {"font-family": (font or ours).family})
                part.text = "".join(character if font else SQUARE for character in characters)
    return [*{font.file: font for font in fonts.values() if font is not None}.values()]


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
