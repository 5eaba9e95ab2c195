"""NumPy as node types are given it: the same functions, with less Python in front of the ones that small arrays need.

``numpy.sum`` of 320 numbers takes 2.9 us, the ufunc's method that it ends in 1.5 us; networks of small layers are made
of such calls. What a function here does not take as it is, NumPy's own takes; the numbers are the same to the last bit.
One thing is the graph's: `where` makes of two numbers an array of the graph's dtype, as the standard has it for a
library's default dtype. NumPy's is always float64, and a mask of that would make the whole product float64.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy import ndarray

from graphrun.declare.declaration import Function


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


def _reduction(function: Function, reduce: Any) -> Function:
    """Return a function of NumPy's that reduces, with what its ufunc does in front of it."""

    def reduced(x: Any, axis: Any = None, *more: Any, keepdims: bool = False, **named: Any) -> Any:
        if more or named or x.__class__ is not ndarray:
            return function(x, axis, *more, keepdims=keepdims, **named)
        return reduce(x, axis, None, None, keepdims)

    return reduced


def _mean(x: Any, axis: Any = None, *more: Any, **named: Any) -> Any:
    if more or named or axis is not None or x.__class__ is not ndarray or x.dtype.kind != "f" or not x.size:
        return np.mean(x, axis, *more, **named)
    total = np.add.reduce(x, None)
    # Divided as float64, as NumPy does, for float32 does not hold every number of elements.
    return total.dtype.type(float(total) / x.size)


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


_FUNCTIONS = {
    "sum": _reduction(np.sum, np.add.reduce),
    "max": _reduction(np.max, np.maximum.reduce),
    "min": _reduction(np.min, np.minimum.reduce),
    "mean": _mean,
    "reshape": _reshape,
    "expand_dims": _expand_dims,
    "matrix_transpose": _matrix_transpose,
    "astype": _astype,
    "take_along_axis": _take_along_axis,
    "broadcast_to": _broadcast_to,
}
