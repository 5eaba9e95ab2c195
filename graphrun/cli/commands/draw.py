"""The command `draw`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphrun.base.errors import UsageError
from graphrun.cli.commands.options import GraphCommand, GraphFile, option, step_count
from graphrun.cli.terminal import say

if TYPE_CHECKING:
    from graphrun.run.request import RunRequest


@click.command(cls=GraphCommand)
@click.option(
    "-o", "--output", "target", metavar="FILE", help="Where to write: .svg, .png, .pdf, .dot or .mmd; - is stdout."
)
@click.option(
    "--format",
    "picture_format",
    type=click.Choice(["svg", "dot", "mmd", "png", "pdf"]),
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
@option("set", "plugins")
def draw(
    file: GraphFile,
    request: RunRequest,
    target: str | None,
    picture_format: str | None,
    step: int | None,
    depth: int | None,
    direction: str,
) -> None:
    """Draw a graph: as a picture (svg, png, pdf) or as text for other programs (dot of Graphviz, mmd of Mermaid)."""
    from graphrun.show.draw import draw_graph
    from graphrun.show.draw.formats import PICTURES, format_of, save, write

    to_stdout = target in {None, "-"}
    if picture_format is None:
        picture_format = "dot" if target is None or target == "-" else format_of(target)
    if to_stdout and picture_format in PICTURES:
        raise click.UsageError(f"a {picture_format} goes to a file: -o FILE.{picture_format}")
    if target is not None and not Path(target).parent.is_dir():
        raise UsageError(f"-o {target}: there is no folder {Path(target).parent}")
    graph = file.load_to_run()
    drawing = draw_graph(graph.structure, None if step is None else graph.passes(step, seed=request.seed), depth)
    content = write(drawing, picture_format, direction)
    if drawing.note:
        say(drawing.note)
    if to_stdout:
        click.echo(content, nl=False)
    else:
        save(content, Path(target or ""))
