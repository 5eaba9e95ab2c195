"""Where the runs of a sweep are made: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from graphrun.base.errors import RunError, UsageError
from graphrun.run.sweep.worker import THREADS, Task, begin_worker, perform

DASK = "dask:"
MOST_WORKERS = 1024
SECONDS_TO_MEET = 20
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
    """The workers of a Dask cluster; the graph's files are found where they are on this machine."""

    def __init__(self, address: str, pickled: bytes) -> None:
        try:
            import distributed as dask
        except ModuleNotFoundError:
            raise UsageError("workers of Dask need its package: pip install 'graphrun[sweep]'") from None
        distributed: Any = dask
        self.broken: tuple[type[BaseException], ...] = (distributed.KilledWorker,)
        self._address = address
        self._local: Any = None
        try:
            if address == "local":
                self._local = distributed.LocalCluster(threads_per_worker=1, dashboard_address=None)
            self._client: Any = distributed.Client(self._local or address, timeout=SECONDS_TO_MEET)
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"there is no Dask scheduler at {address}: {error}") from None
        self._futures: Executor = self._client.get_executor(pure=False)
        self._pickled = pickled
        self.count = self._workers()

    def _workers(self) -> int:
        until = time.monotonic() + SECONDS_TO_MEET
        while not (found := len(self._client.scheduler_info(n_workers=-1)["workers"])):
            if time.monotonic() > until:
                raise RunError(f"the Dask scheduler at {self._address} has no workers")
            time.sleep(0.1)
        return found

    def submit(self, worker: int, task: Task) -> Future[dict[str, Any]]:
        """Give the cluster a run; which worker takes it, the scheduler decides."""
        del worker
        return self._futures.submit(perform, self._pickled, task)

    def check(self) -> None:
        """Raise RunError where the scheduler is gone."""
        if self._client.status not in {"running", "connecting"} or self._client.scheduler is None:
            raise RunError(f"the Dask scheduler at {self._address} is lost")

    def end(self) -> None:
        """Take the runs in hand back."""

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close(timeout=2)
        if self._local is not None:
            self._local.close(timeout=5)


@contextmanager
def open_workers(asked: int | str, graph: object) -> Iterator[Processes | Cluster]:
    """Open workers: so many processes, or ``dask:ADDRESS``, ``dask:local``.

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
        workers = Cluster(text.removeprefix(DASK), pickled)
    elif text.isdigit() and 1 <= int(text) <= MOST_WORKERS:
        workers = Processes(int(text), pickled)
    else:
        raise UsageError(f"workers is a number from 1 on, dask:ADDRESS or dask:local, not {text!r}")
    try:
        yield workers
    finally:
        workers.close()
