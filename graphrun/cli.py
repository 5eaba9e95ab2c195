"""The command line. Commands import what they need when they run, so that none pays for another."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click_default_group import DefaultGroup

import graphrun
from graphrun.errors import GraphrunError
from graphrun.memory import begin_collection, no_collection_at_the_ends

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from graphrun.api import Graph
    from graphrun.distributed import Cluster
    from graphrun.engines.auto import Choice

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process: 0 done, 1 failed, 2 bad usage or a bad file, 130 interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks is shown as an escape, as Python does on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    with no_collection_at_the_ends():
        status = run_command(arguments)
    sys.exit(status)


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; every mistake of a user ends as a message on stderr."""
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "stdout is closed")
        status = commands.main(arguments, prog_name="graphrun", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return 2
    except GraphrunError as error:
        click.echo(f"{error}" if error.located else f"graphrun: {error}", err=True)
        return error.exit_status
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return 0
    except OSError as error:
        click.echo(f"graphrun: the output cannot be written: {error}", err=True)
        discard_output()
        return 1
    return status if isinstance(status, int) else 0


def discard_output() -> None:
    """Let what is still to be written go nowhere, so that the end of the process does not fail on it once more."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Commands(DefaultGroup):
    """Commands by name; what is none of them is the file that `run` is given."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Take a word that is neither a command nor a file, but almost a command, for a misspelt one."""
        word = args[0]
        # Unlike Path.exists, os.path.exists takes a name that is too long, or in a closed folder, for no file.
        is_new = word not in self.commands and "." not in word and not os.path.exists(word)  # noqa: PTH110
        if is_new and not ctx.resilient_parsing:
            near = get_close_matches(word, self.commands, n=1)
            if near:
                ctx.fail(f"{word!r} is no file and no command; did you mean the command {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, and what `run` takes, which needs no name."""
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            options = self.commands["run"].shell_complete(ctx, incomplete)
            return found + [item for item in options if item.value not in {known.value for known in found}]
        from graphrun.completion import commands_or_files

        return commands_or_files(found, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would end the process with status 1 when the reader has closed the pipe."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            discard_output()
            return 0


def offering(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return the function of `graphrun.completion` with that name, imported when a shell asks."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from graphrun import completion

        items: list[CompletionItem] = getattr(completion, name)(ctx, parameter, incomplete)
        return items

    return complete


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


@click.group(cls=Commands, default="run", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(graphrun.__version__, prog_name="graphrun")
def commands() -> None:
    """Run computational graphs declared in YAML files: forward pass, backward pass, updates.

    `graphrun FILE` is short for `graphrun run FILE`.
    """


@commands.command()
@click.argument("file", shell_complete=offering("files"))
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    help="How many steps to make; 0 only evaluates. [default: the file's, else 1]",
)
@overrides
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="auto|numpy|numba|jax",
    help="What computes the passes.",
    shell_complete=offering("words_of_metavar"),
)
@click.option("--device", metavar="cpu|gpu|tpu[:i]", help="Where the jax engine runs. [default: JAX's choice]")
@click.option(
    "--distributed", is_flag=True, help="Share the rows of each step with other processes, by the jax engine."
)
@click.option("--coordinator", metavar="HOST:PORT", help="Where process 0 is. [default: the cluster's environment]")
@click.option("--process-id", type=click.IntRange(min=0), metavar="I", help="Which one of the processes this is.")
@click.option("--process-count", type=click.IntRange(min=1), metavar="N", help="How many processes there are.")
@click.option("--dtype", type=click.Choice(["float64", "float32"]), help="The numbers' type. [default: the file's]")
@click.option(
    "--seed", type=click.IntRange(min=0), help="What every random draw derives from. [default: the file's, else 0]"
)
@click.option("--record", metavar="NAMES", help="Names to show and record at each step, separated by commas.")
@click.option("--every", type=click.IntRange(min=1), help="Record every so many steps. [default: 1,000 rows or fewer]")
@data_file
@click.option(
    "--save", metavar="FILE", help="Write a checkpoint at the end, also of a run that failed or was interrupted."
)
@click.option("--save-every", type=click.IntRange(min=1), metavar="N", help="Write one every N steps, too.")
@click.option("--resume", metavar="FILE", help="Go on from a checkpoint; --steps counts from the very start.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="json: one object; jsonl: a line for each recorded row, as it comes; csv: the recorded rows.",
)
@plugin_folders
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on stderr.")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what was loaded and chosen.")
def run(
    file: str,
    steps: int | None,
    overrides: Sequence[str],
    engine: str,
    device: str | None,
    distributed: bool,
    coordinator: str | None,
    process_id: int | None,
    process_count: int | None,
    dtype: str | None,
    seed: int | None,
    record: str | None,
    every: int | None,
    data: str | None,
    save: str | None,
    save_every: int | None,
    resume: str | None,
    output_format: str,
    folders: Sequence[str],
    quiet: bool,
    verbose: bool,
) -> int:
    """Run a graph file: forward pass, backward pass, update; then again."""
    from graphrun.output import write_result, write_row
    from graphrun.terminal import Interruption, progress

    if save_every is not None and save is None:
        raise click.UsageError("--save-every goes with --save FILE")
    graph = load(file, folders, overrides, data)
    if not distributed and any(word is not None for word in (coordinator, process_id, process_count)):
        raise click.UsageError("--coordinator, --process-id and --process-count go with --distributed")
    cluster = join_cluster(device, coordinator, process_id, process_count) if distributed else None
    first = cluster is None or cluster.is_first()
    for note in () if quiet or not first else graph.notes(seed):
        click.echo(note, err=True)
    total = graph.steps if steps is None else steps
    output = sys.stdout
    begin_collection()
    # What a plugin's functions print must not get between the lines of a result.
    with (
        redirect_stdout(sys.stderr),
        Interruption() as interrupted,
        progress(total, quiet=quiet) as on_progress,
        cluster or nullcontext(),
    ):
        result = graph.try_run(
            steps,
            engine=engine,
            dtype=dtype,
            seed=seed,
            record=None if record is None else [name.strip() for name in record.split(",") if name.strip()],
            every=every,
            save=save,
            save_every=save_every,
            resume=resume,
            device=device,
            cluster=cluster,
            on_row=(lambda step, row: write_row(step, row, output)) if output_format == "jsonl" and first else None,
            on_progress=on_progress,
            on_choice=partial(report_choice, quiet=quiet, verbose=verbose),
            interrupted=interrupted,
        )
    if not first:
        return 1 if result.error is not None else 0
    write_result(result, output_format, output)
    if verbose:
        click.echo(f"{graph!r}: {result.steps} steps, engine {result.engine}", err=True)
    if result.error is not None:
        click.echo(f"{file}: {result.error}", err=True)
        return 1
    return INTERRUPTED if result.stopped == "interrupted" else 0


def join_cluster(device: str | None, coordinator: str | None, process_id: int | None, count: int | None) -> Cluster:
    """Meet the other processes of a run."""
    from graphrun.distributed import Cluster

    # Gloo says on stdout whom it is connected to; what this program says goes another way.
    encoding = sys.stdout.encoding
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(1), "w", encoding=encoding, errors="backslashreplace")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    cluster = Cluster(coordinator, process_id, count)
    cluster.join(device)
    return cluster


def report_choice(choice: Choice, *, quiet: bool, verbose: bool) -> None:
    """Say which engine was chosen and why, when it is another than NumPy's or would better be, or when asked."""
    if verbose or (not quiet and (choice.engine != "numpy" or choice.suggestion)):
        click.echo(str(choice), err=True)


def load(file: str, folders: Sequence[str], overrides: Sequence[str] = (), data: str | None = None) -> Graph:
    """Load a graph file."""
    from graphrun.api import load as load_graph

    return load_graph(file, overrides=overrides, plugins=folders, data=data)


@commands.command()
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
    from graphrun.predict import write_predictions

    graph = load(file, folders, overrides, data)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    write_predictions(graph.predict(checkpoint, wanted), wanted, target, sys.stdout)


@commands.command()
@click.argument("file", shell_complete=offering("files"))
@click.option("--plan", is_flag=True, help="Print the schedule: slots, batches, passes, memory.")
@click.option("--format", "output_format", type=click.Choice(["table", "json"]), help="How to print the plan.")
@overrides
@plugin_folders
def show(file: str, plan: bool, output_format: str | None, overrides: Sequence[str], folders: Sequence[str]) -> None:
    """Print a graph as it will run: expanded, with every override in place, as a graph file again."""
    if output_format is not None and not plan:
        raise click.UsageError("--format goes with --plan: a graph is printed as a graph file")
    graph = load(file, folders, overrides)
    if plan:
        from graphrun.plan_listing import write_plan

        with redirect_stdout(sys.stderr):
            made = graph.plan()
        write_plan(made, graph.name, output_format or "table", sys.stdout)
        return
    from graphrun.document.dump import dump_document

    click.echo(dump_document(graph.document), nl=False)


@commands.command()
@click.argument("file", shell_complete=offering("files"))
@click.option("--steps", type=click.IntRange(min=1), help="How many steps a round makes. [default: about 0.05 s]")
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="auto|numpy|numba|jax",
    help="What computes the passes.",
    shell_complete=offering("words_of_metavar"),
)
@click.option("--dtype", type=click.Choice(["float64", "float32"]), help="The numbers' type. [default: the file's]")
@data_file
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: one object, with every node.",
)
@overrides
@plugin_folders
def profile(
    file: str,
    steps: int | None,
    engine: str,
    dtype: str | None,
    data: str | None,
    output_format: str,
    overrides: Sequence[str],
    folders: Sequence[str],
) -> None:
    """Measure where the time of a step goes: by node type, by node, and how far from what the machine can do."""
    from graphrun.profile import profile_graph
    from graphrun.profile_table import write_profile

    graph = load(file, folders, overrides, data)
    output = sys.stdout
    begin_collection()
    with redirect_stdout(sys.stderr):
        report = partial(report_choice, quiet=False, verbose=True)
        found = profile_graph(graph, steps, engine=engine, dtype=dtype, on_choice=report)
    write_profile(found, output_format, output)


