"""In the drawing: frames that open and fold, zoom, drag, the small map, and lines that can be pointed at."""

# ruff: noqa: RUF001 (the page writes its numbers with minus signs)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lesson import GRAPHS

import graphrun

Report = Callable[..., Path]
Open = Callable[..., Any]

BROKEN = """() => {
  const found = [];
  const boxes = [...document.querySelectorAll("#drawing .box .shape")].map((one) => one.getBoundingClientRect());
  boxes.forEach((p, k) => boxes.slice(k + 1).forEach((q) => {
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 1) found.push("two boxes overlap");
  }));
  const area = document.querySelector("#drawing svg").getBoundingClientRect();
  const isCut = (p) => p.left < area.left || p.right > area.right || p.bottom > area.bottom;
  if (boxes.some(isCut)) found.push("a box is cut");
  // Every line ends at a box or at another line's end.
  const matrix = document.querySelector("#drawing svg").getScreenCTM().inverse();
  const rects = boxes.map((p) => [p.left, p.top, p.right, p.bottom]
    .map((x, k) => (k % 2 ? x * matrix.d + matrix.f : x * matrix.a + matrix.e)));
  const ends = [...document.querySelectorAll("#drawing .line .near-by")].flatMap((path) => {
    const numbers = path.getAttribute("d").match(/-?[\\d.]+/g).map(Number);
    return [numbers.slice(0, 2), numbers.slice(-2)];
  });
  ends.forEach(([x, y], k) => {
    const isAtBox = rects.some(([l, t, r, b]) => x > l - 3 && x < r + 3 && y > t - 3 && y < b + 3);
    const isAtLine = ends.some(([u, v], other) => other !== k && Math.hypot(u - x, v - y) < 0.5);
    if (!isAtBox && !isAtLine) found.push(`a line ends at nothing: ${x} ${y}`);
  });
  return [...new Set(found)];
}"""


def box(page: Any, name: str) -> Any:
    """Return a value's box in the drawing."""
    return page.locator(f'#drawing .box[data-name="{name}"]')


def settle(page: Any) -> None:
    """Wait until what was done is shown."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def press(page: Any, key: str) -> None:
    """Press a key."""
    page.keyboard.press(key)
    settle(page)


def names(page: Any) -> set[str]:
    """Return what has a box."""
    return set(page.locator("#drawing .box").evaluate_all("(all) => all.map((one) => one.dataset.name)"))


def folder(page: Any, label: str) -> Any:
    """Return what opens or folds a frame."""
    return page.locator(f'.folder[aria-label="{label}"]')


@pytest.mark.parametrize("name", ["decay", "digits", "formula", "convolution"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.campaign
def test_frames_fold_and_open(name: str, width: int, report: Report, open_page: Open) -> None:
    """Whatever is open, no two boxes overlap and no line ends at nothing; opened again, all is as it was drawn."""
    page = open_page(report(GRAPHS / f"{name}.yaml", "--steps", "3"), width=width)
    before = names(page)
    labels = page.locator(".folder").evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    folds = [label for label in labels if label.startswith("Fold")]
    assert folds
    for label in reversed(folds[:6]):
        folder(page, label).dispatch_event("click")
        settle(page)
        assert page.evaluate(BROKEN) == []
    assert len(names(page)) < len(before)
    for label in folds[:6]:
        folder(page, label.replace("Fold", "Open")).dispatch_event("click")
        settle(page)
        assert page.evaluate(BROKEN) == []
    assert names(page) == before


def test_a_folded_graph_opens_frame_by_frame(report: Report, open_page: Open) -> None:
    """What the command folded opens in the page, and its boxes have the run's numbers; by Enter and Backspace too."""
    file = GRAPHS / "decay.yaml"
    page = open_page(report(file, "--steps", "3", "--depth", "0"))
    assert names(page) == {"decay", "loss"}
    assert folder(page, "Open decay").count() == 1
    box(page, "decay").focus()
    press(page, "Enter")
    assert "decay.rate" in names(page)
    assert "decay.3.next.1" not in names(page)
    box(page, "decay.3").focus()
    press(page, "Enter")
    assert {"decay.3.next.1", "decay.3.next.2", "decay.3"} <= names(page)
    assert page.evaluate(BROKEN) == []
    result = graphrun.load(file).run(3)
    press(page, "End")
    shown = box(page, "decay.3.next.2").locator("text").nth(1).text_content()
    assert float(shown) == pytest.approx(result.values["decay.3.next.2"], rel=1e-4)
    box(page, "decay.3.next.2").focus()
    press(page, "Backspace")
    assert "decay.3.next.2" not in names(page)
    assert page.evaluate("document.activeElement.dataset.name") == "decay.3"


