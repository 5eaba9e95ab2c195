"""The command `check`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import click

from graphrun.commands.options import load, offering, overrides, plugin_folders
from graphrun.errors import GraphrunError
from graphrun.memory import begin_collection


@click.command()
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
