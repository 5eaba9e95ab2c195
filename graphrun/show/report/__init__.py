"""Reports: a run as one page to step through, in one file that may load nothing and run nothing but its own scripts.

What comes from a graph file goes in as JSON in an element that is no script, and the page shows it as text only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graphrun.base.errors import UsageError
from graphrun.run.result import Result
from graphrun.show.report.comparing import compared
from graphrun.show.report.contents import contents
from graphrun.show.report.model import live_data, make_model
from graphrun.show.report.recording import Recording

if TYPE_CHECKING:
    from graphrun.run.api import Graph
    from graphrun.run.request import RunRequest

MOST_VALUES = 20_000
"""Nobody reads a page of more values, and no browser shows it in a moment."""

MOST_ROWS = 1001
"""All steps of a run of 1,000, and the row before them; a longer one has more than half as many."""

UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
"""What could end the element, and what UTF-8 cannot write; all of it stands within strings."""

SCRIPT = (
    "elements", "graph", "feeding", "formulas", "drawing", "folding", "pointing", "details", "comparing", "plot",
    "charts", "tables", "live", "editing", "changes", "around", "moving",
)  # fmt: skip
"""The files of the script, in the order in which they build on each other."""

NEEDED = {"folding": lambda data: "levels" in data["scene"], "comparing": lambda data: "other" in data}
"""What only some pages have."""

BLANKS = re.compile(r" ?([=<>?:&|{},;]+|[()]) ?(?![-+.])")
"""Not beside plus and minus, of which two would become another sign."""

PLACE = re.compile(r"\{\{ (\w+) \}\}")


class RunReport(NamedTuple):
    """A page, as HTML, and the result of the run that it is about."""

    html: str
    result: Result


def make_report(
    graph: Graph, request: RunRequest, depth: int | None = None, other: Graph | str | Path | None = None
) -> RunReport:
    """Run a graph, and return a page about it; a run that fails has a page of what there is.

    Its drawing opens so many frames within each other; all that fit by default. Beside it is the run of another graph,
    or of this one from another checkpoint.

    Raises:
        UsageError: the graph is too large for a page.
    """
    result, recording = _recorded(graph, request)
    model = make_model(graph, recording)
    data = contents(graph, result, recording, depth) | {"live": live_data(model, graph, recording)}
    if other is not None:
        second = graph if isinstance(other, str | Path) else other
        resumed = other if isinstance(other, str | Path) else None
        shown = contents(second, *_recorded(second, replace(request, resume=resumed)), 0)
        data["other"] = compared(graph, second, shown, "" if resumed is None else str(resumed))
    return RunReport(page(data, model.script), result)


def _recorded(graph: Graph, request: RunRequest) -> tuple[Result, Recording]:
    recording, asked = record(graph, request)
    result = graph.answer(asked)
    recording.finish()
    return result, recording


def record(graph: Graph, request: RunRequest) -> tuple[Recording, RunRequest]:
    """Return what a run leaves behind for its page, to be finished after it, and the request of that run.

    Raises:
        UsageError: the graph is too large for a page.
    """
    plan = graph.plan(request.dtype, request.seed)
    if len(plan.names) > MOST_VALUES:
        raise UsageError(f"{graph.name} has {len(plan.names):,} values; a report has at most {MOST_VALUES:,}")
    steps = 0 if plan.objective is None else request.steps_of(graph.document)
    recording = Recording(plan, request.every, None if request.every else MOST_ROWS)
    return recording, replace(request, steps=steps, most_rows=MOST_ROWS, inspect=recording.take)


def page(data: dict[str, Any], model: str, *, more: Sequence[str] = (), policy: str = "") -> str:
    """Return a report as HTML.

    Args:
        data: what it shows.
        model: the script of what it computes with.
        more: more files of the script, at its end.
        policy: what its policy allows beside its own scripts and styles.
    """
    styles = {"style": _brief(_asset("style.css"))}
    needed = [name for name in SCRIPT if name not in NEEDED or NEEDED[name](data)]
    lines = (line for name in (*needed, *more) for line in _brief(_asset(f"script/{name}.js")).splitlines())
    parts = "\n".join([model, *map(_tight, lines)])
    # The files of the script stand one after the other, in a scope of their own.
    script = f'(() => {{\n"use strict";\n{parts}}})();\n'
    scripts = {"script": script}
    policy = (
        f"{policy}default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "base-uri 'none'; form-action 'none'"
    )
    content = styles | scripts | {"policy": policy, "data": to_json(data)}
    return PLACE.sub(lambda place: content[place[1]], _asset("template.html"))


def to_json(data: Any) -> str:
    """Return JSON that can stand in an HTML element, whatever its strings hold."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _brief(text: str) -> str:
    """Return a script or style of ours without indentation and lines of comment."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))


def _tight(line: str) -> str:
    """Return a line of a script without blanks around signs; one with templates, regular expressions or escapes stays as it is."""
    if any(sign in line for sign in "`/\\'"):
        return line
    parts = line.split('"')
    return '"'.join(part if k % 2 else BLANKS.sub(r"\1", part) for k, part in enumerate(parts))


def _asset(name: str) -> str:
    return (files("graphrun.show.report") / name).read_text(encoding="utf-8")


def _hashes(texts: dict[str, str]) -> str:
    """Return the sources that a policy allows: these texts, and no others."""
    digests = (hashlib.sha256(text.encode()).digest() for text in texts.values())
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
