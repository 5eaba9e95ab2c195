"""The section `sweep`, and ``--vary``: what the runs of a sweep differ in, and how they are searched."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphrun.base.errors import UsageError
from graphrun.base.types import MOST
from graphrun.base.wording import describe, did_you_mean, printable, quote
from graphrun.document import loader
from graphrun.document.problems import Problems

SEARCHES = ("grid", "random", "tpe")
DIRECTIONS = ("minimize", "maximize")
PRUNERS = ("median", "hyperband")
POINTS = 5
"""So many points of a range are in a grid that says nothing else."""
MOST_LISTED = 100
"""A grid has every whole number of a range of at most so many."""

FORMS = "write a list, or a range such as 1e-4..1e-1:log or 1..10"
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\.\.({_NUMBER})(:log)?(?::([0-9]{{1,6}}))?\s*")


class Axis(NamedTuple):
    """What some paths of ``--set`` are given, all of them together: one of the `choices`, or a number of a range.

    A choice that is a list with an element for each path gives each its own, any other is for all of them.
    """

    paths: tuple[str, ...]
    text: Any
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    whole: bool = False
    size: int | None = None

    def points(self, count: int = POINTS) -> list[Any]:
        """Return the points of a grid: the choices, or so many numbers of the range if it does not say itself."""
        if self.choices:
            return list(self.choices)
        if self.whole and not self.log and self.size is None and self.high - self.low < MOST_LISTED:
            return list(range(int(self.low), int(self.high) + 1))
        import numpy as np

        number = self.size or count
        points = (np.geomspace if self.log else np.linspace)(self.low, self.high, number).tolist()
        return list(dict.fromkeys(map(round, points))) if self.whole else points

    @property
    def is_listed(self) -> bool:
        """Whether a grid's points do not depend on how many runs there are to be."""
        return bool(self.choices) or self.size is not None or len(self.points(2)) > 2

    def draw(self, share: float) -> Any:
        """Return the value that stands at a share of the range, 0 <= share < 1."""
        if self.choices:
            return self.choices[int(share * len(self.choices))]
        # Each whole number has the room of one; at the ends, half of it lies outside of the range.
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        value = low * math.exp(share * math.log(high / low)) if self.log else low + share * (high - low)
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value

    def settings(self, value: Any) -> dict[str, Any]:
        """Return what each path is given."""
        own = len(self.paths) > 1 and isinstance(value, list) and len(value) == len(self.paths)
        return {path: value[k] if own else value for k, path in enumerate(self.paths)}


class SweepEntry(NamedTuple):
    """A sweep as it is asked for; None is what the file and its objective suggest."""

    axes: tuple[Axis, ...] = ()
    search: str | None = None
    runs: int | None = None
    objective: str | None = None
    direction: str | None = None
    seed: int | None = None
    repeat: int | None = None
    prune: str | None = None


SETTINGS: dict[str, tuple[str, Sequence[str] | int]] = {
    "search": ("grid, random or tpe", SEARCHES),
    "runs": ("a whole number, 1 or more", 1),
    "objective": ("a name, as loss or holdout.loss", ()),
    "direction": ("minimize or maximize", DIRECTIONS),
    "seed": ("a whole number, 0 or more", 0),
    "repeat": ("a whole number, 1 or more", 1),
    "prune": ("median or hyperband", PRUNERS),
}
"""What each setting takes: one of some words, a whole number from the least one on, or any text."""


def read_sweep(raw: Any, problems: Problems) -> SweepEntry | None:
    """Read the section: settings of the search, and paths with what they are varied over."""
    at = problems.at(("sweep",))
    if not isinstance(raw, dict):
        at.add((), f"'sweep' is a mapping, not {describe(raw)}", suggestion="write {update.step_size: [0.1, 0.01]}")
        return None
    axes: list[Axis] = []
    given: dict[str, Any] = {}
    for key, value in raw.items():
        if key in SETTINGS:
            if (wrong := wrong_setting(key, value)) is not None:
                at.add((key,), *wrong[:1], suggestion=wrong[1])
            else:
                given[key] = int(value) if isinstance(value, float) else value
            continue
        axis, message = read_axis(str(key), value)
        if axis is None:
            near = did_you_mean(str(key), SETTINGS) if "." not in str(key) else None
            at.add((key,), message, suggestion=near or FORMS)
        else:
            axes.append(axis)
    return SweepEntry(tuple(axes), **given)


