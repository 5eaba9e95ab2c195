"""The page of a sweep in a browser: its table, what a brush keeps, curves, whatever settings are called."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graphrun
from graphrun.cli.entry import run_command
from graphrun.document.sweep_section import read_axis
from graphrun.run.sweep.sweep import Sweep, read_sweep
from graphrun.show.report.sweeps import sweep_contents

Open = Callable[..., Any]

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e"
VARIED: dict[str, Any] = {
    "update.step_size": "1e-4..1e-1:log",
    "data.shuffle": [True, False],
    f"constants.{HOSTILE}": "1..9",
}


def made_up(count: int, varied: dict[str, Any] = VARIED) -> Sweep:
    """Return a sweep of so many runs, every seventh of which failed; the objective is the distance from 1e-2."""
    axes = [axis for axis, _ in (read_axis(path, given) for path, given in varied.items()) if axis is not None]
    runs, courses = [], {}
    for number in range(count):
        shares = [(number * (k + 2) * 0.618034) % 1 for k in range(len(axes))]
        settings: dict[str, Any] = {}
        for axis, share in zip(axes, shares, strict=True):
            settings |= axis.settings(axis.draw(share))
        value = None if number % 7 == 6 else abs(math.log10(settings["update.step_size"]) + 2) + 0.001
        stopped = "steps" if value is not None else f"failed: step 3: {HOSTILE}"
        told = {"seconds": 0.5, "engine": "numpy", "steps": 100, "seed": number, "host": "here"}
        runs.append({"number": number, "settings": settings, "objective": value, "stopped": stopped, **told})
        steps = list(range(0, 400, 2))
        losses = [round((value or 1) + math.exp(-step / 50), 6) for step in steps]
        courses[number] = {"step": steps, "loss": losses, "holdout.loss": [2 * loss for loss in losses]}
    return Sweep(runs, "loss", "minimize", count, None, graph=f"{HOSTILE}.yaml", axes=tuple(axes), _courses=courses)


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    """A thousand runs."""
    return made_up(1000)


@pytest.fixture(scope="module")
def file(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a thousand runs, which is less than a megabyte."""
    file = tmp_path_factory.mktemp("sweep") / "sweep.html"
    sweep.report(file)
    assert file.stat().st_size < 1_000_000
    return file


def settle(page: Any) -> None:
    """Wait until what was done is shown."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def numbers(page: Any) -> list[int]:
    """Return which runs the table has."""
    cells = page.locator("#runs-body tbody td:nth-child(2)").all_text_contents()
    return [int(text.removesuffix(" best").replace(",", "")) for text in cells]


@pytest.mark.campaign
def test_names_of_axes(open_page: Open, tmp_path: Path) -> None:
    """However long settings and what they are given are called, no text leaves the drawing or covers a name."""
    long = {f"nodes.{'of_a_layer' * 9}": ["hard_sigmoid" * 3, "another"], f"update.{'rate' * 20}": "1..9"}
    file = tmp_path / "sweep.html"
    made_up(20, long | VARIED).report(file)
    page = open_page(file)
    boxes = """of => [...document.querySelectorAll(of)].map((element) => element.getBoundingClientRect().toJSON())"""
    (drawing,) = page.evaluate(boxes, "#parallel svg")
    for text in page.evaluate(boxes, "#parallel text"):
        assert drawing["left"] <= text["left"]
        assert text["right"] <= drawing["right"]
    names = page.evaluate(boxes, "#parallel .name")
    assert len(names) == 6
    for one, other in itertools.combinations(names, 2):
        beside = one["right"] <= other["left"] or other["right"] <= one["left"]
        assert beside or abs(one["top"] - other["top"]) > 10


@pytest.mark.campaign
def test_the_page(sweep: Sweep, file: Path, open_page: Open) -> None:
    """The best runs stand first, brushes and sorting go by the runs' own numbers, and curves are theirs."""
    page = open_page(file)
    ranked = [run["number"] for run in sweep.ranked()]
    assert numbers(page) == ranked[:200]
    assert page.locator("tr.best").count() == 1
    assert page.locator("#chosen li").count() == 3
    # A brush by the keyboard: each time a twentieth of the axis.
    end = page.get_by_role("slider", name="update.step_size, at least")
    end.focus()
    for _ in range(10):
        page.keyboard.press("ArrowUp")
    settle(page)
    sizes = [run["settings"]["update.step_size"] for run in sweep.runs]
    middle = math.sqrt(min(sizes) * max(sizes))
    kept = [run["number"] for run in sweep.runs if run["settings"]["update.step_size"] >= middle * (1 - 1e-9)]
    assert page.locator("#kept").text_content() == f"{len(kept)} of 1,000 runs"
    # By the head of a column, up and down.
    page.get_by_role("button", name="run", exact=True).press("Enter")
    assert numbers(page) == kept[:200]
    page.get_by_role("button", name="run", exact=True).press("Enter")
    assert numbers(page) == kept[::-1][:200]
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.locator("#more-runs").click()
    assert numbers(page) == kept[::-1][:400]
    end.press("Escape")
    settle(page)
    assert page.locator("#kept").text_content() == "1,000 of 1,000 runs"
    # Another curve, by the box of its run; a failed run has one, too, and its reason.
    last = page.get_by_role("checkbox", name="curve of run 999")
    last.press("Space")
    settle(page)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "curve of run 999"
    assert page.locator("#curves-body .lines path").count() == 4
    assert "run 999" in page.locator("#curves-body").get_attribute("aria-label")
    page.locator("#recorded").select_option("holdout.loss")
    assert page.locator("#curves-body").get_attribute("aria-label").startswith("Curves of holdout.loss: ")
    # The mouse: a drag along an axis.
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#parallel .hit").first.bounding_box()
    page.mouse.move(box["x"] + 16, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 16, box["y"] + 60, steps=3)
    page.mouse.up()
    settle(page)
    assert 0 < int(page.locator("#kept").text_content().split()[0]) < 500
    # Names are text, whatever is in them.
    assert page.locator("img, [onerror]").count() == 0
    assert HOSTILE in page.locator("#title").text_content()
    assert HOSTILE in page.locator("#matters-body").text_content()


