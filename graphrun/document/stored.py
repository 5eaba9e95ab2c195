"""Values of leaves that stand in a file of arrays beside the graph file: ``{file: weights.safetensors, key: W}``."""

from __future__ import annotations

import math
import os
from pathlib import Path as FilePath
from typing import Any

from graphrun.base.memory import COPIES, memory_limit, size_text
from graphrun.base.reads import is_read
from graphrun.base.wording import describe, did_you_mean, printable, quote
from graphrun.document.marks import Path
from graphrun.document.numbers import StoredValue
from graphrun.document.problems import Problems

KEYS = ("file", "key")
FORMATS = "numpy.savez writes .npz, safetensors.numpy.save_file .safetensors"
HINT = "write {file: weights.safetensors, key: W}"


def read_stored(path: Path, raw: dict[str, Any], problems: Problems) -> StoredValue | None:
    """Return the array that ``{file, key}`` names, or None after telling why there is none."""
    for key in KEYS:
        if key not in raw:
            problems.add(path, f"a value from a file has a {key!r}", key=True, suggestion=HINT)
        elif not isinstance(raw[key], str):
            problems.add((*path, key), f"{key!r} is a text, not {describe(raw[key])}", suggestion=HINT)
        else:
            continue
        return None
    file, key = raw["file"], raw["key"]
    reader = {".safetensors": _from_safetensors, ".npz": _from_npz}.get(FilePath(file).suffix.lower())
    if reader is None or "\0" in file:
        hint = "numpy.savez writes .npz, safetensors.numpy.save_file .safetensors"
        problems.add(
            (*path, "file"), f"{quote(file)} is no file of arrays: its name ends with neither", suggestion=hint
        )
        return None
    try:
        place = is_read(FilePath(problems.source.name).parent / file)
        if place.exists() and not place.is_file():
            raise _UnreadableError("it is no regular file")
        return StoredValue(file, key, _checked(reader(place, key), key))
    except _UnreadableError as error:
        problems.add((*path, error.at), f"{printable(file)}: {error}", suggestion=error.suggestion)
    except FileNotFoundError:
        problems.add((*path, "file"), f"there is no file {printable(str(place))}")
    except OSError as error:
        problems.add((*path, "file"), f"{printable(str(place))} cannot be read: {error.strerror or error}")
    return None


class _UnreadableError(Exception):
    """Why there is no such array; `at` is the key that is wrong."""

    def __init__(self, message: str, at: str = "file", suggestion: str | None = None) -> None:
        super().__init__(message)
        self.at, self.suggestion = at, suggestion


def _missing(key: str, names: Any) -> _UnreadableError:
    listed = list(names)
    hint = did_you_mean(key, listed) or f"it has: {printable(', '.join(listed[:8]))}"
    return _UnreadableError(f"it has no array {quote(key)}", "key", hint)


def _check_size(size: int) -> None:
    if size * COPIES > memory_limit():
        taken, limit = size_text(size * COPIES), size_text(memory_limit())
        raise _UnreadableError(f"the array takes {taken} of memory; the limit is {limit}", "key")


def _from_safetensors(place: FilePath, key: str) -> Any:
    from safetensors import safe_open

    try:
        with safe_open(os.fspath(place), framework="numpy") as file:
            if key not in file.keys():  # noqa: SIM118 (no mapping)
                raise _missing(key, file.keys())
            _check_size(8 * math.prod(file.get_slice(key).get_shape()))
            return file.get_tensor(key)
    except (OSError, _UnreadableError):
        raise
    except Exception as error:  # safetensors has an error of its own, and NumPy lacks some of its dtypes
        reason = printable(str(error).partition("\n")[0])
        raise _UnreadableError(f"the array {quote(key)} cannot be read: {reason}") from None


def _from_npz(place: FilePath, key: str) -> Any:
    import zipfile

    from graphrun.document.npz import read_array

    try:
        with zipfile.ZipFile(place) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if key not in members:
                raise _missing(key, members)
            _check_size(members[key].file_size)
            return read_array(archive, members[key])
    except (OSError, _UnreadableError):
        raise
    except Exception as error:  # of damaged data, zipfile, zlib and NumPy raise nearly anything
        reason = printable(str(error).partition("\n")[0]) or type(error).__name__
        raise _UnreadableError(f"the array {quote(key)} cannot be read: {reason}") from None


def _checked(array: Any, key: str) -> Any:
    """Refuse an array of anything but finite numbers."""
    import numpy as np

    if array is None or array.dtype.kind not in "fiub":
        kind = "Python objects" if array is None else str(array.dtype)
        raise _UnreadableError(f"the array {quote(key)} holds {kind}, not numbers", "key")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        index = np.argwhere(~np.isfinite(array))[0].tolist()
        where = f"the element {index} of the array" if index else "the array"
        raise _UnreadableError(f"{where} {quote(key)} is not finite", "key")
    return array[()]
