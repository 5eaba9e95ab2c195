"""Predictions: the forward pass over the rows of a data set, and the file with a row for each of them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import UsageError
from graphrun.base.files import check_output, write_output
from graphrun.base.rows import columns as columns_of
from graphrun.data import duck
from graphrun.data.encoding import categories_of
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
from graphrun.run.folds import fold_of
from graphrun.run.pieces import Pieces, Piecewise
from graphrun.run.request import listed_names
from graphrun.run.result import plain

if TYPE_CHECKING:
    from graphrun.run.fit import Fit

Piece = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Evaluation:
    """Values on the rows of a data file, at the parameters of a checkpoint.

    Attributes:
        graph: the name of the graph file.
        step: the checkpoint's.
        rows: how many rows there are.
        values: values on all of them, by name.
        holdout_rows: how many rows the graph file holds back, where it names the file itself.
        holdout: values on these.
    """

    graph: str
    step: int
    rows: int
    values: dict[str, Any]
    holdout_rows: int = 0
    holdout: dict[str, Any] = field(default_factory=dict)


def predict(
    document: Document,
    data_file: str | Path | None,
    registry: Registry,
    checkpoint: str | Path,
    names: Sequence[str],
    *,
    band: bool = False,
    texts: Mapping[str, str] = MappingProxyType({}),
    carried: Sequence[str] = (),
) -> Iterator[Piece]:
    """Yield values on the rows of the data set, or of a file in its place, by pieces: what `Graph.predict` does."""
    saved = load_checkpoint(checkpoint)
    names = listed_names("names", names)
    if not names:
        raise UsageError("no node is named whose values are to be predicted")
    given, names = names, [normalize(name) for name in names]
    carried = listed_names("carried", carried)
    both = next((name for name in carried if name in given), None)
    if both is not None:
        raise UsageError(f"{both!r} is asked for twice: as a column that is carried over, and as a value")
    categories = {normalize(name): _categories(saved, name, names, column) for name, column in texts.items()}
    evaluation = Evaluated(document, data_file, registry, saved, checkpoint, names, carried=carried)
    structure, plan, data, program = evaluation.structure, evaluation.plan, evaluation.data, evaluation.program
    slots = [plan.slots[name] for name in names]
    for name, slot in zip(names, slots, strict=True):
        if slot not in plan.rows or plan.rows[slot].axis != 0:
            raise UsageError(f"{name!r} has no axis of rows: {_what_it_has(plan, slot)}")
    handed: list[NDArray[Any]] = []

    def rows() -> Iterator[Sequence[NDArray[Any]]]:
        for columns in data.everything():
            handed[:] = columns[len(plan.data) :]
            yield columns[: len(plan.data)]

    if band:
        fit = _fit(document, registry, saved, checkpoint)
        for slot, name in zip(slots, names, strict=True):
            if not plan.rows[slot].own:
                raise UsageError(f"--band: {name!r} is made of more rows than its own, and they may be others' too")
        for columns in rows():
            values = dict(_banded(fit, structure, saved, columns, dict(zip(given, names, strict=True))))
            yield dict(zip(carried, handed, strict=True)) | values
        return
    for found in Piecewise(program, slots, by_piece=True).by_piece(program, rows):
        read = [
            _read(np.asarray(value), categories[name], name) if name in categories else np.asarray(value)
            for name, value in zip(names, found, strict=True)
        ]
        yield dict(zip(carried, handed, strict=True)) | dict(zip(given, read, strict=True))


class Evaluated:
    """The part of a graph that some values depend on, at the parameters of a checkpoint, and the rows it is given.

    Args:
        training: whether rows that are held back are told from others.
        carried: headers of the data file whose cells come after the columns of the graph.
    """

    def __init__(
        self,
        document: Document,
        data_file: str | Path | None,
        registry: Registry,
        saved: Checkpoint,
        checkpoint: str | Path,
        names: Sequence[str],
        *,
        training: bool = False,
        carried: Sequence[str] = (),
    ) -> None:
        if document.data is None:
            raise UsageError(f"{document.source.name} has no 'data' section, so there are no rows to predict")
        part = part_of(document, names, saved)
        assert part.data is not None  # noqa: S101 (for the type checker: it is a part of a section)
        part = replace(part, data=part.data._replace(carried=tuple(carried)))
        # Which rows there are, and which are held back, all columns decide that a run reads.
        source = DataSource(document if training else part, data_file, training=training)
        if source.is_divided and training:
            source = source.at_fold(fold_of(saved, source.folds, checkpoint))
        data = source.open(saved.seed, saved.statistics) if source.names else None
        if data is None:
            raise UsageError(f"{names[0]!r} has no axis of rows: it depends on no column of the data")
        self.data = data
        self.structure = build_graph(part, registry, source.names).evaluation()
        read = part.names_read()
        self.places = [place for place, name in enumerate(data.names) if name in read]
        first = [column for place, column in enumerate(next(data.everything())) if place in self.places]
        self.plan = build_plan(self.structure, seed=saved.seed, feed=Rows(first, data.widths))
        check_fits(saved, self.plan, checkpoint, whole=False)
        self.program = node_program(self.plan.holding(saved.parameters))
        self.program.restore_values(saved.arrays)


def _categories(saved: Checkpoint, name: str, names: Sequence[str], column: str) -> tuple[str, ...]:
    """Return the texts that the values of a node are to be indices of."""
    if normalize(name) not in names:
        raise UsageError(f"texts: {name!r} is none of the values that are asked for: {', '.join(names)}")
    categories = categories_of(saved.statistics, normalize(column))
    if categories is None:
        raise UsageError(f"texts: the checkpoint has no categories of a column {column!r}")
    return categories


def _read(indices: NDArray[Any], categories: tuple[str, ...], name: str) -> NDArray[Any]:
    """Return the texts that stand for indices."""
    wrong = indices[~((indices >= 0) & (indices < len(categories)) & (indices == np.rint(indices)))]
    if wrong.size:
        raise UsageError(f"texts: {name!r} has {wrong.flat[0]:g}, which is no index of {len(categories)} categories")
    return np.asarray(categories, object)[indices.astype(np.int64)]


def evaluate(
    document: Document,
    data_file: str | Path | None,
    registry: Registry,
    checkpoint: str | Path,
    names: Sequence[str] | None = None,
) -> Evaluation:
    """Return values on all rows, and on those held back: what `Graph.evaluate` does."""
    saved = load_checkpoint(checkpoint)
    if names is None:
        objective = document.minimize or document.maximize
        asked = [*([objective] if objective else []), *(document.record or ())]
        names = [name for name in dict.fromkeys(asked) if name in document.nodes]
    names = [normalize(name) for name in listed_names("names", names)]
    if not names:
        raise UsageError("nothing is to be evaluated: there is no objective, and no node is recorded")
    found = Evaluated(document, data_file, registry, saved, checkpoint, names, training=data_file is None)
    with found.data as data:
        apart = data.apart
        held, held_rows = data.held_back(), data.holdout_rows if apart is None else apart.rows
        rows = data.rows + (held_rows if apart is None else 0)
        everywhere = dict(zip(names, _on_rows(found, names, data.everything), strict=True))
        back = {} if held is None else dict(zip(names, _on_rows(found, names, held), strict=True))
        return Evaluation(document.source.name, saved.step, rows, everywhere, held_rows, back)


def _on_rows(found: Evaluated, names: Sequence[str], pieces: Pieces) -> list[Any]:
    slots, program = [found.plan.slots[name] for name in names], found.program

    def needed() -> Iterator[list[Any]]:
        return ([piece[place] for place in found.places] for piece in pieces())

    first, *others = itertools.islice(needed(), 2)
    values = dict(zip(slots, program.evaluate_rows(first, slots), strict=True))
    if others:
        values |= Piecewise(program, slots).values(program, needed)
    return [plain(values[slot]) for slot in slots]


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

    The target is a ``.csv``, ``.npz`` or ``.parquet`` file, written whole or not at all; None for CSV on stdout.

    Raises:
        UsageError: the target is none of them.
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
            name: _texts(np.concatenate([piece[name] for piece in kept]))
            for name in (kept[0] if names is None else names)
        }
        np.savez(buffer, **arrays)
        data = buffer.getvalue()
    elif path.suffix == ".parquet":
        parts = [dict(columns_of({n: piece[n] for n in (piece if names is None else names)})) for piece in pieces]
        data = duck.parquet_of({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    else:
        raise UsageError(f"-o {target}: write a name that ends with .csv or .npz, or .parquet")
    write_output(path, data)


def _texts(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(str) if values.dtype == object else values


def _rows(pieces: Iterable[Piece], names: Sequence[str] | None) -> Iterator[Iterable[Any]]:
    """Yield the header, then the rows; the elements of an array are columns named like ``probability[0]``."""
    for number, piece in enumerate(pieces):
        table = dict(columns_of({name: piece[name] for name in (piece if names is None else names)}))
        if not number:
            yield table
        yield from zip(*(column.tolist() for column in table.values()), strict=True)
