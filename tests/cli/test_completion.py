"""Completion in the shell: click is asked as the shells' scripts ask it, and a real bash asks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphrun.cli.entry import commands, run_command

BASH = shutil.which("bash")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working folder with two graph files, and a program `graphrun` on the path."""
    for name in ("nested.yaml", "line.yml", "notes.txt", ".hidden.yaml"):
        (tmp_path / name).touch()
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "graphrun"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m graphrun "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """Return a function from a command line to what is offered at its end, as ``type,value``."""

    def offered(line: str) -> list[str]:
        position = len(line.split()) - (not line.endswith(" "))
        asked = {"_GRAPHRUN_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(position)}
        with monkeypatch.context() as patch:
            for name, value in asked.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                run_command([])
        assert ended.value.code == 0
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.split()

    return offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("graphrun ne", ["plain,new-node", "plain,new-plugin", "plain,nested.yaml"]),
        ("graphrun line", ["file,line"]),
        ("graphrun graphs/n", ["file,graphs/n"]),
        ("graphrun run ne", ["file,ne"]),
        ("graphrun check ne", ["file,ne"]),
        ("graphrun schema --init ne", ["file,ne"]),
        ("graphrun nested.yaml --format js", ["plain,json", "plain,jsonl"]),
        ("graphrun nested.yaml --engine n", ["plain,numpy", "plain,numba"]),
        ("graphrun nested.yaml --plugins p", ["dir,p"]),
        ("graphrun nested.yaml --ste", ["plain,--steps"]),
        ("graphrun --ste", ["plain,--steps"]),
        ("graphrun --steps 3 ne", ["file,ne"]),
        ("graphrun nodes leak", ["plain,leaky_relu"]),
        ("graphrun nodes sg", ["plain,sgd"]),
        ("graphrun completion ", ["plain,bash", "plain,zsh", "plain,fish"]),
        ("graphrun chekc ne", []),
    ],
)
def test_words_are_offered(line: str, offered: list[str], complete: Callable[[str], list[str]]) -> None:
    """Commands, files, options, their choices and node types are offered where they can stand."""
    assert complete(line) == offered


def test_every_command_is_offered(complete: Callable[[str], list[str]]) -> None:
    """At the beginning, all commands and the graph files of the working folder are offered."""
    files = ["plain,nested.yaml", "plain,line.yml"]
    assert sorted(complete("graphrun ")) == sorted([*(f"plain,{name}" for name in commands.commands), *files])


def test_completing_a_word_opens_no_plugin(complete: Callable[[str], list[str]]) -> None:
    """Neither of a folder that the line names, nor of one that the project names: their code was not asked for."""
    Path("mine").mkdir()
    Path("mine/thrice.py").write_text("open('opened', 'w').close()\n", encoding="utf-8")
    Path("pyproject.toml").write_text('[tool.graphrun]\nplugins = ["mine"]\n', encoding="utf-8")
    assert complete("graphrun nodes thr") == []
    assert complete("graphrun nodes --plugins mine leak") == ["plain,leaky_relu"]
    assert not Path("opened").exists()


@pytest.mark.campaign
@pytest.mark.skipif(BASH is None, reason="bash is not on the path")
@pytest.mark.parametrize(
    ("words", "offered"), [(["nodes", "leak"], ["leaky_relu"]), (["ne"], ["new-node", "new-plugin", "nested.yaml"])]
)
def test_bash_completes(words: list[str], offered: list[str]) -> None:
    """The script works in bash: it defines a function that fills in what it offers."""
    asked = f"""\
eval "$(graphrun completion bash)"
COMP_WORDS=(graphrun {" ".join(words)})
COMP_CWORD={len(words)}
_graphrun_completion graphrun
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p graphrun
"""
    finished = subprocess.run([str(BASH), "-c", asked], capture_output=True, text=True, check=True)
    assert finished.stdout.split("\n")[:-1] == [*offered, "complete -o nosort -F _graphrun_completion graphrun"]
    assert finished.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_printed(shell: str) -> None:
    """The script is click's own, for this program."""
    finished = subprocess.run(["graphrun", "completion", shell], capture_output=True, text=True, check=True)  # noqa: S607
    assert f"_GRAPHRUN_COMPLETE={shell}_complete" in finished.stdout


@pytest.mark.slow
def test_plain_run_imports_nothing_of_it(folder: Path) -> None:
    """Neither completion nor the schema costs a run anything."""
    (folder / "nested.yaml").write_text("nodes: {f: {type: add, inputs: [1, 2]}}\n", encoding="utf-8")
    code = "import sys, graphrun.cli.entry as cli; cli.run_command(['nested.yaml']); print(list(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for module in ("completion", "schema", "modeline"):
        assert f"'graphrun.{module}'" not in finished.stdout
    assert "'graphrun.run.loop'" in finished.stdout
