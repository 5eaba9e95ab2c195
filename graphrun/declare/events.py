"""What an observer is told of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunDescription:
    """What an observer is told of a run before its first step.

    Attributes:
        graph: the name of the graph file.
        description: what the file says of itself, or "".
        objective: the name of the objective, or None; `direction` is ``maximize`` or ``minimize``.
        steps: how many updates there will be at most.
        first_step: where the run begins: 0, or the step of the checkpoint that it goes on from.
        engine: what computes it.
        dtype: ``float64`` or ``float32``.
        seed: what every random draw derives from.
        update: the update rule as a graph file gives it: ``type`` and settings.
        record: the names that are recorded.
        parameters: how many numbers the updates move.
    """

    graph: str
    description: str
    objective: str | None
    direction: str
    steps: int
    first_step: int
    engine: str
    dtype: str
    seed: int
    update: Mapping[str, Any]
    record: Sequence[str]
    parameters: int
