"""Everything that is wrong with a file, told together: each problem with its place, its line and a way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias

from graphrun.document.excerpt import describe_problem
from graphrun.document.marks import Mark, Path
from graphrun.errors import GraphFileError

if TYPE_CHECKING:
    from graphrun.document.source import Source

MOST_SHOWN = 20

# A function is called only for a problem that is shown: finding a near name takes longer than finding the mistake.
Suggestion: TypeAlias = str | Callable[[], str | None] | None


class Problem(NamedTuple):
    """One thing that is wrong, at a path of keys or at a place."""

    place: Path | Mark
    key: bool
    message: str
    suggestion: Suggestion


class Problems:
    """The problems of one file, collected so that all of them can be told at once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._problems: list[Problem] = []

    def add(self, path: Path, message: str, *, suggestion: Suggestion = None, key: bool = False) -> None:
        """Add a problem with the value at this path, or with its key."""
        self._problems.append(Problem(tuple(path), key, message, suggestion))

    def add_at(self, mark: Mark, message: str, *, suggestion: Suggestion = None) -> None:
        """Add a problem at this place in the text."""
        self._problems.append(Problem(mark, False, message, suggestion))

    def __len__(self) -> int:
        return len(self._problems)

    def __str__(self) -> str:
        self.source.locate(problem.place for problem in self._problems if not isinstance(problem.place, Mark))
        ordered = sorted((self._mark(problem), number) for number, problem in enumerate(self._problems))
        blocks = [self._block(mark, self._problems[number]) for mark, number in ordered[:MOST_SHOWN]]
        left = len(ordered) - len(blocks)
        if left:
            blocks.append(f"and {left:,} more problem{'s' if left > 1 else ''}")
        return "\n".join(blocks)

    def raise_if_any(self) -> None:
        """Raise a GraphFileError with the text of all problems, if there are any."""
        if self._problems:
            self.fail()

    def fail(self) -> NoReturn:
        """Raise a GraphFileError with the text of all problems."""
        raise GraphFileError(str(self))

    def _mark(self, problem: Problem) -> Mark:
        place = problem.place
        return place if isinstance(place, Mark) else self.source.mark(place, key=problem.key)

    def _block(self, mark: Mark, problem: Problem) -> str:
        suggestion = problem.suggestion() if callable(problem.suggestion) else problem.suggestion
        return describe_problem(self.source.name, self.source.lines, mark, problem.message, suggestion)