def test_zoom_drag_and_map(report: Report, open_page: Open) -> None:
    """Ctrl and the wheel keep what is under the pointer there; the wheel alone scrolls; a drag moves; the map jumps."""
    page = open_page(report(GRAPHS / "decay.yaml", "--steps", "3"), height=1200)
    area = page.locator("#drawing").bounding_box()
    target = box(page, "decay.1.next.2").locator(".shape")
    page.locator("#drawing").evaluate("(host) => host.scrollTo(40, 150)")
    before = target.bounding_box()
    page.mouse.move(before["x"] + 5, before["y"] + 5)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -20)
    page.keyboard.up("Control")
    settle(page)
    after = target.bounding_box()
    assert after["width"] == pytest.approx(before["width"] * 2.718**0.2, rel=0.01)
    assert after["x"] + 5 * 2.718**0.2 == pytest.approx(before["x"] + 5, abs=2)
    assert after["y"] + 5 * 2.718**0.2 == pytest.approx(before["y"] + 5, abs=2)
    place = "(host) => [host.scrollLeft, host.scrollTop]"
    left, top = page.locator("#drawing").evaluate(place)
    page.mouse.move(area["x"] + 300, area["y"] + 300)
    page.mouse.down()
    page.mouse.move(area["x"] + 260, area["y"] + 230, steps=3)
    page.mouse.up()
    assert page.locator("#drawing").evaluate(place) == pytest.approx([left + 40, top + 70], abs=1)
    window = page.locator("#overview .window")
    shown = page.locator("#overview").bounding_box()
    page.mouse.click(shown["x"] + shown["width"] - 3, shown["y"] + shown["height"] - 3)
    settle(page)
    seen = page.locator("#drawing").evaluate(
        "(host) => [host.scrollLeft + host.clientWidth, host.scrollTop + host.clientHeight]"
    )
    whole = page.locator("#drawing").evaluate("(host) => [host.scrollWidth, host.scrollHeight]")
    assert seen == pytest.approx(whole, abs=40)
    assert window.bounding_box()["x"] > shown["x"] + shown["width"] / 4
    page.locator("#fit").click()
    settle(page)
    assert page.locator("#overview").is_hidden()


def test_the_wheel_is_never_trapped(report: Report, open_page: Open) -> None:
    """Over the drawing, even where it has the focus, the wheel scrolls the page."""
    page = open_page(report(GRAPHS / "nested.yaml"), height=500)
    box(page, "f").click()
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 100")


def test_lines_can_be_pointed_at_and_focused(report: Report, open_page: Open) -> None:
    """A line tells where it leads, what goes along it and what comes back; by keyboard Tab comes to the lines."""
    page = open_page(report(GRAPHS / "nested.yaml"))
    line = page.locator('.line[aria-label^="d to f"]')
    line.locator(".near-by").hover(force=True)
    settle(page)
    assert page.locator("#details-title").text_content() == "d → f"
    details = page.locator("#details-body").inner_text()
    for text in ("input 1 of 2", "df/dd = c = −2", "df/dd = c = −2"):
        assert text in details
    page.mouse.move(5, 5)
    settle(page)
    assert page.locator("#details-title").text_content() == "f"
    line.focus()
    settle(page)
    assert page.locator("#details-title").text_content() == "d → f"
    press(page, "ArrowUp")
    assert page.locator("#details-title").text_content() == "b → d"
    assert "−2 · 1 = −2" in page.locator("#details-body").inner_text()
    press(page, "f")
    assert "not reached yet" in page.locator("#details-body").inner_text()
    page.keyboard.press("Tab")
    settle(page)
    assert page.locator("#details-title").text_content() == "f"


def test_two_fingers_enlarge(report: Report, open_page: Open) -> None:
    """Two fingers that move apart enlarge the drawing as much as they do; one scrolls as ever."""
    page = open_page(report(GRAPHS / "decay.yaml", "--steps", "3"), 390, 844, has_touch=True, is_mobile=True)
    pinch = """(host) => {
        const at = (x, k) => new Touch({ identifier: k, target: host, clientX: x, clientY: 400 });
        const fire = (type, ...xs) => host.dispatchEvent(
            new TouchEvent(type, { touches: xs.map(at), cancelable: true, bubbles: true }));
        const width = () => Number(host.firstChild.getAttribute("width"));
        const before = width();
        const first = fire("touchstart", 100) && fire("touchmove", 140);
        fire("touchstart", 100, 200);
        const second = fire("touchmove", 80, 230);
        return [first, second, width() / before];
    }"""
    assert page.locator("#drawing").evaluate(pinch) == [True, False, pytest.approx(1.5)]
