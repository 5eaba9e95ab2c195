"""Everything that a report shows, as plain data: the page has the words and the drawing, this has the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import PurePath
from typing import Any

from graphrun.base.numbertext import number
from graphrun.base.outcome import Uncertainty
from graphrun.base.wording import printable
from graphrun.declare.formula import formulas_of, own_settings
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import Document, Path
from graphrun.document.loader import locate
from graphrun.plan.plan import Plan
from graphrun.run.api import Graph
from graphrun.run.passes import Kind, Passes
from graphrun.run.result import Result
from graphrun.show.explain.board import BOARD_TEXT, Board
from graphrun.show.explain.step import Step
from graphrun.show.explain.update import UpdateStep
from graphrun.show.report.recording import Parts, RecordedColumns, Recording, count_parts, parts, shortened
from graphrun.show.report.scene import scene
from graphrun.show.tables import uncertainty_header, uncertainty_lines, uncertainty_rows

SINGLE_STEPS = 60
"""Of more nodes than this the passes take those at once that do not depend on each other."""

MOST_SERIES = 60
MOST_LINES = 5000
WORTH_DIGITS = 4

Data = dict[str, Any]


def contents(graph: Graph, result: Result, recording: Recording, depth: int | None = None) -> Data:
    """Return what a report shows of a run's result and recording; `depth` is how many frames the drawing opens."""
    plan = recording.plan
    passes = Passes(plan, 0, (), ())
    return {
        "title": printable(PurePath(graph.name).name),
        "description": [printable(line) for line in graph.document.description.splitlines()],
        "objective": None if plan.objective is None else {"value": plan.objective, "maximize": plan.maximize},
        "values": _values(graph, plan, passes),
        "edges": [list(edge) for edge in recording.edges],
        "waves": _waves(graph, plan, passes),
        "scene": scene(graph.structure, plan, recording.edges, depth),
        "file": _file(graph),
        **what_grows(graph, result, recording),
    }


def what_grows(graph: Graph, result: Result, recording: Recording) -> Data:
    """Return the part of it that grows as a run goes on."""
    columns = RecordedColumns()
    plan = recording.plan
    return {
        "run": _run(graph, result, recording) | {"varying": Passes(plan, 0, (), ()).varying},
        "rows": _rows(recording, columns),
        "history": _history(result, plan, columns),
        "worth": None if result.uncertainty is None else _worth(result, result.uncertainty),
        "columns": list(columns),
    }


def _worth(result: Result, found: Uncertainty) -> Data:
    """Return what the fit at the end of the run is worth, as texts."""
    rows = uncertainty_rows(result, WORTH_DIGITS)
    return {
        "header": ["value", *uncertainty_header(found)],
        "rows": [[printable(cell) for cell in row] for row in rows[:MOST_SERIES]],
        "lines": [printable(line) for line in uncertainty_lines(found)],
        "left_out": max(0, len(rows) - MOST_SERIES),
    }


def _run(graph: Graph, result: Result, recording: Recording) -> Data:
    document = graph.document
    return {
        "steps": result.steps,
        "stopped": printable(result.stopped.split(": ")[0] if result.error else result.stopped),
        "error": None if result.error is None else printable(str(result.error)),
        "engine": result.engine,
        "dtype": recording.plan.dtype.name,
        "update": None if recording.plan.objective is None else _update(graph, recording.plan),
        "every": recording.stride,
        "overrides": [
            f"{printable('.'.join(map(str, path)))} = {printable(source.text)}"
            for path, source in document.source.overrides.items()
        ],
    }


