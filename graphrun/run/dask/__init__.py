"""What graphrun asks of a Dask cluster; its package is imported where somebody names one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from graphrun.base.errors import UsageError

if TYPE_CHECKING:
    from graphrun.run.dask.cluster import DaskCluster
    from graphrun.run.sweep.plan import Varied


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


def open_cluster(address: str) -> DaskCluster:
    """Come to a cluster at an address, or begin one of this machine, which is called ``local``.

    Raises:
        UsageError: Dask is not installed.
        RunError: there is no scheduler, or it has no workers.
    """
    try:
        from graphrun.run.dask.cluster import DaskCluster
    except ModuleNotFoundError as error:
        if error.name != "distributed":
            raise
        raise UsageError("workers of Dask need its package: pip install 'graphrun[sweep]'") from None
    return DaskCluster(address)


def run_together(
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
    from graphrun.run.dask.processes import run_on_workers

    return run_on_workers(cluster, graph, named, asked, interrupted)
