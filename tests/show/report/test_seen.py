"""What a reader of the page sees: equations that are true, nothing over anything else, nothing that jumps or is cut."""

# ruff: noqa: RUF001 (the page writes its numbers with minus signs)

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson import GRAPHS, LONG_NAMES

import graphrun

Report = Callable[..., Path]
Open = Callable[..., Any]

SIGNS = str.maketrans({"−": "-", "·": "*", "∞": "inf", "\u202f": ""})
FUNCTIONS = {"minimum": min, "maximum": max} | {
    name: getattr(np, name) for name in ("exp", "log", "sin", "cos", "tanh", "sqrt", "log1p", "expm1", "abs")
}


CUT = """
parameters:
  a: {value: 2, lower: -1, upper: 2.05}
  b: {value: 0.5, lower: 0.45, upper: 3}
nodes: {f: a * a * b}
DIRECTION: f
update: {type: sgd, step_size: 0.01}
steps: 9
"""

ALL_STEPS = """() => {
  const told = [];
  const one = (id) => document.getElementById(id);
  const end = one("step").max * 1, last = one("moment").max * 1;
  return (async () => {
    const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    for (let step = 0; step <= end; step += 1) {
      for (let moment = 0; moment <= last; moment += 1) {
        one("step").value = step; one("step").dispatchEvent(new Event("input"));
        one("moment").value = moment; one("moment").dispatchEvent(new Event("input"));
        await frame();
        for (const line of document.querySelectorAll("#story-lines > div")) told.push(line.textContent);
        told.push(`top ${document.getElementById("drawing").getBoundingClientRect().top}`);
      }
    }
    return told;
  })();
}"""
"""Goes through every pass of every step; returns the lines of the story, and where the drawing begins."""

OVERLAPS = """() => {
  const all = ["button", "label", "output", "select"].flatMap((tag) => [...document.querySelectorAll(`#player ${tag}`)])
    .concat([...document.querySelectorAll(".tools button")])
    .filter((one) => one.getClientRects().length);
  const found = [];
  all.forEach((a, k) => all.slice(k + 1).forEach((b) => {
    if (a.contains(b) || b.contains(a)) return;
    const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 1) found.push(`${a.id || a.textContent} over ${b.id || b.textContent}`);
  }));
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than the window");
  return found;
}"""

LABELS = """() => {
  const shown = [...document.querySelectorAll("#drawing .line text")].filter((one) => one.textContent);
  const boxes = [...document.querySelectorAll("#drawing .box .shape")];
  const found = [];
  shown.forEach((a, k) => [...shown.slice(k + 1), ...boxes].forEach((b) => {
    const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 1) found.push(`${a.textContent} over ${b.textContent}`);
  }));
  return found;
}"""

OVERPRINTED = """() => [...document.querySelectorAll("td, th, dd, .chart h3, #title, #details-title")]
  .filter((one) => one.getClientRects().length && one.scrollWidth > one.clientWidth + 1)
  .map((one) => one.textContent)"""

HIDDEN_IN_PRINT = """() => [...document.querySelectorAll("#drawing, #story, .scroll, #file-body, .chart, .card")]
  .filter((one) => one.getClientRects().length)
  .filter((one) => one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1)
  .map((one) => one.id || one.className)"""


