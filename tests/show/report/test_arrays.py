"""What is seen of arrays and of small networks in the page: its numbers are those of NumPy."""

# ruff: noqa: RUF001 (the page writes its numbers with minus signs)

from __future__ import annotations

import csv
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

CLASSES = """
parameters: {W: {shape: [2, 6], init: {type: he_normal}}, b: {shape: [6], init: {type: zeros}},
  V: {shape: [6, 3], init: {type: he_normal}}}
constants: {x: [[0, 0.5], [1, 0.2], [0.3, 2], [1.5, 1.2], [2, 0]], k: [0, 1, 2, 1, 0]}
nodes: {h: tanh(x @ W + b), logits: h @ V, loss: "cross_entropy(logits, k)"}
minimize: loss
update: {type: adam, step_size: 0.05}
steps: 3
"""

CURVE = """
parameters: {base: 0.5, slope: 0.3, bend: 1}
constants: {x: [-1, 0, 0.5, 1, 2.5], y: [1, 0.2, 0, 0.7, 6]}
nodes: {f: base + slope * x + bend * x ** 2, residual: f - y, loss: mean(residual ** 2)}
minimize: loss
update: {type: sgd, step_size: 0.01}
steps: 3
"""

TILES = """
parameters: {K: {shape: [3, 2, 2, 4], init: {type: normal}}}
constants: {c: 0.5}
nodes: {f: sum(K * K * K * c)}
minimize: f
steps: 2
"""

PICTURES = """
data: {file: rows.csv, columns: {pixels: ["p*"], digit: digit}, batch_size: 6}
parameters: {W: {shape: [16, 3], init: {type: normal}}}
nodes: {logits: pixels @ W, loss: "cross_entropy(logits, digit)"}
minimize: loss
update: {type: sgd, step_size: 0.1}
steps: 2
"""

PIXELS = """(id) => {
  const canvas = document.querySelector(id);
  const { width, height } = canvas;
  return [width, height, [...canvas.getContext("2d").getImageData(0, 0, width, height).data]];
}"""


def written(folder: Path, text: str) -> Path:
    """Return the file of a graph."""
    file = folder / "graph.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def until(page: Any, condition: str) -> Any:
    """Wait for what a condition is, and return it; the page's policy keeps Playwright from watching it there."""
    for _ in range(600):
        if found := page.evaluate(condition):
            return found
        page.wait_for_timeout(100)
    return pytest.fail(condition)


def to(page: Any, section: str) -> None:
    """Go where a section is seen; only there it is drawn."""
    page.locator(f"#{section}").evaluate("(one) => one.scrollIntoView({ block: 'center' })")
    page.wait_for_timeout(300)


def settle(page: Any) -> None:
    """Wait until what was done is shown."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def told(text: str) -> list[float]:
    """Return the numbers of the line about an element."""
    return [float(number.replace("−", "-")) for number in re.findall(r"(?:value|gradient) (\S+?)(?:,|$)", text)]


def test_elements_are_those_of_the_array(tmp_path: Path, report: Report, open_page: Open) -> None:
    """Each element of an array of four axes has its place, its number and gradient, and the colour of its sign."""
    file = written(tmp_path, TILES)
    page = open_page(report(file))
    to(page, "arrays")
    result = graphrun.load(file).run(0, dtype="float64")
    kernel, slope = np.asarray(result.parameters["K"]), np.asarray(result.gradients["K"])
    canvas = page.locator("#arrays canvas[tabindex]").first
    canvas.focus()
    # Two tiles beside each other for each of three, with a gap between them.
    for keys, index in [([], (0, 0, 0, 0)), (["ArrowRight"] * 4, (0, 1, 0, 0)), (["ArrowDown"] * 3, (1, 1, 1, 0))]:
        for key in keys:
            canvas.press(key)
        text = page.locator("#cell-text").text_content()
        assert text.startswith(f"K[{','.join(map(str, index))}]: ")
        assert told(text) == pytest.approx([kernel[index], slope[index]], rel=1e-5)
    wide, high, data = page.evaluate(PIXELS, "#arrays canvas[tabindex]")
    assert (wide, high) == (2 * 4 + 1, 3 * 2 + 2)
    pixels = np.array(data).reshape(high, wide, 4)
    for index, x in np.ndenumerate(kernel):
        red, _, blue, alpha = pixels[index[0] * 3 + index[2], index[1] * 5 + index[3]]
        assert alpha == 255
        assert np.sign(int(blue) - int(red)) == np.sign(x) or abs(x) < 0.02 * np.abs(kernel).max()
    assert not pixels[:, 4, 3].any()
    # A pressed element is the one that the details let be typed.
    canvas.press("Enter")
    settle(page)
    assert page.locator('[data-field$=" index"]').input_value() == "1,1,1,0"


def test_what_is_not_reached_is_not_told(tmp_path: Path, report: Report, open_page: Open) -> None:
    """In the forward pass there are no gradients yet."""
    page = open_page(report(written(tmp_path, TILES)))
    to(page, "arrays")
    page.keyboard.press("f")
    settle(page)
    assert page.locator("#arrays .heat").nth(1).locator("p").text_content() == "Not reached yet."


def test_spreads_are_histograms(tmp_path: Path, report: Report, open_page: Open) -> None:
    """Each row's bins are those of NumPy, of the page's own steps and of those that it makes again."""
    file = written(tmp_path, TILES)
    page = open_page(report(file))
    to(page, "spread")
    page.locator("#spread-run").click()
    until(page, "graphrun.spread('K').length")
    graph = graphrun.load(file)
    for step in (0, 2, 4):
        page.evaluate("(step) => step > graphrun.now ? graphrun.step(step - graphrun.now) : 0", step)
        result = graph.run(step, dtype="float64")
        for found, array in zip(
            page.evaluate("graphrun.spread('K')"), (result.parameters["K"], result.gradients["K"]), strict=True
        ):
            counts, edges = np.histogram(np.asarray(array), bins=32)
            assert found["counts"] == counts.tolist()
            assert (found["low"], found["high"]) == pytest.approx((edges[0], edges[-1]), rel=1e-12)
    assert page.locator("#spread .spread canvas").count() == 2


def test_depth_has_the_norms(tmp_path: Path, report: Report, open_page: Open) -> None:
    """From one to the next by keys: the norms of the gradients, the deeper the later."""
    file = written(tmp_path, CLASSES)
    page = open_page(report(file))
    to(page, "depth")
    result = graphrun.load(file).run(0, dtype="float64")
    page.locator("#depth-canvas").focus()
    page.keyboard.press("ArrowLeft")
    depths, names = [], set()
    for _ in range(12):
        line = page.locator("#depth-text").text_content()
        name, depth, norm = re.fullmatch(r"(.+), at depth (\d+): the norm of its gradient is (.+)", line).groups()
        depths.append(int(depth))
        names.add(name)
        if name in result.gradients:
            assert float(norm) == pytest.approx(np.linalg.norm(result.gradients[name]), rel=1e-3)
        page.keyboard.press("ArrowRight")
    assert depths == sorted(depths)
    assert {"W", "b", "V", "loss"} <= names


def test_map_is_that_of_the_network(tmp_path: Path, report: Report, open_page: Open, soon: Any) -> None:
    """The answers over two inputs are those of NumPy with the page's parameters, also after steps of its own."""
    page = open_page(report(written(tmp_path, CLASSES)))
    to(page, "seen")

    def check() -> None:
        found = until(page, "graphrun.map()")
        values = {name: np.asarray(value) for name, value in page.evaluate("graphrun.values()").items()}
        places = np.asarray(found["places"])
        expected = np.tanh(places @ values["W"] + values["b"]) @ values["V"]
        np.testing.assert_allclose(found["answers"], expected, rtol=1e-12, atol=1e-12)
        assert places.min(axis=0) == pytest.approx([-0.3, -0.3])
        right = int(np.sum(np.argmax(values["logits"], axis=1) == [0, 1, 2, 1, 0]))
        assert page.locator("#rows-note").text_content().startswith(f"{right} of 5 are right.")

    for steps in (0, 20):
        page.evaluate("(steps) => graphrun.step(steps)", steps)
        soon(check)


