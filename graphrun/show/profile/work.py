"""What a step costs by the shapes of a plan, and what this machine does at best, measured with NumPy.

A step's bytes, read and written, and its arithmetic are those of the operations one by one, as the plan has them. An
engine that fuses operations or keeps numbers in registers moves less. The arithmetic of elementwise functions is
counted in what they are written with, where `exp` is one operation as `+` is; that of contractions and convolutions in
multiplications and additions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from graphrun.base.errors import PluginError
from graphrun.declare.nodetype import Tensor
from graphrun.declare.trace import operations_in
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines.traced import NotSupportedError, Tracer
from graphrun.plan.plan import Batch, Plan
from graphrun.plan.shapes import Shape

LARGE_COPY = 2**26
SMALLEST_COPY = 2**16
MATRIX = 512


@dataclass(frozen=True)
class Work:
    """What some operations read and write, in bytes, and how many operations on numbers they do."""

    bytes: int = 0
    operations: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.bytes + other.bytes, self.operations + other.operations)

    def __mul__(self, count: int) -> Work:
        return Work(self.bytes * count, self.operations * count)


def work_of_batches(plan: Plan) -> Iterator[Work]:
    """Yield the work of one node of each batch of the loop, in both passes."""
    tracer = Tracer(plan)
    for batch in plan.in_loop:
        slots = plan.inputs_of(batch.start)
        shapes = [plan.shapes[slot] for slot in slots]
        wanted = plan.moving[slots].tolist()
        forward, backward = _operations(tracer, batch, shapes, wanted)
        sizes = [math.prod(shape) for shape in shapes]
        size = math.prod(batch.shape)
        elements = sum(sizes) + size
        if any(wanted):
            # The backward pass reads the gradient, the output and the inputs, and adds to the inputs' gradients.
            elements += 2 * size + sum(sizes) + 2 * sum(s for s, given in zip(sizes, wanted, strict=True) if given)
        places = 2 * batch.arity * plan.operands.itemsize if batch.count > 1 else 0
        yield Work(elements * plan.dtype.itemsize + places, forward + (backward if any(wanted) else 0))


def work_of_update(plan: Plan) -> Work:
    """Return the work of the update of all parameters."""
    rule = plan.update.rule
    elements = sum(math.prod(plan.shapes[slot]) for slot in range(plan.parameters))
    if not isinstance(rule, UpdateRule):
        return Work()
    try:
        operations = operations_in(Tracer(plan).update(plan.rule))
    except NotSupportedError:
        operations = 1
    return Work((3 + 2 * len(rule.state)) * elements * plan.dtype.itemsize, operations * elements)


def _operations(tracer: Tracer, batch: Batch, shapes: Sequence[Shape], wanted: Sequence[bool]) -> tuple[int, int]:
    """Return the operations of a node's forward and of its backward pass."""
    if isinstance(batch.type, Tensor):
        try:
            arrays = [np.broadcast_to(0.0, shape) for shape in (batch.shape, *shapes)]
            forward, *gradients = batch.type.operations(*arrays, settings=batch.settings)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"profile: the cost of the node type {batch.type.name}: {type(error).__name__}: {error}"
            ) from error
        return forward, sum(cost for cost, use in zip(gradients, wanted, strict=False) if use)
    size = math.prod(batch.shape)
    try:
        functions = tracer.functions(batch, tuple(repeat(None, batch.arity)))
    except NotSupportedError:
        return size, 2 * size * sum(wanted)
    given = [part for part, use in zip(functions.contributions, wanted, strict=True) if use and part is not None]
    return operations_in([functions.forward]) * size, (operations_in(given) + len(given)) * size


@dataclass(frozen=True)
class Machine:
    """What this machine does, measured with NumPy in the same run.

    Attributes:
        copied: the bytes per second, read and written, of copying a large array.
        copied_as_much: the same of an array as large as what a step touches, which caches may hold.
        multiplied: the operations per second of the product of two matrices of the graph's dtype.
    """

    copied: float
    copied_as_much: float
    multiplied: float


def measure_machine(touched: int, dtype: np.dtype[Any]) -> Machine:
    """Measure what the machine does at best: the fastest of several copies, and of several products of matrices."""
    large = copied_per_second(LARGE_COPY)
    # Half is read, half is written.
    size = max(touched // 2, SMALLEST_COPY)
    matrix = np.ones((MATRIX, MATRIX), dtype)
    result = np.empty_like(matrix)
    product = fastest(lambda: np.matmul(matrix, matrix, out=result))
    return Machine(large, large if size >= LARGE_COPY else copied_per_second(size), 2 * MATRIX**3 / product)


def copied_per_second(size: int) -> float:
    """Return the bytes per second, read and written, of copying an array of so many bytes."""
    source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
    # Several copies to a round, for one of a few kilobytes is as short as looking at the clock.
    times = max(1, 2**20 // size)

    def copy() -> None:
        for _ in range(times):
            np.copyto(target, source)

    return 2 * size * times / fastest(copy)


def fastest(work: Callable[[], object], rounds: int = 7) -> float:
    """Return the seconds of the fastest of several calls."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best
