"""The page in a browser: slider, keyboard, passes, details and charts show the run's own numbers."""

# ruff: noqa: RUF001 (the page writes its numbers with minus signs)

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson import GRAPHS

import graphrun

Report = Callable[..., Path]
Open = Callable[..., Any]
NESTED = GRAPHS / "nested.yaml"
NUMBER = re.compile(r"−?(?:\d+(?:\.\d+)?(?:e−?\d+)?|∞)|NaN")


def number(text: str) -> float:
    """Read a number as the page writes it."""
    found = NUMBER.search(text)
    assert found, text
    return float(found[0].replace("−", "-").replace("∞", "inf"))


def box(page: Any, name: str) -> Any:
    """Return a value's box in the drawing."""
    return page.locator(f'#drawing .box[data-name="{name}"]')


def value_in(page: Any, name: str) -> float:
    """Return the value in a box."""
    return number(box(page, name).locator("text").nth(1).text_content())


def gradient_in(page: Any, name: str) -> str:
    """Return the text of the gradient in a box."""
    return str(box(page, name).locator("text").nth(2).text_content())


def settle(page: Any) -> None:
    """Wait until what was done is shown."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def press(page: Any, *keys: str) -> None:
    """Press keys."""
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def story(page: Any) -> tuple[str, list[str]]:
    """Return what is told of a moment: the title and the lines."""
    lines = page.locator("#story-lines > div").all_text_contents()
    return page.locator("#story-title").text_content(), lines


def test_the_whole_lesson(report: Report, open_page: Open) -> None:
    """The forward pass, the backward pass and the update of the first step are told as in the README."""
    page = open_page(report(NESTED))
    press(page, "f")
    assert story(page) == ("The leaves have their values", ["a = 5, b = −3, c = −2"])
    assert box(page, "d").locator("text").nth(1).text_content() == ""
    press(page, "n")
    assert story(page) == ("Forward pass, 1 of 2", ["d = a + b = 5 + (−3) = 2"])
    assert value_in(page, "d") == 2
    press(page, "n")
    assert story(page) == ("Forward pass, 2 of 2", ["f = d · c = 2 · (−2) = −4"])
    assert gradient_in(page, "f") == ""
    press(page, "n")
    assert gradient_in(page, "f") == "grad 1"
    assert gradient_in(page, "d") == ""
    press(page, "n")
    title, lines = story(page)
    assert title == "Backward pass, 1 of 2, through f"
    assert lines == ["df/dd = c = −2", "df/dc = d = 2"]
    assert (gradient_in(page, "d"), gradient_in(page, "c"), gradient_in(page, "a")) == ("grad −2", "grad 2", "")
    press(page, "n")
    assert story(page)[1] == ["df/da = df/dd · dd/da = −2 · 1 = −2", "df/db = df/dd · dd/db = −2 · 1 = −2"]
    assert page.locator("#drawing .line text").all_text_contents() == [
        "−2 · 1 = −2",
        "−2 · 1 = −2",
        "1 · (−2) = −2",
        "1 · 2 = 2",
    ]
    press(page, "n")
    assert story(page) == (
        "Update by sgd: f rises from −4 to −3.8808",
        [
            "a ← a + 0.01 · df/da = 5 + 0.01 · (−2) = 4.98",
            "b ← b + 0.01 · df/db = −3 + 0.01 · (−2) = −3.02",
            "c ← c + 0.01 · df/dc = −2 + 0.01 · 2 = −1.98",
        ],
    )
    press(page, "n", "n", "n")
    assert page.locator("#step-text").text_content() == "1 of 10"
    assert story(page)[1] == ["f = d · c = 1.96 · (−1.98) = −3.8808"]
    press(page, "p", "p", "p", "p")
    assert page.locator("#step-text").text_content() == "0 of 10"


@pytest.mark.parametrize("name", ["nested", "repeated", "rosenbrock", "neuron"])
def test_the_numbers_are_those_of_the_run(name: str, report: Report, open_page: Open) -> None:
    """At each step that is looked at, the drawing and the tables have the values and gradients of `Graph.run`."""
    file = GRAPHS / f"{name}.yaml"
    page = open_page(report(file, "--steps", "20"))
    graph = graphrun.load(file)
    for step in (0, 1, 7, 20):
        page.locator("#step").fill(str(step))
        settle(page)
        result = graph.run(step)
        for value, expected in result.values.items():
            if np.ndim(expected) == 0:
                assert value_in(page, value) == pytest.approx(expected, rel=1e-4)
                assert number(gradient_in(page, value)) == pytest.approx(result.gradients[value], rel=1e-4, abs=1e-12)
        for value, expected in result.parameters.items():
            cells = page.locator(f'#parameters tr[data-name="{value}"] td').all_text_contents()
            assert number(cells[1]) == pytest.approx(expected, rel=1e-5)
            assert number(cells[2]) == pytest.approx(result.gradients[value], rel=1e-5, abs=1e-12)
            if step < 20:
                moved = graph.run(step + 1).parameters[value] - expected
                assert number(cells[3]) == pytest.approx(moved, rel=1e-5, abs=1e-12)


def test_the_edges_carry_what_the_passes_say(report: Report, open_page: Open) -> None:
    """The details of a node have the local derivatives and the contributions of `Graph.passes`."""
    file = GRAPHS / "rosenbrock.yaml"
    page = open_page(report(file, "--steps", "20"))
    passes = graphrun.load(file).passes(4)
    plan = passes.plan
    page.locator("#step").fill("4")
    for slot in range(len(plan.leaves), len(plan.names)):
        box(page, str(plan.names[slot])).hover()
        settle(page)
        rows = page.locator("#details .scroll").first.locator("tbody tr")
        texts = [rows.nth(k).locator("td").all_text_contents() for k in range(rows.count())]
        for edge in passes.edges_into(slot):
            if plan.names[edge.source] is None:
                continue
            index = next(k for k, cells in enumerate(texts) if cells[0] == plan.names[edge.source])
            given, derivation = texts[index][-1], texts[index + 1][0]
            assert number(given) == pytest.approx(float(edge.contribution), rel=1e-5)
            assert number(NUMBER.findall(derivation)[-1]) == pytest.approx(float(edge.local_derivative), rel=1e-5)
            del texts[: index + 2]


def test_the_keyboard_does_everything(report: Report, open_page: Open) -> None:
    """Arrows go from step to step, Home and End to the ends, letters through the passes, Space plays."""
    page = open_page(report(NESTED))
    text = page.locator("#step-text")
    for key, expected in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 10), ("ArrowRight", 10)):
        press(page, key)
        assert text.text_content() == f"{expected} of 10"
    press(page, "Home")
    assert text.text_content() == "0 of 10"
    for key, button in (("f", "#to-forward"), ("b", "#to-backward"), ("u", "#to-update")):
        press(page, key)
        assert page.locator(button).get_attribute("aria-current") == "true"
    press(page, " ")
    assert page.locator("#play").get_attribute("aria-label") == "Pause"
    for _ in range(600):
        if text.text_content() == "1 of 10":
            break
        page.wait_for_timeout(100)
    assert text.text_content() == "1 of 10"
    press(page, " ")
    assert page.locator("#play").get_attribute("aria-label") == "Play"
    page.locator("#letters").evaluate("(box) => { box.checked = false; }")
    before = story(page)
    press(page, "n")
    assert story(page) == before


def test_every_control_can_be_reached(report: Report, open_page: Open) -> None:
    """By Tab one comes to each control, and each says what it is; up and down move within the drawing."""
    page = open_page(report(NESTED))
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => {
                    const at = document.activeElement;
                    const name = at.getAttribute("aria-label") || at.textContent || (at.labels || [])[0]?.textContent;
                    return `${at.id || at.dataset.name || at.tagName} ${name ? "named" : "nameless"}`;
                }"""
            )
        )
    assert not [name for name in reached if name.endswith("nameless")]
    ids = {name.split()[0] for name in reached}
    assert ids >= {"play", "step", "moment", "to-forward", "theme", "help-button", "fit", "larger", "pace", "f"}
    box(page, "f").focus()
    press(page, "ArrowUp")
    assert page.locator("#details-title").text_content() == "d"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "d, add, value 2, gradient −2"
    press(page, "ArrowDown")
    assert page.locator("#details-title").text_content() == "f"


