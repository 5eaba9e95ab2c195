"""The page of a sweep: its runs as a table, as lines through their settings, and what they recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from graphrun.base.rows import thinned
from graphrun.document.sweep_section import Axis
from graphrun.run.sweep.importance import importance, is_number
from graphrun.run.sweep.sweep import MOST_COURSES, Sweep, has_value
from graphrun.show.report import page

MOST_SHOWN = MOST_COURSES
NUMBERS = 60_000
"""About so many numbers of courses keep a page well below a megabyte."""
FEWEST_POINTS, MOST_POINTS = 20, 200
LONGEST_REASON = 300
LOGARITHMIC = 100
"""A list of numbers whose ends are as far apart as that is shown by powers."""

SCRIPT = ("elements", "theme", "plot", "sweep")


def sweep_page(sweep: Sweep) -> str:
    """Return the page of a sweep as HTML; of very many runs the best ones are on it."""
    return page(sweep_contents(sweep), "", script=SCRIPT, body="sweep.html", styles=("style.css", "sweep.css"))


def sweep_contents(sweep: Sweep) -> dict[str, Any]:
    """Return what the page shows, the runs as columns, the best one first."""
    ranked = sweep.ranked()
    runs = ranked[:MOST_SHOWN]
    names = ("number", "objective", "seconds", "steps", "seed")
    settings = [setting(axis, runs) | {"importance": _importance(axis, ranked, sweep)} for axis in sweep.axes]
    return {
        "title": sweep.graph,
        "compared": sweep.objective,
        "maximize": sweep.direction == "maximize",
        "total": sweep.total,
        "done": len(ranked),
        "runs": {name: [run.get(name) for run in runs] for name in names}
        | {"hasValue": [int(has_value(run)) for run in runs]}
        | {"stopped": [_brief(run["stopped"]) for run in runs]},
        "settings": settings,
        **_courses(sweep, runs),
    }


def setting(axis: Axis, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what runs were given of an axis: numbers, or texts by their places in a list of them."""
    name, values = ", ".join(axis.paths), [value_of(axis, run["settings"]) for run in runs]
    listed = [value_of(axis, axis.settings(choice)) for choice in axis.choices]
    if all(is_number(value) for value in (*listed, *values)):
        powers = bool(listed) and min(listed) > 0 and max(listed) >= LOGARITHMIC * min(listed)
        return {"name": name, "log": axis.log or powers, "values": values}
    texts = [
        [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in given] for given in (listed, values)
    ]
    choices = [text for text in dict.fromkeys(texts[0]) if text in set(texts[1])]
    return {"name": name, "choices": choices, "values": [choices.index(text) for text in texts[1]]}


def value_of(axis: Axis, settings: Mapping[str, Any]) -> Any:
    """Return what settings have of an axis: what all its paths have, or that of each."""
    given = [settings.get(path) for path in axis.paths]
    return given[0] if all(value == given[0] for value in given) else given


def _importance(axis: Axis, runs: Sequence[Mapping[str, Any]], sweep: Sweep) -> float | None:
    """Return how much an axis matters; runs that came to nothing count as the worst ones."""
    worst = -math.inf if sweep.direction == "maximize" else math.inf
    share = importance(
        [value_of(axis, run["settings"]) for run in runs],
        [run["objective"] if has_value(run) else worst for run in runs],
    )
    return None if share is None else round(share, 4)


def _courses(sweep: Sweep, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what runs recorded, thinned where they are many, by their places; the steps of many are the same."""
    known = sweep.courses({run["number"] for run in runs})
    names = list(dict.fromkeys(name for course in known.values() for name in course if name != "step"))
    most = max(FEWEST_POINTS, min(MOST_POINTS, NUMBERS // max(1, len(known) * len(names))))
    steps: dict[tuple[int, ...], int] = {}
    found = {}
    for place, run in enumerate(runs):
        course = known.get(run["number"])
        if course is not None:
            kept = thinned(len(course["step"]), most).tolist()
            at = steps.setdefault(tuple(course["step"][k] for k in kept), len(steps))
            found[place] = [at, *([course[name][k] for k in kept] if name in course else [] for name in names)]
    return {"recorded": names, "steps": list(steps), "courses": found}


def _brief(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"
