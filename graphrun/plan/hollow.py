"""Arrays without elements, on which a node's functions tell what they would allocate, before they do.

A hollow array has a shape and one element that stands at every place (all strides are 0), so that NumPy itself gives
the shape of what is cut out, turned or broadcast. What computes is answered by rules for shapes. A function that no
rule knows raises `UnknownError`: then nothing is known of the node but its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Shape = tuple[int, ...]


class TooMuchError(Exception):
    """More bytes or operations than there may be: the text says how many operations, `size` how many bytes."""

    def __init__(self, text: str, size: int | None = None) -> None:
        super().__init__(text)
        self.size = size


class UnknownError(Exception):
    """A function that no rule knows."""


class Meter:
    """Counts what hollow arrays would take.

    Attributes:
        most_bytes, most_operations: beyond which `TooMuchError` is raised.
        bytes: what is held now; an array that nothing refers to any more is not.
    """

    def __init__(self, most_bytes: int, most_operations: int) -> None:
        self.most_bytes, self.most_operations = most_bytes, most_operations
        self.bytes = 0

    def array(self, shape: Any, dtype: Any = np.float64, *, counted: bool = True) -> Hollow:
        """Return a new array; one that is there already is not counted."""
        sizes = (int(shape),) if np.ndim(shape) == 0 and not isinstance(shape, tuple | list) else tuple(map(int, shape))
        if min(sizes, default=0) < 0:
            raise ValueError("a size is below 0")
        size = math.prod(sizes) * np.dtype(dtype).itemsize if counted else 0
        self.take(size)
        made = np.broadcast_to(np.zeros((), dtype), sizes).view(Hollow)
        made.held = _Held(self, size)
        return made

    def take(self, size: int) -> None:
        """Look whether so many more bytes may be held."""
        if self.bytes + size > self.most_bytes:
            raise TooMuchError("", self.bytes + size)

    def work(self, operations: int) -> None:
        """Look whether so many operations may be made at once."""
        if operations > self.most_operations:
            raise TooMuchError(f"about {float(operations):.0e} operations on numbers, for minutes or more in each pass")


class _Held:
    """The memory of an array, given back when its last view is gone."""

    def __init__(self, meter: Meter, size: int) -> None:
        self.meter, self.size = meter, size
        meter.bytes += size

    def __del__(self) -> None:
        self.meter.bytes -= self.size


class Hollow(np.ndarray[Any, Any]):
    """An array of a shape whose elements are one and the same."""

    held: Any = None

    def __array_finalize__(self, other: Any) -> None:
        self.held = getattr(other, "held", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **settings: Any) -> Any:
        if out is not None:
            return out[0]
        meter = _meter(inputs)
        if method == "reduce":
            of = _reduced(inputs[0], settings.get("axis", 0), settings.get("keepdims", False))
            return meter.array(of, settings.get("dtype") or inputs[0].dtype)
        if method == "accumulate":
            return meter.array(inputs[0].shape, inputs[0].dtype)
        if method != "__call__" or (ufunc.signature and ufunc is not np.matmul):
            raise UnknownError(f"{ufunc.__name__}.{method}")
        shapes = [np.shape(value) for value in inputs]
        shape = _product(*shapes) if ufunc is np.matmul else np.broadcast_shapes(*shapes)
        given = [value.dtype if hasattr(value, "dtype") else type(value) for value in inputs]
        dtypes = ufunc.resolve_dtypes((*given, *[None] * ufunc.nout))[ufunc.nin :]
        made = tuple(meter.array(shape, dtype) for dtype in dtypes)
        return made[0] if len(made) == 1 else made

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ in VIEWS:
            return super().__array_function__(func, types, args, kwargs)
        rule = RULES.get(func.__name__)
        if rule is None:
            raise UnknownError(func.__name__)
        return rule(*args, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if not any(isinstance(part, np.ndarray | list) for part in parts):
            return super().__getitem__(index)
        arrays = [np.shape(part) for part in parts if isinstance(part, np.ndarray | list)]
        if any(np.asarray(part).dtype == bool for part in parts if isinstance(part, np.ndarray | list)):
            raise UnknownError("a mask")
        rest = [slice(0, 1) if isinstance(part, np.ndarray | list) else part for part in parts]
        # The arrays' axes come to stand at the first of them, or in front; how many elements there are is the same.
        kept = super().__getitem__(tuple(rest))
        return self.held.meter.array((*np.broadcast_shapes(*arrays), math.prod(kept.shape)), self.dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Elements are not looked at."""

    def reshape(self, *shape: Any, **_: Any) -> Any:
        """Return the same elements in another shape: a view, of no bytes."""
        wanted = shape[0] if len(shape) == 1 and not np.isscalar(shape[0]) else shape
        known = math.prod(size for size in wanted if size != -1)
        full = tuple(self.size // max(known, 1) if size == -1 else int(size) for size in wanted)
        if math.prod(full) != self.size:
            raise ValueError("the sizes do not fit")
        made = np.broadcast_to(np.zeros((), self.dtype), full).view(Hollow)
        made.held = self.held
        return made

    def astype(self, dtype: Any, *_: Any, copy: bool = True, **__: Any) -> Any:  # type: ignore[override]
        """Return a copy."""
        return self if not copy and self.dtype == dtype else self.held.meter.array(self.shape, dtype)


def _meter(values: Any) -> Meter:
    """Return the meter of an array that is among values, however nested."""
    for value in values:
        if isinstance(value, Hollow) and value.held is not None:
            return value.held.meter  # type: ignore[no-any-return]
        if isinstance(value, tuple | list) and any(isinstance(part, Hollow) for part in value):
            return _meter(value)
    raise UnknownError("no array")


def _reduced(x: Any, axis: Any, keepdims: Any) -> Shape:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    gone = {number % max(x.ndim, 1) for number in axes}
    if keepdims is True:
        return tuple(1 if i in gone else size for i, size in enumerate(x.shape))
    return tuple(size for i, size in enumerate(x.shape) if i not in gone)


def _product(x: Shape, y: Shape) -> Shape:
    """Return the shape of a matrix product."""
    rows, columns = x if len(x) > 1 else (1, *x), y if len(y) > 1 else (*y, 1)
    leading = np.broadcast_shapes(rows[:-2], columns[:-2])
    return (*leading, *rows[-2:-1][: len(x) > 1], *columns[-1:][: len(y) > 1])


def _reduce(x: Any, axis: Any = None, keepdims: Any = False, **_: Any) -> Any:
    return _meter((x,)).array(_reduced(x, axis, keepdims), x.dtype)


def _same(x: Any, *_: Any, dtype: Any = None, **__: Any) -> Any:
    return _meter((x, *_)).array(np.shape(x), dtype or getattr(x, "dtype", np.float64))


def _cumulative(x: Any, *_: Any, axis: Any = None, include_initial: bool = False, **__: Any) -> Any:
    shape = list(x.shape)
    shape[axis or 0] += include_initial
    return _meter((x,)).array(shape, x.dtype)


def _extreme(x: Any, axis: Any = None, keepdims: Any = False, **_: Any) -> Any:
    # Of indices: 0 is one wherever there are elements.
    return np.int64(0) if x.dtype.kind in "iu" and axis is None else _reduce(x, axis, keepdims)


def _broadcast(*arrays: Any, **_: Any) -> Any:
    shape = np.broadcast_shapes(*(np.shape(array) for array in arrays))
    return _meter(arrays).array(shape, _result_type(*arrays[1:] if len(arrays) > 2 else arrays))


def _broadcast_to(x: Any, shape: Any, **_: Any) -> Any:
    # Counted as if it were a copy: the value of the node is one.
    made: Any = _meter((x,)).array(shape, x.dtype)
    np.broadcast_shapes(x.shape, made.shape)
    return made


def _concat(arrays: Any, axis: int = 0, **_: Any) -> Any:
    first = arrays[0].shape
    axis %= len(first)
    size = sum(array.shape[axis] for array in arrays)
    return _meter(arrays).array((*first[:axis], size, *first[axis + 1 :]), arrays[0].dtype)


def _stack(arrays: Any, axis: int = 0, **_: Any) -> Any:
    first = np.shape(arrays[0])
    axis %= len(first) + 1
    return _meter(arrays).array((*first[:axis], len(arrays), *first[axis:]), _result_type(*arrays))


def _tile(x: Any, reps: Any) -> Any:
    times = (reps,) if np.isscalar(reps) else tuple(reps)
    length = max(len(times), x.ndim)
    sizes = [1] * (length - x.ndim) + list(x.shape)
    return _meter((x,)).array(
        [n * size for n, size in zip([1] * (length - len(times)) + list(times), sizes, strict=True)], x.dtype
    )


def _repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    shape = [x.size] if axis is None else list(x.shape)
    if not np.isscalar(repeats):
        raise UnknownError("repeats that differ")
    shape[axis or 0] *= int(repeats)  # type: ignore[arg-type]
    return _meter((x,)).array(shape, x.dtype)


def _pad(x: Any, pad_width: Any, *_: Any, **__: Any) -> Any:
    widths = np.broadcast_to(np.asarray(pad_width, object), (x.ndim, 2)).tolist()
    return _meter((x,)).array([size + sum(pair) for size, pair in zip(x.shape, widths, strict=True)], x.dtype)


def _take(x: Any, indices: Any, axis: Any = None, **_: Any) -> Any:
    places = np.shape(indices)
    shape = places if axis is None else (*x.shape[: axis % x.ndim], *places, *x.shape[axis % x.ndim + 1 :])
    return _meter((x, indices)).array(shape, x.dtype)


def _tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    of_x, of_y = (range(-axes, 0), range(axes)) if isinstance(axes, int) else axes
    gone_x, gone_y = {i % x.ndim for i in of_x}, {i % y.ndim for i in of_y}
    shape = [size for i, size in enumerate(x.shape) if i not in gone_x]
    shape += [size for i, size in enumerate(y.shape) if i not in gone_y]
    return _meter((x, y)).array(shape, x.dtype)


def _einsum(subscripts: str, *arrays: Any, optimize: Any = False, **_: Any) -> Any:
    left, _arrow, output = subscripts.partition("->")
    terms = left.split(",")
    meter = _meter(arrays)
    sizes = {
        letter: size
        for term, array in zip(terms, arrays, strict=True)
        for letter, size in zip(term, array.shape, strict=True)
    }
    shape = [sizes[letter] for letter in output]
    meter.take(math.prod(shape) * arrays[0].itemsize)
    # The path is of the shapes alone.
    plain = [np.broadcast_to(0.0, array.shape) for array in arrays]
    path = np.einsum_path(subscripts, *plain, optimize=optimize)[0][1:]
    for step in path:
        taken = [terms.pop(place) for place in sorted(step, reverse=True)]
        kept = set("".join(terms)) | set(output)
        letters = set("".join(taken))
        meter.work(len(taken) * math.prod(sizes[letter] for letter in letters))
        terms.append("".join(letters & kept))
        meter.take(math.prod(sizes[letter] for letter in terms[-1]) * arrays[0].itemsize)
    return meter.array(shape, arrays[0].dtype)


def _without_matrix(x: Any, *_: Any, **__: Any) -> Any:
    return _meter((x,)).array(x.shape[:-2], x.dtype)


def _solve(x: Any, y: Any) -> Any:
    _meter((x, y)).take(x.size * x.itemsize)
    if y.ndim == 1:
        return _meter((x, y)).array(x.shape[:-1], x.dtype)
    return _meter((x, y)).array((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), *y.shape[-2:]), x.dtype)


