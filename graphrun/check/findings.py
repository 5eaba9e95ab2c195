"""What a check finds wrong, with the place in the file, for other programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from graphrun.base.errors import GraphrunError
from graphrun.run.api import Graph

PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)(?:: (?P<message>.*))?", re.DOTALL)
NODE = re.compile(r"node '?([^\s,:']+)")


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        file: the graph file, or another that it names.
        line, column: where it stands there, both from 1; None where it has no place of its own.
        message: what it is.
        suggestion: the way out, or "".
    """

    file: str
    line: int | None
    column: int | None
    message: str
    suggestion: str = ""


def findings_of_error(file: str, error: GraphrunError) -> Iterator[Finding]:
    """Yield what an error tells: a line for each thing that begins with its place, indented ones that go with it."""
    for block in re.split(r"\n(?! )", str(error)) if error.located else [str(error)]:
        first, *others = block.split("\n")
        # Four blanks are before the line of the file and its caret.
        suggestion = "\n".join(line.strip() for line in others if not line.startswith("    "))
        yield _at(file, first, first, suggestion)


def finding_of_failure(graph: Graph, failure: str) -> Finding:
    """Return what a check found in a graph that runs, at the node or the section that it is about."""
    document, first = graph.document, failure.partition("\n")[0]
    named = NODE.search(first)
    if named and named[1] in document.nodes:
        place = document.nodes[named[1]].problems(named[1], document.problems).where()
    elif first.startswith("expect"):
        place = document.problems.at(("expect",)).where()
    else:
        place = document.problems.at(("minimize" if document.maximize is None else "maximize",)).where()
    return _at(graph.name, place, failure)


def _at(file: str, place: str, message: str, suggestion: str = "") -> Finding:
    found = PLACE.fullmatch(place)
    if found is None:
        return Finding(file, None, None, message.removeprefix(f"{file}: "), suggestion)
    return Finding(found["file"], int(found["line"]), int(found["column"]), found["message"] or message, suggestion)
