"""One operation of a pass, and what it is made of: functions bound to NumPy, and what the passes do with numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from graphrun.declare.declaration import Function
from graphrun.declare.nodetype import NodeType
from graphrun.engines.numpy import forms  # noqa: F401 (it declares them)
from graphrun.engines.numpy.namespace import namespace
from graphrun.plan.plan import Array, Batch
from graphrun.plan.shapes import Shape, as_index


class Operation(NamedTuple):
    """One operation of a pass; slots are an int for a single node, and an array or a slice for a batch.

    Attributes:
        forward: the forward function of the inputs.
        derivative: the local derivatives of (output, *inputs) or, of a tensor type, the vjp of (gradient, output, ...);
            NaN where a type declares none, for an input that no parameter reaches.
        inputs: the slots of the inputs.
        output: the slot of the output.
        wanted: the inputs whose gradient is wanted: position, slots, and the axes along which the input was broadcast.
        elementwise: whether `derivative` gives local derivatives.
    """

    forward: Function
    derivative: Function
    inputs: Sequence[Any]
    output: Any
    wanted: Sequence[tuple[int, Any, tuple[int, ...] | None]]
    elementwise: bool


def functions(node_type: NodeType) -> tuple[Function, Function | None]:
    """Return a type's two functions, in the form that it has for NumPy."""
    form = node_type.forms.get("numpy", node_type)
    return form.function, form.derivative


def bind(batch: Batch, dtype: np.dtype[Any]) -> tuple[Function, Function]:
    """Return a batch's two functions with NumPy and the settings in place, inputs that select cast to integers."""
    settings, xp = dict(batch.settings), namespace(dtype)
    function, second = functions(batch.type)
    forward = partial(function, xp, **settings)
    before = 1 if batch.type.is_elementwise else 2
    derivative: Function = lambda *given: tuple(np.full_like(x, np.nan) for x in given[before:])  # noqa: E731
    if second is not None:
        derivative = partial(second, xp, **settings)
    indices = batch.type.index_inputs
    if not indices:
        return forward, derivative

    def with_indices(function: Function, first: int) -> Function:
        positions = {first + position for position in indices}
        return lambda *inputs: function(*(as_index(x) if k in positions else x for k, x in enumerate(inputs)))

    return with_indices(forward, 0), with_indices(derivative, before)


def cast(function: Function, dtype: np.dtype[Any]) -> Function:
    """Return the function with its result cast to a dtype: what a comparison gives becomes 0 or 1."""
    return lambda *inputs: np.asarray(function(*inputs)).astype(dtype)[()]


def mask(gradient: Array, partial_derivative: Array) -> Array:
    """Multiply, but zero times anything is zero."""
    return np.where(gradient == 0, 0.0, gradient * partial_derivative)[()]


def broadcast_axes(shape: Shape, output: Shape) -> tuple[int, ...] | None:
    """Return the axes of an output along which an input of some shape was broadcast; None where it was not."""
    if shape == output:
        return None
    added = len(output) - len(shape)
    return tuple(axis for axis, size in enumerate(output) if axis < added or (shape[axis - added] == 1 != size))


def is_finite(value: Array | None) -> bool:
    """Whether every element is finite; None, a gradient that nothing reaches, is."""
    if isinstance(value, float | None):
        return value is None or math.isfinite(value)
    # The sum of squares takes a fifth of the time of looking at each element, and is finite only if all are.
    return math.isfinite(np.vdot(value, value)) or bool(np.isfinite(value).all())
