"""The built-in node types, a module a family; each is registered through the hook that everybody's plugins use.

A type is added by declaring it in the module of its family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphrun.declare.hookspecs import hookimpl
from graphrun.declare.nodetype import NodeType
from graphrun.nodes import (
    activation,
    arithmetic,
    attention,
    comparison,
    contraction,
    convolution,
    exponential,
    hyperbolic,
    indexing,
    joining,
    linear_algebra,
    loss,
    normalization,
    pooling,
    power,
    reduction,
    regularization,
    rounding,
    selection,
    shape,
    special,
    trigonometric,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

FAMILIES = (
    arithmetic,
    power,
    exponential,
    trigonometric,
    hyperbolic,
    rounding,
    comparison,
    selection,
    activation,
    special,
    reduction,
    contraction,
    linear_algebra,
    shape,
    joining,
    indexing,
    normalization,
    regularization,
    convolution,
    pooling,
    attention,
    loss,
)


@hookimpl
def graphrun_node_types() -> Sequence[NodeType]:
    """Return every type that a family declares, family by family in the order of declaration."""
    return [value for family in FAMILIES for value in vars(family).values() if isinstance(value, NodeType)]
