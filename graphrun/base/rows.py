"""Rows of values as plain data: JSON and its lines, and the names of the columns that CSV and others give an array."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray


def encode(value: Any) -> Any:
    """Make a number or an array plain data; what is not finite becomes a string, for JSON has no such numbers."""
    if isinstance(value, np.ndarray):
        data = value.tolist()
        return data if value.dtype.kind == "i" or np.isfinite(value).all() else encode_nested(data)
    number = float(value)
    return number if math.isfinite(number) else encode_nested(number)


def encode_nested(value: Any) -> Any:
    """Make nested lists of numbers plain data, as `encode` does."""
    if isinstance(value, list):
        return [encode_nested(item) for item in value]
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def encoded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Make values plain data."""
    return {name: encode(value) for name, value in values.items()}


def write_json(data: Mapping[str, Any], file: TextIO) -> None:
    """Write plain data as one line of JSON; what could steer a terminal stands as JSON's escapes."""
    unicode = (file.encoding or "utf").lower().startswith("utf")
    text = json.dumps(data, ensure_ascii=not unicode, allow_nan=False)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    file.write(f"{text}\n")


def write_row(step: int, row: Mapping[str, Any], file: TextIO) -> None:
    """Write one recorded row as a JSON line, at once."""
    write_json({"step": step, **encoded(row)}, file)
    file.flush()


def thinned(count: int, most: int) -> NDArray[np.intp]:
    """Return which of so many rows are left where there are to be `most`: at even distances, both ends included."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.intp)) if count > most else np.arange(count)


def element_name(name: str, index: tuple[int, ...]) -> str:
    """Return the name of an element of an array, ``W[0,1]``; a number has no index, and its own name."""
    return f"{name}[{','.join(map(str, index))}]" if index else name


def columns(table: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the columns of numbers of a table whose arrays have an axis of rows: ``W[0,1]`` for each element."""
    for name, array in table.items():
        for index in np.ndindex(array.shape[1:]):
            yield element_name(name, index), array[(slice(None), *index)]
