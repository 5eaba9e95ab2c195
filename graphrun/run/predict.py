"""Predictions: the forward pass over the rows of a data set, and the file with a row for each of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import UsageError
from graphrun.base.files import check_output, write_output
from graphrun.base.rows import columns as columns_of
from graphrun.data.rows import DataSource, Rows
from graphrun.document import Document, did_you_mean
from graphrun.document.names import normalize
from graphrun.engines.numpy import node_program
from graphrun.engines.scipy.jacobian import Jacobian
from graphrun.graph.build import build_graph
from graphrun.graph.graph import ComputationalGraph
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Plan
from graphrun.plugins.registry import Registry
from graphrun.run.checkpoint import Checkpoint, check_fits, load_checkpoint
from graphrun.run.pieces import Piecewise
from graphrun.run.request import listed_names

if TYPE_CHECKING:
    from graphrun.run.fit import Fit

Piece = dict[str, NDArray[Any]]


def predict(
    document: Document,
    data_file: str | Path | None,
    registry: Registry,
    checkpoint: str | Path,
    names: Sequence[str],
    *,
    band: bool = False,
) -> Iterator[Piece]:
    """Yield values on the rows of the data set, or of a file in its place, by pieces: what `Graph.predict` does."""
    saved = load_checkpoint(checkpoint)
    names = listed_names("names", names)
    if not names:
        raise UsageError("no node is named whose values are to be predicted")
    if document.data is None:
        raise UsageError(f"{document.source.name} has no 'data' section, so there are no rows to predict")
    given, names = names, [normalize(name) for name in names]
    part = part_of(document, names, saved)
    source = DataSource(part, data_file, training=False)
    if part.data is None or not source.names:
        raise UsageError(f"{names[0]!r} has no axis of rows: it depends on no column of the data")
    data = source.open(saved.seed, saved.statistics)
    assert data is not None  # noqa: S101 (for the type checker: there is a section)
    structure = build_graph(part, registry, source.names).evaluation()
    plan = build_plan(structure, seed=saved.seed, feed=Rows(next(data.everything()), data.widths))
    check_fits(saved, plan, checkpoint, whole=False)
    slots = [plan.slots[name] for name in names]
    for name, slot in zip(names, slots, strict=True):
        if slot not in plan.rows or plan.rows[slot].axis != 0:
            raise UsageError(f"{name!r} has no axis of rows: {_what_it_has(plan, slot)}")
    program = node_program(plan.holding(saved.parameters))
    program.restore_values(saved.arrays)
    if band:
        fit = _fit(document, registry, saved, checkpoint)
        for slot, name in zip(slots, names, strict=True):
            if not plan.rows[slot].own:
                raise UsageError(f"--band: {name!r} is made of more rows than its own, and they may be others' too")
        for columns in data.everything():
            yield dict(_banded(fit, structure, saved, columns, dict(zip(given, names, strict=True))))
        return
    for values in Piecewise(program, slots, by_piece=True).by_piece(program, data.everything):
        yield dict(zip(given, map(np.asarray, values), strict=True))


def _fit(document: Document, registry: Registry, saved: Checkpoint, checkpoint: str | Path) -> Fit:
    """Return the fit that a checkpoint holds, to the rows that the graph file itself names."""
    from graphrun.run.fit import Fit
    from graphrun.run.uncertainty import check_uncertainty

    if document.uncertainty is None:
        raise UsageError("--band is that of a fit: write uncertainty: least_squares, or likelihood")
    source = DataSource(document)
    feed = source.open(saved.seed, saved.statistics)
    plan = build_plan(build_graph(document, registry, source.names), seed=saved.seed, feed=feed)
    check_fits(saved, plan, checkpoint, whole=False)
    check_uncertainty(plan, feed, document.uncertainty)
    return Fit(plan, feed, document.uncertainty, saved.parameters)


def _banded(
    fit: Fit, structure: ComputationalGraph, saved: Checkpoint, columns: Sequence[NDArray[Any]], names: dict[str, str]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield values on some rows, each with its standard error and its bands, by the delta method."""
    from graphrun.run.fit import element_names

    plan = build_plan(structure, seed=saved.seed, feed=Rows(columns, {}))
    program = node_program(plan.holding(saved.parameters), Rows(columns, {}))
    program.restore_values(saved.arrays)
    program.evaluate()
    place = {name: k for k, name in enumerate(element_names(plan))}
    for given, name in names.items():
        slot = plan.slots[name]
        value = np.asarray(program.values([slot])[0])
        whole = Jacobian(program, slot)()
        # What the node does not depend on has no part in it, and neither has a parameter that is held or at a bound.
        jacobian = np.stack(
            [whole[:, place[n]] if n in place else np.zeros(len(whole)) for n in fit.free_names], axis=1
        )
        error = fit.error_along(jacobian).reshape(value.shape)
        yield given, value
        yield f"{given}.se", error
        reach = fit.quantile * error
        yield from ((f"{given}.low", value - reach), (f"{given}.high", value + reach))
        if fit.scatter is not None:
            reach = fit.quantile * np.hypot(error, fit.scatter)
            yield from ((f"{given}.prediction_low", value - reach), (f"{given}.prediction_high", value + reach))


