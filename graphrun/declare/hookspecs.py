"""The hooks that a plugin can implement: what it adds, and the events of a run that an observer is told of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    import click

    from graphrun.base.outcome import RunDescription, RunOutcome
    from graphrun.declare.nodetype import NodeType
    from graphrun.declare.updaterule import UpdateRule

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


@hookspec
def graphrun_observers() -> Mapping[str, Callable[[str], object]]:
    """Return the observers that the plugin adds, by the names that ``--observe NAME=TARGET`` takes.

    Each is called with the target, a text that may be empty, and returns an object that implements some of the events
    below as methods; it raises `UsageError` where it cannot do its work.
    """
    raise NotImplementedError


@hookspec
def graphrun_commands() -> Mapping[str, click.Command]:
    """Return the commands that the plugin adds, by the names that follow ``graphrun``; a built-in name stays."""
    raise NotImplementedError


@hookspec
def graphrun_readers() -> Mapping[str, Callable[[Path], Mapping[str, Any]]]:
    """Return what reads data files, by the suffixes of their names, such as ``.feather``.

    Each is called with the file's path and returns its columns by name: sequences of numbers or of texts, or arrays
    whose first axis is the rows. What it raises is told with the file's name.
    """
    raise NotImplementedError


@hookspec
def graphrun_languages() -> Mapping[str, Callable[[Any], str | bytes]]:
    """Return the languages that the plugin adds, by the names that ``graphrun export --to`` takes.

    Each is called with a `graphrun.Graph` and returns what is written; it raises `UsageError` for what it cannot say.
    """
    raise NotImplementedError


@hookspec
def graphrun_drawings() -> Mapping[str, Callable[[str], str | bytes]]:
    """Return the formats of drawings that the plugin adds, by the suffixes of their files, such as ``.webp``.

    Each is called with the drawing as SVG and returns what is written.
    """
    raise NotImplementedError


@hookspec
def graphrun_started(run: RunDescription) -> None:
    """Take notice that a run is about to start."""


@hookspec
def graphrun_recorded(step: int, values: Mapping[str, Any]) -> None:
    """Take notice of a recorded row: floats, and arrays of their shapes, by name; row 0 is before any update."""


@hookspec
def graphrun_finished(result: RunOutcome) -> None:
    """Take notice that a run ended as it should, or was interrupted."""


@hookspec
def graphrun_failed(result: RunOutcome) -> None:
    """Take notice that a run failed; `result.error` says why, and the rest is what there was until then."""