def test_details_by_pointer_and_by_focus(report: Report, open_page: Open) -> None:
    """Pointing at a box shows its details until the pointer leaves; a press keeps them."""
    page = open_page(report(NESTED))
    title = page.locator("#details-title")
    assert title.text_content() == "f"
    box(page, "d").hover()
    settle(page)
    details = page.locator("#details-body").inner_text()
    assert title.text_content() == "d"
    for text in ("add", "d = a + b", "5 + (−3) = 2", "−2", "line 16", "dd/da = 1", "Used once"):
        assert text in details
    page.mouse.move(5, 5)
    settle(page)
    assert title.text_content() == "f"
    box(page, "c").click()
    page.mouse.move(5, 5)
    settle(page)
    assert title.text_content() == "c"
    assert "0.02" in page.locator("#details-body").inner_text()


def test_charts_and_steps_move_each_other(report: Report, open_page: Open) -> None:
    """Each recorded value has a chart; pressing one goes to the step, and the others' cursors follow."""
    page = open_page(report(NESTED), height=1600)
    result = graphrun.load(NESTED).run()
    charts = page.locator(".chart")
    assert charts.evaluate_all("(all) => all.map((one) => one.dataset.name)") == ["f", "a", "b", "c"]
    over = page.locator('.chart[data-name="f"] .over')
    area = over.bounding_box()
    page.mouse.move(area["x"] + 0.7 * area["width"], area["y"] + 20)
    page.wait_for_function("() => document.querySelector('.chart .readout').textContent.endsWith('at step 7')")
    for name in "fabc":
        text = page.locator(f'.chart[data-name="{name}"] .readout').text_content()
        assert number(text) == pytest.approx(result.history[name][7], rel=1e-5)
        assert text.endswith("at step 7")
    assert page.locator("#step-text").text_content() == "0 of 10"
    page.mouse.down()
    settle(page)
    assert page.locator("#step-text").text_content() == "7 of 10"
    page.mouse.move(area["x"] + 0.3 * area["width"], area["y"] + 20)
    page.mouse.up()
    settle(page)
    assert page.locator("#step-text").text_content() == "3 of 10"
    assert value_in(page, "f") == pytest.approx(result.history["f"][3], rel=1e-4)
    place = "(line) => new DOMMatrix(getComputedStyle(line).transform).e"
    left = page.locator('.chart[data-name="a"] .now').evaluate(place)
    width = page.locator('.chart[data-name="a"] .over').bounding_box()["width"]
    assert left == pytest.approx(0.3 * width, abs=2)


