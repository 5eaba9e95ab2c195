"""Files of named arrays whose first axis is the rows: NumPy's .npz archives, and what the readers of plugins give."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from graphrun.base.memory import COPIES, MORE_MEMORY, memory_limit, size_text
from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import printable, quote
from graphrun.data.problems import DataError, Findings
from graphrun.data.table import Array, Table, Told, Wanted, is_missing
from graphrun.document.data_section import Reader
from graphrun.document.npz import read_array


class NpzTable(Table):
    """An archive of arrays, each read when it is first asked for; pickled objects are refused."""

    part = "array"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._arrays: dict[str, Array | None] = {}
        self._held = 0
        try:
            with zipfile.ZipFile(self.name) as archive:
                self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        except Exception:  # of a file that is none, zipfile raises nearly anything
            self._members = {}
        self.headers = tuple(self._members)
        if not self.headers:
            raise DataError(f"{printable(self.name)}: this is no .npz archive of arrays\n  numpy.savez writes one")

    def _array(self, header: str) -> Array | None:
        """Return an array; None when it holds objects."""
        if header not in self._arrays:
            self._check_size(header)
            try:
                with zipfile.ZipFile(self.name) as archive:
                    self._arrays[header] = read_array(archive, self._members[header])
            except Exception as error:  # zipfile, zlib and NumPy raise nearly anything where data is damaged
                reason = str(error).partition("\n")[0] or type(error).__name__
                message = f"the array {quote(header)} cannot be read: {printable(reason)}"
                raise DataError(f"{printable(self.name)}: {message}") from None
        return self._arrays[header]

    def _check_size(self, header: str) -> None:
        """Refuse an array that would not fit into memory, by the size that the archive gives."""
        damaged = (OSError, zipfile.BadZipFile, KeyError, NotImplementedError, ValueError)
        with suppress(*damaged), zipfile.ZipFile(self.name) as archive:
            names = archive.namelist()
            self._held += archive.getinfo(header if header in names else f"{header}.npy").file_size
        if self._held * COPIES > memory_limit():
            sizes = f"{size_text(self._held * COPIES)} of memory; the limit is {size_text(memory_limit())}"
            message = f"with the array {quote(header)} the file takes {sizes}\n  {MORE_MEMORY}"
            raise DataError(f"{printable(self.name)}: {message}")

    def unfit(self, header: str, *, text: bool) -> str | None:
        """Say why an array cannot be used: it holds objects, it has no rows, its elements are of another kind."""
        array, named = self._array(header), f"the array {quote(header)}"
        if array is None:
            return f"{named} holds Python objects"
        if array.ndim == 0:
            return f"{named} is a single value: it has no rows"
        if text and array.dtype.kind not in "UiuM":
            return f"{named} holds {array.dtype}, not texts"
        if text and array.ndim != 1:
            return f"{named} has {array.ndim} axes: texts are a vector"
        if not text and array.dtype.kind not in "fiub":
            return f"{named} holds {_kind(array)}, not numbers"
        return None

    def item_shape(self, header: str) -> tuple[int, ...]:
        """Return the shape of an array without its first axis."""
        array = self._array(header)
        return () if array is None else array.shape[1:]

    def read(self, wanted: Wanted) -> dict[str, Array]:
        """Return arrays as they are; raise DataError when they differ in length or hold what is not finite."""
        arrays = {header: self._array(header) for header in wanted}
        self._arrays.clear()
        columns = {header: array for header, array in arrays.items() if array is not None}
        lengths = {len(array) for array in columns.values()}
        if len(lengths) > 1:
            listed = ", ".join(f"{quote(header)} has {len(array):,}" for header, array in columns.items())
            raise DataError(f"{printable(self.name)}: the arrays differ in their numbers of rows: {listed}")
        if lengths == {0}:
            raise DataError(f"{printable(self.name)}: the arrays have no rows")
        findings = Findings()
        for header, array in columns.items():
            if wanted[header]:
                columns[header] = texts = _texts(array)
                if header in self.gaps:
                    texts[[is_missing(text) or text == "NaT" for text in texts]] = ""
                    continue
                told = repeat((f"the element of the array {quote(header)} is empty", None))
                self.report(findings, header, "is empty", np.flatnonzero(columns[header] == ""), told)
            elif array.dtype.kind == "f" and not np.isfinite(array).all():
                indices = np.argwhere(np.isinf(array) if header in self.gaps else ~np.isfinite(array))
                self.report(findings, header, "is not finite", indices[:, 0], _not_finite(header, array, indices))
        findings.raise_if_any()
        return columns


class ReadTable(NpzTable):
    """What a plugin reads: columns by name, as arrays or as sequences of numbers or texts."""

    part = "column"

    def __init__(self, path: str | os.PathLike[str], reader: Reader) -> None:
        self.name = os.fspath(path)
        try:
            with stdout_to_stderr():
                columns = reader(FilePath(path))
                self._arrays = {name: _array_of(values) for name, values in columns.items()}
        except Exception as error:  # of a plugin's function, anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{printable(self.name)}: the file cannot be read: {printable(reason)}") from error
        self.headers = tuple(self._arrays)
        if not self.headers or not all(isinstance(name, str) for name in self.headers):
            raise DataError(f"{printable(self.name)}: the reader of a plugin gave no columns by name")

    def read(self, wanted: Wanted) -> dict[str, Array]:
        """Return arrays as they are; raise DataError when they differ in length or hold what is not finite."""
        # Opened once, read as often as is asked.
        kept = dict(self._arrays)
        try:
            return super().read(wanted)
        finally:
            self._arrays = kept


def _array_of(values: Any) -> Array | None:
    """Return a column as an array, texts as such; None when it holds anything else."""
    array = np.asarray(values)
    if array.dtype == object and all(isinstance(value, str) for value in array.flat):
        array = array.astype(str)
    return None if array.dtype == object else array


def _not_finite(header: str, array: Array, indices: Array) -> Iterator[Told]:
    for index in indices:
        element = "" if len(index) == 1 else f" {index[1:].tolist()}"
        yield f"the element{element} of the array {quote(header)} is not finite: {array[tuple(index)]}", None


def _texts(array: Array) -> Array:
    result = np.empty(len(array), object)
    result[:] = [str(value) for value in array.tolist()]
    return result


def _kind(array: Array) -> str:
    return {"U": "texts", "S": "bytes", "c": "complex numbers", "M": "dates", "m": "durations"}.get(
        array.dtype.kind, str(array.dtype)
    )
