"""What goes to the terminal: every message; Ctrl-C, which ends a run in order; a progress bar for long work."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

import click

from graphrun.base.numbertext import number
from graphrun.base.wording import fitting, printable, printable_lines
from graphrun.document.excerpt import cells

if TYPE_CHECKING:
    from graphrun.base.outcome import Objective

SECONDS_BEFORE_PROGRESS = 1.0
SECONDS_BETWEEN_DRAWINGS = 0.1
NARROWEST_BAR, WIDEST_BAR = 8, 36


def say(message: object) -> None:
    """Tell a user something on stderr. Every message goes this way, so that no name in it can steer the terminal.

    Where nobody reads it any more, that is no reason to end a run.
    """
    try:
        click.echo(printable_lines(fitting(str(message))), err=True)
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
            for which in ENDING:
                if which == signal.SIGINT or signal.getsignal(which) is not signal.SIG_IGN:
                    self._previous[which] = signal.signal(which, self._request)
            # What was imported before may have swallowed the exception.
            noted = getattr(self._previous[signal.SIGINT], "__self__", None)
            self.requested = isinstance(noted, CtrlC) and noted.pressed
        return self

    def __exit__(self, *_: object) -> None:
        for which, previous in self._previous.items():
            if previous is not None:
                signal.signal(which, previous)

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
def progress(
    total: int, *, quiet: bool, what: str = "steps"
) -> Iterator[Callable[[int, Callable[[], Objective | None]], None]]:
    """Show how many of `total` steps or runs are made: on a terminal, of work that takes longer than a second."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield _unseen
        return
    bar = _Bar(total, what)
    try:
        yield bar.update
        bar.draw()
    finally:
        bar.end()


def _none() -> Objective | None:
    return None


def _unseen(_step: int, _objective: Callable[[], Objective | None] = _none) -> None:
    pass


class _Bar:
    """One line that is written over, within the terminal's width and without escape codes, which not all of them know.

    What remains is told by the steps after the first: before that one an engine compiles.
    """

    def __init__(self, total: int, what: str = "steps") -> None:
        self.total = total
        self.what = what
        self.start = time.monotonic()
        self.first: tuple[int, float] | None = None
        self.drawn = -SECONDS_BETWEEN_DRAWINGS
        self.length = 0
        self.last: tuple[int, Callable[[], Objective | None]] | None = None

    def update(self, step: int, objective: Callable[[], Objective | None] = _none) -> None:
        """Show that so many steps are made."""
        now = time.monotonic()
        self.first = self.first or (step, now)
        self.last = step, objective
        is_due = step == self.total or now - self.drawn >= SECONDS_BETWEEN_DRAWINGS
        if is_due and now - self.start > SECONDS_BEFORE_PROGRESS:
            self.drawn, self.length = now, self.length or 1
            self.draw()

    def draw(self) -> None:
        """Write the line over the one before, if there is one."""
        if self.length:
            width = columns_of(sys.stderr) - 1
            text = self.line(time.monotonic(), width)
            length = cells(text)
            # A longer line of before is wiped out, but not beyond an edge that has come nearer.
            sys.stderr.write(f"\r{text}{' ' * min(max(self.length - length, 0), max(width - length, 0))}")
            sys.stderr.flush()
            self.length = max(length, 1)

    def end(self) -> None:
        """Let what follows begin on a line of its own."""
        if self.length:
            sys.stderr.write("\n")
            sys.stderr.flush()

    def line(self, now: float, width: int) -> str:
        """Return the line: what has no room is left out, the bar first."""
        step, objective = self.last or (0, _none)
        text = f"{step:,}/{self.total:,}"
        share = min(step / self.total, 1.0) if self.total else 1.0
        found = objective()
        told = f"{printable(found.name)} = {number(found.value)}" if found is not None else ""
        for part in (self._remaining(step, now), told, f"{share:.0%}"):
            if part and cells(text) + 2 + cells(part) <= width:
                text += f"  {part}"
        if cells(text) > width:
            return text[: max(width, 0)]
        room = min(width - cells(text) - len(f"{self.what} []  "), WIDEST_BAR)
        if room < NARROWEST_BAR:
            return text
        return f"{self.what} [{('#' * int(share * room)).ljust(room, '-')}]  {text}"

    def _remaining(self, step: int, now: float) -> str:
        """Return how long the rest will take; nothing where that cannot be known, or nothing is left."""
        first, since = self.first or (step, now)
        if step <= first or step >= self.total or now <= since:
            return ""
        seconds = round((self.total - step) * (now - since) / (step - first))
        days, clock = divmod(seconds, 86_400)
        words = f"{days:,} d " if days else ""
        return f"eta {words}{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"


def columns_of(stream: TextIO) -> int:
    """Return how wide the terminal is that a stream writes to; standard output may be another one, or none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or shutil.get_terminal_size().columns
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns
