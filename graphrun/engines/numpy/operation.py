"""One operation of the passes, and what it is made of: functions bound to NumPy, and what the passes do with numbers.

What is not the chain rule is in `pull`: undoing broadcasting, casting and, masked, a gradient of zero that gives zero.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from graphrun.base.types import Array
from graphrun.declare.declaration import Function
from graphrun.engines.masking import masked_vjp
from graphrun.engines.numpy import forms, windows  # noqa: F401 (they declare them)
from graphrun.engines.numpy.namespace import add_up, namespace
from graphrun.plan.plan import Batch, Plan
from graphrun.plan.shapes import Shape, as_index


class Bound(NamedTuple):
    """What the operations of a batch share.

    Attributes:
        function: the forward function of the inputs.
        derivative: the local derivatives of (output, *inputs) or, of a tensor type, the vjp of (gradient, output, ...);
            None for an input that has none, NaN where a type declares none.
        elementwise: whether it gives local derivatives.
        parts: for each input, what makes the part of its gradient of the output's and of what `derivative` gives.
        keeping: the forward function that also gives what `derivative` takes as `kept`; None where there is none.
    """

    function: Function
    derivative: Function
    elementwise: bool
    parts: Sequence[Function]
    keeping: Function | None = None

    def at(self, output: Any, inputs: Sequence[Any], wanted: Sequence[bool]) -> Operation:
        """Return the operation on some slots, which gives something to the inputs for which a gradient is wanted."""
        function, derivative, elementwise, parts, keeping = self
        fetch = itemgetter(output, *inputs)
        targets = [(k, slot, parts[k]) for k, slot in enumerate(inputs) if wanted[k]]

        def pull(gradient: Array, values: Any) -> Iterator[tuple[Any, Array]]:
            given = derivative(*fetch(values)) if elementwise else derivative(gradient, *fetch(values))
            for k, slot, part in targets:
                if given[k] is not None:
                    yield slot, part(gradient, given[k])

        if keeping is None or not targets:
            return Operation(function, inputs, output, pull if targets else _nothing, targets, self)
        last = _Last()

        def keep(*given: Array) -> Any:
            last.output, last.kept = keeping(*given)
            return last.output

        def pull_kept(gradient: Array, values: Any) -> Iterator[tuple[Any, Array]]:
            arguments = fetch(values)
            # The values may be those of other rows or parameters than the function was called for last.
            kept = last.kept if arguments[0] is last.output else None
            given = derivative(*arguments, kept=kept) if elementwise else derivative(gradient, *arguments, kept=kept)
            for k, slot, part in targets:
                if given[k] is not None:
                    yield slot, part(gradient, given[k])

        return Operation(keep, inputs, output, pull_kept, targets, self)


class _Last:
    """What a forward function that keeps gave last."""

    output: Any = None
    kept: Any = None


class Operation(NamedTuple):
    """One operation of the passes; slots are an int for a single node, and an array or a slice for a batch.

    Attributes:
        function: the forward function of the inputs.
        inputs: the slots of the inputs.
        output: the slot of the output.
        pull: takes the gradient of the output and the values by slot, and yields what that gives to inputs: the slots,
            and the part of their gradient that comes from here.
        wanted: the inputs that it gives something: position, slots, and what makes the part.
        bound: what it is made of.
    """

    function: Function
    inputs: Sequence[Any]
    output: Any
    pull: Callable[[Array, Any], Iterator[tuple[Any, Array]]]
    wanted: Sequence[tuple[int, Any, Function]]
    bound: Bound

    def derivatives(self, gradient: Array | None, values: Any) -> Any:
        """Return what the type's second function gives for all inputs, local derivatives or parts of gradients."""
        arguments = [values[self.output], *[values[slot] for slot in self.inputs]]
        return (
            self.bound.derivative(*arguments) if self.bound.elementwise else self.bound.derivative(gradient, *arguments)
        )


def _nothing(gradient: Array, values: Any) -> Iterator[tuple[Any, Array]]:
    return iter(())


def bind(plan: Plan, batch: Batch, *, masked: bool = False) -> Bound:
    """Bind the functions of a batch of a plan to NumPy and to its settings.

    Masked, a gradient of zero gives zero; not masked, it takes less time, and is the same where all is finite.
    """
    settings, xp = dict(batch.settings), namespace(plan.dtype)
    function, second = batch.type.functions("numpy")
    indices = batch.type.index_inputs
    forward = with_indices(partial(function, xp, **settings), indices, as_index)
    before = 1 if batch.type.is_elementwise else 2
    derivative: Function = lambda *given: tuple(np.full_like(x, np.nan) for x in given[before:])  # noqa: E731
    if second is not None:
        derivative = with_indices(partial(second, xp, **settings), {before + k for k in indices}, as_index)
        if masked and not batch.type.is_elementwise:
            derivative = masked_vjp(xp, derivative)
    keeping = None if masked else keeps(batch)
    if keeping is not None:
        keeping = with_indices(partial(keeping, xp, **settings), indices, as_index)
    if batch.casts:
        forward = _cast(forward, plan.dtype)
    parts = [_part(plan, batch, plan.shapes[slot], masked=masked) for slot in plan.inputs_of(batch.start)]
    return Bound(forward, derivative, batch.type.is_elementwise, parts, keeping)


def keeps(batch: Batch) -> Function | None:
    """Return the forward function that keeps something for the derivatives, where a node has one and it saves time."""
    saves = batch.type.derivative is not None and not batch.casts and (batch.shape or not batch.type.is_elementwise)
    return batch.type.keeps("numpy") if saves else None


def with_indices(function: Function, positions: Collection[int], as_index: Function) -> Function:
    """Return the function with the arguments that select made integers."""
    if not positions:
        return function
    return lambda *given, **kept: function(*(as_index(x) if k in positions else x for k, x in enumerate(given)), **kept)


def _cast(function: Function, dtype: np.dtype[Any]) -> Function:
    """Return the function with its result cast to a dtype: what a comparison gives becomes 0 or 1."""
    return lambda *given: np.asarray(function(*given), dtype)[()]


def _part(plan: Plan, batch: Batch, shape: Shape, *, masked: bool) -> Function:
    """Return what makes the part of an input's gradient, of the gradient and what the type's second function gives."""
    if not batch.type.is_elementwise:
        part: Function = _given
    else:
        part = mask if masked else operator.mul
        axes = broadcast_axes(shape, batch.shape)
        if axes is not None:
            part = _summed(part, axes, shape)
    return part if plan.dtype == np.float64 else _of_dtype(part, plan.dtype)


def _of_dtype(part: Function, dtype: np.dtype[Any]) -> Function:
    """Keep to a dtype: one float64 would make everything float64 that it is added to."""

    def cast(gradient: Array, given: Any) -> Array:
        found = part(gradient, given)
        return found if getattr(found, "dtype", None) is dtype else np.asarray(found, dtype)[()]

    return cast


def _given(_gradient: Array, given: Any) -> Any:
    """Return what a tensor type gives; a function of it computes that only where it is wanted."""
    return given() if callable(given) else given


def _summed(part: Function, axes: tuple[int, ...], shape: Shape) -> Function:
    """Undo broadcasting: what all copies of an element are given adds up."""
    return lambda gradient, given: add_up(part(gradient, given), axes).reshape(shape)[()]


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
