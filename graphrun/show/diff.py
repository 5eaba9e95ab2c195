"""What differs between two graphs: in structure, and in the values, gradients and trajectories of their runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

from graphrun.base.numbertext import format_value
from graphrun.document import Document
from graphrun.run.api import Graph
from graphrun.run.result import Result

TOLERANCE = 1e-9
SHOWN = 20


def diff_graphs(first: Graph, second: Graph, steps: int | None = None, tolerance: float = TOLERANCE) -> Iterator[str]:
    """Yield a line for each difference; none where there is no difference.

    Both are run for so many steps, default each file's own. Two numbers are equal up to a relative or absolute
    difference of `tolerance`.

    Raises:
        GraphrunError: one of them cannot be run.
    """
    yield from _limited("structure", structure(first.document, second.document))
    results = first.try_run(steps), second.try_run(steps)
    for kind in ("values", "gradients"):
        before, after = (
            {**(result.parameters if kind == "values" else {}), **getattr(result, kind)} for result in results
        )
        yield from _limited(f"final {kind}", _numbers(before, after, tolerance))
    yield from _trajectory(*results, tolerance)


def structure(first: Document, second: Document) -> Iterator[str]:
    """Yield a line for each difference between the entries of two files."""
    for section in ("parameters", "constants", "nodes"):
        yield from _entries(section, getattr(first, section), getattr(second, section))
    for key in ("maximize", "minimize", "update", "steps", "stop", "uncertainty", "record", "seed", "dtype", "expect"):
        before, after = getattr(first, key), getattr(second, key)
        if before != after:
            yield f"{key}: {_shown(before)} → {_shown(after)}"


def _entries(section: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    for name in first:
        if name not in second:
            yield f"- {section}.{name}: {_shown(first[name])}"
        elif _plain(first[name]) != _plain(second[name]):
            yield f"~ {section}.{name}: {_shown(first[name])} → {_shown(second[name])}"
    for name in second:
        if name not in first:
            yield f"+ {section}.{name}: {_shown(second[name])}"


def _plain(entry: Any) -> Any:
    """Return what counts of an entry: of a node its type, inputs and settings, wherever they stand."""
    return (entry.type, entry.inputs, entry.settings or None) if hasattr(entry, "inputs") else entry


def _shown(entry: Any) -> str:
    if entry is None:
        return "none"
    if hasattr(entry, "inputs"):
        settings = "".join(f", {key}={value}" for key, value in (entry.settings or {}).items())
        return f"{entry.type}({', '.join(map(str, entry.inputs))}{settings})"
    if hasattr(entry, "settings"):
        return _called(entry)
    if hasattr(entry, "init"):
        bounds = "".join(f", {k} {v}" for k, v in (("lower", entry.lower), ("upper", entry.upper)) if v is not None)
        if entry.init is None:
            return format_value(entry.value) + bounds
        return f"{_called(entry.init)} of shape {list(entry.shape)}{bounds}"
    if isinstance(entry, BaseModel):
        return _short(", ".join(f"{key} {value}" for key, value in entry.model_dump(exclude_none=True).items()))
    if isinstance(entry, tuple):
        return _short(f"[{', '.join(map(_shown, entry))}]")
    return _short(str(entry))


def _called(entry: Any) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in entry.settings.items())
    return f"{entry.type}({settings})" if settings else str(entry.type)


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _numbers(first: Mapping[str, Any], second: Mapping[str, Any], tolerance: float) -> Iterator[str]:
    for name, before in first.items():
        if name in second and not _equal(before, second[name], tolerance):
            yield f"{name}: {format_value(before)} → {format_value(second[name])}"


def _trajectory(first: Result, second: Result, tolerance: float) -> Iterator[str]:
    if first.stopped != second.stopped or first.steps != second.steps:
        yield f"stopped: step {first.steps} ({first.stopped}) → step {second.steps} ({second.stopped})"
    rows = {int(step): row for row, step in enumerate(second.history["step"])}
    for name, column in first.history.items():
        if name == "step" or name not in second.history:
            continue
        for row, step in enumerate(first.history["step"]):
            other = rows.get(int(step))
            if other is not None and not _equal(column[row], second.history[name][other], tolerance):
                change = f"{format_value(column[row])} → {format_value(second.history[name][other])}"
                yield f"trajectory of {name}: differs from step {step} on: {change}"
                break


def _equal(first: Any, second: Any, tolerance: float) -> bool:
    before, after = np.asarray(first), np.asarray(second)
    same_shape = before.shape == after.shape
    return same_shape and np.allclose(before, after, rtol=tolerance, atol=tolerance, equal_nan=True)


def _limited(title: str, lines: Iterator[str]) -> Iterator[str]:
    """Yield at most so many lines under a title, and count the rest."""
    found = list(lines)
    if found:
        yield f"{title}:"
        yield from (f"  {line}" for line in found[:SHOWN])
        if len(found) > SHOWN:
            yield f"  and {len(found) - SHOWN:,} more"
