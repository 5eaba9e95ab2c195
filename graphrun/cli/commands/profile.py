"""The command `profile`."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from graphrun.base.memory import begin_collection
from graphrun.base.streams import stdout_to_stderr
from graphrun.cli.commands.options import GraphCommand, GraphFile, option
from graphrun.cli.commands.run import report_choice

if TYPE_CHECKING:
    from graphrun.run.request import RunRequest


@click.command(cls=GraphCommand)
@option("steps", type=click.IntRange(min=1), metavar=None, help="How many steps a round makes. [default: about 0.05 s]")
@option("engine", "dtype", "data")
@option("format", type=click.Choice(["table", "json"]), default="table", help="json: one object, with every node.")
@option("set", "plugins")
def profile(file: GraphFile, request: RunRequest, output_format: str) -> None:
    """Measure where the time of a step goes: by node type, by node, and how far from what the machine can do."""
    from graphrun.show.profile import profile_graph
    from graphrun.show.profile.table import write_profile

    graph = file.load()
    output = sys.stdout
    begin_collection()
    with stdout_to_stderr():
        found = profile_graph(graph, replace(request, on_choice=partial(report_choice, quiet=False, verbose=True)))
    write_profile(found, output_format, output)
