"""Everything that the documents show is run: graph files, commands with their output, and Python.

- A `yaml` block is a graph file: it is loaded, run and checked. Where its first line is a comment with a name that
  begins with ``wrong``, it must be refused.
- A `console` block holds commands, ``$ command``, each followed by its output. ``...`` stands for any text. A command
  succeeds, unless the next one is ``$ echo $?``.
- A `python` block is executed; with ``>>>`` it is a doctest. One that names a file of the package stands
  there as it is.
- A first line such as ``# line.yaml`` or ``# plugins/cube.py`` names the file that the block is; every block of a
  document sees all files of that document, beside copies of ``graphs/`` and ``plugins/``.
- A `toml` block is the part of the example of a distribution that it shows.
- An `sh` block is for the reader's own checkout and not run here: `.ci/run` does.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import pytest

import graphrun
from graphrun.check.check import check_graph
from graphrun.cli.entry import run_command

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    *("README.md", "graphs/README.md", "plugins/README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"),
    *sorted(f"{file.relative_to(ROOT)}" for file in (ROOT / "docs").rglob("*.md") if "generated" not in file.parts),
)
FENCE = re.compile(r"^```(\w*|\{[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONG = ("-m pytest", "new-node", "--prove", "--save digits", "# digits.yaml")
"""Commands that take seconds: their blocks are the campaign's. Each command is in both parts of tests of its own."""
LONGEST = ("--distributed", "graphs/*.yaml")
"""Commands that take a quarter of a minute: for a nightly run. The campaign tests processes and most lines."""
FILE_NAME = re.compile(r"# (\S+\.(?:yaml|py|toml))\n")


class Block(NamedTuple):
    """A fenced block of a document."""

    document: str
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it has one."""
        match = FILE_NAME.match(self.text)
        return match[1] if match else None


def blocks_of(document: str) -> Iterator[Block]:
    """Yield the blocks of a document."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        # In braces stands what Sphinx makes of a block.
        if match[1].startswith("{"):
            continue
        yield Block(document, text.count("\n", 0, match.start()) + 1, match[1], match[2])


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]


def in_language(language: str) -> pytest.MarkDecorator:
    """Parametrize a test by the blocks of a language, each called by its file and line."""
    blocks = [
        pytest.param(
            block,
            id=f"{block.document}:{block.line}",
            marks=[
                mark
                for mark, parts in ((pytest.mark.campaign(seconds=5), LONG), (pytest.mark.nightly, LONGEST))
                if language != "python" and any(part in block.text for part in parts)
            ],
        )
        for block in BLOCKS
        if block.language == language
    ]
    return pytest.mark.parametrize("block", blocks)


