"""A graph file's text, under the name its user gave it."""

from __future__ import annotations

import codecs
import copy
import errno
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any
from unicodedata import normalize

from graphrun.base.errors import GraphFileError, UsageError
from graphrun.base.reads import is_read
from graphrun.base.wording import describe, nearest, printable
from graphrun.document.anchors import DEEPEST
from graphrun.document.lines import Entry
from graphrun.document.loader import Loaded, Positions, load, locate
from graphrun.document.marks import LINE_BREAK, START, GraphSyntaxError, Mark, Path, mark_at

# UTF-32's marks come first: the little-endian one begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

MOST_INCLUDED = 100_000_000

# How much of a file's name a message shows.
LONGEST_NAME = 300


class Source:
    """The text of a file and the name that its user gave it; it tells where the value at a path of keys stands.

    Positions are not kept while a file loads, for most files have no errors: asking for some reads the text again.
    """

    def __init__(self, name: str, text: str, folder: FilePath | None = None) -> None:
        self.name = name
        self._folder = FilePath(name).parent if folder is None else folder
        self._working_folder = _working_folder()
        # All of them, for libyaml would pass over one more and count its columns from there.
        self.text = text.lstrip("\ufeff")
        self.is_file = True
        self.overrides: dict[Path, Source] = {}
        self._positions: dict[Path, Positions | None] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Source, (self.name, self.text, self._absolute_folder)

    @property
    def folder(self) -> FilePath:
        """Where the files are that it names: as its name says it, as long as that leads there."""
        return self._folder if self._working_folder == _working_folder() else self._absolute_folder

    @property
    def _absolute_folder(self) -> FilePath:
        return FilePath(self._working_folder, self._folder)

    def load(self, entry: Entry | None = None) -> Loaded:
        """Return what the text holds as plain data, and what is wrong with its YAML."""
        return load(self.text, entry)

    @classmethod
    def decode(cls, name: str, data: bytes) -> Source:
        """Take the bytes of a file that was read already, of a pipe for instance."""
        return cls(name, _decode(name, data))

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, included: bool = False) -> Source:
        """Read a file; raise GraphFileError when there is none or when it is not text in UTF-8 or UTF-16.

        What another file includes is a regular file of a moderate size: a device or a pipe could be read for ever.
        """
        name = os.fspath(path)
        place = is_read(name)
        try:
            data = _read_regular(place) if included else FilePath(place).read_bytes()
        except (OSError, ValueError) as error:
            raise GraphFileError(_why_unreadable(name, error)) from None
        return cls.decode(name, data)

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text, without their ends."""
        return LINE_BREAK.split(self.text)

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """Return where the value at a path stands, or its key; for a path that is not in the file, its nearest parent.

        Each call with a new path reads the text again: ask for many with `marks`.
        """
        return self.marks([path], key=key)[0]

    def marks(self, paths: Iterable[Path], *, key: bool = False) -> list[Mark]:
        """Return where the values at these paths stand, or their keys, in one reading of the text."""
        paths = list(paths)
        self.locate(paths)
        return [self._mark(path, key=key) for path in paths]

    def override(self, path: Path, name: str, text: str) -> None:
        """Let the value at a path stand in another text, that of ``--set``."""
        for other in list(self.overrides):
            if other[: len(path)] == path:
                del self.overrides[other]
        self.overrides[path] = Source(name, text)
        self.overrides[path].is_file = False

    def behind(self, path: Path) -> tuple[Source, Path]:
        """Return the text in which the value at a path stands, and its path there."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return self.overrides[path[:length]], path[length:]
        return self, path

    def locate(self, paths: Iterable[Path]) -> None:
        """Find all these paths in one reading of the text, so that `mark` knows them."""
        wanted = {path[:length] for path in paths for length in range(len(path) + 1)}
        if not wanted <= self._positions.keys():
            self._positions.update(dict.fromkeys(wanted))
            # An override can have no text at all.
            with suppress(GraphSyntaxError):
                self._positions.update(locate(self.text, wanted))

    def _mark(self, path: Path, *, key: bool) -> Mark:
        for length in range(len(path), -1, -1):
            found = self._positions[path[:length]]
            if found is not None:
                return found.key if key else found.value
        return START


