"""Locks that processes hold on parts of a file, on one machine or several; whoever is killed holds none any more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

WRITING = 2**40
"""The byte that is locked by who writes, far beyond those of the numbers."""


class NumberLocks:
    """Numbers, each of which one process at a time can hold; the locks are the system's, on the bytes of a file.

    They belong to the process: two objects of one process do not keep each other out.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def hold(self, number: int) -> bool:
        """Hold a number if nobody else does; say whether that is so."""
        try:
            self._lock(number, wait=False)
        except OSError:
            return False
        return True

    def release(self, number: int) -> None:
        """Let others have a number."""
        os.lseek(self._file, number, os.SEEK_SET)
        if sys.platform == "win32":
            msvcrt.locking(self._file, msvcrt.LK_UNLCK, 1)
        else:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep others from writing meanwhile."""
        self._lock(WRITING, wait=True)
        try:
            yield
        finally:
            self.release(WRITING)

    def close(self) -> None:
        """Let go of all numbers."""
        os.close(self._file)

    def _lock(self, number: int, *, wait: bool) -> None:
        if sys.platform == "win32":
            os.lseek(self._file, number, os.SEEK_SET)
            msvcrt.locking(self._file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, number)
