"""Where the runs of a sweep are made: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphrun.base.errors import RunError, UsageError
from graphrun.run.sweep.plan import Varied
from graphrun.run.sweep.worker import THREADS, Task, begin_worker, perform

DASK = "dask:"
MOST_WORKERS = 1024
CHECKPOINT = "checkpoint"
"""The key of a line's checkpoint, which travels with it from a machine that does not see the folder."""
NOT_BEGUN = (
    "a process of the sweep ended before its first run\n"
    '  what a script does stands below if __name__ == "__main__":, for its processes import it'
)


class Processes:
    """Processes that are begun when they are first needed and stay; one that dies is begun anew.

    Each is the only one of its pool, for a pool is lost as a whole with one of its processes.

    Attributes:
        count: how many there are, each with one run at a time.
        broken: the errors of a run whose worker died.
    """

    broken: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, count: int, pickled: bytes) -> None:
        self.count, self._pickled = count, pickled
        self._context = multiprocessing.get_context("spawn")
        self._ending = self._context.Event()
        self._pools: dict[int, ProcessPoolExecutor] = {}
        self._begun: dict[int, Future[int]] = {}

    def submit(self, worker: int, task: Task) -> Future[dict[str, Any]]:
        """Give a worker a run."""
        for _ in range(2):
            if worker not in self._pools:
                pool = self._pools[worker] = ProcessPoolExecutor(1, self._context, begin_worker, (self._ending.is_set,))
                # A process has its environment from its start, which is when it gets something to do.
                with _threads(max((os.cpu_count() or 1) // self.count, 1)):
                    self._begun[worker] = pool.submit(os.getpid)
            try:
                return self._pools[worker].submit(perform, self._pickled, task)
            except BrokenProcessPool:
                self._pools.pop(worker).shutdown(wait=False)
        raise RunError(NOT_BEGUN)

    def check(self) -> None:
        """Raise RunError where a process ended before its first run."""
        if any(begun.done() and begun.exception() is not None for begun in self._begun.values()):
            raise RunError(NOT_BEGUN)

    def end(self) -> None:
        """Let the runs in hand come to their end early."""
        self._ending.set()

    def close(self) -> None:
        """End the processes, at once."""
        for pool in self._pools.values():
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let processes that are begun inside have so many threads, and GPUs in common, unless the user says otherwise."""
    wanted = {**dict.fromkeys(THREADS, str(number)), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    given = {name: text for name, text in wanted.items() if name not in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]


class Cluster:
    """The workers of a Dask cluster, which see the graph's files or are sent them."""

    def __init__(self, address: str, pickled: bytes, graph: Varied, named: Sequence[str | Path]) -> None:
        from graphrun.run.dask import open_cluster

        self._cluster = open_cluster(address)
        from graphrun.run.dask.files import files_of

        self.broken = self._cluster.broken
        self._pickled = pickled
        self.count = len(self._cluster.workers())
        self._cluster.share(lambda: files_of(graph, named))

    def submit(self, worker: int, task: Task) -> Future[dict[str, Any]]:
        """Give the cluster a run; which worker takes it, the scheduler decides."""
        del worker
        return self._cluster.submit(_perform_there, self._cluster.place, self._pickled, task)

    def check(self) -> None:
        """Raise RunError where the scheduler is gone."""
        self._cluster.check()

    def end(self) -> None:
        """Take the runs in hand back."""

    def close(self) -> None:
        """Leave the cluster."""
        self._cluster.close()


def _perform_there(place: tuple[str, str], pickled: bytes, task: Task) -> dict[str, Any]:
    """Make a run on a worker of Dask; a checkpoint that would be out of sight travels with the line."""
    from graphrun.run.dask.files import found_here

    with found_here(place) as root:
        if not root or task.checkpoint is None:
            return perform(pickled, task)
        kept = Path(root, f"{task.number}.safetensors")
        line = perform(pickled, replace(task, checkpoint=os.fspath(kept)))
        if kept.exists():
            line[CHECKPOINT] = kept.read_bytes()
            kept.unlink()
        return line


@contextmanager
def open_workers(asked: int | str, graph: Varied, named: Sequence[str | Path] = ()) -> Iterator[Processes | Cluster]:
    """Open workers: so many processes, or ``dask:ADDRESS``, ``dask:local``, which also need the files that are named.

    Raises:
        UsageError: it is neither.
        RunError: there is no such cluster.
    """
    try:
        pickled = pickle.dumps(graph)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(f"the graph cannot be handed to other processes: {error}") from None
    text = str(asked).strip()
    workers: Processes | Cluster
    if text.startswith(DASK):
        workers = Cluster(text.removeprefix(DASK), pickled, graph, named)
    elif text.isdigit() and 1 <= int(text) <= MOST_WORKERS:
        workers = Processes(int(text), pickled)
    else:
        raise UsageError(f"workers is a number from 1 on, dask:ADDRESS or dask:local, not {text!r}")
    try:
        yield workers
    finally:
        workers.close()
