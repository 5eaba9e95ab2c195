"""What a user asks of a run. `Graph.run` makes one of its keyword arguments, a command one of its options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any

from graphrun.base.errors import UsageError
from graphrun.base.types import MOST
from graphrun.base.wording import quote

if TYPE_CHECKING:
    from pathlib import Path

    from graphrun.base.outcome import Objective
    from graphrun.document import Document
    from graphrun.engines import Program
    from graphrun.engines.auto import Choice
    from graphrun.run.distributed import Cluster
    from graphrun.run.result import Result

Row = Callable[[int, dict[str, Any]], None]
"""Takes a step and the values recorded there, by name."""


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked for, whatever the graph; a default of None is the graph file's.

    Attributes:
        steps, engine, dtype, seed, record, every, save, save_every, resume, device, observers: as of `Graph.run`.
        cluster: the processes that share out the rows of each step among themselves.
        on_row: called with each recorded row: the step, and the values by name.
        most_rows: with no `every`, each step is a recorded row; whenever there are more than so many, every other one
            is dropped. So a run that ends early has as many rows as one that was to be as short.
        one_row: what is asked for is the row after the last step, as a run of the file has it, so that few rows are
            recorded, and no other parameters are kept.
        settings: what a sweep has given this run, for observers.
        folds_done: what a checkpoint is to have of the folds before, by name.
        inspect: called with the program at each recorded row; `Passes.of` takes its two passes apart.
        on_progress: called now and then with the number of steps made, and what gives the objective now.
        on_look: called now and then with what gives the result so far.
        on_choice: called with what ``auto`` chose, and why.
        interrupted: asked now and then whether to end.
    """

    steps: int | None = None
    engine: str = "auto"
    dtype: str | None = None
    seed: int | None = None
    record: Sequence[str] | None = None
    every: int | None = None
    save: str | Path | None = None
    save_every: int | None = None
    resume: str | Path | None = None
    device: str | None = None
    cluster: Cluster | None = None
    observers: Sequence[object] = ()
    on_row: Row | None = None
    most_rows: int | None = None
    one_row: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    folds_done: Mapping[str, Any] = field(default_factory=dict)
    inspect: Callable[[Program], None] | None = None
    on_progress: Callable[[int, Callable[[], Objective | None]], None] = lambda _step, _objective: None
    on_look: Callable[[Callable[[], Result]], None] = lambda _result: None
    on_choice: Callable[[Choice], None] = lambda _choice: None
    interrupted: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        """Read the numbers; 1e6 is a whole one here too, as it is in a graph file.

        Raises:
            UsageError: one of them makes no sense.
        """
        for name, least, most in (("steps", 0, MOST), ("every", 1, MOST), ("seed", 0, None), ("save_every", 1, MOST)):
            number = getattr(self, name)
            if number is not None:
                object.__setattr__(self, name, whole(name, number, least, most))

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: something does not.
        """
        if self.save_every is not None and self.save is None:
            raise UsageError("save_every is a whole number of 1 or more, and goes with save")

    def steps_of(self, document: Document) -> int:
        """Return how many steps are asked for, by the request or by the graph file."""
        if self.steps is not None:
            return self.steps
        return 1 if document.steps is None else document.steps

    @property
    def needs_jax(self) -> bool:
        """Whether a device or a cluster is asked for, which are the jax engine's."""
        return self.device is not None or self.cluster is not None

    @property
    def writes(self) -> bool:
        """Whether this process writes what the run gives: of several, the first one does."""
        return self.cluster is None or self.cluster.is_first()


def listed_names(what: str, names: Any, kind: str = "names") -> list[str]:
    """Return the names that somebody gives, or texts of another kind.

    Raises:
        UsageError: it is no list of texts.
    """
    given: list[Any] = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [None]
    if not all(isinstance(name, str) for name in given):
        raise UsageError(f"{what}: a list of {kind} is needed, not {names!r}")
    return given


def whole(name: str, number: Any, least: int, most: int | None = None) -> int:
    """Return a whole number that somebody gives, in whatever type.

    Raises:
        UsageError: it is none, below the least one, or above the largest.
    """
    is_whole = isinstance(number, Integral) or (isinstance(number, float) and number.is_integer())
    is_whole = is_whole and not isinstance(number, bool) and number >= least
    if is_whole and (most is None or number <= most):
        return int(number)
    largest = f", to {most:,} at most" if is_whole else ""
    raise UsageError(f"{name} is a whole number of {least} or more{largest}, not {quote(str(number))[1:-1]}")
