"""Processes that meet at an address before they begin: each says which one it is, process 0 says when all are there.

JAX's runtime ends a process by a signal when another one does not come, or stops. Here that is an error in words,
which says who it was, and waiting can be interrupted. Whoever else comes to the port is no process of the run, and is
ignored: with a token only who knows it is one.
"""

from __future__ import annotations

import hmac
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from graphrun.base.errors import UsageError

SECONDS_BEFORE_NOTE = 2
SECONDS_BETWEEN_TRIES = 0.2
LONGEST_LINE = 1000
MOST_GUESTS = 100
"""So many that have not said who they are may be there at once; of more, the first has to go."""

SECONDS_OF_SILENCE = 20
"""A process that was not heard of for so long is lost."""
SECONDS_AFTER_THE_END = 5
"""So long after its end the others may still hear of it by XLA, which knows more."""

NAME = "graphrun"
ALL_ARE_THERE = "go"
ANOTHER_TOKEN = "its token is not that of process 0"  # noqa: S105 (a reason)
ALIVE, FAREWELL = b".", b"!"

Note = Callable[[str], object]
"""Tells the user who is waited for."""


@dataclass
class _Guest:
    """Somebody who came, and what was heard of him so far."""

    connection: socket.socket
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    heard: bytes = b""


def meet(
    host: str, port: int, process_id: int, process_count: int, seconds: float, note: Note, token: str = ""
) -> dict[int, socket.socket]:
    """Wait until all processes are there, so many seconds at most; `note` is told after a while who is waited for.

    Process 0 is at the host and listens on the port of that address alone; the port can be listened on afterwards.

    Returns:
        The connections by process: process 0's to all others, the others' to process 0.

    Raises:
        UsageError: somebody did not come, came twice, or has another number of processes or another token in mind.
    """
    if process_id == 0:
        return welcome(host, port, process_count, seconds, note, token)
    return {0: report(host, port, process_id, process_count, seconds, note, token)}


def welcome(host: str, port: int, count: int, seconds: float, note: Note, token: str) -> dict[int, socket.socket]:
    """Wait for the others as process 0."""
    start = time.monotonic()
    noted = False
    processes: dict[int, socket.socket] = {}
    strangers: dict[socket.socket, _Guest] = {}
    selector = selectors.DefaultSelector()
    try:
        with listen(host, port) as listener:
            listener.setblocking(False)
            selector.register(listener, selectors.EVENT_READ)
            while missing := sorted(set(range(1, count)) - processes.keys()):
                waited = time.monotonic() - start
                who = f"process {', '.join(map(str, missing))} of {count}"
                if waited > seconds:
                    raise UsageError(f"{who} did not come to port {port} within {seconds:g} s")
                if waited > SECONDS_BEFORE_NOTE and not noted:
                    note(f"waiting for {who} at port {port}")
                    noted = True
                left = seconds - waited if noted else min(seconds, SECONDS_BEFORE_NOTE) - waited
                for key, _ in selector.select(max(left, 0) + 0.01):
                    if key.fileobj is listener:
                        _let_in(listener, selector, strangers)
                        continue
                    guest = strangers[key.fileobj]  # type: ignore[index]
                    line = _line(guest)
                    if line is None:
                        continue
                    selector.unregister(guest.connection)
                    del strangers[guest.connection]
                    number = _greeted(line, guest, processes, count, token)
                    if number is None:
                        guest.connection.close()
                    else:
                        guest.connection.setblocking(True)
                        processes[number] = guest.connection
        for connection in processes.values():
            _answer(connection, ALL_ARE_THERE)
    except BaseException as error:
        for connection in processes.values():
            connection.close()
        if isinstance(error, ConnectionError | TimeoutError):
            raise UsageError(f"another process ended before all had come: {error}") from None
        raise
    finally:
        selector.close()
        for connection in strangers:
            connection.close()
    return processes


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port of one address of this machine."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise UsageError(
            f"process 0 cannot listen on port {port} ({error.strerror}); take another one, at an address of its machine"
        ) from None


def _let_in(listener: socket.socket, selector: selectors.BaseSelector, strangers: dict[socket.socket, _Guest]) -> None:
    """Take a connection in, and ask who it is."""
    with suppress(OSError):
        connection, _ = listener.accept()
        connection.setblocking(False)
        guest = _Guest(connection)
        with suppress(OSError):
            connection.send(f"{NAME} {guest.nonce}\n".encode())
        if len(strangers) >= MOST_GUESTS:
            first = next(iter(strangers))
            selector.unregister(first)
            strangers.pop(first).connection.close()
        strangers[connection] = guest
        selector.register(connection, selectors.EVENT_READ)


def _line(guest: _Guest) -> str | None:
    """Return the line that a guest has said; None while it is not whole, an empty one when he has gone or babbles."""
    try:
        part = guest.connection.recv(LONGEST_LINE)
    except BlockingIOError:
        return None
    except OSError:
        return ""
    guest.heard += part
    if b"\n" in guest.heard:
        return guest.heard.partition(b"\n")[0].decode("utf-8", "replace")
    return None if part and len(guest.heard) < LONGEST_LINE else ""


