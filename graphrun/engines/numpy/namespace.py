"""NumPy as node types are given it: the same functions, with less Python in front of the ones that small arrays need.

``numpy.sum`` of 320 numbers takes 2.9 us, the ufunc's method that it ends in 1.5 us; networks of small layers are made
of such calls. What a function here does not take as it is, NumPy's own takes; the numbers are the same to the last bit.
One thing is the graph's: `where` makes of two numbers an array of the graph's dtype, as the standard has it for a
library's default dtype. NumPy's is always float64, and a mask of that would make the whole product float64. And `hypot`
takes the root of a sum of squares where that says something: to a rounding the same, and up to six times as fast.
"""

from __future__ import annotations

import math
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy import ndarray

from graphrun.declare.declaration import Function

ONE_BY_ONE = 128
"""So many numbers at most are added one by one; NumPy does so along every axis but the one that lies in memory."""

EXACT = 2**11
"""Numbers of elements up to here every dtype holds."""

_ADD: Any = np.add.reduce


@cache
def namespace(dtype: np.dtype[Any]) -> ModuleType:
    """Return NumPy's namespace for graphs of a dtype."""
    module = ModuleType("numpy")
    vars(module).update(vars(np) | _FUNCTIONS)
    number = dtype.type

    def where(condition: Any, *given: Any) -> Any:
        if len(given) == 2 and given[0].__class__ is float and given[1].__class__ is float:
            if given == (1.0, 0.0) and condition.__class__ is ndarray and condition.dtype == bool:
                return condition.astype(dtype)
            given = number(given[0]), number(given[1])
        return np.where(condition, *given)

    vars(module)["where"] = where
    return module


