"""Profile intervals as a page of tables and charts, and as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphrun.base.numbertext import number
from graphrun.base.wording import printable
from graphrun.run.intervals import Intervals
from graphrun.show.explain.page import Block, CellTable, Heading, Math, Page, Paragraph, to_html
from graphrun.show.notebook import chart

DIGITS = 6


def to_json(found: Intervals, graph: str) -> dict[str, Any]:
    """Return intervals as plain data: an end that is open is null."""
    profiles = {name: {"values": xs, "roots": roots} for name, (xs, roots) in found.profiles.items()}
    return {"graph": graph, **vars(found), "profiles": profiles}


def interval_page(found: Intervals, graph: str) -> Page:
    """Return what there is to read of intervals."""
    return list(_blocks(found, graph))


def _blocks(found: Intervals, graph: str) -> Iterator[Block]:
    level = f"{100 * found.level:g}%"
    yield Heading(
        [f"{printable(Path(graph).name)}: where the parameters may be, by {level} profile intervals"], level=1
    )
    if found.intervals:
        rows = [
            [name, *(number(x, DIGITS) if x is not None else "open" for x in (found.estimates[name], *ends))]
            for name, ends in found.intervals.items()
        ]
        yield CellTable(["", "fit", "from", "to"], rows)
    for note in found.notes:
        yield Paragraph([f"{note}."])
    for name, (values, roots) in found.profiles.items():
        yield Heading(["The profile of ", Math(name), f"; an interval ends at ±{number(found.limit, 4)}"])
        finite = [(x, root) for x, root in zip(values, roots, strict=True) if math.isfinite(root)]
        yield CellTable(["value", "root of the deviance"], [[number(x, DIGITS), number(r, 4)] for x, r in finite])
    if found.contour:
        names = list(found.contour)
        yield Heading([f"The {level} region of ", Math(names[0]), " and ", Math(names[1])])
        pairs = zip(*found.contour.values(), strict=True)
        yield CellTable(names, [[number(x, DIGITS) for x in pair] for pair in pairs])


def interval_html(found: Intervals, graph: str) -> str:
    """Return the page with its charts, as one HTML file that asks for nothing."""
    charts = [
        chart(f"root of the deviance by {name}", xs, roots, along="") for name, (xs, roots) in found.profiles.items()
    ]
    if found.contour:
        (across, xs), (up, ys) = found.contour.items()
        charts.append(chart(f"{up} by {across}", [*xs, xs[0]], [*ys, ys[0]], along=""))
    return to_html(interval_page(found, graph)).replace("<h2>", f"<div>{''.join(charts)}</div>\n<h2>", 1)