def test_logarithmic_charts(report: Report, open_page: Open) -> None:
    """The charts can be drawn anew on a logarithmic scale, and go on working."""
    page = open_page(report(GRAPHS / "rosenbrock.yaml", "--steps", "20"), height=1600)
    count = page.locator(".chart").count()
    page.locator("#log").check()
    assert page.locator(".chart").count() == count
    area = page.locator('.chart[data-name="f"] .over').bounding_box()
    page.mouse.click(area["x"] + 0.5 * area["width"], area["y"] + 20)
    settle(page)
    assert page.locator("#step-text").text_content() == "10 of 20"


def test_lines_of_the_file_and_boxes_point_at_each_other(report: Report, open_page: Open) -> None:
    """A press on a line shows the node that it declares; a node's line is marked."""
    page = open_page(report(NESTED))
    lines = NESTED.read_text(encoding="utf-8").splitlines()
    assert page.locator("#file-body .row code").all_text_contents() == lines
    for name, line in (("d", 16), ("a", 11)):
        page.locator("#file-body .row").nth(line - 1).click()
        settle(page)
        assert page.locator("#details-title").text_content() == name
        assert "selected" in box(page, name).get_attribute("class")
    box(page, "f").click()
    settle(page)
    assert page.locator("#file-body .row.selected code").all_text_contents() == [lines[16]]


def test_a_subgraph_points_at_its_definition_too(report: Report, open_page: Open) -> None:
    """A value that a subgraph makes is marked where it is used and where it is defined."""
    page = open_page(report(GRAPHS / "decay.yaml", "--steps", "2"))
    page.locator('#parameters tr[data-name="decay.rate"] .link').click()
    settle(page)
    marked = page.locator("#file-body .row.selected code").all_text_contents()
    assert [line.split(":")[0].strip() for line in marked] == ["parameters", "decay"]


@pytest.mark.parametrize("name", ["digits", "misra1a", "formula", "softmax"])
def test_other_graphs_open(name: str, report: Report, open_page: Open) -> None:
    """Data sets, solvers and arrays."""
    page = open_page(report(GRAPHS / f"{name}.yaml", "--steps", "4"))
    result = graphrun.load(GRAPHS / f"{name}.yaml").run(4)
    press(page, "End")
    assert page.locator("#drawing .box").count() > 3
    if result.objective is not None:
        chart = page.locator(f'.chart[data-name="{result.objective.name}"] .readout').text_content()
        assert number(chart) == pytest.approx(result.objective.value, rel=1e-5)
    if name == "digits":
        weights = result.parameters["first.W"]
        cell = page.locator('#values tr[data-name="first.W"] td').nth(2).text_content()
        assert cell.startswith("64×128: ")
        found = [number(text) for text in NUMBER.findall(cell.partition(": ")[2])]
        assert found == pytest.approx([weights.min(), weights.max(), np.linalg.norm(weights)], rel=1e-3)


