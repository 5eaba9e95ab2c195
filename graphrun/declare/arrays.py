"""Tracing arrays: as numbers are traced, but a symbol has a shape, and operations on whole arrays are written down too.

Shapes are known when a function is traced, so that all it computes of them are numbers: axes, sizes, what to cut out.
What stays is a graph of the operations of `array_operations` and of elementwise ones, which broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphrun.declare.array_operations import Shape, evaluate, shape_of
from graphrun.declare.operations import COMPARISONS, OF_UFUNCS
from graphrun.declare.trace import BOOL, FLOAT, WEAK, CannotTraceError, Expression, Recorder

INT = "int"
"""The kind of whole numbers: positions, and what is computed of them."""

OF_INTEGERS = {"add", "subtract", "multiply", "negative", "abs", "sign", "maximum", "minimum", "floor_divide"}
OF_INTEGERS |= {"remainder", "where", *COMPARISONS}
"""The operations that give whole numbers, or are done in them, where all arguments are whole."""

LARGEST_KNOWN = 1 << 20
"""Known arrays of more elements are not computed while tracing."""


class ArrayExpression(Expression):
    """An array that is not known yet; `value` is an operation's setting too."""

    __slots__ = ("shape",)
    recorder: ArrayRecorder
    shape: Shape  # type: ignore[assignment]

    @property
    def ndim(self) -> int:  # type: ignore[override]
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many elements there are."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the elements."""
        return np.dtype(np.int64) if self.kind == INT else super().dtype

    @property
    def T(self) -> Any:  # noqa: N802 (NumPy's name)
        """The array with its axes in reverse order."""
        return self.recorder.permute(self, range(self.ndim)[::-1])

    @property
    def at(self) -> _At:
        """What adds to rows, as JAX's arrays have it."""
        return _At(self)

    def __bool__(self) -> bool:
        return bool(self.value) if self.is_constant and self.size == 1 else self.recorder.decide(self)

    def __array_ufunc__(self, ufunc: np.ufunc, _method: str, *values: Any, **settings: Any) -> Any:
        if ufunc is np.matmul and _method == "__call__":
            return self.recorder.matmul(*values)
        if _method != "__call__" or ufunc.__name__ not in OF_UFUNCS:
            name = ufunc.__name__ if _method == "__call__" else f"{ufunc.__name__}.{_method}"
            raise CannotTraceError(f"it calls numpy.{name}; the functions of xp work on every engine")
        return super().__array_ufunc__(ufunc, _method, *values, **settings)

    def __len__(self) -> int:  # type: ignore[override]
        if not self.shape:
            raise TypeError("a number has no length")
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        return self.recorder.index(self, index if isinstance(index, tuple) else (index,))

    def reshape(self, *shape: Any) -> Any:
        """Return the same elements in another shape."""
        return self.recorder.reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Sum along axes."""
        return self.recorder.reduce("sum", self, axis, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Largest element along axes."""
        return self.recorder.reduce("max", self, axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Smallest element along axes."""
        return self.recorder.reduce("min", self, axis, keepdims=keepdims)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Mean along axes."""
        return self.recorder.mean(self, axis, keepdims=keepdims)


class _At:
    """``x.at[indices].add(rows)``: rows added to an array by their numbers."""

    def __init__(self, array: ArrayExpression, indices: Any = None) -> None:
        self.array, self.indices = array, indices

    def __getitem__(self, indices: Any) -> _At:
        return _At(self.array, indices)

    def add(self, rows: Any) -> Any:
        """Return the array with rows added up at the indices along its first axis."""
        recorder, array = self.array.recorder, self.array
        indices = recorder.integers(self.indices)
        rows = recorder.broadcast(rows, (*indices.shape, *array.shape[1:]))
        added = recorder.apply("add_rows", [indices, rows], rows.kind, array.shape[0])
        return recorder.make("add", array, added)


class ArrayRecorder(Recorder):
    """Makes expressions of arrays of a dtype."""

    made = ArrayExpression
    others = "the trace of arrays does not know"

    def array(self, name: str, shape: Sequence[int], kind: str = FLOAT) -> Any:
        """Return an unknown array by its name."""
        return self._once("input", (), kind, name, tuple(shape))

    def constant(self, value: Any, kind: str = WEAK) -> Any:
        """Return a known number or array."""
        if not isinstance(value, np.ndarray) or value.ndim == 0:
            return self._once("constant", (), INT, int(value)) if kind == INT else super().constant(value, kind)
        if value.size == 1 or (value.size and np.all(value == value.flat[0]) and value.flat[0]):
            return self.broadcast(self.constant(value.flat[0], kind), value.shape)
        kind = BOOL if value.dtype == bool else INT if value.dtype.kind in "iu" else kind
        return self._once("constant", (), kind, value, value.shape)

    def lift(self, value: Any) -> Any:
        """Take a number or an array as an expression."""
        if isinstance(value, ArrayExpression):
            return value
        if isinstance(value, np.ndarray) and value.ndim:
            return self.constant(value, FLOAT)
        if isinstance(value, list | tuple):
            return self.constant(np.asarray(value), FLOAT)
        return self.constant(int(value), INT) if isinstance(value, np.integer) else super().lift(value)

    def cast(self, value: Any, dtype: Any = None) -> Any:
        """Return numbers as ones of a dtype."""
        if dtype is None or np.dtype(dtype).kind not in "iu":
            return super().cast(value, dtype)
        return self.integers(value)

    def integers(self, value: Any) -> Any:
        """Return numbers without what is behind the point."""
        given = self.lift(value)
        return given if given.kind == INT else self._converted(given, INT)

    def _kind(self, operation: str, arguments: Sequence[Expression]) -> str:
        kinds = {argument.kind for argument in arguments}
        if INT not in kinds:
            return super()._kind(operation, arguments)
        whole = all(x.kind != WEAK or (x.is_constant and float(x.value).is_integer()) for x in arguments)
        return INT if whole and FLOAT not in kinds and operation in OF_INTEGERS else FLOAT

    def _converted(self, argument: Expression, kind: str) -> Any:
        if argument.is_constant:
            known = np.asarray(argument.value)
            return self.constant(known.astype({BOOL: bool, INT: np.int64}.get(kind, np.float64)), kind)
        if argument.operation == "broadcast":
            return self.broadcast(self._converted(argument.arguments[0], kind), argument.value)
        return self._once("number" if kind == WEAK else "cast", (argument,), kind)

    def _once(
        self, operation: str, arguments: tuple[Any, ...], kind: str, value: Any = None, shape: Shape | None = None
    ) -> Any:
        # The text of a number tells 0.0 from -0.0.
        key: Any = value if value is None or isinstance(value, tuple | str) else repr(value)
        if isinstance(value, np.ndarray):
            key = value.shape, value.dtype.str, value.tobytes()
        if shape is None:
            shapes = [argument.shape for argument in arguments]
            shape = shape_of(operation, value, shapes) if value is not None or any(shapes) else ()
        key = operation, tuple(map(id, arguments)), kind, key, shape
        if key not in self._made:
            made = ArrayExpression(self, operation, arguments, kind, value)
            made.shape = shape
            self._made[key] = made
        return self._made[key]

    # --- operations on each element ---

    def make(self, operation: str, *values: Any) -> Any:
        """Return the expression of an operation on each element; what was only broadcast for it is not."""
        arguments = [self.lift(value) for value in values]
        if not any(x.shape for x in arguments):
            return super().make(operation, *arguments)
        try:
            shape = np.broadcast_shapes(*(x.shape for x in arguments))
        except ValueError as error:
            raise CannotTraceError(str(error)) from error
        for position, argument in enumerate(arguments):
            if argument.operation == "broadcast":
                arguments[position] = argument.arguments[0]
                if np.broadcast_shapes(*(x.shape for x in arguments)) != shape:
                    arguments[position] = argument
        return self.broadcast(super().make(operation, *arguments), shape)

    def _simpler(self, operation: str, arguments: tuple[Expression, ...]) -> Any:
        if any(isinstance(x.value, np.ndarray) for x in arguments) and not all(x.is_constant for x in arguments):
            return None
        return super()._simpler(operation, arguments)

    def _fold(self, operation: str, arguments: tuple[Expression, ...]) -> Any:
        if all(not argument.shape and argument.kind != INT for argument in arguments):
            return super()._fold(operation, arguments)
        return self._known(operation, None, arguments, None)

    def _known(self, operation: str, setting: Any, arguments: Sequence[Expression], kind: str | None) -> Any:
        """Compute an operation on known arrays."""
        dtypes = {FLOAT: self.dtype, INT: np.dtype(np.int64), BOOL: np.dtype(bool)}
        given = [np.asarray(x.value, dtypes.get(x.kind, np.float64)) for x in arguments]
        with np.errstate(all="ignore"):
            found = np.asarray(evaluate(operation, setting, given))
        if kind is None:
            kind = WEAK if all(x.kind in {WEAK, BOOL} for x in arguments) else FLOAT
        kind = BOOL if found.dtype == bool else INT if found.dtype.kind in "iu" else kind
        return self.constant(found, kind)

    # --- operations on whole arrays ---

    def apply(self, operation: str, arguments: Sequence[Any], kind: str, setting: Any = None) -> Any:
        """Return the expression of an operation of `array_operations`."""
        known = all(x.is_constant for x in arguments)
        if known and max((x.size for x in arguments), default=0) <= LARGEST_KNOWN and operation != "broadcast":
            return self._known(operation, setting, arguments, kind)
        return self._once(operation, tuple(arguments), kind, setting)

    def reshape(self, x: Any, shape: Any) -> Any:
        """Return the same elements in another shape; one size may be -1."""
        x = self.lift(x)
        wanted = tuple(int(n) for n in ((shape,) if isinstance(shape, int) else shape))
        if -1 in wanted:
            rest = -math.prod(wanted)
            wanted = tuple(x.size // rest if rest and n == -1 else n for n in wanted)
        if x.size != math.prod(wanted):
            raise CannotTraceError(f"it reshapes {x.shape} to {wanted}")
        if wanted == x.shape:
            return x
        if x.operation == "reshape":
            return self.reshape(x.arguments[0], wanted)
        if x.operation == "broadcast" and x.arguments[0].size == 1:
            return self.broadcast(self.reshape(x.arguments[0], ()), wanted)
        return self.apply("reshape", [x], x.kind, wanted)

    def permute(self, x: Any, axes: Sequence[int]) -> Any:
        """Return an array with its axes in another order."""
        x = self.lift(x)
        order = tuple(axis % x.ndim for axis in axes)
        if x.operation == "permute":
            x, order = x.arguments[0], tuple(x.value[axis] for axis in order)
        if order == tuple(range(x.ndim)):
            return x
        moved = [axis for axis in order if x.shape[axis] != 1]
        if moved == sorted(moved):
            return self.reshape(x, [x.shape[axis] for axis in order])
        return self.apply("permute", [x], x.kind, order)

    def broadcast(self, x: Any, shape: Sequence[int]) -> Any:
        """Return an array repeated along axes that are new or have the size 1."""
        x, shape = self.lift(x), tuple(map(int, shape))
        if x.shape == shape:
            return x
        if np.broadcast_shapes(x.shape, shape) != shape:
            raise CannotTraceError(f"it broadcasts {x.shape} to {shape}")
        if x.size == math.prod(shape) and not x.is_constant:
            return self.reshape(x, shape)
        if x.operation == "broadcast":
            return self.broadcast(x.arguments[0], shape)
        return self._once("broadcast", (x,), x.kind, shape)

    def slice(self, x: Any, pieces: Sequence[tuple[int, int, int]]) -> Any:
        """Return what is cut out of an array: along each axis from where, how many elements, how far apart."""
        pieces = tuple(pieces)
        if all(piece == (0, size, 1) for piece, size in zip(pieces, x.shape, strict=True)):
            return x
        if x.operation == "broadcast" and x.arguments[0].size == 1:
            return self.broadcast(x.arguments[0], [count for _, count, _ in pieces])
        return self.apply("slice", [x], x.kind, pieces)

    def index(self, x: Any, index: tuple[Any, ...]) -> Any:
        """Return ``x[index]``: whole numbers, slices, None, an ellipsis, and one array of positions."""
        if ... in [part for part in index if not isinstance(part, Expression | np.ndarray)]:
            place = next(i for i, part in enumerate(index) if part is ...)
            given = sum(part is not None for part in index) - 1
            index = (*index[:place], *[slice(None)] * (x.ndim - given), *index[place + 1 :])
        pieces: list[tuple[int, int, int]] = []
        shape: list[int] = []
        taken: list[tuple[int, Any]] = []
        for part in index:
            if part is None:
                shape.append(1)
                continue
            size = x.shape[len(pieces)] if len(pieces) < x.ndim else 0
            if isinstance(part, slice):
                chosen = range(size)[part]
                pieces.append((chosen.start if len(chosen) else 0, len(chosen), chosen.step))
                shape.append(len(chosen))
            elif isinstance(part, int | np.integer):
                if not -size <= part < size:
                    raise CannotTraceError(f"it takes element {part} of {size}")
                pieces.append((int(part) % size, 1, 1))
            elif isinstance(part, Expression | np.ndarray | list) and not taken:
                taken.append((len(shape), part))
                pieces.append((0, size, 1))
                shape.append(size)
            else:
                raise CannotTraceError(f"it takes elements by {type(part).__name__}")
        rest = x.shape[len(pieces) :]
        pieces += [(0, size, 1) for size in rest]
        cut = self.reshape(self.slice(x, pieces), (*shape, *rest))
        return self.take(cut, taken[0][1], taken[0][0]) if taken else cut

    def concat(self, arrays: Sequence[Any], axis: int = 0) -> Any:
        """Return arrays one behind the other along an axis."""
        given = [self.lift(array) for array in arrays]
        kind = FLOAT if FLOAT in {x.kind for x in given} else given[0].kind
        given = [x if x.kind == kind else self._converted(x, kind) for x in given if x.shape[axis]] or given[:1]
        return given[0] if len(given) == 1 else self.apply("concat", given, kind, axis % given[0].ndim)

    def reduce(self, operation: str, x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Return a sum, product, largest or smallest element along one axis, several or all."""
        x = self.lift(x)
        if x.kind == BOOL:
            x = self.integers(x)
        axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int | np.integer) else axis
        axes = tuple(sorted(int(number) % x.ndim for number in axes))
        kept = tuple(1 if i in axes else size for i, size in enumerate(x.shape))
        dropped = tuple(size for i, size in enumerate(x.shape) if i not in axes)
        only_ones = all(x.shape[i] == 1 for i in axes)
        found = self.reshape(x, dropped) if only_ones else self.apply(operation, [x], x.kind, axes)
        return self.reshape(found, kept) if keepdims else found

    def mean(self, x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Return a mean along one axis, several or all."""
        x = self.lift(x)
        total = self.reduce("sum", x, axis, keepdims=keepdims)
        return self.make("divide", total, float(x.size // total.size)) if total.size else total

    def position(self, operation: str, x: Any, axis: int | None, *, keepdims: bool = False) -> Any:
        """Return where the largest or smallest element is along an axis, or among all."""
        x = self.lift(x)
        along = self.reshape(x, (x.size,)) if axis is None else x
        number = 0 if axis is None else axis % x.ndim
        found = self.apply(operation, [along], INT, number)
        sizes = [1 if axis is None or i == number else size for i, size in enumerate(x.shape)]
        return self.reshape(found, sizes) if keepdims else found

    def cumulate(self, operation: str, x: Any, axis: int, *, include_initial: bool = False) -> Any:
        """Return the sums or products of the first elements along an axis, that of none included or not."""
        x = self.lift(x)
        axis %= x.ndim
        found = self.apply(operation, [x], x.kind, axis)
        if not include_initial:
            return found
        first = self.broadcast(
            self.constant(float(operation == "cumulative_prod"), FLOAT), (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        )
        return self.concat([first, found], axis)

    def matmul(self, x: Any, y: Any) -> Any:
        """Return a matrix product of vectors, matrices or stacks of them."""
        x, y = self.cast(x), self.cast(y)
        rows = self.reshape(x, (1, *x.shape)) if x.ndim == 1 else x
        columns = self.reshape(y, (*y.shape, 1)) if y.ndim == 1 else y
        if not x.ndim or not y.ndim or rows.shape[-1] != columns.shape[-2]:
            raise CannotTraceError(f"it multiplies matrices of {x.shape} and {y.shape}")
        found = self.apply("matmul", [rows, columns], FLOAT)
        shape = found.shape[: found.ndim - 2] + rows.shape[-2:-1][: x.ndim > 1] + columns.shape[-1:][: y.ndim > 1]
        return self.reshape(found, shape)

    def tensordot(self, x: Any, y: Any, axes: Any = 2) -> Any:
        """Return the sum of products over pairs of axes, as one matrix product."""
        x, y = self.lift(x), self.lift(y)
        of_x, of_y = (range(x.ndim - axes, x.ndim), range(axes)) if isinstance(axes, int) else axes
        of_x, of_y = [i % x.ndim for i in of_x], [i % y.ndim for i in of_y]
        free_x, free_y = [i for i in range(x.ndim) if i not in of_x], [i for i in range(y.ndim) if i not in of_y]
        summed = math.prod([x.shape[i] for i in of_x])
        shape = [x.shape[i] for i in free_x] + [y.shape[i] for i in free_y]
        count = math.prod([x.shape[i] for i in free_x])
        left = self.reshape(self.permute(x, [*free_x, *of_x]), (count, summed))
        right = self.reshape(self.permute(y, [*of_y, *free_y]), (summed, y.size // max(summed, 1)))
        return self.reshape(self.matmul(left, right), shape)

    def einsum(self, subscripts: str, *arrays: Any) -> Any:
        """Return a sum of products by the letters of axes, all of them spelt out."""
        return self.apply("einsum", [self.cast(array) for array in arrays], FLOAT, subscripts)

    def take(self, x: Any, indices: Any, axis: int = 0) -> Any:
        """Return the elements at positions along an axis."""
        x = self.lift(x)
        return self.apply("take", [x, self.integers(indices)], x.kind, axis % x.ndim)

    def take_along(self, x: Any, indices: Any, axis: int = -1) -> Any:
        """Return the elements at positions that differ from line to line."""
        x, indices = self.lift(x), self.integers(indices)
        axis %= x.ndim
        lines = [size if i != axis else indices.shape[i] for i, size in enumerate(x.shape)]
        along = self.broadcast(x, [max(n, indices.shape[i]) if i != axis else n for i, n in enumerate(x.shape)])
        indices = self.broadcast(indices, [max(n, indices.shape[i]) for i, n in enumerate(lines)])
        return self.apply("take_along", [along, indices], x.kind, axis)
