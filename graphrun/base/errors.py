"""The family of exceptions that graphrun raises for a user's mistakes.

Every one of them carries the exit status that the command line ends with (docs/command-line.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphrun.base.wording import fitting, printable_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphrun.base.outcome import RunOutcome

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


class GraphrunError(Exception):
    """Anything that graphrun reports without a traceback: catch this one to catch them all."""

    exit_status = 2
    located = False
    """Whether the text begins with file, line and column."""

    def __str__(self) -> str:
        """Return the text as a terminal may show it: names in it may be very long, or come from a file or a library."""
        return printable_lines(fitting(super().__str__()))


class GraphFileError(GraphrunError):
    """A graph file that cannot be used; the text lists every problem found in it, each with its position."""

    located = True


class UsageError(GraphrunError):
    """A request that makes no sense: an unknown name, a negative number of steps, an engine that is not installed."""


class ShapeError(GraphrunError):
    """Inputs of a node whose shapes do not fit together."""

    located = True


class DeclarationError(GraphrunError, TypeError):
    """A node type or an update rule that is declared wrongly (also a TypeError, for it is a mistake in Python code)."""


class MemoryLimitError(ShapeError):
    """A graph, or one of its values, that needs more memory or time than there may be; also where there is no more."""


class RunError(GraphrunError):
    """A run or a check that failed after it began.

    Attributes:
        result: what the run has all the same, a `graphrun.Result`; None where it has nothing.
    """

    exit_status = 1
    result: RunOutcome | None = None


class PluginError(RunError):
    """A plugin's function that raised, or returned something else than its declaration promises."""


class NotFiniteError(RunError):
    """A value or a derivative that is not finite; the text names where it arose and how it was reached.

    Attributes:
        step: the step that broke.
        leaves: the values of the leaves there.
        passes: both passes there as far as they came, a `graphrun.run.passes.Passes`, where they were asked for.
    """

    step: int | None = None
    leaves: Sequence[Any] = ()
    passes: Any = None


class CheckpointError(RunError):
    """A checkpoint that cannot be written."""
