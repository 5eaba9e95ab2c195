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
    from optuna import Study

EACH_BELOW = 5
"""Below 2 to the power of this, each row of a run is compared with those of others; later one of 2, of 4, of 8."""


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
            names = ("number", "stopped", "curve", "rungs")
            others = [{n: run.get(n) for n in names} for run in self._journal.done.values() if run.get("curve")]
            pruning = Pruning(self._plan.prune, self._plan.direction, number, others)
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
    """What decides in the process of a run whether it goes on: what others were at each step, when it began."""

    kind: str
    direction: str
    number: int
    others: Sequence[Mapping[str, Any]]

    def watch(self, objective: str) -> Watched:
        """Return what looks at the rows of a run."""
        return Watched(self, objective)

    def study(self) -> Study:
        """Return a study of the others, in which the next trial has the number of the run: Hyperband goes by it."""
        optuna = _optuna()
        pruners = {"median": optuna.pruners.MedianPruner, "hyperband": optuna.pruners.HyperbandPruner}
        study: Study = optuna.create_study(direction=self.direction, pruner=pruners[self.kind](), study_name="sweep")
        states, known = optuna.trial.TrialState, {run["number"]: run for run in self.others}
        for number in range(self.number):
            run = known.get(number, {})
            curve = dict(map(tuple, run.get("curve") or ()))
            state = states.FAIL if not curve else states.PRUNED if run["stopped"] == PRUNED else states.COMPLETE
            value = list(curve.values())[-1] if state == states.COMPLETE else None
            trial = optuna.trial.create_trial(
                state=state, value=value, intermediate_values=curve, system_attrs=run.get("rungs")
            )
            study.add_trial(trial)
        return study


class Watched:
    """Looks at the recorded rows of a run.

    Attributes:
        curve: step and value of the objective, of the rows that were looked at.
        is_pruned: whether the run is to end.
    """

    def __init__(self, pruning: Pruning, objective: str) -> None:
        self._study, self._name = pruning.study(), objective
        self._trial = self._study.ask()
        self._rows = 0
        self.curve: list[list[float]] = []
        self.is_pruned = False

    def row(self, step: int, values: Mapping[str, Any]) -> None:
        """Look at a row: of the first ones each, then ever fewer, the same of each run."""
        self._rows += 1
        value = values.get(self._name)
        is_due = self._rows % max(2 ** (self._rows.bit_length() - EACH_BELOW), 1) == 0
        if value is None or step == 0 or not is_due or np.ndim(value) or not np.isfinite(value) or self.is_pruned:
            return
        self.curve.append([step, float(value)])
        self._trial.report(float(value), step)
        self.is_pruned = self._trial.should_prune()

    def told(self) -> dict[str, Any]:
        """Return what later runs are compared with."""
        rungs = self._study.trials[-1].system_attrs
        return {"curve": self.curve, "rungs": {name: v for name, v in rungs.items() if isinstance(v, int | float)}}
