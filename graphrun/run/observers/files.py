"""Observers that write the recorded rows to files as they come."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.outcome import RunDescription
from graphrun.base.rows import columns, encode, write_row
from graphrun.declare.hookspecs import hookimpl


class _File:
    """A text file that is opened when the run starts, so that a mistake in it costs no run."""

    def __init__(self, target: str) -> None:
        if not target:
            raise UsageError("a file is needed, as in --observe csv=run.csv")
        self.target = target

    @hookimpl
    def graphrun_started(self, run: RunDescription) -> None:
        """Open the file; a run that goes on from a checkpoint goes on with its rows, too.

        Raises:
            UsageError: the file cannot be opened.
        """
        try:
            self._file = Path(self.target).open("a" if run.first_step else "w", encoding="utf-8", newline="")  # noqa: SIM115 (closed at the end of the run)
        except OSError as error:
            raise UsageError(f"the rows cannot be written to {self.target}: {error.strerror or error}") from None

    @hookimpl
    def graphrun_finished(self) -> None:
        """Close the file; of a run that failed, the rows before the failure are in it."""
        self._file.close()

    graphrun_failed = graphrun_finished


class JsonLinesFile(_File):
    """Writes a JSON object a row, as ``--format jsonl`` does: ``{"step": 0, "f": -4.0, ...}``."""

    @hookimpl
    def graphrun_recorded(self, step: int, values: Mapping[str, Any]) -> None:
        """Write a row at once."""
        write_row(step, values, self._file)


class CsvFile(_File):
    """Writes a line a row: the step, then every recorded number; an element of an array is headed as ``W[0,1]``."""

    @hookimpl
    def graphrun_recorded(self, step: int, values: Mapping[str, Any]) -> None:
        """Write a row at once, before the first one the header."""
        writer = csv.writer(self._file, lineterminator="\n")
        if self._file.tell() == 0:
            writer.writerow(["step", *(name for name, _ in numbers(values))])
        writer.writerow([step, *(encode(number) for _, number in numbers(values))])
        self._file.flush()


def numbers(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return all numbers of a row with their names, those of an array with their indices."""
    return [
        (name, float(column[0]))
        for name, column in columns({name: np.asarray(value)[np.newaxis] for name, value in values.items()})
    ]


class TensorBoard:
    """Writes each recorded number as a scalar and each array by its mean, with the step, to a folder of event files."""

    def __init__(self, target: str) -> None:
        if not target:
            raise UsageError("a folder is needed, as in --observe tensorboard=runs/first")
        try:
            from tensorboard.summary import Writer
        except ModuleNotFoundError:
            raise UsageError("it needs TensorBoard: pip install 'graphrun[tensorboard]'") from None
        self._open = Writer
        self.target = target

    @hookimpl
    def graphrun_started(self, run: RunDescription) -> None:
        """Begin an event file; TensorBoard joins those of one folder, so a resumed run goes on in the same curves."""
        del run
        self._writer = self._open(self.target)

    @hookimpl
    def graphrun_recorded(self, step: int, values: Mapping[str, Any]) -> None:
        """Write a row."""
        for name, value in values.items():
            tag = name if np.ndim(value) == 0 else f"{name}.mean"
            self._writer.add_scalar(tag, float(np.mean(value)), step)

    @hookimpl
    def graphrun_finished(self) -> None:
        """Close the event file; of a run that failed, the rows before the failure are in it."""
        self._writer.close()

    graphrun_failed = graphrun_finished
