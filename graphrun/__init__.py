"""graphrun runs computational graphs that are declared in YAML files.

A graph file names leaf values, the nodes computed from them, the node to maximize or minimize and an update rule:

    graph = graphrun.load("graphs/nested.yaml")
    result = graph.run(steps=10)
    result.parameters["a"], result.values["f"], result.gradients["a"], result.history["f"]

Plugins declare node types with `elementwise` and `tensor`, update rules with `update_rule`, and register them by the
hooks of `graphrun.hookspecs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphrun.base.version import __version__ as __version__
from graphrun.run.display import Displayed

if TYPE_CHECKING:
    from graphrun.base.errors import (
        CheckpointError,
        DeclarationError,
        GraphFileError,
        GraphrunError,
        MemoryLimitError,
        NotFiniteError,
        PluginError,
        RunError,
        ShapeError,
        UsageError,
    )
    from graphrun.declare.declaration import Index, Noise, State, Training
    from graphrun.declare.hookspecs import hookimpl
    from graphrun.declare.nodetype import Example, Kink, NodeType, elementwise, tensor
    from graphrun.declare.updaterule import UpdateRule, update_rule
    from graphrun.run.api import Graph
    from graphrun.run.function import Function
    from graphrun.run.loading import load, loads
    from graphrun.run.result import Result

__all__ = [
    "CheckpointError",
    "DeclarationError",
    "Example",
    "Function",
    "Graph",
    "GraphFileError",
    "GraphrunError",
    "Index",
    "Kink",
    "MemoryLimitError",
    "NodeType",
    "Noise",
    "NotFiniteError",
    "PluginError",
    "Result",
    "RunError",
    "ShapeError",
    "State",
    "Training",
    "UpdateRule",
    "UsageError",
    "elementwise",
    "hookimpl",
    "load",
    "loads",
    "tensor",
    "update_rule",
]

_MODULES = {
    "base.errors": "CheckpointError DeclarationError GraphFileError GraphrunError MemoryLimitError NotFiniteError "
    "PluginError RunError ShapeError UsageError",
    "declare.declaration": "Index Noise State Training",
    "declare.hookspecs": "hookimpl",
    "declare.nodetype": "Example Kink NodeType elementwise tensor",
    "declare.updaterule": "UpdateRule update_rule",
    "run.api": "Graph",
    "run.function": "Function",
    "run.loading": "load loads",
    "run.result": "Result",
}
_LATER = {name: f"graphrun.{module}" for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: a plugin that declares types has no use for what runs graphs.

    And the command line is imported through this module: Ctrl-C in what comes before it ends in a traceback.
    """
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return globals().setdefault(name, getattr(import_module(_LATER[name]), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def _page(name: str) -> Callable[..., Any]:
    """Return what makes a page of a graph or a result, imported only when something is shown."""
    from graphrun.show import pages

    made: Callable[..., Any] = getattr(pages, name)
    return made


Displayed.page = _page
