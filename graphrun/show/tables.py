"""Tables: a result as one for people, as JSON and as CSV for programs; cells in columns."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO

import numpy as np

from graphrun.base.numbertext import format_value
from graphrun.base.rows import columns, encode, encoded, write_json
from graphrun.base.wording import printable
from graphrun.run.result import Result

WIDTH = 80
"""How many columns a terminal has at least."""

SHOWN_ROWS = 20
SHOWN_COLUMNS = 9
SHOWN_VALUES = 40

SHOWN_ELEMENTS = range(5, 21)
"""A parameter of so many elements is shown element by element; a smaller one stands in one cell."""

LARGEST = 1000
"""Arrays of more elements are not in a result's JSON unless they are recorded or all of them are asked for."""


def write(data: Callable[[], Any], lines: Iterable[str], output_format: str, file: TextIO) -> None:
    """Write plain data as ``json``, or lines for a reader."""
    if output_format == "json":
        write_json(data(), file)
    else:
        file.writelines(f"{printable(line)}\n" for line in lines)


def write_result(result: Result, output_format: str, file: TextIO, *, everything: bool = False) -> None:
    """Write a result in one of the formats ``table``, ``json`` and ``csv`` (JSON lines are written row by row)."""
    if output_format == "csv":
        history = dict(columns(result.history))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(history)
        writer.writerows(zip(*(column.tolist() for column in history.values()), strict=True))
    elif output_format != "jsonl":
        write(lambda: to_json(result, everything=everything), _tables(result), output_format, file)


def to_json(result: Result, *, everything: bool = False) -> dict[str, Any]:
    """Return a result as the plain data of its JSON form.

    The values of large nodes and their gradients are in it if everything is asked for, and else their shapes; what is
    recorded is in it in any case.
    """
    objective = result.objective
    arrays = {name: value for name, value in result.values.items() if isinstance(value, np.ndarray)}
    large = () if everything else [name for name, value in arrays.items() if value.size > LARGEST]
    values = {name: value for name, value in result.values.items() if name not in large or name in result.history}
    gradients = {name: value for name, value in result.gradients.items() if name not in large}
    left_out = {name: list(arrays[name].shape) for name in large if name not in values or result.gradients}
    return {
        "graph": result.graph,
        "steps": result.steps,
        "stopped": result.stopped,
        "engine": result.engine,
        "objective": objective
        and {"name": objective.name, "direction": objective.direction, "value": encode(objective.value)},
        "parameters": encoded(result.parameters),
        "values": encoded(values),
        "gradients": encoded(gradients),
        "history": encoded(result.history),
        **({"holdout": encoded(result.holdout)} if result.holdout else {}),
        **({"left_out": left_out} if left_out else {}),
    }


def _tables(result: Result) -> Iterator[str]:
    rows = len(result.history["step"])
    # Not np.unique, which imports numpy.ma: that would be a twentieth of the time that a small graph takes.
    shown = sorted(set(np.linspace(0, max(rows - 1, 0), min(rows, SHOWN_ROWS)).round().astype(int).tolist()))
    names = list(result.history)[:SHOWN_COLUMNS]
    yield from align([names, *[[format_value(result.history[name][row]) for name in names] for row in shown]])
    notes = []
    if rows > SHOWN_ROWS:
        notes.append(f"{SHOWN_ROWS} of {rows} recorded rows")
    if len(result.history) > SHOWN_COLUMNS:
        notes.append(f"{SHOWN_COLUMNS} of {len(result.history)} columns")
    if notes:
        yield f"({' and '.join(notes)}; --format json or csv gives all)"
    yield ""
    yield from _final_values(result)
    yield f"stopped: {result.stopped}"


def _final_values(result: Result) -> Iterator[str]:
    tables = [{**result.parameters, **result.values}, *([result.gradients] if result.gradients else [])]
    shown = [
        (f"{name}[{','.join(map(str, index))}]" if index else name, name, index)
        for name, value in tables[0].items()
        for index in (np.ndindex(np.shape(value)) if _by_element(name, value, result) else [()])
    ]
    count = len(shown)
    if count > SHOWN_VALUES:
        shown = [*shown[: SHOWN_VALUES // 2], *shown[-SHOWN_VALUES // 2 :]]
    header = ["", "value", "gradient"][: 1 + len(tables)]
    body = [[label, *(format_value(np.asarray(t[name])[index]) for t in tables)] for label, name, index in shown]
    yield from align([header, *body], left=1)
    if count > SHOWN_VALUES:
        yield f"({SHOWN_VALUES} of {count} values; --format json gives all)"
    yield ""


def _by_element(name: str, value: Any, result: Result) -> bool:
    """Say whether a value is shown element by element: parameters are, for these are what a fit is made for."""
    return isinstance(value, np.ndarray) and name in result.parameters and value.size in SHOWN_ELEMENTS


def align(rows: Iterable[Sequence[str]], left: int = 0) -> Iterator[str]:
    """Pad cells to columns: the first `left` columns to the left, the others to the right."""
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.ljust(width) if position < left else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def cut(text: str, width: int) -> str:
    """Return a text of at most so many characters, with dots for what is left out at its end."""
    return text if len(text) <= width else f"{text[: width - 3]}..."
