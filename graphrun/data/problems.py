"""What is wrong with a data file: cells told with file, line and column, wrong names where the graph file has them."""

from collections import Counter
from typing import NamedTuple, NoReturn

from graphrun.base.errors import GraphrunError
from graphrun.base.wording import printable, quote
from graphrun.document.marks import Path
from graphrun.document.problems import Problems

# The first of each kind are shown: a column of texts has a mistake in every row.
MOST_SHOWN = 20
MOST_OF_A_KIND = 3


# What helps where there is no number, or no text.
FILL = "fill the cell in, or leave such rows out: missing: drop"


class DataError(GraphrunError):
    """A data file that cannot be used; the text names file, row and column of every mistake."""

    located = True


class Place(NamedTuple):
    """Where a cell stands, as users see it, and the line that it is in with a caret under it."""

    text: str
    excerpt: tuple[str, ...] = ()

    def tell(self, message: str, suggestion: str | None = None) -> str:
        """Return a mistake as users see it."""
        lines = [f"{self.text}: {message}", *(f"    {line}" for line in self.excerpt)]
        return "\n".join([*lines, f"  {suggestion}"] if suggestion else lines)


class Findings:
    """Mistakes in the cells of a data file, collected so that they can be told together."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._kinds: Counter[tuple[str, ...]] = Counter()

    def __len__(self) -> int:
        return self._kinds.total()

    def wants(self, *kind: str) -> bool:
        """Count a mistake of a kind; say whether it will be shown, so that it needs a place."""
        self._kinds[kind] += 1
        return self._kinds[kind] <= MOST_OF_A_KIND and len(self._blocks) < MOST_SHOWN

    def count(self, more: int, *kind: str) -> None:
        """Count mistakes that are not shown."""
        self._kinds[kind] += more

    def add(self, place: Place, message: str, suggestion: str | None = None) -> None:
        """Add a mistake that was counted."""
        self._blocks.append(place.tell(message, suggestion))

    def fail(self, *, complete: bool = True) -> NoReturn:
        """Raise a DataError with all that was found."""
        left = len(self) - len(self._blocks)
        blocks = list(self._blocks)
        if left or not complete:
            count = f"{left:,} " if left else ""
            blocks.append(f"and {'' if complete else 'at least '}{count}more problem{'s' if left != 1 else ''}")
        raise DataError("\n".join(blocks))

    def raise_if_any(self) -> None:
        """Raise a DataError with all that was found, if anything was."""
        if len(self):
            self.fail()


class Mistakes:
    """What does not fit between a graph file's `data` section and the data file.

    It is told at its place in the graph file where `problems` are given, and under the data file's name otherwise.
    """

    def __init__(self, file: str, problems: Problems | None) -> None:
        self.file = file
        self._problems = problems
        self._blocks: list[str] = []

    def add(self, path: Path | None, message: str, suggestion: str | None = None) -> None:
        """Add a mistake at a path of the graph file; None where the data file itself is the mistake."""
        if self._problems is not None and path is not None:
            self._problems.add(path, message, suggestion=suggestion)
            return
        self._blocks.append(Place(printable(self.file)).tell(message, suggestion))

    def add_of_file(self, path: Path, message: str, suggestion: str | None = None) -> None:
        """Add a mistake that is the data file's, whose name is told also where the place is one of the graph file."""
        self.add(path, message if self._problems is None else f"{quote(self.file)}: {message}", suggestion)

    def raise_if_any(self) -> None:
        """Raise a GraphFileError or a DataError with what was added, if anything was."""
        if self._problems is not None and len(self._problems):
            self._problems.fail()
        if self._blocks:
            raise DataError("\n".join(self._blocks))

    def fail(self, path: Path | None, message: str, suggestion: str | None = None) -> NoReturn:
        """Add a mistake and raise."""
        self.add(path, message, suggestion)
        self.raise_if_any()
        raise AssertionError
