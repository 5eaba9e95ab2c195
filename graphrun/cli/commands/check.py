"""The command `check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from graphrun.base.errors import GraphrunError
from graphrun.base.memory import begin_collection
from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import printable
from graphrun.cli.commands.options import GraphFile, offering, option
from graphrun.cli.terminal import say, tell

if TYPE_CHECKING:
    from graphrun.run.api import Graph


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, shell_complete=offering("files"))
@click.option(
    "--prove",
    is_flag=True,
    help="Also prove the derivatives of the files' elementwise types by SymPy; without a FILE, those of all types.",
)
@option("set", "plugins")
@option("quiet", help="Print only what is wrong.")
def check(files: Sequence[str], prove: bool, overrides: Sequence[str], folders: Sequence[str], quiet: bool) -> int:
    """Validate graph files, check every derivative at their values, and assert what they `expect`.

    With --prove the derivatives of elementwise types are also proven, with SymPy, for all inputs and settings.
    """
    from graphrun.check.check import check_graph

    if not files and not prove:
        raise click.UsageError("Missing argument 'FILE...'.")
    begin_collection()
    status = 0
    graphs = []
    for file in files:
        try:
            with stdout_to_stderr():
                graph = GraphFile(file, overrides, folders).load()
                report = check_graph(graph)
        except GraphrunError as error:
            say(f"{error}" if error.located else f"{printable(file)}: {error}")
            status = max(status, error.exit_status)
            continue
        graphs.append(graph)
        for failure in report.failures:
            say(f"{printable(file)}: {failure}")
        if report.failures:
            status = max(status, 1)
        elif not quiet:
            tell(f"{printable(file)}: ok ({report.summary})")
    if prove and (graphs or not files):
        status = max(status, prove_types(graphs, folders, quiet=quiet))
    return status


def prove_types(graphs: Sequence[Graph], folders: Sequence[str], *, quiet: bool) -> int:
    """Prove the derivatives of the elementwise types of graphs, or of all; print what is found."""
    from graphrun.check.prove import Outcome, Proofs, prove_all
    from graphrun.declare.nodetype import Elementwise, NodeType
    from graphrun.plugins.registry import Registry

    if graphs:
        types = {batch.type for graph in graphs for batch in graph.plan("float64").batches}
        names = sorted(declared.name for declared in types if declared.is_elementwise)
        tensors = sorted(declared.name for declared in types if not declared.is_elementwise)
    else:
        registry = Registry(folders)
        names = [name for name, (declared, _) in registry.all(NodeType).items() if isinstance(declared, Elementwise)]
        tensors = []
        for plugin in registry.failures:
            say(plugin.failure)
    proofs = Proofs(list(prove_all(names, folders)), tensors)
    for line in proofs.wrong:
        say(line)
    if not quiet:
        for line in proofs.lines:
            tell(line)
    return 1 if proofs.of(Outcome.WRONG) else 0
