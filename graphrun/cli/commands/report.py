"""The command `report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import click

from graphrun.base.errors import RunError, UsageError
from graphrun.cli.commands.options import data_file, load_to_run, offering, overrides, plugin_folders, step_count
from graphrun.cli.commands.run import INTERRUPTED, report_choice


@click.command()
@click.argument("file", shell_complete=offering("files"))
@click.option("-o", "target", metavar="FILE", required=True, help="Where to write the page: one .html file.")
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
@click.option("--dtype", type=click.Choice(["float64", "float32"]), help="The numbers' type. [default: the file's]")
@click.option(
    "--seed", type=click.IntRange(min=0), help="What every random draw derives from. [default: the file's, else 0]"
)
@click.option("--record", metavar="NAMES", help="Names to chart at each step, separated by commas.")
@click.option("--every", type=click.IntRange(min=1), help="Record every so many steps. [default: 1,001 rows or fewer]")
@click.option("--depth", type=click.IntRange(min=0), help="How many frames to open. [default: what fits]")
@data_file
@plugin_folders
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on stderr.")
def report(
    file: str,
    target: str,
    steps: int | None,
    overrides: Sequence[str],
    engine: str,
    dtype: str | None,
    seed: int | None,
    record: str | None,
    every: int | None,
    depth: int | None,
    data: str | None,
    folders: Sequence[str],
    quiet: bool,
) -> int:
    """Run a graph file and write one page to step through: the drawn graph, every derivative, charts."""
    from graphrun.base.files import write_atomically
    from graphrun.cli.terminal import Interruption, progress
    from graphrun.show.report import make_report

    page = Path(target)
    if page.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"-o {target}: a report is a page, as in -o report.html")
    if not page.parent.is_dir():
        raise UsageError(f"-o {target}: there is no folder {page.parent}")
    graph = load_to_run(file, folders, overrides, data)
    for note in () if quiet else graph.notes(seed):
        click.echo(note, err=True)
    total = graph.steps if steps is None else steps
    with (
        redirect_stdout(sys.stderr),
        Interruption() as interrupted,
        progress(total, quiet=quiet) as on_progress,
    ):
        html, result = make_report(
            graph,
            steps,
            engine=engine,
            dtype=dtype,
            seed=seed,
            record=None if record is None else [name.strip() for name in record.split(",") if name.strip()],
            every=every,
            depth=depth,
            on_progress=on_progress,
            on_choice=partial(report_choice, quiet=quiet, verbose=False),
            interrupted=interrupted,
        )
    try:
        write_atomically(page, html.encode())
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror or error}") from None
    if result.error is not None:
        click.echo(f"{file}: {result.error}", err=True)
        return 1
    return INTERRUPTED if result.stopped == "interrupted" else 0
