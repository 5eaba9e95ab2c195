"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphrun.base.errors import UsageError
from graphrun.base.files import check_output, write_output
from graphrun.cli.commands.options import GraphCommand, GraphFile, option
from graphrun.cli.commands.run import status_of, watched

if TYPE_CHECKING:
    from graphrun.run.request import RunRequest


@click.command(cls=GraphCommand)
@click.option("-o", "target", metavar="FILE", required=True, help="Where to write the page: one .html file.")
@option("steps", "set", "engine", "dtype", "seed")
@option("record", help="Names to chart at each step, separated by commas.")
@option("every", help="Record every so many steps. [default: 1,001 rows or fewer]")
@option("depth", help="How many frames to open. [default: what fits]")
@option("data", "plugins", "quiet")
def report(file: GraphFile, request: RunRequest, target: str, depth: int | None, quiet: bool) -> int:
    """Run a graph file and write one page to step through: the drawn graph, every derivative, charts."""
    from graphrun.show.report import make_report

    page = Path(target)
    if page.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"-o {target}: a report is a page, as in -o report.html")
    if not page.parent.is_dir():
        raise UsageError(f"-o {target}: there is no folder {page.parent}")
    check_output(page)
    graph = file.load_to_run()
    with watched(graph, request, quiet=quiet) as request:
        html, result = make_report(graph, request, depth)
    write_output(page, html)
    return status_of(file, result)
