"""A graph as a function of its parameters, for optimizers and other programs of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphrun.base.errors import PluginError, UsageError
from graphrun.base.memory import allowed_memory, check_memory, limited
from graphrun.base.rows import columns as columns_of
from graphrun.base.wording import counted
from graphrun.document import did_you_mean
from graphrun.document.names import normalize
from graphrun.engines import StepFailed
from graphrun.engines.function import PlanFunction
from graphrun.engines.numpy import node_program
from graphrun.plan.plan import Feed, Plan
from graphrun.run.diagnosis import diagnose_failure
from graphrun.run.request import listed_names
from graphrun.run.result import plain

MATRICES = 5
"""How many arrays of a matrix's size there are at once: directions, what comes of them, and sums."""

Vector = NDArray[np.floating[Any]]
Point: TypeAlias = "ArrayLike | Mapping[str, ArrayLike]"
"""Values of the arguments: all elements end to end, or by name."""


class Function:
    """A node of a graph, by default the objective, as a function of parameters: what `Graph.function` returns.

    A point is a vector, all elements of the arguments end to end, or a mapping from names, of which those that are
    missing stay as the file has them; gradients and products come as the point does. Values are the node's own, also
    where the graph maximizes it: a minimizer is handed the negative. What is not finite is returned as it is, NaN or
    infinite, as SciPy expects it; bounds are told and not kept. Any number of threads may call a function at once, and
    it can be pickled.

    Attributes:
        node: the name of the node.
        maximize: whether the graph maximizes it.
        engine: what computes value and gradient: ``numpy``, ``numba`` or ``jax``.
        arguments: the names of the parameters that it is a function of, in the order of the vector.
        names: the name of each element of the vector, ``W[0,1]`` for one of an array.
        lower, upper: the vectors of the file's bounds, infinite where there are none.

    Raises:
        UsageError: from every method, for a point of another size, an unknown name, or the gradient of an array.
        PluginError: from every method, for a function of a plugin that raises.
        MemoryLimitError: from `jacobian` and `hessian`, for a matrix that takes more than the graph may.
    """

    def __init__(
        self, plan: Plan, slot: int, arguments: Sequence[str], engine: str, again: Callable[..., Function]
    ) -> None:
        self.node = plan.names[slot] or ""
        self.maximize = plan.maximize and slot == plan.objective
        self.arguments = tuple(arguments)
        self._given, self._again, self._memory = plan, again, allowed_memory()
        self._others: dict[str, Function] = {}
        self._function = PlanFunction(plan, slot, engine)
        self._mine = self._function.mine
        self.engine = self._function.engine
        slots = [plan.slots[name] for name in self.arguments]
        self._shapes = {name: plan.shapes[k] for name, k in zip(self.arguments, slots, strict=True)}
        self._ends = np.cumsum([math.prod(shape) for shape in self._shapes.values()])
        starts = plan.leaves[: plan.parameters]
        sides = [(-np.inf, np.inf) if bounds is None else bounds for bounds in plan.bounds]
        lows, highs = (
            [np.broadcast_to(side[k], np.shape(x)) for side, x in zip(sides, starts, strict=True)] for k in (0, 1)
        )
        whole, lower, upper = (
            np.concatenate([np.zeros(0), *map(np.ravel, parts)]).astype(plan.dtype) for parts in (starts, lows, highs)
        )
        first = np.cumsum([0, *map(np.size, starts)])
        self._places = np.concatenate([np.zeros(0, int), *(np.arange(first[k], first[k + 1]) for k in slots)])
        self._whole = whole
        self._is_whole = np.array_equal(self._places, np.arange(len(whole)))
        self._start, self.lower, self.upper = (side[self._places] for side in (whole, lower, upper))
        self._shape, self._dtype = self._start.shape, plan.dtype
        self.names = [name for name, _ in columns_of({name: np.empty((0, *s)) for name, s in self._shapes.items()})]

    def __repr__(self) -> str:
        return f"<Function {self.node}({', '.join(self.arguments)}) of {counted(len(self._start), 'element')}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return self._again, ()

    def __call__(self, x: Point) -> Any:
        """Return `value`."""
        return self.value(x)

    @property
    def start(self) -> Vector:
        """The vector of the file's values, a new one for whoever walks on from there in place."""
        start: Vector = self._start.copy()
        return start

    @property
    def second_derivatives(self) -> str:
        """How `hessian` and `hessian_product` come to their numbers, in words."""
        return self._function.second_order[1]

    def vector(self, values: Point) -> Vector:
        """Return the vector, (elements,), of a point; what is missing by name stays as the file has it."""
        return self._vector(values).copy()

    def mapping(self, vector: Point) -> dict[str, Any]:
        """Return what a vector holds by name: floats, and arrays of the parameters' shapes."""
        parts = zip(self._shapes.items(), np.split(self._vector(vector), self._ends[:-1]), strict=True)
        return {name: plain(part.reshape(shape)[()]) for (name, shape), part in parts}

    def of(self, node: str) -> Function:
        """Return another node as a function of the same arguments."""
        name = known(node, list(self._given.slots), "value")
        if name == self.node:
            return self
        if name not in self._others:
            slot = slot_of(self._given, node)
            engine = "numpy" if self._given.shapes[slot] or self.engine == "numpy" else "auto"
            again = partial(self._again, of=name, engine=engine)
            with limited(self._memory):
                self._others[name] = Function(self._given, slot, self.arguments, engine, again)
        return self._others[name]

    def value(self, x: Point, of: str | None = None) -> Any:
        """Return the node's value, or that `of` another one: a float, or an array of the node's shape."""
        if of is not None:
            return self.of(of).value(x)
        with self._told():
            return plain(self._function.value(self._widened(self._vector(x)))[()])

    def value_and_gradient(self, x: Point) -> tuple[float, Any]:
        """Return the node's value, and its derivatives by the elements of the arguments: a new vector, or a mapping."""
        # A call costs little more than the arithmetic, so that what is usual comes first.
        usual = x.__class__ is np.ndarray and x.shape == self._shape and x.dtype == self._dtype
        vector: Any = x if usual else self._vector(x)
        try:
            value, gradient = self._mine.at(vector if self._is_whole else self._widened(vector))
        except StepFailed as failed:
            raise self._error_of(failed) from failed.error
        if not self._is_whole:
            gradient = gradient[self._places]
        return value, gradient if usual or not isinstance(x, Mapping) else self.mapping(gradient)

    def jacobian(self, x: Point, of: str | None = None) -> Vector:
        """Return the derivatives of the elements of the node, or `of` another one: (its elements, elements)."""
        if of is not None:
            return self.of(of).jacobian(x)
        with self._matrix("Jacobian", math.prod(self._function.shape), "the gradient of a number of it takes less"):
            return np.asarray(self._function.jacobian(self._widened(self._vector(x))))[:, self._places]

    def hessian(self, x: Point) -> Vector:
        """Return the matrix of second derivatives, (elements, elements); `second_derivatives` says how."""
        with self._matrix("Hessian", len(self._start), "hessian_product takes less"):
            matrix = self._products(x, np.eye(len(self._start)))
            return (matrix + matrix.T) / 2

    def hessian_product(self, x: Point, v: Point) -> Any:
        """Return the product of the Hessian at a point and a direction, of which what is missing by name is 0."""
        direction = self._filled(v, 0 * self._start) if isinstance(v, Mapping) else self._vector(v)
        product = self._products(x, direction[None])[0]
        return self.mapping(product) if isinstance(x, Mapping) else product

    def _products(self, x: Point, directions: Vector) -> Vector:
        _ = self._mine.at
        whole = np.zeros((len(directions), len(self._whole)))
        whole[:, self._places] = directions
        with self._told():
            vector = self._widened(self._vector(x))
            return np.asarray(self._function.second_order[0](vector, whole), np.float64)[:, self._places]

    def _vector(self, x: Point) -> Vector:
        if isinstance(x, Mapping):
            return self._filled(x, self._start)
        vector = numbers(x, self._dtype)
        if vector.shape != self._shape and not vector.ndim == 0 == self._shape[0] - 1:
            raise UsageError(f"a point has the shape {self._shape}, not {vector.shape}")
        return vector.reshape(-1)

    def _filled(self, values: Mapping[str, ArrayLike], base: Vector) -> Vector:
        parts = dict(zip(self.arguments, np.split(base, self._ends[:-1]), strict=True))
        for given, value in values.items():
            name = known(given, self.arguments, "argument")
            parts[name] = shaped(given, value, self._shapes[name], base.dtype).ravel()
        return np.concatenate([base[:0], *parts.values()])

    def _widened(self, vector: Vector) -> Vector:
        """Return the vector of all parameters, of that of the arguments."""
        if self._is_whole:
            return vector
        whole = self._whole.copy()
        whole[self._places] = vector
        return whole

    @contextmanager
    def _matrix(self, what: str, rows: int, advice: str) -> Iterator[None]:
        """Refuse a matrix of derivatives that takes more than the graph may; so it is where no estimate foresaw it."""
        columns = len(self._whole)
        with limited(self._memory), self._told():
            taken = MATRICES * rows * columns * np.dtype(np.float64).itemsize
            check_memory(taken, f"the {what} of {self.node}, {rows:,} x {columns:,} numbers, takes", advice)
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except StepFailed as failed:
            raise self._error_of(failed) from failed.error

    def _error_of(self, failed: StepFailed) -> PluginError:
        return PluginError(diagnose_failure(self._function.plan, failed.leaves, failed.error))


