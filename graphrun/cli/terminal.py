"""What goes to the terminal: every message; Ctrl-C, which ends a run in order; a progress bar for long work."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from graphrun.base.wording import printable_lines

SECONDS_BEFORE_PROGRESS = 1.0


def say(message: object) -> None:
    """Tell a user something on stderr. Every message goes this way, so that no name in it can steer the terminal."""
    click.echo(printable_lines(str(message)), err=True)


def tell(line: object) -> None:
    """Print a line for a reader on stdout, as `say` does on stderr."""
    click.echo(printable_lines(str(line)))


class Interruption:
    """Inside it the first Ctrl-C only sets a flag, to be asked for between steps; the second one ends at once."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def __call__(self) -> bool:
        """Whether somebody pressed Ctrl-C."""
        return self.requested

    def _request(self, _signal: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` steps are made: on a terminal, and only when the work takes longer than a second."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _step: None
        return
    start = time.monotonic()
    bar = click.progressbar(length=total, label="steps", show_pos=True, file=sys.stderr)
    shown = False

    def update(step: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - start > SECONDS_BEFORE_PROGRESS:
            bar.__enter__()
            shown = True
        if shown:
            bar.update(step - bar.pos)

    try:
        yield update
    finally:
        if shown:
            bar.__exit__(None, None, None)
