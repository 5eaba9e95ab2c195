"""Which files a graph is read from, for who wants to follow them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_tell: ContextVar[Callable[[str], None] | None] = ContextVar("tell", default=None)


@contextmanager
def told_of_reads(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell of each file that a graph is read from inside, before it is read and be it there or not; of folders too."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


def is_read(path: str | os.PathLike[str]) -> None:
    """Say that a file is about to be read, or the names of the files in a folder."""
    tell = _tell.get()
    if tell is not None:
        tell(os.path.abspath(path))  # noqa: PTH100 (pathlib takes long to make so many)
