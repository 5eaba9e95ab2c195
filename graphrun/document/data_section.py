"""The `data` section: which file feeds the steps, which of its columns the values are, and how rows make batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Literal, NamedTuple, TypeAlias

from graphrun.base.wording import describe, did_you_mean, quote
from graphrun.document.marks import Path
from graphrun.document.names import under_names
from graphrun.document.problems import Problems

READING_KEYS = ("missing", "header", "delimiter", "decimal", "comment")
KEYS = ("file", "columns", "batch_size", "shuffle", "holdout", "folds", *READING_KEYS)
HOLDOUT_KEYS = ("share", "stratify", "group", "time", "file", "seed")
COLUMN_KEYS = ("column", "columns", "categories", "one_hot", "time", "format", "standardize", "missing")
SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")

# What the standard library unpacks.
PACKED = (".gz", ".bz2", ".xz")

# What becomes of a row with a cell that is missing, and of such a cell.
MISSING = ("error", "drop", "mean", "indicator")

# What a time becomes: what is counted since 1970, or a part of the calendar or the clock.
TIMES = ("years", "days", "hours", "minutes", "seconds", "year", "month", "day", "weekday", "hour")

# What other programs call a key.
ELSEWHERE = {
    **dict.fromkeys(("sep", "separator"), "it is called 'delimiter' here"),
    **dict.fromkeys(("cv", "k_fold", "kfold", "n_splits", "cross_validation"), "write folds: 5"),
    **dict.fromkeys(("test_size", "validation", "validation_split", "split"), "write holdout: 0.2"),
    **dict.fromkeys(
        ("na", "na_values", "nan", "dropna", "impute", "imputer"), "write missing: drop, mean or indicator"
    ),
    **dict.fromkeys(("names", "headers", "has_header"), "write header: false, or header: [x, y]"),
    **dict.fromkeys(
        ("target", "label", "labels", "features"), "the nodes say what a column is for: name it in 'columns'"
    ),
    **dict.fromkeys(("encoding",), "a file is UTF-8 text"),
    **dict.fromkeys(("date", "datetime", "dates", "parse_dates"), "write {column: date, time: days}"),
    **dict.fromkeys(("dummies", "onehot", "one-hot"), "write {column: species, one_hot: true}"),
    **dict.fromkeys(("scale", "normalize", "standardise"), "write standardize: true"),
}

# The texts that stand for the indices 0, 1, ..., or "auto": those of the file, sorted.
Categories: TypeAlias = Literal["auto"] | tuple[str, ...]


class ColumnEntry(NamedTuple):
    """Which columns of the data file make one value of the graph.

    Attributes:
        headers: names of columns; those with ``*``, ``?`` or ``[`` also match names, unless `exact`.
        matrix: whether they are the columns of a matrix, rather than one vector.
        exact: whether the one header is taken as it is.
        categories: the texts that become indices, None for a column of numbers.
        one_hot: whether each index becomes a row of zeros with a 1.
        time: what a date or a time becomes, with `format` as `datetime.strptime` reads it; None for other columns.
        missing: what becomes of cells with nothing in them.
        carried: whether the cells are handed through as texts.
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
    one_hot: bool = False
    time: str | None = None
    format: str | None = None
    missing: str = ""
    carried: bool = False

    @property
    def text(self) -> bool:
        """Whether the cells are read as texts."""
        return self.categories is not None or self.time is not None or self.carried

    def path_of(self, position: int) -> Path:
        """Return where one of the headers stands in the graph file."""
        return (*self.path, position) if self.listed else self.path


class HoldoutEntry(NamedTuple):
    """Which rows are held back: a share of them, those of a file of their own, or one of several folds.

    Attributes:
        share: 0 for none.
        by: "stratify", "group" or "time" where a column of the file decides, else "".
        column: that column.
        seed: what they are drawn from, None for the run's seed.
        folds: how many parts all rows are divided into, 0 for none; of which `fold` is held back, counted from 0.
    """

    share: float = 0.0
    by: str = ""
    column: str = ""
    file: str | None = None
    seed: int | None = None
    folds: int = 0
    fold: int = 0

    @property
    def draws(self) -> bool:
        """Whether some of the file's rows are held back."""
        return bool(self.share or self.folds)


class CsvForm(NamedTuple):
    """How a CSV file is written.

    Attributes:
        header: whether its first row names the columns; False calls them x1, x2, ...; or their names.
        delimiter: what stands between cells, None for what the file's name says.
        decimal: what a number's fraction begins with.
        comment: what lines begin with that are passed over, or "".
    """

    header: bool | tuple[str, ...] = True
    delimiter: str | None = None
    decimal: str = "."
    comment: str = ""


Reader: TypeAlias = Callable[[FilePath], Mapping[str, Any]]
"""What a plugin reads a file with: its columns by name."""


Readers: TypeAlias = Callable[[str], Reader | None]
"""Gives what reads a file of that name."""


def no_reader(_file: str) -> Reader | None:
    """Know no files but the built-in ones."""
    return None


class DataEntry(NamedTuple):
    """The `data` section; without `columns`, each column of the file whose name can be a name is a value.

    `only` limits these to some names, where the section has no `columns`; `carried` are headers whose cells are handed
    through; `readers` gives what reads a file that is of no built-in kind.
    """

    file: str | None = None
    columns: dict[str, ColumnEntry] | None = None
    batch_size: int | None = None
    shuffle: bool = False
    holdout: HoldoutEntry = HoldoutEntry()
    only: frozenset[str] | None = None
    missing: str = "error"
    form: CsvForm = CsvForm()
    carried: tuple[str, ...] = ()
    readers: Readers = no_reader

    def part(self, names: Collection[str]) -> DataEntry:
        """Return the section with only those of its columns that are among these names."""
        if self.columns is None:
            return self._replace(only=frozenset(names))
        return self._replace(columns={name: entry for name, entry in self.columns.items() if name in names})


def read_data(raw: Any, problems: Problems, broken: set[str], readers: Readers = no_reader) -> DataEntry:
    """Return the section; what has a problem is left out, and the names of such columns are added to `broken`."""
    if not isinstance(raw, dict):
        needed = "a value is needed here: 'data' takes a mapping"
        message = needed if raw is None else f"'data' is a mapping, not {describe(raw)}"
        problems.add(("data",), message, suggestion="write data: {file: digits.csv}")
        return DataEntry()
    problems.refuse_unknown(("data",), raw, KEYS, advice=ELSEWHERE)
    at = ("data",)
    hint = "leave it out to use all rows in every step" if raw.get("batch_size") is None else None
    size = _take(at, raw, "batch_size", None, _is_whole, "a whole number, 1 or more", problems, lambda _: hint)
    alone = "write it in the mapping of a column" if raw.get("missing") == MISSING[3] else None
    return DataEntry(
        file=_file(("data", "file"), raw["file"], problems, readers) if "file" in raw else None,
        columns=_columns(raw["columns"], problems, broken) if "columns" in raw else None,
        batch_size=None if size is None else int(size),
        shuffle=_switch(at, raw, "shuffle", problems),
        holdout=_holdout(raw, problems, readers),
        missing=_take(
            at, raw, "missing", "error", _is_one_of(MISSING[:3]), "error, drop or mean", problems, lambda _: alone
        ),
        form=_form(raw, problems),
        readers=readers,
    )


def _form(raw: dict[str, Any], problems: Problems) -> CsvForm:
    at = ("data",)

    def is_header(value: Any) -> bool:
        return isinstance(value, bool) or (isinstance(value, list) and bool(value) and all(map(_is_text, value)))

    def is_mark(value: Any) -> bool:
        return isinstance(value, str) and len(value) == 1 and value.isascii() and value not in '"\r\n\0'

    header = _take(at, raw, "header", True, is_header, "false where the file has none, or a list of names", problems)
    delimiter = _take(at, raw, "delimiter", None, is_mark, 'one character, as ";" or "\\t"', problems)
    decimal = _take(at, raw, "decimal", ".", _is_one_of((".", ",")), '"." or ","', problems)
    comment = _take(at, raw, "comment", "", is_mark, 'one character, as "#"', problems)
    if decimal == "," and delimiter in (None, ","):
        problems.add((*at, "decimal"), "a comma stands between cells too", key=True, suggestion='write delimiter: ";"')
    return CsvForm(tuple(header) if isinstance(header, list) else header, delimiter, decimal, comment)


def _is_text(raw: Any) -> bool:
    return isinstance(raw, str) and raw.strip() != ""


def _is_one_of(words: Sequence[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def _take(
    at: Path,
    raw: dict[str, Any],
    key: str,
    default: Any,
    fits: Callable[[Any], bool],
    expected: str,
    problems: Problems,
    hint: Callable[[Any], str | None] = lambda _: None,
) -> Any:
    """Return what a mapping has under a key, the default where it has nothing or what does not fit."""
    value = raw.get(key, default)
    if key not in raw or fits(value):
        return value
    problems.add((*at, key), _takes(key, expected, value), suggestion=hint(value))
    return default


def _is_whole(raw: Any, least: int = 1) -> bool:
    is_number = isinstance(raw, int) or (isinstance(raw, float) and raw.is_integer())
    return is_number and not isinstance(raw, bool) and raw >= least


def suffix_of(name: str) -> str:
    """Return how the name of a data file ends, without what says that it is packed."""
    for packed in PACKED:
        whole = name.lower().removesuffix(packed)
        if whole != name.lower() and whole.endswith(SUFFIXES[:2]):
            return whole[-4:]
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")


def _file(path: Path, raw: Any, problems: Problems, readers: Readers) -> str | None:
    if not isinstance(raw, str) or not raw.strip():
        problems.add(path, _takes("file", "the name of a file", raw), suggestion="write file: digits.csv")
    elif not suffix_of(raw) and readers(raw) is None:
        problems.add(
            path, f"{quote(raw)} is no data file: its name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    else:
        return raw
    return None


def _holdout(section: dict[str, Any], problems: Problems, readers: Readers) -> HoldoutEntry:
    """Return which rows are held back; a share that stands alone is that of rows drawn at random."""
    at: Path = ("data",)
    folds = int(_take(at, section, "folds", 0, lambda n: _is_whole(n, 2), "a whole number, 2 or more", problems))
    if not isinstance(section.get("holdout"), dict):
        share = _share(at, section, "holdout", problems)
        if folds and share:
            problems.add((*at, "folds"), "both 'holdout' and 'folds' are given", key=True, suggestion="keep one")
        return HoldoutEntry(0.0 if folds else share, folds=folds, fold=max(folds - 1, 0))
    at, raw = ("data", "holdout"), section["holdout"]
    problems.refuse_unknown(at, raw, HOLDOUT_KEYS)
    given = [key for key in ("stratify", "group", "time", "file") if key in raw]
    for key in given[1:]:
        problems.add((*at, key), f"both {quote(given[0])} and {quote(key)} are given", key=True, suggestion="keep one")
    by = given[0] if given else ""
    for key in [key for key in ("share", "file") if folds and key in raw]:
        problems.add((*at, key), f"each fold is held back in turn: {quote(key)} says nothing", key=True)
    if by == "file":
        for key in [key for key in ("share", "seed") if key in raw]:
            problems.add((*at, key), f"nothing is drawn where the rows have a file: {quote(key)}", key=True)
        return HoldoutEntry(file=_file((*at, "file"), raw["file"], problems, readers))
    if "share" not in raw and not folds:
        problems.add(at, "no 'share' is given", key=True, suggestion="write {share: 0.2}, or {file: test.csv}")
    text = "the header of a column"
    column = _take(at, raw, by, "", lambda value: isinstance(value, str), text, problems) if by else ""
    seed = _take(at, raw, "seed", None, lambda value: _is_whole(value, 0), "a whole number, 0 or more", problems)
    share = 0.0 if folds else _share(at, raw, "share", problems)
    seed = None if seed is None else int(seed)
    return HoldoutEntry(share, by, column, seed=seed, folds=folds, fold=max(folds - 1, 0))


def _share(at: Path, raw: dict[str, Any], key: str, problems: Problems) -> float:
    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    def hint(value: Any) -> str | None:
        return f"write {value / 100:g}" if is_number(value) and 1 < value < 100 else None

    def fits(value: Any) -> bool:
        return is_number(value) and 0 <= value < 1

    return float(_take(at, raw, key, 0, fits, "a share, 0 or more and below 1", problems, hint))


def _switch(at: Path, raw: dict[str, Any], key: str, problems: Problems) -> bool:
    return bool(_take(at, raw, key, False, lambda value: isinstance(value, bool), "true or false", problems))


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
    problems.refuse_unknown(path, raw, COLUMN_KEYS, advice=ELSEWHERE)
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
    standardize, one_hot = (_switch(path, raw, name, problems) for name in ("standardize", "one_hot"))
    if one_hot and categories is None:
        categories = "auto"
    near = did_you_mean(str(raw.get("time")), TIMES)
    time = _take(path, raw, "time", None, _is_one_of(TIMES), f"one of {', '.join(TIMES)}", problems, lambda _: near)
    form = _take(path, raw, "format", None, _is_text, 'how a time is written, as "%d.%m.%Y"', problems)
    missing = _take(path, raw, "missing", "", _is_one_of(MISSING), f"{', '.join(MISSING[:-1])} or indicator", problems)
    kinds = [name for name in ("categories", "one_hot", "time") if raw.get(name, False) is not False]
    if kinds and key == "columns":
        hint = "give each such column a name of its own, with 'column'"
        problems.add((*path, kinds[0]), f"{quote(kinds[0])} is for one column", key=True, suggestion=hint)
    elif categories is not None and standardize:
        problems.add((*path, "standardize"), "an index cannot be standardized: it is no quantity", key=True)
    if categories is not None and time is not None:
        problems.add((*path, "time"), "a time is a number, not one of some categories", key=True)
    if categories is not None and missing == "mean":
        hint = "write drop, or indicator, which makes a category of its own of it"
        problems.add((*path, "missing"), "texts have no mean", suggestion=hint)
    if form is not None and time is None:
        problems.add((*path, "format"), "'format' goes with 'time'", key=True, suggestion="write time: days")
    if headers is None or len(problems) > before:
        return None
    listed = isinstance(value, list)
    return ColumnEntry(
        headers, key == "columns", key == "column", categories, standardize, place, listed, one_hot, time, form, missing
    )


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
