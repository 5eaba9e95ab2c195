"""What commands have in common: options, completion, and how they load a graph file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from graphrun.api import Graph


def offering(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return the function of `graphrun.completion` with that name, imported when a shell asks."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from graphrun import completion

        items: list[CompletionItem] = getattr(completion, name)(ctx, parameter, incomplete)
        return items

    return complete


class StepCount(click.ParamType):
    """A whole number of steps; `1e6` is one too, as it is in a graph file."""

    name = "integer"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """Return the number."""
        try:
            number = float(value) if not str(value).isdigit() else int(value)
        except ValueError:
            number = -1
        if number < 0 or number != number // 1:
            self.fail(f"{value!r} is not a whole number of 0 or more.", parameter, context)
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
    from graphrun.api import load as load_graph

    return load_graph(file, overrides=overrides, plugins=folders, data=data)
