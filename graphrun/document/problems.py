"""Everything that is wrong with a file, told together: each problem with its place, its line and a way out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn, TypeAlias

from graphrun.base.errors import GraphFileError
from graphrun.base.wording import did_you_mean, fitting, quote
from graphrun.document.excerpt import describe_problem
from graphrun.document.marks import Mark, Path, mark_within
from graphrun.document.source import Source

MOST_SHOWN = 20
MOST_USES = 6

# A function is called only for a problem that is shown: finding a near name takes longer than finding the mistake.
Suggestion: TypeAlias = str | Callable[[], str | None] | None


NONE: Mapping[str, str] = {}


class ExpressionText(NamedTuple):
    """The text of an expression, and where in it a node, each of its inputs, and its settings stand."""

    text: str
    offsets: tuple[int, ...]
    places: dict[str, tuple[int, int]] = {}  # noqa: RUF012 (shared on purpose: nobody changes it)


class Use(NamedTuple):
    """The place where a subgraph is used, and the use of the subgraph around that place."""

    subgraph: str
    node: Problems
    outer: Use | None


class LocatedProblem(NamedTuple):
    """One thing that is wrong: at a path of keys, at a character of an expression there, or at a place."""

    source: Source
    place: Path | Mark
    key: bool
    offset: int | None
    text: str
    message: str
    suggestion: Suggestion
    use: Use | None


class _Count:
    """How many problems were found, the same one in many uses of a definition included."""

    found = 0


class Problems:
    """The problems of a graph file, collected so that all of them can be told at once.

    A view (`at`, `used`) adds to the same collection, with paths that begin at its own.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._base: Path = ()
        self._use: Use | None = None
        self._expression: ExpressionText | None = None
        self._problems: dict[tuple[int, Path | Mark, bool, int | None, str], LocatedProblem] = {}
        self._count = _Count()

    def at(self, path: Path, *, source: Source | None = None, expression: ExpressionText | None = None) -> Problems:
        """Return a view whose paths begin with this one, here or at the top of another file.

        Within an expression, the path ("inputs", 1) stands for the second input, the name of a setting for that, and
        any other for the node itself.
        """
        view = self._view()
        view._base = self._base + path if source is None else path
        view.source = source or self.source
        view._expression = expression
        return view

    @property
    def expression(self) -> str:
        """The text of the expression that made a node; empty where none did."""
        return "" if self._expression is None else self._expression.text

    def used(self, use: Use | None) -> Problems:
        """Return a view whose problems are told with the use of a subgraph that led to them."""
        if use is None:
            return self
        view = self._view()
        view._use = use
        return view

    def _view(self) -> Problems:
        view = Problems(self.source)
        view._base, view._use, view._expression = self._base, self._use, self._expression
        view._problems, view._count = self._problems, self._count
        return view

    def add(self, path: Path, message: str, *, suggestion: Suggestion = None, key: bool = False) -> None:
        """Add a problem with the value at this path, or with its key."""
        self._keep(self._problem(path, message, suggestion, key=key))

    def refuse_unknown(
        self, path: Path, raw: dict[str, Any], known: Sequence[str], of: str = "", advice: Mapping[str, str] = NONE
    ) -> None:
        """Add a problem for each key of the mapping at this path that is not among those that are known."""
        for key in raw:
            if key not in known:
                near: Suggestion = advice.get(key.lower()) or partial(did_you_mean, key, known)
                self.add((*path, key), f"unknown key {quote(key)}{of}", suggestion=near, key=True)

    def describe(self, path: Path, message: str, suggestion: Suggestion = None, *, key: bool = False) -> str:
        """Return the text of one problem without adding it."""
        problem = self._problem(path, message, suggestion, key=key)
        return _block(*_located(problem), problem)

    def _problem(self, path: Path, message: str, suggestion: Suggestion, *, key: bool) -> LocatedProblem:
        text, offset = "", None
        if self._expression is not None:
            text, offsets, places = self._expression
            offset = offsets[1 + path[1]] if path[:1] == ("inputs",) and len(path) == 2 else offsets[0]  # type: ignore[operator]
            if path and path[0] in places:
                offset = places[str(path[0])][0 if key else 1]
            path, key = (), False
        place = self._base + tuple(path)
        return LocatedProblem(self.source, place, key, offset, text, message, suggestion, self._use)

    def add_at(self, mark: Mark, message: str, *, suggestion: Suggestion = None) -> None:
        """Add a problem at this place in the text."""
        self._keep(LocatedProblem(self.source, mark, False, None, "", message, suggestion, self._use))

    def _keep(self, problem: LocatedProblem) -> None:
        # What is wrong with a definition is found in each of its uses: a repeated one may have a million.
        key = id(problem.source), problem.place, problem.key, problem.offset, problem.message
        self._problems.setdefault(key, problem)
        self._count.found += 1

    def where(self) -> str:
        """Return the place of the view itself: file:line:column."""
        problem = LocatedProblem(self.source, self._base, True, None, "", "", None, None)
        source, mark = _located(problem)
        return f"{source.name}:{mark.line}:{mark.column}" if source is self.source else source.name

    def __len__(self) -> int:
        return self._count.found

    def __str__(self) -> str:
        problems = self._problems.values()
        _locate((problem.source, problem.place) for problem in problems)
        sources = {source: number for number, source in enumerate(dict.fromkeys(p.source for p in problems))}
        # The same problem of one definition, found in many uses of it, is told once. Where in an expression a problem
        # stands is found for those that are shown: the text is followed up to there, which for all would be quadratic.
        found: dict[tuple[int, Mark, int, str], LocatedProblem] = {}
        for problem in problems:
            offset = -1 if problem.offset is None else problem.offset
            key = sources[problem.source], _beginning(problem)[1], offset, problem.message
            found.setdefault(key, problem)
        ordered = sorted(found, key=lambda place: place[:3])
        _locate((use.node.source, use.node._base) for key in ordered[:MOST_SHOWN] for use in _uses(found[key]))
        blocks = [_block(*_located(found[key]), found[key]) for key in ordered[:MOST_SHOWN]]
        left = len(ordered) - len(blocks)
        if left:
            blocks.append(f"and {left:,} more problem{'s' if left > 1 else ''}")
        return fitting("\n".join(blocks))

    def raise_if_any(self) -> None:
        """Raise a GraphFileError with the text of all problems, if there are any."""
        if self._problems:
            self.fail()

    def fail(self) -> NoReturn:
        """Raise a GraphFileError with the text of all problems."""
        raise GraphFileError(str(self))


