"""What this machine does at best, measured with NumPy: copying memory, and multiplying matrices."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGE_COPY = 2**26
SMALLEST_COPY = 2**16
MATRIX = 512


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
