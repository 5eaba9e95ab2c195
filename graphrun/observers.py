"""Observers of a run: what they are told of it, and those that are built in."""

from graphrun.declare.events import RunDescription
from graphrun.run.observers import Observers, graphrun_observers

__all__ = [
    "Observers",
    "RunDescription",
    "graphrun_observers",
]
