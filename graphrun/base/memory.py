"""Memory: how much a graph may take, and the garbage collector while objects are made that all stay."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from graphrun.base.errors import MemoryLimitError, UsageError

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
SIZE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(?:([kmgtpe])i?)?b?\s*", re.IGNORECASE)

# Where the limits of a container stand, of version 2 and 1 of Linux's control groups.
CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


COPIES = 2
"""How often what is read of a file is in memory at once: as it was read, and as columns in the order of the steps."""

MORE_MEMORY = "--memory SIZE, or load(..., memory=...), allows more"


def read_size(size: int | str) -> int:
    """Return a number of bytes, which may be written as in "512 MiB", "4GB" and "4g": a unit is a power of 1024.

    Raises:
        UsageError: it is none.
    """
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    found = SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None or not float(found[1]):
        raise UsageError(f"memory: a size is written as 4GiB or 500MiB, not {str(size)[:60]!r}")
    return int(float(found[1]) * 1024 ** ("bkmgtpe".index((found[2] or "b").lower())))


def size_text(size: float) -> str:
    """Return a number of bytes as text: 512 MiB, 7.28 TiB."""
    size = min(size, 2**100)  # a whole number of any size, which a float cannot be
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            return f"{size:.3g} {unit}" if size < 1e6 else f"more than a million {unit}"
        size /= 1024
    raise AssertionError


def half_of_memory() -> int:
    """Return half of the memory that this process may have: the machine's, its container's or that of its limits."""
    sizes = [_memory_of_machine()]
    with suppress(ImportError):
        import resource

        sizes += [size for size in resource.getrlimit(resource.RLIMIT_AS) if size > 0]  # below 0: there is none
    return min(sizes) // 2


@cache
def _memory_of_machine() -> int:
    """Return the memory of the machine, or of the container where that has less."""
    sizes = [1 << 62]
    with suppress(OSError, ValueError, AttributeError):  # os.sysconf is not on Windows
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in CONTAINERS:
        with suppress(OSError, ValueError):
            sizes.append(int(Path(file).read_text(encoding="ascii")))
    return min(size for size in sizes if size > 0)


_allowed: ContextVar[int | None] = ContextVar("allowed", default=None)


def allowed_memory() -> int | None:
    """Return how many bytes the user allows a graph to take; None where nothing was said."""
    return _allowed.get()


def memory_limit() -> int:
    """Return how many bytes a graph may take: what the user allows, else half of the memory."""
    return _allowed.get() or half_of_memory()


def check_memory(need: float, what: str, advice: str) -> None:
    """Refuse what would take so many bytes where these are more than the limit.

    Raises:
        MemoryLimitError: they are.
    """
    if need > memory_limit():
        size, limit = size_text(need), size_text(memory_limit())
        raise MemoryLimitError(f"{what} {size} of memory; the limit is {limit}\n  {advice}; {MORE_MEMORY}")


@contextmanager
def limited(memory: int | None) -> Iterator[None]:
    """Let so many bytes be the limit inside, None for the one of outside; what no estimate foresaw is an error too."""
    token = None if memory is None else _allowed.set(memory)
    try:
        yield
    except MemoryError as error:
        failure = MemoryLimitError(
            f"there is not enough memory: {error}" if str(error) else "there is not enough memory"
        )
        failure.located = False
        raise failure from error
    finally:
        if token is not None:
            _allowed.reset(token)


@contextmanager
def paused_collection() -> Iterator[None]:
    """Collect no garbage inside: looking through all objects again and again takes half the time of a large load."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def no_collection_at_the_ends() -> Iterator[None]:
    """Collect no garbage while a program starts, until `begin_collection`, nor when it ends: a third of a short run."""
    gc.disable()
    try:
        yield
    finally:
        # Everything that is there by now stays to the end, so that the interpreter does not look through it once more.
        # DuckDB complains on stderr of what was not collected (nanobind's "leaked instances").
        if "duckdb" not in sys.modules:
            gc.freeze()


def begin_collection() -> None:
    """Collect garbage from now on, where the start has paused it, but not among what is there already."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