def _greeted(line: str, guest: _Guest, processes: Mapping[int, socket.socket], count: int, token: str) -> int | None:
    """Return which process somebody is, None for a stranger; refuse one that cannot be."""
    words = line.split()
    numbers = words[1:3]
    if len(words) != 4 or words[0] != NAME or not all(w.isascii() and w.isdecimal() and len(w) < 10 for w in numbers):
        return None
    number, theirs = map(int, numbers)
    if not hmac.compare_digest(words[3].encode(), _proof(token, guest.nonce, number, theirs).encode()):
        with suppress(OSError):
            _answer(guest.connection, ANOTHER_TOKEN)
        return None
    reason = ""
    if theirs != count:
        reason = f"process {number} counts {theirs} processes, and process 0 {count}: --process-count has to agree"
    elif number in processes:
        reason = f"process {number} came twice: each needs a --process-id of its own"
    elif not 0 < number < count:
        return None
    if reason:
        with suppress(OSError):
            _answer(guest.connection, reason)
        guest.connection.close()
        raise UsageError(reason)
    return number


def _proof(token: str, nonce: str, number: int, count: int) -> str:
    """Return what only who knows the token can say, and nobody can say again at another meeting."""
    return hmac.new(token.encode(), f"{nonce} {number} {count}".encode(), "sha256").hexdigest()


def report(host: str, port: int, process_id: int, count: int, seconds: float, note: Note, token: str) -> socket.socket:
    """Come to process 0, and wait until it says that all are there."""
    start, noted = time.monotonic(), False
    while True:
        try:
            connection = socket.create_connection((host, port), max(seconds - (time.monotonic() - start), 0.1))
            break
        except OSError as error:
            waited = time.monotonic() - start
            if waited > seconds:
                raise UsageError(
                    f"process 0 does not listen at {host}:{port} ({error.strerror or error}), tried for {seconds:g} s"
                ) from None
            if waited > SECONDS_BEFORE_NOTE and not noted:
                note(f"waiting for process 0 at {host}:{port} ({error.strerror or error})")
                noted = True
            time.sleep(SECONDS_BETWEEN_TRIES)
    said = ""
    try:
        lines = _lines_of(connection, start + seconds + SECONDS_BEFORE_NOTE)
        name, _, nonce = next(lines).partition(" ")
        if name != NAME:
            raise UsageError(f"what listens at {host}:{port} is not process 0 of a run")
        _answer(connection, f"{NAME} {process_id} {count} {_proof(token, nonce, process_id, count)}")
        said = next(lines)
    except (OSError, StopIteration):
        pass
    finally:
        if said != ALL_ARE_THERE:
            connection.close()
    if said != ALL_ARE_THERE:
        raise UsageError(said or "process 0 ended before all processes had come")
    connection.settimeout(None)
    return connection


def _answer(connection: socket.socket, line: str) -> None:
    """Send a line."""
    connection.sendall(f"{line}\n".encode())


def _lines_of(connection: socket.socket, deadline: float) -> Iterator[str]:
    """Receive lines; raise OSError after the deadline, and end where the other side does or says too much."""
    heard = b""
    while len(heard) < LONGEST_LINE:
        line, end, rest = heard.partition(b"\n")
        if end:
            yield line.decode("utf-8", "replace")
            heard = rest
            continue
        connection.settimeout(max(deadline - time.monotonic(), 0.01))
        part = connection.recv(LONGEST_LINE)
        if not part:
            return
        heard += part


class Watch(threading.Thread):
    """Listens whether the other processes are alive, and tells them that this one is.

    A process that is stopped, or whose machine is, is noticed here before JAX's runtime aborts the others.

    Args:
        others: the connections by process, as of `meet`.
        lost: called with a process and why it is taken for lost; it ends this one.
    """

    def __init__(self, others: Mapping[int, socket.socket], lost: Callable[[int, str], object]) -> None:
        super().__init__(name="graphrun watch", daemon=True)
        self._others = dict(others)
        self._lost = lost
        self._parted = threading.Event()

    def part(self) -> None:
        """Tell the others that this process ends in order."""
        self._parted.set()
        for connection in self._others.values():
            with suppress(OSError):
                connection.send(FAREWELL)
                connection.close()

    def run(self) -> None:
        """Listen until all have said goodbye."""
        heard = dict.fromkeys(self._others, time.monotonic())
        ended: dict[int, float] = {}
        for connection in self._others.values():
            connection.setblocking(False)
        while heard and not self._parted.wait(1):
            now = time.monotonic()
            for number in list(heard):
                connection = self._others[number]
                if number not in ended:
                    try:
                        connection.send(ALIVE)
                        said = connection.recv(LONGEST_LINE)
                    except BlockingIOError:
                        pass
                    except OSError:
                        ended[number] = now
                    else:
                        heard[number] = now
                        if FAREWELL in said:
                            del heard[number]
                            continue
                        if not said:
                            ended[number] = now
                if self._parted.is_set():
                    return
                if number in ended and now - ended[number] > SECONDS_AFTER_THE_END:
                    self._lost(number, "it has ended")
                elif number not in ended and now - heard[number] > SECONDS_OF_SILENCE:
                    self._lost(number, f"it was not heard of for {SECONDS_OF_SILENCE} s")
