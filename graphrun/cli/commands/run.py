"""Commands that run a graph: `run`, which `graphrun FILE` is short for, `report`, `profile`, `predict`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from graphrun.base.errors import INTERRUPTED, GraphrunError, UsageError
from graphrun.base.files import check_output, check_page, write_output
from graphrun.base.memory import begin_collection
from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import printable
from graphrun.cli.commands.options import GraphCommand, GraphFile, names, option
from graphrun.cli.commands.processes import BY_HAND, DASK, RunCommand, join_cluster, run_by_dask
from graphrun.cli.terminal import say

if TYPE_CHECKING:
    from graphrun.engines.auto import Choice
    from graphrun.plugins.registry import Registry
    from graphrun.run.api import Graph
    from graphrun.run.request import RunRequest
    from graphrun.run.result import Result


@click.command(cls=RunCommand)
@option("steps", "set", "engine", "device")
@click.option(
    "--distributed",
    is_flag=False,
    flag_value=BY_HAND,
    metavar="[dask:ADDRESS]",
    help="Share the rows of each step with other processes, by the jax engine; one on each worker of a Dask cluster.",
)
@click.option("--coordinator", metavar="HOST:PORT", help="Where process 0 is. [default: the cluster's environment]")
@click.option("--process-id", type=click.IntRange(min=0), metavar="I", help="Which one of the processes this is.")
@click.option("--process-count", type=click.IntRange(min=1), metavar="N", help="How many processes there are.")
@click.option("--token", metavar="TEXT", help="What only the processes know. [default: GRAPHRUN_TOKEN]")
@option("dtype", "seed", "record", "every", "data", "save", "save_every", "resume", "start")
@click.option(
    "--observe",
    "observed",
    multiple=True,
    metavar="NAME=TARGET",
    help="Tell an observer: csv=FILE, jsonl=FILE, tensorboard=FOLDER, mlflow=EXPERIMENT, or a plugin's.",
)
@option(
    "format",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    help="json: one object; jsonl: a line for each recorded row, as it comes; csv: the recorded rows.",
)
@click.option("--all", "everything", is_flag=True, help="With --format json: every value and gradient of nodes.")
@option("plugins", "quiet")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Say on stderr what was loaded and chosen, with tracebacks of plugins.",
)
def run(
    file: GraphFile,
    request: RunRequest,
    observed: Sequence[str],
    output_format: str,
    everything: bool,
    quiet: bool,
    verbose: bool,
    **processes: Any,
) -> int:
    """Run a graph file: forward pass, backward pass, update; then again."""
    from graphrun.plugins.registry import Registry, traceback_of
    from graphrun.show.tables import write_result

    if request.save_every is not None and request.save is None:
        raise click.UsageError("--save-every goes with --save FILE")
    if file.start is not None and request.resume is not None:
        raise click.UsageError("--start begins a run and --resume goes on with one: give one of them")
    if everything and output_format != "json":
        raise click.UsageError("--all goes with --format json")
    registry = Registry(file.folders)
    with tracebacks(registry, wanted=verbose):
        start = time.perf_counter()
        graph = file.load_to_run(registry)
        for line in what_was_loaded(graph, time.perf_counter() - start) if verbose else ():
            say(line)
        if (processes["distributed"] or "").startswith(DASK):
            return run_by_dask(file, graph, request, observed, **processes)
        cluster = join_cluster(request, **processes)
        first = cluster is None or cluster.is_first()
        output = sys.stdout
        rows = RowsAsTheyCome(output)
        begin_collection()
        with watched(graph, request, quiet=quiet, verbose=verbose, notes=first) as asked, cluster or nullcontext():
            result = graph.answer(
                replace(
                    asked,
                    cluster=cluster,
                    observers=make_observers(registry, observed),
                    on_row=rows.write if output_format == "jsonl" and first else None,
                    interrupted=lambda: asked.interrupted() or rows.error is not None,
                )
            )
    if not first:
        return 1 if result.error is not None else 0
    if rows.error is not None:
        raise rows.error
    write_result(result, output_format, output, everything=everything, whole=request.every is not None)
    # What is said on stderr comes after it, also where both lead to one file.
    output.flush()
    if verbose:
        say(f"{graph!r}: {result.steps} steps, engine {result.engine}")
        if result.error is not None and result.error.__cause__ is not None:
            say(traceback_of(result.error.__cause__))
    return status_of(file, result)


@contextmanager
def tracebacks(registry: Registry, *, wanted: bool) -> Iterator[None]:
    """Show where in a plugin an error arose, before the error itself is told."""
    from graphrun.plugins.registry import traceback_of

    try:
        yield
    except GraphrunError as error:
        if wanted:
            for plugin in registry.failures:
                click.echo(f"{plugin.failure}\n{plugin.traceback}".rstrip(), err=True)
            if error.__cause__ is not None:
                click.echo(traceback_of(error.__cause__), err=True)
        raise


def what_was_loaded(graph: Graph, took: float) -> Iterator[str]:
    """Yield a line for the graph file and one for each plugin that was opened: what it brought, and in which time."""
    from graphrun.base.numbertext import seconds

    yield f"loaded {graph!r} in {seconds(took)}"
    for plugin in graph.registry.plugins:
        if plugin.source != "built-in":
            names = ", ".join(plugin.names)
            brought = plugin.failure if plugin.error is not None else f"plugin {plugin.name}: {names or 'nothing'}"
            yield f"{brought}, in {seconds(plugin.seconds)}"


@click.command(cls=GraphCommand)
@click.option("-o", "target", metavar="FILE", required=True, help="Where to write the page: one .html file.")
@option("steps", "set", "engine", "dtype", "seed")
@option("record", help="Names to chart at each step, separated by commas.")
@option("every", help="Record every so many steps. [default: 1,001 rows or fewer]")
@option("depth", help="How many frames to open. [default: what fits]")
@option("data", "resume", "start", "plugins", "quiet")
@click.argument("other", required=False)
def report(file: GraphFile, request: RunRequest, target: str, depth: int | None, quiet: bool, other: str | None) -> int:
    """Run a graph file and write one page to step through: the drawn graph, every derivative, charts.

    Beside it the run of OTHER, a graph file or a checkpoint of FILE; --set and --resume are for FILE alone. Of a
    sweep's folder it is the page of its runs so far.
    """
    from graphrun.run.checkpoint import is_checkpoint
    from graphrun.show.report import make_report

    page = Path(target)
    check_page("-o", target)
    if not page.parent.is_dir():
        raise UsageError(f"-o {target}: there is no folder {page.parent}")
    check_output(page)
    if Path(file.path).is_dir():
        from graphrun.run.request import RunRequest
        from graphrun.run.sweep.sweep import read_sweep

        if other or depth or request != RunRequest() or file != GraphFile(file.path):
            raise UsageError(f"{file.path} is a folder: of a sweep's runs that are done there is a page, with -o alone")
        read_sweep(Path(file.path)).report(page)
        return 0
    graph = file.load_to_run()
    compare: Graph | str | None = other
    if other is not None and not is_checkpoint(other):
        compare = GraphFile(other, folders=file.folders, data=file.data).load_to_run()
    with watched(graph, request, quiet=quiet) as request:
        html, result = make_report(graph, request, depth, compare)
    write_output(page, html)
    return status_of(file, result)


@click.command(cls=GraphCommand)
@option("steps", type=click.IntRange(min=1), metavar=None, help="How many steps a round makes. [default: about 0.05 s]")
@option("engine", "dtype", "data")
@option("format", type=click.Choice(["table", "json"]), default="table", help="json: one object, with every node.")
@option("set", "plugins")
def profile(file: GraphFile, request: RunRequest, output_format: str) -> None:
    """Measure where the time of a step goes: by node type, by node, and how far from what the machine can do."""
    from graphrun.show.profile import profile_graph
    from graphrun.show.profile.table import profile_lines, to_json
    from graphrun.show.tables import write

    graph = file.load()
    output = sys.stdout
    begin_collection()
    with stdout_to_stderr():
        found = profile_graph(graph, replace(request, on_choice=partial(report_choice, quiet=False, verbose=True)))
    write(lambda: to_json(found), profile_lines(found), output_format, output)


@click.command(cls=GraphCommand)
@click.option("--parameters", type=names, metavar="NAMES", help="Whose intervals, separated by commas. [default: all]")
@click.option("--contour", type=names, metavar="A,B", help="Two parameters whose joint region is drawn.")
@click.option("--level", type=float, help="How likely an interval covers. [default: the file's, else 0.95]")
@option("format", type=click.Choice(["table", "json"]), default="table", help="json: one object, with the profiles.")
@click.option("-o", "target", metavar="FILE", help="Write a page with charts, too: one .html file.")
@option("steps", "set", "seed", "data", "start", "plugins", "quiet")
def intervals(
    file: GraphFile,
    request: RunRequest,
    parameters: Sequence[str] | None,
    contour: Sequence[str] | None,
    level: float | None,
    output_format: str,
    target: str | None,
    quiet: bool,
) -> None:
    """Fit a graph file, and find how far each parameter can go while the others do their best: profile likelihood."""
    from graphrun.show.explain.text import render
    from graphrun.show.intervals import interval_html, interval_page, to_json
    from graphrun.show.tables import WIDTH, terminal_columns, write

    if target is not None:
        if Path(target).suffix.lower() not in {".html", ".htm"}:
            raise UsageError(f"-o {target}: the charts are a page, as in -o intervals.html")
        check_output(Path(target))
    graph = file.load_to_run()
    with watched(graph, request, quiet=quiet) as asked:
        found = graph.intervals(parameters or (), contour=contour or (), level=level, **vars(asked))
    if target is not None:
        write_output(Path(target), interval_html(found, graph.name))
    lines = render(interval_page(found, graph.name), terminal_columns() or WIDTH).splitlines()
    write(lambda: to_json(found, graph.name), lines, output_format, sys.stdout)


@click.command(cls=GraphCommand)
@click.option("--resume", "checkpoint", required=True, metavar="FILE", help="The checkpoint that holds the parameters.")
@option("data")
@click.option(
    "--output", "wanted", type=names, required=True, metavar="NAMES", help="The nodes to write, separated by commas."
)
@click.option("--band", is_flag=True, help="Also standard errors and intervals, of the node and of a new observation.")
@click.option("--id", "ids", type=names, default="", metavar="HEADERS", help="Columns of the file to carry over.")
@click.option("--texts", type=names, default="", metavar="NODE=COLUMN", help="Write an index as the column's category.")
@click.option("-o", "target", metavar="FILE", help="Where to write: .csv, .npz, .parquet. [default: CSV on stdout]")
@option("set", "plugins")
def predict(
    file: GraphFile,
    checkpoint: str,
    wanted: Sequence[str],
    band: bool,
    ids: Sequence[str],
    texts: Sequence[str],
    target: str | None,
) -> None:
    """Run the forward pass over the rows of a data file, with the parameters of a checkpoint."""
    from graphrun.run.predict import write_predictions

    pairs = [text.partition("=") for text in texts]
    if not all(mark and column for _, mark, column in pairs):
        raise click.UsageError("--texts takes NODE=COLUMN, as in --texts read=species")
    named = {node.strip(): column.strip() for node, _, column in pairs}
    pieces = file.load().predict(checkpoint, wanted, band=band, texts=named, carried=ids)
    write_predictions(pieces, None if band else [*ids, *wanted], target, sys.stdout)


@click.command(cls=GraphCommand)
@click.option("--resume", "checkpoint", required=True, metavar="FILE", help="The checkpoint that holds the parameters.")
@option("data")
@option("record", help="Nodes to evaluate, separated by commas. [default: the objective and what is recorded]")
@option("format", type=click.Choice(["table", "json"]), default="table", help="json: one object.")
@option("set", "plugins")
def evaluate(file: GraphFile, request: RunRequest, checkpoint: str, output_format: str) -> None:
    """Say what a checkpoint is worth: values on all rows of a data file, and on those that are held back."""
    from graphrun.base.rows import encoded
    from graphrun.show.tables import evaluation_lines, write

    found = file.load().evaluate(checkpoint, request.record)
    data = vars(found) | {"values": encoded(found.values), "holdout": encoded(found.holdout)}
    write(lambda: data, evaluation_lines(found), output_format, sys.stdout)


class RowsAsTheyCome:
    """Writes each row; where that fails, as when the reader has closed the pipe, the run is to end in order.

    So a checkpoint that was asked for is written all the same.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self.error: OSError | None = None

    def write(self, step: int, row: dict[str, Any]) -> None:
        """Write a row as a line of JSON."""
        from graphrun.base.rows import write_row

        if self.error is None:
            try:
                write_row(step, row, self._output)
            except OSError as error:
                self.error = error