@commands.command()
@click.argument("file", shell_complete=offering("files"))
@click.option("--to", "target", type=click.Choice(["python"]), required=True, help="The language of the program.")
@click.option("--steps", type=click.IntRange(min=0), help="How many steps the program makes. [default: the file's]")
@overrides
@plugin_folders
def export(file: str, target: str, steps: int | None, overrides: Sequence[str], folders: Sequence[str]) -> None:
    """Print a graph of numbers as a program that needs nothing of graphrun: passes and update, line by line."""
    from graphrun.export import export_python

    click.echo(export_python(load(file, folders, overrides), steps), nl=False)


@commands.command()
@click.argument("first", metavar="A", shell_complete=offering("files"))
@click.argument("second", metavar="B", shell_complete=offering("files"))
@click.option("--steps", type=click.IntRange(min=0), help="How many steps to run both. [default: each file's]")
@click.option("--tolerance", type=float, default=1e-9, show_default=True, help="Numbers no further apart are equal.")
@plugin_folders
def diff(first: str, second: str, steps: int | None, tolerance: float, folders: Sequence[str]) -> int:
    """Show what differs between two graph files: in structure, and when they are run. Ends with 1 if anything does."""
    from graphrun.diff import diff_graphs

    lines = list(diff_graphs(load(first, folders), load(second, folders), steps, tolerance))
    for line in lines:
        click.echo(line)
    return 1 if lines else 0


