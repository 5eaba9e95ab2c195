"""What is told of a run and of a check: what it will do, and what it has come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
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
        settings: of a run of a sweep, what it is given, by the paths of ``--set``.
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
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """The objective of a run: its name, ``maximize`` or ``minimize``, and its final value."""

    name: str
    direction: str
    value: float


@dataclass(frozen=True)
class Kept:
    """Which step's parameters a run has kept: the step, the recorded value that is best there, and its name."""

    step: int
    name: str
    value: float


@dataclass(frozen=True)
class Folds:
    """What was recorded on each fold, by the run that it was held back from.

    Attributes:
        steps: how many steps each run made.
        values: of each recorded name the value of each fold, along the first axis.
    """

    steps: list[int]
    values: dict[str, NDArray[Any]]

    @property
    def mean(self) -> dict[str, Any]:
        """The mean over the folds, by name."""
        return {name: values.mean(axis=0) for name, values in self.values.items()}

    @property
    def sd(self) -> dict[str, Any]:
        """The standard deviation over the folds, by name: the root of the mean of the squared deviations."""
        return {name: values.std(axis=0) for name, values in self.values.items()}


@dataclass(frozen=True)
class Uncertainty:
    """What a fit is worth: how far the data determine the parameters. docs/fits.md has the formulas.

    An element of an array is named as in ``W[0,1]``. A number is NaN or None where it cannot be had.

    Attributes:
        kind: ``least_squares`` or ``likelihood``.
        level: how likely an interval covers what it is an interval of.
        degrees_of_freedom: residuals less the parameters that they determine; None for a likelihood.
        residual_sd: the standard deviation of the residuals; None for a likelihood.
        std_errors: the standard error of each parameter that was fitted; NaN for one that is not determined.
        intervals: the two ends of its confidence interval.
        names: the parameters that are determined, in the order of `covariance`.
        covariance: their covariance matrix.
        r_squared: the share of the response's variance that the fit explains, `adjusted_r_squared` for how many
            parameters it took; None where the residual is no difference of one response and a model.
        aic: Akaike's information criterion; `bic` Schwarz's.
        undetermined: the combinations of parameters that nothing follows from, as ``2*a - b``.
        left_out: why a parameter has no standard error: it is at a bound, or held.
        notes: what else there is to know.
    """

    kind: str
    level: float
    degrees_of_freedom: int | None
    residual_sd: float | None
    std_errors: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    names: tuple[str, ...]
    covariance: NDArray[Any]
    r_squared: float | None = None
    adjusted_r_squared: float | None = None
    aic: float | None = None
    bic: float | None = None
    undetermined: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def correlations(self) -> NDArray[Any]:
        """The correlation matrix of the parameters that are determined."""
        sizes = np.sqrt(np.diagonal(self.covariance))
        with np.errstate(all="ignore"):
            return np.asarray(self.covariance / sizes / sizes[:, None])


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
        uncertainty: what the fit is worth, where the graph file asks for it.
        kept: where the graph file says ``keep: best``, which step that is: parameters, values, gradients and `holdout`
            are of it.
        folds: where the graph file divides its rows into folds, what was recorded on each; the rest is of the last one.
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
    uncertainty: Uncertainty | None = None
    kept: Kept | None = None
    folds: Folds | None = None


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
