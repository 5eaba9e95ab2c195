"""What a watched file comes to, without a server: what is read, what is shown of a run, what is wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson import NESTED

import graphrun
from graphrun.base.errors import GraphrunError
from graphrun.base.reads import told_of_reads
from graphrun.plugins.registry import Registry
from graphrun.run.request import RunRequest
from graphrun.show.watch.session import Session

PLUGIN = """
import graphrun

@graphrun.elementwise
def tripled(xp, x):
    \"\"\"Three times x.\"\"\"
    return x * 3.0

@tripled.local_derivatives
def _(xp, y, x):
    return (3.0,)

@graphrun.hookimpl
def graphrun_node_types():
    return [tripled]
"""
LONG = "parameters: {a: 1, b: 2}\nnodes: {f: (a - b) ** 2}\nminimize: f\nsteps: 1000000000000\n"


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what begins a session of g.yaml in a folder of its own, and waits for what it shows."""
    monkeypatch.chdir(tmp_path)
    begun = []

    def begin(load: Callable[[], graphrun.Graph] = lambda: graphrun.load("g.yaml"), **asked: Any) -> Session:
        begun.append(Session(load, RunRequest(**asked)))
        begun[-1].begin()
        assert begun[-1].settled.wait(120)
        return begun[-1]

    yield begin
    for session in begun:
        session.end()


def until(condition: Callable[[], Any]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def shown(session: Session, name: str) -> list[float]:
    """Return the values of something over the rows that a page has."""
    state = session.state
    slot = next(k for k, value in enumerate(state.data["values"]) if value["name"] == name)
    [column] = state.data["rows"]["values"][slot]
    numbers = state.data["columns"][column]
    return numbers if isinstance(numbers, list) else [numbers] * state.data["rows"]["count"]


def again(session: Session) -> None:
    """Load the files as they are now, and wait for what comes of it."""
    assert session.has_changed()
    settled = threading.Event()
    session.on_change = settled.set
    session.begin()
    assert settled.wait(120)


def test_every_file_that_a_graph_is_read_from_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, what it includes and that again, the data, stored arrays, plugins and their folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "types").mkdir()
    Path("types/tripled.py").write_text(PLUGIN, encoding="utf-8")
    Path("parts/inner.yaml").write_text("subgraphs:\n  halve: {inputs: [x], nodes: {y: x / 2}, output: y}\n")
    Path("parts/outer.yaml").write_text("include: [inner.yaml]\n")
    Path("rows.csv").write_text("x\n1\n2\n")
    np.savez("w.npz", w=np.array(2.0))
    Path("g.yaml").write_text(
        "include: [parts/outer.yaml]\ndata: {file: rows.csv}\nparameters: {w: {file: w.npz, key: w}}\n"
        "nodes: {h: halve(w), t: tripled(h), p: t * x, f: mean(p)}\nminimize: f\n"
    )
    read: set[str] = set()
    with told_of_reads(read.add):
        graphrun.load("g.yaml", registry=Registry(["types"])).plan()
    names = {Path(file).relative_to(tmp_path).as_posix() for file in read}
    wanted = {"g.yaml", "parts/outer.yaml", "parts/inner.yaml", "rows.csv", "w.npz", "types", "types/tripled.py"}
    assert names == wanted
    read.clear()
    graphrun.load("g.yaml", registry=Registry(["types"])).plan()
    assert not read


def test_a_wrong_file_leaves_the_good_state_and_its_mending_shows(begin: Any) -> None:
    """The message has file, line, column and suggestion; what was shown stays."""
    Path("g.yaml").write_text(NESTED)
    session = begin(steps=2)
    before = session.state
    Path("g.yaml").write_text(NESTED.replace("multiply", "multiplyy"))
    again(session)
    assert session.state.problem.startswith("g.yaml:4:")
    assert "did you mean 'multiply'" in session.state.problem
    assert (session.state.data, session.state.seen) == (before.data, before.seen)
    assert json.loads(session.state.news(before.seen))["grown"] is None
    Path("g.yaml").write_text(NESTED.replace("a: 5", "a: 7"))
    again(session)
    assert session.state.problem == ""
    assert shown(session, "a")[0] == 7
    assert shown(session, "f") == pytest.approx(graphrun.load("g.yaml").run(2).history["f"].tolist())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "g.yaml:1:1: the file is empty"),
        ("nodes: [", "g.yaml:"),
        ("parameters: {a: 1}\nnodes: {f: a + q}\n", "g.yaml:2:16: input 'q' is unknown"),
        ("include: [none.yaml]\n", "none.yaml"),
        ("data: {file: none.csv}\nnodes: {f: x * 2}\n", "none.csv"),
        ("parameters: {a: [1, 2], b: [1, 2, 3]}\nnodes: {f: a + b}\n", "g.yaml:2"),
    ],
    ids=["empty", "syntax", "name", "include", "data", "shapes"],
)
def test_what_is_wrong_at_the_start_is_told_and_mended(text: str, problem: str, begin: Any) -> None:
    """There is a page without a graph; a file that is not there is waited for."""
    Path("g.yaml").write_text(text)
    session = begin()
    assert problem in session.state.problem
    assert "g.yaml" in session.state.html("g.yaml")
    Path("none.yaml").write_text("subgraphs:\n  halve: {inputs: [x], nodes: {y: x / 2}, output: y}\n")
    Path("none.csv").write_text("x\n1\n2\n")
    if "none" not in problem:
        Path("g.yaml").write_text(NESTED)
    if "include" not in text:
        again(session)
        assert session.state.problem == ""
        assert session.state.data


