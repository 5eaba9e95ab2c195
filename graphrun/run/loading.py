"""Loading graphs: of a file, of its text, or of plain data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.memory import allowed_memory, limited, paused_collection, read_size
from graphrun.base.wording import printable
from graphrun.data.rows import DataSource
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import Document, PlainSource, Source, load_document, shape_of
from graphrun.document.numbers import StoredValue
from graphrun.document.parameters import ANOTHER_NAME, check_bounds
from graphrun.graph.build import build_graph
from graphrun.nodes.calculus import derivative
from graphrun.plugins.registry import Registry
from graphrun.run.api import Graph
from graphrun.run.request import listed_names

MOST_NAMES = 12
"""So many parameters are named of those that a checkpoint has, or has not."""


def load(
    path: str | Path | Source | Mapping[str, Any],
    *,
    overrides: str | Sequence[str] = (),
    plugins: str | Path | Sequence[str | Path] = (),
    types: NodeType | UpdateRule | Sequence[NodeType | UpdateRule] = (),
    registry: Registry | None = None,
    data: str | Path | None = None,
    start: str | Path | None = None,
    memory: int | str | None = None,
    name: str | Path | None = None,
) -> Graph:
    """Load a graph file, or what such a file would hold.

    Args:
        path: the YAML file; or a graph as a mapping of sections, in which arrays of NumPy are lists too. What is wrong
            with a mapping is told by the path of its keys.
        overrides: changes to the file, as of ``--set``: texts ``PATH=VALUE`` with a dotted path of the file's own keys
            and a YAML value; one alone needs no list.
        plugins: folders of loose plugin files, as of ``--plugins``; one alone needs no list.
        types: node types and update rules that this program declared itself; one alone needs no list.
        registry: node types and update rules that were found already.
        data: a file in place of the graph file's data set, as of ``--data``.
        start: a checkpoint whose parameters, those of the same name, take the place of the file's, as of ``--start``.
        memory: how much the graph may take: bytes, or a text such as ``8GiB``; default half of the memory.
        name: what a graph that is no file is called; files that it names are found from there.

    Raises:
        GraphFileError: the file cannot be used; the text lists every problem with its position.
        ShapeError: shapes do not fit, of a file with derivatives, which is planned for them.
        UsageError: a plugin folder does not exist, a type's name is taken, an override makes no sense, or `path` is
            no path.
        DeclarationError: one of the `types` is declared wrongly.
    """
    given: str | Path | Source
    if isinstance(path, Mapping):
        given = PlainSource("<mapping>" if name is None else os.fspath(name), path)
    elif isinstance(path, str | os.PathLike | Source):
        given = path
    else:
        raise UsageError(f"load takes the path of a graph file or a mapping, not a {type(path).__name__}")
    if isinstance(given, str) and "\n" in given and not os.path.exists(given):  # noqa: PTH110
        raise UsageError("load takes the path of a graph file, and this looks like its text: loads takes that")
    overrides = [overrides] if isinstance(overrides, str) else listed_names("overrides", overrides, "PATH=VALUE")
    plugins = [plugins] if isinstance(plugins, str | os.PathLike) else plugins
    registry = registry or Registry(plugins)
    registry.add(types if isinstance(types, Iterable) else [types])
    return _load(given, overrides, registry, data, start, allowed_memory() if memory is None else read_size(memory))


def loads(text: str, *, name: str | Path = "<text>", **asked: Any) -> Graph:
    """Load a graph from the text of a graph file.

    Args:
        text: the YAML text.
        name: what it is called in messages; files that it names are found from there.
        asked: more of `load`.

    Raises:
        GraphFileError, UsageError, DeclarationError: as of `load`.
    """
    if not isinstance(text, str):
        raise UsageError(f"loads takes the text of a graph file, not a {type(text).__name__}")
    return load(Source(os.fspath(name), text), **asked)


def _load(
    given: str | Path | Source,
    overrides: Sequence[str],
    registry: Registry,
    data: str | Path | None,
    start: str | Path | None,
    memory: int | None,
    more: Sequence[str] = (),
) -> Graph:
    with paused_collection(), limited(memory):
        overrides = [*overrides, *more]
        document = load_document(given, overrides, registry.reader)
        if start is not None or document.start is not None:
            _start(document, start)
        source = DataSource(document, data)
        if any(entry.type == derivative.name for entry in document.nodes.values()):
            # Few files have any, and the trace takes a while to import.
            from graphrun.run.derivatives import write_derivatives

            write_derivatives(document, registry, source)
        structure = build_graph(document, registry, source.names)
        rows, begin = (None if path is None else Path(path).absolute() for path in (data, start))
        again = partial(_load, document.source, overrides, registry, rows, begin, memory)
        return Graph(structure, source, registry, memory, again)


def _start(document: Document, given: str | Path | None) -> None:
    """Take the parameters of a checkpoint that have a name of the file's: nothing else of it, and no other graph's.

    Raises:
        UsageError: what is `given` in place of the file's key is no checkpoint, or has no such parameter.
    """
    from graphrun.run.checkpoint import load_checkpoint

    path = Path(document.source.name).parent / document.start if given is None and document.start else Path(given or "")
    try:
        kept = load_checkpoint(path).parameters
        taken = {name: kept[name] for name in document.parameters if name in kept}
        if not taken and document.parameters:
            had = printable(", ".join([*kept][:8]))
            raise UsageError(f"no parameter of {document.source.name} is one of the checkpoint {path}\n  it has: {had}")
    except UsageError as error:
        if given is not None:
            raise
        message, _, hint = str(error).partition("\n  ")
        document.problems.add(("start",), message, suggestion=hint or None)
        return
    for name, array in taken.items():
        entry, at = document.parameters[name], document.leaf_problems("parameters", name)
        value = StoredValue(os.fspath(path), name, array[()])
        shape = entry.shape if entry.init is not None else shape_of(entry.value)
        # A size that is that of a column is known with the data.
        if array.shape != shape and not any(isinstance(size, str) for size in shape):
            message = f"{name!r} has the shape {list(shape)}, and {list(array.shape)} in the checkpoint {path}"
            at.add((), message, key=True, suggestion=ANOTHER_NAME)
        elif array.dtype.kind != "f" or not np.isfinite(array).all():
            at.add((), f"{name!r} holds something in the checkpoint {path} that is no finite number", key=True)
        else:
            check_bounds(at, entry._replace(value=value), f" in the checkpoint {path}")
            document.started[name] = value.array
    told = (
        ("begins with", taken),
        ("begins as the file says:", [name for name in document.parameters if name not in taken]),
        ("not in the file:", [name for name in kept if name not in taken]),
    )
    parts = [f"{words} {_listed(list(names))}" for words, names in told if names]
    document.start_note = f"start {path}: {'; '.join(parts)}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return printable(", ".join(names[:MOST_NAMES])) + more
