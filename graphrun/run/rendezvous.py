"""Processes that meet at an address before they begin: each says which one it is, process 0 says when all are there.

JAX's runtime ends a process by a signal when another one does not come. Here that is an error in words, which says who
is missing, and waiting can be interrupted.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from graphrun.base.errors import UsageError

SECONDS_BEFORE_NOTE = 2
SECONDS_BETWEEN_TRIES = 0.2
SECONDS_FOR_A_GREETING = 5

ALL_ARE_THERE = "go"

Note = Callable[[str], object]
"""Tells the user who is waited for."""


def meet(host: str, port: int, process_id: int, process_count: int, seconds: float, note: Note) -> None:
    """Wait until all processes are there, so many seconds at most; `note` is told after a while who is waited for.

    Process 0 is at the host and listens on the port, which is free again afterwards.

    Raises:
        UsageError: somebody did not come, came twice, or has another number of processes in mind.
    """
    if process_id == 0:
        welcome(port, process_count, seconds, note)
    else:
        report(host, port, process_id, process_count, seconds, note)


def welcome(port: int, count: int, seconds: float, note: Note) -> None:
    """Wait for the others as process 0."""
    deadline, noted = time.monotonic() + seconds, False
    guests: dict[int, socket.socket] = {}
    try:
        with listen(port) as listener:
            while missing := sorted(set(range(1, count)) - guests.keys()):
                listener.settimeout(SECONDS_BEFORE_NOTE)
                try:
                    guest, _ = listener.accept()
                except TimeoutError:
                    who = f"process {', '.join(map(str, missing))} of {count}"
                    if time.monotonic() > deadline:
                        raise UsageError(f"{who} did not come to port {port} within {seconds:g} s") from None
                    if not noted:
                        note(f"waiting for {who} at port {port}")
                    noted = True
                    continue
                number = greeted(guest, guests, count)
                guests[number] = guest
        for guest in guests.values():
            answer(guest, ALL_ARE_THERE)
            # Who closes a connection first keeps its port for a while, and this one is needed again.
            guest.recv(1)
    except (ConnectionError, TimeoutError) as error:
        raise UsageError(f"another process ended before all had come: {error}") from None
    finally:
        for guest in guests.values():
            guest.close()


def listen(port: int) -> socket.socket:
    """Listen on a port, by IPv6 too where there is that."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise UsageError(f"process 0 cannot listen on port {port} ({error.strerror}); take another one") from None


def greeted(guest: socket.socket, guests: dict[int, socket.socket], count: int) -> int:
    """Read which process somebody is; refuse one that cannot be."""
    guest.settimeout(SECONDS_FOR_A_GREETING)
    try:
        number, theirs = map(int, line_of(guest).split())
    except ValueError:
        guest.close()
        raise UsageError("something that is no process of this run came to the port") from None
    reason = ""
    if theirs != count:
        reason = f"process {number} counts {theirs} processes, and process 0 {count}: --process-count has to agree"
    elif number in guests:
        reason = f"process {number} came twice: each needs a --process-id of its own"
    if reason:
        answer(guest, reason)
        guest.close()
        raise UsageError(reason)
    return number


def report(host: str, port: int, process_id: int, count: int, seconds: float, note: Note) -> None:
    """Come to process 0, and wait until it says that all are there."""
    start, noted = time.monotonic(), False
    while True:
        try:
            connection = socket.create_connection((host, port), SECONDS_FOR_A_GREETING)
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
    with connection:
        connection.settimeout(None)
        try:
            answer(connection, f"{process_id} {count}")
            said = line_of(connection)
        except ConnectionError:
            said = ""
    if said != ALL_ARE_THERE:
        raise UsageError(said or "process 0 ended before all processes had come")


def answer(connection: socket.socket, line: str) -> None:
    """Send a line."""
    connection.sendall(f"{line}\n".encode())


def line_of(connection: socket.socket) -> str:
    """Receive a line."""
    with connection.makefile(encoding="utf-8", errors="replace") as lines:
        return lines.readline(1000).strip()
