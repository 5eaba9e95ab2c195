"""The observer that writes what TensorBoard shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.outcome import RunDescription
from graphrun.declare.hookspecs import hookimpl


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
