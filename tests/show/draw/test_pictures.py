"""PNG and PDF: what is where in the SVG is there in each, on a machine without fonts too."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pypdfium2
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from lesson import GRAPHS
from PIL import Image, ImageChops
from pypdfium2 import PdfDocument

import graphrun
from graphrun.show.draw import Box, Drawing, Line, NodeBox, Shape, colours, draw_graph, lay_out
from graphrun.show.draw.contents import TIMES
from graphrun.show.draw.formats import BOLD, REGULAR, SCALE, SQUARE, fonts_of, read, write
from graphrun.show.draw.rows import FONT, PADDING, SMALL, RowKind, label_width, rows

FOREIGN = Drawing("", "", (Box("重み", "重み", Shape.NODE, "a * 重", value="5"),), (), ())
"""A name in a script that our own font does not have."""


@pytest.fixture(autouse=True)
def no_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take the system's fonts away, as in a bare container; return where one may be put."""
    monkeypatch.setattr("graphrun.show.draw.formats.FOLDERS", (str(tmp_path), "~/no such folder"))
    return tmp_path


def drawing_of(stem: str) -> Drawing:
    """Return the drawing of an example with the values of its first step."""
    graph = graphrun.load(GRAPHS / f"{stem}.yaml")
    return draw_graph(graph.structure, graph.passes())


def png_of(drawing: Drawing) -> Image.Image:
    """Return a drawing's PNG, as pixels."""
    picture = write(drawing, "png")
    assert isinstance(picture, bytes)
    return Image.open(BytesIO(picture)).convert("RGB")


def page_of(drawing: Drawing) -> pypdfium2.PdfPage:
    """Return the only page of a drawing's PDF."""
    picture = write(drawing, "pdf")
    assert isinstance(picture, bytes)
    document = PdfDocument(picture)
    assert len(document) == 1
    return document[0]


def has_colour(picture: Image.Image, place: NodeBox, colour: str) -> bool:
    """Whether something in a place is in a colour, or nearly."""
    corners = place.x, place.y, place.x + place.width, place.y + place.height
    area = picture.crop(tuple(round(SCALE * x) for x in corners))
    aim = tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return any(max(abs(a - b) for a, b in zip(pixel, aim, strict=True)) < 24 for _, pixel in area.getcolors(1 << 16))


def letters(text: str) -> str:
    """Return a text without spaces and line breaks, which a PDF does not have."""
    return "".join(text.split())


@pytest.mark.campaign
@pytest.mark.parametrize("stem", ["nested", "digits", "formula"])
def test_the_same_in_every_format(stem: str) -> None:
    """Boxes have their colours in the PNG, and their texts in the PDF, where the layout puts them."""
    drawing = drawing_of(stem)
    layout = lay_out(drawing)
    picture, page = png_of(drawing), page_of(drawing)
    assert picture.size == pytest.approx((SCALE * layout.width, SCALE * layout.height), abs=SCALE)
    assert page.get_size() == pytest.approx((layout.width, layout.height), abs=0.1)
    text = page.get_textpage()
    for box in drawing.boxes:
        place = layout.boxes[box.name]
        stroke = colours.OBJECTIVE if box.is_objective else colours.STROKES[box.shape]
        middle = place.y + place.height / 2
        assert has_colour(picture, NodeBox(place.x - 1, middle, 4, 1), stroke)
        assert has_colour(
            picture, NodeBox(place.x + 10, place.y + 5, place.width - 20, place.height - 10), colours.TEXT
        )
        left, top = place.x, layout.height - place.y
        shown = text.get_text_bounded(left, top - place.height, left + place.width, top)
        assert sorted(letters(shown)) == sorted(letters("".join(row.strong + row.plain for row in rows(box))))
    for line, route in zip(drawing.lines, layout.routes, strict=True):
        x, y = route.label
        if line.label:
            shown = text.get_text_bounded(x - 30, layout.height - y - 9, x + 30, layout.height - y + 9)
            assert letters(line.label) == letters(shown)


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["nested", "digits"])
def test_png_and_pdf_look_alike(stem: str) -> None:
    """Drawn by another program, the PDF has the pixels of the PNG, but for those at edges."""
    drawing = drawing_of(stem)
    png, page = png_of(drawing), page_of(drawing)
    pdf = page.render(scale=SCALE).to_pil().convert("RGB").crop((0, 0, *png.size))
    different = ImageChops.difference(png, pdf).convert("L").point(lambda value: 255 * (value > 128))
    assert different.histogram()[255] < 0.01 * png.width * png.height
    assert sum(png.convert("L").point(lambda value: 255 * (value < 128)).histogram()[255:]) > 1000


def test_our_font() -> None:
    """It has what drawings write of themselves, and the letters of most scripts that name parameters."""
    ours = read(REGULAR)
    assert ours.characters == read(BOLD).characters
    assert fonts_of("".join(map(chr, range(32, 127))) + f"{TIMES}…⟨⟩→{SQUARE}éßłθΣжЯ₀₁₂²∂∇√≤∞") == {}


