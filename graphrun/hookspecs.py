"""The hooks that a plugin can implement; they are declared in `graphrun.declare.hookspecs`."""

from graphrun.declare.hookspecs import (
    graphrun_failed,
    graphrun_finished,
    graphrun_node_types,
    graphrun_observers,
    graphrun_recorded,
    graphrun_started,
    graphrun_update_rules,
    hookimpl,
    hookspec,
)

__all__ = [
    "graphrun_failed",
    "graphrun_finished",
    "graphrun_node_types",
    "graphrun_observers",
    "graphrun_recorded",
    "graphrun_started",
    "graphrun_update_rules",
    "hookimpl",
    "hookspec",
]
