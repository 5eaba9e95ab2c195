"""The array namespace `xp` that records: the functions of the array API on arrays whose elements are not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from graphrun.declare.arrays import ArrayRecorder
from graphrun.declare.trace import FLOAT, CannotTraceError, Namespace


class ArrayNamespace(Namespace):
    """The functions of the array API, with the names and settings that NumPy and JAX share."""

    int32, int64, uint64, bool = np.int32, np.int64, np.uint64, np.bool_
    newaxis = None

    def __init__(self, recorder: ArrayRecorder) -> None:
        super().__init__(recorder)
        make = self._make = recorder
        self.reshape, self.permute_dims, self.broadcast_to = make.reshape, make.permute, make.broadcast
        self.matmul, self.tensordot, self.mean = make.matmul, make.tensordot, make.mean
        self.linalg = SimpleNamespace(
            matmul=make.matmul, tensordot=make.tensordot, trace=self.trace, diagonal=self.diagonal, svd=self._svd,
            matrix_transpose=self.matrix_transpose, solve=self._solve,
            **{name: self._of_matrix(name) for name in ("det", "inv", "cholesky")},
        )  # fmt: skip

    # --- arrays of known numbers ---

    def full(self, shape: Any, value: Any, *, dtype: Any = None) -> Any:
        """Return an array of one number."""
        sizes = (shape,) if isinstance(shape, int) else shape
        return self._make.broadcast(self._make.cast(value, dtype), sizes)

    def zeros(self, shape: Any, dtype: Any = None) -> Any:
        """Return an array of zeros."""
        return self.full(shape, 0.0, dtype=dtype)

    def ones(self, shape: Any, dtype: Any = None) -> Any:
        """Return an array of ones."""
        return self.full(shape, 1.0, dtype=dtype)

    def zeros_like(self, x: Any, dtype: Any = None) -> Any:
        """Return zeros in the shape of an array."""
        return self.full_like(x, 0.0, dtype=dtype)

    def ones_like(self, x: Any, dtype: Any = None) -> Any:
        """Return ones in the shape of an array."""
        return self.full_like(x, 1.0, dtype=dtype)

    def full_like(self, x: Any, value: Any, dtype: Any = None) -> Any:
        """Return an array of one number in the shape of another."""
        x = self._make.lift(x)
        return self.full(x.shape, value, dtype=x.dtype if dtype is None else dtype)

    def eye(self, rows: int, columns: int | None = None, *, k: int = 0, dtype: Any = None) -> Any:
        """Return a matrix of ones on a diagonal."""
        return self._make.constant(np.eye(rows, columns, k=k, dtype=self._known(dtype)), FLOAT)

    def arange(self, *bounds: Any, dtype: Any = None) -> Any:
        """Return the whole numbers of a range."""
        return self._make.constant(np.arange(*bounds, dtype=dtype and self._known(dtype)), FLOAT)

    def _known(self, dtype: Any) -> Any:
        return self._make.dtype if dtype is None else np.dtype(dtype)

    # --- shapes ---

    def matrix_transpose(self, x: Any) -> Any:
        """Exchange the last two axes."""
        return self._make.permute(x, [*range(x.ndim - 2), x.ndim - 1, x.ndim - 2])

    def moveaxis(self, x: Any, source: int, destination: int) -> Any:
        """Move an axis to another place."""
        order = [axis for axis in range(x.ndim) if axis != source % x.ndim]
        order.insert(destination % x.ndim, source % x.ndim)
        return self._make.permute(x, order)

    def transpose(self, x: Any, axes: Sequence[int] | None = None) -> Any:
        """Put the axes in another order, by default in the reverse one."""
        return self._make.permute(x, range(x.ndim)[::-1] if axes is None else axes)

    def expand_dims(self, x: Any, axis: int = 0) -> Any:
        """Put an axis of size 1 in a place."""
        x = self._make.lift(x)
        place = axis % (x.ndim + 1)
        return self._make.reshape(x, (*x.shape[:place], 1, *x.shape[place:]))

    def squeeze(self, x: Any, axis: Any = None) -> Any:
        """Drop axes of size 1."""
        axes = (axis,) if isinstance(axis, int) else axis
        gone = {i % x.ndim for i in axes} if axes is not None else {i for i, n in enumerate(x.shape) if n == 1}
        return self._make.reshape(x, [size for i, size in enumerate(x.shape) if i not in gone])

    def flip(self, x: Any, axis: Any = None) -> Any:
        """Reverse the elements along axes."""
        axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        turned = {i % x.ndim for i in axes}
        pieces = [(max(n - 1, 0), n, -1) if i in turned else (0, n, 1) for i, n in enumerate(x.shape)]
        return self._make.slice(x, pieces)

    def roll(self, x: Any, shift: int, axis: int) -> Any:
        """Move elements along an axis, round its end."""
        size = x.shape[axis]
        return self._make.take(x, (np.arange(size) - shift) % max(size, 1), axis)

    def concat(self, arrays: Sequence[Any], axis: int = 0) -> Any:
        """Put arrays one behind the other."""
        return self._make.concat(arrays, axis)

    concatenate = concat

    def stack(self, arrays: Sequence[Any], axis: int = 0) -> Any:
        """Put arrays of one shape beside each other along a new axis."""
        lifted = [self._make.lift(array) for array in arrays]
        return self._make.concat([self.expand_dims(x, axis) for x in lifted], axis % (lifted[0].ndim + 1))

    def tile(self, x: Any, repetitions: Any) -> Any:
        """Repeat an array as a whole."""
        times = (repetitions,) if isinstance(repetitions, int) else tuple(repetitions)
        sizes = (1,) * (len(times) - x.ndim) + x.shape
        times = (1,) * (len(sizes) - len(times)) + times
        apart = self._make.reshape(x, [n for size in sizes for n in (1, size)])
        pairs = [n for time, size in zip(times, sizes, strict=True) for n in (time, size)]
        whole = [time * size for time, size in zip(times, sizes, strict=True)]
        return self._make.reshape(self._make.broadcast(apart, pairs), whole)

    def repeat(self, x: Any, repeats: int, axis: int) -> Any:
        """Repeat each element along an axis."""
        place = axis % x.ndim + 1
        wide = self._make.broadcast(self.expand_dims(x, place), (*x.shape[:place], repeats, *x.shape[place:]))
        return self._make.reshape(wide, (*x.shape[: place - 1], x.shape[place - 1] * repeats, *x.shape[place:]))

    def astype(self, x: Any, dtype: Any, **_: Any) -> Any:
        """Return numbers as ones of a dtype."""
        return self._make.cast(x, dtype)

    def asarray(self, x: Any, dtype: Any = None, **_: Any) -> Any:
        """Return numbers as an array."""
        return self._make.lift(x) if dtype is None else self._make.cast(x, dtype)

    def isdtype(self, dtype: Any, kind: str) -> Any:
        """Whether a dtype is of a kind, as the array API names them."""
        return np.isdtype(dtype, kind)

    # --- reductions ---

    def sum(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Sum along axes."""
        return self._make.reduce("sum", x, axis, keepdims=keepdims)

    def prod(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Product along axes."""
        return self._make.reduce("prod", x, axis, keepdims=keepdims)

    def max(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Largest element along axes."""
        return self._make.reduce("max", x, axis, keepdims=keepdims)

    def min(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Smallest element along axes."""
        return self._make.reduce("min", x, axis, keepdims=keepdims)

    def var(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Mean of the squares of what elements differ by from the mean, along axes."""
        apart = x - self._make.mean(x, axis, keepdims=True)
        return self._make.mean(apart * apart, axis, keepdims=keepdims)

    def std(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Root of `var`."""
        return self._make.make("sqrt", self.var(x, axis, keepdims=keepdims))

    def count_nonzero(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Return how many elements are not 0 along axes."""
        return self.sum(self._make.cast(x, np.bool_), axis, keepdims=keepdims)

    def all(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Whether all elements are true along axes."""
        return self._make.make("equal", self.count_nonzero(~self._make.cast(x, np.bool_), axis, keepdims=keepdims), 0)

    def any(self, x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        """Whether any element is true along axes."""
        return self._make.make("greater", self.count_nonzero(x, axis, keepdims=keepdims), 0)

    def argmax(self, x: Any, axis: int | None = None, *, keepdims: Any = False) -> Any:
        """Return where the largest element is."""
        return self._make.position("argmax", x, axis, keepdims=keepdims)

    def argmin(self, x: Any, axis: int | None = None, *, keepdims: Any = False) -> Any:
        """Return where the smallest element is."""
        return self._make.position("argmin", x, axis, keepdims=keepdims)

    def cumulative_sum(self, x: Any, *, axis: int = 0, include_initial: Any = False) -> Any:
        """Sums of the first elements along an axis."""
        return self._make.cumulate("cumulative_sum", x, axis, include_initial=include_initial)

    def cumulative_prod(self, x: Any, *, axis: int = 0, include_initial: Any = False) -> Any:
        """Products of the first elements along an axis."""
        return self._make.cumulate("cumulative_prod", x, axis, include_initial=include_initial)

    # --- positions and products ---

    def take(self, x: Any, indices: Any, axis: int = 0) -> Any:
        """Elements at positions along an axis."""
        return self._make.take(x, indices, axis)

    def take_along_axis(self, x: Any, indices: Any, axis: int = -1) -> Any:
        """Elements at positions that differ from line to line."""
        return self._make.take_along(x, indices, axis)

    def argsort(self, x: Any, axis: int = -1) -> Any:
        """Return the positions of the elements in the order of their size along an axis; equal ones stay in order."""
        x = self._make.lift(x)
        return self._make.apply("argsort", [x], "int", axis % x.ndim)

    def sort(self, x: Any, axis: int = -1) -> Any:
        """Return the elements in the order of their size along an axis."""
        return self._make.take_along(x, self.argsort(x, axis), axis)

    def einsum(self, subscripts: str, *arrays: Any, **_: Any) -> Any:
        """Sum of products by Einstein's convention, the output spelt out."""
        return self._make.einsum(subscripts.replace(" ", ""), *arrays)

    def vecdot(self, x: Any, y: Any, *, axis: int = -1) -> Any:
        """Sum of products along an axis."""
        return self.sum(x * y, axis=axis)

    def tril(self, x: Any, k: int = 0) -> Any:
        """Return what is on a diagonal and below, and zeros above."""
        return self._make.make("where", np.tri(x.shape[-2], x.shape[-1], k, dtype=np.bool_), x, 0.0)

    def triu(self, x: Any, k: int = 0) -> Any:
        """Return what is on a diagonal and above, and zeros below."""
        return self._make.make("where", np.tri(x.shape[-2], x.shape[-1], k - 1, dtype=np.bool_), 0.0, x)

    def diagonal(self, x: Any, *, offset: int = 0) -> Any:
        """Return the elements on a diagonal of the last two axes."""
        rows, columns = x.shape[-2:]
        first = max(-offset, 0)
        count = max(min(rows - first, columns - max(offset, 0)), 0)
        places = (first + np.arange(count)) * columns + first + offset + np.arange(count)
        return self._make.take(self._make.reshape(x, (*x.shape[:-2], rows * columns)), places, -1)

    def trace(self, x: Any, *, offset: int = 0) -> Any:
        """Sum of the elements on a diagonal of the last two axes."""
        return self.sum(self.diagonal(x, offset=offset), axis=-1)

    def _of_matrix(self, operation: str) -> Callable[[Any], Any]:
        return lambda x: self._make.apply(operation, [self._make.cast(x)], FLOAT)

    def _solve(self, x: Any, y: Any) -> Any:
        x, y = self._make.cast(x), self._make.cast(y)
        if y.ndim == 1:
            return self.squeeze(self._solve(x, self.expand_dims(y, 1)), -1)
        leading = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        both = [self._make.broadcast(array, (*leading, *array.shape[-2:])) for array in (x, y)]
        return self._make.apply("solve", both, FLOAT)

    def _svd(self, x: Any, **_: Any) -> tuple[Any, Any, Any]:
        u, s, v = (self._make.apply("svd", [self._make.cast(x)], FLOAT, part) for part in range(3))
        return u, s, v


def trace_arrays(
    recorder: ArrayRecorder, function: Callable[..., Any], inputs: Sequence[Any], settings: Mapping[str, Any]
) -> Any:
    """Call a declared function with symbols for arrays, and return what it returns.

    Raises:
        CannotTraceError: it cannot be written down as operations on arrays.
    """
    try:
        return function(ArrayNamespace(recorder), *inputs, **settings)
    except CannotTraceError:
        raise
    except (Exception, SystemExit) as error:
        raise CannotTraceError(f"{type(error).__name__}: {error}") from error
