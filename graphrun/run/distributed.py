"""Many processes that run one graph together: each has its share of the rows of every step, all have the parameters.

The processes find each other by JAX's distributed runtime, and XLA adds up their gradients. They do the same steps in
the same order, so what one of them decides by its clock or its terminal has to be agreed on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType

from graphrun.base.errors import GraphrunError, RunError, UsageError
from graphrun.base.wording import printable_lines
from graphrun.run.rendezvous import Watch, meet

HEARTBEAT_SECONDS = 100
"""A process that JAX has not heard of for so long is lost, and it aborts the others; `Watch` comes before."""

PARTING_SECONDS = 60
"""So long the processes wait for each other at the end."""

JOINING_SECONDS = 120
"""So long the processes wait for each other at the start."""


def say(line: str) -> None:
    """Say something on stderr."""
    print(f"graphrun: {printable_lines(line)}", file=sys.stderr, flush=True)  # noqa: T201 (a process may end right after it)


_watches: list[Watch] = []
"""The one of this process, which meets others once."""


def part() -> None:
    """Tell the other processes that this one ends in order."""
    while _watches:
        _watches.pop().part()


def end_without(number: int, reason: str) -> None:
    """End this process, which may be waiting for another one in XLA for ever."""
    say(f"another process of the run was lost: process {number}: {reason}")
    os._exit(ProcessLostError.exit_status)


class ProcessLostError(RunError):
    """Another process of the cluster ended, or cannot be reached."""


@dataclass(frozen=True)
class Cluster:
    """The processes of a run; what is None is found in the environment (SLURM, Open MPI, Kubernetes, TPU).

    Attributes:
        coordinator: host and port of process 0.
        process_id: which one this is, from 0.
        process_count: how many there are.
        token: what all of them know and nobody else; "" where whoever comes to the port may be one.
    """

    coordinator: str | None = None
    process_id: int | None = None
    process_count: int | None = None
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse half of a description."""
        given = [value is not None for value in (self.coordinator, self.process_id, self.process_count)]
        if any(given) and not all(given):
            raise UsageError("coordinator, process-id and process-count go together: give all three, or none")
        if self.coordinator is not None:
            host, _, port = self.coordinator.rpartition(":")
            if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
                raise UsageError(f"coordinator {self.coordinator!r} is no HOST:PORT, as in 10.0.0.1:8476")
        if self.process_id is not None and self.process_count is not None and self.process_id >= self.process_count:
            raise UsageError(f"process-id {self.process_id} is none of {self.process_count} processes, from 0 on")

    def join(self, platform: str | None = None) -> None:
        """Meet the other processes; done once, before JAX is asked for anything.

        Args:
            platform: ``cpu``, ``gpu`` or ``tpu``, default what JAX finds.

        Raises:
            UsageError: the others are not found.
        """
        import jax

        if jax.distributed.is_initialized():
            return
        if platform is not None:
            jax.config.update("jax_platforms", {"gpu": "cuda,rocm"}.get(platform, platform))
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        if self.coordinator is not None and self.process_id is not None and self.process_count is not None:
            host, _, port = self.coordinator.rpartition(":")
            others = meet(
                host.strip("[]"), int(port), self.process_id, self.process_count, JOINING_SECONDS, say, self.token
            )
            watch = Watch(others, end_without)
            watch.start()
            _watches.append(watch)
        try:
            jax.distributed.initialize(
                self.coordinator,
                self.process_count,
                self.process_id,
                initialization_timeout=JOINING_SECONDS,
                # JAX's own default is every address of the machine.
                coordinator_bind_address=self.coordinator,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=PARTING_SECONDS,
            )
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"the other processes are not found: {reason}\n  give --coordinator HOST:PORT --process-id I "
                "--process-count N, or start graphrun by SLURM or mpirun"
            ) from None

    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        import jax

        return jax.process_index() == 0

    def smallest(self, number: int) -> int:
        """Return the smallest of the numbers that the processes bring."""
        import numpy as np
        from jax.experimental import multihost_utils

        return int(np.min(multihost_utils.process_allgather(np.int32(min(number, 2**31 - 1)))))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn what XLA says inside when a connection breaks into an error that says so.

        Raises:
            ProcessLostError: another process is gone.
        """
        import jax

        try:
            yield
        except GraphrunError:
            raise
        except (RuntimeError, ValueError) as error:
            # Where a result is only waited for, JAX raises the same words as a plain error.
            if not isinstance(error, jax.errors.JaxRuntimeError) and "Gloo" not in str(error):
                raise
            reason = str(error).strip().partition("\n")[0]
            raise ProcessLostError(f"another process of the run was lost: {reason}") from error

    def __enter__(self) -> Cluster:
        """Do nothing; `join` was called."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Part from the others; after a failure end the process, for there may be nobody left to say goodbye to."""
        import jax

        if error is None:
            jax.distributed.shutdown()
            part()
            return
        say(str(error) or type(error).__name__)
        if isinstance(error, GraphrunError) and not isinstance(error, ProcessLostError):
            # All processes come to the same mistake. JAX aborts those that are still on their way when one leaves.
            with suppress(Exception):
                jax.distributed.shutdown()
            part()
        os._exit(error.exit_status if isinstance(error, GraphrunError) else 1)
