"""Predictions as a file: a row for each row of the data, a column for each element of each value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import RunError, UsageError
from graphrun.base.files import write_atomically
from graphrun.base.rows import columns

Piece = Mapping[str, NDArray[Any]]


def write_predictions(pieces: Iterable[Piece], names: Sequence[str], target: str | None, stdout: TextIO) -> None:
    """Write predictions, piece by piece where the format allows it.

    Args:
        pieces: values by name, each with an axis of rows first.
        names: the names, in the order of the columns.
        target: a ``.csv`` or ``.npz`` file, written whole or not at all; None for CSV on stdout.
        stdout: where to write without a target.

    Raises:
        UsageError: the target is neither.
        RunError: the target cannot be written.
    """
    if target is None:
        csv.writer(stdout, lineterminator="\n").writerows(_rows(pieces, names))
        return
    path = Path(target)
    if path.suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(_rows(pieces, names))
        data = text.getvalue().encode()
    elif path.suffix == ".npz":
        kept = list(pieces)
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: np.concatenate([piece[name] for piece in kept]) for name in names}
        np.savez(buffer, **arrays)
        data = buffer.getvalue()
    else:
        raise UsageError(f"-o {target}: write a name that ends with .csv or .npz")
    try:
        write_atomically(path, data)
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror or error}") from None


def _rows(pieces: Iterable[Piece], names: Sequence[str]) -> Iterator[Iterable[Any]]:
    """Yield the header, then the rows; the elements of an array are columns named like ``probability[0]``."""
    for number, piece in enumerate(pieces):
        table = dict(columns({name: piece[name] for name in names}))
        if not number:
            yield table
        yield from zip(*(column.tolist() for column in table.values()), strict=True)
