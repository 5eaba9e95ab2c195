"""What commands have in common: options, completion, and how they load a graph file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from graphrun.base.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from graphrun.run.api import Graph


def offering(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return the function of `graphrun.cli.completion` with that name, imported when a shell asks."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from graphrun.cli import completion

        items: list[CompletionItem] = getattr(completion, name)(ctx, parameter, incomplete)
        return items

    return complete


def step_count(text: str) -> int:
    """Read a whole number of steps; `1e6` is one too, as it is in a graph file."""
    try:
        number = int(text) if text.isdigit() else float(text)
    except ValueError:
        number = -1
    if number < 0 or number != number // 1:
        raise click.BadParameter(f"{text!r} is not a whole number of 0 or more.")
    return int(number)


plugin_folders = click.option(
    "--plugins",
    "folders",
    multiple=True,
    metavar="DIR",
    help="A folder of loose plugin files; may be given again.",
    shell_complete=offering("folders"),
)


overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a value of the file, as in --set update.step_size=0.1; may be given again.",
)


data_file = click.option("--data", metavar="FILE", help="A data file in place of the one that the graph file names.")


def load(file: str, folders: Sequence[str], overrides: Sequence[str] = (), data: str | None = None) -> Graph:
    """Load a graph file."""
    from graphrun.run.api import load as load_graph

    return load_graph(file, overrides=overrides, plugins=folders, data=data)


def load_to_run(file: str, folders: Sequence[str], overrides: Sequence[str] = (), data: str | None = None) -> Graph:
    """Load a graph file that has values.

    Raises:
        UsageError: it is a library of subgraphs for other files.
    """
    graph = load(file, folders, overrides, data)
    document = graph.document
    if document.subgraphs and not (document.nodes or document.parameters):
        names = ", ".join(document.subgraphs)
        raise UsageError(f"{file} is a library of the subgraphs {names}, for other files to include: nothing to run")
    return graph
