"""Observers that write the recorded rows to files as they come."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.outcome import RunDescription
from graphrun.base.rows import columns, encode, write_row
from graphrun.base.wording import quote
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

        Those from the checkpoint's step on are cut off: the run writes them anew.

        Raises:
            UsageError: the file cannot be opened, or has something else in it than such rows.
        """
        try:
            if run.first_step and Path(self.target).is_file():
                with Path(self.target).open("r+b") as file:
                    file.truncate(self._length(file, run))
            self._file = Path(self.target).open("a" if run.first_step else "w", encoding="utf-8", newline="")  # noqa: SIM115 (closed at the end of the run)
        except OSError as error:
            raise UsageError(f"the rows cannot be written to {self.target}: {error.strerror or error}") from None

    def _length(self, file: Iterable[bytes], run: RunDescription) -> int:
        """Return how many bytes the rows before a run have; a line without an end is what a killed run left."""
        length = 0
        for line in file:
            try:
                if not line.endswith(b"\n") or self.step_of(line, run) >= run.first_step:
                    break
            except (ValueError, LookupError, TypeError, RecursionError):
                shown = quote(line.decode("utf-8", "replace").rstrip("\n"))
                raise UsageError(
                    f"the rows cannot go on in {self.target}, which has something else in it than rows of this run: "
                    f"{shown}\n  give another file, or record the same names"
                ) from None
            length += len(line)
        return length

    def step_of(self, line: bytes, run: RunDescription) -> int:
        """Return the step of a row as it stands in the file, -1 of a header; raise ValueError where it is neither."""
        raise NotImplementedError

    @hookimpl
    def graphrun_finished(self) -> None:
        """Close the file; of a run that failed, the rows before the failure are in it."""
        self._file.close()

    graphrun_failed = graphrun_finished


class JsonLinesFile(_File):
    """Writes a JSON object a row, as ``--format jsonl`` does: ``{"step": 0, "f": -4.0, ...}``."""

    def step_of(self, line: bytes, run: RunDescription) -> int:
        """Return the step of a row."""
        del run
        return int(json.loads(line)["step"])

    @hookimpl
    def graphrun_recorded(self, step: int, values: Mapping[str, Any]) -> None:
        """Write a row at once."""
        write_row(step, values, self._file)


class CsvFile(_File):
    """Writes a line a row: the step, then every recorded number; an element of an array is headed as ``W[0,1]``."""

    _header: Sequence[str] | None = None

    def step_of(self, line: bytes, run: RunDescription) -> int:
        """Return the step of a row, -1 of the header, which is to have the same names."""
        cells = next(csv.reader([line.decode()]))
        if self._header is not None:
            return int(cells[0])
        # An array's name is followed by an index, and what is held back stands after the rest.
        names = dict.fromkeys(cell.partition("[")[0] for cell in cells if not cell.startswith("holdout."))
        if list(names) != ["step", *run.record]:
            raise ValueError
        self._header = cells
        return -1

    @hookimpl
    def graphrun_recorded(self, step: int, values: Mapping[str, Any]) -> None:
        """Write a row at once, before the first one the header."""
        writer = csv.writer(self._file, lineterminator="\n")
        header = ["step", *(name for name, _ in numbers(values))]
        if self._file.tell() == 0:
            writer.writerow(header)
            self._header = header
        elif header != self._header:
            self._file.close()
            raise UsageError(f"the rows of {self.target} have other columns: give another file")
        writer.writerow([step, *(encode(number) for _, number in numbers(values))])
        self._file.flush()


def numbers(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return all numbers of a row with their names, those of an array with their indices."""
    return [
        (name, float(column[0]))
        for name, column in columns({name: np.asarray(value)[np.newaxis] for name, value in values.items()})
    ]


class TensorBoard:
    """Writes each recorded number as a scalar and each array by its mean, with the step, to a folder of event files.

    Of a run of a sweep it has the settings, too, which TensorBoard's page of hyperparameters compares.
    """

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
        went_before = run.first_step > 0 and any(Path(self.target).glob("*tfevents*"))
        self._there = run.first_step if went_before else None
        if run.settings and not went_before:
            self._write_settings(run.settings)
        self._writer = self._open(self.target)

    def _write_settings(self, settings: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        plain = (bool, int, float, str)
        told = {path: value if isinstance(value, plain) else json.dumps(value) for path, value in settings.items()}
        # A file of its own, for what writes numbers writes nothing else; TensorBoard joins them.
        writer = EventFileWriter(self.target)
        writer.add_event(Event(wall_time=time.time(), summary=hparams_pb(told)))
        writer.close()

    @hookimpl
    def graphrun_recorded(self, step: int, values: Mapping[str, Any]) -> None:
        """Write a row, unless the run that this one goes on from has written it."""
        for name, value in values.items() if step != self._there else ():
            tag = name if np.ndim(value) == 0 else f"{name}.mean"
            self._writer.add_scalar(tag, float(np.mean(value)), step)

    @hookimpl
    def graphrun_finished(self) -> None:
        """Close the event file; of a run that failed, the rows before the failure are in it."""
        self._writer.close()

    graphrun_failed = graphrun_finished
