"""What shares a box, what has a frame, and what `--depth` opens."""

from __future__ import annotations

from pathlib import Path

import pytest
from lesson import GRAPHS

import graphrun
from graphrun.show.draw import Drawing, Shape, draw_graph
from graphrun.show.draw.folding import MOST_BOXES, MOST_UNFOLDED, ways_of


def drawing_of(text: str, tmp_path: Path, depth: int | None = None) -> Drawing:
    """Return the drawing of a graph file's text."""
    file = tmp_path / "g.yaml"
    file.write_text(text, encoding="utf-8")
    return draw_graph(graphrun.load(file).structure, None, depth)


def test_frames_of_dotted_names() -> None:
    """A frame holds an instance's inner values and its own; an output's parts belong to the instance itself."""
    assert ways_of(["x", "h.W", "h.y.1", "h", "f.1", "f"]) == {
        "x": (),
        "h.W": ("h",),
        "h.y.1": ("h",),
        "h": ("h",),
        "f.1": ("f",),
        "f": ("f",),
    }


def test_frames_of_copies() -> None:
    """The last copy has the instance's own name, and stands in the frame of that copy."""
    ways = ways_of(["r.1.W", "r.1.y.1", "r.1", "r.2.W", "r.2.y.1", "r"])
    assert ways["r.1"] == ways["r.1.W"] == ("r", "r.1")
    assert ways["r"] == ways["r.2.y.1"] == ("r", "r.2")


def test_no_frame_around_a_single_value() -> None:
    """A name with a dot whose instance has nothing else in it needs no frame."""
    assert ways_of(["a", "h.W"]) == {"a": (), "h.W": ()}


@pytest.mark.parametrize(
    ("depth", "frames", "boxes"),
    [
        (0, set(), {"points", "target", "hidden", "output", "loss"}),
        (None, {"hidden", "hidden.z", "output", "loss"}, None),
        (1, {"hidden", "output", "loss"}, None),
    ],
)
def test_depth(depth: int | None, frames: set[str], boxes: set[str] | None) -> None:
    """Each level of depth opens the frames of one more level."""
    drawing = draw_graph(graphrun.load(GRAPHS / "network.yaml").structure, None, depth)
    assert {frame.name for frame in drawing.frames} == frames
    if boxes is not None:
        assert {box.name for box in drawing.boxes} == boxes
    assert bool(drawing.note) == (depth is not None)
    titles = {frame.name: frame.title for frame in drawing.frames}
    assert titles.get("hidden", "hidden: dense") == "hidden: dense"


def test_a_folded_box_says_what_it_holds() -> None:
    """An instance names its subgraph, an expression is written out; the value is that of the whole."""
    graph = graphrun.load(GRAPHS / "formula.yaml")
    boxes = {box.name: box for box in draw_graph(graph.structure, graph.passes(), 0).boxes}
    assert boxes["curve"].shape is Shape.GROUP
    assert boxes["curve"].formula == "= b1 * (1 - exp(-b2 * x))"
    assert boxes["loss"].is_objective
    assert boxes["loss"].value == "0.361333"
    assert boxes["curve"].names == ("curve.1", "curve.2", "curve.3", "curve.4", "curve")


def test_every_value_has_one_box(example: Path) -> None:
    """At every depth each named value is in exactly one box, and lines connect boxes that are there."""
    graph = graphrun.load(example)
    values = sorted(name for name in graph.structure.names if name is not None)
    for depth in (None, 0, 1, 2, 9):
        drawing = draw_graph(graph.structure, None, depth)
        assert sorted(name for box in drawing.boxes for name in box.names) == values
        boxes = {box.name for box in drawing.boxes}
        assert len(boxes) == len(drawing.boxes)
        assert {end for line in drawing.lines for end in (line.source, line.target)} <= boxes


def test_many_instances_are_folded_by_default(tmp_path: Path) -> None:
    """Frames fold, inner ones first, until no more boxes are left than anyone looks at; the note says how many."""
    text = """
subgraphs:
  block: {inputs: [x], parameters: {w: 1, b: 0}, nodes: {y: tanh(x * w + b)}, output: y}
  stage: {inputs: [x], nodes: {y: {type: block, inputs: [x], repeat: 10}}, output: y}
parameters: {x: 1}
nodes:
  body: {type: stage, inputs: [x], repeat: 12}
  f: body ** 2
minimize: f
"""
    drawing = drawing_of(text, tmp_path)
    assert len(drawing.boxes) <= MOST_UNFOLDED
    assert {box.name for box in drawing.boxes} >= {"x", "f", "body.1", "body.12"}
    assert "--depth 2 opens more" in drawing.note
    assert drawing.note in drawing.description
    assert len(drawing_of(text, tmp_path, 9).boxes) == 2 + 12 * 10 * 5


def test_generations_of_a_large_graph_share_boxes(tmp_path: Path) -> None:
    """Without frames to fold, neighbouring generations share a box; the objective has its own; a depth opens all."""
    count = MOST_BOXES + 1
    nodes = "".join(f"  n{k + 1}: {{type: sin, inputs: [n{k}]}}\n" for k in range(count))
    text = f"parameters: {{n0: 1}}\nnodes:\n{nodes}maximize: n{count}\n"
    drawing = drawing_of(text, tmp_path)
    assert len(drawing.boxes) < 30
    assert [box.name for box in drawing.boxes if box.is_objective] == [f"n{count}"]
    assert sum(len(box.names) for box in drawing.boxes) == count + 1
    assert len(drawing_of(text, tmp_path, 0).boxes) == count + 1


def test_folding_may_make_a_cycle(tmp_path: Path) -> None:
    """What reads a part of an instance and feeds another part of it is on a cycle once the instance is folded."""
    text = """
subgraphs:
  pair: {inputs: [x, z], nodes: {p: x * 2, y: z * 3}, output: y}
parameters: {x: 1}
nodes:
  g: h.p + 1
  h: pair(x, g)
maximize: h
"""
    drawing = drawing_of(text, tmp_path, 0)
    assert {(line.source, line.target) for line in drawing.lines} == {("x", "h"), ("g", "h"), ("h", "g")}
