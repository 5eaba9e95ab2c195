"""Tables: a result as one for people, as JSON and as CSV for programs; cells in columns."""

from __future__ import annotations

import csv
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from graphrun.base.numbertext import format_value, number, shortened
from graphrun.base.outcome import Folds, RunOutcome, Uncertainty
from graphrun.base.rows import columns, element_name, encode, encoded, write_json
from graphrun.base.wording import counted, printable
from graphrun.document.excerpt import cells
from graphrun.run.result import Result

if TYPE_CHECKING:
    from graphrun.run.predict import Evaluation

WIDTH = 80
"""How many columns a terminal has at least."""

FEWEST_DIGITS = 3
NARROWEST_CELL = 8
NARROWEST = 20
GAP = "  "

SHOWN_ROWS = 20
SHOWN_COLUMNS = 9
SHOWN_VALUES = 40

SHOWN_ELEMENTS = range(5, 21)
"""A parameter of so many elements is shown element by element; a smaller one stands in one cell."""

SHOWN_NOTES = 8

CORRELATED = 0.95
"""Parameters that are correlated more than this are told."""

LARGEST = 1000
"""Arrays of more elements are not in a result's JSON unless they are recorded or all of them are asked for."""


def write(data: Callable[[], Any], lines: Iterable[str], output_format: str, file: TextIO) -> None:
    """Write plain data as ``json``, or lines for a reader."""
    if output_format == "json":
        write_json(data(), file)
    else:
        file.writelines(f"{printable(line)}\n" for line in lines)


def write_result(
    result: Result, output_format: str, file: TextIO, *, everything: bool = False, whole: bool = False
) -> None:
    """Write a result in one of the formats ``table``, ``json`` and ``csv`` (JSON lines are written row by row).

    The `whole` table has every recorded row.
    """
    if output_format == "csv":
        history = dict(columns(result.history))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(history)
        writer.writerows(zip(*(column.tolist() for column in history.values()), strict=True))
    elif output_format != "jsonl":
        write(lambda: to_json(result, everything=everything), _tables(result, whole=whole), output_format, file)


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
        **({"kept": {**vars(result.kept), "value": encode(result.kept.value)}} if result.kept else {}),
        **({} if result.folds is None else {"folds": _folds(result.folds)}),
        **({"left_out": left_out} if left_out else {}),
        **({} if result.uncertainty is None else {"uncertainty": uncertainty_data(result.uncertainty, everything)}),
    }


def _folds(folds: Folds) -> dict[str, Any]:
    parts = {"mean": folds.mean, "sd": folds.sd, "values": folds.values}
    recorded = {name: {part: encode(found[name]) for part, found in parts.items()} for name in folds.values}
    return {"count": len(folds.steps), "steps": folds.steps, "recorded": recorded}


