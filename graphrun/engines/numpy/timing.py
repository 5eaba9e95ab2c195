"""The times of the operations of a NumPy program's passes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphrun.engines import Timed, Timing
from graphrun.engines.numpy.operation import Operation

PASSES = 50
SECONDS_OF_PASSES = 0.5
"""So many passes are timed, or as many as are made in this time, and three at least."""

ONE_BY_ONE = "each operation as the passes come to it, inputs gathered and gradients added up"


def time_operations(
    operations: Sequence[Operation], run: Callable[[Sequence[Operation]], None], *, divided: bool
) -> Timing:
    """Time each operation of the loop, as the passes come to it.

    `run` runs both passes over what it is given; the steps of a run may be `divided` into these operations, or not.
    """
    forward, backward = _seconds(operations, run)
    return Timing(
        ONE_BY_ONE if divided else f"{ONE_BY_ONE}; straight-line code cannot be divided",
        [
            Timed([_slots(operation)], float(first + second), float(second))
            for operation, first, second in zip(operations, forward, backward, strict=True)
        ],
        "lone step",
    )


def _slots(operation: Operation) -> range:
    output = operation.output
    return range(output.start, output.stop) if isinstance(output, slice) else range(output, output + 1)


class _Watched(list[Operation]):
    """Operations that note when each is taken and when it is done with, forwards and backwards."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        super().__init__(operations)
        self.forward = [0.0] * len(operations)
        self.backward = [0.0] * len(operations)

    def __iter__(self) -> Iterator[Operation]:
        return self._watched(range(len(self)), self.forward)

    def __reversed__(self) -> Iterator[Operation]:
        return self._watched(range(len(self) - 1, -1, -1), self.backward)

    def _watched(self, order: range, times: list[float]) -> Iterator[Operation]:
        clock = time.perf_counter
        for number in order:
            start = clock()
            yield self[number]
            times[number] = clock() - start


def _seconds(operations: Sequence[Operation], run: Callable[[Sequence[Operation]], None]) -> tuple[Any, Any]:
    """Return the seconds of the forward and of the backward pass of each operation of the loop, medians of passes."""
    if not operations:
        return (), ()
    forward: list[list[float]] = []
    backward: list[list[float]] = []
    watching = []
    began = time.perf_counter()
    while len(forward) < PASSES and (len(forward) < 3 or time.perf_counter() - began < SECONDS_OF_PASSES):
        watched = _Watched(operations)
        run(watched)
        forward.append(watched.forward)
        backward.append(watched.backward)
        only_watched = _Watched(operations)
        for _ in only_watched:
            pass
        watching.append(statistics.median(only_watched.forward))
    # What it takes to note the time is left out.
    clock = statistics.median(watching)
    taken = np.maximum(np.median([forward, backward], axis=1) - clock, 0.0)
    return taken[0], taken[1]
