"""Columns that are arrays whose first axis is the rows: of NumPy's archives, and what the readers of plugins give."""

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import repeat
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import printable, quote
from graphrun.data.problems import DataError, Findings
from graphrun.data.table import Array, Table, Told, Wanted, is_missing
from graphrun.document.data_section import Reader


class ArrayTable(Table):
    """A file of named arrays."""

    part = "array"

    @abstractmethod
    def _array(self, header: str) -> Array | None:
        """Return an array; None when it holds objects."""

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


class ReadTable(ArrayTable):
    """What a plugin reads: columns by name, as arrays or as sequences of numbers or texts."""

    part = "column"

    def __init__(self, path: str | os.PathLike[str], reader: Reader) -> None:
        self.name = os.fspath(path)
        try:
            with stdout_to_stderr():
                columns = reader(FilePath(path))
                given = columns.items() if isinstance(columns, Mapping) else ()
                self._arrays = {name: _array_of(values) for name, values in given}
        except (Exception, SystemExit) as error:  # of a plugin's function, anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{printable(self.name)}: the file cannot be read: {printable(reason)}") from error
        self.headers = tuple(self._arrays)
        if not self.headers or not all(isinstance(name, str) for name in self.headers):
            raise DataError(f"{printable(self.name)}: the reader of a plugin gave no columns by name")

    def _array(self, header: str) -> Array | None:
        """Return a column; None when it holds anything but numbers or texts."""
        return self._arrays[header]


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