def uncertainty_data(found: Uncertainty, everything: bool = True) -> dict[str, Any]:
    """Return what a fit is worth as plain data; what is not known is null."""

    def known(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: known(inner) for name, inner in value.items()}
        if isinstance(value, tuple | list):
            return [known(inner) for inner in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    data = {name: value for name, value in vars(found).items() if name not in ("names", "covariance")}
    shown = everything or found.covariance.size <= LARGEST
    for name, matrix in (("covariance", found.covariance), ("correlations", found.correlations)):
        data[name] = {"names": found.names, "matrix": matrix.tolist() if shown else None}
    return {name: known(value) for name, value in data.items()}


def _tables(result: Result, *, whole: bool) -> Iterator[str]:
    rows = len(result.history["step"])
    # Not np.unique, which imports numpy.ma: that would be a twentieth of the time that a small graph takes.
    count = rows if whole else min(rows, SHOWN_ROWS)
    shown = sorted(set(np.linspace(0, max(rows - 1, 0), count).round().astype(int).tolist()))
    columns = terminal_columns()
    names = list(result.history)[:SHOWN_COLUMNS]
    table = [names, *[[format_value(result.history[name][row]) for name in names] for row in shown]]
    while columns and len(names) > 2 and _width(_with_digits(table, 0, FEWEST_DIGITS + 1)) > columns:
        names = names[:-1]
        table = [row[:-1] for row in table]
    yield from align(table, columns=columns)
    notes = []
    if rows > len(shown):
        notes.append(f"{len(shown)} of {rows} recorded rows")
    if len(result.history) > len(names):
        notes.append(f"{len(names)} of {len(result.history)} columns")
    if notes:
        yield from wrapped(f"({' and '.join(notes)}; --format json or csv gives all)", columns)
    yield ""
    yield from _final_values(result)
    if result.folds is not None:
        yield f"mean ± standard deviation on {len(result.folds.steps)} folds (what else is shown is of the last one):"
        mean, sd = result.folds.mean, result.folds.sd
        found = [[f"  {name}", format_value(mean[name]), "±", format_value(sd[name])] for name in mean]
        yield from align(found, left=1, columns=columns)
        yield ""
    if result.kept is not None:
        yield f"kept: step {result.kept.step}, where {result.kept.name} is {number(result.kept.value)}"
    yield f"stopped: {result.stopped}"


def _final_values(result: Result) -> Iterator[str]:
    tables = [{**result.parameters, **result.values}, *([result.gradients] if result.gradients else [])]
    shown = [
        (element_name(name, index), name, index)
        for name, value in tables[0].items()
        for index in (np.ndindex(np.shape(value)) if _by_element(name, value, result) else [()])
    ]
    count = len(shown)
    if count > SHOWN_VALUES:
        shown = [*shown[: SHOWN_VALUES // 2], *shown[-SHOWN_VALUES // 2 :]]
    header = ["", "value", "gradient"][: 1 + len(tables)]
    body = [
        # A parameter without a gradient is frozen.
        [label, *(format_value(np.asarray(t[name])[index]) if name in t else "frozen" for t in tables)]
        for label, name, index in shown
    ]
    if result.uncertainty is not None:
        header[2:2] = uncertainty_header(result.uncertainty)
        for row in body:
            row[2:2] = uncertainty_cells(result.uncertainty, row[0])
    yield from align([header, *body], left=1, columns=terminal_columns())
    if count > SHOWN_VALUES:
        yield f"({SHOWN_VALUES} of {count} values; --format json gives all)"
    for line in () if result.uncertainty is None else uncertainty_lines(result.uncertainty):
        yield from wrapped(line, terminal_columns(), hanging=GAP)
    yield ""


def evaluation_lines(found: Evaluation) -> Iterator[str]:
    """Yield what a checkpoint is worth: a line for each value."""
    sides = [(counted(found.rows, "row"), found.values)]
    if found.holdout_rows:
        sides.append((f"{found.holdout_rows:,} held back", found.holdout))
    rows = [["", *(title for title, _ in sides)]]
    rows += [[name, *(format_value(side[name]) for _, side in sides)] for name in found.values]
    yield from align(rows, 1, terminal_columns())


def uncertainty_header(found: Uncertainty) -> list[str]:
    """Return the heads of the columns that `uncertainty_cells` fills."""
    return ["± std. error", f"{100 * found.level:g}% from", "to"]


def uncertainty_cells(found: Uncertainty, name: str, digits: int = 5) -> list[str]:
    """Return the cells of a parameter: its standard error, and the ends of its interval; nothing for other values."""
    if name in found.std_errors:
        error, ends = found.std_errors[name], found.intervals[name]
        return [number(x, digits) for x in (error, *ends)] if math.isfinite(error) else ["not determined", "", ""]
    return ["left out" if name in found.left_out else "", "", ""]


def uncertainty_rows(result: RunOutcome, digits: int = 5) -> list[list[str]]:
    """Return the rows of a table of the parameters, with their values; none where nothing is asked for."""
    return [
        [label, number(np.asarray(value)[index], digits + 1), *uncertainty_cells(result.uncertainty, label, digits)]
        for name, value in result.parameters.items()
        for index in np.ndindex(np.shape(value))
        if result.uncertainty is not None and (label := element_name(name, index))
    ]


def uncertainty_lines(found: Uncertainty) -> Iterator[str]:
    """Yield what there is to know of a fit beside its parameters."""
    facts = [] if found.residual_sd is None else [f"residual standard deviation {number(found.residual_sd)}"]
    if found.degrees_of_freedom is not None:
        facts[-1] += f" on {counted(found.degrees_of_freedom, 'degree')} of freedom"
    criteria = {"R²": found.r_squared, "adjusted": found.adjusted_r_squared, "AIC": found.aic, "BIC": found.bic}
    facts += [f"{name} {number(value)}" for name, value in criteria.items() if value is not None]
    yield ", ".join(facts)
    pairs = np.argwhere(np.triu(np.abs(found.correlations) > CORRELATED, 1))
    if len(pairs):
        told = [f"{found.names[i]} and {found.names[j]} {number(found.correlations[i, j], 4)}" for i, j in pairs]
        more = f" and {len(told) - SHOWN_NOTES} more pairs" if len(told) > SHOWN_NOTES else ""
        yield f"correlated: {', '.join(told[:SHOWN_NOTES])}{more}"
    for combination in found.undetermined[:SHOWN_NOTES]:
        yield f"not determined: {combination}"
    if len(found.undetermined) > SHOWN_NOTES:
        yield f"(and {counted(len(found.undetermined) - SHOWN_NOTES, 'more combination')}; --format json gives all)"
    reasons: dict[str, list[str]] = {}
    for name, reason in found.left_out.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        more = f" and {len(names) - SHOWN_NOTES} more" if len(names) > SHOWN_NOTES else ""
        yield f"left out: {', '.join(names[:SHOWN_NOTES])}{more}: {reason}"
    yield from found.notes


def _by_element(name: str, value: Any, result: Result) -> bool:
    """Say whether a value is shown element by element: parameters are, for these are what a fit is made for."""
    if not isinstance(value, np.ndarray) or name not in result.parameters:
        return False
    return value.size in SHOWN_ELEMENTS or (result.uncertainty is not None and value.size < SHOWN_ELEMENTS.stop)


def align(rows: Iterable[Sequence[str]], left: int = 0, columns: int | None = None) -> Iterator[str]:
    """Pad cells to columns: the first `left` columns to the left, the others to the right.

    Where lines would be wider than `columns`, numbers lose digits, and after that the widest cells their ends.
    """
    table = [list(row) for row in rows]
    widths = _widths(table)
    if columns and _line_width(widths) > columns:
        few = _widths(_with_digits(table, left, FEWEST_DIGITS))
        least = [min(width, NARROWEST_CELL * (2 if k < left else 1)) for k, width in enumerate(widths)]
        widths = shared([few, widths], least, columns - len(GAP) * (len(widths) - 1))
    for row in table:
        padded = []
        for position, (cell, width) in enumerate(zip(row, widths, strict=True)):
            text = cut(cell, width) if position < left else fitted(cell, width)
            space = " " * (width - cells(text))
            padded.append(text + space if position < left else space + text)
        yield GAP.join(padded).rstrip()


def shared(wanted: Iterable[Sequence[int]], least: Sequence[int], room: int) -> list[int]:
    """Share out the columns of a line: what each cell has at `least`, then what it would have, first need first."""
    widths = list(least)
    for wants in wanted:
        while (left := room - sum(widths)) > 0:
            short = [k for k, want in enumerate(wants) if widths[k] < want]
            if not short:
                break
            for k in short[:left]:
                widths[k] += 1
    return widths


def fitted(text: str, most: int) -> str:
    """Return a number or an array no wider than so many columns: it loses digits before an exponent or elements."""
    digits = 8
    # A single number has all its room to itself, and no end of it can be left out.
    fewest = FEWEST_DIGITS if text.startswith("[") else 1
    while cells(text) > most and digits > fewest:
        digits -= 1
        text = shortened(text, digits)
    if cells(text) <= most or not text.startswith("["):
        return cut(text, most)
    elements = text.split(", ")
    while elements and len(", ".join([*elements, "…"])) > most:
        elements.pop()
    return ", ".join([*elements, "…"])


def _with_digits(table: Sequence[Sequence[str]], left: int, digits: int) -> list[list[str]]:
    return [[cell if k < left else shortened(cell, digits) for k, cell in enumerate(row)] for row in table]


def _widths(table: Iterable[Sequence[str]]) -> list[int]:
    return [max(map(cells, column)) for column in zip(*table, strict=True)]


def _line_width(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _width(table: Iterable[Sequence[str]]) -> int:
    return _line_width(_widths(table))


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, no wider than so many columns, with a sign for what is left out."""
    if cells(text) <= most:
        return text
    while cells(text) > most - 1:
        text = text[:-1]
    return f"{text.rstrip()}…"


def terminal_columns() -> int | None:
    """Return how wide what is printed may be: as the terminal is, or COLUMNS says; None where it goes elsewhere."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked):
        return max(int(asked), NARROWEST)
    try:
        return max(os.get_terminal_size(sys.__stdout__.fileno()).columns or WIDTH, NARROWEST)  # type: ignore[union-attr]
    except (AttributeError, OSError, ValueError):
        return None


def described(rows: Sequence[tuple[str, str]], columns: int | None) -> Iterator[str]:
    """Yield names with their descriptions beside them, or below one that takes much of a line."""
    widest = max(cells(name) for name, _ in rows)
    if columns is not None:
        widest = min(widest, columns * 2 // 5)
    for name, text in rows:
        first = name + " " * (widest - cells(name)) + GAP
        if cells(name) > widest:
            yield from wrapped(name.strip(), columns, "  ", " " * 8)
            first = " " * 6
        yield from wrapped(text, columns, first, " " * (6 if cells(name) > widest else widest + len(GAP)))


def wrapped(text: str, columns: int | None, indent: str = "", hanging: str = "") -> list[str]:
    """Return a text as lines no wider than so many columns."""
    if columns is None:
        return [indent + text]
    import textwrap

    return textwrap.wrap(
        text, columns, initial_indent=indent, subsequent_indent=hanging, break_long_words=True, break_on_hyphens=False
    )
