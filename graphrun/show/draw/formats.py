"""The formats of pictures: which there are, which one a file's name asks for, and how a file is written."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from graphrun.base.errors import UsageError
from graphrun.base.files import write_output
from graphrun.show.draw.dot import to_dot
from graphrun.show.draw.drawing import Drawing
from graphrun.show.draw.layout import direction_of, lay_out
from graphrun.show.draw.mermaid import to_mermaid
from graphrun.show.draw.pictures import render
from graphrun.show.draw.svg import to_svg

PICTURES = ("png", "pdf")
FORMATS = ("svg", "dot", "mmd", *PICTURES)

MOST_PLACED = 2000
"""A picture of more boxes takes minutes to place, and nobody could look at it."""


def format_of(target: str) -> str:
    """Return the format that a file's name asks for.

    Raises:
        UsageError: its suffix is none that is known.
    """
    suffix = Path(target).suffix.lower().removeprefix(".")
    if suffix in FORMATS:
        return suffix
    near = get_close_matches(suffix, FORMATS, n=1, cutoff=0.4)
    known = ", ".join(f".{name}" for name in FORMATS)
    if not suffix:
        raise UsageError(f"{target!r} has no suffix, which says the format; there are: {known}")
    hint = f"; did you mean .{near[0]}?" if near else ""
    raise UsageError(f"the suffix {Path(target).suffix!r} is none of {known}{hint}")


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
