"""Observers of a run: what they are told of it."""

from graphrun.run.observers import (
    Observers,
    RunDescription,
)

__all__ = [
    "Observers",
    "RunDescription",
]
