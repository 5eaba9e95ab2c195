"""Commands that print graphs: `show`, `diff`, `export`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from graphrun.commands.options import load, offering, overrides, plugin_folders, step_count


@click.command()
@click.argument("file", shell_complete=offering("files"))
@overrides
@plugin_folders
def show(file: str, overrides: Sequence[str], folders: Sequence[str]) -> None:
    """Print a graph as it will run: expanded, with every override in place, as a graph file again."""
    from graphrun.document.dump import dump_document

    click.echo(dump_document(load(file, folders, overrides).document), nl=False)


@click.command()
@click.argument("first", metavar="A", shell_complete=offering("files"))
@click.argument("second", metavar="B", shell_complete=offering("files"))
@click.option("--steps", type=step_count, metavar="N", help="How many steps to run both. [default: each file's]")
@click.option("--tolerance", type=float, default=1e-9, show_default=True, help="Numbers no further apart are equal.")
@plugin_folders
def diff(first: str, second: str, steps: int | None, tolerance: float, folders: Sequence[str]) -> int:
    """Show what differs between two graph files: in structure, and when they are run. Ends with 1 if anything does."""
    from graphrun.diff import diff_graphs

    lines = list(diff_graphs(load(first, folders), load(second, folders), steps, tolerance))
    for line in lines:
        click.echo(line)
    return 1 if lines else 0


@click.command()
@click.argument("file", shell_complete=offering("files"))
@click.option("--to", "target", type=click.Choice(["python"]), required=True, help="The language of the program.")
@click.option("--steps", type=step_count, metavar="N", help="How many steps the program makes. [default: the file's]")
@overrides
@plugin_folders
def export(file: str, target: str, steps: int | None, overrides: Sequence[str], folders: Sequence[str]) -> None:
    """Print a graph of numbers as a program that needs nothing of graphrun: passes and update, line by line."""
    from graphrun.export import export_python

    click.echo(export_python(load(file, folders, overrides), steps), nl=False)