@pytest.fixture
def folder(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working folder with what a reader of the document has in his."""
    for name in ("graphs", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=not_described)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for other in blocks_of(block.document):
        if other.file is not None:
            file = tmp_path / other.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(other.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def not_described(folder: str, files: list[str]) -> set[str]:
    """Return what a reader has added to the examples: files that the page beside them does not name, and tests."""
    page = Path(folder, "README.md")
    text = page.read_text(encoding="utf-8") if page.is_file() else None
    return {
        file
        for file in files
        if file == "__pycache__"
        or (text is not None and file.endswith((".py", ".yaml")) and file.removeprefix("test_") not in text)
    }


@pytest.mark.slow
@in_language("yaml")
def test_graph_file_is_run_and_checked(block: Block, folder: Path) -> None:
    """A graph file in a document is a whole one, and holds what it expects."""
    name = block.file or "block.yaml"
    (folder / name).write_text(block.text, encoding="utf-8")
    if name.startswith("wrong"):
        with pytest.raises(graphrun.GraphrunError):
            graphrun.load(name)
        return
    graph = graphrun.load(name)
    graph.run()
    assert check_graph(graph).failures == []


@pytest.mark.slow
@in_language("console")
def test_commands_give_the_output_that_is_shown(block: Block, folder: Path) -> None:
    """A command gives what the document says, on stdout and stderr together."""
    commands = [part.partition("\n") for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE) if part]
    assert commands, "the block has no line that begins with '$ '"
    status = 0
    for position, (command, _, expected) in enumerate(commands):
        run = by_itself if PLAIN.fullmatch(command) else by_the_shell
        status, said = run(command, status)
        assert_same(said, expected.strip("\n") + "\n" if expected.strip() else "", command)
        told = position + 1 < len(commands) and commands[position + 1][0] == "echo $?"
        assert told or status == 0, f"{command} ended with the exit status {status}:\n{said}"


OF_MANY_NUMBERS = {"convolution", "garch", "nile", "oscillation", "reading"}
"""Examples whose check takes as long as that of all others: their lines are for a nightly run."""


@pytest.mark.campaign(seconds=10)
def test_the_page_of_the_examples_says_what_their_check_gives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line, and it has a line for each of them."""
    lines = re.findall(r"^graphs/.*?: ok .*$", (ROOT / "graphs/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    shown = {line.partition(":")[0]: line for line in lines}
    assert list(shown) == sorted(f"graphs/{file.name}" for file in ROOT.glob("graphs/*.yaml"))
    files = [file for file in shown if Path(file).stem not in OF_MANY_NUMBERS]
    monkeypatch.chdir(ROOT)
    assert run_command(["check", *files]) == 0
    assert capsys.readouterr().out.splitlines() == [shown[file] for file in files]


PLAIN = re.compile(r"graphrun [\w ./=,:-]+")
"""A command in which the shell has nothing to do: it is run in this process, which saves its start."""


def by_itself(command: str, _: int) -> tuple[int, str]:
    """Run a plain command; return its status, and what it says on stdout and stderr."""
    with TemporaryFile("w+", encoding="utf-8") as file, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        with redirect_stdout(file), redirect_stderr(file):
            status = run_command(command.split()[1:])
        file.seek(0)
        return status, file.read()


def by_the_shell(command: str, before: int) -> tuple[int, str]:
    """Run a command after one that ended with a status; return its own, and what it says on stdout and stderr."""
    result = subprocess.run(
        ["bash", "-c", f"(exit {before}); {command}"],  # noqa: S607 (the reader's shell)
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    return result.returncode, result.stdout


def environment() -> dict[str, str]:
    """Return the environment of a reader's terminal, where `graphrun` is the one under test."""
    scripts = sysconfig.get_path("scripts")
    own = {n: value for n, value in os.environ.items() if not n.startswith("PYTEST_") and n != "PYTHONUNBUFFERED"}
    return {**own, "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")]), "COLUMNS": "120"}


def assert_same(actual: str, expected: str, command: str) -> None:
    """Compare the output of a command with the document, line ends without blanks."""
    actual = "".join(f"{line.rstrip()}\n" for line in actual.strip("\n").splitlines())
    if not doctest.OutputChecker().check_output(expected, actual, doctest.ELLIPSIS):
        pytest.fail(f"$ {command}\n{actual}\n--- but the document says:\n{expected}", pytrace=False)


@in_language("python")
@pytest.mark.usefixtures("folder")
def test_python_is_executed(block: Block) -> None:
    """Python in a document runs, and gives what a doctest says."""
    if block.file is not None and block.file.startswith("graphrun/"):
        shown = block.text.partition("\n")[2].strip()
        assert shown in (ROOT / block.file).read_text(encoding="utf-8")
        return
    name = f"{block.document}:{block.line}"
    names = {"__name__": "example", "__file__": str(Path(block.file or "example.py").absolute())}
    if ">>> " not in block.text:
        exec(compile(block.text, name, "exec"), names)  # noqa: S102 (the document is ours)
        return
    test = doctest.DocTestParser().get_doctest(block.text, names, name, block.document, block.line)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)


@in_language("toml")
def test_toml_is_part_of_the_example(block: Block) -> None:
    """What a document shows of a distribution is what the example of one has."""
    shown = tomllib.loads(block.text)
    example = tomllib.loads((ROOT / "plugins" / "example_distribution" / "pyproject.toml").read_text(encoding="utf-8"))
    assert shown["project"].items() <= example["project"].items()


def test_only_the_set_up_is_not_run_here() -> None:
    """Every block is run, but for the commands that `.ci/run` runs, and what follows on them."""
    assert {block.language for block in BLOCKS} <= {"yaml", "console", "python", "sh", "toml"}
    assert [block.document for block in BLOCKS if block.language == "sh"] == [
        "README.md",
        "README.md",
        "CONTRIBUTING.md",
    ]
