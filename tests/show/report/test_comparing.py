"""Two runs in one page: curves on one axis, numbers side by side, what differs in the files marked."""

# ruff: noqa: RUF001 (the page writes its numbers with minus signs)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lesson import GRAPHS

import graphrun
from graphrun.cli.entry import run_command

Report = Callable[..., Path]
Open = Callable[..., Any]
ROSENBROCK = GRAPHS / "rosenbrock.yaml"


def cell(page: Any, name: str, column: int) -> float:
    """Return a number of the table of all values."""
    text = page.locator(f'#values tr[data-name="{name}"] td').nth(column).text_content()
    return float(text.replace("−", "-"))


def go_to(page: Any, step: int) -> None:
    """Go to a step of the first run."""
    page.locator("#step").fill(str(step))
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_two_files(report: Report, open_page: Open, tmp_path: Path) -> None:
    """Both runs' numbers are those of `Graph.run`; one axis holds both curves; what differs is marked."""
    second = tmp_path / "slower.yaml"
    text = ROSENBROCK.read_text(encoding="utf-8")
    second.write_text(text.replace("step_size: 0.002", "step_size: 0.0005").replace("  y: 1\n", "  y: 1.5\n"))
    page = open_page(report(ROSENBROCK, str(second), "--steps", "12"))
    runs = [graphrun.load(file) for file in (ROSENBROCK, second)]
    for step in (0, 5, 12):
        go_to(page, step)
        for name in ("f", "x", "y", "off"):
            for graph, column in zip(runs, (2, 4), strict=True):
                result = graph.run(step)
                expected = {**result.parameters, **result.values}[name]
                assert cell(page, name, column) == pytest.approx(expected, rel=1e-5)
    chart = page.locator('.chart[data-name="f"]')
    assert chart.locator(".lines path").count() == 2
    assert "slower.yaml" in chart.locator(".readout").text_content()
    told = page.locator("#compared li").all_text_contents()
    assert "~ parameters.y: 1 → 1.5" in told
    assert any(line.startswith("update: ") and "0.0005" in line for line in told)
    marked = page.locator("#file-body .row.differs").evaluate_all("(all) => all.map((one) => one.textContent)")
    assert [line.lstrip("0123456789") for line in marked] == [
        "  y: 1  y: 1.5",
        "update: {type: momentum, step_size: 0.002}update: {type: momentum, step_size: 0.0005}",
    ]


def test_another_length(report: Report, open_page: Open, tmp_path: Path) -> None:
    """Where the other run has fewer rows, its last one before the step stands there, and the page says so."""
    second = tmp_path / "short.yaml"
    second.write_text(
        ROSENBROCK.read_text(encoding="utf-8").replace("stop: {gradient_norm: 1e-6}", "stop: {gradient_norm: 100}")
    )
    page = open_page(report(ROSENBROCK, str(second), "--steps", "12"))
    steps = graphrun.load(second).run(12).steps
    assert steps < 10
    go_to(page, 10)
    assert page.locator("#compared-step").text_content() == f"Its numbers are those at step {steps}."
    assert cell(page, "f", 4) == pytest.approx(graphrun.load(second).run(12).values["f"], rel=1e-5)


def test_overrides_and_checkpoints(report: Report, open_page: Open, tmp_path: Path) -> None:
    """A file is compared with itself changed by --set, and with its run from a checkpoint, by Python too."""
    nested = GRAPHS / "nested.yaml"
    page = open_page(report(nested, str(nested), "--set", "update.step_size=0.02"))
    assert page.locator("#compared li").all_text_contents() == ["update: sgd(step_size=0.02) → sgd(step_size=0.01)"]
    go_to(page, 3)
    assert cell(page, "f", 4) == pytest.approx(graphrun.load(nested).run(3).values["f"], rel=1e-5)
    saved = tmp_path / "saved.safetensors"
    assert run_command(["run", str(nested), "-q", "--steps", "4", "--save", str(saved)]) == 0
    page = open_page(report(nested, str(saved), "--steps", "8"))
    go_to(page, 3)
    assert page.locator("#compared-step").text_content() == "It has no row of this step."
    go_to(page, 6)
    assert cell(page, "f", 4) == pytest.approx(graphrun.load(nested).run(6).values["f"], rel=1e-5)
    file = tmp_path / "python.html"
    graph = graphrun.load(nested)
    graph.report(file, steps=8, compare=saved)
    assert "saved.safetensors" in open_page(file).locator("#compared-title").text_content()
    graph.report(file, compare=graphrun.load(ROSENBROCK), steps=3)
    page = open_page(file)
    assert page.locator("#compared li").count() > 10
