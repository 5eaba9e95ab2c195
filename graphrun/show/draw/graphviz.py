"""Pictures by Graphviz, in this process: pygraphviz (the extra `draw`) carries it in its wheels."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphrun.base.errors import UsageError


def render(dot: str, picture_format: str) -> bytes:
    """Return a picture of a graph that is given as DOT.

    Args:
        dot: the graph.
        picture_format: ``png`` or ``pdf``.

    Raises:
        UsageError: pygraphviz is not installed.
    """
    try:
        from pygraphviz import AGraph
    except ImportError:
        needs = f"{picture_format.upper()} needs Graphviz"
        raise UsageError(f"{needs}; svg, dot and mmd do not\n  pip install 'graphrun[draw]'") from None
    # At 144 dots an inch a picture is sharp on the screens of today.
    graph: Any = AGraph(string=dot)
    if picture_format == "png":
        graph.graph_attr["dpi"] = "144"
    with _quiet():
        picture: bytes = graph.draw(format=picture_format, prog="dot")
    return picture


@contextmanager
def _quiet() -> Iterator[None]:
    """Let nothing through to stderr: Fontconfig complains there about the configuration of the system's fonts."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
