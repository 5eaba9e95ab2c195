"""Reports: a run as one page to step through, in one file that may load nothing and run nothing but its own scripts.

What comes from a graph file goes in as JSON in an element that is no script, and the page shows it as text only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graphrun.base.errors import UsageError
from graphrun.base.numbertext import SHOWN_ELEMENTS
from graphrun.run.result import Result
from graphrun.show.report.comparing import compared
from graphrun.show.report.contents import contents
from graphrun.show.report.model import make_model
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
    "elements", "theme", "graph", "feeding", "formulas", "drawing", "folding", "pointing", "details", "comparing",
    "plot", "charts", "tables", "stepping", "live", "editing", "changes", "around", "arrays", "maps", "worksheet",
    "taking", "moving",
)  # fmt: skip
"""The files of the script, in the order in which they build on each other."""


NEEDED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "folding": lambda data: "levels" in data["scene"],
    "comparing": lambda data: "other" in data,
    "arrays": lambda data: any(math.prod(value.get("shape", [])) > SHOWN_ELEMENTS for value in data["values"]),
    "maps": lambda data: NEEDED["arrays"](data) and "why" not in data.get("live", {"why": ""}),
}
"""What only some pages have."""

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
    recording, asked = record(graph, request)
    result = graph.answer(asked)
    recording.finish()
    data, script = page_of(graph, result, recording, depth)
    if other is not None:
        second = graph if isinstance(other, str | Path) else other
        resumed = other if isinstance(other, str | Path) else None
        recording, asked = record(second, replace(request, resume=resumed))
        found = second.answer(asked)
        recording.finish()
        shown = contents(second, found, recording, 0)
        data["other"] = compared(graph, second, shown, "" if resumed is None else str(resumed))
    return RunReport(page(data, script), result)


def page_of(graph: Graph, result: Result, recording: Recording, depth: int | None = None) -> tuple[dict[str, Any], str]:
    """Return what a page about a run shows, and the script of what it computes with."""
    model = make_model(graph, recording)
    return contents(graph, result, recording, depth) | {"live": model.data}, model.script


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


def page(
    data: dict[str, Any],
    model: str,
    *,
    script: Sequence[str] = SCRIPT,
    more: Sequence[str] = (),
    policy: str = "",
    body: str = "run.html",
    styles: Sequence[str] = ("style.css",),
) -> str:
    """Return a page as HTML; `model` is the script of what it computes with.

    There may be more files of the script at its end, and more that its policy allows. Of something else than a run it
    has another script, body and style.
    """
    style = "\n".join(_brief(_asset(name)) for name in styles)
    needed = [name for name in (*script, *more) if name not in NEEDED or NEEDED[name](data)]
    parts = "\n".join([model, *(_brief(_asset(f"script/{name}.js")) for name in needed)])
    # The files of the script stand one after the other, in a scope of their own. Packed they are a third as long; the
    # script that unpacks them runs what has its hash in the policy.
    packed = f'(() => {{\n"use strict";\n{parts}}})();\n'
    unpack = _brief(_asset("unpack.js"))
    policy += (
        f"default-src 'none'; script-src {_hashes([unpack, packed])}; style-src {_hashes([style])}; "
        "base-uri 'none'; form-action 'none'"
    )
    content = {"policy": policy, "style": style, "body": _asset(body), "data": to_json(data)}
    content |= {"unpack": unpack, "packed": _packed(packed)}
    return PLACE.sub(lambda place: content[place[1]], _asset("template.html"))


def to_json(data: Any) -> str:
    """Return JSON that can stand in an HTML element, whatever its strings hold."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _brief(text: str) -> str:
    """Return a script or style of ours without indentation and lines of comment."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))


def _asset(name: str) -> str:
    return (files("graphrun.show.report") / name).read_text(encoding="utf-8")


def _packed(text: str) -> str:
    """Return a text by the DEFLATE algorithm (RFC 1951), in base64."""
    packer = zlib.compressobj(9, wbits=-15)
    return base64.b64encode(packer.compress(text.encode()) + packer.flush()).decode()


def _hashes(texts: Iterable[str]) -> str:
    """Return the sources that a policy allows: these texts, and no others."""
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
