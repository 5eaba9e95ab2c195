"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

PART = ".part"

LEFTOVER_SECONDS = 60
"""A temporary file that nobody has written to for so long is one that a killed process left."""


def write_atomically(target: Path, data: bytes) -> None:
    """Write a file so that at every moment either the old or the new one is there, also after a loss of power."""
    target = target.resolve()
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=PART, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(_mode(target))
        _remove_leftovers(target, Path(temporary))
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _mode(target: Path) -> int:
    """Return the permissions of a file, be it one that is not there yet: a temporary file is its owner's alone."""
    with suppress(OSError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _remove_leftovers(target: Path, temporary: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote to this target."""
    # The file's own time, for the clock of a network's disk may be another.
    now = temporary.stat().st_mtime
    prefix = f".{target.name}."
    for other in target.parent.iterdir():
        middle = other.name.removeprefix(prefix).removesuffix(PART)
        if other.name == f"{prefix}{middle}{PART}" and "." not in middle:
            with suppress(OSError):
                if now - other.stat().st_mtime > LEFTOVER_SECONDS:
                    other.unlink()
