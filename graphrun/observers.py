"""Observers of a run: what they are told of it, and those that are built in."""

from graphrun.base.outcome import RunDescription
from graphrun.run.observers import Observers, graphrun_observers

__all__ = [
    "Observers",
    "RunDescription",
    "graphrun_observers",
]
