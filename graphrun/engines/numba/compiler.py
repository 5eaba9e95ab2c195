"""Compiling source text with Numba, once for each text: the compiled code is kept in the user's cache folder.

The text is a file named by a hash of its content and of what else decides about the machine code, which Numba keeps
beside it. Runs at the same time do not disturb each other: files are put in place whole, with the same content and time
of change, by which Numba tells whether its code is still that of the file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from graphrun.engines.cache import cache_folder
from graphrun.engines.numba.source import signature
from graphrun.engines.traced import NotSupportedError

Steps = Callable[..., tuple[int, int]]

OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True, "_nrt": False}
"""How Numba compiles. Without fastmath: the operations are those of the text, in its order. Without reference counts:
nothing is allocated, and calls that count keep numbers out of registers, which costs a third of the lesson's step."""

CACHE_ERRORS = (EOFError, OSError, RuntimeError, pickle.UnpicklingError, ImportError, AttributeError, ValueError)
"""What Numba raises where its cache is damaged or cannot be written to."""

INSTALL = "pip install 'graphrun[numba]'"


def is_installed() -> bool:
    """Whether Numba is installed; it is not imported for that."""
    return importlib.util.find_spec("numba") is not None


@cache
def versions() -> str:
    """Return what besides the text decides about the machine code: versions, options, what the text calls."""
    found = [sys.version, repr(OPTIONS), Path(__file__).with_name("instructions.py").read_text(encoding="utf-8")]
    for package in ("numba", "llvmlite", "numpy"):
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return "\n".join(found)


def file_of(text: str) -> Path:
    """Return where the text of a program is kept."""
    digest = hashlib.blake2b(f"{versions()}\n{text}".encode(), digest_size=16).hexdigest()
    return cache_folder("native") / f"steps_{digest}.py"


def is_compiled(text: str) -> bool:
    """Whether a program was compiled before, on this machine."""
    file = file_of(text)
    try:
        return file.exists() and any((file.parent / "__pycache__").glob(f"{file.stem}.*.nbc"))
    except PermissionError:
        return False


def compile_steps(text: str, dtype: str) -> Steps:
    """Return the compiled function ``steps`` of a program, the same for the same text.

    Raises:
        NotSupportedError: Numba is not installed, or cannot compile the text.
    """
    return _compiled(text, dtype, cache_folder("native"))


@lru_cache(maxsize=16)
def _compiled(text: str, dtype: str, _folder: Path) -> Steps:
    if not is_installed():
        raise NotSupportedError(f"the engine numba needs Numba: {INSTALL}")
    try:
        import numba
        from numba.core.errors import NumbaError
    except Exception as error:
        # Numba refuses a NumPy that is newer than itself, and says so by an exception while it is imported.
        raise NotSupportedError(f"Numba cannot be imported: {type(error).__name__}: {error}") from error

    file = _write(text)
    compiler: Any = partial(numba.njit, signature(dtype), **OPTIONS)
    try:
        if file is not None:
            with suppress(*CACHE_ERRORS):
                return _decorated(compiler, text, file)
            # What is in the cache is damaged, by a full disk for instance, or nothing can be put there.
            with suppress(*CACHE_ERRORS):
                for damaged in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
                    damaged.unlink(missing_ok=True)
                return _decorated(compiler, text, file)
        return _decorated(compiler, text, None)
    except NumbaError as error:
        raise NotSupportedError(f"Numba cannot compile the graph: {error}") from error


def _decorated(compiler: Any, text: str, file: Path | None) -> Steps:
    """Compile the function of the text, in a module that Numba finds again by its name when it loads its code."""
    name = f"graphrun_{file_of(text).stem}"
    module = sys.modules[name] = ModuleType(name)
    exec(compile(text, str(file or "<steps>"), "exec"), vars(module))  # noqa: S102 (made of slots alone)
    steps: Steps = compiler(cache=file is not None)(vars(module)["steps"])
    return steps


def _write(text: str) -> Path | None:
    """Put the text into the cache folder; return None where it cannot be written."""
    file = file_of(text)
    try:
        if file.exists():
            return file
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.utime(name, (0, 0))
        os.replace(name, file)  # noqa: PTH105 (the name is a str)
    except OSError:
        return None
    return file