@pytest.mark.campaign
@pytest.mark.parametrize("count", [0, 1, 12])
def test_a_narrow_dark_page_of_few_runs(count: int, tmp_path: Path, open_page: Open) -> None:
    """Nothing is wider than the screen, and no runs are no mistake."""
    file = tmp_path / "sweep.html"
    made_up(count).report(file)
    page = open_page(file, 390, 800, color_scheme="dark")
    settle(page)
    assert page.locator("html[data-theme=dark]").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#runs-body tbody tr").count() == count


def test_what_is_on_the_page(sweep: Sweep) -> None:
    """Ranges that are logarithmic are shown so, what decides is found, and failed runs count as the worst."""
    shown = sweep_contents(sweep)
    assert [setting["log"] for setting in shown["settings"] if "log" in setting] == [True, False]
    size, shuffled, constant = (setting["importance"] for setting in shown["settings"])
    assert size > 0.4 > 0.1 > max(shuffled, constant)
    assert shown["settings"][1]["choices"] == ["true", "false"]
    assert shown["runs"]["hasValue"] == [1] * 858 + [0] * 142
    assert len(shown["steps"]) == 1
    assert len(shown["courses"]) == 1000
    # A list is shown by powers where it is of them.
    axis, _ = read_axis("a", [0.001, 0.01, 0.1])
    assert axis is not None
    runs = [{**run, "settings": axis.settings(value)} for run, value in zip(sweep.runs, axis.choices, strict=False)]
    found = sweep_contents(Sweep(runs, "loss", "minimize", 3, None, axes=(axis,)))["settings"][0]
    assert (found["log"], sorted(found["values"]), found["importance"]) == (True, [0.001, 0.01, 0.1], None)


@pytest.mark.slow
def test_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """The page of a sweep is that of its folder, and of Python's; courses are those of the runs by themselves."""
    monkeypatch.chdir(tmp_path)
    text = "parameters: {a: 3.0}\nnodes: {f: (a - 1) ** 2}\nminimize: f\nupdate: {step_size: 0.1}\nsteps: 500\n"
    Path("graph.yaml").write_text(text, encoding="utf-8")
    vary = ["--vary", "update.step_size=0.1,0.001,30"]
    assert run_command(["sweep", "graph.yaml", *vary, "-q", "--page", "page.html"]) == 0
    assert run_command(["report", "graph.sweep", "-o", "again.html"]) == 0
    assert Path("page.html").read_text(encoding="utf-8") == Path("again.html").read_text(encoding="utf-8")
    kept, unkept = read_sweep(Path("graph.sweep")), graphrun.load("graph.yaml").sweep({"update.step_size": [0.1]})
    assert unkept.courses({0})[0] == kept.courses({0})[0]
    assert "<iframe" in unkept.report()._repr_html_()  # type: ignore[attr-defined]
    history = graphrun.load("graph.yaml", overrides=["update.step_size=0.001"]).run().history
    course = kept.courses(range(3))[1]
    assert 50 <= len(course["step"]) <= 100
    assert course["f"] == pytest.approx(history["f"][course["step"]], rel=1e-5)
    assert len(kept.courses({2})[2]["f"]) < 500  # it failed
    # What is wrong is told before anything is run.
    for arguments, told in (
        (["sweep", "graph.yaml", *vary, "--page", "page.txt"], "--page page.txt: a report is a page"),
        (["report", "graph.sweep", "-o", "a.html", "--steps", "3"], "with -o alone"),
        (["report", ".", "-o", "a.html"], ". is no folder of a sweep"),
    ):
        assert run_command(arguments) == 2
        assert told in capfd.readouterr().err


def test_as_a_table_of_pandas(sweep: Sweep) -> None:
    """A row for each run by its number, a column for each path."""
    pytest.importorskip("pandas")
    table = sweep.to_pandas()
    assert table.index.name == "number"
    assert list(table.columns[:2]) == ["update.step_size", "data.shuffle"]
    assert table["objective"].idxmin() == sweep.ranked()[0]["number"]
