"""A second run beside the first one: its numbers, and what differs between the two graph files."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

from graphrun.base.wording import printable
from graphrun.run.api import Graph
from graphrun.show.diff import structure

SHOWN = 40
KEPT = ("title", "run", "rows", "history", "columns")


def compared(first: Graph, second: Graph, data: dict[str, Any], resumed: str = "") -> dict[str, Any]:
    """Return of the contents of a second run what a page about the first one shows, and how their files differ."""
    before, after = (graph.document.source.lines for graph in (first, second))
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    told = list(structure(first.document, second.document))
    if len(told) > SHOWN:
        told = [*told[:SHOWN], f"and {len(told) - SHOWN} more differences"]
    return {
        **{key: data[key] for key in KEPT},
        "resumed": printable(resumed),
        "values": [entry["name"] for entry in data["values"]],
        "objective": data["objective"] and data["objective"]["value"],
        "differences": [printable(line) for line in told],
        # The lines of the first file from, up to, and what the second one has there.
        "changes": [
            [start, end, [printable(line) for line in after[other:last]]]
            for tag, start, end, other, last in blocks
            if tag != "equal"
        ],
    }
