"""What a run has come to, as an observer of it and the catcher of its error are given it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ObjectiveOutcome(Protocol):
    """The objective of a run."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def direction(self) -> str:
        """``maximize`` or ``minimize``."""

    @property
    def value(self) -> float:
        """Its final value."""


class RunOutcome(Protocol):
    """What `graphrun.Result` tells; values and gradients belong to the final parameters."""

    @property
    def graph(self) -> str:
        """The name of the graph file."""

    @property
    def steps(self) -> int:
        """How many updates were made."""

    @property
    def stopped(self) -> str:
        """Why the run ended."""

    @property
    def engine(self) -> str:
        """The engine that ran it."""

    @property
    def objective(self) -> ObjectiveOutcome | None:
        """The objective, or None for a graph that is only evaluated."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The final value of each parameter."""

    @property
    def values(self) -> Mapping[str, Any]:
        """The value of each node."""

    @property
    def gradients(self) -> Mapping[str, Any]:
        """The derivative of the objective by each parameter and node."""

    @property
    def history(self) -> Mapping[str, Any]:
        """``step`` and each recorded name, by column."""

    @property
    def holdout(self) -> Mapping[str, Any]:
        """The last recorded values on the held-back rows of the data set."""

    @property
    def error(self) -> Exception | None:
        """Why the run failed, or None."""
