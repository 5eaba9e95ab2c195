"""``--set PATH=VALUE``: a value of the file is changed before the file is checked, so that it is checked like any."""

import copy
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from graphrun.base.errors import UsageError
from graphrun.base.wording import did_you_mean, printable, quote
from graphrun.document import data_section, loader, subgraphs
from graphrun.document.header import SECTIONS
from graphrun.document.marks import Path
from graphrun.document.models import StopEntry, StopHoldoutEntry, UncertaintyEntry
from graphrun.document.names import normalize
from graphrun.document.parameters import KEYS, TRAINING
from graphrun.document.settings import SYNONYMS
from graphrun.document.source import Source

OPPOSITE = {"maximize": "minimize", "minimize": "maximize"}
BOUNDS = ("lower", "upper")
HOLDOUTS = [["stop", "holdout"], ["data", "holdout"]]

# How many paths of a file are searched for the one that was meant.
MOST_SEARCHED = 10_000

_INDEX = re.compile("-?[0-9]{1,9}")


def apply_overrides(data: dict[str, Any], overrides: Sequence[str], source: Source) -> None:
    """Change the data of a file in place.

    An override is a text ``PATH=VALUE``: a dotted path of the file's own keys, and a YAML value; the source is told
    where the new values stand. A parameter that is set to a number or a list keeps its bounds and what is said of its
    training. ``~PATH`` takes a key away.

    Raises:
        UsageError: a text is no such pair, or the format has no such path.
    """
    for text in overrides:
        name, equals, value = text.partition("=")
        name = name.strip()
        shown = f"--set {printable(text if len(text) < 100 else text[:99] + '…')}"
        if name.startswith("~") and not equals:
            _Setting(data, shown).remove(name[1:].split("."))
            continue
        if not equals or not name:
            raise UsageError(f"{shown}: write PATH=VALUE, as in --set update.step_size=0.1")
        loaded, errors = loader.load(value) if value.strip() else (None, [])
        if errors:
            hint = f"; {errors[0].suggestion}" if errors[0].suggestion else ""
            raise UsageError(f"{shown}: {errors[0].message}{hint}")
        path = _Setting(data, shown).set(name.split("."), loaded)
        source.override(path, f"--set {name}", value)