@commands.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=offering("files"))
@overrides
@plugin_folders
@click.option("-q", "--quiet", is_flag=True, help="Print only what is wrong.")
def check(files: Sequence[str], overrides: Sequence[str], folders: Sequence[str], quiet: bool) -> int:
    """Validate graph files, check every derivative at their values, and assert what they `expect`."""
    from graphrun.check import check_graph

    begin_collection()
    status = 0
    for file in files:
        try:
            with redirect_stdout(sys.stderr):
                report = check_graph(load(file, folders, overrides))
        except GraphrunError as error:
            click.echo(f"{error}" if error.located else f"{file}: {error}", err=True)
            status = max(status, error.exit_status)
            continue
        for failure in report.failures:
            click.echo(f"{file}: {failure}", err=True)
        if report.failures:
            status = max(status, 1)
        elif not quiet:
            click.echo(f"{file}: ok ({report.summary})")
    return status


@commands.command()
@click.argument("type_name", metavar="[TYPE]", required=False, shell_complete=offering("node_types"))
@plugin_folders
def nodes(type_name: str | None, folders: Sequence[str]) -> None:
    """List the node types and update rules, or show one: signature, settings, derivative, conventions, origin."""
    from graphrun.catalog import describe, listing
    from graphrun.plugins import Registry

    registry = Registry(folders)
    lines = listing(registry) if type_name is None else describe(registry, type_name)
    for line in lines:
        click.echo(line)


@commands.command()
@plugin_folders
def plugins(folders: Sequence[str]) -> None:
    """List the plugins: what each adds, from where, how long it took to load, and what failed."""
    from graphrun.catalog import plugin_listing
    from graphrun.plugins import Registry

    for line in plugin_listing(Registry(folders)):
        click.echo(line)


@commands.command(name="new-node")
@click.argument("name")
@click.option("--tensor", is_flag=True, help="A type that works on whole arrays, with a vector-Jacobian product.")
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    help="Where to write. [default: the project's plugin folder, else .]",
    shell_complete=offering("folders"),
)
def new_node(name: str, tensor: bool, folder: str | None) -> None:
    """Write a plugin with a node type of that NAME, and its test, ready to edit."""
    from graphrun.scaffold import write_plugin

    for file in write_plugin(name, folder, tensor=tensor):
        click.echo(file)


@commands.command()
@click.argument("files", metavar="[FILE...]", nargs=-1, shell_complete=offering("files"))
@click.option("--init", is_flag=True, help="Write the schema to .graphrun-schema.json, and the FILEs' first line.")
@plugin_folders
def schema(files: Sequence[str], init: bool, folders: Sequence[str]) -> None:
    """Print the JSON Schema of graph files with all node types and update rules, for editors.

    With --init, it is written beside each FILE, or where there is one in a folder above in the same project, and the
    FILE's first line becomes the comment by which yaml-language-server finds it.
    """
    import json

    from graphrun.plugins import Registry
    from graphrun.schema import graph_file_schema

    if init != bool(files):
        raise click.UsageError("--init needs a FILE" if init else "write --init to connect a FILE with the schema")
    registry = Registry(folders)
    text = json.dumps(graph_file_schema(registry), indent=1, allow_nan=False)
    for plugin in registry.failures:
        click.echo(plugin.failure, err=True)
    if not init:
        click.echo(text)
        return
    from graphrun.modeline import connect

    for line in connect(files, f"{text}\n"):
        click.echo(line)


@commands.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which a shell completes graphrun: commands, options, files, node types.

    In bash and zsh: eval "$(graphrun completion bash)"; in fish: graphrun completion fish | source.
    """
    from graphrun.completion import script

    click.echo(script(commands, shell))
