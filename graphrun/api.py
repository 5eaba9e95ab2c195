"""The Python interface: `load` a graph file, then `run` it, or call it as a `Function`."""

from graphrun.run.api import (
    Graph,
    load,
    loads,
)
from graphrun.run.function import (
    Function,
)

__all__ = [
    "Function",
    "Graph",
    "load",
    "loads",
]
