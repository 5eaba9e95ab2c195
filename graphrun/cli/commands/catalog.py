"""Commands about what is installed: `nodes`, `plugins`, `new-node`, `new-plugin`, `schema`, `completion`."""

from collections.abc import Callable, Sequence

import click

from graphrun.cli.commands.options import Function, offering, option
from graphrun.cli.terminal import say, tell


@click.command()
@click.argument("type_name", metavar="[TYPE]", required=False, shell_complete=offering("node_types"))
@click.option("--languages", is_flag=True, help="Which node types can be exported to each language, and why not.")
@option("plugins")
def nodes(type_name: str | None, languages: bool, folders: Sequence[str]) -> None:
    """List node types, update rules, solvers, schedules and initializers, or show one: settings, derivative, origin."""
    from graphrun.plugins.registry import Registry
    from graphrun.show.catalog import describe, listing

    registry = Registry(folders)
    if languages:
        from graphrun.show.languages import language_listing

        tell("\n".join(language_listing(registry)))
        return
    lines = listing(registry) if type_name is None else describe(registry, type_name)
    tell("\n".join(lines))


@click.command()
@option("plugins")
def plugins(folders: Sequence[str]) -> None:
    """List the plugins: what each adds, from where, how long it took to load, and what failed."""
    from graphrun.plugins.registry import Registry
    from graphrun.show.catalog import plugin_listing

    tell("\n".join(plugin_listing(Registry(folders))))


TENSOR = "A type that works on whole arrays, with a vector-Jacobian product."


def new(command: str, default: str) -> Callable[[Function], click.Command]:
    """Declare a command that writes files about a node type of a name, into a folder that is one by default."""
    place = f"Where to write. [default: {default}]"

    def declare(function: Function) -> click.Command:
        function = click.option(
            "-o", "--output", "folder", metavar="DIR", help=place, shell_complete=offering("folders")
        )(function)
        function = click.option("--tensor", is_flag=True, help=TENSOR)(function)
        return click.command(name=command)(click.argument("name")(function))

    return declare


@new("new-node", "the project's plugin folder, else .")
def new_node(name: str, tensor: bool, folder: str | None) -> None:
    """Write a plugin with a node type of that NAME, and its test, ready to edit."""
    from graphrun.plugins.scaffold import write_plugin

    tell("\n".join(map(str, write_plugin(name, folder, tensor=tensor))))


@new("new-plugin", "graphrun-NAME")
def new_plugin(name: str, tensor: bool, folder: str | None) -> None:
    """Write a distribution with a node type of that NAME: module, tests, example, page, workflow, ready to publish."""
    from graphrun.plugins.scaffold import write_distribution

    tell("\n".join(map(str, write_distribution(name, folder, tensor=tensor))))


@click.command()
@click.argument("files", metavar="[FILE...]", nargs=-1, shell_complete=offering("files"))
@click.option("--init", is_flag=True, help="Write the schema to .graphrun-schema.json, and the FILEs' first line.")
@option("plugins")
def schema(files: Sequence[str], init: bool, folders: Sequence[str]) -> None:
    """Print the JSON Schema of graph files with all node types and update rules, for editors.

    With --init, it is written beside each FILE, or where there is one in a folder above in the same project, and the
    FILE's first line becomes the comment by which yaml-language-server finds it.
    """
    import json

    from graphrun.cli.schema import graph_file_schema
    from graphrun.plugins.registry import Registry

    if init != bool(files):
        raise click.UsageError("--init needs a FILE" if init else "write --init to connect a FILE with the schema")
    registry = Registry(folders)
    text = json.dumps(graph_file_schema(registry), indent=1, allow_nan=False)
    for plugin in registry.failures:
        say(plugin.failure)
    if not init:
        click.echo(text)
        return
    from graphrun.cli.modeline import connect

    for line in connect(files, f"{text}\n"):
        tell(line)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which a shell completes graphrun: commands, options, files, node types.

    In bash and zsh: eval "$(graphrun completion bash)"; in fish: graphrun completion fish | source.
    """
    from graphrun.cli.completion import script

    group = click.get_current_context().find_root().command
    click.echo(script(group, shell))
