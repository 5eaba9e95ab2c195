"""Nesting that a parser meets before its events reach the loader.

A bracket may begin a key, so that a parser reads the rest of its line before it says anything of the bracket. What it
dislikes there, a limit of its own for nesting among it (libyaml has had one since PyYAML 6.0.4), is told before the
loader has counted the levels. They are counted here, whatever the parser's words are.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from graphrun.document.anchors import DEEPEST
from graphrun.document.marks import GraphSyntaxError, Mark, mark_at

_TO_BRACKET = re.compile(r"(?:#.*+|[^\[{#])*+[\[{]")


class PythonParser(Reader, Scanner, Parser, Resolver):
    """PyYAML's parser in plain Python: the same events, about twenty times slower, for a build without libyaml."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Resolver.__init__(self)


def too_deep(mark: Mark) -> GraphSyntaxError:
    """Say of a place that lists and mappings are nested too deeply there."""
    return GraphSyntaxError(mark, f"lists and mappings are nested deeper than {DEEPEST} levels")


def too_deep_ahead(text: str, end: int, parser: Callable[[str], Any]) -> GraphSyntaxError | None:
    """Return the error of nesting that was read ahead, before the parser failed at `end`, and is too deep, or None."""
    depth = start = 0
    for event in _events(parser, text):
        depth += _levels(event)
        start = event.end_mark.index
    bracket = _TO_BRACKET.match(text, start, end)
    if bracket is None:
        return None
    start = bracket.end() - 1
    for event in _events(PythonParser, text[start:end]):
        depth += _levels(event)
        if depth > DEEPEST:
            return too_deep(mark_at(text, start + event.start_mark.index))
    return None


def _events(parser: Callable[[str], Any], text: str) -> Iterator[Any]:
    """Yield the events of a text, up to where its parser fails."""
    try:
        next_event = parser(text).get_event
        while (event := next_event()) is not None:
            yield event
    except yaml.YAMLError:
        return


def _levels(event: Any) -> int:
    return isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
