"""What a sweep will do: its axes and how they are searched, in the words of a file that a folder keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from graphrun.base.errors import GraphrunError, UsageError
from graphrun.base.wording import did_you_mean, quote
from graphrun.document import Document
from graphrun.document.names import normalize
from graphrun.document.sweep_section import Axis, SweepEntry, read_axis
from graphrun.plugins.registry import Registry
from graphrun.run.request import RunRequest
from graphrun.run.result import Result

RUNS = 20
"""So many runs there are where nobody says how many, but for a grid."""
MOST_RUNS = 1_000_000
HELD_BACK = "holdout."
PRUNED = "pruned"
"""Why a run ended that another one would have beaten."""


class Varied(Protocol):
    """A `Graph`, which uses this module and so cannot be imported here."""

    @property
    def document(self) -> Document:
        """The graph file as it was read."""

    @property
    def origin(self) -> Mapping[str, Any]:
        """What it was made of."""

    @property
    def registry(self) -> Registry:
        """Where its node types, and observers, are found."""

    def varied(self, overrides: Sequence[str]) -> Varied:
        """Return the graph of the same file with more of its values changed."""

    def answer(self, request: RunRequest) -> Result:
        """Run the graph."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep, complete.

    Attributes:
        runs: how many there will be.
        objective: what is compared, a name as it is recorded, `direction` the better end of it.
        seed: what is drawn derives from it, and from a run's number; the runs' own seeds begin with it.
        repeat: how many seeds the settings of a run are tried with.
        request: what a run is asked for: steps, engine, dtype, device.
    """

    axes: tuple[Axis, ...]
    search: str
    runs: int
    objective: str
    direction: str
    seed: int
    repeat: int = 1
    prune: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    points: Sequence[Sequence[Any]] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What two sweeps that share a folder have in common: everything but how many runs there are to be."""
        axes = {", ".join(axis.paths): axis.text for axis in self.axes}
        names = ("search", "objective", "direction", "seed", "repeat", "prune", "points", "request")
        return {"axes": axes, **{name: getattr(self, name) for name in names}}

    @classmethod
    def of(cls, identity: Mapping[str, Any], runs: int) -> SweepPlan:
        """Return the plan that has this identity."""
        rest = {**identity}
        axes = [read_axis(key, text)[0] for key, text in rest.pop("axes").items()]
        return cls(axes=tuple(axis for axis in axes if axis is not None), runs=runs, **rest)

    def settings(self, number: int) -> dict[str, Any]:
        """Return the settings of a run of a grid, or of a random search: what it is given depends on nothing else."""
        if self.search == "grid":
            return self.chosen(_mixed(number, self.points))
        draws = np.random.default_rng([self.seed, number]).random(len(self.axes)).tolist()
        return self.chosen([axis.draw(share) for axis, share in zip(self.axes, draws, strict=True)])

    def chosen(self, values: list[Any]) -> dict[str, Any]:
        """Return the settings that a value for each axis makes."""
        return {
            path: v for axis, value in zip(self.axes, values, strict=True) for path, v in axis.settings(value).items()
        }

    def seeds(self, number: int) -> list[int | None]:
        """Return the seeds of a run's repetitions, of its own; None where the seed is what is varied."""
        if any("seed" in axis.paths for axis in self.axes):
            return [None]
        return [self.seed + number * self.repeat + k for k in range(self.repeat)]

    def better(self, value: float, than: float) -> bool:
        """Whether a value of the objective is better than another one."""
        return value > than if self.direction == "maximize" else value < than


def _mixed(number: int, points: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the point of a grid with a number: the last axis changes from one to the next."""
    found = []
    for values in reversed(points):
        number, at = divmod(number, len(values))
        found.append(values[at])
    return found[::-1]


def make_plan(graph: Varied, entry: SweepEntry, request: Mapping[str, Any]) -> SweepPlan:
    """Return what an entry comes to for a graph, after a look whether its paths are the file's.

    Raises:
        UsageError: something in it makes no sense.
    """
    document = graph.document
    taken = [path for axis in entry.axes for path in axis.paths]
    if not taken:
        raise UsageError("nothing is varied: --vary update.step_size=1e-4..1e-1:log, or a section 'sweep' of the file")
    if len(set(taken)) < len(taken):
        twice = next(path for path in taken if taken.count(path) > 1)
        raise UsageError(f"{twice} is varied twice")
    search = entry.search or ("grid" if all(axis.is_listed for axis in entry.axes) else "random")
    if entry.prune is not None and search != "tpe":
        raise UsageError("prune goes with the search tpe: the others make every run to its end")
    points: list[list[Any]] = []
    runs = entry.runs or RUNS
    if search == "grid":
        points = _grid(entry)
        size = math.prod(map(len, points))
        if size > MOST_RUNS and entry.runs is None:
            raise UsageError(f"the grid has {size:,} points: ask for fewer, as in 1e-4..1e-1:log:5, or for some --runs")
        runs = min(entry.runs or size, size)
    name, direction = _objective(graph, entry)
    seed = (document.seed or 0) if entry.seed is None else entry.seed
    request = {key: value for key, value in request.items() if value is not None and (key, value) != ("engine", "auto")}
    plan = SweepPlan(entry.axes, search, runs, name, direction, seed, entry.repeat or 1, entry.prune, request, points)
    first = plan.settings(0) if search != "tpe" else plan.chosen([axis.points(2)[0] for axis in plan.axes])
    try:
        known = graph.varied(overrides(first)).document
    except GraphrunError as error:
        raise UsageError(f"the first of the runs: {error}".replace("--set ", "")) from None
    base, names = normalize(name.removeprefix(HELD_BACK)), (*known.nodes, *known.parameters, *known.constants)
    if base not in names:
        hint = did_you_mean(base, names)
        raise UsageError(f"the objective {quote(base)} is no value of the file" + (f"; {hint}" if hint else ""))
    if name.startswith(HELD_BACK) and not _holds_back(known):
        raise UsageError(f"{name}: no rows are held back; write holdout: 0.2 in the section 'data', or folds: 5")
    return plan


def _grid(entry: SweepEntry) -> list[list[Any]]:
    """Return the points of each axis; how many of a range, where it is not said, the number of runs decides."""
    listed = math.prod(len(axis.points()) for axis in entry.axes if axis.is_listed)
    ranges = sum(not axis.is_listed for axis in entry.axes)
    if entry.runs is None or not ranges:
        return [axis.points() for axis in entry.axes]
    count = max(int((entry.runs / listed) ** (1 / ranges) + 1e-9), 2)
    return [axis.points(count) for axis in entry.axes]


def _objective(graph: Varied, entry: SweepEntry) -> tuple[str, str]:
    document = graph.document
    own = document.maximize or document.minimize
    name = entry.objective or (own and f"{HELD_BACK if _holds_back(document) else ''}{own}")
    if name is None:
        raise UsageError("the file has no objective: say which value is compared, as in --objective loss")
    return name, entry.direction or ("maximize" if document.maximize is not None else "minimize")


def _holds_back(document: Document) -> bool:
    return document.data is not None and (document.data.holdout.draws or document.data.holdout.file is not None)


def overrides(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as ``--set`` takes them; JSON's values are YAML's."""
    return [f"{path}={json.dumps(value)}" for path, value in settings.items()]
