"""What other checks of a node type pass over: how a plugin brings it, other settings, kinks that nobody declared."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from graphrun.check.subject import BrokenTypeError, gaps, interval_numbers
from graphrun.declare.trace import CannotTraceError, Recorder, trace
from graphrun.plugins.files import PLUGIN_MODULE
from graphrun.plugins.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphrun.check.subject import Array, Inputs, Subject
    from graphrun.declare.nodetype import NodeType

HALVINGS = 100
"""How often the place of a jump is halved: from any distance down to neighbouring numbers."""

PLACES = 8
"""How many places with the largest differences are looked at for a jump."""


def hook_failures(node_type: NodeType) -> Iterator[str]:
    """Say why the plugin that declares a type would not be loaded, or would not bring it."""
    module = sys.modules.get(node_type.function.__module__)
    if module is None or module.__name__.startswith("graphrun."):
        return
    if not module.__name__.startswith(PLUGIN_MODULE) and not hasattr(module, "graphrun_node_types"):
        return  # declared in a test, or in a part of a distribution whose hook stands elsewhere
    plugin = Registry().add_module(module)
    if plugin.error is not None:
        yield f"{node_type.name}: its plugin would not be loaded: {plugin.error}"
    elif all(declared.name != node_type.name for declared in plugin.declarations):
        yield f"{node_type.name}: graphrun_node_types of its plugin does not return it"


def numpy_failures(subject: Subject, count: int) -> Iterator[str]:
    """Find calls of NumPy's own functions, which other engines have not."""
    recorder = Recorder(np.dtype(np.float64))
    try:
        trace(recorder, subject.type.function, recorder.inputs([None] * count), subject.settings)
    except CannotTraceError as error:
        if "calls numpy." in str(error):
            yield f"{subject.text}: {error}"


def other_settings(node_type: NodeType) -> Iterator[dict[str, Any]]:
    """Yield settings that differ from the defaults in one each, where its declaration takes them."""
    defaults = dict(node_type.default_settings or ())
    for parameter in node_type.keyword if node_type.default_settings is not None else ():
        name, default = parameter.name, defaults[parameter.name]
        for value in _other_values(default, node_type.kinds(name)):
            try:
                yield dict(node_type.read_settings({**defaults, name: value}))
            except ValueError:
                continue


def _other_values(default: Any, kinds: tuple[Any, ...]) -> list[Any]:
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, str):
        return [value for kind in kinds for value in get_args(kind) if isinstance(value, str) and value != default]
    if isinstance(default, float):
        return [1.5 * default or 0.75]
    return []


def undeclared_kinks(subject: Subject, inputs: Inputs) -> Iterator[str]:
    """Find where an elementwise type's value or derivative jumps by an input, and no kink is declared.

    Between neighbours of many numbers the largest differences are halved, down to numbers that have none between them:
    where a function is smooth, nothing is left of a difference then.
    """
    for position, name in enumerate(subject.names(len(inputs))):
        if position not in subject.without_derivative:
            found = _jump(subject, inputs, position)
            if found:
                place, what, before, after = found
                yield (
                    f"{subject.text}: {what} for {name!r} jumps from {before:.5g} to {after:.5g} at "
                    f"{name} = {place:.6g}, where no kink is declared"
                )


def _jump(subject: Subject, inputs: Inputs, position: int) -> tuple[float, str, float, float] | None:
    domain = subject.domain(position)
    fixed = [array[:1] for array in inputs]
    grid = np.unique(np.concatenate([inputs[position], -inputs[position], np.linspace(-3.3, 3.3, 201)]))
    if domain is not None:
        grid = grid[interval_numbers(domain, grid) >= 0]
    if len(grid) < 2:
        return None

    def rows(points: Array) -> list[Array]:
        return [points if k == position else np.broadcast_to(array, points.shape) for k, array in enumerate(fixed)]

    def slopes(points: Array) -> Array:
        given = [array.copy() for array in rows(points)]
        derivative = subject.derivatives(given, subject.forward(given))[position]
        return np.full_like(points, np.nan) if derivative is None else np.array(derivative, np.float64)

    def values(points: Array) -> Array:
        return subject.forward([array.copy() for array in rows(points)]).astype(np.float64)

    if np.isnan(slopes(grid)).all():
        return None  # it has no derivative by this input
    for what, function in (("the derivative", slopes), ("the value", values)):
        low, high = grid[:-1], grid[1:]
        with np.errstate(all="ignore"):
            apart = np.abs(np.diff(function(grid)))
        order = np.argsort(np.where(np.isfinite(apart), apart, -1.0))[::-1][:PLACES]
        low, high, apart = low[order], high[order], apart[order]
        for _ in range(HALVINGS):
            middle = low / 2 + high / 2
            ends = [function(points) for points in (low, middle, high)]
            with np.errstate(all="ignore"):
                is_left = np.abs(ends[1] - ends[0]) >= np.abs(ends[2] - ends[1])
            low, high = np.where(is_left, low, middle), np.where(is_left, middle, high)
        before, after = function(low), function(high)
        for k in np.flatnonzero(np.isfinite(before) & np.isfinite(after)):
            size = max(abs(before[k]), abs(after[k]), 1e-3)
            near = 1e-9 * max(abs(low[k]), 1e-9)
            # Towards a pole a difference grows instead.
            is_jump = 1e-3 * size < abs(after[k] - before[k]) <= 10 * apart[k]
            if is_jump and high[k] - low[k] <= near:
                place = high[k] if abs(high[k]) < abs(low[k]) else low[k]
                if not _is_declared(subject, rows(np.array([place])), position, near):
                    return float(0.0 if abs(place) < 1e-17 else place), what, float(before[k]), float(after[k])
    return None


def _is_declared(subject: Subject, inputs: Inputs, position: int, near: float) -> bool:
    """Whether a kink, or a border of the domain, is that near to a point."""
    domain = subject.domain(position)
    ends = [end for interval in domain.intervals for end in (interval.low, interval.high)] if domain else []
    if any(math.isfinite(end) and abs(end - inputs[position][0]) <= near for end in ends):
        return True
    for kink in subject.type.kinks:
        try:
            found = gaps(inputs, subject.places(kink, inputs))
        except BrokenTypeError:
            continue
        if found and all(np.all(np.abs(gap) <= 1e-6 * np.maximum(1, np.abs(inputs[0]))) for gap in found.values()):
            return True
    return False
