"""The search by Optuna: tree-structured Parzen estimators choose settings, pruners end runs that lag behind."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.document.sweep_section import Axis
from graphrun.run.sweep.journal import Journal
from graphrun.run.sweep.plan import PRUNED, SweepPlan

if TYPE_CHECKING:
    import optuna

MOST_LOOKS = 50
"""So many rows of a run are compared with those of others."""


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise UsageError("the search tpe needs Optuna: pip install 'graphrun[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Chooser:
    """Chooses the settings of runs by those that are done, whoever made them.

    The study is made anew of the journal, which is all that is kept.
    """

    def __init__(self, plan: SweepPlan, journal: Journal) -> None:
        optuna = _optuna()
        self._plan, self._journal = plan, journal
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that these arguments are experimental
            sampler = optuna.samplers.TPESampler(seed=plan.seed + len(journal.done), constant_liar=True)
        self._study = optuna.create_study(direction=plan.direction, sampler=sampler)
        self._spaces = {", ".join(axis.paths): _space(optuna, axis) for axis in plan.axes}
        self._asked: dict[int, Any] = {}
        self._told: set[int] = set()

    def ask(self, number: int) -> tuple[dict[str, Any], Pruning | None]:
        """Return the settings of a run, and what may end it."""
        for run in self._journal.done.values():
            if run["number"] not in self._told:
                self._told.add(run["number"])
                self._tell(run)
        trial = self._asked[number] = self._study.ask(self._spaces)
        given = [trial.params[name] for name in self._spaces]
        values = [
            axis.choices[value] if axis.choices else value for axis, value in zip(self._plan.axes, given, strict=True)
        ]
        pruning = None
        if self._plan.prune is not None:
            done = [run for run in self._journal.done.values() if run.get("curve")]
            curves = [(run["curve"], run["stopped"] == PRUNED) for run in done]
            pruning = Pruning(self._plan.prune, self._plan.direction, number, curves)
        return self._plan.chosen(values), pruning

    def _tell(self, run: Mapping[str, Any]) -> None:
        optuna, value = _optuna(), run["objective"]
        states = optuna.trial.TrialState
        state = states.PRUNED if run["stopped"] == PRUNED else states.FAIL if value is None else states.COMPLETE
        curve = dict(map(tuple, run.get("curve") or ()))
        own = self._asked.pop(run["number"], None)
        if own is not None:
            for step, seen in curve.items():
                own.report(seen, step)
            self._study.tell(own, None if state != states.COMPLETE else value, state=state)
            return
        params = {}
        for axis, (name, space) in zip(self._plan.axes, self._spaces.items(), strict=True):
            params[name] = _param(axis, run["settings"])
            if params[name] is None or not space._contains(space.to_internal_repr(params[name])):
                return  # of other choices than these
        value = value if state == states.COMPLETE else None
        made = optuna.trial.create_trial(
            state=state, value=value, params=params, distributions=self._spaces, intermediate_values=curve
        )
        self._study.add_trial(made)


def _space(optuna: Any, axis: Axis) -> Any:
    made = optuna.distributions
    if axis.choices:
        return made.CategoricalDistribution(tuple(range(len(axis.choices))))
    if axis.whole:
        return made.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return made.FloatDistribution(axis.low, axis.high, log=axis.log)


def _param(axis: Axis, settings: Mapping[str, Any]) -> Any:
    if not axis.choices:
        return settings.get(axis.paths[0])
    made = {path: settings.get(path) for path in axis.paths}
    return next((k for k, choice in enumerate(axis.choices) if axis.settings(choice) == made), None)


@dataclass(frozen=True)
class Pruning:
    """What decides in the process of a run whether it goes on: the curves of those that were done when it began."""

    kind: str
    direction: str
    number: int
    curves: Sequence[tuple[Sequence[Sequence[float]], bool]]

    def watch(self, objective: str) -> Watched:
        """Return what looks at the rows of a run."""
        return Watched(self, objective)

    def trial(self) -> optuna.Trial:
        """Return a trial of the run, in a study of the others."""
        optuna = _optuna()
        pruners = {"median": optuna.pruners.MedianPruner, "hyperband": optuna.pruners.HyperbandPruner}
        study = optuna.create_study(direction=self.direction, pruner=pruners[self.kind](), study_name="sweep")
        states = optuna.trial.TrialState
        for curve, is_pruned in self.curves:
            seen = {int(step): value for step, value in curve}
            state = states.PRUNED if is_pruned else states.COMPLETE
            value = None if is_pruned else curve[-1][1]
            study.add_trial(optuna.trial.create_trial(state=state, value=value, intermediate_values=seen))
        return study.ask()  # type: ignore[no-any-return]


class Watched:
    """Looks at the recorded rows of a run.

    Attributes:
        curve: step and value of the objective, of the rows that were looked at.
        is_pruned: whether the run is to end.
    """

    def __init__(self, pruning: Pruning, objective: str) -> None:
        self._trial, self._name = pruning.trial(), objective
        self.curve: list[list[float]] = []
        self.is_pruned = False

    def row(self, step: int, values: Mapping[str, Any]) -> None:
        """Look at a row."""
        value = values.get(self._name)
        if value is None or step == 0 or np.ndim(value) or not np.isfinite(value) or self.is_pruned:
            return
        self.curve.append([step, float(value)])
        self._trial.report(float(value), step)
        self.is_pruned = self._trial.should_prune()
