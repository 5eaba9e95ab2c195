"""The command `check`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from graphrun.base.errors import GraphrunError
from graphrun.base.memory import begin_collection
from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import printable
from graphrun.cli.commands.options import GraphFile, offering, option
from graphrun.cli.terminal import say, tell

if TYPE_CHECKING:
    from graphrun.base.outcome import CheckReport
    from graphrun.check.findings import Finding
    from graphrun.check.prove import Proofs
    from graphrun.run.api import Graph


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, shell_complete=offering("files"))
@click.option(
    "--prove",
    is_flag=True,
    help="Also prove the derivatives of the files' elementwise types by SymPy; without a FILE, those of all types.",
)
@option("set", "plugins")
@option(
    "format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json: one object with what was checked of each file, and what was found wrong where.",
)
@option("quiet", help="Print only what is wrong.")
def check(
    files: Sequence[str],
    prove: bool,
    overrides: Sequence[str],
    folders: Sequence[str],
    output_format: str,
    quiet: bool,
) -> int:
    """Validate graph files, check every derivative at their values, and assert what they `expect`.

    With --prove the derivatives of elementwise types are also proven, with SymPy, for all inputs and settings.
    """
    from graphrun.check.check import check_graph
    from graphrun.check.findings import finding_of_failure, findings_of_error

    if not files and not prove:
        raise click.UsageError("Missing argument 'FILE...'.")
    begin_collection()
    status = 0
    graphs, told = [], Told(output_format, quiet=quiet)
    for file in map(partial(GraphFile, overrides=overrides, folders=folders), files):
        try:
            with stdout_to_stderr():
                graph = file.load()
                report = check_graph(graph)
        except GraphrunError as error:
            text = f"{error}" if error.located else f"{printable(file.shown)}: {error}"
            told.add(file.shown, findings_of_error(file.shown, error), [text])
            status = max(status, error.exit_status)
            continue
        graphs.append(graph)
        if report.failures:
            status = max(status, 1)
        findings = (finding_of_failure(graph, failure) for failure in report.failures)
        texts = [f"{printable(file.shown)}: {failure}" for failure in report.failures]
        told.add(file.shown, findings, texts, report)
    proofs = find_proofs(graphs, folders) if prove and (graphs or not files) else None
    told.end(proofs)
    return max(status, 1) if proofs is not None and any(proofs.wrong) else status


class Told:
    """What is told of each file: lines as they come, or one object of JSON at the end."""

    def __init__(self, output_format: str, *, quiet: bool) -> None:
        self._is_json = output_format == "json"
        self._quiet = quiet
        self._files: list[dict[str, Any]] = []

    def add(
        self, file: str, findings: Iterable[Finding], texts: Sequence[str], report: CheckReport | None = None
    ) -> None:
        """Tell of one file: what is wrong, and what was checked where it could be."""
        if self._is_json:
            counts = None if report is None else {k: v for k, v in asdict(report).items() if k != "failures"}
            found = [finding._asdict() for finding in findings]
            self._files.append({"file": file, "ok": not found, "checked": counts, "findings": found})
            return
        for text in texts:
            say(text)
        if report is not None and not texts and not self._quiet:
            tell(f"{printable(file)}: ok ({report.summary})")

    def end(self, proofs: Proofs | None) -> None:
        """Tell of proofs, and write the object."""
        from graphrun.base.rows import write_json

        if self._is_json:
            verdicts = [] if proofs is None else proofs.verdicts
            told = [{"type": v.name, "outcome": str(v.outcome), "text": v.text} for v in verdicts]
            write_json({"files": self._files} | ({} if proofs is None else {"proofs": told}), sys.stdout)
        elif proofs is not None:
            for line in proofs.wrong:
                say(line)
            for line in () if self._quiet else proofs.lines:
                tell(line)


def find_proofs(graphs: Sequence[Graph], folders: Sequence[str]) -> Proofs:
    """Prove the derivatives of the elementwise types of graphs, or of all."""
    from graphrun.check.prove import Proofs, prove_all
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
    return Proofs(list(prove_all(names, folders)), tensors)