def _update(graph: Graph, plan: Plan) -> Data:
    update = plan.update
    own = own_settings(update.rule, update.settings)
    settings = {name: value for name, value in update.settings if name == "step_size" or name in own}
    if update.schedule is not None:
        schedule, given = update.schedule
        settings["step_size"] = f"{schedule.name}({', '.join(f'{name} {_text(value)}' for name, value in given)})"
    extra = {"clip_norm": update.clip_norm, "clip_value": update.clip_value}
    settings |= {name: value for name, value in extra.items() if value is not None}
    # The one rule that is a formula of what the page shows.
    plain = update.rule.name == "sgd" and set(settings) == {"step_size"} and update.schedule is None
    size = shortened(float(settings["step_size"])) if plain else None
    return {
        "rule": update.rule.name,
        "settings": [f"{name} {_text(value)}" for name, value in settings.items()],
        "step_size": size,
        "sign": 1 if plan.maximize else -1,
        **_memory(graph, plan),
    }


def _memory(graph: Graph, plan: Plan) -> Data:
    """Return what a rule remembers, and its formulas, as `explain` has them: of each state, and of the new value."""
    rule = plan.update.rule
    if not isinstance(rule, UpdateRule) or not rule.state:
        return {}
    step = Step(graph, Passes(plan, 0, (), ()), None, "", {})
    found = UpdateStep(Board(step, BOARD_TEXT)).formulas
    if found is None:
        return {"states": list(rule.state), "formulas": []}
    states, value = found
    formulas = [f"{name} = {text}" for name, text in zip(rule.state, states, strict=True) if name != text]
    return {"states": list(rule.state), "formulas": [*formulas, f"new x = {value}"]}


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return printable(str(value))
    return number(value)


def _values(graph: Graph, plan: Plan, passes: Passes) -> list[Data]:
    lines = _lines_of(graph.document, plan.slots)
    result = []
    for slot, name in enumerate(plan.names):
        kind = passes.kind(slot)
        entry: Data = {"name": number(plan.leaves[slot]) if name is None else name, "kind": kind.value}
        if name is not None and lines[name]:
            entry["lines"] = lines[name]
        if plan.shapes[slot]:
            entry["shape"] = list(plan.shapes[slot])
        if kind is Kind.NODE:
            entry |= _node(plan, passes, slot)
        elif kind is Kind.PARAMETER and (bounds := plan.bounds[slot]) is not None:
            entry["bounds"] = [] if plan.shapes[slot] else [shortened(float(bound)) for bound in bounds]
        result.append(entry)
    return result


def _lines_of(document: Document, names: Iterable[str]) -> dict[str, list[int]]:
    """Return the lines of each name, from 1: where it is declared, and the line within a subgraph that it was made of.

    What an instance or an expression makes stands where that stands.
    """
    names = list(names)
    candidates = {name: [*_paths(name)] for name in names}
    wanted = {path[:length] for paths in candidates.values() for path in paths for length in range(len(path) + 1)}
    # A graph that is no text has no lines.
    found = locate(document.source.text, wanted) if document.source.text else {}
    result = {}
    for name, paths in candidates.items():
        lines = [found[path].key.line for path in paths if path in found][:1]
        inner = _line_in_definition(document, name)
        result[name] = list(dict.fromkeys([*lines, *([] if inner is None else [inner])]))
    return result


def _paths(name: str) -> Iterator[Path]:
    """Yield the places where a name may be declared, the nearest first."""
    words = name.split(".")
    for length in range(len(words), 0, -1):
        prefix = ".".join(words[:length])
        for section in (("parameters",), ("constants",), ("nodes",), ("data", "columns")):
            yield (*section, prefix)
    yield ("data", "file")


def _line_in_definition(document: Document, name: str) -> int | None:
    """Return the line within the subgraph's definition, if that stands in the same file."""
    entry = document.nodes.get(name)
    if entry is not None:
        origin = entry.origin if entry.use is not None else None
    else:
        section = "parameters" if name in document.parameters else "constants"
        origin = document.leaf_problems(section, name) if name in document.leaf_origins else None
    if origin is None or origin.source is not document.source:
        return None
    return int(origin.where().rsplit(":", 2)[1])


