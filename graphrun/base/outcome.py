"""What is told of a run and of a check: what it will do, and what it has come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from graphrun.base.wording import counted


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


@dataclass(frozen=True)
class Objective:
    """The objective of a run: its name, ``maximize`` or ``minimize``, and its final value."""

    name: str
    direction: str
    value: float


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run.

    Values and gradients belong to the final parameters. Numbers are Python floats, arrays are NumPy arrays.

    Attributes:
        graph: the name of the graph file.
        steps: how many updates were made.
        stopped: why the run ended: ``steps``, the name of a stop rule, ``interrupted``, or what was not finite or
            failed.
        engine: the engine that ran it.
        objective: the objective, or None for a graph that is only evaluated.
        parameters: the final value of each parameter.
        values: the value of each node.
        gradients: the derivative of the objective by each parameter and node.
        history: ``step`` and each recorded name, by column; row 0 is before any update.
        holdout: the last recorded values on the held-back rows of the data set.
        error: why the run failed, or None.
    """

    graph: str
    steps: int
    stopped: str
    engine: str
    objective: Objective | None
    parameters: dict[str, Any]
    values: dict[str, Any]
    gradients: dict[str, Any]
    history: dict[str, NDArray[Any]]
    holdout: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None


@dataclass
class CheckReport:
    """What a check found.

    Attributes:
        failures: one text for each thing that is wrong.
        derivatives: how many local derivatives were compared with finite differences.
        skipped: how many were not, for they lie at a kink or at a border of the domain.
        gradient: how many derivatives of the objective were compared.
        expected: how many expected numbers were compared.
    """

    failures: list[str] = field(default_factory=list)
    derivatives: int = 0
    skipped: int = 0
    gradient: int = 0
    expected: int = 0

    @property
    def summary(self) -> str:
        """What was compared, in a line."""
        skipped = f", {self.skipped:,} skipped at a kink or border" if self.skipped else ""
        return (
            f"{counted(self.derivatives, 'local derivative')}{skipped}; "
            f"gradient in {counted(self.gradient, 'direction')}; {counted(self.expected, 'expected value')}"
        )
