"""graphrun runs computational graphs that are declared in YAML files.

A graph file names leaf values, the nodes computed from them, the node to maximize or minimize and an update rule:

    graph = graphrun.load("graphs/nested.yaml")
    result = graph.run(steps=10)
    result.parameters["a"], result.values["f"], result.gradients["a"], result.history["f"]

Plugins declare node types with `elementwise` and `tensor`, update rules with `update_rule`, and register them by the
hooks of `graphrun.hookspecs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphrun.base.errors import (
    CheckpointError,
    DeclarationError,
    GraphFileError,
    GraphrunError,
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

if TYPE_CHECKING:
    from graphrun.run.api import Graph, load
    from graphrun.run.result import Result

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "DeclarationError",
    "Example",
    "Graph",
    "GraphFileError",
    "GraphrunError",
    "Index",
    "Kink",
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
    "tensor",
    "update_rule",
]

_LATER = {"Graph": "graphrun.run.api", "load": "graphrun.run.api", "Result": "graphrun.run.result"}


def __getattr__(name: str) -> Any:
    """Import what runs graphs only when it is asked for: a plugin that declares types has no use for it."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
