"""Results as text: a table for people, JSON, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from graphrun.run.result import Result

SHOWN_ROWS = 20
SHOWN_COLUMNS = 9
SHOWN_VALUES = 40


def write_result(result: Result, output_format: str, file: TextIO) -> None:
    """Write a result in one of the formats ``table``, ``json`` and ``csv`` (JSON lines are written row by row)."""
    if output_format == "json":
        _write_json(to_json(result), file)
    elif output_format == "csv":
        csv.writer(file, lineterminator="\n").writerows(_csv_rows(result.history))
    elif output_format == "table":
        file.writelines(f"{line}\n" for line in _tables(result))


def write_row(step: int, row: Mapping[str, Any], file: TextIO) -> None:
    """Write one recorded row as a JSON line, at once."""
    _write_json({"step": step, **_encoded(row)}, file)
    file.flush()


def _write_json(data: dict[str, Any], file: TextIO) -> None:
    unicode = (file.encoding or "utf").lower().startswith("utf")
    json.dump(data, file, ensure_ascii=not unicode, allow_nan=False)
    file.write("\n")


def to_json(result: Result) -> dict[str, Any]:
    """Return a result as the plain data of its JSON form."""
    objective = result.objective
    return {
        "graph": result.graph,
        "steps": result.steps,
        "stopped": result.stopped,
        "engine": result.engine,
        "objective": objective
        and {"name": objective.name, "direction": objective.direction, "value": encode(objective.value)},
        "parameters": _encoded(result.parameters),
        "values": _encoded(result.values),
        "gradients": _encoded(result.gradients),
        "history": _encoded(result.history),
        **({"holdout": _encoded(result.holdout)} if result.holdout else {}),
    }


def encode(value: Any) -> Any:
    """Make a number or an array plain data; what is not finite becomes a string, for JSON has no such numbers."""
    if isinstance(value, np.ndarray):
        data = value.tolist()
        return data if value.dtype.kind == "i" or np.isfinite(value).all() else _encode_nested(data)
    number = float(value)
    return number if math.isfinite(number) else _encode_nested(number)


def _encode_nested(value: Any) -> Any:
    if isinstance(value, list):
        return [_encode_nested(item) for item in value]
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _encoded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: encode(value) for name, value in values.items()}


def _csv_rows(history: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield the header and the rows; each element of an array has a column, named like ``W[0,1]``."""
    header: list[str] = []
    columns: list[Any] = []
    for name, column in history.items():
        for index in np.ndindex(column.shape[1:]):
            header.append(name + (f"[{','.join(map(str, index))}]" if index else ""))
            columns.append(column[(slice(None), *index)].tolist())
    yield header
    yield from map(list, zip(*columns, strict=True))


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
    values = {**result.parameters, **result.values}
    shown = list(values)
    hidden = len(shown) - SHOWN_VALUES
    if hidden > 0:
        shown = [*shown[: SHOWN_VALUES // 2], *shown[-SHOWN_VALUES // 2 :]]
    header = ["", "value", *(["gradient"] if result.gradients else [])]
    body = [
        [name, format_value(values[name]), *([format_value(result.gradients[name])] if result.gradients else [])]
        for name in shown
    ]
    yield from align([header, *body], left=1)
    if hidden > 0:
        yield f"({SHOWN_VALUES} of {len(values)} values; --format json gives all)"
    yield ""


def format_value(value: Any) -> str:
    """Show a number with 8 digits, a small array whole, a large one by its shape and range."""
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{int(array)}" if array.dtype.kind == "i" else f"{float(array) + 0.0:.8g}"  # + 0.0: no -0
    if array.size <= 4:
        return json.dumps(_rounded(array.tolist())).replace('"', "")
    return f"{array.shape} in [{array.min():.4g}, {array.max():.4g}]"


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value + 0.0:.4g}") if math.isfinite(value) else _encode_nested(value)


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
