"""The hooks that a plugin can implement; they are declared in `graphrun.declare.hookspecs`."""

# ruff: noqa: F403, F405

from graphrun.declare.hookspecs import *

__all__ = [
    "graphrun_commands",
    "graphrun_drawings",
    "graphrun_failed",
    "graphrun_finished",
    "graphrun_languages",
    "graphrun_node_types",
    "graphrun_observers",
    "graphrun_readers",
    "graphrun_recorded",
    "graphrun_started",
    "graphrun_update_rules",
    "hookimpl",
    "hookspec",
]
