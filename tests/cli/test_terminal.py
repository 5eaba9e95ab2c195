"""What a run needs of a terminal, without a process: the flag of Ctrl-C, and when progress is shown."""

from __future__ import annotations

import io
import signal
import threading
import time

import pytest

from graphrun.cli import terminal
from graphrun.cli.terminal import Interruption, progress


class Screen(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """Say that somebody looks at it."""
        return True


def test_the_first_ctrl_c_sets_a_flag_and_the_second_ends() -> None:
    """Between steps the flag is asked for; who presses again does not want to wait for the step in hand."""
    with Interruption() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_afterwards_ctrl_c_is_what_it_was() -> None:
    """Whatever ended the run."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), Interruption():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_leaves_signals_alone() -> None:
    """Only the main thread may say what a signal does."""
    found: list[bool] = []

    def run() -> None:
        with Interruption() as interrupted:
            found.append(interrupted())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.parametrize("stderr", [None, io.StringIO(), Screen()], ids=["none", "a file", "a quiet terminal"])
def test_nothing_is_shown_where_nobody_looks(stderr: io.StringIO | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal, or when asked to be quiet."""
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setattr(terminal, "SECONDS_BEFORE_PROGRESS", -1)
    with progress(10, quiet=isinstance(stderr, Screen)) as update:
        update(5)
    assert stderr is None or stderr.getvalue() == ""


@pytest.mark.parametrize(("seconds", "is_shown"), [(0.5, False), (1.5, True)])
def test_only_long_work_shows_progress(seconds: float, is_shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that flashes for an instant tells nobody anything."""
    screen = Screen()
    clock = iter([0.0])
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(
        terminal, "time", type("Clock", (), {"monotonic": lambda: next(clock, seconds), "time": time.time})
    )
    with progress(10, quiet=False) as update:
        update(5)
        update(10)
    assert ("10/10" in screen.getvalue()) == is_shown
