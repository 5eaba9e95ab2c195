"""Names that a graph file, its folder, its data and its plugins may have stay texts in every language that is written.

What each writer gives is read by a parser of that language, or run.
"""

from __future__ import annotations

import ast
import builtins
import csv
import io
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from languages import assert_is_latex, assert_is_mermaid

import graphrun
from graphrun.cli.entry import run_command

FILES = [
    '"""; import builtins; builtins.planted = 1; """.yaml',
    "a\nimport builtins; builtins.planted = 1\n#.yaml",
    "a\rbuiltins.planted = 1\u2028\x85\x0c.yaml",
    "\\\"\"\"\nplanted = 1 #'''.yaml",
    "ends with a backslash\\.yaml\\",
    "<title><script>planted() ]]> --> & %%{init} #quot; $$x$$ fa:fa-ban.yaml",
    "\u202egnp.\u2066\x1b[31m\x9b2J\x07.yaml",
    "$(touch planted) `touch planted`; touch planted.yaml",
    "\\input{planted} \\end{align*} % {.yaml",
    "=cmd|' planted'!A1,\",\".yaml",
]
MIXED = ["".join(name.removesuffix(".yaml") for name in part) + ".yaml" for part in (FILES[:5], FILES[5:])]
DESCRIPTION = '"""\n</script><b>&amp;\n# planted\n\x1b]0;x\x07\u202e'
NAMES = ["__debug__", "__import__", "print", "exp", "steps", "t1", "df_df", "lambda_", "θ", "重み", "end", "graph"]
TEXT = '\'"</text><b>&#x41;|\\N\\input{x}`$x$\n"""\x1b[2J\u202e'

PLUGIN = """\
'''A plugin.'''
import graphrun


@graphrun.elementwise
def print_(xp, x, *, text: str = "a"):
    '''</script> \x1b[31m The identity.'''
    return x * 1.0


@print_.local_derivatives
def _(xp, y, x, *, text):
    return (xp.ones_like(x),)


@graphrun.hookimpl
def graphrun_node_types():
    return [print_]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with a plugin."""
    monkeypatch.chdir(tmp_path)
    plugins = tmp_path / "plug\x1b[1mins\u202e"
    plugins.mkdir()
    (plugins / "\u2066<b>\x1b.py").write_text(PLUGIN, encoding="utf-8")
    return tmp_path


def write(file: str, **more: Any) -> str:
    """Write a graph of hostile names under a hostile name, as far as the system takes it."""
    total = " + ".join(NAMES)
    graph: dict[str, Any] = {"description": DESCRIPTION, "parameters": dict.fromkeys(NAMES, 0.5)}
    graph["nodes"] = {"s": {"type": "print", "inputs": [NAMES[0]], "text": TEXT}, "f": f"(s + {total}) ** 2"}
    graph |= {"minimize": "f", "steps": 2}
    Path(file).write_text(yaml.safe_dump(graph | more, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


@pytest.fixture
def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what runs a command and gives its output, in which nothing may steer a terminal."""

    def run(*arguments: str, status: int = 0) -> str:
        assert run_command([*arguments, "--plugins", str(next(folder.glob("plug*")))]) == status
        out, err = capsys.readouterr()
        for text in (out, err):
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", text), text
        return str(out)

    return run


@pytest.mark.parametrize("file", FILES, ids=range(len(FILES)))
def test_python(file: str, shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is one docstring and assignments, and runs nothing that a name says."""
    monkeypatch.setattr(builtins, "planted", 0, raising=False)
    text = shown("export", write(file), "--to", "python")
    tree = ast.parse(text)
    assert "is minimized by sgd" in (ast.get_docstring(tree) or "")
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))
    exec(compile(tree, "exported", "exec"), {})  # noqa: S102 (our own output)
    assert builtins.planted == 0  # type: ignore[attr-defined]


