"""What pages of `graphrun watch` show while files are saved: a process of its own, and Chromium."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lesson import NESTED

Watch = Callable[..., Any]
Save = Callable[..., None]
Open = Callable[..., Any]

PLACE = """() => {
  const byId = (id) => document.getElementById(id), focus = document.activeElement;
  const texts = ["step-text", "story-title", "details-title"].map((id) => byId(id).textContent);
  return [...texts, document.documentElement.dataset.theme, byId("log").checked, byId("help").hidden,
    byId("pace").value, focus.dataset.name ?? focus.id, window.scrollY];
}"""


@pytest.fixture
def open_address(browser: Any) -> Iterator[Open]:
    """Return what opens an address in a window of its own; nothing may go wrong in any of them."""
    troubles: list[str] = []
    contexts = []

    def open_address(address: str) -> Any:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith(address) or troubles.append(request.url))
        page.goto(address)
        page.wait_for_selector("html[data-theme]")
        return page

    yield open_address
    for context in contexts:
        context.close()
    assert troubles == []


def wait_for(page: Any, text: str, place: str = "#file-body") -> None:
    """Wait until a part of the page has a text."""
    seen = "([place, text]) => document.querySelector(place)?.textContent.includes(text)"
    page.wait_for_function(seen, arg=[place, text], polling=5)


def wait_for_place(page: Any, place: list[Any]) -> None:
    """Wait until a page is where it was; a run that is made anew reaches its step only by and by."""
    page.wait_for_function(f"(wanted) => JSON.stringify(({PLACE})()) === JSON.stringify(wanted)", arg=place, polling=20)


def value_in(page: Any, name: str) -> str:
    """Return the value in a box."""
    return str(page.locator(f'#drawing .box[data-name="{name}"] text').nth(1).text_content())


def test_an_edit_is_seen_and_the_page_keeps_its_place(watch: Watch, save: Save, open_address: Open) -> None:
    """In two windows, each of them elsewhere in the run; also where the graph is another, and the page drawn anew."""
    save(NESTED)
    watched = watch("g.yaml", "--steps", "10")
    pages = [open_address(watched.address) for _ in range(2)]
    first, second = pages
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "b", "n"):
        first.keyboard.press(key)
    for press in ("#theme", "#help-button", "#log"):
        first.locator(press).click()
    first.locator("#pace").select_option("steps")
    first.locator('#drawing .box[data-name="d"]').click()
    first.evaluate("window.scrollTo(0, 200)")
    second.keyboard.press("End")
    second.keyboard.press("f")
    before = [page.evaluate(PLACE) for page in pages]
    assert before[0] == ["3 of 10", "Backward pass, 1 of 2, through f", "d", "dark", True, False, "steps", "d", 200]
    assert before[1][0] == "10 of 10"
    for number in range(10, 13):
        save(NESTED.replace("a: 5", f"a: {number}"))
        for page in pages:
            wait_for(page, f"a: {number}")
            wait_for_place(page, before[pages.index(page)])
    second.keyboard.press("Home")
    second.keyboard.press("u")
    second.wait_for_function("() => document.getElementById('step-text').textContent === '0 of 10'")
    assert value_in(second, "f") == "\N{MINUS SIGN}18"
    assert value_in(second, "a") == "12"
    second.keyboard.press("End")
    second.keyboard.press("f")
    save(NESTED.replace("multiply, inputs: [d, c]", "subtract, inputs: [d, c]"))
    for page in pages:
        wait_for(page, "subtract", "#values-body")
        wait_for_place(page, before[pages.index(page)])


def test_what_was_changed_in_the_page_is_kept(watch: Watch, save: Save, open_address: Open) -> None:
    """Numbers that were set there stay set, and are computed with what the file has become."""
    save(NESTED)
    page = open_address(watch("g.yaml", "--steps", "10").address)
    page.evaluate("graphrun.set('a', 20)")
    assert page.evaluate("graphrun.values().f") == -34
    save(NESTED.replace("c: -2", "c: -3"))
    wait_for(page, "c: -3")
    page.wait_for_function("() => window.graphrun?.values().f === -51")


def test_a_broken_file_is_told_in_place_and_mended(watch: Watch, save: Save, open_address: Open) -> None:
    """File, line, column and what was meant; what was shown before can still be used."""
    save(NESTED)
    watched = watch("g.yaml", "--steps", "10")
    page = open_address(watched.address)
    assert page.locator("#news").is_hidden()
    save(NESTED.replace("type: add", "type: addd"))
    wait_for(page, "did you mean 'add'?", "#news")
    assert page.locator("#news").text_content().startswith("g.yaml:3:13: ")
    assert page.locator("#news").is_visible()
    page.keyboard.press("ArrowRight")
    wait_for(page, "1 of 10", "#step-text")
    other = open_address(watched.address)
    wait_for(other, "g.yaml:3:13: ", "#news")
    assert value_in(other, "d") == "2"
    save(NESTED.replace("a: 5", "a: 8"))
    for one in (page, other):
        wait_for(one, "a: 8")
        one.wait_for_selector("#news", state="hidden")
    assert page.locator("#step-text").text_content() == "1 of 10"


def test_a_file_that_is_wrong_from_the_start(watch: Watch, save: Save, open_address: Open) -> None:
    """The page has the message alone, and the graph as soon as it is mended."""
    save("nodes: {f: g}\n")
    page = open_address(watch("g.yaml").address)
    wait_for(page, "g.yaml:1:12: ", "#news")
    save(NESTED)
    wait_for(page, "multiply", "#values-body")
    page.wait_for_selector("#news", state="hidden")


def test_a_run_that_is_long_grows_in_the_page(watch: Watch, save: Save, open_address: Open) -> None:
    """Steps, charts and values of what is made; whoever looks at the last row follows it, else stays there."""
    save("parameters: {a: 1, b: 2}\nnodes: {f: (a - b) ** 2}\nminimize: f\nupdate: {step_size: 1e-9}\nsteps: 1e12\n")
    page = open_address(watch("g.yaml", "--engine", "numpy").address)
    page.wait_for_selector("#charts .chart", state="visible")
    wait_for(page, "running, 1,000,000,000,000 steps in all", "#summary")
    steps = "() => Number(document.getElementById('step-text').textContent.split(' of ')[%d].replaceAll(',', ''))"
    assert page.evaluate(steps % 0) == 0
    most = page.evaluate(steps % 1)
    page.wait_for_function(f"(most) => ({steps % 1})() > most", arg=most)
    assert page.evaluate(steps % 0) == 0
    page.keyboard.press("End")
    page.wait_for_function(f"() => ({steps % 0})() > 0")
    at = page.evaluate(steps % 0)
    page.wait_for_function(f"(at) => ({steps % 0})() > at", arg=at)
    # A run that is made anew has not come to the step of before when the page is shown; rows of long runs are thinned.
    page.keyboard.press("ArrowLeft")
    save("parameters: {a: 3, b: 2}\nnodes: {f: (a - b) ** 2}\nminimize: f\nupdate: {step_size: 1e-9}\nsteps: 1e12\n")
    wait_for(page, "a: 3")
    page.wait_for_function(f"(at) => ({steps % 0})() > 0")
    save("parameters: {a: 1, b: 2}\nnodes: {f: (a - b) ** 2}\nminimize: f\nupdate: {step_size: 1e-9}\nsteps: 4\n")
    wait_for(page, "4 steps · stopped: steps", "#summary")
    assert page.evaluate(steps % 1) == 4


def test_the_end_is_told(watch: Watch, save: Save, browser: Any) -> None:
    """After Ctrl-C the page says that nobody answers, and stays."""
    save(NESTED)
    watched = watch("g.yaml")
    page = browser.new_page()
    page.goto(watched.address)
    wait_for(page, "multiply", "#values-body")
    assert watched.end()[0] == 130
    wait_for(page, "does not answer", "#news")
    assert value_in(page, "d") == "2"
    page.close()


def test_the_browser_is_opened_at_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Save, watched_process: Callable[..., Any]
) -> None:
    """The one that the system names, unless it is told not to be."""
    monkeypatch.chdir(tmp_path)
    save(NESTED)
    Path("browser.py").write_text(
        "import sys, pathlib\npathlib.Path('opened.new').write_text(sys.argv[1])\n"
        "pathlib.Path('opened.new').rename('opened')\n"
    )
    watched = watched_process("g.yaml", BROWSER=f"{sys.executable} {tmp_path / 'browser.py'} %s")
    end = time.monotonic() + 20
    while not Path("opened").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert Path("opened").read_text() == watched.address
