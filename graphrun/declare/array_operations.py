"""What the operations of traced array functions mean: each as NumPy computes it, given its setting and its arguments.

Sizes are known when a function is traced, so that settings are plain numbers: an axis, a shape, or for `slice` the
start, the number of elements and the step along each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphrun.declare.operations import BEYOND_NUMPY, FOLD

Shape = tuple[int, ...]


def _slice(pieces: Sequence[tuple[int, int, int]], x: Any) -> Any:
    return x[tuple(_piece(*piece) for piece in pieces)]


def _piece(start: int, count: int, step: int) -> slice:
    stop = start + count * step
    return slice(start, stop if stop >= 0 else None, step)


def _add_rows(count: int, indices: Any, rows: Any) -> Any:
    sums = np.zeros((count, *rows.shape[indices.ndim :]), rows.dtype)
    np.add.at(sums, indices, rows)
    return sums


def _einsum(subscripts: str, *arrays: Any) -> Any:
    return np.einsum(subscripts, *arrays, optimize=len(arrays) > 1)


def _solve(_: None, x: Any, y: Any) -> Any:
    return np.linalg.solve(x, y)


ARRAY_OPERATIONS: dict[str, Callable[..., Any]] = {
    "reshape": lambda shape, x: np.reshape(x, shape),
    "permute": lambda axes, x: np.transpose(x, axes),
    "broadcast": lambda shape, x: np.broadcast_to(x, shape),
    "slice": _slice,
    "concat": lambda axis, *arrays: np.concatenate(arrays, axis),
    "sum": lambda axes, x: np.sum(x, axes),
    "prod": lambda axes, x: np.prod(x, axes),
    "max": lambda axes, x: np.max(x, axes),
    "min": lambda axes, x: np.min(x, axes),
    "argmax": lambda axis, x: np.argmax(x, axis),
    "argmin": lambda axis, x: np.argmin(x, axis),
    "cumulative_sum": lambda axis, x: np.cumsum(x, axis),
    "cumulative_prod": lambda axis, x: np.cumprod(x, axis),
    "matmul": lambda _, x, y: np.matmul(x, y),
    "einsum": _einsum,
    "take": lambda axis, x, indices: np.take(x, indices, axis),
    "take_along": lambda axis, x, indices: np.take_along_axis(x, indices, axis),
    "add_rows": _add_rows,
    "argsort": lambda axis, x: np.argsort(x, axis, kind="stable"),
    "det": lambda _, x: np.linalg.det(x),
    "inv": lambda _, x: np.linalg.inv(x),
    "solve": _solve,
    "cholesky": lambda _, x: np.linalg.cholesky(x),
    "svd": lambda part, x: np.linalg.svd(x, full_matrices=False)[part],
}
"""The operations that are more than one on each element, by name."""


def evaluate(operation: str, setting: Any, arrays: Sequence[Any], dtype: np.dtype[Any] | None = None) -> Any:
    """Return what an operation gives of NumPy arrays; a cast gives the dtype."""
    if operation in ARRAY_OPERATIONS:
        return ARRAY_OPERATIONS[operation](setting, *arrays)
    if operation in {"cast", "number"}:
        return np.asarray(arrays[0]).astype(dtype)
    if operation == "where":
        return np.where(*arrays)
    if operation in BEYOND_NUMPY and any(np.ndim(array) for array in arrays):
        return np.vectorize(FOLD[operation], otypes=[np.result_type(*arrays)])(*arrays)
    return FOLD[operation](*arrays)


# --- the shapes of what they give ------------------------------------------------------------------------------------


def _along(shape: Shape, pieces: Sequence[tuple[int, int, int]]) -> Shape:
    return tuple(count for _, count, _ in pieces)


def _without(axes: Sequence[int], shape: Shape) -> Shape:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _joined(axis: int, *shapes: Shape) -> Shape:
    first = shapes[0]
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def _product(_: None, x: Shape, y: Shape) -> Shape:
    return (*np.broadcast_shapes(x[:-2], y[:-2]), x[-2], y[-1])


def _contracted(subscripts: str, *shapes: Shape) -> Shape:
    terms, _, output = subscripts.partition("->")
    sizes = {
        letter: size
        for term, shape in zip(terms.split(","), shapes, strict=True)
        for letter, size in zip(term, shape, strict=True)
    }
    return tuple(sizes[letter] for letter in output)


def _taken(axis: int, x: Shape, indices: Shape) -> Shape:
    return (*x[:axis], *indices, *x[axis + 1 :])


def _of_matrix(part: int, x: Shape) -> Shape:
    least = min(x[-2:])
    return (*x[:-2], *((x[-2], least), (least,), (least, x[-1]))[part])


SHAPES: dict[str, Callable[..., Shape]] = {
    "reshape": lambda shape, _: shape,
    "permute": lambda axes, x: tuple(x[axis] for axis in axes),
    "broadcast": lambda shape, _: shape,
    "slice": lambda pieces, x: _along(x, pieces),
    "concat": _joined,
    **dict.fromkeys(("sum", "prod", "max", "min"), _without),
    **dict.fromkeys(("argmax", "argmin"), lambda axis, x: _without((axis,), x)),
    **dict.fromkeys(("cumulative_sum", "cumulative_prod", "argsort"), lambda _, x: x),
    "matmul": _product,
    "einsum": _contracted,
    "take": _taken,
    "take_along": lambda axis, x, indices: (*x[:axis], indices[axis], *x[axis + 1 :]),
    "add_rows": lambda count, indices, rows: (count, *rows[len(indices) :]),
    "det": lambda _, x: x[:-2],
    "inv": lambda _, x: x,
    "solve": lambda _, x, y: (*np.broadcast_shapes(x[:-2], y[:-2]), *y[-2:]),
    "cholesky": lambda _, x: x,
    "svd": _of_matrix,
}
"""The shape of what an operation gives, of its setting and the shapes of its arguments."""


def shape_of(operation: str, setting: Any, shapes: Sequence[Shape]) -> Shape:
    """Return the shape of what an operation gives; all others work on each element."""
    rule = SHAPES.get(operation)
    return np.broadcast_shapes(*shapes) if rule is None else rule(setting, *shapes)
