"""The built-in node types, a module a family; each is registered through the hook that everybody's plugins use.

A type is added by declaring it in the module of its family.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from graphrun.declare.hookspecs import hookimpl
from graphrun.declare.nodetype import NodeType

ORDER = """
arithmetic power exponential trigonometric hyperbolic rounding comparison selection activation special gamma
reduction contraction linear_algebra shape joining indexing normalization regularization convolution pooling attention
loss likelihood
"""
FAMILIES = [import_module(f"graphrun.nodes.{family}") for family in ORDER.split()]


@hookimpl
def graphrun_node_types() -> Sequence[NodeType]:
    """Return every type that a family declares, family by family in the order of declaration."""
    return [value for family in FAMILIES for value in vars(family).values() if isinstance(value, NodeType)]