@pytest.mark.campaign
@pytest.mark.parametrize("file", MIXED, ids=range(len(MIXED)))
@pytest.mark.parametrize("language", ["c", "javascript"])
def test_compiled(file: str, language: str, shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler and Node take the text; it prints the numbers by their names, and does nothing else."""
    monkeypatch.setattr(f"{__name__}.NAMES", [*NAMES, "__proto__", "constructor"])
    text = shown("export", write(file), "--to", language)
    if language == "c":
        Path("program.c").write_text(text, encoding="utf-8")
        warnings = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
        subprocess.run(["cc", *warnings, "program.c", "-o", "program", "-lm"], check=True)  # noqa: S607
        command = ["./program"]
    else:
        Path("program.mjs").write_text(f"{text}main();", encoding="utf-8")
        command = ["node", "program.mjs"]
    printed = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    result = graphrun.load(file, plugins=next(Path().glob("plug*"))).run()
    found = dict(line.split(" = ", 1) for line in printed.splitlines())
    assert set(found) >= {*NAMES, "f"}
    assert all(float(found[name]) == pytest.approx(result.parameters[name], rel=1e-12) for name in NAMES)
    assert not Path("planted").exists()


class Page(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        assert not any(name.startswith("on") for name, _ in attrs)
        self.tags.add(tag)


@pytest.mark.parametrize("file", MIXED, ids=range(len(MIXED)))
def test_html(file: str, shown: Any) -> None:
    """Pages have the elements that they have for any other graph."""
    for arguments in (["explain", "--format", "html"], ["explain", "--format", "html", "--sensitivity"]):
        assert Page(shown(*arguments, write(file))).tags.isdisjoint({"b", "script"})
    shown("report", write(file), "-o", "page.html", "-q")
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script>") == 3
    assert "b" not in Page(page).tags


@pytest.mark.parametrize("file", MIXED, ids=range(len(MIXED)))
def test_drawings(file: str, shown: Any) -> None:
    """A drawing is well-formed, and its boxes are those of the graph."""
    names = {*NAMES, "s", "f"}
    ET.fromstring(shown("draw", write(file), "--format", "svg"))  # noqa: S314 (our own output)
    pygraphviz = pytest.importorskip("pygraphviz")
    read = pygraphviz.AGraph(string=shown("draw", file, "--format", "dot", "--depth", "9"))
    assert names <= set(read.nodes())
    assert_is_mermaid(shown("draw", file, "--format", "mmd", "--depth", "9"))


@pytest.mark.parametrize("file", MIXED, ids=range(len(MIXED)))
def test_latex_and_markdown(file: str, shown: Any) -> None:
    """What LaTeX reads as commands, and Markdown as markup, is escaped."""
    page = shown("explain", write(file), "--format", "latex")
    assert_is_latex(page)
    assert "\\input" not in page
    assert not re.search(r"(?<!\\)%(?! needs)", page)
    markdown = shown("explain", file, "--format", "markdown")
    assert not re.search(r"(?<![\\`])<(?:script|b|/title)>", re.sub("`[^`]*`", "", markdown))


@pytest.mark.parametrize("file", MIXED, ids=range(len(MIXED)))
def test_data_formats(file: str, shown: Any) -> None:
    """CSV, JSON and YAML give the names back as they are."""
    names = [*NAMES, "f"]
    header, *rows = csv.reader(io.StringIO(shown(write(file), "--format", "csv", "-q")))
    assert set(header) == {"step", *names}
    assert all(len(row) == len(header) for row in rows)
    result = json.loads(shown(file, "--format", "json", "-q"))
    assert result["graph"] == file
    assert set(result["parameters"]) == set(NAMES)
    for line in shown(file, "--format", "jsonl", "-q").splitlines():
        assert set(json.loads(line)) == {"step", *names}
    again = yaml.safe_load(shown("show", file, "--format", "yaml"))
    assert again["nodes"]["s"]["text"] == TEXT
    assert again["description"] == DESCRIPTION


@pytest.mark.slow
@pytest.mark.parametrize("file", MIXED, ids=range(len(MIXED)))
@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "-v"],
        ["check"],
        ["show", "--format", "table"],
        ["show", "--plan"],
        ["show", "--plan", "--format", "json"],
        ["explain"],
        ["explain", "--node", "s"],
        ["profile", "--steps", "1"],
        ["diff", "other.yaml"],
    ],
    ids=" ".join,
)
def test_what_is_for_readers(file: str, arguments: list[str], shown: Any) -> None:
    """Nothing that a reader is shown steers the terminal."""
    if arguments[0] == "diff":
        write("other.yaml", description="", steps=2)
    shown(*arguments, write(file))


@pytest.mark.parametrize("arguments", [["nodes"], ["nodes", "print"], ["plugins"], ["schema"]], ids=" ".join)
def test_listings(arguments: list[str], shown: Any) -> None:
    """Neither does what a plugin or its file is called."""
    shown(*arguments)


@pytest.mark.parametrize("file", MIXED, ids=range(len(MIXED)))
def test_messages(file: str, shown: Any) -> None:
    """Neither does a message about a file, about what is in it, or about a word of the command line."""
    graph = write(file, nodes={"f": {"type": TEXT, "inputs": [TEXT]}})
    shown(graph, status=2)
    shown(f"no such {file}", status=2)
    shown("--bogus\x1b[2J\u202e", status=2)
    shown(write(file), "--set", f"{TEXT}=1", status=2)
    shown(write(file), "--data", f"no such {file}", status=2)
    shown(write(file), "--resume", file, status=2)
    shown(write(file), "--save", f"no such folder/{file}", status=1)
    shown(write(file), "--observe", f"{TEXT}={TEXT}", status=2)
    shown("draw", write(file), "-o", f"{file}.{TEXT.replace('/', '')}", status=2)
    shown(write(file, data={"file": file}), status=2)


def test_an_exception_is_printable(folder: Path) -> None:
    """From Python, too, where a traceback shows the text of an exception."""
    with pytest.raises(graphrun.GraphrunError) as caught:
        graphrun.load("no \x1b[31m\u202efile.yaml")
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    assert "\x1b" not in str(caught.value)
