"""Commands that print or draw graphs: `show`, `draw`, `explain`, `diff`, `export`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphrun.base.errors import NotFiniteError, RunError, UsageError
from graphrun.base.files import write_output
from graphrun.base.memory import begin_collection
from graphrun.base.streams import stdout_to_stderr
from graphrun.cli.commands.options import GraphCommand, GraphFile, Offered, names, offering, option, step_count
from graphrun.cli.commands.run import report_choice
from graphrun.cli.terminal import say, tell
from graphrun.show.export import LANGUAGES

if TYPE_CHECKING:
    from graphrun.run.api import Graph
    from graphrun.run.request import RunRequest


WHERE = "Where to write. [default: stdout]"
RESUME = "Show what a checkpoint holds; --step counts from the very start. [default: the checkpoint's step]"


@click.command(cls=GraphCommand)
@option(
    "format",
    type=click.Choice(["table", "yaml", "json"]),
    help="table: values and gradients; yaml: a graph file. [default: table on a terminal, else yaml]  With --plan: "
    "table or json.",
    show_default=False,
)
@click.option("--step", type=step_count, metavar="K", help="In the table, the values after K updates.")
@option("depth", metavar="N", help="In the table, so many levels of subgraphs.")
@option("resume", help=RESUME)
@click.option("--plan", is_flag=True, help="Print the schedule instead: slots, batches, passes, memory.")
@option("set", "plugins")
def show(
    file: GraphFile, request: RunRequest, output_format: str | None, step: int | None, depth: int | None, plan: bool
) -> int:
    """Show a graph as it will run: as a table, or expanded and with every override in place as a graph file again."""
    if output_format == ("yaml" if plan else "json"):
        raise click.UsageError("--format json goes with --plan, --format yaml does not")
    asked = step is not None or depth is not None or request.resume is not None
    if (plan or output_format == "yaml") and asked:
        raise click.UsageError("--resume, --step and --depth are for the table of values")
    graph = file.load()
    if plan:
        show_plan(graph, output_format or "table")
        return 0
    if output_format is None:
        output_format = "table" if asked or sys.stdout.isatty() else "yaml"
    if output_format == "table":
        return show_table(graph, step, depth, request.resume)
    from graphrun.document.dump import dump_document

    click.echo(dump_document(graph.document), nl=False)
    return 0


def show_plan(graph: Graph, output_format: str) -> None:
    """Print the schedule of a graph."""
    from graphrun.show.plan_listing import plan_data, plan_lines
    from graphrun.show.tables import write

    with stdout_to_stderr():
        plan = graph.plan()
    write(lambda: {"graph": graph.name, **plan_data(plan)}, plan_lines(plan, graph.name), output_format, sys.stdout)


def show_table(graph: Graph, step: int | None, depth: int | None, resume: str | Path | None) -> int:
    """Print a graph as a table, as far as its values come, with a note that says why they come no further."""
    from graphrun.show.draw import draw_graph
    from graphrun.show.graph_table import table
    from graphrun.show.tables import WIDTH, terminal_columns

    passes, status = None, 0
    try:
        passes = graph.passes(step, resume=resume)
    except RunError as error:
        passes = error.passes if isinstance(error, NotFiniteError) else None
        if step is not None and passes is None:
            raise
        say(f"graphrun: {error}")
        status = 0 if step is None else 1
    drawing = draw_graph(graph.structure, passes, depth)
    tell("\n".join(table(drawing, terminal_columns() or WIDTH)))
    return status


@click.command(cls=GraphCommand)
@click.option(
    "-o", "--output", "target", metavar="FILE", help="Where to write: .svg, .png, .pdf, .dot or .mmd; - is stdout."
)
@click.option(
    "--format",
    "picture_format",
    type=Offered(["svg", "dot", "mmd", "png", "pdf"]),
    help="The format. [default: that of the FILE's suffix, else dot]",
)
@click.option("--step", type=step_count, metavar="K", help="Show the values and gradients after K updates.")
@option("depth", metavar="N", help="Open so many levels of subgraphs and expressions.")
@click.option(
    "--direction",
    type=click.Choice(["auto", "right", "down"]),
    default="auto",
    show_default=True,
    help="Where values flow.",
)
@option("data")
@option("seed", help="What every random draw derives from.")
@option("resume", help=RESUME)
@option("set", "plugins")
def draw(
    file: GraphFile,
    request: RunRequest,
    target: str | None,
    picture_format: str | None,
    step: int | None,
    depth: int | None,
    direction: str,
) -> int:
    """Draw a graph: as a picture (svg, png, pdf) or as text for other programs (dot of Graphviz, mmd of Mermaid)."""
    from graphrun.show.draw.formats import PICTURES, format_of
    from graphrun.show.pages import drawn

    is_printed = target in {None, "-"}
    if is_printed and picture_format in PICTURES:
        raise click.UsageError(f"a {picture_format} goes to a file: -o FILE.{picture_format}")
    check_folder(target)
    graph, seed, resume = file.load_to_run(), request.seed, request.resume
    if picture_format is None:
        picture_format = "dot" if is_printed else format_of(str(target), graph.registry)
    found = drawn(graph, picture_format, step=step, depth=depth, direction=direction, seed=seed, resume=resume)
    if found.note:
        say(found.note)
    put(found.content, target)
    return status_of_broken(file, found.error)


@click.command(cls=GraphCommand)
@click.option("--step", type=step_count, metavar="K", help="How many updates come before. [default: 0]")
@click.option("--node", metavar="NAME", help="Show one value: its formula, its neighbours, its influence.")
@click.option("--sensitivity", is_flag=True, help="Rank the leaves, and show where the gradient vanishes or explodes.")
@option(
    "format",
    type=click.Choice(["text", "markdown", "latex", "html"]),
    default="text",
    help="latex: a fragment for an article with amsmath; html: one page that needs nothing else.",
)
@click.option("-o", "target", metavar="FILE", help=WHERE)
@option("resume", help=RESUME)
@option("set", "seed", "data", "start", "plugins")
def explain(
    file: GraphFile,
    request: RunRequest,
    step: int | None,
    node: str | None,
    sensitivity: bool,
    output_format: str,
    target: str | None,
) -> int:
    """Explain a step like a teacher: the forward pass, the backward pass and the update, in symbols and in numbers."""
    from graphrun.show.pages import explained
    from graphrun.show.tables import WIDTH, terminal_columns

    if node is not None and sensitivity:
        raise click.UsageError("--node and --sensitivity are two different pages: give one of them")
    check_folder(target)
    begin_collection()
    with stdout_to_stderr():
        found = explained(
            file.load(),
            step,
            output_format,
            node=node,
            ranked=sensitivity,
            seed=request.seed,
            resume=request.resume,
            width=(terminal_columns() if target is None else None) or WIDTH,
            on_choice=partial(report_choice, quiet=False, verbose=False),
        )
    put(found.content, target)
    return status_of_broken(file, found.error)


def check_folder(target: str | None) -> None:
    """Refuse a file in a folder that there is not, before the work that makes it."""
    if target is not None and not Path(target).parent.is_dir():
        raise UsageError(f"-o {target}: there is no folder {Path(target).parent}")


def put(content: str | bytes, target: str | None) -> None:
    """Write what was made to a file or, where none is named, to stdout."""
    if target is None or target == "-":
        click.echo(content, nl=False)
    else:
        write_output(target, content)


def status_of_broken(file: GraphFile, error: NotFiniteError | None) -> int:
    """Say what broke a step that is shown as far as it came, and return the exit status."""
    if error is None:
        return 0
    say(f"{file.shown}: {error}")
    return 1


@click.command()
@click.argument("first", metavar="A", shell_complete=offering("files"))
@click.argument("second", metavar="B", shell_complete=offering("files"))
@option("steps", help="How many steps to run both. [default: each file's]")
@click.option("--tolerance", type=float, default=1e-9, show_default=True, help="Numbers no further apart are equal.")
@option("plugins")
def diff(first: str, second: str, steps: int | None, tolerance: float, folders: Sequence[str]) -> int:
    """Show what differs between two graph files: in structure, and when they are run. Ends with 1 if anything does."""
    from graphrun.show.diff import diff_graphs

    graphs = [GraphFile(path, folders=folders).load() for path in (first, second)]
    lines = list(diff_graphs(graphs[0], graphs[1], steps, tolerance))
    for line in lines:
        tell(line)
    return 1 if lines else 0


@click.command(cls=GraphCommand)
@click.option("--to", "target", type=Offered(LANGUAGES), required=True, help="The language, which a plugin may have.")
@option("steps", help="How many steps the program makes. [default: the file's]")
@click.option("-o", "target_file", metavar="FILE", help=WHERE)
@click.option("--output", "outputs", type=names, metavar="NAMES", help="onnx: the nodes that the model gives.")
@click.option("--training", is_flag=True, default=None, help="onnx: a model that makes a step of training.")
@click.option("--gradient", is_flag=True, default=None, help="yaml: the derivatives of the objective as nodes, too.")
@option("dtype")
@option("resume", help="onnx: a checkpoint whose parameters the model has.")
@option("set", "plugins")
def export(
    file: GraphFile,
    request: RunRequest,
    target: str,
    target_file: str | None,
    outputs: Sequence[str] | None,
    training: bool | None,
    gradient: bool | None,
) -> None:
    """Print a graph in another language: as a program that needs nothing of graphrun, or as a model for others."""
    from graphrun.show.pages import exported

    check_folder(target_file)
    given: dict[str, Any] = {"steps": request.steps, "output": outputs, "training": training}
    given |= {"gradient": gradient, "dtype": request.dtype, "resume": request.resume}
    put(exported(file.load(), target, given, say), target_file)


@click.command(name="import")
@click.argument("model", metavar="MODEL", shell_complete=offering("files"))
@click.option("-o", "target", metavar="FILE", required=True, help="The graph file; weights go beside it.")
@click.option("--inputs", metavar="FILE", help="An .npz file with the model's inputs. [default: zeros]")
def import_(model: str, target: str, inputs: str | None) -> None:
    """Write an ONNX model as a graph file: its inputs become constants, its weights parameters in a file beside it."""
    from graphrun.show.onnx.importing import import_model

    for note in import_model(model, target, inputs):
        say(note)
