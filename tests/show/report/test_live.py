"""The page that computes: what is edited and trained in it has the numbers of the Python interface."""

# ruff: noqa: RUF001 (the page writes its numbers with minus signs)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from engines.random_graphs import graphs, loaded
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lesson import GRAPHS, each_of

import graphrun

Report = Callable[..., Path]
Open = Callable[..., Any]
NESTED = GRAPHS / "nested.yaml"
LIBRARIES = {"layers"}
HEAVY = {"convolution", "accidents"}

BOUNDED = """
parameters: {a: {value: 2, lower: -1, upper: 2.05}, W: [[1, 2], [3, 0.25]]}
constants: {k: 0.5}
nodes: {s: sum(W * W), f: a * a * k + s}
minimize: f
update: {type: momentum, step_size: 0.01}
steps: 6
"""


@pytest.fixture
def bounded(tmp_path: Path) -> Path:
    """Return a graph file with an array, a constant, bounds and a rule that remembers."""
    file = tmp_path / "bounded.yaml"
    file.write_text(BOUNDED, encoding="utf-8")
    return file


def settle(page: Any) -> None:
    """Wait until what was done is shown."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def until(page: Any, condition: str) -> None:
    """Wait for a condition; the page's policy keeps Playwright from watching it there."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    pytest.fail(condition)


def box(page: Any, name: str) -> Any:
    """Return a value's box in the drawing."""
    return page.locator(f'#drawing .box[data-name="{name}"]')


def numbers(page: Any, what: str = "values") -> dict[str, Any]:
    """Return the page's values or gradients."""
    return dict(page.evaluate(f"graphrun.{what}()"))


def is_same(found: Any, expected: Any, tolerance: float = 1e-12) -> bool:
    """Return whether two values agree, relative to the largest element."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    if found.shape != expected.shape:
        return False
    size = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
    # JSON of the browser has what is not finite too.
    alike = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        return bool(np.all(alike | (np.abs(found - expected) <= tolerance * size + 1e-300)))


def differing(page: Any, result: Any) -> list[str]:
    """Return the names of which the page has other values or gradients than a result."""
    found, slopes = numbers(page), numbers(page, "gradients")
    names = [name for name, value in result.values.items() if not is_same(found[name], value)]
    return names + [f"d {n}" for n, slope in result.gradients.items() if n in slopes and not is_same(slopes[n], slope)]


EXAMPLES = [path for path in sorted(GRAPHS.glob("*.yaml")) if path.stem not in LIBRARIES | HEAVY]


@pytest.mark.parametrize("file", each_of(EXAMPLES))
def test_steps_are_those_of_a_run(file: Path, report: Report, open_page: Open) -> None:
    """From the start, and on from the recorded end, an example's page has the values and gradients of `Graph.run`."""
    page = open_page(report(file, "--steps", "2"))
    graph = graphrun.load(file)
    if page.locator("#live").is_hidden():
        assert "this page only replays" in page.locator("#summary").text_content()
        return
    assert differing(page, graph.run(0, dtype="float64")) == []
    if page.locator("#train").is_hidden() or not page.evaluate("graphrun.trains"):
        return
    for step in (2, 3, 5):
        page.evaluate("(step) => graphrun.step(step - graphrun.now)", step)
        assert differing(page, graph.run(step, dtype="float64")) == [], step


