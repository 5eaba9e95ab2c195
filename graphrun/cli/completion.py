"""Completion in the shell: what could stand where the cursor is, and the scripts that let a shell ask for it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from graphrun.base.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
GRAPH_FILES = ("*.yaml", "*.yml")

Items = list[CompletionItem]


def script(command: click.Command, shell: str) -> str:
    """Return the script that a shell reads to complete the command line of `graphrun`."""
    completion = get_completion_class(shell)
    if completion is None:
        raise UsageError(f"there is no completion for {shell!r}; there is for: {', '.join(SHELLS)}")
    return completion(command, {}, "graphrun", "_GRAPHRUN_COMPLETE").source()


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Let the shell complete the name of a file."""
    return [CompletionItem(incomplete, type="file")]


def folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Let the shell complete the name of a folder."""
    return [CompletionItem(incomplete, type="dir")]


def words_of_metavar(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Offer the words that the help lists for an option: ``auto|numpy``."""
    return _beginning_with(incomplete, ((word, None) for word in (parameter.metavar or "").split("|")))


def node_types(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Offer the node types and update rules that are built in: completing a word opens no plugin."""
    from graphrun.plugins.registry import Registry

    declared = [entry for plugin in Registry().plugins for entry in plugin.declarations]
    return _beginning_with(incomplete, ((entry.name, entry.summary) for entry in declared))


def commands_or_files(commands: Items, incomplete: str) -> Items:
    """Return what may stand in the place of a command: one of the commands that fit, or a graph file to run."""
    if not commands:
        return [CompletionItem(incomplete, type="file")]
    # A shell that is told to complete files forgets the commands: they go together only as plain words.
    return [*commands, *_beginning_with(incomplete, ((name, "graph file") for name in _graph_files()))]


def _graph_files() -> Iterator[str]:
    for pattern in GRAPH_FILES:
        yield from sorted(file.name for file in Path().glob(pattern) if not file.name.startswith("."))


def _beginning_with(incomplete: str, words: Iterable[tuple[str, str | None]]) -> Items:
    return [CompletionItem(word, help=text) for word, text in words if word.startswith(incomplete)]