def test_a_failed_run_still_has_a_page(report: Report, open_page: Open, tmp_path: Path) -> None:
    """What is not finite is said at the top and seen in the boxes; the status is 1."""
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {x: 0}\nnodes: {f: log(x)}\nmaximize: f\nsteps: 3\n", encoding="utf-8")
    page = open_page(report(file, status=1))
    assert "the value of node 'f' (type log) is -inf" in page.locator("#failure").text_content()
    assert value_in(page, "f") == -np.inf


@pytest.mark.parametrize("name", ["nested", "digits", "decay"])
def test_a_telephone_has_one_column(name: str, report: Report, open_page: Open) -> None:
    """At 390 pixels nothing makes the page wider than the screen, and the controls can be pressed."""
    arguments = ("--steps", "4") if name == "digits" else ()
    page = open_page(report(GRAPHS / f"{name}.yaml", *arguments), 390, 844, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("#to-forward").tap()
    page.locator("#moment-on").tap()
    settle(page)
    assert story(page)[0].startswith("Forward pass, 1 of")
    lefts = page.locator("main section:visible, main aside").evaluate_all("(all) => all.map((one) => one.offsetLeft)")
    assert len(set(lefts)) == 1


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (element) => {
    const shape = element.closest(".box")?.querySelector(".shape");
    if (shape) return parse(getComputedStyle(shape).fill);
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    if (element.closest("script, style, :disabled")) continue;
    const style = getComputedStyle(element);
    const front = light(parse(element.closest("svg") ? style.fill : style.color)), back = light(behind(element));
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) low.push(`${walker.currentNode.textContent} ${contrast.toFixed(2)}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(scheme: str, report: Report, open_page: Open) -> None:
    """In light and dark, in each pass, all text has a contrast of 4.5 to 1 to what is behind it."""
    page = open_page(report(NESTED), color_scheme=scheme, reduced_motion="reduce")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.locator("#help-button").click()
    for keys in ("f", "fn", "b", "bn", "u"):
        press(page, *keys)
        assert page.evaluate(CONTRAST) == []
    page.locator("#theme").click()
    other = {"light": "dark", "dark": "light"}[scheme]
    assert page.evaluate("document.documentElement.dataset.theme") == other
    assert page.evaluate(CONTRAST) == []


def test_nothing_moves_where_that_is_unwanted(report: Report, open_page: Open) -> None:
    """With reduced motion no line is animated."""
    page = open_page(report(NESTED), reduced_motion="reduce")
    press(page, "f", "n")
    assert page.locator(".line.forward path").first.evaluate("(line) => getComputedStyle(line).animationName") == "none"


def test_what_edges_carry_is_told_as_an_explanation_tells_it(report: Report, open_page: Open) -> None:
    """Formulas of local derivatives, and a sum in the order of the backward pass, with its signs."""
    page = open_page(report(GRAPHS / "rosenbrock.yaml", "--steps", "1"))
    press(page, "b", *"nnnnnnn")
    assert [line.replace("\u202f", "") for line in story(page)[1]] == [
        "df/dx gets df/drest · (−1) = 4.4 · (−1) = −4.4",
        "df/dx = −211.2 − 4.4 = −215.6",
    ]


def test_steps_with_other_rows_are_not_compared(report: Report, open_page: Open) -> None:
    """Where each step has other rows, nothing is said to rise or fall."""
    page = open_page(report(GRAPHS / "digits.yaml", "--steps", "2"))
    press(page, "u")
    assert story(page)[0].startswith("Update by adamw: the next step, with other rows, has loss = ")


def test_charts_fit_on_paper(report: Report, open_page: Open) -> None:
    """On paper, which is narrower than the window, the last step of a chart is there too."""
    page = open_page(report(GRAPHS / "nested.yaml"))
    page.locator("#charts .plot svg").first.wait_for()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 650, "height": 900})
    for chart in page.locator("#charts .chart").all():
        frame = chart.bounding_box()
        lines = chart.locator(".lines").bounding_box()
        assert lines["x"] + lines["width"] <= frame["x"] + frame["width"]