@pytest.mark.campaign
@settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=graphs(shapes=st.sampled_from([(), (), (3,), (2, 3)])), draw=st.data())
def test_random_graphs_with_random_edits(
    data: Any, draw: Any, tmp_path_factory: Any, report: Report, open_page: Open
) -> None:
    """Whatever leaf of a random graph gets another value, both passes are those of the edited file."""
    folder = tmp_path_factory.mktemp("random")
    loaded(data, folder)
    page = open_page(report(folder / "graph.yaml", "--steps", "1"))
    assume(page.locator("#live").is_visible())
    for _ in range(20):
        section = draw.draw(st.sampled_from(["parameters", "constants"]))
        name = draw.draw(st.sampled_from(sorted(data[section])))
        shape = np.shape(data[section][name])
        drawn = draw.draw(st.lists(st.floats(-3, 3), min_size=math.prod(shape), max_size=math.prod(shape)))
        data[section][name] = np.reshape(drawn, shape).tolist()
        page.evaluate("([name, value]) => graphrun.set(name, value)", [name, data[section][name]])
        (folder / "edited.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
        result = graphrun.load(folder / "edited.yaml").try_run(0, engine="numpy")
        if result.error is None:
            assert differing(page, result) == []
    page.context.close()


RULES = [
    ("sgd", {"weight_decay": 0.1}),
    ("momentum", {"dampening": 0.5}),
    ("nesterov", {"momentum": 0.8}),
    ("adam", {}),
    ("adamw", {"step_size": 0.05}),
    ("rmsprop", {"centered": True, "momentum": 0.5}),
]


@pytest.mark.parametrize(("rule", "given_settings"), RULES)
def test_rules_and_settings(
    rule: str, given_settings: Mapping[str, Any], bounded: Path, report: Report, open_page: Open
) -> None:
    """A rule that is chosen in the page makes the steps of the changed file, with bounds and memory."""
    page = open_page(report(bounded))
    page.evaluate("([rule, given]) => { graphrun.rule(rule, given); graphrun.step(5); }", [rule, given_settings])
    text = page.evaluate("graphrun.file")
    changed = bounded.with_name("changed.yaml")
    changed.write_text(text, encoding="utf-8")
    graph = graphrun.load(changed)
    assert yaml.safe_load(text)["update"]["type"] == rule
    assert differing(page, graph.run(5)) == []


@pytest.mark.parametrize("extra", ["clip_norm: 0.7", "clip_value: 0.3", "clip_value: 1.5, clip_norm: 2"])
def test_clipping_and_schedules(extra: str, tmp_path: Path, report: Report, open_page: Open) -> None:
    """Gradients are clipped as the file says, and the file's schedule stays until the step size is touched."""
    file = tmp_path / "g.yaml"
    schedule = "step_size: {type: cosine, start: 0.1, steps: 8}"
    update = f"update: {{type: adam, {schedule}, {extra}}}"
    file.write_text(BOUNDED.replace("update: {type: momentum, step_size: 0.01}", update), encoding="utf-8")
    page = open_page(report(file))
    page.evaluate("graphrun.step(7)")
    assert differing(page, graphrun.load(file).run(7)) == []
    page.evaluate("graphrun.reset()")
    assert page.locator("#size-note").text_content() == "by the file's schedule"
    page.evaluate("graphrun.rule('adam', {step_size: 0.02})")
    settle(page)
    assert page.locator("#size-note").text_content() == ""
    page.evaluate("graphrun.step(4)")
    file.write_text(page.evaluate("graphrun.file"), encoding="utf-8")
    assert "schedule" not in file.read_text(encoding="utf-8")
    assert differing(page, graphrun.load(file).run(4)) == []


def test_typed_dragged_and_nudged(report: Report, open_page: Open) -> None:
    """A number is changed in the table, in the drawing by the pointer and by keys; both passes and all texts follow."""
    page = open_page(report(NESTED))
    cell = page.locator('#parameters tr[data-name="a"] .field')
    cell.focus()
    page.keyboard.press("Enter")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    settle(page)
    assert numbers(page) == {"a": 7, "b": -3, "c": -2, "d": 4, "f": -8}
    assert numbers(page, "gradients") == {"a": -2, "b": -2, "c": 4, "d": -2, "f": 1}
    assert cell.text_content() == "7"
    assert page.evaluate("document.activeElement.dataset.field") == "0 0"
    assert page.locator("#changes").text_content().startswith("Not as in the file: a 5 → 7")
    box(page, "b").focus()
    page.keyboard.press("+")
    page.keyboard.press("Shift+_")
    settle(page)
    assert numbers(page)["b"] == pytest.approx(-3.9, abs=1e-12)
    assert box(page, "d").locator("text").nth(1).text_content() == "3.1"
    text = box(page, "c").locator(".own")
    area = text.bounding_box()
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=4)
    page.mouse.move(x + 50, y, steps=4)
    page.mouse.up()
    settle(page)
    assert numbers(page)["c"] == pytest.approx(-1.5, abs=1e-12)
    page.locator("#undo").click()
    settle(page)
    assert numbers(page)["c"] == -2
    page.keyboard.press("z")
    settle(page)
    assert numbers(page)["b"] == -3
    page.keyboard.press("y")
    page.keyboard.press("y")
    settle(page)
    assert numbers(page) == {"a": 7, "b": -3.9, "c": -1.5, "d": 7 - 3.9, "f": (7 - 3.9) * -1.5}
    page.locator("#reset").click()
    settle(page)
    assert numbers(page)["f"] == -4
    assert page.locator("#changes").text_content() == ""


