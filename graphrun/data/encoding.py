"""What makes numbers of the columns of a file: stacking, categories, standardizing; and the statistics it needs."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.wording import did_you_mean, printable, quote
from graphrun.data.columns import Column
from graphrun.data.problems import DataError, Findings
from graphrun.data.table import Array, Table

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

    def __init__(self) -> None:
        self._count = 0
        self._mean: Array = np.zeros(())
        self._squares: Array = np.zeros(())
        self._least: Array = np.zeros(())
        self._greatest: Array = np.zeros(())

    def add(self, part: Array) -> None:
        """Add rows, along the first axis."""
        count = len(part)
        if not count:
            return
        values = part.astype(np.float64, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = values.mean(axis=0)
            squares = np.square(values - mean).sum(axis=0)
            least, greatest = values.min(axis=0), values.max(axis=0)
            if not self._count:
                self._mean, self._squares, self._least, self._greatest = mean, squares, least, greatest
            else:
                total = self._count + count
                apart = mean - self._mean
                self._mean = self._mean + apart * (count / total)
                self._squares = self._squares + squares + np.square(apart) * (self._count * count / total)
                self._least, self._greatest = np.minimum(self._least, least), np.maximum(self._greatest, greatest)
        self._count += count

    def scaling(self) -> Scaling:
        """Return the mean and the standard deviation (of the population); the deviation of a constant is 1."""
        with np.errstate(over="ignore", invalid="ignore"):
            std = np.sqrt(self._squares / max(self._count, 1))
        constant = (self._least == self._greatest) | (std == 0)
        mean = np.where(self._least == self._greatest, self._least, self._mean)
        return Scaling(np.asarray(mean, float), np.asarray(np.where(constant, 1.0, std), float))


class Encoder:
    """Makes the values of the graph from the columns of a file.

    Attributes:
        categories: of each value that texts are indices of, the texts in order.
        scalings: of each value that is standardized, mean and deviation.
    """

    def __init__(self, columns: Sequence[Column], table: Table, statistics: Statistics | None) -> None:
        self.columns = columns
        self._table = table
        self.categories: dict[str, tuple[str, ...]] = {}
        self.scalings: dict[str, Scaling] = {}
        for column in columns:
            if column.categories is not None and column.categories != "auto":
                self.categories[column.name] = column.categories
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
            if column.categories is not None:
                kept = statistics.get(f"{name}.categories")
                try:
                    texts = () if kept is None else tuple(json.loads(np.asarray(kept, np.uint8).tobytes()))
                except (TypeError, ValueError, RecursionError):
                    kept, texts = None, ()
                if kept is None or texts != self.categories.get(name, texts):
                    raise UsageError(f"the checkpoint does not fit: the categories of {quote(name)} are not the same")
                self.categories[name] = texts
            if column.standardize:
                mean, std = statistics.get(f"{name}.mean"), statistics.get(f"{name}.std")
                if mean is None or std is None or mean.shape != column.shape or std.shape != column.shape:
                    raise UsageError(f"the checkpoint does not fit: it has no mean and deviation of {quote(name)}")
                self.scalings[name] = Scaling(np.asarray(mean, float), np.asarray(std, float))

    def find_categories(self, column: Column, texts: Iterable[str]) -> None:
        """Take the different texts of a column: numbers by their values, then texts by their characters."""
        self.categories[column.name] = tuple(sorted(texts, key=_by_value))

    def find_scaling(self, column: Column, moments: Moments) -> None:
        """Take the mean and the deviation of a column."""
        scaling = moments.scaling()
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
        if column.categories is not None:
            return self._indices(column, raw[column.headers[0]], start)
        if not column.matrix:
            return raw[column.headers[0]]
        parts = [raw[header] for header in column.headers]
        matrix = np.empty((len(parts[0]), len(parts)), np.result_type(*parts))
        for index, part in enumerate(parts):
            matrix[:, index] = part
        return matrix

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
            findings = Findings()
            self._table.report(findings, column.headers[0], "is unknown", start + unknown, told)
            findings.fail()
        return result

    def scale(self, values: list[Array]) -> list[Array]:
        """Return values with those standardized that are to be."""
        return [
            (value - self.scalings[column.name].mean) / self.scalings[column.name].std if column.standardize else value
            for column, value in zip(self.columns, values, strict=True)
        ]


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
