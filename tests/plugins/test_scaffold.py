"""`graphrun new-node`: a plugin that works and a test that passes, ready to edit."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import graphrun
from graphrun.cli.entry import run_command


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("name", "option", "leaf"), [("cube", [], "3"), ("total_square", ["--tensor"], "[3, 4]"), ("θ2", [], "3")]
)
def test_a_new_type_passes_its_test_and_runs(
    name: str, option: list[str], leaf: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plugin runs in a graph, passes `graphrun check`, and its own test passes with warnings as errors."""
    assert run_command(["new-node", name, *option, "-o", "mine"]) == 0
    assert capsys.readouterr().out == f"mine/{name}.py\nmine/test_{name}.py\n"
    Path("graph.yaml").write_text(
        f"parameters: {{x: {leaf}}}\nnodes: {{f: {{type: {name}, inputs: [x]}}}}\nminimize: f\n", encoding="utf-8"
    )
    assert run_command(["check", "graph.yaml", "--plugins", "mine"]) == 0
    assert graphrun.load("graph.yaml", plugins=["mine"]).run().error is None
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "mine"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
def test_the_new_test_finds_a_wrong_derivative() -> None:
    """With the derivative edited to be wrong, the generated test fails and names type and input."""
    assert run_command(["new-node", "cube", "-o", "."]) == 0
    plugin = Path("cube.py")
    plugin.write_text(plugin.read_text(encoding="utf-8").replace("2 * scale * x", "2.001 * scale * x"), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_cube.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "cube(scale=1.0): the derivative for 'x'" in done.stdout


@pytest.mark.parametrize("exists", ["cube.py", "test_cube.py"])
def test_nothing_is_overwritten(exists: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where one of the two files is there, neither is written."""
    Path(exists).write_text("mine", encoding="utf-8")
    assert run_command(["new-node", "cube", "-o", "."]) == 2
    assert f"{exists} is there already" in capsys.readouterr().err
    assert [file.name for file in Path().iterdir()] == [exists]
    assert Path(exists).read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "name",
    [
        "a-b",
        "2x",
        "a b",
        "a.b",
        "../a",
        "/a",
        "-",
        "--",
        "",
        "class",
        "None",
        "null",
        "true",
        "_a",
        "test_a",
        "sum_",
        "graphrun",
        "graphrun_node_types",
        "conftest",
        "copy",
        "numpy",
    ],
)
def test_names_that_would_not_work(name: str, folder: Path) -> None:
    """A name that Python, YAML, pytest or graphrun reads otherwise is refused, and nothing is written."""
    assert run_command(["new-node", name]) == 2
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["relu", "sum", "multiply"])
def test_a_name_that_is_taken(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A type that is there already is told with its file."""
    assert run_command(["new-node", name]) == 2
    assert f"the node type {name!r} is there already, in " in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_new_type_is_made_where_the_project_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without -o it goes to the first folder that the project names, else to the working folder."""
    assert run_command(["new-node", "cube"]) == 0
    assert Path("cube.py").exists()
    Path("pyproject.toml").write_text('[tool.graphrun]\nplugins = ["kept", "other"]\n', encoding="utf-8")
    assert run_command(["new-node", "quartic"]) == 0
    assert Path("kept/quartic.py").exists()
    monkeypatch.chdir("kept")
    assert run_command(["new-node", "quartic"]) == 2


def test_a_place_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that cannot be made is an error with status 1, without a traceback."""
    Path("file").touch()
    assert run_command(["new-node", "cube", "-o", "file"]) == 1
    assert "the plugin cannot be written" in capsys.readouterr().err


@pytest.mark.campaign
@pytest.mark.parametrize("option", [[], ["--tensor"]])
def test_a_new_distribution_passes_its_own_tests(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On every engine that is installed, and its metadata can be read."""
    assert run_command(["new-plugin", "cube_root", *option]) == 0
    files = capsys.readouterr().out.split()
    folder = Path("graphrun-cube-root")
    assert set(files) == {str(file) for file in folder.rglob("*") if file.is_file()}
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"] == {"graphrun": {"cube_root": "graphrun_cube_root"}}
    assert (folder / "example.yaml").read_text(encoding="utf-8") in (folder / "README.md").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stdout
    assert f"{3 if option else 4} passed" in done.stdout


@pytest.mark.parametrize("name", ["θ2", "a-b", "relu"])
def test_names_that_no_distribution_can_have(name: str, folder: Path) -> None:
    """They are refused, and nothing is written."""
    assert run_command(["new-plugin", name]) == 2
    assert list(folder.iterdir()) == []
