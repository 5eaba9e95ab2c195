"""Processes that watch a file in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Watched:
    """A process that watches a file.

    Attributes:
        address: where its page is.
    """

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "graphrun", "watch", *arguments],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Press Ctrl-C; return the status and what was said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=120)
        return self.process.returncode, said


@pytest.fixture
def watched_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watched]]:
    """Return what watches a file."""
    monkeypatch.chdir(tmp_path)
    begun: list[Watched] = []

    def begin(*arguments: str, **environment: str) -> Watched:
        begun.append(Watched(*arguments, **environment))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.fixture
def watch(watched_process: Callable[..., Watched]) -> Callable[..., Watched]:
    """Return what watches a file, without a browser."""
    return lambda *arguments: watched_process(*arguments, "--no-browser")


def save(text: str, file: str = "g.yaml") -> None:
    """Save as careful editors do: another file takes the name."""
    Path(f"{file}.new").write_text(text, encoding="utf-8")
    Path(f"{file}.new").replace(file)


@pytest.fixture(name="save")
def given_save() -> Callable[..., None]:
    """Return what saves a file."""
    return save
