"""A Dask cluster of this machine, of processes that tests may kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

SECONDS = 300
WORKER = ("-m", "distributed.cli.dask_worker")


class LocalCluster:
    """A scheduler and two workers, in a working folder of their own.

    Attributes:
        address: where the scheduler is.
        scheduler, workers: the processes.
    """

    def __init__(self, folder: Path, worker: Sequence[str] = WORKER) -> None:
        self.folder, self._file = folder, folder / "scheduler.json"
        self._log = (folder / "log").open("w")
        self.scheduler = self._begin("-m", "distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1")
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        self.workers = [self._begin(*worker, *options) for _ in range(2)]
        self.address = self._address()
        import distributed

        client: Any = distributed.Client
        with client(self.address, timeout=SECONDS) as waiting:
            waiting.wait_for_workers(2, timeout=SECONDS)

    def _begin(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, *words, "--no-dashboard", "--scheduler-file", str(self._file)]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        return subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=self.folder, env=environment)

    def _address(self) -> str:
        deadline = time.monotonic() + SECONDS
        while self.scheduler.poll() is None and time.monotonic() < deadline:
            with suppress(FileNotFoundError, ValueError):  # it is written after it is there
                return str(json.loads(self._file.read_text())["address"])
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def close(self) -> None:
        """End what is left."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self._log.close()