def _what_it_has(plan: Plan, slot: int) -> str:
    """Say what a value has that has no row for each row of the data."""
    if slot not in plan.rows:
        return "it depends on no column of the data"
    axis = plan.rows[slot].axis
    shape = f"its shape on {len(plan.leaves[plan.data[0]])} rows is {plan.shapes[slot]}"
    if axis is None:
        return f"{shape}, and no axis of it is theirs" if plan.shapes[slot] else shape
    return f"{shape}, where they are axis {axis}"


def part_of(document: Document, names: Sequence[str], saved: Checkpoint | None = None) -> Document:
    """Return the part of a graph file that some values depend on, with the columns that it needs.

    Shapes that name columns are those of the checkpoint's parameters: the columns need not be there again.
    """
    unknown = next((name for name in names if name not in document.nodes), None)
    if unknown is not None:
        hint = did_you_mean(unknown, document.nodes)
        raise UsageError(f"there is no node {unknown!r} to predict" + (f"; {hint}" if hint else ""))
    parameters = {
        name: entry if saved is None else entry._replace(shape=saved.shape_of(name, entry.shape))
        for name, entry in document.parameters.items()
    }
    needed: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            inputs = document.nodes[name].inputs if name in document.nodes else ()
            inputs = parameters[name].shape if name in parameters else inputs
            pending += [source for source in inputs if isinstance(source, str)]
    return replace(
        document,
        parameters={name: entry for name, entry in parameters.items() if name in needed},
        constants={name: value for name, value in document.constants.items() if name in needed},
        nodes={name: entry for name, entry in document.nodes.items() if name in needed},
        instances={},
        data=None if document.data is None else document.data.part(needed),
        maximize=None,
        minimize=None,
        uncertainty=None,
        record=None,
        expect=(),
    )


def write_predictions(pieces: Iterable[Piece], names: Sequence[str] | None, target: str | None, stdout: TextIO) -> None:
    """Write predictions, piece by piece where the format allows it; the names are those of the columns, default all.

    The target is a ``.csv`` or ``.npz`` file, written whole or not at all; None for CSV on stdout.

    Raises:
        UsageError: the target is neither.
        RunError: the target cannot be written.
    """
    if target is None:
        csv.writer(stdout, lineterminator="\n").writerows(_rows(pieces, names))
        return
    path = Path(target)
    check_output(path)
    if path.suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(_rows(pieces, names))
        data = text.getvalue().encode()
    elif path.suffix == ".npz":
        kept = list(pieces)
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {
            name: np.concatenate([piece[name] for piece in kept]) for name in (kept[0] if names is None else names)
        }
        np.savez(buffer, **arrays)
        data = buffer.getvalue()
    else:
        raise UsageError(f"-o {target}: write a name that ends with .csv or .npz")
    write_output(path, data)


def _rows(pieces: Iterable[Piece], names: Sequence[str] | None) -> Iterator[Iterable[Any]]:
    """Yield the header, then the rows; the elements of an array are columns named like ``probability[0]``."""
    for number, piece in enumerate(pieces):
        table = dict(columns_of({name: piece[name] for name in (piece if names is None else names)}))
        if not number:
            yield table
        yield from zip(*(column.tolist() for column in table.values()), strict=True)
