"""SVG, DOT and Mermaid: what is written is read back, and nothing in a graph gets out of where it stands."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pygraphviz
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from languages import assert_is_mermaid
from random_graphs import graphs

import graphrun
from graphrun.base.numbertext import number
from graphrun.engines import NotFinite
from graphrun.engines.numpy import node_program
from graphrun.run.passes import Passes
from graphrun.show.draw import Drawing, Shape, colours, draw_graph, lay_out, to_svg
from graphrun.show.draw.contents import TIMES
from graphrun.show.draw.formats import write
from graphrun.show.draw.rows import CULPRIT, rows, shorten, visible, width
from graphrun.show.draw.texts import to_dot, to_mermaid

SVG = "{http://www.w3.org/2000/svg}"
NESTED = Path(__file__).parents[3] / "graphs" / "nested.yaml"

NOISY = """
parameters: {w: [1, 2, 3], one: [1]}
constants: {k: [[1], [2], [3]]}
nodes:
  d: {type: dropout, inputs: [w], rate: 0.5}
  n: {type: batch_norm, inputs: [k, one, one]}
  f: {type: vecdot, inputs: [d, w]}
maximize: f
"""


def groups(text: str) -> dict[str, ET.Element]:
    """Return the boxes of an SVG by their names."""
    root = ET.fromstring(text)  # noqa: S314 (our own output)
    return {
        group.attrib["data-name"]: group
        for group in root.iter(f"{SVG}g")
        if group.attrib.get("class", "").startswith("box")
    }


def rows_of(group: ET.Element) -> dict[str, str]:
    """Return the texts of a box by what they tell."""
    return {text.attrib["class"]: "".join(text.itertext()) for text in group.iter(f"{SVG}text")}


def assert_all_there(drawing: Drawing) -> None:
    """Assert that every format has every box and every line."""
    names = {box.name for box in drawing.boxes}
    ends = sorted((line.source, line.target) for line in drawing.lines)
    root = ET.fromstring(to_svg(drawing, lay_out(drawing)))  # noqa: S314 (our own output)
    assert set(groups(ET.tostring(root, encoding="unicode"))) == names
    lines = [group.attrib for group in root.iter(f"{SVG}g") if group.attrib.get("class") == "line"]
    assert sorted((line["data-source"], line["data-target"]) for line in lines) == ends
    read = pygraphviz.AGraph(string=to_dot(drawing))
    assert set(read.nodes()) == names
    assert sorted((source, target) for source, target in read.edges()) == ends
    assert len(read.subgraphs()) == sum(1 for frame in drawing.frames if frame.outer is None)
    mermaid = to_mermaid(drawing)
    assert_is_mermaid(mermaid)
    known = dict(re.findall(r"%% (n\d+) is (.+)", mermaid))
    assert set(known.values()) == names
    found = re.findall(r"^  (n\d+) -->(?:\|.*\|)? (n\d+)$", mermaid, re.MULTILINE)
    assert sorted((known[source], known[target]) for source, target in found) == ends


@pytest.mark.slow
def test_examples(example: Path) -> None:
    """Every example, plain and with the values of its first step, folded and unfolded."""
    graph = graphrun.load(example)
    passes = graph.passes()
    for given_passes in (None, passes):
        for depth in (None, 0):
            assert_all_there(draw_graph(graph.structure, given_passes, depth))


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(data=graphs())
def test_random_graphs(tmp_path_factory: Any, data: dict[str, Any]) -> None:
    """On random graphs too; the numbers are those of the Python interface."""
    file = tmp_path_factory.mktemp("graph") / "g.yaml"
    file.write_text(yaml.safe_dump(data))
    graph = graphrun.load(file)
    assert_all_there(draw_graph(graph.structure))
    try:
        passes = graph.passes()
    except graphrun.GraphrunError:
        return  # a value that is not finite
    drawing = draw_graph(graph.structure, passes)
    assert_all_there(drawing)
    assert_says(drawing, passes)


def assert_says(drawing: Drawing, passes: Passes) -> None:
    """Assert that each box of an SVG shows the value and the gradient of a step."""
    slots, found = passes.plan.slots, groups(to_svg(drawing, lay_out(drawing)))
    for box in drawing.boxes:
        told = rows_of(found[box.name])
        assert told["value"] == number(passes.values[slots[box.name]])
        if box.shape in {Shape.PARAMETER, Shape.NODE}:
            assert told["gradient"] == f"gradient {number(passes.gradients[slots[box.name]])}"


def test_the_lesson() -> None:
    """Every number of the lesson, in a picture that says what it is."""
    graph = graphrun.load(NESTED)
    drawing = draw_graph(graph.structure, graph.passes(1))
    text = to_svg(drawing, lay_out(drawing))
    assert rows_of(groups(text)["f"]) == {"title": "f = d * c", "value": "-3.8808", "gradient": "gradient 1"}
    assert rows_of(groups(text)["a"]) == {"title": "a", "value": "4.98", "gradient": "gradient -1.98"}
    assert {(line.source, line.target): line.label for line in drawing.lines} == {
        ("a", "d"): f"{TIMES} 1",
        ("b", "d"): f"{TIMES} 1",
        ("d", "f"): f"{TIMES} -1.98",
        ("c", "f"): f"{TIMES} 1.96",
    }
    root = ET.fromstring(text)  # noqa: S314 (our own output)
    assert root.findtext(f"{SVG}title") == "nested.yaml, step 1"
    assert "f is maximized: -3.8808 at step 1" in (root.findtext(f"{SVG}desc") or "")


def test_the_plain_graph_has_the_file_s_own_values() -> None:
    """Without a step leaves have what the file gives, nodes their formulas, and nothing is run."""
    drawing = draw_graph(graphrun.load(NESTED).structure)
    assert [(box.name, box.formula, box.value, box.gradient) for box in drawing.boxes] == [
        ("a", "", "5", ""),
        ("b", "", "-3", ""),
        ("c", "", "-2", ""),
        ("d", "a + b", "", ""),
        ("f", "d * c", "", ""),
    ]


def test_kinds_have_shapes_and_colours_of_their_own(tmp_path: Path) -> None:
    """No two kinds of values look alike, in colour or without."""
    assert len(set(colours.FILLS.values())) == len(Shape)
    assert len(set(colours.STROKES.values())) == len(Shape)
    file = tmp_path / "g.yaml"
    file.write_text(NOISY)
    graph = graphrun.load(file)
    drawing = draw_graph(graph.structure, graph.passes(1))
    assert {box.name: box.shape for box in drawing.boxes} == {
        "w": Shape.PARAMETER,
        "one": Shape.PARAMETER,
        "k": Shape.CONSTANT,
        "d": Shape.NODE,
        "d.noise": Shape.NOISE,
        "n": Shape.NODE,
        "n.running_mean": Shape.STATE,
        "n.running_variance": Shape.STATE,
        "f": Shape.NODE,
    }
    assert_all_there(drawing)
    outlines = {
        name: sorted(element.tag for element in group.findall(f"{SVG}g/*"))
        for name, group in groups(to_svg(drawing, lay_out(drawing))).items()
    }
    assert outlines["w"] == outlines["d"] == [f"{SVG}rect"]
    assert outlines["f"] == [f"{SVG}rect"] * 2
    assert outlines["k"] == outlines["d.noise"] == outlines["n.running_mean"] == [f"{SVG}polygon"]


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("fill", [*colours.FILLS.values(), colours.OBJECTIVE_FILL, colours.FRAME_FILL])
def test_texts_can_be_read(fill: str) -> None:
    """Every text has a contrast of 4.5 to 1 to what it may stand on."""
    for colour in (colours.TEXT, colours.FAINT, colours.VALUE, colours.GRADIENT):
        assert contrast(colour, fill) >= 4.5


def test_nothing_gets_out(hostile: Drawing) -> None:
    """Markup, quotes, comments and control characters in names and descriptions are text in every format."""
    svg = to_svg(hostile, lay_out(hostile))
    root = ET.fromstring(svg)  # noqa: S314 (our own output)
    known = {"svg", "title", "desc", "rect", "g", "path", "polygon", "text", "tspan"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= known
    assert len(groups(svg)) == len(Shape)
    dot = to_dot(hostile)
    read = pygraphviz.AGraph(string=dot)
    # A backslash is escaped in DOT, and Graphviz keeps the escape, which labels interpret.
    assert sorted(name.replace("\\\\", "\\") for name in read.nodes()) == sorted(visible(b.name) for b in hostile.boxes)
    assert_is_mermaid(to_mermaid(hostile))
    assert "<script" not in svg + to_mermaid(hostile)
    for text in (svg, dot, to_mermaid(hostile)):
        assert not re.search("[\u202e\u2066\x1b]", text)
        assert "⟨U+202E⟩" in text


@pytest.mark.slow
@pytest.mark.parametrize("picture_format", ["png", "pdf"])
def test_pictures(hostile: Drawing, picture_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    """PNG and PDF are drawn, of hostile texts too, and nothing is said on stderr."""
    graph = graphrun.load(NESTED)
    for drawing in (draw_graph(graph.structure, graph.passes()), hostile):
        picture = write(drawing, picture_format)
        assert isinstance(picture, bytes)
        assert picture.startswith({"png": b"\x89PNG\r\n", "pdf": b"%PDF-"}[picture_format])
    assert capfd.readouterr().err == ""


def test_texts_are_shown_as_they_are() -> None:
    """Letters of every script stay; what cannot be seen is shown by its number; long texts are cut in the middle."""
    assert visible("θ₁ 重み é") == "θ₁ 重み é"
    assert visible("a\n\tb\u202ec\x00") == "a b⟨U+202E⟩c⟨U+0000⟩"
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abcdef…ijk"
    assert width("重", 10) > width("a", 10) > width("i", 10) > width("\u0301", 10) == 0


@pytest.mark.parametrize(
    ("nodes", "culprit"),
    [("p: log(a)\n  q: p * b\n  f: q + 1", "p"), ("p: a - a\n  q: sqrt(p)\n  f: q + b", "q")],
    ids=["the value", "the derivative"],
)
def test_what_is_not_finite_is_red_and_where_it_arose_is_marked(nodes: str, culprit: str, load) -> None:
    """NaN and infinities have the colour of errors, and the one box where they began says so, in every format."""
    graph = load(f"parameters: {{a: -1, b: 2}}\nnodes:\n  {nodes}\nminimize: f\n")
    plan = graph.plan()
    program = node_program(plan)
    with suppress(NotFinite):
        program.evaluate()
    drawing = draw_graph(graph.structure, Passes.of(program))
    assert [box.name for box in drawing.boxes if box.is_culprit] == [culprit]
    bad = [row for box in drawing.boxes for row in rows(box) if row.is_bad]
    assert bad
    svg = to_svg(drawing, lay_out(drawing))
    assert svg.count(colours.ERROR) >= len(bad) + 2
    for text in (svg, to_dot(drawing), to_mermaid(drawing)):
        assert text.count(CULPRIT) == 1
        assert colours.ERROR in text
