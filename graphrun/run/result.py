"""What a run gives: the final parameters, values and gradients, and the history of what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.errors import RunError, UsageError
from graphrun.base.outcome import RunOutcome
from graphrun.base.rows import columns
from graphrun.run.display import Displayed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from graphrun.graph.graph import ComputationalGraph
    from graphrun.plan.plan import Plan

INSTALL = "pip install 'graphrun[notebook]'"


@dataclass(frozen=True)
class Result(RunOutcome, Displayed):
    """The outcome of a run: its attributes are those of `RunOutcome`; notebooks show it, plot it, make it a table.

    Attributes:
        made_of: the graph and its plan, with which it is drawn; None for a result that was pickled.
    """

    error: RunError | None = None
    made_of: tuple[ComputationalGraph, Plan] | None = field(default=None, repr=False, compare=False)

    def plot(self, *names: str) -> Axes:
        """Plot recorded numbers by the step, and return Matplotlib's axes.

        Args:
            names: what to plot; default the objective, or every recorded number where there is none.

        Raises:
            UsageError: a name was not recorded or is no number, or Matplotlib is not installed.
        """
        try:
            from matplotlib import pyplot
        except ImportError:
            raise UsageError(f"plot() needs Matplotlib: {INSTALL}") from None
        numbers = [name for name, column in self.history.items() if column.ndim == 1 and name != "step"]
        if not names:
            known = self.objective is not None and self.objective.name in numbers
            names = (self.objective.name,) if known and self.objective is not None else tuple(numbers)
        for name in names:
            if name not in numbers:
                raise UsageError(f"{name!r} is no number that was recorded; there are: {', '.join(numbers)}")
        axes = pyplot.subplots()[1]
        for name in names:
            axes.plot(self.history["step"], self.history[name], label=name)
        axes.set_xlabel("step")
        axes.set_title(self.graph)
        axes.legend()
        return axes

    def to_pandas(self) -> DataFrame:
        """Return the history as a DataFrame: a row for each recorded step, a column for each element of an array.

        Raises:
            UsageError: pandas is not installed.
        """
        recorded = {name: column for name, column in self.history.items() if name != "step"}
        return table_of(dict(columns(recorded)), "step", self.history["step"])

    def __getstate__(self) -> dict[str, Any]:
        # The functions of plugins in them cannot be pickled.
        return self.__dict__ | {"made_of": None}


def table_of(columns: Mapping[str, Any], name: str, index: Any) -> DataFrame:
    """Return columns as a DataFrame, with an index of that name.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        from pandas import DataFrame, Index
    except ImportError:
        raise UsageError(f"to_pandas() needs pandas: {INSTALL}") from None
    return DataFrame(columns, index=Index(index, name=name))


def plain(value: Any) -> Any:
    """Make a NumPy number a Python float, and leave an array as it is."""
    return float(value) if np.ndim(value) == 0 else value
