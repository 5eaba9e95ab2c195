"""Files that commands write: whole or not at all, where they were named and nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from lesson import NESTED

from graphrun.cli.entry import run_command

COMMANDS = {
    "run.safetensors": ["run", "g.yaml", "-q", "--save", "{}"],
    "page.html": ["report", "g.yaml", "-q", "-o", "{}"],
    "picture.svg": ["draw", "g.yaml", "-o", "{}"],
    "picture.dot": ["draw", "g.yaml", "-o", "{}"],
    "program.py": ["export", "g.yaml", "--to", "python", "-o", "{}"],
    ".graphrun-schema.json": ["schema", "--init", "g.yaml"],
}
FOLLOWS = "run.safetensors"
"""Of a checkpoint the name may be a link to a larger disk: who wrote --save made it."""

Run = Callable[[str], int]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working folder, and one beside it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("g.yaml").write_text(NESTED, encoding="utf-8")
    return tmp_path


def run(name: str) -> int:
    """Run the command that writes this file."""
    return run_command([word.format(name) for word in COMMANDS[name]])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_is_written_whole_or_not_at_all(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the disk is full, the old file stays, and nothing is left beside it."""
    Path(name).write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert run(name) == 1
    assert "cannot be written: No space left on device" in capsys.readouterr().err
    assert Path(name).read_text(encoding="utf-8") == "old"
    assert {file.name for file in Path().iterdir()} == {"g.yaml", name}
    assert run(name) == 0
    assert Path(name).read_bytes() != b"old"
    assert {file.name for file in Path().iterdir()} == {"g.yaml", name}


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {FOLLOWS}))
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_that_leads_elsewhere_is_not_followed(
    name: str, is_there: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written at its end, be there something or not; the message says where it leads."""
    end = folder / "elsewhere" / "precious"
    if is_there:
        end.write_text("old", encoding="utf-8")
    Path(name).symlink_to(end)
    assert run(name) == 1
    message = capsys.readouterr().err
    assert f"{name} cannot be written: it is a link to {end}" in message
    assert (end.read_text(encoding="utf-8") if end.exists() else None) == ("old" if is_there else None)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_link_within_the_folder_stays_one(name: str) -> None:
    """What it leads to is written."""
    Path(name).symlink_to(f"other-{name}")
    assert run(name) == 0
    assert Path(name).is_symlink()
    assert Path(f"other-{name}").stat().st_size


def test_the_graph_file_is_an_output_of_schema(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line that connects a graph file with the schema is not written through a link either."""
    end = folder / "elsewhere" / "other.yaml"
    end.write_text(NESTED, encoding="utf-8")
    Path("linked.yaml").symlink_to(end)
    assert run_command(["schema", "--init", "linked.yaml"]) == 1
    assert "it is a link to" in capsys.readouterr().err
    assert end.read_text(encoding="utf-8") == NESTED
    assert [file.name for file in (folder / "elsewhere").iterdir()] == ["other.yaml"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a named pipe")
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a ring", "a device"])
def test_what_is_no_regular_file_is_left_alone(
    name: str, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe, a folder, a device: each is refused, and still there afterwards."""
    if kind == "a pipe":
        os.mkfifo(name)
    elif kind == "a folder":
        Path(name).mkdir()
    elif kind == "a ring":
        Path(name).symlink_to(name)
    else:
        Path("device").symlink_to("/dev/null")
        Path(name).symlink_to("device")
    before = stat.S_IFMT(Path(name).lstat().st_mode)
    assert run(name) == 1
    assert "cannot be written: " in capsys.readouterr().err
    assert stat.S_IFMT(Path(name).lstat().st_mode) == before
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
