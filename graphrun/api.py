"""The Python interface: `load` a graph file, then `run` it."""

from graphrun.run.api import (
    Graph,
    load,
)

__all__ = [
    "Graph",
    "load",
]
