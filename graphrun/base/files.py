"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from graphrun.base.errors import RunError, UsageError

PART = ".part"

LEFTOVER_SECONDS = 60
"""A temporary file that nobody has written to for so long is one that a killed process left."""


LONGEST_NAME = 200
"""The name of a temporary file has some bytes more than that of its target, and most disks take 255 of them."""


def check_target(target: Path) -> Path:
    """Refuse a place where no file can be written; return where it is, behind a link.

    Raises:
        OSError: there is no such folder, it is closed, or the target is there and is no regular file.
    """
    try:
        place = target.resolve()
        mode = place.stat().st_mode if place.exists() else stat.S_IFREG
    except (RuntimeError, ValueError):  # a ring of links, a name with a NUL
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    if not place.parent.is_dir():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return place


def check_page(option: str, target: str) -> None:
    """Refuse a file's name that is no page's."""
    if Path(target).suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"{option} {target}: a report is a page, as in {option} report.html")


def check_output(target: str | Path) -> None:
    """Refuse what `write_output` will, before the work that makes it.

    Raises:
        RunError: the file cannot be written; the text says why.
    """
    path = Path(target)
    with _told(path):
        place = check_target(path)
        # Who names a file in a folder of somebody else's means that folder.
        if path.is_symlink() and place.parent != path.parent.resolve():
            raise OSError(errno.ELOOP, f"it is a link to {place}; write there by that name, or remove the link")


def write_output(target: str | Path, text: str | bytes) -> None:
    """Write a file that a command makes: atomically, and not where a link leads to another folder.

    Raises:
        RunError: the file cannot be written; the text says why.
    """
    check_output(target)
    with _told(target):
        write_atomically(Path(target), text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text)


@contextmanager
def _told(target: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror or error}") from None


def write_atomically(target: Path, data: bytes) -> None:
    """Write a file so that at every moment either the old or the new one is there, also after a loss of power."""
    target = check_target(target)
    handle, temporary = tempfile.mkstemp(prefix=_prefix(target), suffix=PART, dir=target.parent)
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


def _prefix(target: Path) -> str:
    """Return how the names of temporary files for a target begin."""
    name = os.fsencode(target.name)
    return f".{target.name}." if len(name) <= LONGEST_NAME else f".{hashlib.blake2b(name, digest_size=8).hexdigest()}."


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
    prefix = _prefix(target)
    for other in target.parent.iterdir():
        middle = other.name.removeprefix(prefix).removesuffix(PART)
        if other.name == f"{prefix}{middle}{PART}" and "." not in middle:
            with suppress(OSError):
                if now - other.stat().st_mtime > LEFTOVER_SECONDS:
                    other.unlink()