def test_the_rest_of_the_run_follows(tmp_path: Path, report: Report, open_page: Open, soon: Any) -> None:
    """An edit of the start changes the whole course: steps, charts and story are those of the edited file."""
    page = open_page(report(NESTED))
    page.evaluate("graphrun.set('c', -1)")
    settle(page)
    file = tmp_path / "edited.yaml"
    file.write_text(NESTED.read_text(encoding="utf-8").replace("c: -2\n", "c: -1\n", 1), encoding="utf-8")
    result = graphrun.load(file).run(10)
    assert page.locator("#step-text").text_content() == "0 of 10"
    page.keyboard.press("End")
    settle(page)
    assert differing(page, result) == []

    def check() -> None:
        readout = page.locator('.chart[data-name="f"] .readout').text_content()
        assert float(readout.split()[0].replace("−", "-")) == pytest.approx(result.values["f"], rel=1e-5)

    soon(check)
    page.keyboard.press("Home")
    page.keyboard.press("u")
    settle(page)
    assert page.locator("#story-lines > div").first.text_content() == "a ← a + 0.01 · df/da = 5 + 0.01 · (−1) = 4.99"


def test_an_edit_in_the_middle_keeps_what_was_before(report: Report, open_page: Open) -> None:
    """The rows before the one that is edited stay; the changed file begins where the edit was made."""
    page = open_page(report(NESTED))
    page.locator("#step").fill("4")
    settle(page)
    before = graphrun.load(NESTED).run(4)
    assert differing(page, before) == []
    page.evaluate("graphrun.set('a', 1)")
    settle(page)
    assert "a 4.92" in page.locator("#changes").text_content()
    assert "→ 1 at step 4" in page.locator("#changes").text_content()
    values = yaml.safe_load(page.evaluate("graphrun.file"))["parameters"]
    assert values == {"a": 1, "b": before.parameters["b"], "c": before.parameters["c"]}
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert page.locator("#step-text").text_content() == "3 of 10"
    assert differing(page, graphrun.load(NESTED).run(3)) == []


def test_training_goes_on(report: Report, open_page: Open) -> None:
    """Step and Train go on from the last row; Play at the end does; rows are thinned, and the numbers stay exact."""
    file = GRAPHS / "rosenbrock.yaml"
    page = open_page(report(file, "--steps", "20"))
    page.keyboard.press("End")
    page.locator("#live-step").click()
    settle(page)
    assert page.locator("#step-text").text_content() == "21 of 21"
    page.locator("#play").click()
    until(page, "graphrun.now > 40")
    page.locator("#play").click()
    step = page.evaluate("graphrun.now")
    assert differing(page, graphrun.load(file).run(step)) == []
    page.evaluate("(now) => graphrun.step(1200 - now)", step)
    assert page.locator("#step").get_attribute("max") != "1200"
    assert differing(page, graphrun.load(file).run(1200)) == []
    settle(page)
    assert page.locator("#step").evaluate("(step) => step.max < 1001")


def test_what_is_not_finite_ends_the_steps(report: Report, open_page: Open) -> None:
    """A step to what is not finite is not made, as in a run; the page says so."""
    page = open_page(report(NESTED))
    page.evaluate("graphrun.rule('sgd', {step_size: 1e100})")
    with pytest.raises(Exception, match="Step 2 is not made: something in it is not finite"):
        page.evaluate("graphrun.step(5)")
    assert page.evaluate("graphrun.now") == 1


def test_errors_tell_what_is_meant(bounded: Path, report: Report, open_page: Open) -> None:
    """Wrong names, shapes and numbers are refused in a sentence; nothing changes by them."""
    page = open_page(report(bounded))
    before = numbers(page)
    for call, message in {
        "set('w', [[1, 2], [3, 4]])": 'do you mean "W"?',
        "set('W', [1, 2])": "nested lists of the shape 2 × 2",
        "set('a', 3)": "a is from -1 to 2.05",
        "set('f', 3)": "computed from its inputs",
        "set('a', '3')": "takes a number",
        "rule('adan')": 'do you mean "adam"?',
        "rule('adam', {beta: 1})": 'do you mean "beta1"?',
        "rule('adam', {beta1: 7})": "beta1 is a number from 0 to 1",
        "step(-1)": "a whole number of steps",
    }.items():
        text = page.evaluate(
            f"(() => {{ try {{ graphrun.{call}; }} catch (e) {{ return e instanceof Error && e.message; }} }})()"
        )
        assert message in str(text), call
    assert numbers(page) == before
    field = page.locator('#parameters tr[data-name="a"] .field')
    field.click()
    page.keyboard.type("oops")
    page.keyboard.press("Enter")
    assert page.locator("#said").text_content() == "oops is no number; write one like 0.5 or 1e-3."
    page.keyboard.press("Escape")
    settle(page)
    assert numbers(page) == before