def test_curve_is_the_fitted_one(tmp_path: Path, report: Report, open_page: Open) -> None:
    """Over one input the answer is a curve, of the node that meets the data or of another that is chosen."""
    page = open_page(report(written(tmp_path, CURVE)))
    to(page, "seen")
    found = until(page, "graphrun.map()")
    values = page.evaluate("graphrun.values()")
    places = np.asarray(found["places"])[:, 0]
    expected = values["base"] + values["slope"] * places + values["bend"] * places**2
    np.testing.assert_allclose(np.ravel(found["answers"]), expected, rtol=1e-12, atol=1e-12)
    assert page.locator("#seen-answer option:checked").text_content() == "f"
    page.locator("#seen-canvas").focus()
    page.keyboard.press("ArrowRight")
    assert re.search(r"At x = \S+ f is \S+\.", page.locator("#seen-text").text_content())


def test_rows_of_a_step_are_told(tmp_path: Path, report: Report, open_page: Open, soon: Any) -> None:
    """Beside each picture stand its label and the answer, of the rows that this step is given."""
    rng = np.random.default_rng(3)
    rows, labels = rng.integers(0, 17, (12, 16)), rng.integers(0, 3, 12)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*(f"p{k}" for k in range(16)), "digit"], *np.c_[rows, labels].tolist()])
    file = written(tmp_path, PICTURES)
    page = open_page(report(file))
    to(page, "seen")
    graph = graphrun.load(file)
    for step in (0, 1, 3):
        page.evaluate("(step) => step > graphrun.now ? graphrun.step(step - graphrun.now) : 0", step)
        answers = np.argmax(np.asarray(graph.run(step, dtype="float64").values["logits"]), axis=1)
        at = np.arange(6) + 6 * (step % 2)
        wanted = [f"{label} → {answer}" for label, answer in zip(labels[at], answers, strict=True)]

        def check(wanted: list[str] = wanted) -> None:
            told = page.locator("#rows-body .told").all_text_contents()
            assert [text.removesuffix(" ✗") for text in told] == wanted

        soon(check)
    # The last one's first picture: the more of a pixel, the darker it is.
    _, _, data = page.evaluate(PIXELS, "#rows-body canvas")
    shades = np.array(data).reshape(16, 4)[:, 0]
    assert np.all(np.diff(shades[np.argsort(rows[6], kind="stable")]) <= 0)


@pytest.mark.parametrize("width", [390, pytest.param(768, marks=pytest.mark.slow), 1280])
def test_sections_fit_the_window(width: int, tmp_path: Path, report: Report, open_page: Open) -> None:
    """Nothing is wider than the window, whatever is seen of it."""
    page = open_page(report(written(tmp_path, CLASSES)), width=width, color_scheme="dark", reduced_motion="reduce")
    for name in ("seen", "arrays", "spread", "depth"):
        to(page, name)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_pages_of_numbers_have_none_of_it(report: Report, open_page: Open) -> None:
    """What shows arrays is left out where there are none."""
    page = open_page(report(GRAPHS / "nested.yaml"))
    assert page.locator("#arrays, #spread, #depth, #seen").count() == 0
