"""What graphrun asks of a Dask cluster; its package is imported where somebody names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphrun.base.errors import UsageError

if TYPE_CHECKING:
    from graphrun.run.dask.cluster import DaskCluster


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