def _svd(x: Any, **_: Any) -> Any:
    return _same(x), _meter((x,)).array(x.shape[:-1], x.dtype), _same(x)


def _result_type(*given: Any) -> Any:
    return np.result_type(*(value.dtype if isinstance(value, Hollow) else value for value in given))


def _bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    return _meter((x, weights)).array((max(int(minlength), 1),), np.float64)


def _asarray(x: Any, dtype: Any = None, **_: Any) -> Any:
    return x if dtype is None else x.astype(dtype, copy=False)


VIEWS = (
    "expand_dims", "squeeze", "flip", "permute_dims", "transpose", "matrix_transpose", "moveaxis", "swapaxes",
    "reshape", "shape", "ndim", "size", "atleast_1d", "atleast_2d", "atleast_3d", "diagonal", "ravel",
)  # fmt: skip
REDUCTIONS = "sum mean amax amin prod var std argmax argmin all any count_nonzero median".split()  # noqa: SIM905
ALIKE = (
    "cumsum", "cumprod", "zeros_like", "ones_like", "full_like", "empty_like", "tril", "triu", "round", "copy",
    "nan_to_num", "sort", "argsort", "cholesky", "inv", "roll",
)  # fmt: skip
METHODS = "min max argmax argmin cumsum cumprod round copy take repeat sort argsort clip trace".split()  # noqa: SIM905

RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(REDUCTIONS, _reduce),
    **dict.fromkeys(ALIKE, _same),
    **dict.fromkeys(("det", "trace", "slogdet"), _without_matrix),
    **dict.fromkeys(("where", "clip"), _broadcast),
    **dict.fromkeys(("concat", "concatenate"), _concat),
    **dict.fromkeys(("cumulative_sum", "cumulative_prod"), _cumulative),
    **dict.fromkeys(("max", "min"), _extreme),
    **dict.fromkeys(("asarray", "asanyarray"), _asarray),
    "astype": lambda x, dtype, copy=True: x.astype(dtype, copy=copy),
    "bincount": _bincount,
    "broadcast_to": _broadcast_to,
    "einsum": _einsum,
    "pad": _pad,
    "repeat": _repeat,
    "result_type": _result_type,
    "solve": _solve,
    "stack": _stack,
    "svd": _svd,
    "take": _take,
    "take_along_axis": lambda x, indices, axis=-1: _same(indices, dtype=x.dtype),
    "tensordot": _tensordot,
    "tile": _tile,
}
"""What NumPy's functions give for hollow arrays, by their names."""

for _name in METHODS:
    setattr(Hollow, _name, RULES[_name])


class HollowNamespace:
    """NumPy, but what makes an array of nothing makes a hollow one."""

    __name__ = "numpy"

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def zeros(self, shape: Any, dtype: Any = float, **_: Any) -> Any:
        """Return an array of a shape."""
        return self.meter.array(shape, dtype)

    ones = empty = zeros

    def full(self, shape: Any, _value: Any, dtype: Any = float, **_: Any) -> Any:
        """Return an array of a shape."""
        return self.meter.array(shape, dtype)

    def eye(self, rows: int, columns: int | None = None, *, dtype: Any = float, **_: Any) -> Any:
        """Return a matrix."""
        return self.meter.array((rows, rows if columns is None else columns), dtype)

    def arange(self, *bounds: Any, dtype: Any = int, **_: Any) -> Any:
        """Return a vector."""
        return self.meter.array((len(range(*map(int, bounds))),), dtype)

    def asarray(self, x: Any, dtype: Any = None, **_: Any) -> Any:
        """Return an array as it is."""
        return _asarray(x, dtype) if isinstance(x, Hollow) else np.asarray(x, dtype)
