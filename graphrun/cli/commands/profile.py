"""The command `profile`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial

import click

from graphrun.base.memory import begin_collection
from graphrun.cli.commands.options import data_file, load, offering, overrides, plugin_folders
from graphrun.cli.commands.run import report_choice


@click.command()
@click.argument("file", shell_complete=offering("files"))
@click.option("--steps", type=click.IntRange(min=1), help="How many steps a round makes. [default: about 0.05 s]")
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="auto|numpy|numba|jax",
    help="What computes the passes.",
    shell_complete=offering("words_of_metavar"),
)
@click.option("--dtype", type=click.Choice(["float64", "float32"]), help="The numbers' type. [default: the file's]")
@data_file
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: one object, with every node.",
)
@overrides
@plugin_folders
def profile(
    file: str,
    steps: int | None,
    engine: str,
    dtype: str | None,
    data: str | None,
    output_format: str,
    overrides: Sequence[str],
    folders: Sequence[str],
) -> None:
    """Measure where the time of a step goes: by node type, by node, and how far from what the machine can do."""
    from graphrun.show.profile import profile_graph
    from graphrun.show.profile.table import write_profile

    graph = load(file, folders, overrides, data)
    output = sys.stdout
    begin_collection()
    with redirect_stdout(sys.stderr):
        report = partial(report_choice, quiet=False, verbose=True)
        found = profile_graph(graph, steps, engine=engine, dtype=dtype, on_choice=report)
    write_profile(found, output_format, output)
