"""Loading graphs: of a file, of its text, or of plain data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from graphrun.base.errors import UsageError
from graphrun.base.memory import allowed_memory, limited, paused_collection, read_size
from graphrun.data.rows import DataSource
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import PlainSource, Source, load_document
from graphrun.graph.build import build_graph
from graphrun.nodes.calculus import derivative
from graphrun.plugins.registry import Registry
from graphrun.run.api import Graph
from graphrun.run.request import listed_names


def load(
    path: str | Path | Source | Mapping[str, Any],
    *,
    overrides: str | Sequence[str] = (),
    plugins: str | Path | Sequence[str | Path] = (),
    types: NodeType | UpdateRule | Sequence[NodeType | UpdateRule] = (),
    registry: Registry | None = None,
    data: str | Path | None = None,
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
    return _load(given, overrides, registry, data, allowed_memory() if memory is None else read_size(memory))


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
    memory: int | None,
) -> Graph:
    with paused_collection(), limited(memory):
        document = load_document(given, overrides)
        source = DataSource(document, data)
        if any(entry.type == derivative.name for entry in document.nodes.values()):
            # Few files have any, and the trace takes a while to import.
            from graphrun.run.derivatives import write_derivatives

            write_derivatives(document, registry, source)
        structure = build_graph(document, registry, source.names)
        rows = None if data is None else Path(data).absolute()
        again = partial(_load, document.source, overrides, registry, rows, memory)
        return Graph(structure, source, registry, memory, again)
