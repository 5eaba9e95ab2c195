"""Which files a graph is read from, for who wants to follow them, and where they are when they came from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

AnyPath = TypeVar("AnyPath", bound=str | os.PathLike[str])

_tell: ContextVar[Callable[[str], None] | None] = ContextVar("tell", default=None)
_elsewhere: ContextVar[tuple[str, str] | None] = ContextVar("elsewhere", default=None)


@contextmanager
def told_of_reads(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell of each file that a graph is read from inside, before it is read and be it there or not; of folders too."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


@contextmanager
def reading_from(root: str, working_folder: str) -> Iterator[None]:
    """Read files inside as another machine names them, in that working folder; copies of them lie below `root`.

    A path is taken below `root` as it is, absolute or not; with "" it is the same path on both machines.
    """
    token = _elsewhere.set((root, working_folder))
    try:
        yield
    finally:
        _elsewhere.reset(token)


def is_read(path: AnyPath) -> AnyPath:
    """Say that a file is about to be read, or the names of the files in a folder; return where it is."""
    tell = _tell.get()
    if tell is not None:
        tell(os.path.abspath(str(path)))  # noqa: PTH100 (pathlib takes long to make so many)
    return located(path)


def located(path: AnyPath) -> AnyPath:
    """Return where a file is that a graph names."""
    elsewhere = _elsewhere.get()
    if elsewhere is None:
        return path
    root, working_folder = elsewhere
    full = os.path.join(working_folder, path)  # noqa: PTH118
    full = full if full.startswith(root) else root + os.path.normpath(full)
    return type(path)(full)  # type: ignore[call-arg]
