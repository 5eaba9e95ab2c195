"""The command `watch`: the report, live."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphrun.base.errors import INTERRUPTED, UsageError
from graphrun.base.memory import begin_collection
from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import printable
from graphrun.cli.commands.options import GraphCommand, GraphFile, option
from graphrun.cli.terminal import Interruption, say

if TYPE_CHECKING:
    from graphrun.run.api import Graph
    from graphrun.run.request import RunRequest


@click.command(cls=GraphCommand)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Where to serve it. [default: the first that is free from 8420 on]"
)
@click.option("--no-browser", is_flag=True, help="Open no browser; the page's address is on stdout.")
@option("steps", "set", "engine", "dtype", "seed")
@option("record", help="Names to chart at each step, separated by commas.")
@option("every", help="Record every so many steps. [default: 1,001 rows or fewer]")
@option("depth", help="How many frames to open. [default: what fits]")
@option("data", "resume", "plugins", "quiet")
def watch(
    file: GraphFile, request: RunRequest, port: int | None, no_browser: bool, depth: int | None, quiet: bool
) -> int:
    """Serve the report of a graph file on this machine alone, and show each saved edit, until Ctrl-C."""
    from graphrun.show.watch.server import listen, serve
    from graphrun.show.watch.session import Session

    if not Path(file.path).is_file():
        if file.path != "-":
            file.load()  # says what it is instead
        raise UsageError("watch takes a file, which can be edited, not a stream")
    context, output = click.get_current_context(), sys.stdout

    def load() -> Graph:
        with context.scope(cleanup=False):
            return file.load_to_run()

    def opened(address: str) -> None:
        click.echo(address, file=output)
        if not quiet:
            say(f"watching {printable(file.shown)}; Ctrl-C ends it")
        if not no_browser and has_windows():
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    begin_collection()
    session = Session(load, request, depth)
    with listen(port) as listener, stdout_to_stderr():
        session.begin()
        session.settled.wait()
        context.params["quiet"] = True  # what there is to know of plugins was said
        if isinstance(session.error, UsageError):
            raise session.error
        with Interruption() as interrupted:
            serve(session, file.path, listener, opened, interrupted)
    return INTERRUPTED


def has_windows() -> bool:
    """Whether a browser can have a window, so that none takes the terminal."""
    names = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
    return sys.platform != "linux" or any(os.environ.get(name) for name in names)
