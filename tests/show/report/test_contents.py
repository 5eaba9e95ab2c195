"""What a report is made of: its numbers against the run's, its size, and how the command ends."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from lesson import GRAPHS

import graphrun
from graphrun.base.numbertext import number
from graphrun.cli.entry import run_command
from graphrun.run.request import RunRequest
from graphrun.run.result import Result
from graphrun.show.report import make_report, to_json
from graphrun.show.report.recording import RecordedColumns, shortened

NESTED = GRAPHS / "nested.yaml"


def read(html: str) -> dict[str, Any]:
    """Return the data of a report."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def column(data: dict[str, Any], number: int, count: int) -> list[float]:
    """Return a column of numbers."""
    stored = data["columns"][number]
    return [float(x) for x in (stored if isinstance(stored, list) else [stored] * count)]


@pytest.mark.parametrize("name", ["nested", "repeated", "rosenbrock", "formula", "network", "bounded"])
def test_values_and_gradients_are_those_of_the_run(name: str) -> None:
    """Each row has the values and gradients of a run that ends there, to seven digits."""
    graph = graphrun.load(GRAPHS / f"{name}.yaml")
    data = read(make_report(graph, RunRequest(12, engine="numpy")).html)
    rows = data["rows"]
    steps = column(data, rows["step"], rows["count"])
    assert steps == list(range(13))[: len(steps)]
    for row in (0, 3, len(steps) - 1):
        result = graph.run(int(steps[row]), engine="numpy")
        known = {**result.parameters, **result.values}
        for slot, entry in enumerate(data["values"]):
            if entry["name"] not in known or entry["kind"] == "literal":
                continue
            for table, expected in (("values", known), ("gradients", result.gradients)):
                numbers = [column(data, c, rows["count"])[row] for c in rows[table][slot]]
                array = np.asarray(expected[entry["name"]], dtype=float)
                whole = array.ravel() if array.size <= 4 else [array.min(), array.max(), np.linalg.norm(array)]
                assert numbers == pytest.approx(list(whole), rel=1e-6, abs=1e-300)


@pytest.mark.slow
def test_a_thousand_steps_of_the_lesson_are_small() -> None:
    """The lesson with 1,000 steps has all of them, in less than 300 kB."""
    html, result = make_report(graphrun.load(NESTED), RunRequest(1000))
    assert len(html.encode()) < 300_000
    assert read(html)["rows"]["count"] == result.steps + 1 == 1001


@pytest.mark.campaign
def test_a_large_graph_has_fewer_rows() -> None:
    """The numbers of a large graph are no more than a page can hold, the first and the last row among them."""
    nodes = "\n".join(f"  n{k}: sin(n{k - 1}) * a{k % 7}" for k in range(1, 101))
    text = "parameters: {" + ", ".join(f"a{k}: 0.{k + 1}" for k in range(7)) + "}\nnodes:\n  n0: a0 + a1\n" + nodes
    html, result = run_text(text + "\nminimize: n100\nsteps: 600\n", engine="numpy")
    data = read(html)
    assert sum(len(c) if isinstance(c, list) else 1 for c in data["columns"]) < 300_000
    steps = column(data, data["rows"]["step"], data["rows"]["count"])
    assert (steps[0], steps[-1]) == (0, result.steps)
    assert len(data["scene"]["boxes"]) > 10


def run_text(text: str, **options: Any) -> tuple[str, Result]:
    """Return the report of a graph given by its text."""
    from graphrun.api import Graph
    from graphrun.document import Source, load_document
    from graphrun.graph.build import build_graph
    from graphrun.plugins.registry import Registry

    registry = Registry()
    graph = Graph(build_graph(load_document(Source("g.yaml", text)), registry), None, registry)
    return make_report(graph, RunRequest(**options))


def test_no_objective_has_the_forward_pass_alone() -> None:
    """A graph that is only evaluated has values, and no gradients."""
    data = read(run_text("constants: {x: 2}\nnodes: {y: x ** 2}\nsteps: 5\n")[0])
    assert data["objective"] is None
    assert data["rows"]["count"] == 1
    assert "gradients" not in data["rows"]
    assert [column(data, c, 1) for c in data["rows"]["values"][-1]] == [[4.0]]


@pytest.mark.parametrize("steps", [0, 1])
def test_a_failed_run_keeps_what_there_is(steps: int) -> None:
    """A run that is not finite at once, or after a step, has the rows before."""
    start = 0.5 if steps else 0
    text = f"parameters: {{x: {start}}}\nnodes: {{f: log(x)}}\nminimize: f\nupdate: {{type: sgd, step_size: 1}}\n"
    html, result = run_text(text, steps=9)
    data = read(html)
    assert result.error is not None
    assert str(result.error).partition(":")[0] == f"step {steps}"
    assert data["run"]["error"] == str(result.error)
    assert data["rows"]["count"] == 1