class PlainSource(Source):
    """A graph as plain data, as a program makes it: mappings, lists, texts and numbers, NumPy's too.

    There is no text to point at, so that a place is told as the path of keys that leads to it.

    Raises:
        UsageError: it holds what no graph file can.
    """

    def __init__(self, name: str, data: Any, folder: FilePath | None = None) -> None:
        super().__init__(name, "", folder)
        self.is_file = False
        self._data = _plain(data, ())

    def __reduce__(self) -> tuple[Any, ...]:
        return PlainSource, (self.name, self._data, self._absolute_folder)

    def load(self, entry: Entry | None = None) -> Loaded:
        """Return the data, which may be changed."""
        return Loaded(copy.deepcopy(self._data), [])

    def behind(self, path: Path) -> tuple[Source, Path]:
        """Return the value at a path as a text of its own."""
        source, rest = super().behind(path)
        if source is not self or not path:
            return source, rest
        value = self._data
        for key in path:
            known = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
            # In a path names have their normal form.
            value = known.get(key, next((known[k] for k in known if normalize("NFKC", str(k)) == key), None))
        at = Source(f"{self.name}: {_dotted(path)}", value if isinstance(value, str) else "")
        at.is_file = False
        return at, ()


def _plain(value: Any, path: Path) -> Any:
    """Return data with Python's own mappings, lists and numbers in place of others."""
    if len(path) > DEEPEST:
        raise UsageError(f"{_dotted(path[:3])}...: it is nested deeper than {DEEPEST} levels")
    if isinstance(value, Mapping):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:
            raise UsageError(f"{_dotted((*path, str(odd)))}: a key is a text, not {describe(odd)}")
        return {key: _plain(part, (*path, key)) for key, part in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part, (*path, k)) for k, part in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind = type(value).__name__
    raise UsageError(f"{_dotted(path) or 'load'}: a graph is made of mappings, lists, texts and numbers, not of {kind}")


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (a text, at once)
    except OSError:
        return ""


def _dotted(path: Path) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def _read_regular(name: str) -> bytes:
    """Return what is in a regular file; raise OSError for anything else, without waiting for it."""
    # Asked twice: opening a device can set it off, and after that the name may belong to another file.
    _check_regular(os.stat(name))  # noqa: PTH116 (a Path would raise other errors for odd names)
    flags = sum(getattr(os, flag, 0) for flag in ("O_RDONLY", "O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_CLOEXEC"))
    with open(os.open(name, flags), "rb") as file:  # noqa: PTH123
        _check_regular(os.fstat(file.fileno()))
        data = file.read(MOST_INCLUDED + 1) or b""
    if len(data) > MOST_INCLUDED:
        raise OSError(errno.EFBIG, f"an included file has at most {MOST_INCLUDED:,} bytes")
    return data


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file")


def _decode(name: str, data: bytes) -> str:
    mark, encoding = next(((m, e) for m, e in BYTE_ORDER_MARKS if data.startswith(m)), (b"", "utf-8"))
    shown = printable(name)
    if encoding == "utf-32":
        raise GraphFileError(f"{shown}:1:1: a file in UTF-32 is not supported (byte 0)\n  save it as UTF-8")
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        before = data[len(mark) : len(mark) + error.start].decode(encoding, errors="ignore")
        line, column = mark_at(before, len(before))
        message = f"byte {len(mark) + error.start} is not valid in {encoding[:6].upper()}"
        raise GraphFileError(f"{shown}:{line}:{column}: {message}\n  save the file as UTF-8 text") from None
    zero = text.find("\0")
    if zero >= 0:
        line, column = mark_at(text, zero)
        offset = len(mark) + len(text[:zero].encode(encoding))
        message = f"a NUL character (byte {offset}): this is no text, or UTF-16 without a byte order mark"
        raise GraphFileError(f"{shown}:{line}:{column}: {message}\n  save the file as UTF-8 text")
    return text


def _why_unreadable(name: str, error: Exception) -> str:
    """Say why a file cannot be read, and which one may have been meant."""
    path, shown = FilePath(name), printable(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…")
    if isinstance(error, IsADirectoryError):
        return f"{shown}: this is a folder, not a graph file"
    if isinstance(error, FileNotFoundError):
        folder = path.parent
        if not folder.is_dir():
            return f"{shown}: there is no such file: the folder '{printable(str(folder))}' does not exist"
        try:
            meant = nearest(path.name, sorted(other.name for other in folder.iterdir() if other.is_file()))
        except OSError:
            meant = None
        hint = "" if meant is None else f"\n  did you mean '{printable(str(folder / meant))}'?"
        return f"{shown}: there is no such file{hint}"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{shown}: the file cannot be read: {reason}"
