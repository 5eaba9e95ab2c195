"""What notebooks show of graphs and results: the drawing, the history, the parameters, as HTML without scripts.

It has no style sheet either, which would be the whole page's, and every text in it is escaped. A report has both, and
is shown in a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape as html_escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import RunError
from graphrun.base.numbertext import describe, number
from graphrun.base.wording import printable
from graphrun.graph.graph import ComputationalGraph
from graphrun.plan.plan import Plan
from graphrun.run.api import Graph
from graphrun.run.passes import Passes
from graphrun.run.result import Result
from graphrun.show.draw import Drawing, colours, draw_graph, lay_out, to_svg
from graphrun.show.draw.svg import escape

MOST_CHARTS = 6
MOST_PARAMETERS = 20

WIDTH, HEIGHT = 278.0, 130.0
LEFT, RIGHT, TOP, BOTTOM = 80.0, 10.0, 24.0, 20.0


FRAME_STYLE = "width:100%;height:min(46rem,90vh);border:0;resize:vertical"
"""As wide as its place; a page in it scrolls, and keeps its controls in view."""

TELL_THEME = (
    "let e = this, c; "
    "do { e = e.parentElement; c = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number); } "
    "while (c[3] === 0 && e.parentElement); "
    "if (c[3] !== 0) this.contentWindow.postMessage("
    "0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2] < 128 ? 'dark' : 'light', '*');"
)
"""A notebook has a theme of its own, which a frame is told: whether what is behind it is dark."""


class FramedPage(str):
    """A page as text; a notebook shows it in a frame, in which only its own scripts run, and know nothing around it."""

    name: str

    def __new__(cls, page: str, name: str) -> FramedPage:
        """Make it of its text, and of what it is about."""
        made = super().__new__(cls, page)
        made.name = name
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]  # of a str there is one
        return str(self), self.name

    def _repr_html_(self) -> str:
        attributes = {"title": self._told, "style": FRAME_STYLE, "onload": TELL_THEME, "srcdoc": self}
        told = " ".join(f'{name}="{html_escape(value)}"' for name, value in attributes.items())
        return f'<iframe sandbox="allow-scripts allow-downloads" {told}></iframe>'

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Tell IPython what is beside the frame: not the whole text once more."""
        printer.text(f"<{self._told}>")

    @property
    def _told(self) -> str:
        return f"Report of {printable(self.name)}"


def bundle(item: Graph | Result) -> Mapping[str, str]:
    """Return what a notebook shows of a graph, as its first step has it, or of a result, by MIME type."""
    if isinstance(item, Result):
        drawing = None if item.made_of is None else draw_result(*item.made_of, item)
        text = f"<Result of {item.graph}: {summary(item)}>"
    else:
        try:
            passes = item.passes()
        except RunError:
            passes = None
        drawing, text = draw_graph(item.structure, passes), repr(item)
    html, pictures = "", {}
    if drawing is not None:
        pictures = {"image/svg+xml": to_svg(drawing, lay_out(drawing))}
        html = f'<div style="overflow-x: auto">{pictures["image/svg+xml"]}</div>'
        html += f"<p>{escape(drawing.note)}</p>" if drawing.note else ""
    return {"text/plain": text, "text/html": result_html(item, html) if isinstance(item, Result) else html, **pictures}


def draw_result(structure: ComputationalGraph, plan: Plan, result: Result) -> Drawing:
    """Make the drawing of a graph with the values and gradients of a result."""
    values: list[Any] = [*plan.leaves, *[None] * (len(plan.names) - len(plan.leaves))]
    gradients: list[Any] = [None] * len(plan.names)
    for name, slot in plan.slots.items():
        value = result.values.get(name, result.parameters.get(name, values[slot]))
        # NumPy's numbers, not Python's, which raise where those give an infinity.
        values[slot] = np.asarray(value)[()]
        gradients[slot] = result.gradients.get(name)
    # What each step is given anew is not kept.
    given = [*(noise.slot for noise in plan.noise), *plan.state_slots]
    for slot in (*given, *(plan.data if plan.feeds else ())):
        values[slot] = None
    return draw_graph(structure, Passes(plan, result.steps, values, gradients))


