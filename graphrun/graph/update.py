"""The section `update`: its rule or solver, their settings, the schedule of the step size, clipping."""

from __future__ import annotations

from functools import partial
from typing import Any

from graphrun.base.wording import quote
from graphrun.declare.declaration import Settings
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import did_you_mean
from graphrun.document.numbers import LARGEST
from graphrun.graph.graph import Update
from graphrun.graph.lookup import Lookup
from graphrun.solvers import SOLVERS, Solver
from graphrun.updates.schedule import SCHEDULES, Schedule

CLIPS = ("clip_norm", "clip_value")
_NO_RULE = UpdateRule(lambda: None, "unknown")


def resolve_update(lookup: Lookup) -> Update:
    """Return what a step does with the parameters."""
    entry = lookup.document.update
    at = partial(lookup.problems.at, ("update",))
    rule = SOLVERS.get(entry.type) or lookup.registry.update_rule(entry.type)
    raw = dict(entry.settings)
    schedule = _resolve_schedule(lookup, raw) if isinstance(raw.get("step_size"), dict) else None
    clips = {} if isinstance(rule, Solver) else {key: _read_clip(lookup, key, raw) for key in CLIPS}
    if rule is None:
        lookup.unknown_type(at(), ("type",), entry.type, "update rule", UpdateRule)
        return Update(_NO_RULE, ())
    name, settings = next(iter(raw.items()), ("", None))
    if isinstance(settings, dict) and len(raw) == 1 and (name in SOLVERS or lookup.registry.update_rule(name)):
        shown = [f", {key}: {value}" for key, value in settings.items() if not isinstance(value, dict | list)]
        hint = f"write {{type: {quote(name + ''.join(shown))[1:-1]}}}"
        at().add((name,), "an update rule is named by 'type'", suggestion=hint, key=True)
        return Update(rule, ())
    return Update(rule, lookup.settings(rule, raw, at, ("type", *clips)), schedule, **clips)


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
