"""The Python interface: `load` a graph file, then `run` it, or call it as a `Function`."""

from graphrun.run.api import Graph
from graphrun.run.function import Function
from graphrun.run.loading import load, loads

__all__ = [
    "Function",
    "Graph",
    "load",
    "loads",
]
