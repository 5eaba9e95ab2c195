"""The command `run`, which `graphrun FILE` is short for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING

import click

from graphrun.base.errors import GraphrunError, UsageError
from graphrun.base.memory import begin_collection
from graphrun.cli.commands.options import data_file, load_to_run, offering, overrides, plugin_folders, step_count

if TYPE_CHECKING:
    from graphrun.engines.auto import Choice
    from graphrun.plugins.registry import Registry
    from graphrun.run.distributed import Cluster

INTERRUPTED = 130


@click.command()
@click.argument("file", shell_complete=offering("files"))
@click.option(
    "--steps",
    type=step_count,
    metavar="N",
    help="How many steps to make; 0 only evaluates. [default: the file's, else 1]",
)
@overrides
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="auto|numpy|numba|jax",
    help="What computes the passes.",
    shell_complete=offering("words_of_metavar"),
)
@click.option("--device", metavar="cpu|gpu|tpu[:i]", help="Where the jax engine runs. [default: JAX's choice]")
@click.option(
    "--distributed", is_flag=True, help="Share the rows of each step with other processes, by the jax engine."
)
@click.option("--coordinator", metavar="HOST:PORT", help="Where process 0 is. [default: the cluster's environment]")
@click.option("--process-id", type=click.IntRange(min=0), metavar="I", help="Which one of the processes this is.")
@click.option("--process-count", type=click.IntRange(min=1), metavar="N", help="How many processes there are.")
@click.option("--dtype", type=click.Choice(["float64", "float32"]), help="The numbers' type. [default: the file's]")
@click.option(
    "--seed", type=click.IntRange(min=0), help="What every random draw derives from. [default: the file's, else 0]"
)
@click.option("--record", metavar="NAMES", help="Names to show and record at each step, separated by commas.")
@click.option("--every", type=click.IntRange(min=1), help="Record every so many steps. [default: 1,000 rows or fewer]")
@data_file
@click.option(
    "--save", metavar="FILE", help="Write a checkpoint at the end, also of a run that failed or was interrupted."
)
@click.option("--save-every", type=click.IntRange(min=1), metavar="N", help="Write one every N steps, too.")
@click.option("--resume", metavar="FILE", help="Go on from a checkpoint; --steps counts from the very start.")
@click.option(
    "--observe",
    "observed",
    multiple=True,
    metavar="NAME=TARGET",
    help="Tell an observer: csv=FILE, jsonl=FILE, tensorboard=FOLDER, mlflow=EXPERIMENT, or a plugin's.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="json: one object; jsonl: a line for each recorded row, as it comes; csv: the recorded rows.",
)
@plugin_folders
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on stderr.")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what was loaded and chosen.")
def run(
    file: str,
    steps: int | None,
    overrides: Sequence[str],
    engine: str,
    device: str | None,
    distributed: bool,
    coordinator: str | None,
    process_id: int | None,
    process_count: int | None,
    dtype: str | None,
    seed: int | None,
    record: str | None,
    every: int | None,
    data: str | None,
    save: str | None,
    save_every: int | None,
    resume: str | None,
    observed: Sequence[str],
    output_format: str,
    folders: Sequence[str],
    quiet: bool,
    verbose: bool,
) -> int:
    """Run a graph file: forward pass, backward pass, update; then again."""
    from graphrun.base.rows import write_row
    from graphrun.cli.terminal import Interruption, progress
    from graphrun.show.tables import write_result

    if save_every is not None and save is None:
        raise click.UsageError("--save-every goes with --save FILE")
    graph = load_to_run(file, folders, overrides, data)
    if not distributed and any(word is not None for word in (coordinator, process_id, process_count)):
        raise click.UsageError("--coordinator, --process-id and --process-count go with --distributed")
    if distributed and engine not in {"auto", "jax"}:
        raise click.UsageError(f"--distributed is the jax engine's, not the {engine} engine's")
    cluster = join_cluster(device, coordinator, process_id, process_count) if distributed else None
    first = cluster is None or cluster.is_first()
    for note in () if quiet or not first else graph.notes(seed):
        click.echo(note, err=True)
    total = graph.steps if steps is None else steps
    output = sys.stdout
    begin_collection()
    # What a plugin's functions print must not get between the lines of a result.
    with (
        redirect_stdout(sys.stderr),
        Interruption() as interrupted,
        progress(total, quiet=quiet) as on_progress,
        cluster or nullcontext(),
    ):
        result = graph.try_run(
            steps,
            engine=engine,
            dtype=dtype,
            seed=seed,
            record=None if record is None else [name.strip() for name in record.split(",") if name.strip()],
            every=every,
            save=save,
            save_every=save_every,
            resume=resume,
            device=device,
            cluster=cluster,
            observers=make_observers(graph.registry, observed),
            on_row=(lambda step, row: write_row(step, row, output)) if output_format == "jsonl" and first else None,
            on_progress=on_progress,
            on_choice=partial(report_choice, quiet=quiet, verbose=verbose),
            interrupted=interrupted,
        )
    if not first:
        return 1 if result.error is not None else 0
    write_result(result, output_format, output)
    if verbose:
        click.echo(f"{graph!r}: {result.steps} steps, engine {result.engine}", err=True)
    if result.error is not None:
        click.echo(f"{file}: {result.error}", err=True)
        return 1
    return INTERRUPTED if result.stopped == "interrupted" else 0


def join_cluster(device: str | None, coordinator: str | None, process_id: int | None, count: int | None) -> Cluster:
    """Meet the other processes of a run."""
    from graphrun.run.distributed import Cluster

    cluster = Cluster(coordinator, process_id, count)
    # Gloo says on stdout whom it is connected to; what this program says goes another way.
    encoding = sys.stdout.encoding
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(1), "w", encoding=encoding, errors="backslashreplace")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    cluster.join(device)
    return cluster


def report_choice(choice: Choice, *, quiet: bool, verbose: bool) -> None:
    """Say which engine was chosen and why, when it is another than NumPy's or would better be, or when asked."""
    if verbose or (not quiet and (choice.engine != "numpy" or choice.suggestion)):
        click.echo(str(choice), err=True)


def make_observers(registry: Registry, named: Sequence[str]) -> list[object]:
    """Return the observers that ``--observe`` names."""
    observers = []
    for text in named:
        name, _, target = text.partition("=")
        try:
            observers.append(registry.observer(name)(target))
        except GraphrunError as error:
            raise UsageError(f"--observe {text}: {error}") from None
        except Exception as error:
            raise UsageError(f"--observe {text}: {type(error).__name__}: {error}") from error
    return observers
