"""A graph on stdin, what a checkpoint holds shown, and what a check finds for other programs."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from lesson import NESTED

from graphrun.cli.commands.options import piped
from graphrun.cli.entry import run_command

BAD = "parameters: {a: 1}\nnodes:\n  f: a + b\n  g: {type: ad, inputs: [a, 1]}\nminimize: f\n"


@pytest.fixture
def pipe(tmp_path, monkeypatch):
    """Return what puts a text on stdin."""
    monkeypatch.chdir(tmp_path)

    def put(text):
        piped.cache_clear()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode()), isatty=lambda: False))

    return put


@pytest.mark.parametrize(
    "command",
    [
        ["run", "-", "-q"],
        ["-", "-q"],
        ["show", "-"],
        ["draw", "-"],
        ["explain", "-"],
        ["check", "-"],
        ["diff", "-", "-"],
        ["export", "-", "--to", "python"],
        pytest.param(["profile", "-"], marks=pytest.mark.slow),
        pytest.param(["report", "-", "-o", "page.html", "-q"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_graph_comes_on_stdin(pipe, command, capsys):
    """To every command that reads one; what is wrong with it is told at its lines."""
    pipe(NESTED)
    assert run_command(command) == 0
    pipe(BAD)
    capsys.readouterr()
    assert run_command(command) == 2
    assert "<stdin>:3:10: input 'b' is unknown" in capsys.readouterr().err


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Make a checkpoint of three steps of the lesson."""
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(NESTED)
    assert run_command(["g.yaml", "--steps", "3", "--save", "kept.safetensors", "-q"]) == 0


@pytest.mark.parametrize("command", [["explain"], ["draw"], ["show"], ["explain", "--node", "d"]], ids=" ".join)
def test_what_a_checkpoint_holds_is_shown(kept, command, capsys):
    """At its own step, where no other is asked for: the same as that step of a run from the start."""
    capsys.readouterr()
    name, *more = command
    assert run_command([name, "g.yaml", *more, "--resume", "kept.safetensors"]) == 0
    by_checkpoint = capsys.readouterr().out
    assert run_command([name, "g.yaml", *more, "--step", "3"]) == 0
    assert by_checkpoint == capsys.readouterr().out
    assert run_command([name, "g.yaml", *more, "--resume", "kept.safetensors", "--step", "2"]) == 2
    assert "there is no step 2 in what follows the checkpoint" in capsys.readouterr().err


def test_a_report_goes_on_from_a_checkpoint(kept, capsys):
    """Its rows are those that follow."""
    assert run_command(["report", "g.yaml", "--resume", "kept.safetensors", "--steps", "6", "-o", "p.html", "-q"]) == 0
    data = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', Path("p.html").read_text())[1])
    assert data["columns"][data["rows"]["step"]] == [3, 4, 5, 6]


def test_explain_writes_a_file(kept, capsys):
    """What it prints; a folder that there is not is refused before the run."""
    capsys.readouterr()
    assert run_command(["explain", "g.yaml"]) == 0
    printed = capsys.readouterr().out
    assert run_command(["explain", "g.yaml", "-o", "lesson.txt"]) == 0
    assert capsys.readouterr().out == ""
    assert Path("lesson.txt").read_text() == printed
    for command in (["explain"], ["export", "--to", "python"], ["draw"]):
        assert run_command([command[0], "g.yaml", *command[1:], "-o", "nowhere/x.svg"]) == 2
        assert "there is no folder nowhere" in capsys.readouterr().err


def test_a_check_is_one_object(kept, capsys):
    """Of each file what was checked, and what is wrong with file, line, column and message."""
    Path("bad.yaml").write_text(BAD)
    Path("wrong.yaml").write_text(f"{NESTED}expect:\n  at: 0\n  values: {{f: 3}}\n")
    capsys.readouterr()
    assert run_command(["check", "--format", "json", "g.yaml", "bad.yaml", "wrong.yaml", "none.yaml"]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    good, bad, wrong, none = json.loads(out)["files"]
    counts = {"derivatives": 4, "skipped": 0, "gradient": 3, "expected": 0}
    assert good == {"file": "g.yaml", "ok": True, "checked": counts, "findings": []}
    assert [(f["line"], f["column"], f["message"]) for f in bad["findings"]] == [
        (3, 10, "input 'b' is unknown"),
        (4, 13, "node type 'ad' is unknown"),
    ]
    assert bad["findings"][1]["suggestion"] == "did you mean 'add' or 'pad'?"
    assert bad["checked"] is None
    (found,) = wrong["findings"]
    assert (found["file"], found["line"], found["column"]) == ("wrong.yaml", 7, 1)
    assert found["message"] == "expect at step 0: f is -4, not 3 within 1e-06"
    assert none["findings"] == [
        {"file": "none.yaml", "line": None, "column": None, "message": "there is no such file", "suggestion": ""}
    ]


@pytest.mark.campaign
def test_proofs_are_told_too(kept, capsys):
    """By type and outcome."""
    pytest.importorskip("sympy")
    capsys.readouterr()
    assert run_command(["check", "--prove", "--format", "json", "g.yaml"]) == 0
    proofs = json.loads(capsys.readouterr().out)["proofs"]
    assert {proof["type"]: proof["outcome"] for proof in proofs} == {"add": "proven", "multiply": "proven"}
