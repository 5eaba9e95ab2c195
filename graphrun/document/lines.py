"""Nodes written in the usual way on a line of their own: a pattern reads them eight times as fast as the parser.

They are taken out of the text, with one entry in place of each run of them. Where the parser meets that entry as a key
of the section `nodes`, the lines would have been entries of that section; where it does not, or anything is wrong with
the text, the caller has the parser read all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

SHORTEST_TEXT = 20_000
"""Characters below which nothing is gained."""

SHORTEST_RUN = 50
PLACE = "lines_of_nodes_from_"

# What is the same plain scalar in a block and within brackets, and a key that is short enough to be one.
_SCALAR = r"-?[A-Za-z0-9_.][A-Za-z0-9_.+-]*"
_LINE = r"{}([A-Za-z_][A-Za-z0-9_.]{{0,200}}): \{{type: ([A-Za-z_][A-Za-z0-9_]*), inputs: \[({}(?:, {})*)\]\}}\n"
_SECTION = re.compile(r"^nodes:\n( +)", re.MULTILINE)


Entry = Callable[[str, tuple[str, ...]], Any]


class NodeLines:
    """The runs of node lines of a text, and the text without them.

    Attributes:
        runs: the entries of each run, by the key that stands in its place with the value 0.
        count: how many entries there are.
        rest: the text to parse.
    """

    def __init__(self, text: str, plain: Callable[[str], Any], entry: Entry | None = None) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.count = 0
        self.rest = ""
        section = _SECTION.search(text) if len(text) >= SHORTEST_TEXT and PLACE not in text else None
        if section is None:
            return
        indent = section[1]
        match = re.compile(_LINE.format(indent, _SCALAR, _SCALAR)).match
        pieces: list[str] = []
        done, position = 0, section.start(1)
        # The section ends where a line is not indented.
        while position < len(text) and text[position] in " #\n":
            start, run, count = position, dict[str, Any](), 0
            while found := match(text, position):
                name, kind, inputs = found.groups()
                key = plain(name)
                run[key if key.__class__ is str else name] = _node(
                    plain(kind), [*map(plain, inputs.split(", "))], entry
                )
                count += 1
                position = found.end()
            if count >= SHORTEST_RUN:
                pieces += (text[done:start], indent, place := f"{PLACE}{start}", ": 0\n")
                done = position
                self.runs[place] = run
                self.count += count
            if not count:
                position = text.find("\n", position) + 1 or len(text)
        self.rest = "".join([*pieces, text[done:]])

    def put_into(self, data: Any) -> bool:
        """Put the entries in their places in the section `nodes`; return whether all have one."""
        nodes = data.get("nodes") if isinstance(data, dict) else None
        if not isinstance(nodes, dict) or any(nodes.get(place) != 0 for place in self.runs):
            return False
        count = self.count + len(nodes) - len(self.runs)
        if len(nodes) == 1:
            (nodes,) = self.runs.values()
        else:
            for place, value in [*nodes.items()]:
                del nodes[place]
                nodes.update(self.runs.get(place) or {place: value})
        data["nodes"] = nodes
        return len(nodes) == count


def _node(kind: Any, inputs: list[Any], entry: Entry | None) -> Any:
    """Return the mapping of a node or, where all is text, what is made of it: a mapping takes twice the memory."""
    if entry is not None and kind.__class__ is str and all(source.__class__ is str for source in inputs):
        return entry(kind, tuple(inputs))
    return {"type": kind, "inputs": inputs}
