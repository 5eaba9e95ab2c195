"""Processes that meet before a run, here threads: who is missing, twice there or of another mind is said in words."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from graphrun.base.errors import UsageError
from graphrun.run import rendezvous
from graphrun.run.rendezvous import Watch, listen, meet

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
            connections = meet("127.0.0.1", port, *process, seconds, note=lambda _: None)
        except UsageError as error:
            return str(error)
        for connection in connections.values():
            connection.close()
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
        deadline = time.monotonic() + 120
        while not notes and time.monotonic() < deadline:
            time.sleep(0.05)
        others = meet("127.0.0.1", port, 0, 2, 20, notes.append)
        for connection in (*others.values(), *first.result().values()):
            connection.close()
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


def connected(port):
    """Return a connection to process 0, as soon as it listens."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


STRANGERS = [
    b"GET / HTTP/1.1\r\n",
    b"1 2\n",
    b"graphrun 1 2 0\n",
    b"graphrun 7 2 " + b"0" * 64 + b"\n",
    b"graphrun -1 2 x\n",
    b"graphrun " + b"9" * 900 + b" 2 x\n",
    b"\0" * 5000,
    b"\xff\xfe\n",
    b"",
]


@pytest.mark.parametrize("token", ["", "secret"])
def test_strangers_are_ignored(token, port):
    """Whatever comes to the port, be it silent or talkative, that is no process of the run; the others still meet."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(meet, "127.0.0.1", port, 0, 2, 20, lambda _: None, token)
        strangers = []
        for words in STRANGERS:
            strangers.append(connected(port))
            with suppress(OSError):
                strangers[-1].sendall(words)
        connected(port).close()
        second = pool.submit(meet, "127.0.0.1", port, 1, 2, 20, lambda _: None, token)
        for others in (first.result(120), second.result(120)):
            for connection in others.values():
                connection.close()
        for stranger in strangers:
            stranger.close()


def test_a_slow_stranger_holds_no_meeting(port):
    """There is one deadline, which a letter a second does not move."""
    with ThreadPoolExecutor(1) as pool:
        start = time.monotonic()
        first = pool.submit(meet_all, port, [(0, 2)], 2)
        with connected(port) as stranger:
            while not first.done():
                with suppress(OSError):
                    stranger.sendall(b"g")
                time.sleep(0.1)
        assert first.result() == [f"process 1 of 2 did not come to port {port} within 2 s"]
        assert time.monotonic() - start < 60


def test_another_token_is_told(port):
    """Who has another one is told so at once, and ends no meeting."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(meet, "127.0.0.1", port, 0, 2, 20, lambda _: None, "secret")
        for token in ("", "guess"):
            with pytest.raises(UsageError, match="its token is not that of process 0"):
                meet("127.0.0.1", port, 1, 2, 20, lambda _: None, token)
        others = meet("127.0.0.1", port, 1, 2, 20, lambda _: None, "secret")
        for connection in (*first.result().values(), *others.values()):
            connection.close()


@pytest.mark.campaign
def test_what_listens_may_be_something_else(port):
    """A process that comes to a server of another kind says so, or waits no longer than its limit."""
    with socket.create_server(("127.0.0.1", port)) as server, ThreadPoolExecutor(1) as pool:
        told = pool.submit(meet_all, port, [(1, 2)])
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"220 mail\n")
            assert told.result() == [f"what listens at 127.0.0.1:{port} is not process 0 of a run"]
        told = pool.submit(meet_all, port, [(1, 2)], 1)
        connection, _ = server.accept()
        with connection:
            assert told.result() == ["process 0 ended before all processes had come"]


def test_process_0_listens_at_its_address_alone(port):
    """Not at every address of the machine."""
    with listen("127.0.0.1", port) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_who_is_silent_or_gone_is_lost(monkeypatch):
    """A process that says nothing, and one that ends without a goodbye; not one that parts."""
    monkeypatch.setattr(rendezvous, "SECONDS_OF_SILENCE", 2)
    monkeypatch.setattr(rendezvous, "SECONDS_AFTER_THE_END", 1)
    ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
    lost = {}
    watch = Watch(dict(enumerate(ours)), lost.setdefault)
    watch.start()
    theirs[1].close()
    theirs[2].send(rendezvous.FAREWELL)
    deadline = time.monotonic() + 120
    while len(lost) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    watch.part()
    watch.join()
    for connection in (*ours, *theirs):
        connection.close()
    assert lost == {0: "it was not heard of for 2 s", 1: "it has ended"}
