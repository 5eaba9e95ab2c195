"""`graphrun show` on a terminal: a table with values and gradients, by sections, folded as a tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lesson import GRAPHS

import graphrun
from graphrun.base.numbertext import number
from graphrun.cli.entry import run_command
from graphrun.show.draw import Box, Drawing, Shape, draw_graph
from graphrun.show.graph_table import cells, cut, table

NESTED = str(GRAPHS / "nested.yaml")
FILES = sorted(GRAPHS.glob("*.yaml"))

LESSON = """\
f = (a + b) * c. A computational graph of 3 parameters and 2 nodes. f is
maximized: -4 at step 0.

parameters           value  gradient
  a                      5        -2
  b                     -3        -2
  c                     -2         2

nodes
  d         = a + b      2        -2
  f         = d * c     -4         1
"""


def test_the_lesson(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole lesson in a table."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command(["show", NESTED, "--format", "table"]) == 0
    assert capsys.readouterr() == (LESSON, "")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_no_line_is_too_wide(file: Path, columns: int) -> None:
    """Every example, at every width; each value is there, and each number of a wide table in full."""
    graph = graphrun.load(file)
    passes = graph.passes()
    drawing = draw_graph(graph.structure, passes)
    lines = list(table(drawing, columns))
    assert max(map(cells, lines)) <= columns
    assert lines == [line.rstrip() for line in lines]
    if columns == 200:
        words = " ".join(lines).split()
        for box in drawing.boxes:
            # A folded box has its type behind its name.
            assert set(box.title.split()) <= set(words)
        folded = {name for box in drawing.boxes if len(box.names) > 1 for name in box.names if name != box.name}
        for name, slot in passes.plan.slots.items():
            if not passes.plan.shapes[slot] and name not in folded:
                assert number(passes.values[slot]) in words, name


def test_a_step_and_a_depth(capsys: pytest.CaptureFixture[str]) -> None:
    """The values are those of the step, and what is folded is one row with the value of the whole."""
    assert run_command(["show", str(GRAPHS / "network.yaml"), "--step", "0", "--depth", "0"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["loss:", "squared_error", "3", "nodes", "0.5", "1"] in rows
    assert run_command(["show", NESTED, "--step", "1"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["f", "=", "d", "*", "c", "-3.8808", "1"] in rows


def test_instances_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    """What is inside an instance stands below its name."""
    assert run_command(["show", str(GRAPHS / "network.yaml"), "--format", "table"]) == 0
    out = capsys.readouterr().out
    assert "\nparameters  " in out
    assert "\n  hidden: dense\n    z\n      W  " in out


@pytest.mark.slow
def test_a_terminal_gets_the_table() -> None:
    """On a terminal the table is the default, as wide as the terminal; elsewhere the graph file is."""
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "graphrun", "show", NESTED], stdout=child)
    os.close(child)
    text = b""
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:
            break
        if not part:
            break
        text += part
    process.wait()
    os.close(parent)
    assert "parameters           value  gradient" in text.decode()


def test_a_file_gets_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stdout is no terminal it is data: the graph file; so it is when asked for."""
    assert run_command(["show", NESTED]) == 0
    plain = capsys.readouterr().out
    assert plain.startswith("graphrun: 1\n")
    assert run_command(["show", NESTED, "--format", "yaml"]) == 0
    assert capsys.readouterr().out == plain


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A step of a graph file makes no sense; a graph without finite values has a table all the same, with a note."""
    assert run_command(["show", NESTED, "--format", "yaml", "--step", "1"]) == 2
    assert "--step and --depth are for the table of values" in capsys.readouterr().err
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {x: 0}\nnodes: {f: log(x)}\nmaximize: f\n")
    assert run_command(["show", str(file), "--format", "table"]) == 0
    out, err = capsys.readouterr()
    assert "= log(x)" in out
    assert "the value of node 'f' (type log) is -inf" in err
    assert run_command(["show", str(file), "--format", "table", "--step", "3"]) == 1
    assert capsys.readouterr().out == ""


def test_a_plugin_that_raises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table shows what the file has, and a note says why there are no values; for a step that is an error."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "broken.py").write_text(
        "import graphrun\n\n@graphrun.elementwise\ndef broken(xp, x):\n    raise ValueError('no')\n\n"
        "@broken.local_derivatives\ndef _(xp, y, x):\n    return (1,)\n\n"
        "@graphrun.hookimpl\ndef graphrun_node_types():\n    return [broken]\n"
    )
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {x: 5}\nnodes: {f: broken(x)}\nmaximize: f\n")
    arguments = ["show", str(file), "--format", "table", "--plugins", str(tmp_path / "p")]
    assert run_command(arguments) == 0
    out, err = capsys.readouterr()
    assert "= broken(x)" in out
    assert "ValueError: no" in err
    assert run_command([*arguments, "--step", "0"]) == 1


def test_wide_letters() -> None:
    """Columns are those of the terminal, on which some letters are two wide; what steers a terminal is shown."""
    boxes = (Box("重み", "重み", Shape.PARAMETER, value="1"), Box("a\x1b[31m", "a\x1b[31m", Shape.PARAMETER, value="2"))
    lines = list(table(Drawing("", "d", boxes, (), ()), 60))
    assert len({cells(line) for line in lines[2:]}) == 1
    assert "\x1b" not in "".join(lines)
    assert cut("重重重", 5) == "重重…"
    assert cells("e\u0301") == 1
