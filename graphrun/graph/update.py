"""The section `update`: its rule or solver, their settings, the schedule of the step size, clipping."""

from __future__ import annotations

from functools import partial
from typing import Any

from graphrun.base.types import MOST, whole
from graphrun.base.wording import describe, quote
from graphrun.declare.declaration import Settings
from graphrun.declare.updaterule import UpdateRule, accumulating
from graphrun.document import did_you_mean
from graphrun.document.names import normalize
from graphrun.document.numbers import LARGEST
from graphrun.document.parameters import FACTORS
from graphrun.graph.graph import Node, Update
from graphrun.graph.lookup import Lookup
from graphrun.solvers import SOLVERS, Solver
from graphrun.solvers.robust import robust_cost
from graphrun.updates.schedule import SCHEDULES, Schedule, plateau

CLIPS = ("clip_norm", "clip_value")
_NO_RULE = UpdateRule(lambda: None, "unknown")


def resolve_update(lookup: Lookup) -> Update:
    """Return what a step does with the parameters."""
    entry = lookup.document.update
    at = partial(lookup.problems.at, ("update",))
    rule = SOLVERS.get(entry.type) or lookup.registry.update_rule(entry.type)
    raw = dict(entry.settings)
    schedule = _resolve_schedule(lookup, raw) if isinstance(raw.get("step_size"), dict) else None
    if schedule is not None and schedule[0] is plateau:
        raw["step_size"] = dict(schedule[1])["start"]
    common: dict[str, Any] = {key: _read_clip(lookup, key, raw) for key in CLIPS if not isinstance(rule, Solver)}
    if isinstance(rule, UpdateRule):
        common["accumulate"] = _read_count(lookup, raw, "accumulate", "how many batches an update takes the mean of")
    if isinstance(rule, Solver):
        common = {"starts": _read_count(lookup, raw, "starts", "how many starts the solver makes")}
        _check_bounds(lookup, rule)
    if rule is None:
        lookup.unknown_type(at(), ("type",), entry.type, "update rule", UpdateRule)
        return Update(_NO_RULE, ())
    name, settings = next(iter(raw.items()), ("", None))
    if isinstance(settings, dict) and len(raw) == 1 and (name in SOLVERS or lookup.registry.update_rule(name)):
        shown = [f", {key}: {value}" for key, value in settings.items() if not isinstance(value, dict | list)]
        hint = f"write {{type: {quote(name + ''.join(shown))[1:-1]}}}"
        at().add((name,), "an update rule is named by 'type'", suggestion=hint, key=True)
        return Update(rule, ())
    settings = lookup.settings(rule, raw, at, ("type", *common))
    _check_factors(lookup, rule)
    if isinstance(rule, UpdateRule) and common["accumulate"] > 1:
        rule, settings = accumulating(rule), (*settings, ("accumulate", common["accumulate"]))
    return Update(rule, settings, schedule, **common)


def robust_objective(update: Update, lookup: Lookup) -> tuple[str, Node] | None:
    """Return what a solver minimizes in place of a sum of squares, where it has a loss of another kind: name, node.

    A `residual` that is none is a problem of the file.
    """
    settings = dict(update.settings)
    loss, given, path = settings.get("loss", "linear"), settings.get("residual"), ("update", "residual")
    if not isinstance(update.rule, Solver) or given is None:
        return None
    residual = normalize(given)
    if not lookup.check_name(residual, path, "residual"):
        return None
    if residual in lookup.document.constants or residual in lookup.columns:
        lookup.problems.add(path, f"the residual is a node, and {given!r} is none: no step moves it")
    if loss == "linear":
        return None
    name = f"{loss}_of_{residual.replace('.', '_')}"
    while name in lookup.numbers:
        name += "_"
    given = (("loss", loss), ("f_scale", settings.get("f_scale", 1.0)))
    return name, Node(robust_cost, (lookup.numbers[residual],), given)


def _check_factors(lookup: Lookup, rule: UpdateRule | Solver) -> None:
    """Refuse a factor of a setting that the rule does not have."""
    own = () if isinstance(rule, Solver) else [setting.name for setting in rule.keyword]
    for name, entry in lookup.document.parameters.items():
        for key in FACTORS if not entry.training.frozen else ():
            if getattr(entry.training, key) != 1 and key not in own:
                kind = "solver" if isinstance(rule, Solver) else "update rule"
                message = f"{key!r} of a parameter is a factor of the rule's, and the {kind} {rule.name} has none"
                lookup.document.leaf_problems("parameters", name).add((key,), message, suggestion="leave it out")


def _resolve_schedule(lookup: Lookup, raw: dict[str, Any]) -> tuple[Schedule, Settings] | None:
    """Take the schedule out of an update's settings, and put its first value in its place."""
    given = dict(raw.pop("step_size"))
    at = lookup.problems.at(("update", "step_size"))
    kind = given.pop("type", None)
    schedule = SCHEDULES.get(kind) if isinstance(kind, str) else None
    if schedule is None:
        hint = did_you_mean(str(kind), SCHEDULES) or f"there are: {', '.join(SCHEDULES)}"
        message = "a schedule has a 'type'" if kind is None else f"the schedule {kind!r} is unknown"
        at.add(("type",), message, suggestion=hint, key=kind is None)
        return None
    before = len(lookup.problems)
    settings = lookup.settings(schedule, given, lambda: at, ("type",))
    return None if len(lookup.problems) > before else (schedule, settings)


def _read_clip(lookup: Lookup, key: str, raw: dict[str, Any]) -> float | None:
    value = raw.pop(key, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
        lookup.problems.add(("update", key), f"{key!r} takes a number above 0")
        return None
    return float(value)


def _read_count(lookup: Lookup, raw: dict[str, Any], key: str, what: str) -> int:
    value = raw.pop(key, 1)
    number = whole(value)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST:
        message = f"{key!r} takes {what}, a whole number of 1 or more, not {describe(value)}"
        lookup.problems.add(("update", key), message)
        return 1
    return number


def _check_bounds(lookup: Lookup, rule: Solver) -> None:
    """Refuse a parameter without bounds where a solver looks at all that is within them."""
    for name, entry in lookup.document.parameters.items() if rule.needs_bounds else ():
        if entry.training.frozen:
            continue
        missing = [key for key in ("lower", "upper") if not _is_finite(getattr(entry, key))]
        if missing:
            lookup.document.leaf_problems("parameters", name).add(
                (),
                f"{rule.name} looks within bounds, and {name!r} has no finite {' and no finite '.join(missing)} one",
                suggestion="write {value: 1, lower: 0, upper: 10}",
                key=True,
            )


def _is_finite(bound: Any) -> bool:
    import numpy as np

    return bound is not None and bool(np.isfinite(np.asarray(bound, float)).all())
