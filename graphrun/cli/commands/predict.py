"""The command `predict`."""

import sys
from collections.abc import Sequence

import click

from graphrun.cli.commands.options import GraphCommand, GraphFile, names, option


@click.command(cls=GraphCommand)
@click.option("--resume", "checkpoint", required=True, metavar="FILE", help="The checkpoint that holds the parameters.")
@option("data")
@click.option(
    "--output", "wanted", type=names, required=True, metavar="NAMES", help="The nodes to write, separated by commas."
)
@click.option("-o", "target", metavar="FILE", help="Where to write: .csv or .npz. [default: CSV on stdout]")
@option("set", "plugins")
def predict(file: GraphFile, checkpoint: str, wanted: Sequence[str], target: str | None) -> None:
    """Run the forward pass over the rows of a data file, with the parameters of a checkpoint."""
    from graphrun.run.predict import write_predictions

    write_predictions(file.load().predict(checkpoint, wanted), wanted, target, sys.stdout)
