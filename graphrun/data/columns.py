"""Which columns of a file the values of a graph are made of."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from graphrun.base.wording import did_you_mean, quote
from graphrun.data.problems import Mistakes
from graphrun.data.table import Table, Wanted
from graphrun.document.data_section import ColumnEntry, DataEntry, HoldoutEntry
from graphrun.document.marks import Path
from graphrun.document.names import is_name, normalize
from graphrun.document.numbers import LOOKS_LIKE_NUMBER

FILE: Path = ("data", "file")

# What the name of a column that is handed through begins with, which no name of a value does.
CARRIED = "carried "


class Column(NamedTuple):
    """A value of the graph: a vector of one column, or a matrix of several, otherwise as its entry says.

    Attributes:
        name: the value's name.
        headers: the columns of the file.
        entry: what the graph file says of it.
        shape: the shape of one row of it, as it is read.
    """

    name: str
    headers: tuple[str, ...]
    entry: ColumnEntry
    shape: tuple[int, ...] = ()
    matrix: bool = False

    @property
    def fills(self) -> bool:
        """Whether numbers that are missing become the mean."""
        return self.entry.missing in ("mean", "indicator") and self.entry.categories is None

    @property
    def measured(self) -> bool:
        """Whether mean and deviation are needed."""
        return self.entry.standardize or self.fills


def own_names(headers: Sequence[str], only: Collection[str] | None = None) -> dict[str, str]:
    """Return the headers that can be names of values, under these names.

    A header with a blank or another character that no name has is left out, and so are two different ones that are one
    name in Unicode's normal form; `columns` can give them names.
    """
    names: dict[str, str] = {}
    twice = set()
    for header in headers:
        name = normalize(header)
        if names.get(name, header) != header:
            twice.add(name)
        elif name.isidentifier() and is_name(name):
            names[name] = header
    return {n: h for n, h in names.items() if n not in twice and (only is None or n in only)}


def resolve(entry: DataEntry, table: Table, needed: Collection[str] | None, mistakes: Mistakes) -> list[Column]:
    """Return the columns that are needed, all for None, in the order of the graph file or else of the data file.

    Raises:
        GraphFileError, DataError: the file lacks one, or has something else than numbers in it.
    """
    if entry.columns is None:
        names = own_names(table.headers, entry.only)
        for name in needed or ():
            if name not in names:
                mistakes.add(FILE, f"{_file_has_no(table)} {quote(name)}", _near(name, table))
        one = ColumnEntry((), path=FILE, missing=entry.missing)
        columns = [Column(n, (h,), one) for n, h in names.items() if n in (names if needed is None else needed)]
    else:
        columns = []
        for name, column in entry.columns.items():
            if needed is None or name in needed:
                headers, matched = _headers(column, table, mistakes)
                usual = "error" if column.text and entry.missing == "mean" else entry.missing
                told = column._replace(missing=column.missing or usual)
                columns.append(Column(name, headers, told, (), column.matrix or matched))
    for header in entry.carried:
        if header not in table.headers:
            mistakes.add(None, f"{_file_has_no(table)} {quote(header)}", _near(header, table))
        # A number that is a value of the graph, too, is handed through as one.
        is_number = any(header in column.headers and not column.entry.text for column in columns)
        carried = ColumnEntry((header,), exact=True, carried=not is_number, missing="carried", path=FILE)
        columns.append(Column(f"{CARRIED}{header}", (header,), carried))
    _check_holdout(entry.holdout, table, mistakes)
    mistakes.raise_if_any()
    if needed is None and entry.columns is None and entry.only is None:
        # Each column for itself: those that hold no numbers are only missed when something needs them.
        columns = [c for c in columns if table.unfit(c.headers[0], text=False) is None]
    if not columns:
        mistakes.fail(FILE, "the file has no column that can be a value", "name some in 'columns'")
    fitting = [_fitted(column, table, mistakes) for column in columns]
    _check_uses(fitting, mistakes)
    mistakes.raise_if_any()
    return fitting


def _check_holdout(entry: HoldoutEntry, table: Table, mistakes: Mistakes) -> None:
    """Add a mistake where a column that decides which rows are held back is not there, or has no text for each row."""
    path, header = ("data", "holdout", entry.by), entry.column
    if entry.by and header not in table.headers:
        mistakes.add(path, f"{_file_has_no(table)} {quote(header)}", _near(header, table))
    elif entry.by:
        reason = table.unfit(header, text=False) and table.unfit(header, text=True)
        if reason is None and table.item_shape(header):
            reason = f"the {table.part} {quote(header)} has more than a number for each row"
        if reason is not None:
            mistakes.add_of_file(path, reason)


def _check_uses(columns: Sequence[Column], mistakes: Mistakes) -> None:
    """Add a mistake where a column of the file is read as texts for one value and as numbers for another."""
    texts = {header: column.name for column in columns if column.entry.text for header in column.headers}
    for column in columns:
        both = [] if column.entry.text else [header for header in column.headers if header in texts]
        if both:
            message = f"the column {quote(both[0])} is read as texts for {quote(texts[both[0]])}, not as numbers"
            mistakes.add(column.entry.path, message, "name the other columns one by one" if column.matrix else None)


def _headers(column: ColumnEntry, table: Table, mistakes: Mistakes) -> tuple[tuple[str, ...], bool]:
    """Return the columns that an entry stands for, and whether a pattern is among its texts."""
    found: dict[str, None] = {}
    patterns = False
    for position, text in enumerate(column.headers):
        path = column.path_of(position)
        if text in table.headers:
            new: Sequence[str] = [text]
        elif column.exact or not any(character in text for character in "*?["):
            mistakes.add(path, f"{_file_has_no(table)} {quote(text)}", _near(text, table))
            continue
        else:
            patterns = True
            new = [header for header in table.headers if fnmatchcase(header, text)]
            if not new:
                mistakes.add(path, f"no {table.part} of {quote(table.name)} matches {quote(text)}", _listed(table))
        if len(new) == 1 and new[0] in found and not patterns:
            mistakes.add(path, f"the column {quote(text)} stands twice in the list")
        # What a pattern matches beside a column that is named already is not taken again.
        found.update(dict.fromkeys(new))
    return tuple(found), patterns


def _fitted(column: Column, table: Table, mistakes: Mistakes) -> Column:
    """Return a column with its shape; add what is wrong with its parts."""
    for header in column.headers:
        reason = table.unfit(header, text=column.entry.text)
        if reason is not None:
            text = table.unfit(header, text=True) is None and not column.entry.text and not column.matrix
            hint = f"write {{column: {header}, categories: auto}}" if text else None
            mistakes.add_of_file(column.entry.path, reason, hint)
            return column
    shape = table.item_shape(column.headers[0])
    if not column.matrix:
        return column._replace(shape=shape)
    for header in column.headers:
        if table.item_shape(header):
            axes = len(table.item_shape(header)) + 1
            hint = "name it without a list" if len(column.headers) == 1 else "only vectors make a matrix"
            mistakes.add_of_file(column.entry.path, f"the array {quote(header)} has {axes} axes", hint)
            return column
    return column._replace(shape=(len(column.headers),))


def wanted_of(columns: Sequence[Column]) -> Wanted:
    """Return the headers that columns are made of, and of each whether its cells are texts."""
    wanted: dict[str, bool] = {}
    for column in columns:
        for header in column.headers:
            wanted[header] = column.entry.text
    return wanted


def with_gaps(columns: Sequence[Column]) -> frozenset[str]:
    """Return the headers in which cells may be missing."""
    return frozenset(header for column in columns if column.entry.missing != "error" for header in column.headers)


def dropped(columns: Sequence[Column]) -> list[str]:
    """Return the headers whose missing cells leave rows out."""
    found = {header: None for column in columns if column.entry.missing == "drop" for header in column.headers}
    return list(found)


def _file_has_no(table: Table) -> str:
    return f"{quote(table.name)} has no {table.part}"


def _near(text: str, table: Table) -> str | None:
    alone = table.headers[0] if len(table.headers) == 1 else ""
    separator = next((word for mark, word in ((";", "semicolons"), ("\t", "tabs")) if mark in alone), None)
    if separator is not None:
        mark = "\\t" if separator == "tabs" else ";"
        return f'its header is one cell, for {separator} separate no cells: {quote(alone)}: write delimiter: "{mark}"'
    if table.headers and table.headers[0].startswith("#"):
        return 'its first line is a comment: write comment: "#"'
    if table.headers and all(LOOKS_LIKE_NUMBER.fullmatch(header[:100]) for header in table.headers):
        names = ",".join(f"x{number}" for number in range(1, min(len(table.headers), 4) + 1))
        needed = "its first row holds numbers, and names are needed there"
        return f"{needed}: put a row before it, as in {names}, or write header: false"
    return did_you_mean(text, table.headers) or _listed(table)


def _listed(table: Table) -> str:
    shown = ", ".join(quote(header) for header in table.headers[:8])
    more = len(table.headers) - 8
    return f"its {table.part}s are {shown}" + (f" and {more:,} more" if more > 0 else "")
