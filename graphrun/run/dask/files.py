"""The files of a graph on Dask's workers: they see them under the same paths, or are sent copies."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin, get_worker

from graphrun.base.errors import RunError
from graphrun.base.memory import size_text
from graphrun.base.reads import reading_from, told_of_reads
from graphrun.run.sweep.plan import Varied

Place = tuple[str, str]
"""What the copies of files are called, and the working folder from which their paths are named."""

MOST_SENT = 2**30
"""So many bytes are sent to workers at most, which have them in memory at first."""


def files_of(graph: Varied, more: Iterable[str | Path | None] = ()) -> list[str]:
    """Return the files that a graph and its runs read, but for its own text, and those of `more` that there are."""
    read: list[str] = []
    with told_of_reads(read.append):
        document = graph.varied(()).document
    folder, data = document.source.folder, document.data
    of_data = () if data is None else (graph.origin["data"] or data.file, data.holdout.file)
    plugins = (file for folder in graph.registry.every_folder for file in folder.glob("*.py"))
    named = (*read, *plugins, *(Path(folder, file) for file in (*of_data, *more) if file is not None))
    paths = dict.fromkeys(os.path.abspath(str(file)) for file in named)  # noqa: PTH100
    # Unlike a Path's, this one takes a text that is too long for no file.
    return [path for path in paths if os.path.isfile(path)]  # noqa: PTH113


def digests(files: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Return the size and a digest of each file."""
    return {file: (Path(file).stat().st_size, _digest(file)) for file in files}


def _digest(file: str) -> str:
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sees(wanted: Mapping[str, tuple[int, str]]) -> bool:
    """Whether this machine has the same files under the same paths."""
    try:
        return all(Path(file).stat().st_size == size and _digest(file) == told for file, (size, told) in wanted.items())
    except OSError:
        return False


class Copies(WorkerPlugin):
    """Copies of files, for those workers that do not see them, also for one that comes later."""

    def __init__(self, name: str, wanted: Mapping[str, tuple[int, str]]) -> None:
        size = sum(size for size, _ in wanted.values())
        if size > MOST_SENT:
            raise RunError(
                f"Dask's workers do not see the graph's files, which are {size_text(size)}: at most "
                f"{size_text(MOST_SENT)} are sent to them; put the files into a folder that the machines share"
            )
        self.name, self.wanted = name, dict(wanted)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for file in wanted:
                archive.write(file)
        self.packed = packed.getvalue()

    def setup(self, worker: Any) -> None:
        """Unpack them below the worker's own folder, each under its path."""
        if not sees(self.wanted):
            with zipfile.ZipFile(io.BytesIO(self.packed)) as archive:
                archive.extractall(Path(worker.local_directory, self.name))

    def teardown(self, worker: Any) -> None:
        """Take them away."""
        shutil.rmtree(Path(worker.local_directory, self.name), ignore_errors=True)


@contextmanager
def found_here(place: Place) -> Iterator[str]:
    """Read files inside, on a worker, as whoever asks for it names them; yield below what copies lie, or ""."""
    root = copies_here(place)
    with reading_from(root, place[1]):
        yield root


def copies_here(place: Place) -> str:
    """Return below what this worker has copies, "" where it sees the files themselves."""
    copies = Path(get_worker().local_directory, place[0])
    return os.fspath(copies) if copies.is_dir() else ""
