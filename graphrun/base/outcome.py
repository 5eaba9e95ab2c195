"""What a run has come to, as its observers and whoever catches its error are given it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


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
