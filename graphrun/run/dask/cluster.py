"""A Dask cluster: its workers, whether it is still there, and what it is given to do."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import distributed as dask

from graphrun.base.errors import RunError
from graphrun.run.dask.files import Copies, Place, digests, sees

T = TypeVar("T")

SECONDS_TO_MEET = 20
SECONDS_TO_PART = 5


class DaskCluster:
    """A cluster at an address, or with the address ``local`` one of this machine, which ends with it.

    Attributes:
        place: a name that nobody else has on the cluster, and the folder from where files are named.

    Raises:
        RunError: there is no scheduler, or it has no workers.
    """

    broken: tuple[type[BaseException], ...] = (dask.KilledWorker,)

    def __init__(self, address: str) -> None:
        distributed: Any = dask  # much of it has no types
        self.address = address
        self.place: Place = f"graphrun-{secrets.token_hex(8)}", os.getcwd()  # noqa: PTH109
        self._local: Any = None
        self._has_copies = False
        try:
            if address == "local":
                about = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
                with without_ctrl_c():
                    self._local = distributed.LocalCluster(threads_per_worker=1, **about)
            self.client = distributed.Client(self._local or address, timeout=SECONDS_TO_MEET)
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"there is no Dask scheduler at {address}: {error}") from None
        self._executor: Executor = self.client.get_executor(pure=False)
        until = time.monotonic() + SECONDS_TO_MEET
        while not self.workers():
            if time.monotonic() > until:
                self.close()
                raise RunError(f"the Dask scheduler at {address} has no workers")
            time.sleep(0.1)

    def workers(self) -> list[str]:
        """Return the addresses of the workers, in order."""
        # What `scheduler_info` returns, a task of the client's empties now and then.
        return sorted(self.client.ncores())

    def check(self) -> None:
        """Raise RunError where the scheduler is gone."""
        if self.client.status not in {"running", "connecting"} or self.client.scheduler is None:
            raise RunError(f"the Dask scheduler at {self.address} is lost")

    def share(self, files: Callable[[], Iterable[str]]) -> None:
        """Send files to the workers, if one of them does not see the same under the same paths.

        Raises:
            RunError: they are too large for that.
        """
        wanted = digests(files()) if self._local is None else {}
        if not wanted or all(self.client.run(sees, wanted).values()):
            return
        self.client.register_plugin(Copies(self.place[0], wanted), self.place[0])
        self._has_copies = True

    def submit(self, function: Callable[..., T], *arguments: Any, workers: Sequence[str] | None = None) -> Future[T]:
        """Give a worker, one of those where some are named, something to do."""
        submitted: Future[T] = self._executor.submit(function, *arguments, workers=workers)
        return submitted

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster, and nothing there."""
        if self._has_copies and self.client.status == "running":
            with suppress(OSError, TimeoutError):
                self.client.unregister_worker_plugin(self.place[0])
        self.client.close(timeout=SECONDS_TO_PART)
        if self._local is not None:
            self._local.close(timeout=SECONDS_TO_PART)


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Begin processes that hear nothing of Ctrl-C, which a terminal sends to all: here it is heard afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Where it begins on the way, it lets the signal through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
