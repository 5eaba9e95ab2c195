"""The `include` section: the subgraphs of other graph files, named relative to the including one."""

import os
import re
from pathlib import Path as FilePath
from typing import Any

from graphrun.base.errors import GraphFileError
from graphrun.base.wording import describe, printable, quote
from graphrun.document.header import SECTIONS
from graphrun.document.marks import Path
from graphrun.document.problems import Problems
from graphrun.document.source import Source
from graphrun.document.subgraphs import Subgraph, read_subgraphs

# How many files may stand between a graph file and the last one that it includes.
DEEPEST = 64

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def read_definitions(data: dict[str, Any], problems: Problems, broken: set[str]) -> tuple[dict[str, Subgraph], bool]:
    """Return the subgraphs that a file can use, its own and those of the files that it includes.

    `include` and `subgraphs` are taken out of the file's data, and names whose own declaration has a problem are added
    to `broken`. The second part of the result says whether an included file could not be read.
    """
    reader = _Reader(problems, broken)
    return reader.read(data, problems, [problems.source]), reader.failed


class _Reader:
    """Follows includes, a file once however often it is named."""

    def __init__(self, problems: Problems, broken: set[str]) -> None:
        self.problems = problems
        self.broken = broken
        self.files: dict[str, dict[str, Subgraph]] = {}
        self.failed = False

    def read(self, data: dict[str, Any], problems: Problems, chain: list[Source]) -> dict[str, Subgraph]:
        """Return the subgraphs of one file and of those it includes; `chain` leads to it from the graph file."""
        found: dict[str, Subgraph] = {}
        included = data.pop("include", None)
        raw = data.pop("subgraphs", None)
        if included is not None and not isinstance(included, list):
            hint = f"write [{included}]" if isinstance(included, str) else None
            problems.add(("include",), f"'include' is a list of files, not {describe(included)}", suggestion=hint)
            included = None
            self.failed = True
        for position, name in enumerate(included or []):
            path: Path = ("include", position)
            if not isinstance(name, str):
                problems.add(path, f"'include' takes names of files, not {describe(name)}")
                self.failed = True
                continue
            for key, subgraph in self._include(name, path, problems, chain).items():
                if key in found and found[key] is not subgraph:
                    message = f"the subgraph {quote(key)} is defined twice: in {found[key].problems.where()} too"
                    problems.add(path, message)
                found.setdefault(key, subgraph)
        for key, subgraph in read_subgraphs(raw, problems, self.broken).items():
            if key in found:
                message = f"the subgraph {quote(key)} is defined twice: in {found[key].problems.where()} too"
                problems.add(("subgraphs", key), message, key=True)
            found[key] = subgraph
        return found

    def _include(self, name: str, path: Path, problems: Problems, chain: list[Source]) -> dict[str, Subgraph]:
        file = chain[-1].folder / name
        # Unlike Path.resolve, realpath takes a loop of links for a file, which then cannot be read.
        identity = "" if "\0" in name else os.path.realpath(file)
        names = [os.path.realpath(source.name) for source in chain]
        if _URL.match(name):
            message = f"{quote(name)} is no local file: includes are files on this computer"
        elif not name or "\0" in name:
            message = f"{quote(name)} cannot be the name of a file"
        elif len(chain) > DEEPEST:
            message = f"includes are nested deeper than {DEEPEST} files"
        elif identity in names:
            cycle = [source.name for source in chain[names.index(identity) :]]
            message = f"the includes close a cycle: {printable(' → '.join([*cycle, str(file)]))}"
        else:
            if identity not in self.files:
                self.files[identity] = self._read_file(file, path, problems, chain)
            return self.files[identity]
        problems.add(path, message)
        self.failed = True
        return {}

    def _read_file(self, file: FilePath, path: Path, problems: Problems, chain: list[Source]) -> dict[str, Subgraph]:
        names = printable(" → ".join(source.name for source in chain))
        over = f" (included by {names})" if len(chain) > 1 else ""
        try:
            source = Source.read(file, included=True)
        except GraphFileError as error:
            self.failed = True
            message, _, hint = str(error).partition("\n")
            if any(repr(source.name) in hint for source in chain):
                hint = ""
            problems.add(path, f"{message}{over}", suggestion=hint.strip() or None)
            return {}
        inner = self.problems.at((), source=source)
        data, errors = source.load()
        for found in errors:
            inner.add_at(found.mark, found.message, suggestion=found.suggestion)
        if not isinstance(data, dict):
            self.failed = True
            if not errors:
                inner.add((), f"an included file is a mapping of sections, not {describe(data)}")
            return {}
        inner.refuse_unknown((), data, SECTIONS)
        return self.read(data, inner, [*chain, source])