@pytest.mark.slow
def test_texts_fit(example: Path) -> None:
    """In our font, no text leaves its box or its label: rows are measured well enough."""
    fonts = {}
    for file in (REGULAR, BOLD):
        with TTFont(file) as font:
            names, widths, unit = font.getBestCmap(), font["hmtx"], font["head"].unitsPerEm
            fonts[file] = {chr(k): widths[name][0] / unit for k, name in names.items()}
    graph = graphrun.load(example)
    drawing = draw_graph(graph.structure, graph.passes())
    layout = lay_out(drawing)
    for box in drawing.boxes:
        for row in rows(box):
            strong, plain = sum(map(fonts[BOLD].get, row.strong)), sum(map(fonts[REGULAR].get, row.plain))
            space = fonts[REGULAR][" "] if row.strong and row.plain else 0
            size = SMALL if row.kind is RowKind.GRADIENT else FONT
            assert (strong + space) * FONT + plain * size <= layout.boxes[box.name].width - PADDING
    for line in drawing.lines:
        assert sum(map(fonts[REGULAR].get, line.label)) * SMALL <= label_width(line) + 1


def test_a_character_that_no_font_has() -> None:
    """Without a font for it, a square stands for it, in both formats."""
    assert fonts_of("a重み") == {"重": None, "み": None}
    assert letters(page_of(FOREIGN).get_textpage().get_text_bounded()) == f"{2 * SQUARE}=a*{SQUARE}5"
    squares = Drawing("", "", (Box("重み", 2 * SQUARE, Shape.NODE, f"a * {SQUARE}", value="5"),), (), ())
    assert write(FOREIGN, "png") != write(squares, "png")  # the box is wider
    assert has_colour(png_of(FOREIGN), lay_out(FOREIGN).boxes["重み"], colours.TEXT)


def test_a_font_of_the_system(no_fonts: Path) -> None:
    """What our font does not have comes from one that does; files that are no fonts are passed over."""
    (no_fonts / "broken.ttf").write_bytes(b"no font")
    pen = TTGlyphPen(None)
    for x, y, step in ((0, 0, pen.moveTo), (0, 800, pen.lineTo), (900, 800, pen.lineTo), (900, 0, pen.lineTo)):
        step((x, y))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "block"])
    builder.setupCharacterMap({ord("重"): "block", ord("み"): "block"})
    builder.setupGlyf(dict.fromkeys([".notdef", "block"], pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", "block"], (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Blocks", "styleName": "Regular", "psName": "Blocks"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(no_fonts / "blocks.ttf")
    font = fonts_of("a重み")["重"]
    assert font is not None
    assert (font.family, font.file.name) == ("Blocks", "blocks.ttf")
    assert letters(page_of(FOREIGN).get_textpage().get_text_bounded()) == "重み=a*重5"
    place = lay_out(FOREIGN).boxes["重み"]
    top = png_of(FOREIGN).crop(tuple(int(SCALE * x) for x in (place.x, place.y, place.x + place.width, place.y + 26)))
    colour = tuple(int(colours.TEXT[k : k + 2], 16) for k in (1, 3, 5))
    assert sum(count for count, pixel in top.getcolors(1 << 16) if pixel == colour) > 500


@pytest.mark.campaign
def test_large_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be more than programs can open is drawn smaller, whole, and in proportion."""
    boxes = tuple(Box(f"n{k}", f"n{k}", Shape.NODE) for k in range(300))
    lines = tuple(Line(f"n{k}", f"n{k + 1}", 0) for k in range(299))
    drawing = Drawing("", "", boxes, lines, ())
    layout = lay_out(drawing, "down")
    monkeypatch.setattr("graphrun.show.draw.formats.LONGEST_SIDE", 1000)
    monkeypatch.setattr("graphrun.show.draw.formats.LONGEST_PAGE", 1000.0)
    picture = write(drawing, "png", "down")
    assert isinstance(picture, bytes)
    wide, high = Image.open(BytesIO(picture)).size
    assert high == pytest.approx(1000, abs=2)
    assert wide / high == pytest.approx(layout.width / layout.height, rel=0.05)
    page = write(drawing, "pdf", "down")
    assert isinstance(page, bytes)
    first = PdfDocument(page)[0]
    assert first.get_size() == pytest.approx((layout.width * 1000 / layout.height, 1000), abs=0.1)
    assert letters(first.get_textpage().get_text_bounded()) == "".join(box.name for box in boxes)
    monkeypatch.setattr("graphrun.show.draw.formats.MOST_PIXELS", 10_000)
    smaller = write(drawing, "png", "down")
    assert isinstance(smaller, bytes)
    wide, high = Image.open(BytesIO(smaller)).size
    assert wide * high < 12_000