def test_elements_of_arrays(bounded: Path, report: Report, open_page: Open) -> None:
    """Each element of a small array can be typed in the details, and the keys move the chosen one of its box."""
    page = open_page(report(bounded))
    box(page, "W").click()
    page.mouse.move(5, 5)
    settle(page)
    page.locator("#details-body .field").nth(2).click()
    page.keyboard.type("-4")
    page.keyboard.press("Enter")
    settle(page)
    assert numbers(page)["W"] == [[1, 2], [-4, 0.25]]
    assert numbers(page, "gradients")["W"] == [[2, 4], [-8, 0.5]]
    assert "W[1,0] 3 → −4" in page.locator("#changes").text_content()
    assert yaml.safe_load(page.evaluate("graphrun.file"))["parameters"]["W"] == [[1, 2], [-4, 0.25]]


def test_the_objective_around_here(report: Report, open_page: Open) -> None:
    """The picture is of the objective over two parameters; pressing it, and the arrow keys, move them there."""
    page = open_page(report(NESTED), height=1400)
    canvas = page.locator("#around-canvas")
    canvas.scroll_into_view_if_needed()
    until(page, "document.getElementById('around-text').textContent.includes('around here')")
    assert "f is −4 at a = 5, b = −3" in page.locator("#around-text").text_content()
    area = canvas.bounding_box()
    page.mouse.click(area["x"] + 100, area["y"] + 60)
    settle(page)
    moved = numbers(page)
    assert moved["a"] < 5
    assert moved["b"] > -3
    assert moved["c"] == -2
    canvas.focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    assert numbers(page)["a"] > moved["a"]
    assert page.locator("#step-text").text_content().startswith("0 of")
    page.locator("#around-y").select_option("-1")
    until(page, "!document.getElementById('around-text').textContent.includes('b =')")
    painted = canvas.evaluate("(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x > 0)")
    assert painted


@pytest.mark.parametrize(
    "text", ["{a: 5, b: -3, c: -2}", "\n  a: {value: 5, lower: 1}  # a\n  'b': -3\n  c:\n    value: -2"]
)
def test_the_changed_file_is_the_file_with_other_numbers(
    text: str, tmp_path: Path, report: Report, open_page: Open
) -> None:
    """Numbers are put where they stand, in whatever form; all else stays, with its comments."""
    file = tmp_path / "g.yaml"
    file.write_text(f"parameters: {text}\nnodes: {{f: (a + b) * c}}\nmaximize: f\nsteps: 2\n", encoding="utf-8")
    page = open_page(report(file))
    page.evaluate("for (const [name, x] of [['a', 1.1], ['b', 1e-20], ['c', 0.1 + 0.2]]) graphrun.set(name, x)")
    changed = tmp_path / "changed.yaml"
    changed.write_text(page.evaluate("graphrun.file"), encoding="utf-8")
    assert graphrun.load(changed).run(0).parameters == {"a": 1.1, "b": 1e-20, "c": 0.1 + 0.2}
    assert ("# a" in changed.read_text(encoding="utf-8")) == ("# a" in text)
    page.locator("#changed summary").click()
    settle(page)
    assert page.locator("#changed-file").text_content() == changed.read_text(encoding="utf-8")


def test_no_objective_can_be_edited_too(tmp_path: Path, report: Report, open_page: Open) -> None:
    """Without an objective the leaves can be changed, and nothing is trained."""
    file = tmp_path / "g.yaml"
    file.write_text("constants: {a: 2}\nnodes: {b: a * a}\n", encoding="utf-8")
    page = open_page(report(file))
    box(page, "a").focus()
    page.keyboard.press("+")
    settle(page)
    assert numbers(page) == {"a": 2.1, "b": 2.1 * 2.1}
    assert page.locator("#train").is_hidden()


def test_what_selects_stays_whole(tmp_path: Path, report: Report, open_page: Open) -> None:
    """A number that selects elements goes from one whole number to the next, and takes no other."""
    text = "constants: {i: [0, 2], k: 1}\nparameters: {a: [1.5, -2, 3]}\n"
    text += "nodes:\n  t: {type: take, inputs: [a, i]}\n  f: sum(t * t) * k\nminimize: f\nsteps: 1\n"
    file = tmp_path / "selecting.yaml"
    file.write_text(text, encoding="utf-8")
    page = open_page(report(file))
    for wrong in ("[0.5, 1]", "[Infinity, 1]"):
        told = page.evaluate(
            f"() => {{ try {{ graphrun.set('i', {wrong}); }} catch (error) {{ return error.message; }} }}"
        )
        assert told == "i[0] is a whole number."
    page.evaluate("graphrun.set('i', [-1, 1])")
    assert numbers(page)["t"] == [3, -2]
    box(page, "i").focus()
    page.keyboard.press("+")
    settle(page)
    assert numbers(page)["i"] == [0, 1]
    page.evaluate("graphrun.set('k', 0.5)")
    assert numbers(page)["k"] == 0.5
