"""Processes that meet before a run, here threads: who is missing, twice there or of another mind is said in words."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from graphrun.base.errors import UsageError
from graphrun.run.rendezvous import meet

pytestmark = pytest.mark.slow


@pytest.fixture
def port():
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def meet_all(port, processes, seconds=20):
    """Let processes meet, each its id and how many it thinks there are; return what each was told, or ""."""

    def one(process):
        try:
            meet("127.0.0.1", port, *process, seconds, note=lambda _: None)
        except UsageError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(processes)) as pool:
        return list(pool.map(one, processes))


def test_processes_meet_and_leave_the_port_free(port):
    """All come back when the last one is there; the next run can take the same port at once."""
    for _ in range(3):
        assert meet_all(port, [(2, 4), (0, 4), (1, 4), (3, 4)]) == [""] * 4
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.campaign
def test_a_process_may_come_first(port):
    """Process 0 is waited for, and the user is told."""
    notes = []
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(meet, "127.0.0.1", port, 1, 2, 20, notes.append)
        deadline = time.monotonic() + 20
        while not notes and time.monotonic() < deadline:
            time.sleep(0.05)
        meet("127.0.0.1", port, 0, 2, 20, notes.append)
        first.result()
    assert [note.partition(" (")[0] for note in notes] == [f"waiting for process 0 at 127.0.0.1:{port}"]


@pytest.mark.campaign
def test_who_is_missing_is_named(port):
    """Process 0 says which did not come; those that came are told that it ended."""
    first, second = meet_all(port, [(0, 3), (1, 3)], seconds=1)
    assert first == f"process 2 of 3 did not come to port {port} within 1 s"
    assert second == "process 0 ended before all processes had come"


def test_a_closed_port_is_named(port):
    """A process says where it looked for process 0, and what it found there."""
    (told,) = meet_all(port, [(1, 2)], seconds=0.5)
    assert told == f"process 0 does not listen at 127.0.0.1:{port} (Connection refused), tried for 0.5 s"


def test_a_port_that_is_taken_is_named(port):
    """Process 0 cannot listen where somebody else does."""
    with socket.create_server(("", port)):
        (told,) = meet_all(port, [(0, 2)])
    assert told.startswith(f"process 0 cannot listen on port {port} (Address already in use")


@pytest.mark.parametrize(
    ("processes", "reason"),
    [([(0, 3), (1, 3), (1, 3)], "process 1 came twice"), ([(0, 2), (1, 3)], "process 1 counts 3 processes")],
)
def test_processes_that_do_not_fit_are_told_why(processes, reason, port):
    """Process 0 and the one that does not fit get the same reason."""
    told = meet_all(port, processes)
    assert told[0].startswith(reason)
    assert sum(one.startswith(reason) for one in told) >= 2


def test_a_stranger_ends_the_meeting(port):
    """Something else that comes to the port is not taken for a process."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(meet_all, port, [(0, 2)])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port)) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1\r\n")
                    first.result(20)
                break
            except ConnectionError:
                time.sleep(0.05)
    assert first.result() == ["something that is no process of this run came to the port"]
