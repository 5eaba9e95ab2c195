"""What can be taken away: pictures, the passes as an animation, links, worksheets."""

# ruff: noqa: RUF001 (the page writes its numbers with minus signs)

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lesson import GRAPHS

import graphrun

Report = Callable[..., Path]
Open = Callable[..., Any]
ROSENBROCK = GRAPHS / "rosenbrock.yaml"
SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {"svg", "title", "g", "rect", "path", "line", "circle", "text", "animate"}


def settle(page: Any) -> None:
    """Wait until what was done is shown."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def taken(page: Any, button: str, tmp_path: Path) -> Path:
    """Press a button that saves a file, and return the file."""
    with page.expect_download(timeout=30_000) as download:
        page.locator(button).click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    return file


def at(page: Any, link: str) -> Any:
    """Open a link to the same page."""
    page.goto(f"{page.url.partition('#')[0]}#{link}")
    page.wait_for_selector("html[data-theme]")
    settle(page)
    return page


def test_pictures(report: Report, open_page: Open, tmp_path: Path) -> None:
    """An SVG stands alone: all texts, no style of the page, nothing to run or load, its size in millimetres."""
    page = open_page(report(ROSENBROCK, "--steps", "5"))
    page.locator("#taking-button").click()
    page.locator("#take-width").select_option("85")
    file = taken(page, "#take-svg", tmp_path)
    assert file.name == "rosenbrock-step0.svg"
    root = ET.parse(file).getroot()  # noqa: S314 (our own)
    assert root.get("width") == "85mm"
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= ALLOWED
    names = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in names if name.startswith("on") or name in {"class", "style", "href", "id"}}
    assert "var(" not in file.read_text(encoding="utf-8")
    told = "".join(element.text or "" for element in root.iter(f"{SVG}text"))
    for text in page.locator("#drawing .box text").all_text_contents():
        assert "".join(text.split()) in "".join(told.split())
    png = taken(page, "#take-png", tmp_path).read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20], "big") == round(85 / 25.4 * 300)
    page.locator("#take-what").select_option("0")
    chart = ET.parse(taken(page, "#take-svg", tmp_path)).getroot()  # noqa: S314 (our own)
    assert len(list(chart.iter(f"{SVG}circle"))) == 6


def test_a_picture_is_what_is_shown(report: Report, open_page: Open, tmp_path: Path, browser: Any) -> None:
    """The saved SVG and the saved PNG look like the drawing: hardly a pixel is another."""
    image = pytest.importorskip("PIL.Image")
    numpy = pytest.importorskip("numpy")
    page = open_page(report(GRAPHS / "nested.yaml"), device_scale_factor=2, reduced_motion="reduce")
    page.locator("#taking-button").click()
    svg, png = taken(page, "#take-svg", tmp_path), taken(page, "#take-png", tmp_path)
    size = page.locator("#drawing svg").evaluate("(svg) => svg.getAttribute('viewBox').split(' ').map(Number)")
    page.locator("#drawing").evaluate(
        """(host) => Object.assign(host.style, { position: "fixed", left: 0, top: 0, maxHeight: "none", zIndex: 9 })"""
    )
    settle(page)
    page.locator("#drawing").evaluate(
        """({ style, firstChild }, [width, height]) => {
            style.background = "white";
            firstChild.setAttribute("width", width);
            firstChild.setAttribute("height", height);
        }""",
        size[2:],
    )
    area = {"x": 0, "y": 0, "width": size[2], "height": size[3]}
    page.screenshot(path=tmp_path / "shown.png", clip=area)
    context = browser.new_context(device_scale_factor=2)
    saved = context.new_page()
    saved.goto(svg.as_uri())
    saved.screenshot(path=tmp_path / "saved.png", clip=area)
    context.close()
    shown = numpy.asarray(image.open(tmp_path / "shown.png").convert("L"), dtype=float)
    for other in (tmp_path / "saved.png", png):
        found = numpy.asarray(image.open(other).convert("L").resize(shown.shape[::-1]), dtype=float)
        assert numpy.mean(numpy.abs(found - shown) > 90) < 0.004


def test_the_passes_as_an_animation(report: Report, open_page: Open, tmp_path: Path) -> None:
    """One file has a frame for each moment, one after the other, with what is told of it."""
    page = open_page(report(GRAPHS / "nested.yaml"))
    page.locator("#taking-button").click()
    moments = int(page.locator("#moment").get_attribute("max")) + 1
    root = ET.parse(taken(page, "#take-passes", tmp_path)).getroot()  # noqa: S314 (our own)
    frames = [element for element in root if element.tag == f"{SVG}g"]
    assert len(frames) == len(list(root.iter(f"{SVG}animate"))) == moments
    titles = [next(frame.iter(f"{SVG}text")).text for frame in frames]
    assert titles[0] == "The leaves have their values"
    assert titles[-1].startswith("Update by sgd")
    assert page.locator("#story-title").text_content().startswith("Backward pass, 2 of 2")


def test_a_link_opens_what_was_set_up(report: Report, open_page: Open) -> None:
    """Step, place, selection, theme, zoom and open frames are in the link, as one can read."""
    file = report(GRAPHS / "decay.yaml", "--steps", "5")
    page = open_page(file, width=1000)
    page.locator("#step").fill("3")
    page.locator("#moment").fill("7")
    page.locator("#theme").click()
    page.locator('.folder[aria-label="Fold loss"]').dispatch_event("click")
    page.locator("#larger").click()
    page.locator("#taking-button").click()
    link = page.locator("#link").input_value()
    assert {"step=3", "moment=7", "theme=dark", "open=decay"} <= set(link.partition("#")[2].split("&"))
    state = """() => [document.documentElement.dataset.theme, document.getElementById("moment").value,
        document.querySelector("#drawing svg").getAttribute("width").slice(0, 3),
        ...["step-text", "details-title"].map((id) => document.getElementById(id).textContent),
        document.querySelectorAll("#drawing .box").length]"""
    before = page.evaluate(state)
    again = open_page(file, width=1000)
    at(again, link.partition("#")[2])
    assert again.evaluate(state) == before


def test_a_link_has_what_was_changed(report: Report, open_page: Open) -> None:
    """Leaves and the rule are set again where they were, and the steps are made: every number is the same."""
    file = report(GRAPHS / "nested.yaml")
    page = open_page(file)
    for call in ("set('a', 7)", "rule('adam', {step_size: 0.05})", "step(4)", "set('b', 1.5)", "step(3)"):
        page.evaluate(f"graphrun.{call}")
    page.locator("#taking-button").click()
    link = page.locator("#link").input_value().partition("#")[2]
    assert "rule=adam&rule.step_size=0.05&set.a=7&set.b@4=1.5&until=10" in link
    facts = "[graphrun.now, graphrun.values(), graphrun.gradients(), graphrun.changes]"
    again = at(open_page(file), link)
    again.wait_for_function(f"graphrun.now === {page.evaluate('graphrun.now')}")
    assert again.evaluate(facts) == page.evaluate(facts)
    at(again, "set.b=1.5&set.nothing=2&set.a=true&rule=none&step=2")
    assert again.evaluate("graphrun.values().b") == pytest.approx(1.5 - 2 * 0.01 * 2, rel=0.1)
    told = again.locator("#taken").text_content()
    assert told == "Of the link this does not apply here: rule, set.nothing, set.a."


def test_links_are_not_trusted(report: Report, open_page: Open) -> None:
    """What is no number, no name or out of range is left out and told; the rest applies."""
    page = open_page(report(GRAPHS / "nested.yaml"))
    wrong = "moment=-1&selected=%3Cimg%20src=x%20onerror=alert(1)%3E&zoom=NaN&open=a&sheet=1e9&theme=pink&nothing=1"
    at(page, f"step=4&{wrong}")
    told = page.locator("#taken").text_content()
    assert told == "Of the link this does not apply here: theme, open, moment, selected, zoom, sheet."
    assert page.locator("#step-text").text_content() == "4 of 10"
    assert page.locator("img").count() == 0
    at(page, "step=__proto__&set.constructor=1&set.a=[[&rule=__proto__&rule.x=1&until=1e99")
    assert page.locator("#step-text").text_content() == "4 of 10"

    at(page, "set.a=5&" * 3000)
    assert page.evaluate("graphrun.values().a") == 5


def test_numbers_at_the_end_of_what_there_is(report: Report, open_page: Open) -> None:
    """A run that a link takes to the largest number has charts that are sound."""
    page = open_page(report(GRAPHS / "nested.yaml"))
    at(page, "set.a=5&until=1000000")
    assert page.evaluate("graphrun.now") > 20000
    page.wait_for_timeout(200)


# Worksheets ----------------------------------------------------------------------------------------------------------

SHEET = "step=2&sheet=5&ask=values,derivatives,contributions&count=60"


def labels(page: Any) -> list[str]:
    """Return what is asked."""
    found = page.locator(".question input").evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    return [label.partition(": ")[2].replace("\u202f", "") for label in found]


def answer(page: Any, label: str, text: str) -> str:
    """Answer a question, and return what is told."""
    index = labels(page).index(label)
    page.locator(".question input").nth(index).fill(text)
    page.locator("#sheet-check").click()
    settle(page)
    return str(page.locator(".question [aria-live]").nth(index).text_content())


def expected(step: int) -> dict[str, float]:
    """Return all answers, by what is asked."""
    passes = graphrun.load(ROSENBROCK).passes(step)
    plan = passes.plan
    result = {}
    for slot in range(len(plan.names)):
        name = plan.names[slot]
        if name is None:
            continue
        result[name] = float(passes.values[slot])
        result[f"df/d{name}"] = float(passes.gradients[slot])
    for slot in range(len(plan.leaves), len(plan.names)):
        for edge in passes.edges_into(slot):
            if plan.names[edge.source] is not None:
                result[f"df/d{plan.names[edge.source]} gets from {plan.names[slot]}"] = float(edge.contribution)
    return result


def test_right_answers(report: Report, open_page: Open) -> None:
    """All that `Graph.passes` says is right, to four digits too; by Enter one goes from question to question."""
    page = open_page(report(ROSENBROCK, "--steps", "5"))
    at(page, SHEET)
    right = expected(2)
    asked = [label.partition(" = ")[0] for label in labels(page)]
    assert len(asked) > 20
    page.locator(".question input").first.focus()
    for label in asked:
        page.keyboard.type(f"{right[label]:.4g}")
        page.keyboard.press("Enter")
    settle(page)
    score = page.locator("#sheet-score").text_content()
    assert score == f"{len(asked)} of {len(asked)} right, {len(asked)} at the first try; step 2"


def test_wrong_ways_are_recognized(report: Report, open_page: Open) -> None:
    """A use forgotten, a factor swapped or left out, the sign, a stale value: each is told."""
    page = open_page(report(ROSENBROCK, "--steps", "5"))
    at(page, SHEET)
    now, before = expected(2), expected(1)
    x_squared, rest = now["df/dx gets from x_squared"], now["df/dx gets from rest"]
    for label, wrong, told in [
        ("df/dx", x_squared, "A use is forgotten: that by rest."),
        ("df/dx", rest, "A use is forgotten: that by x_squared."),
        ("df/dx", x_squared - rest, "The sign of what comes by way of rest is the other way round."),
        ("df/dx", -now["df/dx"], "The sign is the other way round."),
        ("df/dx", before["df/dx"], "A stale value: that is the number of step 1, the one before."),
        ("df/drest gets from rest_squared", 2 * now["rest"] * 3, "Not yet."),
        (
            "df/doff gets from off_squared",
            now["df/doff_squared"],
            "That is what comes back to off_squared; it is to be multiplied by the local derivative.",
        ),
        (
            "df/doff gets from off_squared",
            2 * now["off"],
            "That is the local derivative alone; it is to be multiplied by what comes back to off_squared.",
        ),
        ("df/doff gets from off_squared", 100 * now["off"], "A factor is swapped: that multiplies by off itself."),
        ("df/dy", -now["df/dy"], "The sign of what comes by way of off is the other way round."),
    ]:
        assert answer(page, label, f"{wrong:.6g}") == told
    page.locator(".question input").first.fill("many")
    page.locator("#sheet-check").click()
    assert page.locator(".question [aria-live]").first.text_content() == "Write a number, as 0.25, -3 or 2/3."
    assert answer(page, "df/dx", f"{now['df/dx']:.5g}".replace("-", "−")) == "Right."
    assert page.locator("#sheet-score").text_content().startswith("1 of ")
    assert "at the first try" in page.locator("#sheet-score").text_content()


def test_a_link_hands_out_the_same_sheet(report: Report, open_page: Open) -> None:
    """The seed and the choice are in the link; no number that is asked for is anywhere on the page, or in its tree."""
    file = report(ROSENBROCK, "--steps", "5")
    page = open_page(file)
    page.locator("#taking-button").click()
    page.locator("#sheet-button").click()
    page.locator("#sheet-next").click()
    page.locator("#taking-button").click()
    link = page.locator("#link").input_value().partition("#")[2]
    assert "sheet=2" in link.split("&")
    first = labels(page)
    again = open_page(file)
    assert labels(at(again, link)) == first
    assert len(first) == 6
    right = expected(0)
    spoken = again.evaluate(
        """() => document.body.innerText + [...document.querySelectorAll("#drawing [aria-label], [aria-valuetext]")]
            .map((one) => one.getAttribute("aria-label") + one.getAttribute("aria-valuetext")).join()"""
    ).replace("−", "-")
    for label in first:
        number = right[label.partition(" = ")[0]]
        if list(right.values()).count(number) == 1:
            assert not re.search(rf"(?<![\d.]){re.escape(f'{number:.5g}')}(?![\d.])", spoken), label


def test_worksheets_on_paper(report: Report, open_page: Open) -> None:
    """Blank, it has no answers; filled, all of them; on the screen it is as before."""
    page = open_page(report(ROSENBROCK, "--steps", "5"))
    at(page, "step=1&sheet=3&ask=derivatives&count=4")
    page.evaluate(
        """() => { window.print = () => { window.printed = [...document.querySelectorAll(".question input")]
            .map((one) => one.value).join() + document.getElementById("drawing").textContent; }; }"""
    )
    answer(page, labels(page)[0], "17")
    page.locator("#sheet-blank").click()
    blank = page.evaluate("printed")
    assert blank.startswith(",,,")
    assert blank.count("grad ?") == 4
    page.locator("#sheet-filled").click()
    filled = page.evaluate("printed").replace("−", "-")
    assert "?" not in filled
    for label, given in zip(labels(page), filled.split(",")[:4], strict=False):
        assert float(re.match(r"-?[\d.]+", given)[0]) == pytest.approx(expected(1)[label], rel=1e-5)
    assert page.locator(".question input").first.input_value() == "17"
    page.locator("#sheet-end").click()
    settle(page)
    assert page.locator("#details").is_visible()


def test_only_what_is_seen_is_asked(report: Report, open_page: Open) -> None:
    """Nothing is asked that takes a number within a folded box; opened, it is."""
    page = open_page(report(GRAPHS / "decay.yaml", "--steps", "3", "--depth", "1"))
    at(page, "sheet=1&ask=values,derivatives&count=60")
    # The expression of the loss is open, the copies of the step are not.
    assert labels(page) == ["loss.1 = decay − 0.5", "loss = loss.1 ** 2", "dloss/dloss.1", "dloss/ddecay"]
    page.locator('.folder[aria-label="Open decay.3"]').dispatch_event("click")
    page.locator("#sheet-next").click()
    assert "decay.3.next.2 = decay.3.next.1 · decay.2" in labels(page)


def write(tmp_path: Path, text: str) -> Path:
    """Return a file with a graph."""
    file = tmp_path / "graph.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_no_moment_tells_an_answer(report: Report, open_page: Open) -> None:
    """Where a parameter goes tells its derivative, so it is blank as long as that is asked for."""
    page = open_page(report(GRAPHS / "nested.yaml"))
    page.evaluate("graphrun.step(1)")
    at(page, "sheet=1&ask=derivatives&count=60")
    page.keyboard.press("u")
    settle(page)
    texts = {name: page.locator(f'.box[data-name="{name}"]').text_content() for name in "abc"}
    assert all(text.endswith("→ ?") for text in texts.values()), texts
    page.locator("#sheet-show").click()
    settle(page)
    assert "?" not in page.locator('.box[data-name="a"]').text_content()


def test_a_large_drawing_tells_no_old_number(report: Report, open_page: Open, tmp_path: Path) -> None:
    """What a box of a large drawing was said to have is not kept when another is chosen."""
    nodes = "".join(f"  n{k}: sin({f'n{k - 1}' if k else 'a'})\n" for k in range(120))
    page = open_page(report(write(tmp_path, f"parameters: {{a: 1}}\nnodes:\n{nodes}minimize: n119\nsteps: 1\n")))
    at(page, "selected=n3")
    label = page.locator('.box[data-name="n3"]')
    assert "value" in label.get_attribute("aria-label")
    at(page, "selected=n4&sheet=1&ask=values&count=60")
    assert label.get_attribute("aria-label") == "n3"


def test_what_is_not_finite_is_not_asked(report: Report, open_page: Open, tmp_path: Path) -> None:
    """There is no number that would be right."""
    file = write(tmp_path, "parameters: {a: -1, b: 2}\nnodes: {d: log(a), f: d * b}\nminimize: f\nsteps: 1\n")
    page = open_page(report(file, status=1))
    at(page, "sheet=1&ask=values,derivatives,contributions&count=60")
    assert labels(page) == ["df/dd", "df/da", "df/dd gets from f", "df/da gets from d"]


WAYS = ["12,500", "12500", "12,500.0", "1.25e4", "1.25 × 10^4", "1,25*10^4", "25000/2", "+12500."]


def test_ways_to_write_a_number(report: Report, open_page: Open, tmp_path: Path) -> None:
    """Thousands may be parted, and powers of ten written out."""
    page = open_page(report(write(tmp_path, "parameters: {a: 125}\nnodes: {f: a * 100}\nminimize: f\nsteps: 1\n")))
    for text in WAYS:
        at(page, "")
        at(page, "sheet=1&ask=values&count=9")
        assert answer(page, labels(page)[0], text) == "Right.", text
