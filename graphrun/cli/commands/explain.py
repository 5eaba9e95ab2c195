"""The command `explain`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from graphrun.base.memory import begin_collection
from graphrun.base.streams import stdout_to_stderr
from graphrun.cli.commands.options import GraphCommand, GraphFile, option, step_count
from graphrun.cli.commands.run import report_choice

if TYPE_CHECKING:
    from graphrun.run.request import RunRequest


@click.command(cls=GraphCommand)
@click.option(
    "--step", type=step_count, default="0", show_default=True, metavar="K", help="How many updates come before."
)
@click.option("--node", metavar="NAME", help="Show one value: its formula, its neighbours, its influence.")
@click.option("--sensitivity", is_flag=True, help="Rank the leaves, and show where the gradient vanishes or explodes.")
@option(
    "format",
    type=click.Choice(["text", "markdown", "latex", "html"]),
    default="text",
    help="latex: a fragment for an article with amsmath; html: one page that needs nothing else.",
)
@option("set", "seed", "data", "plugins")
def explain(
    file: GraphFile, request: RunRequest, step: int, node: str | None, sensitivity: bool, output_format: str
) -> None:
    """Explain a step like a teacher: the forward pass, the backward pass and the update, in symbols and in numbers."""
    from graphrun.show.explain import explain as explain_step
    from graphrun.show.explain.step import take_step

    if node is not None and sensitivity:
        raise click.UsageError("--node and --sensitivity are two different pages: give one of them")
    begin_collection()
    with stdout_to_stderr():
        on_choice = partial(report_choice, quiet=False, verbose=False)
        taken = take_step(file.load(), step, seed=request.seed, on_choice=on_choice)
        text = explain_step(taken, output_format, node=node, ranked=sensitivity)
    click.echo(text, nl=False)