def _node(plan: Plan, passes: Passes, slot: int) -> Data:
    batch = plan.batch_of(slot)
    inputs = plan.inputs_of(slot)
    # Formulas have places for names or numbers, ``{0} * {1}``; the node itself is ``{y}``.
    places = [f"{{{k}}}" if plan.names[s] is not None else number(plan.leaves[s]) for k, s in enumerate(inputs)]
    found = formulas_of(batch.type, batch.settings, places, "{y}")
    entry: Data = {"type": batch.type.name, "inputs": inputs, "formula": found.forward}
    if plan.objective is not None and batch.needed:
        entry["needed"] = True
        if any(found.local_derivatives):
            entry["derivatives"] = list(found.local_derivatives)
    return entry


def _waves(graph: Graph, plan: Plan, passes: Passes) -> list[list[int]]:
    """Return the nodes in the order of the forward pass: one at a time, or generation by generation."""
    names = graph.structure.names
    order = [plan.slots[name] for name in (names[number] for number in graph.structure.order) if name is not None]
    if len(order) <= SINGLE_STEPS:
        return [[slot] for slot in order]
    generation = plan.generations.__getitem__
    return [list(wave) for _, wave in groupby(sorted(order, key=generation), generation)]


def _rows(recording: Recording, columns: RecordedColumns) -> Data:
    rows, moves = recording.rows, recording.moves
    plan = recording.plan
    result: Data = {
        "step": columns.add([row.step for row in rows]) if rows else None,
        "count": len(rows),
        "values": _table(columns, [row.values for row in rows]),
    }
    if plan.objective is not None:
        result |= {
            "gradients": _table(columns, [row.gradients for row in rows]),
            "locals": _table(columns, [row.local_derivatives for row in rows]),
            "contributions": _table(columns, [row.contributions for row in rows]),
        }
        nothing = [[float("nan")] * count_parts(shape) for shape in plan.shapes[: plan.parameters]]
        taken = [moves.get(row.step) for row in rows]
        if any(taken):
            result["next"] = columns.add([-1 if move is None else move.step for move in taken])
            result["moves"] = _table(columns, [nothing if move is None else move.changes for move in taken])
            count = max(len(move.states) for move in taken if move is not None)
            result["states"] = [
                _table(columns, [nothing if move is None else move.states[k] for move in taken]) for k in range(count)
            ]
    return result


def _table(columns: RecordedColumns, rows: Sequence[Sequence[Parts | None]]) -> list[list[int] | None]:
    """Return the columns of each quantity."""
    result: list[list[int] | None] = []
    for quantity in zip(*rows, strict=True):
        given = [numbers for numbers in quantity if numbers is not None]
        result.append(columns.add_rows(given) if len(given) == len(quantity) else None)
    return result


def _history(result: Result, plan: Plan, columns: RecordedColumns) -> Data:
    """Return the recorded values, of arrays what stands for them."""
    history = {name: column for name, column in result.history.items() if name != "step"}
    series = []
    for name, column in list(history.items())[:MOST_SERIES]:
        shape = column.shape[1:]
        own = name.removeprefix("holdout.") if name not in plan.slots else name
        entry: Data = {
            "name": own,
            "holdout": own != name,
            "value": plan.slots.get(own),
            "columns": columns.add_rows([parts(value) for value in column]) if len(column) else [],
        }
        if shape:
            entry["shape"] = list(shape)
        series.append(entry)
    steps = result.history["step"]
    return {
        "step": columns.add(steps.tolist()) if len(steps) else None,
        "count": len(steps),
        "series": series,
        "left_out": max(0, len(history) - MOST_SERIES),
    }


def _file(graph: Graph) -> Data:
    lines = graph.document.source.lines
    if not lines[-1]:
        lines = lines[:-1]
    return {
        "name": printable(graph.name),
        "lines": [printable(line) for line in lines[:MOST_LINES]],
        "left_out": max(0, len(lines) - MOST_LINES),
    }
