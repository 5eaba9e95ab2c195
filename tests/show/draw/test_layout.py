"""Layouts: nothing lies on anything else, lines run from box to box, frames hold what is theirs."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import networkx as nx
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrun
from graphrun.show.draw import Box, Drawing, Frame, Layout, Line, NodeBox, Shape, draw_graph, lay_out
from graphrun.show.draw.contents import TIMES
from graphrun.show.draw.rows import label_width

CLOSE = 0.01


@st.composite
def drawings(draw) -> Drawing:
    """Draw boxes in frames within frames, and lines between any of them, cycles included."""
    frames: list[Frame] = []
    for k in range(draw(st.integers(0, 4))):
        outer = draw(st.sampled_from([None, *[frame.name for frame in frames]]))
        frames.append(Frame(f"f{k}", f"f{k}" * draw(st.integers(1, 12)), outer))
    boxes = []
    places = st.sampled_from([None, *[frame.name for frame in frames]])
    for k in range(draw(st.integers(1, 14))):
        shape = draw(st.sampled_from(list(Shape)))
        boxes.append(Box(f"b{k}", "b" * draw(st.integers(1, 30)), shape, value="1", frame=draw(places)))
    pairs = st.tuples(st.sampled_from(boxes), st.sampled_from(boxes)).filter(lambda pair: pair[0] != pair[1])
    chosen = draw(st.lists(pairs, max_size=20)) if len(boxes) > 1 else []
    lines = tuple(Line(a.name, b.name, k, draw(st.sampled_from(["", "1.234"]))) for k, (a, b) in enumerate(chosen))
    return Drawing("title", "description", tuple(boxes), lines, tuple(frames))


def overlap(a: NodeBox, b: NodeBox) -> bool:
    """Whether two places share more than a border."""
    apart = a.x + a.width <= b.x + CLOSE or b.x + b.width <= a.x + CLOSE
    return not (apart or a.y + a.height <= b.y + CLOSE or b.y + b.height <= a.y + CLOSE)


def holds(outer: NodeBox, inner: NodeBox) -> bool:
    """Whether a place is within another."""
    return (
        outer.x <= inner.x + CLOSE
        and outer.y <= inner.y + CLOSE
        and inner.x + inner.width <= outer.x + outer.width + CLOSE
        and inner.y + inner.height <= outer.y + outer.height + CLOSE
    )


def on_border(place: NodeBox, point: tuple[float, float]) -> bool:
    """Whether a point is on the border of a place."""
    x, y = point
    within = holds(place, NodeBox(x, y, 0, 0))
    at_side = min(abs(x - place.x), abs(x - place.x - place.width)) < CLOSE
    return within and (at_side or min(abs(y - place.y), abs(y - place.y - place.height)) < CLOSE)


def assert_in_order(drawing: Drawing, layout: Layout) -> None:
    """Assert what holds for every layout."""
    whole = NodeBox(0, 0, layout.width, layout.height)
    outer = {frame.name: frame.outer for frame in drawing.frames}

    def around(frame: str | None) -> set[str]:
        return set() if frame is None else {frame, *around(outer[frame])}

    for box in drawing.boxes:
        assert holds(whole, layout.boxes[box.name])
        for frame in drawing.frames:
            if frame.name in around(box.frame):
                assert holds(layout.frames[frame.name], layout.boxes[box.name])
            else:
                assert not overlap(layout.frames[frame.name], layout.boxes[box.name])
    for a, b in itertools.combinations(layout.boxes.values(), 2):
        assert not overlap(a, b)
    for a, b in itertools.combinations(drawing.frames, 2):
        if a.name not in around(b.name) and b.name not in around(a.name):
            assert not overlap(layout.frames[a.name], layout.frames[b.name])
    for line, route in zip(drawing.lines, layout.routes, strict=True):
        assert len(route.points) % 3 == 1
        assert on_border(layout.boxes[line.source], route.points[0])
        assert on_border(layout.boxes[line.target], route.points[-1])


@settings(deadline=None, max_examples=examples(200))
@given(drawing=drawings(), direction=st.sampled_from(["right", "down"]))
def test_random_drawings(drawing: Drawing, direction: str) -> None:
    """Boxes and frames keep apart, and lines run from border to border, whatever there is to place."""
    assert_in_order(drawing, lay_out(drawing, direction))


RIGHT, DOWN = (pytest.param(direction, marks=pytest.mark.nightly) for direction in ("right", "down"))


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["auto", RIGHT, DOWN])
def test_examples(example, direction: str) -> None:
    """Every graph of the repository, with the values of its first step."""
    graph = graphrun.load(example)
    drawing = draw_graph(graph.structure, graph.passes())
    assert_in_order(drawing, lay_out(drawing, direction))


def test_the_lesson_reads_from_left_to_right(example) -> None:
    """Inputs stand before what uses them: every line goes on in one direction.

    What is too long for one row goes on in the next one below, as text does. A folded box may be both before and after
    another one: copies whose parameters are read outside, which makes what the first copy begins with.
    """
    drawing = draw_graph(graphrun.load(example).structure)
    layout = lay_out(drawing, "right")
    parts = nx.strongly_connected_components(nx.DiGraph((line.source, line.target) for line in drawing.lines))
    part_of = {name: number for number, part in enumerate(parts) for name in part}
    for line in drawing.lines:
        if part_of[line.source] == part_of[line.target]:
            continue
        source, target = layout.boxes[line.source], layout.boxes[line.target]
        assert source.x + source.width < target.x or source.y + source.height < target.y


@pytest.mark.parametrize("direction", ["right", "down"])
def test_lines_have_no_corners(example, direction: str) -> None:
    """Each piece of a line begins and ends in the direction of the graph, at the borders of frames too."""
    drawing = draw_graph(graphrun.load(example).structure)
    across = 1 if direction == "right" else 0
    for route in lay_out(drawing, direction).routes:
        for k in range(0, len(route.points) - 1, 3):
            start, after, before, end = (point[across] for point in route.points[k : k + 4])
            assert start == pytest.approx(after, abs=CLOSE)
            assert before == pytest.approx(end, abs=CLOSE)


def test_lines_do_not_cross_without_need() -> None:
    """A tree is drawn without crossings, its leaves in the order of the inputs."""
    names = ["a", "b", "c", "d", "e", "f", "g"]
    boxes = tuple(Box(name, name, Shape.NODE) for name in names)
    ends = [("a", "e"), ("d", "f"), ("b", "e"), ("c", "f"), ("e", "g"), ("f", "g")]
    layout = lay_out(Drawing("", "", boxes, tuple(Line(a, b, k) for k, (a, b) in enumerate(ends)), ()), "down")
    assert layout.boxes["a"].x < layout.boxes["b"].x < layout.boxes["d"].x < layout.boxes["c"].x


def test_two_uses_are_two_lines() -> None:
    """A value that a node uses twice has two lines to it, which arrive in two places."""
    boxes = (Box("a", "a", Shape.PARAMETER), Box("f", "f = a * a", Shape.NODE))
    layout = lay_out(Drawing("", "", boxes, (Line("a", "f", 0), Line("a", "f", 1)), ()))
    first, second = (route.points[-1] for route in layout.routes)
    assert first != second


def label_places(drawing: Drawing, layout: Layout) -> dict[int, NodeBox]:
    """Return where each label is, by the number of its line."""
    return {
        k: NodeBox(route.label[0] - label_width(line) / 2, route.label[1] - 7, label_width(line), 14)
        for k, (line, route) in enumerate(zip(drawing.lines, layout.routes, strict=True))
        if line.label
    }


def assert_labels_can_be_read(drawing: Drawing, layout: Layout) -> None:
    """Assert that no label lies over a box or another label, and that each is at the head of its own arrow."""
    labels = label_places(drawing, layout)
    for number, label in labels.items():
        assert not any(overlap(label, box) for box in layout.boxes.values())
        middle = layout.routes[number].label
        far = {k: math.dist(middle, route.points[-1]) for k, route in enumerate(layout.routes)}
        assert far[number] == min(far.values())
        assert far[number] < label.width / 2 + 20
    assert not any(overlap(a, b) for a, b in itertools.combinations(labels.values(), 2))


def assert_one_port_a_use(drawing: Drawing, layout: Layout) -> None:
    """Assert that each line has an end of its own, and an entry of its own into each frame."""
    ends = [route.points[-1] for route in layout.routes]
    assert all(math.dist(a, b) > 2 for a, b in itertools.combinations(ends, 2))
    for place in layout.frames.values():
        entries = [
            point
            for route in layout.routes
            for before, point in itertools.pairwise(route.points[::3])
            if on_border(place, point) and not holds(place, NodeBox(*before, 0, 0))
        ]
        assert all(math.dist(a, b) > 2 for a, b in itertools.combinations(entries, 2))


@settings(deadline=None, max_examples=examples(200))
@given(drawing=drawings(), direction=st.sampled_from(["right", "down"]))
def test_labels_of_random_drawings(drawing: Drawing, direction: str) -> None:
    """Whatever there is to place, cycles included."""
    layout = lay_out(drawing, direction)
    assert_labels_can_be_read(drawing, layout)
    assert_one_port_a_use(drawing, layout)


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["right", DOWN])
def test_labels_of_examples(example, direction: str) -> None:
    """With the local derivatives of the first step: no two of them stand on one trunk."""
    graph = graphrun.load(example)
    drawing = draw_graph(graph.structure, graph.passes())
    layout = lay_out(drawing, direction)
    assert_labels_can_be_read(drawing, layout)
    assert_one_port_a_use(drawing, layout)


def test_a_wide_graph_stands_in_several_rows() -> None:
    """Thirty products of two leaves each, which are summed: no wider than a screen, each leaf just above its use."""
    boxes, lines = [], []
    for k in range(30):
        boxes += [Box(f"w{k}", f"w{k}", Shape.PARAMETER, value="0.123456"), Box(f"x{k}", f"x{k}", Shape.CONSTANT)]
        boxes += [Box(f"p{k}", f"p{k}", Shape.NODE, f"w{k} * x{k}")]
        lines += [Line(f"w{k}", f"p{k}", 0), Line(f"x{k}", f"p{k}", 1), Line(f"p{k}", "f", k)]
    drawing = Drawing("", "", (*boxes, Box("f", "f", Shape.NODE)), tuple(lines), ())
    layout = lay_out(drawing)
    assert layout.width < 1600
    assert layout.height < 2000
    assert_in_order(drawing, layout)
    for k in range(30):
        for leaf in (f"w{k}", f"x{k}"):
            above = layout.boxes[f"p{k}"].y - layout.boxes[leaf].y
            assert 0 < above < 260


@pytest.mark.parametrize("count", [20, 60, 200])
@pytest.mark.parametrize("direction", ["auto", "right", "down"])
def test_a_chain_is_no_ribbon(count: int, direction: str) -> None:
    """A chain goes on in the next column, or row, rather than be fifty times as long as it is wide."""
    boxes = tuple(Box(f"t{k}", f"t{k}", Shape.NODE, f"tanh(t{k - 1})", "0.123456", "0.123456") for k in range(count))
    lines = tuple(Line(f"t{k - 1}", f"t{k}", 0, f"{TIMES} 0.5") for k in range(1, count))
    drawing = Drawing("", "", boxes, lines, ())
    layout = lay_out(drawing, direction)
    assert 1 / 3 < layout.width / layout.height < 3
    assert_in_order(drawing, layout)
    assert_labels_can_be_read(drawing, layout)


def test_a_chain_with_a_leaf_at_each_link_is_no_staircase() -> None:
    """The nodes of the chain stand below each other, though each has a leaf beside it."""
    boxes, lines = [Box("s0", "s0", Shape.PARAMETER)], []
    for k in range(1, 10):
        boxes += [Box(f"w{k}", f"w{k}", Shape.PARAMETER), Box(f"s{k}", f"s{k}", Shape.NODE)]
        lines += [Line(f"s{k - 1}", f"s{k}", 0), Line(f"w{k}", f"s{k}", 1)]
    layout = lay_out(Drawing("", "", tuple(boxes), tuple(lines), ()), "down")
    middles = [layout.boxes[f"s{k}"].x + layout.boxes[f"s{k}"].width / 2 for k in range(1, 10)]
    assert max(middles) - min(middles) < 20


def test_labels_lie_beside_each_other(tmp_path: Path) -> None:
    """Where lines come close, each label moves to where it can be read."""
    text = "parameters: {a: 0.7, b: -1.3}\nnodes: {p: a * b + sin(a), q: p * tanh(p), f: p * q + q / a}\nminimize: f\n"
    file = tmp_path / "g.yaml"
    file.write_text(text)
    graph = graphrun.load(file)
    drawing = draw_graph(graph.structure, graph.passes())
    for direction in ("down", "right"):
        routes = lay_out(drawing, direction).routes
        labels = [
            NodeBox(route.label[0] - wide / 2, route.label[1] - 7, wide, 14)
            for line, route in zip(drawing.lines, routes, strict=True)
            if (wide := label_width(line))
        ]
        assert len(labels) > 10
        assert not any(overlap(a, b) for a, b in itertools.combinations(labels, 2))
