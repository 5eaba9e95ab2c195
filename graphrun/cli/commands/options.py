"""What commands have in common: options, each declared once, completion, and what a command is handed of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from graphrun.base.errors import UsageError
from graphrun.base.memory import limited, read_size
from graphrun.base.wording import quote
from graphrun.cli.terminal import say

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from graphrun.document import Source
    from graphrun.plugins.registry import Registry
    from graphrun.run.api import Graph

Function: TypeAlias = Callable[..., Any]


def offering(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return the function of `graphrun.cli.completion` with that name, imported when a shell asks."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from graphrun.cli import completion

        items: list[CompletionItem] = getattr(completion, name)(ctx, parameter, incomplete)
        return items

    return complete


class Offered(click.Choice[str]):
    """Names that are offered, beside which plugins may have more: whoever uses one refuses what there is not."""

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        """Take any name."""
        return str(value)


def step_count(text: str) -> int:
    """Read a whole number of steps; `1e6` is one too, as it is in a graph file."""
    try:
        number = int(text) if text.isdigit() else float(text)
    except ValueError:
        number = -1
    if number < 0 or number != number // 1:
        raise click.BadParameter(f"{quote(text)} is not a whole number of 0 or more.")
    return int(number)


def names(text: str) -> list[str]:
    """Read names that are separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def told(*declarations: str, **rest: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return what click is told of an option."""
    return declarations, rest


OPTIONS = {
    "steps": told(
        "--steps",
        type=step_count,
        metavar="N",
        help="How many steps to make; 0 only evaluates. [default: the file's, else 1]",
    ),
    "set": told(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Change a value of the file, as in --set update.step_size=0.1, or take ~PATH away; may be given again.",
    ),
    "engine": told(
        "--engine",
        default="auto",
        show_default=True,
        metavar="auto|numpy|numba|jax",
        help="What computes the passes.",
        shell_complete=offering("words_of_metavar"),
    ),
    "device": told("--device", metavar="cpu|gpu|tpu[:i]", help="Where the jax engine runs. [default: JAX's choice]"),
    "dtype": told(
        "--dtype", type=click.Choice(["float64", "float32"]), help="The numbers' type. [default: the file's]"
    ),
    "seed": told(
        "--seed", type=click.IntRange(min=0), help="What every random draw derives from. [default: the file's, else 0]"
    ),
    "record": told(
        "--record", type=names, metavar="NAMES", help="Names to show and record at each step, separated by commas."
    ),
    "every": told(
        "--every", type=click.IntRange(min=1), help="Record every so many steps. [default: 1,000 rows or fewer]"
    ),
    "data": told("--data", metavar="FILE", help="A data file in place of the one that the graph file names."),
    "save": told(
        "--save", metavar="FILE", help="Write a checkpoint at the end, also of a run that failed or was interrupted."
    ),
    "save_every": told("--save-every", type=click.IntRange(min=1), metavar="N", help="Write one every N steps, too."),
    "resume": told("--resume", metavar="FILE", help="Go on from a checkpoint; --steps counts from the very start."),
    "start": told(
        "--start", metavar="FILE", help="Begin with the parameters of another graph's checkpoint, by their names."
    ),
    "depth": told("--depth", type=click.IntRange(min=0)),
    "plugins": told(
        "--plugins",
        "folders",
        multiple=True,
        metavar="DIR",
        help="A folder of loose plugin files; may be given again.",
        shell_complete=offering("folders"),
    ),
    "format": told("--format", "output_format", show_default=True),
    "quiet": told("-q", "--quiet", is_flag=True, help="No progress and no notes on stderr."),
}
"""The options that several commands take: their declarations, and what click is told of them."""


def option(*taken: str, **changes: Any) -> Callable[[Function], Function]:
    """Declare some of `OPTIONS` for a command, in the order of its help.

    Args:
        taken: their names.
        changes: what is another for this command, as its help.
    """

    def declare(function: Function) -> Function:
        for name in reversed(taken):
            declarations, rest = OPTIONS[name]
            function = click.option(*declarations, **(rest | changes))(function)
        return function

    return declare


@dataclass(frozen=True)
class GraphFile:
    """The graph file that a command is given, and what ``--set``, ``--plugins`` and ``--data`` say of it."""

    path: str
    overrides: Sequence[str] = ()
    folders: Sequence[str] = ()
    data: str | None = None
    start: str | None = None

    @property
    def shown(self) -> str:
        """The name that messages have for it."""
        return "<stdin>" if self.path == "-" else self.path

    def load(self, registry: Registry | None = None) -> Graph:
        """Load it, with the node types of a registry where one is there already."""
        from graphrun.plugins.registry import Registry
        from graphrun.run.loading import load

        registry = registry or Registry(self.folders)
        graph = load(
            piped() if self.path == "-" else self.path,
            overrides=self.overrides,
            registry=registry,
            data=self.data,
            start=self.start,
        )
        if not click.get_current_context().params.get("quiet"):
            for note in registry.notes:
                say(note)
        return graph

    def load_to_run(self, registry: Registry | None = None) -> Graph:
        """Load it, if it has values.

        Raises:
            UsageError: it is a library of subgraphs for other files.
        """
        graph = self.load(registry)
        document = graph.document
        if document.subgraphs and not (document.nodes or document.parameters):
            subgraphs = ", ".join(document.subgraphs)
            raise UsageError(
                f"{self.shown} is a library of the subgraphs {subgraphs}, for other files to include: nothing to run"
            )
        return graph


@cache
def piped() -> Source:
    """Return the graph file that comes on stdin, read once."""
    from graphrun.document import Source

    return Source.decode("<stdin>", sys.stdin.buffer.read())


class GraphCommand(click.Command):
    """A command on a graph file: its function is handed a `GraphFile`, and a `RunRequest` of the options of a run."""

    def __init__(self, *arguments: Any, **told: Any) -> None:
        super().__init__(*arguments, **told)
        self.params.insert(0, click.Argument(["path"], metavar="FILE", shell_complete=offering("files")))
        self.params.append(
            click.Option(["--memory"], metavar="SIZE", help="What the graph may take, as 8GiB. [default: half of it]")
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words, after a look for the likeliest slip: ``--set PATH VALUE``."""
        for option, path, value in zip(args, args[1:], args[2:], strict=False):
            if option == "--set" and "=" not in path and value[:1] != "-" and not os.path.exists(value):  # noqa: PTH110
                ctx.fail(f"--set takes one word: --set {path}={value}")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Gather the options."""
        from graphrun.run.request import RunRequest

        def gathered(kind: Any) -> Any:
            known = {field.name for field in fields(kind)}
            return kind(**{name: ctx.params.pop(name) for name in list(ctx.params) if name in known})

        ctx.params["file"] = gathered(GraphFile)
        if any(field.name in ctx.params for field in fields(RunRequest)):
            ctx.params["request"] = gathered(RunRequest)
        memory = ctx.params.pop("memory")
        with limited(None if memory is None else read_size(memory)):
            return super().invoke(ctx)
