"""One process of a run on each worker of a Dask cluster; they meet as those do that were begun by hand.

A process of its own, for JAX meets others once in a process, and one that loses them ends. One for each worker, for by
its workers who began the cluster has divided the machines: a GPU for each, or some cores.
"""

from __future__ import annotations

import io
import os
import pickle
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from tempfile import NamedTemporaryFile
from typing import IO, Any, NamedTuple, NoReturn

from distributed import get_worker
from distributed.comm.addressing import get_address_host

from graphrun.base.errors import RunError
from graphrun.base.files import check_output, write_output
from graphrun.base.reads import reading_from
from graphrun.run.dask.cluster import DaskCluster
from graphrun.run.dask.files import Place, copies_here, files_of
from graphrun.run.distributed import ProcessLostError
from graphrun.run.sweep.plan import Varied
from graphrun.run.sweep.worker import THREADS

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_FOR_LAST_WORDS = 40
"""So long process 0 may take to say itself that another one was lost: of one that is stopped it hears after 25."""
SAVED = "saved.safetensors"
BEGIN = "import pickle, sys; function, *arguments = pickle.load(sys.stdin.buffer); function(*arguments)"


@dataclass(frozen=True)
class Asked:
    """What the processes of a run are to do together.

    Attributes:
        command: what runs a command line and returns its exit status.
        words: the command line, without what says where and which one a process is.
        more: options that come after them.
        text: the graph file that came on stdin.
        save: where the user wants the checkpoint.
        observes: whether observers write files, too.
    """

    command: Callable[[Sequence[str]], int]
    words: Sequence[str]
    more: Sequence[str] = ()
    text: bytes | None = None
    save: str | Path | None = None
    observes: bool = False
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)


class Meeting(NamedTuple):
    """Where processes meet, how many they are, and how many have to do with the cores of each one's machine."""

    coordinator: str
    processes: int
    neighbours: Sequence[int]


class Ended(NamedTuple):
    """How a process ended: its status, how many lines it said, its errors, and the files that it left out of sight."""

    status: int
    lines: int
    errors: str
    files: dict[str, bytes]


_children: dict[str, subprocess.Popen[bytes]] = {}
"""The processes that this worker has begun, by the run's name."""


def run_on_workers(
    cluster: DaskCluster, graph: Varied, named: Sequence[Path], asked: Asked, interrupted: Callable[[], bool]
) -> int:
    """Run a command line as one process on each worker; what the first one says is said here.

    Args:
        cluster: whose workers they are.
        graph: the graph, which was loaded here.
        named: files that the command line names.
        asked: the command line.
        interrupted: asked now and then whether to end.

    Returns:
        The exit status of the first process.

    Raises:
        RunError: the scheduler or a process is lost, or the checkpoint cannot be written.
    """
    if asked.save is not None:
        check_output(asked.save)
    with ExitStack() as stack:
        if asked.save is not None or asked.observes:
            # Who sees this file writes where the user will look.
            folder = Path(asked.save or "").absolute().parent if asked.save else Path()
            sign = stack.enter_context(NamedTemporaryFile(prefix=".graphrun-", dir=folder))
            sign.write(secrets.token_bytes())
            sign.flush()
            named = [*named, Path(sign.name).absolute()]
        cluster.share(lambda: files_of(graph, named))
    name, workers = cluster.place[0], cluster.workers()
    heard: SimpleQueue[tuple[str, str]] = SimpleQueue()
    cluster.client.subscribe_topic(name, lambda event: heard.put(event[1]))
    hosts = [get_address_host(worker) for worker in workers]
    (port,) = cluster.client.run(free_port, hosts[0], workers=workers[:1]).values()
    coordinator = f"[{hosts[0]}]:{port}" if ":" in hosts[0] else f"{hosts[0]}:{port}"
    meeting = Meeting(coordinator, len(workers), [hosts.count(host) for host in hosts])
    futures = [
        cluster.submit(one_process, cluster.place, asked, meeting, number, workers=[worker])
        for number, worker in enumerate(workers)
    ]
    said, is_ending, since = 0, False, float("inf")
    try:
        while not futures[0].done():
            wait(futures[:1], SECONDS_BETWEEN_LOOKS)
            said += _say(heard)
            cluster.check()
            if interrupted() and not is_ending:
                is_ending = True
                cluster.client.run(interrupt, name)
            lost = _lost(futures, workers, cluster.workers())
            since = min(since, time.monotonic()) if lost else float("inf")
            if lost and (lost[0] == 0 or time.monotonic() - since > SECONDS_FOR_LAST_WORDS):
                raise ProcessLostError(f"another process of the run was lost: process {lost[0]}: {lost[1]}")
        ended = _ended(futures[0], workers[0])
        wait(futures, SECONDS_FOR_LAST_WORDS)
        until = time.monotonic() + SECONDS_FOR_LAST_WORDS
        while said < ended.lines and time.monotonic() < until:
            time.sleep(SECONDS_BETWEEN_LOOKS / 10)
            said += _say(heard)
    finally:
        # The process of a run that is not wanted any more is ended by its worker.
        for future in futures:
            future.cancel()
    for file, content in ended.files.items():
        write_output(asked.save if file == SAVED and asked.save else Path(cluster.place[1], file), content)
    if ended.status < 0:
        raise ProcessLostError(f"process 0 was ended by {signal.Signals(-ended.status).name}")
    return ended.status


