"""The hooks that a plugin can implement; pluggy calls them when the program starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from graphrun.nodetype import NodeType
    from graphrun.updaterule import UpdateRule

hookspec = pluggy.HookspecMarker("graphrun")
hookimpl = pluggy.HookimplMarker("graphrun")


@hookspec
def graphrun_node_types() -> Sequence[NodeType]:
    """Return the node types that the plugin adds."""
    raise NotImplementedError


@hookspec
def graphrun_update_rules() -> Sequence[UpdateRule]:
    """Return the update rules that the plugin adds."""
    raise NotImplementedError