def numbers(given: Any, dtype: np.dtype[Any]) -> Vector:
    """Return what somebody gives as an array of a dtype.

    Raises:
        UsageError: something in it is no real number: texts, dates and complex numbers, which NumPy would convert.
    """
    try:
        array = np.asarray(given)
        odd = [type(x).__name__ for x in array.flat if not isinstance(x, Real)] if array.dtype == object else []
        if not odd and (array.dtype == object or np.can_cast(array.dtype, dtype, "same_kind")):
            with np.errstate(over="ignore"):
                return array.astype(dtype, copy=False)
        why = f"real ones, not {odd[0] if odd else array.dtype.type.__name__.rstrip('_')}"
    except (TypeError, ValueError, OverflowError) as error:
        why = str(error)
    raise UsageError(f"a point is made of numbers: {why}")


def shaped(name: str, given: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Vector:
    """Return what somebody gives for a name as an array of its shape.

    Raises:
        UsageError: it is not made of real numbers, or has another shape.
    """
    array = numbers(given, dtype)
    if array.shape != shape:
        raise UsageError(f"{name!r} has the shape {shape}, not {array.shape}")
    return array


def known(name: Any, names: Sequence[str], what: str) -> str:
    """Return a name in its normal form.

    Raises:
        UsageError: it is none of the names.
    """
    if isinstance(name, str) and (normal := normalize(name)) in names:
        return normal
    hint = did_you_mean(str(name), names) or f"there are: {', '.join(names)}"
    raise UsageError(f"{name!r} is no {what}; {hint}")


def slot_of(plan: Plan, of: str | None) -> int:
    """Return the slot of a value that is named, or of the objective.

    Raises:
        UsageError: there is none.
    """
    if of is not None:
        return plan.slots[known(of, list(plan.slots), "value")]
    if plan.objective is None:
        raise UsageError("the graph has no objective: name the node, as in graph.function(of='y')")
    return plan.objective


def function_of(
    plan: Plan,
    feed: Feed | None,
    step: int,
    names: Sequence[str] | None,
    of: str | None,
    engine: str,
    again: Callable[..., Function],
) -> Function:
    """Return a value of a plan as a function of parameters, with the rows and random numbers of a step: a `Function`.

    Raises:
        UsageError: a name is unknown, there is no parameter, or the engine cannot compute it.
    """
    parameters = [name for name in plan.names[: plan.parameters] if name is not None]
    given = parameters
    if names is not None:
        given = list(dict.fromkeys(known(name, parameters, "parameter") for name in listed_names("names", names)))
    if not given:
        raise UsageError("a function has a parameter at least, and there is none")
    program = node_program(plan, feed)
    program.step = step
    program.begin_step()
    return Function(plan.at_rest(program.leaves()), slot_of(plan, of), given, engine, again)
