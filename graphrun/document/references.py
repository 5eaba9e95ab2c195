"""The names of a subgraph's settings, written ``$name``, whose values take their places in each instance."""

from collections.abc import Callable, Iterator
from typing import Any

from graphrun.document.marks import Path
from graphrun.document.names import normalize


class Reference(str):
    """The name of a subgraph's setting, written ``$name``: its value takes its place in each instance."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"${self}"


def references(value: Any, path: Path = ()) -> Iterator[tuple[Reference, Path]]:
    """Yield the references within a value, each with the path that leads to it."""
    if isinstance(value, Reference):
        yield value, path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from references(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from references(item, (*path, index))


def substitute(value: Any, settings: dict[str, Any]) -> Any:
    """Return a value with the settings' values in place of the references to them."""
    return _mapped(value, lambda part: settings.get(part) if isinstance(part, Reference) else part)


def with_references(value: Any) -> Any:
    """Return raw data with a reference in place of each text ``$name``."""
    return _mapped(value, _referring)


def _referring(value: Any) -> Any:
    is_new = isinstance(value, str) and value[:1] == "$" and not isinstance(value, Reference)
    return Reference(normalize(value[1:])) if is_new else value


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_mapped(item, change) for item in value])
    return change(value)
