"""YAML text → plain data, from the events of libyaml's parser.

An event loader takes a fifth of the time and a third of the memory of `yaml.CSafeLoader`, and its limits hold in time:
depth, aliases and duplicate keys are judged at the event, before anything is built.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Set
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from graphrun.base.wording import quote
from graphrun.document.anchors import DEEPEST, Anchors, merge_mappings
from graphrun.document.lines import Entry, NodeLines
from graphrun.document.lookahead import PythonParser, too_deep, too_deep_ahead
from graphrun.document.marks import START, GraphSyntaxError, Mark, Path, mark_of
from graphrun.document.scalars import PlainScalars, check_collection, tagged
from graphrun.document.syntax import explain

# PyYAML can be built without libyaml.
EventParser: Callable[[str], Any] = yaml.cyaml.CParser if yaml.__with_libyaml__ else PythonParser  # type: ignore[attr-defined]


# libyaml compares each with all before it: 300,000 of them, a file of 5 MB, would take minutes.
MOST_TAG_DIRECTIVES = 100


class Loaded(NamedTuple):
    """The data of a file and what is wrong with its YAML; data is None where nothing could be built."""

    data: Any
    errors: list[GraphSyntaxError]


class Positions(NamedTuple):
    """Where the key and the value of an entry stand; an element of a list is its own key."""

    key: Mark
    value: Mark


class _DuplicateKeyError(Exception):
    """A key stood twice while no positions were kept."""


def load(text: str, entry: Entry | None = None) -> Loaded:
    """Return the data of a YAML text; of a key that stands twice the first one is kept, and the error tells both.

    Many nodes on lines of their own may be what `entry` makes of a type and inputs that are texts, instead of mappings.
    """
    data = _load_by_lines(text, entry)
    if data is not None:
        return Loaded(data, [])
    try:
        return _load(Loader(text))
    except _DuplicateKeyError:
        # Only a second reading can tell where the first of the two stood.
        return _load(Loader(text, wanted=frozenset()))


def locate(text: str, wanted: Set[Path]) -> dict[Path, Positions]:
    """Return where the wanted paths stand, in a text that loads; those that it does not have are left out."""
    loader = Loader(text, wanted=wanted)
    loader.load()
    return loader.positions


def _load_by_lines(text: str, entry: Entry | None = None) -> Any:
    """Return the data of a text of which a pattern reads many lines; None where it does not, or something is wrong."""
    plain = PlainScalars()
    lines = NodeLines(text, plain.__getitem__, entry)
    if not lines.runs:
        return None
    try:
        loader = Loader(lines.rest)
        loader.plain = plain
        data = loader.load()
    except (GraphSyntaxError, _DuplicateKeyError):
        return None
    return data if lines.put_into(data) else None


def _load(loader: Loader) -> Loaded:
    try:
        return Loaded(loader.load(), loader.duplicates)
    except GraphSyntaxError as error:
        return Loaded(None, [*loader.duplicates, error])


class Loader:
    """Builds plain data from events and, given `wanted`, records where these paths stand.

    Most files have no tags, anchors or merges: with `simple`, their plain scalars take a short way.
    """

    def __init__(self, text: str, *, wanted: Set[Path] | None = None) -> None:
        self.text = text
        self.wanted = wanted
        self.simple = wanted is None and "!" not in text and "&" not in text and "<<" not in text
        self.plain = PlainScalars()
        self.anchors = Anchors()
        self.duplicates: list[GraphSyntaxError] = []
        self.positions: dict[Path, Positions] = {}
        self.next_event: Callable[[], Any]

    def load(self) -> Any:
        """Return the data of the one document in the text."""
        if self.text.count("%TAG") > MOST_TAG_DIRECTIVES:
            raise GraphSyntaxError(START, f"the file has more than {MOST_TAG_DIRECTIVES} %TAG directives")
        try:
            # The parser reads ahead as soon as it is made, so that this line can fail too.
            self.next_event = EventParser(self.text).get_event
            return self._document()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            deep = mark and too_deep_ahead(self.text, mark.index, EventParser)
            raise deep or explain(error, self.text) from None
        except ValueError as error:
            raise GraphSyntaxError(START, str(error)) from None

    def _document(self) -> Any:
        self.next_event()
        if self.next_event().__class__ is StreamEndEvent:
            raise GraphSyntaxError(START, "the file has only comments" if self.text.strip() else "the file is empty")
        event = self.next_event()
        path: Path | None = None
        if self.wanted is not None:
            path = ()
            self.positions[path] = Positions(mark_of(event), mark_of(event))
        data = self._value(event, 0, path)
        self.next_event()
        event = self.next_event()
        if event.__class__ is DocumentStartEvent:
            message = "a second document starts here: a graph file is one document"
            raise GraphSyntaxError(mark_of(event), message, "remove the '---' here")
        return data

    # The next three raise ValueError for a number that is too long; the loops of the last two know where it stands.

    def _value(self, event: Any, depth: int, path: Path | None) -> Any:
        """Return the value that begins with this event."""
        kind = event.__class__
        if kind is AliasEvent:
            return self.anchors.value(event, depth)
        if kind is ScalarEvent:
            value = self._scalar(event)
            self.anchors.end(event, value, event.value)
            return value
        check_collection(event)
        if depth == DEEPEST:
            raise too_deep(mark_of(event))
        self.anchors.begin(event)
        value = (self._mapping if kind is MappingStartEvent else self._sequence)(depth + 1, path)
        self.anchors.end(event, value)
        return value

    def _scalar(self, event: Any) -> Any:
        """Return the value of a scalar, whatever its tag and its quotes."""
        if event.tag is not None:
            return event.value if event.tag == "!" else tagged(event)
        return event.value if event.style else self.plain[event.value]

    def _sequence(self, depth: int, path: Path | None) -> list[Any]:
        """Return the list whose start event was just read."""
        next_event, plain, simple = self.next_event, self.plain, self.simple
        result: list[Any] = []
        event = None
        try:
            while (event := next_event()).__class__ is not SequenceEndEvent:
                if simple and event.__class__ is ScalarEvent and not event.style:
                    result.append(plain[event.value])
                else:
                    child = self._record(path, len(result), event, event)
                    result.append(self._value(event, depth, child))
        except ValueError as error:
            raise GraphSyntaxError(mark_of(event), str(error)) from None
        return result

    def _mapping(self, depth: int, path: Path | None) -> dict[str, Any]:
        """Return the mapping whose start event was just read."""
        next_event, plain, simple = self.next_event, self.plain, self.simple
        result: dict[str, Any] = {}
        first: dict[str, Any] = {}
        merge: tuple[Any, Any, Any] | None = None
        event = None
        try:
            while (event := next_event()).__class__ is not MappingEndEvent:
                key_event = event
                key = plain[event.value] if simple and event.__class__ is ScalarEvent else self._key(event)
                if key.__class__ is not str:
                    key = key_event.value
                event = next_event()
                if not simple and key == "<<" and _is_plain(key_event):
                    if merge is not None:
                        message, hint = "'<<' stands twice in one mapping", "write one list: <<: [*first, *second]"
                        raise GraphSyntaxError(mark_of(key_event), message, hint)
                    merge = (key_event, event, self._value(event, depth, None))
                    continue
                if key in result:
                    self._duplicate(key, first, key_event)
                    self._value(event, depth, None)
                    continue
                if simple and event.__class__ is ScalarEvent and not event.style:
                    result[key] = plain[event.value]
                    continue
                if self.wanted is not None:
                    first[key] = key_event
                result[key] = self._value(event, depth, self._record(path, key, key_event, event))
        except ValueError as error:
            raise GraphSyntaxError(mark_of(event), str(error)) from None
        return result if merge is None else self._merge(result, merge, path)

    def _merge(self, explicit: dict[str, Any], merge: tuple[Any, Any, Any], path: Path | None) -> dict[str, Any]:
        """Return a mapping completed by its `<<`; merged keys stand where the `<<` stands."""
        key_event, event, value = merge
        merged = merge_mappings(event, value)
        if path is not None:
            for key in merged.keys() - explicit.keys():
                self._record(path, key, key_event, event)
        return {**merged, **explicit}

    def _key(self, event: Any) -> str:
        """Return a key as its text: a key `on`, `1` or `null` is a name like any other."""
        if event.__class__ is AliasEvent:
            return self.anchors.text(event)
        if event.__class__ is not ScalarEvent:
            message = "a key is a plain name, not a list or a mapping"
            raise GraphSyntaxError(mark_of(event), message, "put a text that starts with '{' or '[' in quotes")
        value = self._scalar(event)
        self.anchors.end(event, value, event.value)
        return value if isinstance(value, str) else str(event.value)

    def _duplicate(self, key: str, first: dict[str, Any], event: Any) -> None:
        """Take note of a key that stands twice in one mapping."""
        if self.wanted is None:
            raise _DuplicateKeyError
        mark = mark_of(first[key])
        message = f"the key {quote(key)} stands twice: the first is in line {mark.line}, column {mark.column}"
        self.duplicates.append(GraphSyntaxError(mark_of(event), message))

    def _record(self, path: Path | None, key: str | int, key_event: Any, event: Any) -> Path | None:
        """Record where an entry stands, if it is wanted, and return its path; else return None."""
        if path is None or self.wanted is None:
            return None
        child = (*path, key)
        if child in self.wanted:
            self.positions[child] = Positions(mark_of(key_event), mark_of(event))
            return child
        # Later stages know a name by its normal form; the same name written exactly so goes first.
        if isinstance(key, str) and not key.isascii():
            child = (*path, unicodedata.normalize("NFKC", key))
            if child in self.wanted:
                self.positions.setdefault(child, Positions(mark_of(key_event), mark_of(event)))
                return child
        return None


def _is_plain(event: Any) -> bool:
    return event.__class__ is ScalarEvent and not event.style and event.tag is None
