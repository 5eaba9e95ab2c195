"""The command `predict`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from graphrun.cli.commands.options import data_file, load, overrides, plugin_folders


@click.command()
@click.argument("file")
@click.option("--resume", "checkpoint", required=True, metavar="FILE", help="The checkpoint that holds the parameters.")
@data_file
@click.option("--output", "names", required=True, metavar="NAMES", help="The nodes to write, separated by commas.")
@click.option("-o", "target", metavar="FILE", help="Where to write: .csv or .npz. [default: CSV on stdout]")
@overrides
@plugin_folders
def predict(
    file: str,
    checkpoint: str,
    data: str | None,
    names: str,
    target: str | None,
    overrides: Sequence[str],
    folders: Sequence[str],
) -> None:
    """Run the forward pass over the rows of a data file, with the parameters of a checkpoint."""
    from graphrun.run.predict import write_predictions

    graph = load(file, folders, overrides, data)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    write_predictions(graph.predict(checkpoint, wanted), wanted, target, sys.stdout)
