"""Pausing the garbage collector while objects are made that all stay: modules at the start, millions of nodes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collection() -> Iterator[None]:
    """Collect no garbage inside: looking through all objects again and again takes half the time of a large load."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def no_collection_at_the_ends() -> Iterator[None]:
    """Collect no garbage while a program starts, until `begin_collection`, nor when it ends: a third of a short run."""
    gc.disable()
    try:
        yield
    finally:
        # Everything that is there by now stays to the end, so that the interpreter does not look through it once more.
        # DuckDB complains on stderr of what was not collected (nanobind's "leaked instances").
        if "duckdb" not in sys.modules:
            gc.freeze()


def begin_collection() -> None:
    """Collect garbage from now on, where the start has paused it, but not among what is there already."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
