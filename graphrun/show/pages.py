"""What is shown of a graph, as its methods and the commands give it: a step explained, drawn, a report, a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graphrun.base.errors import GraphrunError, NotFiniteError, RunError, UsageError
from graphrun.base.files import check_output, write_output
from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import describe
from graphrun.check.check import check_graph as check
from graphrun.run.api import Graph
from graphrun.run.request import RunRequest
from graphrun.show.tables import WIDTH

if TYPE_CHECKING:
    from graphrun.engines.auto import Choice
    from graphrun.run.result import Result
    from graphrun.run.sweep.sweep import Sweep

__all__ = ["bundle", "check", "draw", "drawn", "explain", "explained", "export", "report", "sweep_report"]


class Page(NamedTuple):
    """A text or a picture, what is to be said beside it, and what broke the step that it shows as far as it came."""

    content: Any
    note: str = ""
    error: NotFiniteError | None = None


def explained(
    graph: Graph,
    step: int | None,
    output_format: str = "text",
    *,
    node: str | None = None,
    ranked: bool = False,
    seed: int | None = None,
    resume: str | Path | None = None,
    width: int = WIDTH,
    on_choice: Callable[[Choice], None] = lambda _choice: None,
) -> Page:
    """Explain a step: see `Graph.explain`."""
    from graphrun.show.explain import FORMATS
    from graphrun.show.explain import explain as explain_step
    from graphrun.show.explain.step import Step, take_step

    if output_format not in FORMATS:
        raise UsageError(f"explain: format {output_format!r} is none of {', '.join(FORMATS)}")
    if node is not None and ranked:
        raise UsageError("explain: a node and the sensitivity are two different pages: ask for one of them")
    error = None
    try:
        taken = take_step(graph, step, seed=seed, resume=resume, on_choice=on_choice)
    except NotFiniteError as broken:
        if broken.passes is None or ranked:
            raise
        taken, error = Step(graph, broken.passes, None, f"not finite: {broken}", {}), broken
    return Page(explain_step(taken, output_format, node=node, ranked=ranked, width=width), "", error)


def drawn(
    graph: Graph,
    picture_format: str,
    *,
    step: int | None = None,
    depth: int | None = None,
    direction: str = "auto",
    seed: int | None = None,
    resume: str | Path | None = None,
) -> Page:
    """Draw a graph: see `Graph.draw`."""
    from graphrun.show.draw import draw_graph
    from graphrun.show.draw.formats import FORMATS, HOOK, write

    render = None if picture_format in FORMATS else graph.registry.named(HOOK, f".{picture_format}")
    if picture_format not in FORMATS and render is None:
        known = [*FORMATS, *(suffix[1:] for suffix in graph.registry.names(HOOK))]
        raise UsageError(f"draw: format {picture_format!r} is none of {', '.join(known)}")
    if direction not in {"auto", "right", "down"}:
        raise UsageError(f"draw: direction {direction!r} is none of auto, right, down")
    passes, error = None, None
    try:
        passes = None if step is None and resume is None else graph.passes(step, seed=seed, resume=resume)
    except NotFiniteError as broken:
        if broken.passes is None:
            raise
        passes, error = broken.passes, broken
    drawing = draw_graph(graph.structure, passes, depth)
    content = write(drawing, "svg" if render else picture_format, direction)
    return Page(_of_plugin(render, content, f"drawing as {picture_format}") if render else content, drawing.note, error)


def bundle(item: Graph | Result) -> Mapping[str, str]:
    """Return what a notebook shows; drawing is imported only then."""
    from graphrun.show import notebook

    return notebook.bundle(item)


def explain(graph: Graph, path: str | Path | None, step: int | None, output_format: str, **asked: Any) -> str:
    """Return a step explained, and write it."""
    return str(_written(explained(graph, step, output_format, **asked).content, path))


def draw(graph: Graph, path: str | Path | None, picture_format: str | None, **asked: Any) -> str | bytes:
    """Return a drawing, and write it."""
    from graphrun.show.draw.formats import format_of

    if picture_format is None:
        picture_format = "svg" if path is None else format_of(str(path), graph.registry)
    found: str | bytes = _written(drawn(graph, picture_format, **asked).content, path)
    return found


def report(
    graph: Graph, path: str | Path | None, depth: int | None, compare: Graph | str | Path | None, **asked: Any
) -> str:
    """Return the page about a run, and write it."""
    from graphrun.show.notebook import FramedPage
    from graphrun.show.report import make_report

    if path is not None:
        check_output(path)
    return FramedPage(_written(make_report(graph, RunRequest(**asked), depth, compare).html, path), graph.name)


def sweep_report(sweep: Sweep, path: str | Path | None) -> str:
    """Return the page about a sweep, and write it."""
    from graphrun.show.notebook import FramedPage
    from graphrun.show.report.sweeps import sweep_page

    return FramedPage(_written(sweep_page(sweep), path), sweep.graph)


def export(graph: Graph, to: str, path: str | Path | None, options: Mapping[str, Any]) -> str | bytes:
    """Return a graph in another language, and write it."""
    content: str | bytes = _written(exported(graph, to, options), path)
    return content


def exported(
    graph: Graph, to: str, options: Mapping[str, Any], tell: Callable[[str], None] | None = None
) -> str | bytes:
    """Return a graph in another language, with those of its options that are given; it may tell what to know of it."""
    from graphrun.show.export import LANGUAGES

    hook = "graphrun_languages"
    write = None if to in LANGUAGES else graph.registry.named(hook, to)
    if to not in LANGUAGES and write is None:
        raise UsageError(f"export: {to!r} is none of the languages {graph.registry.known(hook, to, LANGUAGES)}")
    takes = () if write is not None else LANGUAGES[to].options
    given = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() - set(takes):
        raise UsageError(f"--{name} is not for --to {to}")
    if write is not None:
        return _of_plugin(write, graph, f"export to {to}")
    if tell is not None and "tell" in takes:
        given["tell"] = tell
    return LANGUAGES[to].export(graph, **given)


def _of_plugin(write: Callable[[Any], str | bytes], given: Any, what: str) -> str | bytes:
    """Return what a plugin's function writes."""
    try:
        with stdout_to_stderr():
            written = write(given)
    except GraphrunError:
        raise
    except (Exception, SystemExit) as error:
        raise RunError(f"{what} failed: {type(error).__name__}: {error}") from error
    if not isinstance(written, str | bytes):
        raise RunError(f"{what} failed: the plugin gave {describe(written)}, not a text or bytes")
    return written


def _written(content: Any, path: str | Path | None) -> Any:
    if path is not None:
        write_output(path, content)
    return content
