"""What functions of others print goes to stderr, so that it does not get between the lines of a result."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_lock = threading.Lock()
_inside = 0
_before: TextIO | None = None
_given: TextIO | None = None


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Let stdout lead to stderr inside.

    It is the process's: of threads that are inside together, the first one turns it and the last one turns it back.
    `contextlib.redirect_stdout` in two threads may leave it turned.
    """
    global _inside, _before, _given  # noqa: PLW0603 (sys.stdout is global too)
    with _lock:
        if not _inside:
            _before, _given = sys.stdout, sys.stderr
            sys.stdout = sys.stderr
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                # Not where somebody has put another one there meanwhile.
                if sys.stdout is _given and _before is not None:
                    sys.stdout = _before
                _before = _given = None
