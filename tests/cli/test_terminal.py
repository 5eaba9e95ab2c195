"""What a run needs of a terminal, without a process: the flag of Ctrl-C, and when progress is shown."""

from __future__ import annotations

import io
import signal
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphrun.base.outcome import Objective
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


ESCAPE = "\x1b"


def shown(monkeypatch: pytest.MonkeyPatch, width: int, updates: list[tuple[float, int]], total: int) -> list[str]:
    """Return what each update at a time writes on a terminal of some width, without what wipes out the line before."""
    screen, now = Screen(), [0.0]
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(terminal, "time", type("Clock", (), {"monotonic": lambda: now[0]}))
    with progress(total, quiet=False) as update:
        for when, step in updates:
            now[0] = when
            update(step, lambda: Objective("f", "minimize", 0.25))
    return screen.getvalue().split("\r")[1:]


def test_what_remains_is_told_by_the_steps_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that compiles for 40 seconds and then makes 1,000 steps a second needs a second for 1,000 more."""
    first, second, last, *_ = shown(monkeypatch, 80, [(40.0, 1), (41.0, 1001), (42.0, 2001)], 2001)
    assert "eta" not in first
    assert "1,001/2,001" in second
    assert "eta 00:00:01" in second
    assert "f = 0.25" in second
    assert "eta" not in last
    assert "2,001/2,001" in last


@pytest.mark.slow
@given(
    width=st.integers(1, 200),
    total=st.integers(1, 10**15),
    name=st.text(min_size=1, max_size=60),
    value=st.floats(),
    seconds=st.floats(1.1, 1e9),
)
def test_the_bar_fits_every_terminal(width: int, total: int, name: str, value: float, seconds: float) -> None:
    """One line of at most the terminal's width, without codes that a dumb terminal shows as letters."""
    with pytest.MonkeyPatch.context() as patch:
        screen, now = Screen(), [0.0]
        patch.setattr("sys.stderr", screen)
        patch.setenv("COLUMNS", str(width))
        patch.setattr(terminal, "time", type("Clock", (), {"monotonic": lambda: now[0]}))
        with progress(total, quiet=False) as update:
            for when, step in ((seconds, 1), (2 * seconds, total // 2), (3 * seconds, total)):
                now[0] = when
                update(step, lambda: Objective(name, "minimize", value))
        lines = screen.getvalue().removesuffix("\n").split("\r")
        assert all(terminal.cells(line) < max(width, 2) for line in lines)
        assert ESCAPE not in screen.getvalue()
        assert "\n" not in "".join(lines)
