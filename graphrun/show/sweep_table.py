"""The runs of a sweep as a table, as CSV and as Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.files import write_output
from graphrun.base.numbertext import number, seconds
from graphrun.base.wording import counted
from graphrun.run.sweep.sweep import Sweep
from graphrun.show.tables import align, terminal_columns

SUFFIXES = (".csv", ".parquet")
LONGEST_REASON = 60


def sweep_lines(sweep: Sweep) -> Iterator[str]:
    """Yield a table of the runs, and a sentence about the best one."""
    paths = list(dict.fromkeys(path for run in sweep.runs for path in run["settings"]))
    rows = [["run", *paths, sweep.objective, "time", "stopped"]]
    for run in sweep.runs:
        given = [_cell(run["settings"].get(path)) for path in paths]
        value = "" if run["objective"] is None else number(run["objective"], 8)
        reason = run["stopped"].split("\n")[0]
        why = reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"
        rows.append([str(run["number"]), *given, value, seconds(run["seconds"]), why])
    if sweep.runs:
        yield from align(rows, columns=terminal_columns())
        yield ""
    done = f"{len(sweep.runs):,} of {counted(sweep.total, 'run')}"
    best = sweep.best
    if best is None:
        yield f"{done}; none has a value of {sweep.objective}"
    else:
        settings = ", ".join(f"{path} = {_cell(value)}" for path, value in best["settings"].items())
        value = f"{number(best['objective'], 8)}, run {best['number']}"
        yield f"{done}; best ({sweep.direction} {sweep.objective}): {value}"
        yield f"  {settings}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, str) else json.dumps(value)


def write_csv(sweep: Sweep, file: TextIO) -> None:
    """Write a line for each run, after a header."""
    table = sweep.columns()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table)
    plain = ([_plain(value) for value in row] for row in zip(*table.values(), strict=True))
    writer.writerows(plain)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) or value is None else json.dumps(value)


def check_table(target: str) -> None:
    """Refuse a file's name that is of no form of the table."""
    if Path(target).suffix not in SUFFIXES:
        raise UsageError(f"-o {target}: write a name that ends with .csv or .parquet")


def write_table(sweep: Sweep, target: str) -> None:
    """Write the runs to a file, ``.csv`` or ``.parquet``."""
    if Path(target).suffix == ".csv":
        text = io.StringIO()
        write_csv(sweep, text)
        write_output(target, text.getvalue())
        return
    from graphrun.data.duck import parquet_of

    write_output(target, parquet_of({name: _array(values) for name, values in sweep.columns().items()}))


def _array(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return a column: numbers where all are some or missing, else texts."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return np.array(values)
    kinds: Mapping[bool, Any] = {True: float, False: str}
    numeric = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    none = float("nan") if numeric else ""
    return np.array([none if value is None else _plain(value) for value in values], kinds[numeric])
