"""The command `sweep`: many runs of a graph file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphrun.base.errors import INTERRUPTED
from graphrun.base.files import check_output, check_page, write_output
from graphrun.base.memory import begin_collection
from graphrun.base.streams import stdout_to_stderr
from graphrun.cli.commands.options import GraphCommand, GraphFile, option
from graphrun.cli.terminal import Interruption, progress, say

if TYPE_CHECKING:
    from graphrun.base.outcome import Objective
    from graphrun.run.api import Graph
    from graphrun.run.request import RunRequest
    from graphrun.run.sweep.plan import SweepPlan
    from graphrun.run.sweep.sweep import Sweep


class SweepCommand(GraphCommand):
    """A command whose graph file may be that of a folder."""

    def __init__(self, *arguments: Any, **told: Any) -> None:
        super().__init__(*arguments, **told)
        self.params[0].required = False


@click.command(cls=SweepCommand)
@click.option(
    "--vary",
    multiple=True,
    metavar="PATH=VALUES",
    help="What to vary, by a path of --set: 1e-4..1e-1:log, 1..10, 16,32,64; may be given again, and for A,B at once.",
)
@click.option("--search", type=click.Choice(["grid", "random", "tpe"]), help="[default: grid of lists, else random]")
@click.option("--runs", type=click.IntRange(min=1), metavar="N", help="How many. [default: the whole grid, else 20]")
@click.option("--objective", metavar="NAME", help="What is compared, as holdout.loss. [default: the file's]")
@click.option("--direction", type=click.Choice(["minimize", "maximize"]), help="[default: the file's]")
@click.option("--repeat", type=click.IntRange(min=1), metavar="N", help="How many seeds each run is made with.")
@click.option(
    "--prune", type=click.Choice(["median", "hyperband"]), help="With --search tpe: end runs that lag behind."
)
@click.option(
    "--workers",
    metavar="N",
    default="1",
    show_default=True,
    help="Processes of this machine; or dask:ADDRESS, dask:local.",
)
@click.option("--folder", metavar="DIR", help="Where all is kept, beside the file. [default: NAME.sweep]")
@click.option("--resume", "again", metavar="DIR", help="Go on with the sweep of a folder, in place of FILE.")
@click.option("--checkpoints", is_flag=True, help="Keep a checkpoint of each run.")
@click.option(
    "--observe",
    "observed",
    multiple=True,
    metavar="NAME=TARGET",
    help="Tell an observer of each run: mlflow=EXPERIMENT, tensorboard=runs/{number}, csv=runs/{number}.csv.",
)
@option("steps", "set", "engine", "device", "dtype")
@option("seed", help="What is drawn, and the runs' seeds, begin with it. [default: the file's, else 0]")
@option("data", "start")
@option(
    "format",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    help="json: one object; jsonl: a line for each run, as it comes; csv: a table.",
)
@click.option("-o", "target", metavar="FILE", help="Write the table, too: .csv or .parquet.")
@click.option("--best", metavar="FILE", help="Write the graph file with the best settings in place.")
@click.option("--page", metavar="FILE", help="Write a page to compare the runs on, too: one .html file.")
@option("plugins", "quiet")
def sweep(
    file: GraphFile,
    request: RunRequest,
    vary: Sequence[str],
    workers: str,
    folder: str | None,
    again: str | None,
    checkpoints: bool,
    observed: Sequence[str],
    output_format: str,
    target: str | None,
    best: str | None,
    page: str | None,
    quiet: bool,
    **asked: Any,
) -> int:
    """Run a graph file many times, with other values each time, and compare what comes of it."""
    from graphrun.base.rows import write_json
    from graphrun.run.sweep.sweep import best_file, default_folder, sweep_graph
    from graphrun.show.sweep_table import check_table, sweep_lines, write_csv, write_table
    from graphrun.show.tables import write

    for path in filter(None, (target, best, page)):
        check_output(path)
    if page is not None:
        check_page("--page", page)
    if target is not None:
        check_table(target)
    output = sys.stdout
    begin_collection()
    if again is not None:
        if file.path or vary or folder or any(value for name, value in asked.items() if name != "runs"):
            raise click.UsageError(
                "--resume goes on with what its folder says: of FILE and all else, leave out the rest"
            )
        graph, plan = reopened(Path(again), asked["runs"])
        place = Path(again)
    else:
        if not file.path:
            raise click.UsageError("Missing argument 'FILE'.")
        graph, plan = planned(file, request, vary, asked)
        place = Path(folder) if folder else default_folder(graph, plan)
    if not quiet:
        say(f"the sweep is kept in {place}")

    def on_run(run: dict[str, Any]) -> None:
        if output_format == "jsonl":
            write_json(run, output)
            output.flush()

    with stdout_to_stderr(), Interruption() as interrupted, progress(plan.runs, quiet=quiet, what="runs") as show:
        found = sweep_graph(
            graph,
            plan,
            workers=workers,
            folder=place,
            checkpoints=checkpoints,
            observed=observed,
            on_run=on_run,
            on_progress=lambda sweep: show(len(sweep.runs), partial(best_so_far, sweep)),
            interrupted=interrupted,
        )
    if target is not None:
        write_table(found, target)
    if best is not None and found.best is not None:
        write_output(best, best_file(graph, found, Path(best).parent))
    if page is not None:
        found.report(page)
    if output_format == "csv":
        write_csv(found, output)
    elif output_format != "jsonl":
        write(found.to_json, sweep_lines(found), output_format, output)
    if found.interrupted:
        say(f"interrupted; go on by: graphrun sweep --resume {place}")
        return INTERRUPTED
    if found.best is None:
        say(f"no run has a value of {found.objective}: {found.runs[0]['stopped']}")
        return 1
    return 0


def planned(
    file: GraphFile, request: RunRequest, vary: Sequence[str], asked: dict[str, Any]
) -> tuple[Graph, SweepPlan]:
    """Return the graph, and what the options and its own section make of a sweep."""
    from graphrun.document.sweep_section import SweepEntry, joined, read_vary
    from graphrun.run.sweep.plan import make_plan

    graph = file.load_to_run()
    given = {name: getattr(request, name) for name in ("steps", "engine", "dtype", "device")}
    entry = joined(graph.document.sweep, dict(map(read_vary, vary)), SweepEntry(seed=request.seed, **asked))
    return graph, make_plan(graph, entry, given)


def reopened(folder: Path, runs: int | None) -> tuple[Graph, SweepPlan]:
    """Return the graph and the plan of a folder: the file as it was then, for it may have changed."""
    from graphrun.document import Source
    from graphrun.run.loading import load
    from graphrun.run.sweep.journal import read_graph, read_plan
    from graphrun.run.sweep.plan import SweepPlan

    kept = read_plan(folder)
    about = kept["graph"]
    changes = {name: about[name] for name in ("overrides", "plugins", "data", "start")}
    graph = load(Source(about["file"], read_graph(folder)), **changes)
    return graph, SweepPlan.of(kept["plan"], runs or kept["runs"])


def best_so_far(sweep: Sweep) -> Objective | None:
    """Return the best value so far, for the line of progress."""
    from graphrun.base.outcome import Objective

    best = sweep.best
    return None if best is None else Objective(f"best {sweep.objective}", sweep.direction, best["objective"])
