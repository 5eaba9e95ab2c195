"""The option `--distributed`: processes that run a graph together, begun by hand or by a Dask cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphrun.cli.commands.options import GraphCommand, GraphFile, piped
from graphrun.cli.terminal import Interruption

if TYPE_CHECKING:
    from graphrun.run.api import Graph
    from graphrun.run.distributed import Cluster
    from graphrun.run.request import RunRequest

BY_HAND = "by hand"
DASK = "dask:"


class RunCommand(GraphCommand):
    """The command `run`, whose ``--distributed`` may have a value; the words are kept for processes elsewhere."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; one that follows ``--distributed`` may be the graph file."""
        words = list(args)
        for at, (word, value) in enumerate(zip(args, [*args[1:], ""], strict=False)):
            if word == "--distributed":
                words[at : at + 1] = [word] if value.startswith(DASK) else [f"{word}={BY_HAND}"]
        ctx.meta[__name__] = args
        return super().parse_args(ctx, words)


def join_cluster(
    request: RunRequest,
    distributed: str | None,
    coordinator: str | None,
    process_id: int | None,
    process_count: int | None,
    token: str | None,
) -> Cluster | None:
    """Meet the other processes of a run that is distributed."""
    if not distributed:
        if any(word is not None for word in (coordinator, process_id, process_count, token)):
            raise click.UsageError("--coordinator, --process-id, --process-count and --token go with --distributed")
        return None
    check_engine(request)
    if distributed != BY_HAND:
        raise click.UsageError(f"--distributed stands alone, or with dask:ADDRESS or dask:local, not {distributed!r}")
    from graphrun.run.distributed import Cluster

    cluster = Cluster(coordinator, process_id, process_count, token or os.environ.get("GRAPHRUN_TOKEN", ""))
    # Gloo says on stdout whom it is connected to; what this program says goes another way.
    encoding = sys.stdout.encoding
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(1), "w", encoding=encoding, errors="backslashreplace")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    cluster.join(request.device)
    return cluster


def check_engine(request: RunRequest) -> None:
    """Refuse an engine that runs in one process alone."""
    if request.engine not in {"auto", "jax"}:
        raise click.UsageError(f"--distributed is the jax engine's, not the {request.engine} engine's")


def run_by_dask(
    file: GraphFile, graph: Graph, request: RunRequest, observed: Sequence[str], distributed: str, **by_hand: Any
) -> int:
    """Let the workers of a Dask cluster run the command line together."""
    if any(word is not None for word in by_hand.values()):
        raise click.UsageError("the processes of a Dask cluster find each other: leave out --coordinator and its like")
    check_engine(request)
    context = click.get_current_context()
    given = [word for word in context.meta[__name__] if word not in {"--distributed", distributed}]
    words = ["run", *(word for word in given if word != f"--distributed={distributed}")]
    named = [Path(name).absolute() for name in (file.path, request.resume) if name is not None and name != "-"]
    text = piped().text.encode() if file.path == "-" else None
    plugins = [word for folder in graph.registry.every_folder for word in ("--plugins", str(folder))]
    from graphrun.run.dask import open_cluster

    with open_cluster(distributed.removeprefix(DASK)) as cluster, Interruption() as interrupted:
        from graphrun.run.dask.processes import Asked, run_on_workers

        asked = Asked(context.obj, words, plugins, text, request.save, observes=bool(observed))
        return run_on_workers(cluster, graph, named, asked, interrupted)
