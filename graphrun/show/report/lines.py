"""Where the values of a graph stand in its file: the lines to show beside the drawing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphrun.document import Document, Path
from graphrun.document.loader import locate


def lines_of(document: Document, names: Iterable[str]) -> dict[str, list[int]]:
    """Return the lines of each name, from 1: where it is declared, and the line within a subgraph that it was made of.

    What an instance or an expression makes stands where that stands.
    """
    names = list(names)
    candidates = {name: [*_paths(name)] for name in names}
    wanted = {path[:length] for paths in candidates.values() for path in paths for length in range(len(path) + 1)}
    found = locate(document.source.text, wanted)
    result = {}
    for name, paths in candidates.items():
        lines = [found[path].key.line for path in paths if path in found][:1]
        inner = _line_in_definition(document, name)
        result[name] = list(dict.fromkeys([*lines, *([] if inner is None else [inner])]))
    return result


def _paths(name: str) -> Iterator[Path]:
    """Yield the places where a name may be declared, the nearest first."""
    words = name.split(".")
    for length in range(len(words), 0, -1):
        prefix = ".".join(words[:length])
        for section in (("parameters",), ("constants",), ("nodes",), ("data", "columns")):
            yield (*section, prefix)
    yield ("data", "file")


def _line_in_definition(document: Document, name: str) -> int | None:
    """Return the line within the subgraph's definition, if that stands in the same file."""
    entry = document.nodes.get(name)
    if entry is not None:
        origin = entry.origin if entry.use is not None else None
    else:
        section = "parameters" if name in document.parameters else "constants"
        origin = document.leaf_problems(section, name) if name in document.leaf_origins else None
    if origin is None or origin.source is not document.source:
        return None
    return int(origin.where().rsplit(":", 2)[1])
