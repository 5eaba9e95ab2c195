"""`graphrun draw`: files and stdout, values at a step, and every mistake with its message."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lesson import GRAPHS

from graphrun.cli.entry import run_command

NESTED = str(GRAPHS / "nested.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        ("svg", b"<svg "),
        ("png", b"\x89PNG"),
        ("pdf", b"%PDF"),
        ("dot", b"digraph {"),
        ("mmd", b"flowchart LR"),
        ("SVG", b"<svg "),
    ],
)
def test_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, start: bytes) -> None:
    """The suffix says the format; nothing is printed."""
    target = tmp_path / f"out.{suffix}"
    assert run_command(["draw", NESTED, "-o", str(target), "--step", "1"]) == 0
    assert target.read_bytes().startswith(start)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("output", [[], ["-o", "-"]])
@pytest.mark.parametrize(("picture_format", "start"), [("svg", "<svg "), ("dot", "digraph {"), ("mmd", "flowchart")])
def test_stdout(capsys: pytest.CaptureFixture[str], output: list[str], picture_format: str, start: str) -> None:
    """Texts go to stdout without a file."""
    assert run_command(["draw", NESTED, *output, "--format", picture_format]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(start)
    assert err == ""


def test_dot_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file and a format, DOT goes to stdout, with overrides in place and the step's values."""
    assert run_command(["draw", NESTED, "--set", "parameters.a=7", "--step", "0"]) == 0
    assert '<font color="#005a8c"><b>-8</b></font>' in capsys.readouterr().out


def test_depth_and_direction(capsys: pytest.CaptureFixture[str]) -> None:
    """What is folded is said on stderr; the direction is as asked for."""
    file = str(GRAPHS / "formula.yaml")
    assert run_command(["draw", file, "--depth", "0", "--direction", "down", "--format", "mmd"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("flowchart TB")
    assert "subgraph" not in out
    assert err == "8 values are folded into 2 boxes; --depth 1 opens more\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["-o", "out.gif"], 2, "the suffix '.gif' is none of .svg, .dot, .mmd, .png, .pdf"),
        (["-o", "out.svgz"], 2, "did you mean .svg?"),
        (["-o", "out"], 2, "'out' has no suffix"),
        (["-o", "/no/such/folder/out.svg"], 2, "there is no folder /no/such/folder"),
        (["--format", "png"], 2, "a png goes to a file"),
        (["--step", "-1"], 2, "'-1' is not a whole number of 0 or more"),
        (["--set", "parameters.q=1"], 2, "parameters.q"),
    ],
)
def test_mistakes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    """Each mistake has its message and its status, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    assert run_command(["draw", NESTED, *arguments]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture says what to install; texts need nothing."""
    for module, suffix in (("resvg_py", "png"), ("fpdf", "pdf")):
        monkeypatch.setitem(sys.modules, module, None)
        assert run_command(["draw", NESTED, "-o", str(tmp_path / f"g.{suffix}")]) == 2
        assert "pip install 'graphrun[draw]'" in capsys.readouterr().err
    for suffix in ("svg", "dot", "mmd"):
        assert run_command(["draw", NESTED, "-o", str(tmp_path / f"g.{suffix}")]) == 0


def test_too_much_for_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture that would take minutes is refused, with the ways out; a text has every box."""
    monkeypatch.setattr("graphrun.show.draw.formats.MOST_PLACED", 4)
    assert run_command(["draw", NESTED, "-o", str(tmp_path / "g.svg")]) == 2
    assert "5 boxes are too many for a picture" in capsys.readouterr().err
    assert run_command(["draw", NESTED, "-o", str(tmp_path / "g.dot")]) == 0
