"""What plugins add beside node types: readers of data files, languages, formats of drawings, commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.cli.entry import run_command

HEAD = "import click\nimport numpy as np\nimport graphrun\n\n"
GRAPH = "data: {file: rows.two}\nparameters: {w: 1}\nnodes: {f: mean((w * x - y) ** 2)}\nminimize: f\nupdate: {}\n"
READER = '''
@graphrun.hookimpl
def graphrun_readers():
    """Read numbers in two columns."""
    return {".two": read}
'''

Write = Callable[[str], None]


@pytest.fixture(autouse=True)
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return what writes the plugin of a project, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text('[tool.graphrun]\nplugins = ["plugins"]\n', encoding="utf-8")
    Path("plugins").mkdir()
    Path("g.yaml").write_text(GRAPH, encoding="utf-8")
    Path("rows.two").write_text("1 2\n2 4.5\n", encoding="utf-8")
    return lambda text: Path("plugins/extra.py").write_text(HEAD + text, encoding="utf-8") and None


READ = "def read(path):\n    return dict(zip('xy', np.loadtxt(path, ndmin=2).T))\n"


def test_a_reader_feeds_runs_predictions_and_other_files(write: Write) -> None:
    """Wherever a file of rows may stand: in the section, in --data, as held-back rows, in a checkpoint's graph."""
    write(READ + READER)
    loss = np.mean([1.0, 2.5**2])
    graph = graphrun.load("g.yaml")
    assert graph.run(steps=0).objective.value == pytest.approx(loss)
    graph.run(steps=1, save="part.safetensors")
    assert [len(piece["f.1"]) for piece in graph.predict("part.safetensors", ["f.1"])] == [2]
    Path("other.two").write_text("1 1\n", encoding="utf-8")
    assert graphrun.load("g.yaml", data="other.two").run(steps=0).objective.value == 0
    Path("plain.csv").write_text("x,y\n1,3\n", encoding="utf-8")
    assert graphrun.load("g.yaml", data="plain.csv").run(steps=0).objective.value == 4
    held = GRAPH.replace("rows.two", "plain.csv, holdout: {file: rows.two}")
    run = graphrun.loads(held).run(steps=0)
    assert run.holdout["f"] == pytest.approx(loss)


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("", "g.yaml:1:14: 'rows.two' is no data file"),
        (
            "def read(path):\n    raise ValueError('line 3 is odd')\n" + READER,
            "rows.two: the file cannot be read: line 3",
        ),
        ("def read(path):\n    raise SystemExit('gone')\n" + READER, "rows.two: the file cannot be read: gone"),
        ("def read(path):\n    return None\n" + READER, "rows.two: the reader of a plugin gave no columns"),
        ("def read(path):\n    return {}\n" + READER, "rows.two: the reader of a plugin gave no columns"),
        ("def read(path):\n    return {'x': [1], 'y': [1, 2]}\n" + READER, "differ in their numbers of rows"),
        ("def read(path):\n    return {'x': [1, 2], 'y': [object(), 2]}\n" + READER, "holds Python objects"),
        ("def read(path):\n    return {'x': [1, 2], 'y': [float('nan'), 2]}\n" + READER, "'y' is not finite: nan"),
        ("def read(path):\n    return {'x': [1, 2], 'z': [1, 2]}\n" + READER, "'y'"),
        (READ + READER.replace('".two"', '"two"'), "which is no suffix in small letters"),
    ],
)
def test_a_reader_that_fails_is_told(write: Write, plugin: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the file, and no traceback."""
    write(plugin)
    assert run_command(["g.yaml"]) in {1, 2}
    seen = capsys.readouterr().err
    if "small letters" in told:
        run_command(["plugins"])
        seen = capsys.readouterr().out
    assert told in seen
    assert "Traceback" not in seen


LESSON = "parameters: {a: 5, b: -3, c: -2}\nnodes: {d: a + b, f: d * c}\nmaximize: f\n"


def test_a_language_and_a_format(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """On the command line and from Python; texts and bytes."""
    Path("lesson.yaml").write_text(LESSON, encoding="utf-8")
    write(
        "@graphrun.hookimpl\ndef graphrun_languages():\n"
        "    return {'names': lambda g: ' '.join(g.document.nodes), 'odd': lambda g: 1, 'bad': lambda g: 1 / 0,\n"
        "        'end': lambda g: exit(3)}\n"
        "@graphrun.hookimpl\ndef graphrun_drawings():\n    return {'.raw': lambda svg: svg.encode()[::-1]}\n"
    )
    graph = graphrun.load("lesson.yaml")
    assert graph.export("names") == "d f"
    assert graph.draw("lesson.raw")[::-1].startswith(b"<svg")
    assert Path("lesson.raw").read_bytes() == graph.draw(format="raw")
    assert run_command(["export", "lesson.yaml", "--to", "names"]) == 0
    assert capsys.readouterr().out == "d f"
    assert run_command(["draw", "lesson.yaml", "-o", "other.raw"]) == 0
    assert Path("other.raw").read_bytes()[::-1] == graph.draw().encode()
    for arguments, status, told in (
        (
            ["export", "--to", "nams"],
            2,
            "none of the languages c, javascript, latex, python, onnx, yaml, bad, end, names, odd",
        ),
        (["export", "--to", "nams"], 2, "did you mean names?"),
        (["export", "--to", "names", "--steps", "3"], 2, "--steps is not for --to names"),
        (["export", "--to", "odd"], 1, "export to odd failed: the plugin gave"),
        (["export", "--to", "bad"], 1, "export to bad failed: ZeroDivisionError"),
        (["export", "--to", "end"], 1, "export to end failed: SystemExit: 3"),
        (
            ["draw", "-o", "x.rwa"],
            2,
            "the suffix '.rwa' is none of .svg, .dot, .mmd, .png, .pdf, .raw; did you mean .raw?",
        ),
    ):
        assert run_command([arguments[0], "lesson.yaml", *arguments[1:]]) == status
        assert told in capsys.readouterr().err


def test_a_command(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """It is called, listed and meant by who misspells it; a built-in one stays what it is."""
    write(
        "@click.command()\n@click.argument('word')\ndef shout(word):\n    '''Say it loud.'''\n"
        "    click.echo(word.upper())\n"
        "@graphrun.hookimpl\ndef graphrun_commands():\n    return {'shout': shout, 'check': shout}\n"
    )
    assert run_command(["shout", "hey"]) == 0
    assert capsys.readouterr().out == "HEY\n"
    assert run_command(["--help"]) == 0
    assert "shout  Say it loud." in capsys.readouterr().out
    assert run_command(["shuot", "hey"]) == 2
    assert "did you mean the command 'shout'?" in capsys.readouterr().err
    assert run_command(["check", "hey"]) == 2


@pytest.mark.parametrize("hook", ["commands", "readers", "languages", "drawings"])
def test_what_is_no_mapping_of_functions_is_refused(
    write: Write, hook: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plugin fails, which is told, and stops nothing else."""
    wrong = [("[1]", "which is no mapping of names"), ("{'.x': 1}", "where a name leads to what is called")]
    if hook == "commands":
        wrong += [("{'x': print}", "leads to a click.Command"), ("{'a b': click.Command('x')}", "where a word leads")]
    for made, told in wrong:
        write(f"@graphrun.hookimpl\ndef graphrun_{hook}():\n    return {made}\n")
        assert run_command(["plugins"]) == 0
        assert told in capsys.readouterr().out
        Path("lesson.yaml").write_text(LESSON, encoding="utf-8")
        assert run_command(["lesson.yaml", "-q"]) == 0
        capsys.readouterr()
