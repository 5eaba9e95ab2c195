"""Anchors, aliases and the merge key, with limits that hold before anything is expanded."""

from typing import Any, NamedTuple

from graphrun.base.wording import did_you_mean, quote
from graphrun.document.marks import GraphSyntaxError, mark_of

DEEPEST = 64
MOST_VALUES = 1_000_000

# Stands for the value of an anchor whose end has not been read yet.
UNFINISHED = object()


class Extent(NamedTuple):
    """How many values stand in a value, itself included, and how many levels deep they are nested."""

    values: int
    depth: int


class Anchors:
    """The anchored values of a file, and how many values its aliases have made so far."""

    def __init__(self) -> None:
        self.anchored: dict[str, tuple[Any, str | None]] = {}
        self.made = 0
        # By object: aliases make equal parts one object, so that even a bomb is measured in the time to read it.
        self.extents: dict[int, tuple[Any, Extent]] = {}

    def begin(self, event: Any) -> None:
        """Take note of a list or mapping that begins here."""
        if event.anchor is not None:
            self.anchored[event.anchor] = (UNFINISHED, None)

    def end(self, event: Any, value: Any, text: str | None = None) -> None:
        """Take note of a value that is complete; for a scalar also of its text."""
        if event.anchor is not None:
            self.anchored[event.anchor] = (value, text)

    def value(self, alias: Any, depth: int) -> Any:
        """Return the value that an alias, standing this deep, stands for."""
        value, _ = self._find(alias)
        extent = self.extent(value)
        self.made += extent.values
        if self.made > MOST_VALUES:
            message = f"aliases multiply this file to more than {MOST_VALUES:,} values"
            raise GraphSyntaxError(mark_of(alias), message)
        if depth + extent.depth > DEEPEST:
            message = f"with this alias, lists and mappings are nested deeper than {DEEPEST} levels"
            raise GraphSyntaxError(mark_of(alias), message)
        return value

    def text(self, alias: Any) -> str:
        """Return the text of the scalar that an alias, used as a key, stands for."""
        _, text = self._find(alias)
        if text is None:
            raise GraphSyntaxError(mark_of(alias), f"'*{alias.anchor}' is a list or a mapping and cannot be a key")
        return text

    def _find(self, alias: Any) -> tuple[Any, str | None]:
        name = alias.anchor
        if name not in self.anchored:
            message = f"the alias {quote('*' + name)} has no anchor {quote('&' + name)} before it"
            known = did_you_mean(f"*{name}", [f"*{other}" for other in self.anchored])
            raise GraphSyntaxError(
                mark_of(alias), message, known or f"a text that starts with '*' needs quotes: '*{name}'"
            )
        found = self.anchored[name]
        if found[0] is UNFINISHED:
            raise GraphSyntaxError(mark_of(alias), f"the anchor {quote('&' + name)} contains itself")
        return found

    def extent(self, value: Any) -> Extent:
        """Measure a value, every alias in it expanded."""
        if not isinstance(value, dict | list):
            return Extent(1, 0)
        known = self.extents.get(id(value))
        if known is not None:
            return known[1]
        values, depth = 1, 0
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, dict | list):
                inner = self.extent(part)
                values, depth = values + inner.values, max(depth, inner.depth)
            else:
                values += 1
        extent = Extent(values, depth + 1)
        # The value is kept beside its extent, so that its id is not given to another object.
        self.extents[id(value)] = (value, extent)
        return extent


def merge_mappings(event: Any, value: Any) -> dict[str, Any]:
    """Return the keys that a merge (`<<`) with this value brings; where several mappings have a key, the first wins."""
    sources = value if isinstance(value, list) else [value]
    merged: dict[str, Any] = {}
    for source in sources:
        if not isinstance(source, dict):
            message = "'<<' merges a mapping or a list of mappings"
            raise GraphSyntaxError(mark_of(event), message, "write <<: *name, or quote the key: '<<'")
        for key, part in source.items():
            merged.setdefault(key, part)
    return merged