@settings(deadline=None, max_examples=examples(60))
@given(st.dictionaries(st.text(max_size=9), st.lists(st.text(max_size=9) | st.integers(), max_size=4), max_size=4))
def test_json_ends_no_element(data: Any) -> None:
    """No text can end the element that the JSON stands in, and all of it is read back."""
    text = to_json(data)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text.encode("utf-8")) == data


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_columns_keep_seven_digits(numbers: list[float]) -> None:
    """A column is read back to seven digits, and the same one is kept once."""
    columns = RecordedColumns()
    place = columns.add(numbers)
    assert columns.add(numbers) == place
    stored = list(columns)[place]
    read_back = [float(x) for x in (stored if isinstance(stored, list) else [stored] * len(numbers))]
    for given_number, found in zip(numbers, read_back, strict=True):
        assert found == pytest.approx(given_number, rel=1e-6) or (math.isnan(found) and math.isnan(given_number))


@given(st.floats(-1e9, 1e9).map(lambda x: float(f"{x:.10g}")) | st.sampled_from([17.730649951065402, 0.1234565001]))
def test_a_number_is_shown_as_an_explanation_shows_it(given_number: float) -> None:
    """Rounding what was rounded already gives the digits of the number itself."""
    if abs(given_number - float(f"{given_number:.8g}")) > 1e-9 * abs(given_number):
        assert number(shortened(given_number)) == number(given_number)


def test_the_policy_names_what_the_page_has() -> None:
    """Every script and style is in the policy by its digest, and nothing else is."""
    html, _ = make_report(graphrun.load(NESTED), RunRequest(1))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    directives = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    assert directives["default-src"] == "'none'"
    packed = re.search(r'id="packed">(.*?)</script>', html)
    assert packed
    unpacked = zlib.decompress(base64.b64decode(packed[1]), wbits=-15).decode()
    for directive, tag in (("script-src", "script"), ("style-src", "style")):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL) + [unpacked] * (tag == "script")
        digests = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts]
        assert directives[directive].split() == digests
    assert set(directives) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", html)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes the page and nothing else; where it cannot, it says so."""
    target = tmp_path / "out.html"
    assert run_command(["report", str(NESTED), "--steps", "3e0", "--set", "parameters.a=7", "-o", str(target)]) == 0
    data = read(target.read_text(encoding="utf-8"))
    assert data["run"]["overrides"] == ["parameters.a = 7"]
    assert data["rows"]["count"] == 4
    assert capsys.readouterr() == ("", "")
    assert run_command(["report", str(NESTED)]) == 2
    assert run_command(["report", str(NESTED), "-o", str(tmp_path / "none" / "out.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "folder.html").mkdir()
    assert run_command(["report", str(NESTED), "-o", str(tmp_path / "folder.html")]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert run_command(["report", str(NESTED), "-o", str(tmp_path / "out.pdf")]) == 2
    assert "a report is a page, as in -o report.html" in capsys.readouterr().err


def test_a_failed_run_ends_with_1_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message is the one of `run`."""
    file, target = tmp_path / "g.yaml", tmp_path / "out.html"
    file.write_text("parameters: {x: 0}\nnodes: {f: log(x)}\nmaximize: f\n", encoding="utf-8")
    assert run_command(["report", str(file), "-o", str(target)]) == 1
    assert "the value of node 'f' (type log) is -inf" in capsys.readouterr().err
    assert target.stat().st_size > 50_000


@pytest.mark.parametrize("made", [7, 333, 1500])
def test_rows_are_thinned_by_the_steps_made(made: int) -> None:
    """A run that ends long before its million steps has as many rows as one of so many, its last among them."""
    text = "parameters: {a: 1}\nnodes: {f: a * 1}\nminimize: f\nupdate: {type: sgd, step_size: 1}\n"
    html, result = run_text(f"{text}steps: 1000000\nstop: {{value: {1.5 - made}}}\n")
    assert result.steps == made
    data = read(html)
    steps = column(data, data["rows"]["step"], data["rows"]["count"])
    stride = data["run"]["every"]
    assert stride == (1 if made < 1001 else 2)
    assert steps == [*range(0, made, stride), made]
    assert column(data, data["history"]["step"], data["history"]["count"]) == steps


@pytest.mark.parametrize("rule", ["momentum", "adam"])
def test_a_rule_with_memory_tells_it(rule: str) -> None:
    """The page has the rule's formulas, as an explanation has them, and what they come to: momentum's by hand."""
    text = (
        f"parameters: {{a: 1, b: 2}}\nnodes: {{f: a * a * b}}\nminimize: f\nupdate: {{type: {rule}, step_size: 0.1}}\n"
    )
    html, _ = run_text(f"{text}steps: 4\n")
    data = read(html)
    rows, update = data["rows"], data["run"]["update"]
    states = [[column(data, c[0], rows["count"]) for c in state[:2]] for state in rows["states"]]
    gradients = [column(data, c[0], rows["count"]) for c in rows["gradients"][:2]]
    if rule == "momentum":
        assert update["states"] == ["velocity"]
        assert update["formulas"] == ["velocity = 0.9 * velocity + df/dx", "new x = x - step_size * velocity"]
        for velocity, gradient in zip(states[0], gradients, strict=True):
            expected, now = [], 0.0
            for slope in gradient[:4]:
                now = 0.9 * now + slope
                expected.append(now)
            assert velocity[:4] == pytest.approx(expected, rel=1e-6)
    else:
        assert len(update["formulas"]) == len(update["states"]) + 1
        mean = [0.1 * gradients[0][0], 0.1 * gradients[1][0]]
        assert [states[0][k][0] for k in (0, 1)] == pytest.approx(mean, rel=1e-6)