def test_a_plugin_that_is_edited_is_used_anew(begin: Any) -> None:
    """Its functions are those of the file as it is now; what it raises is told."""
    Path("types").mkdir()
    Path("types/tripled.py").write_text(PLUGIN)
    Path("g.yaml").write_text("parameters: {x: 2}\nnodes: {f: tripled(x)}\nminimize: f\n")
    session = begin(lambda: graphrun.load("g.yaml", registry=Registry(["types"])))
    assert shown(session, "f")[0] == 6
    Path("types/tripled.py").write_text(PLUGIN.replace("3.0", "4.00"))
    again(session)
    assert shown(session, "f")[0] == 8
    Path("types/tripled.py").write_text(PLUGIN.replace("import graphrun", "import grafrun"))
    again(session)
    assert "No module named 'grafrun'" in session.state.problem
    assert shown(session, "f")[0] == 8


@pytest.mark.slow
def test_a_long_run_is_shown_as_it_goes_and_ends_with_an_edit(begin: Any) -> None:
    """There are more and more rows, of steps that are made; the first is there at once; an edit ends the run."""
    Path("g.yaml").write_text(LONG)
    start = time.monotonic()
    session = begin(every=None)
    assert time.monotonic() - start < 60
    turn, first = session.state.turn, session.state.data["run"]["steps"]
    until(lambda: session.state.data["run"]["steps"] > first)
    second = session.state.data
    assert second["run"]["stopped"] == "running"
    assert second["run"]["asked"] == 10**12
    assert shown(session, "a")[0] == 1
    until(lambda: session.state.data["run"]["steps"] > second["run"]["steps"])
    Path("g.yaml").write_text(LONG.replace("1000000000000", "3"))
    again(session)
    assert (session.state.turn, session.state.data["run"]["stopped"]) == (turn + 1, "steps")
    assert session.state.data["history"]["count"] == 4
    time.sleep(0.5)
    assert session.state.turn == turn + 1
    assert threading.active_count() < 6


def test_a_page_is_told_of_another_graph_or_of_more_of_its_run(begin: Any) -> None:
    """What it has seen is not told again."""
    Path("g.yaml").write_text(NESTED)
    session = begin(steps=2)
    seen = session.state.seen
    assert json.loads(session.state.news(seen)) == {"isOther": False, "problem": "", "grown": None}
    earlier = json.loads(session.state.news(f"{session.state.turn}.0"))
    assert not earlier["isOther"]
    assert earlier["grown"]["rows"]["count"] == 3
    Path("g.yaml").write_text(NESTED.replace("a: 5", "a: 6"))
    again(session)
    assert json.loads(session.state.news(seen)) == {"isOther": True, "problem": "", "grown": None}


def test_a_run_that_fails_is_shown_as_far_as_it_came(begin: Any) -> None:
    """It is no wrong file: the page says what was not finite."""
    Path("g.yaml").write_text("parameters: {x: 0}\nnodes: {f: log(x)}\nmaximize: f\nsteps: 3\n")
    session = begin()
    assert session.state.problem == ""
    assert "not finite" in session.state.data["run"]["stopped"]


def test_what_nobody_foresaw_is_told_too(begin: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """An error of the program itself does not end it in silence."""

    def load() -> graphrun.Graph:
        raise ZeroDivisionError("by chance")

    session = begin(load)
    assert session.state.problem == "ZeroDivisionError: by chance"
    assert isinstance(session.error, GraphrunError)
    assert "Traceback" in capsys.readouterr().err