def result_html(result: Result, picture: str) -> str:
    """Return a result as HTML: how the run ended, the drawing, charts of the history, a table of the parameters."""
    heading = f"<p><b>{escape(result.graph)}</b>: {escape(summary(result))}</p>"
    charts = "".join(history_charts(result.history))
    return f"<div>{heading}{picture}{charts and f'<div>{charts}</div>'}{_parameters(result)}</div>"


def summary(result: Result) -> str:
    """Say in a line how a run ended."""
    steps = f"{result.steps} step{'' if result.steps == 1 else 's'}"
    parts = [f"{steps} on {result.engine}", f"stopped: {result.stopped}"]
    if result.objective is not None:
        parts.insert(0, f"{result.objective.direction} {result.objective.name} = {number(result.objective.value)}")
    return ", ".join(parts)


def history_charts(history: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    """Yield a small chart of each recorded number, by the step."""
    steps = history["step"]
    if len(steps) < 2:
        return
    names = [name for name, column in history.items() if name != "step" and column.ndim == 1]
    for name in names[:MOST_CHARTS]:
        yield chart(name, steps.tolist(), history[name].tolist())


def chart(name: str, steps: Sequence[float], values: Sequence[float], along: str = "step ") -> str:
    """Return a chart of a number by the step, or by something else, as SVG."""
    known = [value for value in values if np.isfinite(value)]
    least, most = (min(known), max(known)) if known else (0.0, 1.0)
    span, (first, last) = (most - least) or 1.0, (min(steps), max(steps))
    ends = [str(end) if isinstance(end, int) else number(end) for end in (first, last)]
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def at(step: float, value: float) -> str:
        x = LEFT + (right - LEFT) * (step - first) / ((last - first) or 1)
        return f"{x:.1f},{bottom - (bottom - TOP) * (value - least) / span:.1f}"

    # A line ends at a value that is not finite, and goes on after it.
    pieces: list[list[str]] = [[]]
    for step, value in zip(steps, values, strict=True):
        if np.isfinite(value):
            pieces[-1].append(at(step, value))
        else:
            pieces.append([])
    lines = "".join(
        f'<polyline points="{" ".join(piece)}" fill="none" stroke="{colours.VALUE}" stroke-width="1.6"/>'
        for piece in pieces
        if piece
    )
    told = f"{name} from {number(values[0])} at {along}{ends[0]} to {number(values[-1])} at {along}{ends[1]}"
    label = f'font-size="10" fill="{colours.FAINT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:g}" height="{HEIGHT:g}" role="img" '
        f'viewBox="0 0 {WIDTH:g} {HEIGHT:g}" font-family="Helvetica, Arial, sans-serif">'
        f"<title>{escape(told)}</title>"
        f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="{colours.BACKGROUND}"/>'
        f'<path d="M{LEFT:g},{TOP:g}V{bottom:g}H{right:g}" fill="none" stroke="{colours.LINE}"/>'
        f'<text x="{LEFT:g}" y="15" font-size="12" font-weight="bold" fill="{colours.TEXT}">{escape(name)}</text>'
        f'<text x="{LEFT - 5:g}" y="{TOP + 4:g}" text-anchor="end" {label}>{number(most)}</text>'
        f'<text x="{LEFT - 5:g}" y="{bottom:g}" text-anchor="end" {label}>{number(least)}</text>'
        f'<text x="{LEFT:g}" y="{HEIGHT - 6:g}" {label}>{ends[0]}</text>'
        f'<text x="{right:g}" y="{HEIGHT - 6:g}" text-anchor="end" {label}>{along}{ends[1]}</text>'
        f"{lines}</svg>"
    )


def _parameters(result: Result) -> str:
    names = list(result.parameters)
    if not names:
        return ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(describe(result.parameters[name]))}</td>"
        f"<td>{escape(describe(result.gradients[name])) if name in result.gradients else ''}</td></tr>"
        for name in names[:MOST_PARAMETERS]
    )
    more = len(names) - MOST_PARAMETERS
    note = f"<p>and {more} more in <code>result.parameters</code></p>" if more > 0 else ""
    return f"<table><tr><th>parameter</th><th>value</th><th>gradient</th></tr>{rows}</table>{note}"
