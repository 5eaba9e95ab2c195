"""What was written for version 1 keeps working: graph files, a plugin, a checkpoint, names, hooks, options, statuses.

The files of `version_1` are never changed. `course.json` is what they gave when they were written.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.cli.entry import commands, run_command

FOLDER = Path(__file__).parent / "version_1"
COURSE = json.loads((FOLDER / "course.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", COURSE)
def test_a_graph_file_means_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads, keeps what it expects, and its run ends at the same numbers: draws and batches are the same too."""
    monkeypatch.chdir(FOLDER)
    graph = graphrun.load(name, plugins=["plugins"])
    assert not graph.check().failures
    result = graph.run(engine="numpy")
    assert result.parameters.keys() == COURSE[name].keys()
    for parameter, value in COURSE[name].items():
        np.testing.assert_allclose(result.parameters[parameter], value, rtol=1e-7, atol=1e-9)


def test_a_checkpoint_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was saved halfway goes on, and ends where the whole one does."""
    monkeypatch.chdir(FOLDER)
    result = graphrun.load("rows.yaml").run(resume="rows_15.safetensors", engine="numpy")
    for parameter, value in COURSE["rows.yaml"].items():
        np.testing.assert_allclose(result.parameters[parameter], value, rtol=1e-7)


PUBLIC = json.loads((FOLDER / "names.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", PUBLIC["modules"])
def test_names_of_python_stay(module: str) -> None:
    """All that could be imported can be."""
    assert set(PUBLIC["modules"][module]) <= set(importlib.import_module(module).__all__)


@pytest.mark.parametrize("command", PUBLIC["options"])
def test_commands_and_their_options_stay(command: str) -> None:
    """No script that names one breaks."""
    known = {name for option in commands.commands[command].params for name in option.opts}
    assert set(PUBLIC["options"][command]) <= known


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("parameters: {a: 1}\nnodes: {f: a ** 2}\nminimize: f\n", 0),
        ("parameters: {a: 0}\nnodes: {f: 1 / a}\nminimize: f\n", 1),
        ("parameters: {a: 1}\nnodes: {f: b}\n", 2),
    ],
)
def test_statuses_stay(text: str, status: int, tmp_path: Path) -> None:
    """0 done, 1 the run failed, 2 the file is wrong."""
    file = tmp_path / "g.yaml"
    file.write_text(text, encoding="utf-8")
    assert run_command([str(file), "-q"]) == status
