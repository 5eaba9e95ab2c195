"""What makes numbers of the columns of a file: stacking, categories, standardizing; and the statistics it needs."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.memory import memory_limit, size_text
from graphrun.base.wording import did_you_mean, printable, quote
from graphrun.data.columns import Column
from graphrun.data.problems import DataError, Findings
from graphrun.data.table import Array, Table, Told
from graphrun.data.times import in_unit, is_time, moments

Statistics = Mapping[str, Array]


class Scaling(NamedTuple):
    """Mean and standard deviation of a column, of the shape of one row."""

    mean: Array
    std: Array


class Moments:
    """Mean and standard deviation of rows that come in parts.

    Parts are merged as Chan, Golub and LeVeque describe ("Updating Formulae and a Pairwise Algorithm", 1979), which
    loses nothing where the mean is large against the deviation.
    """

    def __init__(self, *, gaps: bool = False) -> None:
        self._gaps = gaps
        self._rows = 0
        self._count: Array = np.zeros((), int)
        self._mean: Array = np.zeros(())
        self._squares: Array = np.zeros(())
        self._least: Array = np.full((), np.inf)
        self._greatest: Array = np.full((), -np.inf)

    def add(self, part: Array) -> None:
        """Add rows, along the first axis."""
        rows = len(part)
        if not rows:
            return
        values = part.astype(np.float64, copy=False)
        # Without the part that is not NaN, NumPy is faster.
        present: Any = ~np.isnan(values) if self._gaps else True
        count = np.count_nonzero(present, axis=0) if self._gaps else np.asarray(rows)
        some = np.maximum(count, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = values.sum(axis=0, where=present) / some
            squares = np.square(values - mean).sum(axis=0, where=present)
            least = values.min(axis=0, where=present, initial=np.inf)
            greatest = values.max(axis=0, where=present, initial=-np.inf)
            total = np.maximum(self._count + count, 1)
            apart = mean - self._mean
            self._mean = self._mean + apart * (count / total)
            self._squares = self._squares + squares + np.square(apart) * (self._count * (count / total))
            self._least, self._greatest = np.minimum(self._least, least), np.maximum(self._greatest, greatest)
        self._count = self._count + count
        self._rows += rows

    def scaling(self) -> Scaling:
        """Return the mean and the standard deviation (of the population); the deviation of a constant is 1.

        What is missing counts as the mean. Where all of it is, the mean is none.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            std = np.sqrt(self._squares / max(self._rows, 1))
        constant = (self._least == self._greatest) | (std == 0)
        mean = np.where(self._least == self._greatest, self._least, self._mean)
        mean = np.where(self._count == 0, np.nan, mean)
        return Scaling(np.asarray(mean, float), np.asarray(np.where(constant, 1.0, std), float))


