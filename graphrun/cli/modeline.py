"""Connecting a graph file with its JSON Schema: the file beside it, and the comment that names it for an editor.

The comment is the modeline of yaml-language-server. It holds a relative path, so that a folder that is copied or a
repository that is cloned stays connected.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from graphrun.base.errors import RunError
from graphrun.base.files import write_output
from graphrun.document.source import BYTE_ORDER_MARKS, Source

SCHEMA_FILE = ".graphrun-schema.json"
PROJECT_ROOT = (".git", "pyproject.toml")
MODELINE = "# yaml-language-server: $schema="

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
# The server looks for it among the comments before the first content.
_PRESENT = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r))*?(#[ \t]+yaml-language-server[ \t]*:[^\r\n]*)")


def connect(files: Iterable[str], schema: str) -> Iterator[str]:
    """Write the schema where each file finds it, and the modeline into the file; yield a line about each file written.

    A schema that is there already, in the folder of the file or above it in the same project, is renewed; else it is
    written beside the file.

    Raises:
        GraphFileError: a file cannot be read; nothing is written then.
        RunError: a file cannot be written.
    """
    given = [Path(Source.read(file).name) for file in files]
    # A link stays one: it may lead to a file that is another's.
    paths = [path.parent.resolve() / path.name for path in given]
    written: set[Path] = set()
    for path in paths:
        target = schema_of(path)
        new_text = with_modeline(path.read_bytes(), Path(os.path.relpath(target, path.parent)).as_posix())
        if target not in written:
            yield _write(target, schema.encode())
            written.add(target)
        yield _write(path, new_text)


def schema_of(path: Path) -> Path:
    """Return the path of the schema for a graph file, which may be there or not."""
    above = []
    for folder in path.parents:
        above.append(folder / SCHEMA_FILE)
        if any((folder / name).exists() for name in PROJECT_ROOT):
            return next((file for file in above if file.exists()), above[0])
    # Outside of a project, what lies further up belongs to something else.
    return path.parent / SCHEMA_FILE


def with_modeline(data: bytes, schema: str) -> bytes:
    """Return a graph file's bytes with the modeline as its first line, or in place of the one that it has.

    Everything else stays byte for byte, the byte order mark, the encoding and the line ends included. The path of the
    schema is relative to the file.
    """
    mark, encoding = next(((m, e) for m, e in BYTE_ORDER_MARKS if data.startswith(m)), (b"", "utf-8"))
    text = data[len(mark) :].decode(encoding)
    line = f"{MODELINE}{schema}"
    present = _PRESENT.match(text)
    if present is None:
        line_break = _LINE_BREAK.search(text)
        text = f"{line}{line_break[0] if line_break else os.linesep}{text}"
    else:
        text = f"{text[: present.start(1)]}{line}{text[present.end(1) :]}"
    return mark + text.encode(encoding)


def _write(path: Path, data: bytes) -> str:
    """Write a file as a whole or not at all, unless it is so already; return a line that says which."""
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    try:
        if path.is_file():
            if path.read_bytes() == data:
                return f"unchanged {shown}"
            # A rename asks for the folder's permission alone, and a file may be protected by its own.
            path.open("ab").close()
    except OSError as error:
        raise RunError(f"{shown} cannot be written: {error.strerror or error}") from None
    write_output(path, data)
    return f"wrote {shown}"