class _Setting:
    """Follows one path through the data of a file."""

    def __init__(self, data: dict[str, Any], shown: str) -> None:
        self.data = data
        self.shown = shown
        self.path: list[str | int] = []

    def set(self, parts: list[str], value: Any) -> Path:
        """Set the value at a path; return the path as the file's positions know it."""
        at, key, _ = self.follow(parts)
        if len(self.path) == 1 and OPPOSITE.get(str(key)) in self.data:
            # The two stand for one choice: setting one takes the place of the other.
            del self.data[OPPOSITE[str(key)]]
        if self.is_parameter() and isinstance(at.get(key), dict) and isinstance(value, int | float | list):
            at[key] = {bound: at[key][bound] for bound in (*BOUNDS, *TRAINING) if bound in at[key]}
            at, key = at[key], "value"
            self.path.append(key)
        at[key] = value
        return tuple(normalize(part) if isinstance(part, str) else part for part in self.path)

    def remove(self, parts: list[str]) -> None:
        """Take the key at a path away."""
        at, key, last = self.follow(parts)
        if isinstance(at, dict) and key not in at:
            del self.path[-1]
            raise UsageError(f"{self.shown}: {self.unknown(last, at, ())}")
        del at[key]

    def follow(self, parts: list[str]) -> tuple[Any, Any, list[str]]:
        """Return what holds the last key of a path, that key, and the parts of the path that are its name."""
        at: Any = self.data
        while True:
            key, rest = self.key(at, parts)
            self.path.append(key)
            if not rest:
                return at, key, parts
            at = self.enter(at, key, rest)
            parts = rest

    def key(self, at: Any, parts: list[str]) -> tuple[str | int, list[str]]:
        """Return the next key, and what is left of the path: a name with dots takes several parts of it."""
        if isinstance(at, list):
            index = int(parts[0]) if _INDEX.fullmatch(parts[0]) else None
            if index is None or not -len(at) <= index < len(at):
                raise UsageError(f"{self.shown}: {_dotted(self.path)} is a list of {len(at)}: write a position from 0")
            return index % len(at), parts[1:]
        if not isinstance(at, dict):
            hint = f"; set {_dotted(self.path)} as a whole" if isinstance(at, str) else ""
            raise UsageError(f"{self.shown}: {_dotted(self.path)} has no keys{hint}")
        by_name = {key if key.isascii() else normalize(key): key for key in at}
        for length in range(len(parts), 0, -1):
            name = normalize(".".join(parts[:length]))
            if name in by_name:
                return by_name[name], parts[length:]
        possible = _possible(tuple(self.path))
        if possible is not None and parts[0] not in possible:
            raise UsageError(f"{self.shown}: {self.unknown(parts, at, possible)}")
        return normalize(parts[0]), parts[1:]

    def enter(self, at: Any, key: Any, rest: list[str]) -> Any:
        """Return what is at a key, made a mapping where the format lets a short form stand for one."""
        inner = at.get(key) if isinstance(at, dict) else at[key]
        is_element = isinstance(inner, list) and _INDEX.fullmatch(rest[0])
        if self.is_parameter() and not isinstance(inner, dict) and not is_element:
            inner = {"value": inner}
        elif inner is None and (len(self.path) == 1 or self.path in HOLDOUTS):
            inner = {}
        elif self.path == ["data", "holdout"] and isinstance(inner, int | float):
            inner = {"share": inner}
        elif self.path[:-1] == ["data", "columns"] and isinstance(inner, str | list) and not is_element:
            inner = {"column" if isinstance(inner, str) else "columns": inner}
        elif self.path[-1] == "init" and isinstance(inner, str):
            inner = {"type": inner}
        elif self.path == ["uncertainty"] and isinstance(inner, str):
            inner = {"kind": inner}
        # A copy, for aliases and merges let one object stand in several places.
        at[key] = copy.copy(inner)
        return at[key]

    def is_parameter(self) -> bool:
        """Say whether the path so far leads to a parameter, of the file or of a subgraph."""
        start = 2 if self.path[0] == "subgraphs" else 0
        return len(self.path) == start + 2 and self.path[start] == "parameters"

    def unknown(self, parts: list[str], at: dict[str, Any], possible: Collection[str]) -> str:
        """Say that there is no such path, and which one is the nearest."""
        missing = _dotted([*self.path, parts[0]])
        parts = [*parts[:-1], SYNONYMS.get(parts[-1].lower(), parts[-1])]
        wanted = _dotted([*self.path, *parts])
        beside = [_dotted([*self.path, key]) for key in (*at, *possible)]
        everywhere = list(_paths(self.data))
        ending = [path for path in everywhere if path.endswith(f".{parts[-1]}")]
        if ending:
            hint = did_you_mean(wanted, ending) or f"did you mean {quote(ending[0])}?"
        else:
            hint = did_you_mean(_dotted([*self.path, parts[0]]), beside) or did_you_mean(wanted, everywhere) or ""
        return f"the file has no {quote(missing)}" + (f"; {hint}" if hint else "")


def _possible(path: Path) -> Collection[str] | None:
    """Return the keys that the format has at a path though the file may not; None where they are checked later."""
    if not path:
        return SECTIONS
    section, *inner = path
    if section == "subgraphs" and inner:
        return subgraphs.KEYS if len(inner) == 1 else _possible(path[2:])
    if section == "parameters" and inner:
        return KEYS if len(inner) == 1 else None
    if section == "stop" and inner[:1] != ["holdout"]:
        return tuple(StopEntry.model_fields)
    if section == "stop":
        return tuple(StopHoldoutEntry.model_fields)
    if section == "uncertainty":
        return tuple(UncertaintyEntry.model_fields)
    if section == "data" and not inner:
        return data_section.KEYS
    if (section == "nodes" and inner) or section in ("update", "expect", "data", "sweep"):
        return None
    return ()


def _paths(data: dict[str, Any]) -> Iterator[str]:
    """Yield the paths of a file, and those that the format has besides, up to a number of them."""
    for section in SECTIONS:
        for key in _possible((section,)) or ():
            yield f"{section}.{key}"
    yield from ("update.type", "update.step_size")
    waiting: list[tuple[list[Any], Any]] = [([], data)]
    for _ in range(MOST_SEARCHED):
        if not waiting:
            return
        path, value = waiting.pop()
        if path:
            yield _dotted(path)
        if isinstance(value, dict) and len(waiting) < MOST_SEARCHED:
            waiting += [([*path, key], part) for key, part in reversed(value.items())]


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path))