def add_up(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Sum an array along axes, in blocks where NumPy would add long rows one by one: an error grows with each."""
    if x.ndim > 1 and max(x.shape) > ONE_BY_ONE:
        axes = range(x.ndim) if axis is None else (axis,) if axis.__class__ is int else axis
        for number in axes:
            if x.shape[number] > ONE_BY_ONE and x.strides[number] != x.itemsize:
                return _add_in_blocks(x, sorted(number % x.ndim for number in axes), keepdims)
    return _ADD(x, axis, None, None, keepdims)


def _reduction(function: Function, reduce: Any) -> Function:
    """Return a function of NumPy's that reduces, with what its ufunc does in front of it."""

    def reduced(x: Any, axis: Any = None, *more: Any, keepdims: bool = False, **named: Any) -> Any:
        if more or named or x.__class__ is not ndarray:
            return function(x, axis, *more, keepdims=keepdims, **named)
        return reduce(x, axis, None, None, keepdims)

    return reduced


def _add_in_blocks(x: Any, axes: list[int], keepdims: bool) -> Any:
    dtype = x.dtype
    for axis in axes:
        while x.shape[axis] > ONE_BY_ONE:
            whole = x.shape[axis] // ONE_BY_ONE * ONE_BY_ONE
            before = (slice(None),) * axis
            blocks = x[(*before, slice(whole))].reshape(*x.shape[:axis], -1, ONE_BY_ONE, *x.shape[axis + 1 :])
            sums = _ADD(blocks, axis + 1, dtype)
            rest = x[(*before, slice(whole, None))]
            x = np.concat([sums, rest], axis) if rest.shape[axis] else sums
    return _ADD(x, tuple(axes), dtype, None, keepdims)


def _sum(x: Any, axis: Any = None, *more: Any, keepdims: bool = False, **named: Any) -> Any:
    if x.__class__ is ndarray and not more and not named and (x.ndim < 2 or max(x.shape) <= ONE_BY_ONE):
        return _ADD(x, axis, None, None, keepdims)
    if more or named or x.__class__ is not ndarray or x.dtype.kind != "f":
        return np.sum(x, axis, *more, keepdims=keepdims, **named)
    return add_up(x, axis, keepdims)


def _cumulative_sum(x: Any, **named: Any) -> Any:
    if x.dtype != np.float32:
        return np.cumulative_sum(x, **named)
    # One by one it is in any case, so in double precision.
    return np.cumulative_sum(x, dtype=np.float64, **named).astype(np.float32)


def _mean(x: Any, axis: Any = None, *more: Any, **named: Any) -> Any:
    if (
        more
        or (named and set(named) != {"keepdims"})
        or x.__class__ is not ndarray
        or x.dtype.kind != "f"
        or not x.size
        or not x.ndim
    ):
        return np.mean(x, axis, *more, **named)
    total = add_up(x, axis, **named)
    number = x.size // total.size
    if number <= EXACT or x.dtype == np.float64:
        return total / x.dtype.type(number)
    # Divided as float64, as NumPy does, for float32 does not hold every number of elements.
    return np.divide(total, number, dtype=np.float64).astype(x.dtype, copy=False)[()]


def _reshape(x: Any, shape: Any, *more: Any, **named: Any) -> Any:
    if more or named or x.__class__ is not ndarray:
        return np.reshape(x, shape, *more, **named)
    return x.reshape(shape)


def _expand_dims(x: Any, axis: Any = 0) -> Any:
    if x.__class__ is not ndarray or axis.__class__ is not int or not -x.ndim - 1 <= axis <= x.ndim:
        return np.expand_dims(x, axis)
    place = axis if axis >= 0 else axis + x.ndim + 1
    return x.reshape((*x.shape[:place], 1, *x.shape[place:]))


def _matrix_transpose(x: Any) -> Any:
    return x.mT if x.__class__ is ndarray else np.matrix_transpose(x)


def _astype(x: Any, dtype: Any, **named: Any) -> Any:
    return np.astype(x, dtype, **named) if named or x.__class__ is not ndarray else x.astype(dtype)


def _take_along_axis(x: Any, indices: Any, axis: Any = -1) -> Any:
    if x.ndim != 2 or axis not in (-1, 1) or indices.shape != (len(x), 1):
        return np.take_along_axis(x, indices, axis)
    return x[np.arange(len(x)), indices[:, 0]].reshape(indices.shape)


def _broadcast_to(x: Any, shape: Any, **named: Any) -> Any:
    return x if x.__class__ is ndarray and x.shape == shape else np.broadcast_to(x, shape, **named)


def _hypot(x: Any, y: Any) -> Any:
    if x.__class__ is np.float64 and y.__class__ is np.float64:
        return np.float64(math.hypot(x, y))
    if x.__class__ is not ndarray or y.__class__ is not ndarray or x.dtype != y.dtype or x.shape != y.shape:
        return np.hypot(x, y)
    with np.errstate(over="ignore", under="ignore"):
        squares = x * x + y * y
    if not squares.size:
        return squares
    least = _LEAST.get(x.dtype, np.inf)
    if np.minimum.reduce(squares, axis=None) > least and np.maximum.reduce(squares, axis=None) < np.inf:
        return np.sqrt(squares)
    says_nothing = ~((squares > least) & (squares < np.inf))
    root = np.sqrt(squares)
    root[says_nothing] = np.hypot(x[says_nothing], y[says_nothing])
    return root


_LEAST = {np.dtype(kind): np.finfo(kind).tiny / np.finfo(kind).eps for kind in (np.float32, np.float64)}
"""From here on what vanished of a sum of squares is less than its rounding."""

_FUNCTIONS = {
    "cumulative_sum": _cumulative_sum,
    "sum": _sum,
    "max": _reduction(np.max, np.maximum.reduce),
    "min": _reduction(np.min, np.minimum.reduce),
    "mean": _mean,
    "reshape": _reshape,
    "expand_dims": _expand_dims,
    "matrix_transpose": _matrix_transpose,
    "astype": _astype,
    "take_along_axis": _take_along_axis,
    "broadcast_to": _broadcast_to,
    "hypot": _hypot,
}
