"""The `data` section: which file feeds the steps, which of its columns the values are, and how rows make batches."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NamedTuple, TypeAlias

from graphrun.base.wording import describe, quote
from graphrun.document.marks import Path
from graphrun.document.names import under_names
from graphrun.document.problems import Problems

KEYS = ("file", "columns", "batch_size", "shuffle", "holdout")
COLUMN_KEYS = ("column", "columns", "categories", "standardize")
SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")

# The texts that stand for the indices 0, 1, ..., or "auto": those of the file, sorted.
Categories: TypeAlias = Literal["auto"] | tuple[str, ...]


class ColumnEntry(NamedTuple):
    """Which columns of the data file make one value of the graph.

    Attributes:
        headers: names of columns; those with ``*``, ``?`` or ``[`` also match names, unless `exact`.
        matrix: whether they are the columns of a matrix, rather than one vector.
        exact: whether the one header is taken as it is.
        categories: the texts that become indices, None for a column of numbers.
        standardize: whether mean and standard deviation are brought to 0 and 1.
        path: where the headers stand in the graph file; with `listed`, each under its position there.
    """

    headers: tuple[str, ...]
    matrix: bool = False
    exact: bool = False
    categories: Categories | None = None
    standardize: bool = False
    path: Path = ()
    listed: bool = False

    def path_of(self, position: int) -> Path:
        """Return where one of the headers stands in the graph file."""
        return (*self.path, position) if self.listed else self.path


class DataEntry(NamedTuple):
    """The `data` section; without `columns`, each column of the file whose name can be a name is a value.

    `only` limits these to some names, where the section has no `columns`.
    """

    file: str | None = None
    columns: dict[str, ColumnEntry] | None = None
    batch_size: int | None = None
    shuffle: bool = False
    holdout: float = 0.0
    only: frozenset[str] | None = None

    def part(self, names: Collection[str]) -> DataEntry:
        """Return the section with only those of its columns that are among these names."""
        if self.columns is None:
            return self._replace(only=frozenset(names))
        return self._replace(columns={name: entry for name, entry in self.columns.items() if name in names})


def read_data(raw: Any, problems: Problems, broken: set[str]) -> DataEntry:
    """Return the section; what has a problem is left out, and the names of such columns are added to `broken`."""
    if not isinstance(raw, dict):
        needed = "a value is needed here: 'data' takes a mapping"
        message = needed if raw is None else f"'data' is a mapping, not {describe(raw)}"
        problems.add(("data",), message, suggestion="write data: {file: digits.csv}")
        return DataEntry()
    problems.refuse_unknown(("data",), raw, KEYS)
    return DataEntry(
        file=_file(raw["file"], problems) if "file" in raw else None,
        columns=_columns(raw["columns"], problems, broken) if "columns" in raw else None,
        batch_size=_batch_size(raw["batch_size"], problems) if "batch_size" in raw else None,
        shuffle=_switch(("data", "shuffle"), raw.get("shuffle", False), problems),
        holdout=_holdout(raw.get("holdout", 0), problems),
    )


def _file(raw: Any, problems: Problems) -> str | None:
    path = ("data", "file")
    if not isinstance(raw, str) or not raw.strip():
        problems.add(path, _takes("file", "the name of a file", raw), suggestion="write file: digits.csv")
    elif not raw.lower().endswith(SUFFIXES):
        problems.add(
            path, f"{quote(raw)} is no data file: its name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    else:
        return raw
    return None


def _batch_size(raw: Any, problems: Problems) -> int | None:
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 1:
        return raw
    hint = "leave it out to use all rows in every step" if raw is None else None
    problems.add(("data", "batch_size"), _takes("batch_size", "a whole number, 1 or more", raw), suggestion=hint)
    return None


def _holdout(raw: Any, problems: Problems) -> float:
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if is_number and 0 <= raw < 1:
        return float(raw)
    hint = f"write {raw / 100:g}" if is_number and 1 < raw < 100 else None
    problems.add(("data", "holdout"), _takes("holdout", "a share, 0 or more and below 1", raw), suggestion=hint)
    return 0.0


def _switch(path: Path, raw: Any, problems: Problems) -> bool:
    if isinstance(raw, bool):
        return raw
    problems.add(path, _takes(str(path[-1]), "true or false", raw))
    return False


def _takes(key: str, expected: str, raw: Any) -> str:
    if raw is None:
        return f"a value is needed here: {quote(key)} takes {expected}"
    return f"{quote(key)} takes {expected}, not {describe(raw)}"


def _columns(raw: Any, problems: Problems, broken: set[str]) -> dict[str, ColumnEntry] | None:
    if raw is None or raw == {}:
        return None
    if not isinstance(raw, dict):
        hint = "write columns: {x: x, y: y}, or leave it out to use the names of the file"
        problems.add(("data", "columns"), _takes("columns", "a mapping of names to columns", raw), suggestion=hint)
        return None
    inner = problems.at(("data",))
    result = {}
    for name, value in under_names("columns", raw, inner, broken).items():
        entry = _column(("data", "columns", name), value, problems)
        if entry is None:
            broken.add(name)
        else:
            result[name] = entry
    return result


def _column(path: Path, raw: Any, problems: Problems) -> ColumnEntry | None:
    if isinstance(raw, dict):
        return _settings(path, raw, problems)
    headers = _headers(path, raw, problems)
    if headers is None:
        return None
    return ColumnEntry(headers, matrix=isinstance(raw, list), path=path, listed=isinstance(raw, list))


def _headers(path: Path, raw: Any, problems: Problems) -> tuple[str, ...] | None:
    """Return the texts of one header or of a list of them."""
    before = len(problems)
    if raw == []:
        problems.add(path, "a list of columns needs one column or more")
    parts = raw if isinstance(raw, list) else [raw]
    for position, part in enumerate(parts):
        place = (*path, position) if isinstance(raw, list) else path
        if part is None:
            name = quote(str(path[-1]))[1:-1]
            problems.add(place, "a value is needed here: the name of a column", suggestion=f"write {name}")
        elif not isinstance(part, str):
            hint = "put the column's name in quotes" if isinstance(part, int | float) else None
            problems.add(place, f"a column is named by a text, not by {describe(part)}", suggestion=hint)
    return tuple(parts) if len(problems) == before else None


def _settings(path: Path, raw: dict[str, Any], problems: Problems) -> ColumnEntry | None:
    """Return an entry that is written as a mapping."""
    before = len(problems)
    problems.refuse_unknown(path, raw, COLUMN_KEYS)
    given: list[str] = [key for key in ("column", "columns") if key in raw]
    if not given and len(problems) == before:
        hint = "write {column: species, categories: auto} or {columns: [...], standardize: true}"
        problems.add(path, "neither 'column' nor 'columns' is given", key=True, suggestion=hint)
    if len(given) == 2:
        hint = "write 'column' for a vector or 'columns' for a matrix"
        problems.add((*path, "columns"), "both 'column' and 'columns' are given", key=True, suggestion=hint)
    if len(given) != 1:
        return None
    key, value, place = given[0], raw[given[0]], (*path, given[0])
    if key == "column" and isinstance(value, list):
        problems.add(place, "'column' takes one column, not a list", suggestion="write 'columns' for a matrix")
        return None
    headers = _headers(place, value, problems)
    categories = _categories((*path, "categories"), raw["categories"], problems) if "categories" in raw else None
    standardize = _switch((*path, "standardize"), raw.get("standardize", False), problems)
    if "categories" in raw and key == "columns":
        hint = "give each such column a name of its own, with 'column'"
        problems.add((*path, "categories"), "'categories' is for one column", key=True, suggestion=hint)
    elif "categories" in raw and standardize:
        problems.add((*path, "standardize"), "an index cannot be standardized: it is no quantity", key=True)
    if headers is None or len(problems) > before:
        return None
    listed = isinstance(value, list)
    return ColumnEntry(headers, key == "columns", key == "column", categories, standardize, place, listed)


def _categories(path: Path, raw: Any, problems: Problems) -> Categories | None:
    if raw == "auto":
        return "auto"
    if not isinstance(raw, list) or not raw:
        problems.add(path, _takes("categories", "auto or a list of texts", raw))
        return None
    texts: list[str] = []
    for position, part in enumerate(raw):
        text = str(part) if isinstance(part, int) and not isinstance(part, bool) else part
        if not isinstance(text, str):
            hint = None if isinstance(part, dict | list) else "put it in quotes"
            problems.add((*path, position), f"a category is a text, not {describe(part)}", suggestion=hint)
        elif text in texts:
            problems.add((*path, position), f"the category {quote(text)} stands twice")
        else:
            texts.append(text)
    return tuple(texts)