def _locate(places: Iterable[tuple[Source, Path | Mark]]) -> None:
    """Find all these places with one reading of each text, so that each of them is known when it is asked for."""
    paths: dict[Source, list[Path]] = {}
    for source, place in places:
        if not isinstance(place, Mark):
            behind, path = source.behind(place)
            paths.setdefault(behind, []).append(path)
    for source, wanted in paths.items():
        source.locate(wanted)


def _uses(problem: LocatedProblem) -> Iterator[Use]:
    """Yield the uses of subgraphs in which a problem stands, the innermost first."""
    use = problem.use
    while use is not None:
        yield use
        use = use.outer


def _beginning(problem: LocatedProblem) -> tuple[Source, Mark]:
    """Return the text in which a problem stands, which may be that of an override, and where its value begins there."""
    if isinstance(problem.place, Mark):
        return problem.source, problem.place
    source, path = problem.source.behind(problem.place)
    return source, source.mark(path, key=problem.key and problem.offset is None)


def _located(problem: LocatedProblem) -> tuple[Source, Mark]:
    """Return the text in which a problem stands, and the place in it."""
    source, mark = _beginning(problem)
    if problem.offset is None:
        return source, mark
    return source, mark_within(source.text, source.lines, mark, problem.text, problem.offset)


def _block(source: Source, mark: Mark, problem: LocatedProblem) -> str:
    suggestion = problem.suggestion() if callable(problem.suggestion) else problem.suggestion
    lines = [describe_problem(source.name, source.lines, mark, problem.message, suggestion, located=source.is_file)]
    uses = list(_uses(problem))
    shown = uses if len(uses) <= MOST_USES else [*uses[: MOST_USES - 1], uses[-1]]
    lines += [f"  in the subgraph {quote(use.subgraph)}, used at {use.node.where()}" for use in shown]
    if len(uses) > len(shown):
        lines.insert(-1, f"  in {len(uses) - len(shown):,} more subgraphs")
    return "\n".join(lines)