class Encoder:
    """Makes the values of the graph from the columns of a file.

    Attributes:
        categories: of each value that texts are indices of, the texts in order.
        scalings: of each value that is standardized, or filled where something is missing, mean and deviation.
        rows: the rows of the file that are left, where some are left out.
    """

    rows: Array | None = None

    def __init__(self, columns: Sequence[Column], table: Table, statistics: Statistics | None) -> None:
        self.columns = columns
        self._table = table
        self.categories: dict[str, tuple[str, ...]] = {}
        self.scalings: dict[str, Scaling] = {}
        for column in columns:
            if column.entry.categories is not None and column.entry.categories != "auto":
                self._set_categories(column, column.entry.categories)
        if statistics is not None:
            self._take(statistics)

    def statistics(self) -> dict[str, Array]:
        """Return what a checkpoint keeps: ``NAME.mean``, ``NAME.std``; ``NAME.categories`` as JSON in UTF-8 bytes."""
        result: dict[str, Array] = {}
        for name, scaling in self.scalings.items():
            result[f"{name}.mean"], result[f"{name}.std"] = scaling
        for name, texts in self.categories.items():
            result[f"{name}.categories"] = np.frombuffer(json.dumps(texts, ensure_ascii=False).encode(), np.uint8)
        return result

    def _take(self, statistics: Statistics) -> None:
        """Take the statistics of an earlier run."""
        for column in self.columns:
            name = column.name
            if column.entry.categories is not None:
                texts = categories_of(statistics, name)
                if texts is None or texts != self.categories.get(name, texts):
                    raise UsageError(f"the checkpoint does not fit: the categories of {quote(name)} are not the same")
                self.categories[name] = texts
            if column.measured:
                mean, std = statistics.get(f"{name}.mean"), statistics.get(f"{name}.std")
                if mean is None or std is None or mean.shape != column.shape or std.shape != column.shape:
                    raise UsageError(f"the checkpoint does not fit: it has no mean and deviation of {quote(name)}")
                self.scalings[name] = Scaling(np.asarray(mean, float), np.asarray(std, float))

    def find_categories(self, column: Column, texts: Iterable[str]) -> None:
        """Take the different texts of a column: numbers by their values, then texts by their characters."""
        self._set_categories(column, sorted({*texts} - {""}, key=_by_value))

    def _set_categories(self, column: Column, texts: Iterable[str]) -> None:
        """Take categories; what is missing is the last one, where it is one."""
        self.categories[column.name] = (*texts, *([""] if column.entry.missing == "indicator" else []))

    def shape(self, column: Column) -> tuple[int, ...]:
        """Return the shape of one row of a value."""
        if column.entry.one_hot:
            return (len(self.categories[column.name]),)
        if column.fills and column.entry.missing == "indicator":
            return (*column.shape[:-1], 2 * (column.shape or (1,))[-1])
        return column.shape

    def find_scaling(self, column: Column, moments: Moments) -> None:
        """Take the mean and the deviation of a column."""
        scaling = moments.scaling()
        if np.isnan(scaling.mean).any():
            name = printable(self._table.name)
            raise DataError(f"{name}: {quote(column.name)} has no mean: in the rows to train on, all of it is missing")
        if not (np.isfinite(scaling.mean).all() and np.isfinite(scaling.std).all()):
            name = printable(self._table.name)
            raise DataError(f"{name}: {quote(column.name)} cannot be standardized: its numbers are too large")
        self.scalings[column.name] = scaling

    def assemble(self, raw: Mapping[str, Array], start: int = 0) -> list[Array]:
        """Return the values of some rows, of which `start` is the first, not yet standardized.

        Raises:
            DataError: a text is none of the categories.
        """
        return [self._value(column, raw, start) for column in self.columns]

    def _value(self, column: Column, raw: Mapping[str, Array], start: int) -> Array:
        cells: Array = raw[column.headers[0]]
        if column.entry.categories is not None:
            indices = self._indices(column, cells, start)
            if not column.entry.one_hot:
                return indices
            count = len(self.categories[column.name])
            if 8 * len(indices) * count > memory_limit():
                sizes = f"{size_text(8 * len(indices) * count)} of memory; the limit is {size_text(memory_limit())}"
                message = f"the {count:,} categories of {quote(column.name)} as columns take {sizes}"
                raise DataError(f"{printable(self._table.name)}: {message}\n  an embedding of the indices takes less")
            hot: Array = (indices[:, None] == np.arange(count)).astype(np.int8)
            return hot
        if column.entry.time is not None:
            cells = in_unit(self._times(column, cells, start), column.entry.time)
        elif column.matrix:
            parts = [raw[header] for header in column.headers]
            cells = np.empty((len(parts[0]), len(parts)), np.result_type(*parts))
            for index, part in enumerate(parts):
                cells[:, index] = part
        return cells.astype(np.float64) if column.fills else cells

    def _times(self, column: Column, texts: Array, start: int) -> Array:
        form = column.entry.format
        try:
            return moments(texts, form)
        except ValueError:
            bad = np.flatnonzero([bool(text) and not is_time(text, form) for text in texts])
        as_form = "2001-12-31 18:00" if form is None else form
        hint = 'write format: "%d.%m.%Y", or as it is written' if form is None else None
        told = ((f"{quote(text)} is no time as {as_form}", hint) for text in texts[bad])
        return self._fail(column, "is no time", start + bad, told)

    def _fail(self, column: Column, kind: str, rows: Array, told: Iterator[Told]) -> NoReturn:
        """Tell what is wrong in rows that are left."""
        findings = Findings()
        self._table.report(findings, column.headers[0], kind, rows if self.rows is None else self.rows[rows], told)
        findings.fail()

    def _indices(self, column: Column, texts: Array, start: int) -> Array:
        categories = self.categories[column.name]
        positions = {text: index for index, text in enumerate(categories)}
        result = np.fromiter((positions.get(text, -1) for text in texts), np.int64, len(texts))
        unknown = np.flatnonzero(result < 0)
        if len(unknown):
            listed = ", ".join(map(quote, categories[:8])) + (", ..." if len(categories) > 8 else "")

            words = f"is none of the categories of {quote(column.name)}"
            told = (
                (f"{quote(text)} {words}", did_you_mean(text, categories) or f"they are {listed}")
                for text in texts[unknown]
            )
            self._fail(column, "is unknown", start + unknown, told)
        return result

    def scale(self, values: list[Array]) -> list[Array]:
        """Return values with those filled and standardized that are to be."""
        return [
            self._scaled(value, column, *self.scalings[column.name]) if column.measured else value
            for column, value in zip(self.columns, values, strict=True)
        ]

    def _scaled(self, value: Array, column: Column, mean: Array, std: Array) -> Array:
        missing = np.isnan(value) if column.fills else None
        if missing is not None:
            value = np.where(missing, mean, value)
        if column.entry.standardize:
            value = (value - mean) / std
        if missing is None or column.entry.missing == "mean":
            return value
        # After each of the columns, of each whether it is missing.
        parts = [value, missing.astype(value.dtype)]
        return np.concatenate(parts, axis=-1) if value.ndim > 1 else np.stack(parts, axis=-1)


def categories_of(statistics: Statistics, name: str) -> tuple[str, ...] | None:
    """Return the categories of a column that a checkpoint kept, None where there are none."""
    kept = statistics.get(f"{name}.categories")
    try:
        return None if kept is None else tuple(json.loads(np.asarray(kept, np.uint8).tobytes()))
    except (TypeError, ValueError, RecursionError):
        return None


def batch_form(values: Array) -> Array:
    """Return a batch as engines take it: integers of 64 bits, floats of 32 or 64."""
    if values.dtype.kind in "iub":
        return values.astype(np.int64, copy=False)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _by_value(text: str) -> tuple[bool, float, str]:
    try:
        value = float(text)
    except ValueError:
        return True, 0.0, text
    # NaN has no place in an order.
    return (True, 0.0, text) if math.isnan(value) else (False, value, text)