def joined(entry: SweepEntry | None, vary: Mapping[str, Any], given: SweepEntry) -> SweepEntry:
    """Return what a file asks for, with what is given besides or in its place.

    Raises:
        UsageError: something that is given makes no sense.
    """
    axes: dict[tuple[str, ...], Axis] = {}
    for key, value in vary.items():
        axis, message = read_axis(key, list(value) if isinstance(value, tuple) else value)
        if axis is None:
            raise UsageError(f"{message}; {FORMS}")
        axes[axis.paths] = axis
    taken = {path for paths in axes for path in paths}
    # What is given of the file's own paths takes their place; what shares only some of them comes after.
    own = {axis.paths: axis for axis in (entry.axes if entry is not None else ())}
    kept = {paths: axis for paths, axis in own.items() if paths in axes or taken.isdisjoint(paths)}
    settings = {name: getattr(given, name) for name in SETTINGS}
    for name, value in settings.items():
        if value is not None and (wrong := wrong_setting(name, value)) is not None:
            raise UsageError("; ".join(filter(None, wrong)))
    asked = {name: value for name, value in settings.items() if value is not None}
    return (entry or SweepEntry())._replace(axes=tuple((kept | axes).values()), **asked)


def wrong_setting(key: str, value: Any) -> tuple[str, str | None] | None:
    """Return what is wrong with a setting, and a suggestion; None where it is right."""
    told, allowed = SETTINGS[key]
    if isinstance(allowed, int):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right, near = number and value == value // 1 and allowed <= value <= MOST, None
    else:
        right = isinstance(value, str) and bool(value) and (not allowed or value in allowed)
        near = did_you_mean(value, allowed) if isinstance(value, str) else None
    return None if right else (f"{quote(key)} takes {told}, not {describe(value)}", near)


def read_axis(key: str, value: Any) -> tuple[Axis | None, str]:
    """Return what paths are varied over, or what is wrong with it."""
    paths = tuple(part.strip() for part in key.split(","))
    if not all(paths) or len(set(paths)) < len(paths):
        return None, f"{quote(key)} is no path, nor several paths with commas between"
    if isinstance(value, list):
        wrong = len(paths) > 1 and any(isinstance(v, list) and len(v) != len(paths) for v in value)
        if not value or wrong:
            lacking = f"an element for each of the {len(paths)} paths" if wrong else "an element"
            return None, f"the list of {quote(key)} needs {lacking}"
        return Axis(paths, value, tuple(value)), ""
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None, f"{quote(key)} is varied over a list or a range, not {describe(value)}"
    low, high = float(match[1]), float(match[2])
    whole = all(re.fullmatch("[-+]?[0-9]+", end) for end in match.group(1, 2))
    if not low < high or abs(low) > MOST or abs(high) > MOST:
        return None, f"the range {quote(str(value))} has no numbers in it: the smaller end stands first"
    if match[3] and low <= 0:
        return None, f"the range {quote(str(value))} is logarithmic, and begins at {match[1]}: it begins above 0"
    count = int(match[4]) if match[4] else None
    if count is not None and count < 2:
        return None, f"the range {quote(str(value))} has two points or more"
    return Axis(paths, value, (), low, high, bool(match[3]), whole, count), ""


def read_vary(text: str) -> tuple[str, Any]:
    """Read what ``--vary`` takes, ``PATHS=RANGE`` or ``PATHS=VALUE,VALUE``; a value is YAML, as that of ``--set``.

    Raises:
        UsageError: it is neither.
    """
    key, equals, given = text.partition("=")
    if not equals or not given.strip():
        raise UsageError(f"--vary {printable(text)}: write PATH=VALUES, as in update.step_size=1e-4..1e-1:log")
    if ".." in given and given.strip()[:1] not in "[\"'":
        return key, given
    loaded, errors = loader.load(given if given.lstrip()[:1] == "[" else f"[{given}]")
    if errors and given.lstrip()[:1] == "[":
        # Several lists, if anything.
        loaded, errors = loader.load(f"[{given}]")
    if errors:
        raise UsageError(f"--vary {printable(text)}: {errors[0].message}")
    return key, loaded
