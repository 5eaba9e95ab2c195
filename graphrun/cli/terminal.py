"""What goes to the terminal: every message; Ctrl-C, which ends a run in order; a progress bar for long work."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

import click

from graphrun.base.wording import printable_lines

SECONDS_BEFORE_PROGRESS = 1.0


def say(message: object) -> None:
    """Tell a user something on stderr. Every message goes this way, so that no name in it can steer the terminal.

    Where nobody reads it any more, that is no reason to end a run.
    """
    try:
        click.echo(printable_lines(str(message)), err=True)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO | None) -> None:
    """Let what is still to be written go nowhere, so that the end of the process does not fail on it once more."""
    if stream is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def tell(line: object) -> None:
    """Print a line for a reader on stdout, as `say` does on stderr."""
    click.echo(printable_lines(str(line)))


ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Ctrl-C, what a cluster's scheduler sends before it kills, and what a terminal sends that is closed."""


class Interruption:
    """Inside it the first Ctrl-C only sets a flag, to be asked for between steps; the second one ends at once.

    The signals by which others end a process set the flag, too, unless they are ignored, as under nohup.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._request)
            # What was imported before may have swallowed the exception.
            noted = getattr(self._previous[signal.SIGINT], "__self__", None)
            self.requested = isinstance(noted, CtrlC) and noted.pressed
        return self

    def __exit__(self, *_: object) -> None:
        for number, previous in self._previous.items():
            if previous is not None:
                signal.signal(number, previous)

    def __call__(self) -> bool:
        """Whether somebody pressed Ctrl-C, or sent another such signal."""
        return self.requested

    def _request(self, number: int, _frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


class CtrlC:
    """Inside it Ctrl-C raises KeyboardInterrupt, as ever, and is noted: libraries make other errors of it."""

    def __init__(self) -> None:
        self.pressed = False
        self._is_ours = False

    def __enter__(self) -> CtrlC:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._note)
            self._is_ours = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self.pressed = True
        raise KeyboardInterrupt


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
