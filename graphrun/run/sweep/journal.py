"""The folder of a sweep: what it does, the graph file, a line for each run that is done, and who does which."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from graphrun.base.errors import RunError, UsageError
from graphrun.base.files import write_atomically
from graphrun.base.locks import NumberLocks
from graphrun.base.version import __version__

PLAN, GRAPH, LINES, COURSES, LOCKS = "sweep.json", "graph.yaml", "runs.jsonl", "courses.jsonl", "locks"
CHECKPOINTS = "checkpoints"
PACKAGES = ("numpy", "scipy", "numba", "jax", "optuna")


class Journal:
    """The runs that are done, by number, as a folder keeps them; several processes may have it open at a time.

    A run in hand is a number that is locked: of a process that is killed, the next one takes it. A line is written
    under a lock, and what a process that was killed has left of one is passed over; of two lines, the first counts.

    Attributes:
        done: the runs that are done, by number: settings, objective, stopped, seconds, engine, seed, host.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: dict[int, dict[str, Any]] = {}
        self._held: set[int] = set()
        self._read = 0
        self._first = 0  # all before it are done
        try:
            self._locks = NumberLocks(folder / LOCKS)
            self._file = (folder / LINES).open("a+b")
        except OSError as error:
            raise RunError(f"the sweep's folder {folder} cannot be used: {error.strerror}") from None
        self.read()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._locks.close()

    def read(self) -> list[dict[str, Any]]:
        """Read what was written since, by whomever; return the runs of it."""
        self._file.seek(self._read)
        text = self._file.read()
        end = text.rfind(b"\n") + 1
        self._read += end
        found = []
        for line in text[:end].splitlines():
            with suppress(ValueError, KeyError, TypeError):
                run = json.loads(line)
                if run["number"] not in self.done:
                    self.done[run["number"]] = run
                    found.append(run)
        return found

    def add(self, run: Mapping[str, Any]) -> None:
        """Write that a run is done, and let go of its number. Its course stands elsewhere, for few ask for it."""
        number = run["number"]
        line = json.dumps({name: value for name, value in run.items() if name != "course"}).encode() + b"\n"
        with self._locks.writing():
            self.read()
            if "course" in run:
                with (self.folder / COURSES).open("ab") as file:
                    # On a line of its own, also after what a process that was killed has left of one.
                    file.write(b"\n" + json.dumps({"number": number, **run["course"]}).encode() + b"\n")
            size = self._file.seek(0, 2)
            self._file.write(b"\n" * (self._read < size) + line)
            self._file.flush()
        self.read()
        self.release(number)

    def claim(self, runs: int) -> int | None:
        """Hold the next of so many runs that is neither done nor in somebody's hands; None where there is none."""
        for number in self.open_runs(runs):
            if number not in self._held and self._locks.hold(number):
                self._held.add(number)
                self.read()
                if number not in self.done:
                    return number
                self.release(number)
        return None

    def release(self, number: int) -> None:
        """Let others have a run."""
        self._held.discard(number)
        self._locks.release(number)

    def open_runs(self, runs: int) -> Iterator[int]:
        """Yield the numbers of the runs that are not done."""
        while self._first in self.done:
            self._first += 1
        return (number for number in range(self._first, runs) if number not in self.done)

    def checkpoint(self, number: int) -> Path:
        """Return where the checkpoint of a run is."""
        (self.folder / CHECKPOINTS).mkdir(exist_ok=True)
        return self.folder / CHECKPOINTS / f"{number}.safetensors"


def read_courses(folder: Path, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the courses of some runs, by number: the steps, and values by name; of older folders there are none."""
    found: dict[int, dict[str, Any]] = {}
    with suppress(FileNotFoundError), (folder / COURSES).open("rb") as file:
        for line in file:
            with suppress(ValueError, KeyError, TypeError):
                course = json.loads(line)
                if course["number"] in numbers:
                    found.setdefault(course.pop("number"), course)
    return found


def open_folder(folder: Path, given: Mapping[str, Any], text: str, runs: int) -> Journal:
    """Make a folder for a sweep, or open the one that it has.

    Raises:
        UsageError: the folder is another sweep's.
        RunError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        locks = NumberLocks(folder / LOCKS)
        with locks.writing():
            if not (folder / PLAN).exists():
                write_atomically(folder / GRAPH, text.encode())
                write_atomically(folder / PLAN, json.dumps({**given, "runs": runs}, indent=1).encode())
        locks.close()
    except OSError as error:
        raise RunError(f"the sweep's folder {folder} cannot be written: {error.strerror or error}") from None
    if not is_same(read_plan(folder), given):
        raise UsageError(
            f"the folder {folder} is that of another sweep, or of another graph file: give another --folder, or go on "
            f"with it by --resume {folder}"
        )
    return Journal(folder)


def described(plan: Mapping[str, Any], text: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a folder keeps of a sweep, in plain data: its plan, which graph it is of, versions."""
    versions = {"python": platform.python_version(), "graphrun": __version__}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    digest = hashlib.sha256(text.encode()).hexdigest()
    about = {**about, "sha256": digest}
    plain = {"plan": plan, "graph": about, "versions": versions, "platform": sys.platform}
    return dict(json.loads(json.dumps(plain)))


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two descriptions are of one sweep: the same plan of the same text, with the same changes to it."""
    return bool(one["plan"] == other["plan"] and one["graph"] == other["graph"])


def read_plan(folder: Path) -> dict[str, Any]:
    """Return what a folder says of its sweep.

    Raises:
        UsageError: it is no sweep's.
    """
    try:
        found: dict[str, Any] = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        found["plan"], found["graph"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{folder} is no folder of a sweep: it has no {PLAN} that can be read") from None
    return found


def read_graph(folder: Path) -> str:
    """Return the text of the graph file of a sweep.

    Raises:
        UsageError: it cannot be read, or is another one by now.
    """
    try:
        text = (folder / GRAPH).read_bytes().decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / GRAPH} cannot be read: {error}") from None
    if hashlib.sha256(text.encode()).hexdigest() != read_plan(folder)["graph"]["sha256"]:
        raise UsageError(f"{folder / GRAPH} was changed since the sweep began")
    return text