def value_of(text: str) -> tuple[float, float] | None:
    """Return what an expression of numbers comes to, and the largest number in it; None where there are names in it."""
    try:
        tree = ast.parse(text.translate(SIGNS), mode="eval")
    except SyntaxError:
        return None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not names <= FUNCTIONS.keys():
        return None
    sizes = [abs(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    with np.errstate(all="ignore"):
        return float(eval(compile(tree, "", "eval"), FUNCTIONS.copy())), max(sizes, default=0.0)  # noqa: S307


def equations_of(line: str) -> list[tuple[float, float]]:
    """Return the sides of a line's last equation that are numbers."""
    line = line.rpartition("; ")[2].partition(", held")[0]
    sides = re.split(r" = | gets | ← ", line)
    return [found for side in sides if (found := value_of(side)) is not None]


@pytest.mark.parametrize(
    ("name", "steps"), [("bounded", 6), ("nested", 2), ("rosenbrock", 1), ("neuron", 1), ("lower", 4), ("upper", 3)]
)
def test_every_equation_is_true(name: str, steps: int, report: Report, open_page: Open, tmp_path: Path) -> None:
    """Read back and computed, all sides of an equation are one number: at bounds, where they are cut, too."""
    file = GRAPHS / f"{name}.yaml"
    if name in {"lower", "upper"}:
        file = tmp_path / "cut.yaml"
        file.write_text(CUT.replace("DIRECTION", {"lower": "minimize", "upper": "maximize"}[name]))
    told = open_page(report(file, "--steps", str(steps))).evaluate(ALL_STEPS)
    checked = 0
    for line in told:
        for (left, size), (right, other) in itertools.pairwise(equations_of(line)):
            assert left == pytest.approx(right, rel=2e-5, abs=2e-5 * max(size, other)), line
            checked += 1
    assert checked > 15
    if name in {"bounded", "lower", "upper"}:
        assert any("held at its" in line for line in told)
        assert any("minimum(" in line or "maximum(" in line for line in told)
    # The drawing begins where it began, however much is told above it.
    assert len({line for line in told if line.startswith("top ")}) == 1


@pytest.mark.parametrize("width", [360, 700, 761, 800, 879, 961, 1280])
def test_nothing_lies_over_anything(width: int, report: Report, open_page: Open, tmp_path: Path) -> None:
    """Controls stand beside each other at every width, and long names leave numbers alone."""
    file = tmp_path / "long.yaml"
    file.write_text(LONG_NAMES)
    page = open_page(report(file), width=width)
    for key in ("f", "b", "u"):
        page.keyboard.press(key)
        page.wait_for_timeout(60)
        assert page.evaluate(OVERLAPS) == []
        assert page.evaluate(OVERPRINTED) == []
        assert page.evaluate(LABELS) == []


@pytest.mark.parametrize("name", ["digits", "decay"])
def test_nothing_is_cut_in_print(name: str, report: Report, open_page: Open) -> None:
    """On paper the whole drawing, every table and the whole file are there, to the last line."""
    file = GRAPHS / f"{name}.yaml"
    page = open_page(report(file, "--steps", "3"))
    page.set_viewport_size({"width": 700, "height": 1000})
    page.emulate_media(media="print")
    page.wait_for_timeout(200)
    assert page.evaluate(HIDDEN_IN_PRINT) == []
    pypdfium2 = pytest.importorskip("pypdfium2")
    document = pypdfium2.PdfDocument(BytesIO(page.pdf(format="A4")))
    text = "".join("".join(sheet.get_textpage().get_text_bounded().split()) for sheet in document)
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert "".join(lines[-1].split()) in text
    for value in graphrun.load(file).run(0).parameters:
        assert value in text


def test_a_box_of_many_values_tells_their_range_and_norm(report: Report, open_page: Open, tmp_path: Path) -> None:
    """Of neighbours that share a box, the smallest and the largest value and the norm of the gradient are shown."""
    file = tmp_path / "chain.yaml"
    nodes = "".join(f"  t{k}: {{type: sin, inputs: [t{k - 1}]}}\n" for k in range(1, 700))
    file.write_text(f"parameters: {{a: 1.2}}\nnodes:\n  t0: a * 1.5\n{nodes}minimize: t699\nsteps: 1\n")
    page = open_page(report(file))
    result = graphrun.load(file).run(0)
    boxes = page.locator("#drawing .box.group")
    assert boxes.count() > 5
    box = boxes.filter(has_text="generations").first
    shown = [text.translate(SIGNS) for text in box.locator("text").all_text_contents()]
    first, last = map(int, re.findall(r"\d+", shown[0]))
    # The first generation is that of t0.
    values = [result.values[f"t{k - 1}"] for k in range(first, last + 1)]
    gradients = [result.gradients[f"t{k - 1}"] for k in range(first, last + 1)]
    assert list(map(float, shown[-2].split(" to "))) == pytest.approx([min(values), max(values)], rel=1e-3)
    assert float(shown[-1].strip("grad ‖")) == pytest.approx(float(np.linalg.norm(gradients)), rel=1e-3)


def test_three_hundred_nodes_can_be_read(report: Report, open_page: Open, tmp_path: Path) -> None:
    """The letters of a large drawing are eleven pixels high, and one scrolls."""
    file = tmp_path / "large.yaml"
    parameters = ", ".join(f"w{k}: 0.{k + 1}" for k in range(60))
    nodes = "".join(f"  p{k}: w{k % 60} * w{(7 * k + 3) % 60}\n" for k in range(120))
    sums = "".join(f"  q{k}: q{k - 1} + p{k + 1}\n" for k in range(1, 118))
    file.write_text(f"parameters: {{{parameters}}}\nnodes:\n{nodes}  q0: p0 + p1\n{sums}minimize: q117\nsteps: 1\n")
    page = open_page(report(file))
    texts = page.locator("#drawing .box text")
    assert texts.count() > 600
    assert texts.first.evaluate("(text) => 13 * text.getScreenCTM().a") >= 11
    size = page.locator("#drawing svg").bounding_box()
    assert size["width"] < 4000


@pytest.mark.parametrize("width", [700, 1280])
@pytest.mark.parametrize("name", ["nested", "neuron", "decay"])
def test_labels_lie_over_nothing(name: str, width: int, report: Report, open_page: Open) -> None:
    """What an edge carries stands at its own arrowhead: over no box, and over no other label."""
    page = open_page(report(GRAPHS / f"{name}.yaml", "--steps", "3"), width=width)
    for key in ("End", "Home", "u"):
        page.keyboard.press(key)
        page.wait_for_timeout(60)
        assert page.locator("#drawing .line text").count()
        assert page.evaluate(LABELS) == []