@contextmanager
def watched(
    graph: Graph, request: RunRequest, *, quiet: bool, verbose: bool = False, notes: bool = True
) -> Iterator[RunRequest]:
    """Let a user watch a run and end it: yield the request with what that takes, after the notes on the data set."""
    from graphrun.cli.terminal import Interruption, progress

    for note in graph.notes(request.seed) if notes and not quiet else ():
        say(note)
    # What a plugin's functions print must not get between the lines of a result.
    with (
        stdout_to_stderr(),
        Interruption() as interrupted,
        progress(request.steps_of(graph.document), quiet=quiet) as on_progress,
    ):
        on_choice = partial(report_choice, quiet=quiet, verbose=verbose)
        yield replace(request, on_progress=on_progress, on_choice=on_choice, interrupted=interrupted)


def status_of(file: GraphFile, result: Result) -> int:
    """Say why a run failed, and return the exit status."""
    if result.error is not None:
        say(f"{printable(file.shown)}: {result.error}")
        return 1
    return INTERRUPTED if result.stopped == "interrupted" else 0


def report_choice(choice: Choice, *, quiet: bool, verbose: bool) -> None:
    """Say which engine was chosen and why, when it is another than NumPy's or would better be, or when asked."""
    if verbose or (not quiet and (choice.engine != "numpy" or choice.suggestion)):
        say(str(choice))


def make_observers(registry: Registry, named: Sequence[str]) -> list[object]:
    """Return the observers that ``--observe`` names."""
    observers = []
    for text in named:
        name, _, target = text.partition("=")
        try:
            observers.append(registry.observer(name)(target))
        except GraphrunError as error:
            raise UsageError(f"--observe {text}: {error}") from None
        except (Exception, SystemExit) as error:
            raise UsageError(f"--observe {text}: {type(error).__name__}: {error}") from error
    return observers