def _say(heard: SimpleQueue[tuple[str, str]]) -> int:
    """Say what process 0 has said since, and return how many lines that is."""
    count = heard.qsize()
    for _ in range(count):
        stream, line = heard.get()
        (sys.stdout if stream == "stdout" else sys.stderr).write(line)
    if count:
        sys.stdout.flush()
    return count


def _ended(future: Future[Ended], worker: str) -> Ended:
    """Return how a process has ended; what is raised on a worker is another mistake than that of a run."""
    error = future.exception()
    if error is not None:
        raise RunError(f"Dask's worker {worker} cannot run graphrun: {type(error).__name__}: {error}") from error
    return future.result()


def _lost(futures: Sequence[Future[Ended]], workers: Sequence[str], there: Sequence[str]) -> tuple[int, str] | None:
    """Return the first of the processes that is gone, or has failed, and why."""
    for number, (future, worker) in enumerate(zip(futures, workers, strict=True)):
        if future.done() and not future.cancelled():
            ended = _ended(future, worker)
            if ended.status and number:
                return number, ended.errors.strip().rpartition("\n")[2] or f"its exit status is {ended.status}"
        elif worker not in there:
            return number, f"Dask's worker {worker} is gone"
    return None


def free_port(host: str) -> int:
    """Return a port of this machine that nobody listens on."""
    family = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][0]
    with socket.socket(family) as found:
        found.bind((host, 0))
        port: int = found.getsockname()[1]
        return port


def interrupt(name: str) -> None:
    """Press Ctrl-C for the process of a run that this worker has begun."""
    if name in _children:
        _children[name].send_signal(signal.SIGINT)


def one_process(place: Place, asked: Asked, meeting: Meeting, number: int) -> Ended:
    """Begin a process of a run on a worker, and wait for its end; the first one's words are sent as they come."""
    worker, (name, folder) = get_worker(), place
    key, root, lines = worker.get_current_task(), copies_here(place), 0
    here = Path(root + folder if root or Path(folder).is_dir() else worker.local_directory)
    here.mkdir(parents=True, exist_ok=True)
    before = {*here.rglob("*")} if root else set()
    where = ("--distributed", "--coordinator", meeting.coordinator, "--process-count", str(meeting.processes))
    own = [*where, "--process-id", str(number), *asked.more, *(("--save", SAVED) if root and asked.save else ())]
    at = [*asked.words, "--"].index("--")
    words = [*asked.words[:at], *own, *asked.words[at:]]
    threads = str(max((os.cpu_count() or 1) // meeting.neighbours[number], 1))
    environment = {**dict.fromkeys(THREADS, threads), **os.environ}
    errors: list[str] = []

    def tell(stream: str, pipe: IO[bytes]) -> None:
        nonlocal lines
        for raw in pipe:
            line = raw.decode("utf-8", "replace")
            if stream == "stderr":
                errors.append(line)
            if number == 0:
                worker.log_event(name, (stream, line))
                lines += 1

    # A session of its own, for who presses Ctrl-C at a terminal presses it for all processes of the terminal's.
    about: Any = {"cwd": here, "env": environment, "start_new_session": True}
    about |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", BEGIN], **about) as child:  # noqa: S603
        _children[name] = child
        readers = [
            threading.Thread(target=tell, args=(stream, getattr(child, stream))) for stream in ("stdout", "stderr")
        ]
        try:
            for reader in readers:
                reader.start()
            if child.stdin is not None:
                pickle.dump((begin_here, root, folder, asked, words), child.stdin)
                child.stdin.flush()
            while child.poll() is None:
                task = worker.state.tasks.get(key)
                if task is None or task.state != "executing":
                    child.kill()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            child.kill()
            del _children[name]
            for reader in readers:
                reader.join()
    files = {*here.rglob("*")} - before if root and number == 0 else set()
    kept = {os.fspath(file.relative_to(here)): file.read_bytes() for file in files if file.is_file()}
    return Ended(child.returncode, lines, "".join(errors), kept)


def begin_here(root: str, folder: str, asked: Asked, words: Sequence[str]) -> NoReturn:
    """Be a process of a run, for as long as its worker is there."""
    if hasattr(signal, "pthread_sigmask"):
        # `interrupt` is heard here, though not by a worker of the same machine.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_worker, daemon=True).start()
    if asked.text is not None:
        sys.stdin = io.TextIOWrapper(io.BytesIO(asked.text))
    os.environ["GRAPHRUN_TOKEN"] = asked.token
    with reading_from(root, folder):
        sys.exit(asked.command(words))


def _end_with_worker() -> None:
    os.read(0, 1)  # nothing is written there any more
    os._exit(1)
