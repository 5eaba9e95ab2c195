"""The limit of nesting is ours, whatever limit a parser has of its own and whatever it says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from yaml.scanner import ScannerError

from graphrun.document import loader
from graphrun.document.lookahead import PythonParser

TOO_DEEP = "lists and mappings are nested deeper than 64 levels"


class LimitedParser(PythonParser):
    """A parser that takes 70 brackets, and finds words of its own for the next one."""

    words = ("while reading ahead", "no more of these")

    def fetch_flow_collection_start(self, token: Any) -> None:
        """Take a bracket that opens a list or mapping."""
        if self.flow_level == 70:
            context, problem = self.words
            raise ScannerError(context, self.get_mark(), problem, self.get_mark())
        super().fetch_flow_collection_start(token)


PARSERS = {"the parser at hand": loader.EventParser, "plain Python": PythonParser, "limited": LimitedParser}
SHAPES = {
    "lists": ("a: ", "[", "1:67"),
    "mappings": ("", "{a: ", "1:257"),
    "lists in a block": ("- - x: 1\n  - ", "[", "2:67"),
    "after a comment": ("a: # [[ {\n  ", "[", "2:66"),
    "after a quoted bracket": ("{'[': '{', a: ", "[", "1:78"),
    "after complete lists": ("{a: [1, [2]], b: {c: 3}, d: ", "[", "1:92"),
    "pairs in lists": ("a: ", "[b: ", "1:129"),
    "with properties": ("a: ", "&a [ !!seq [", "1:381"),
}


@pytest.mark.slow
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "count",
    [80, 1_000, pytest.param(999, marks=pytest.mark.campaign), pytest.param(20_000, marks=pytest.mark.nightly)],
)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_place_is_that_of_the_65th_level(
    shape: str, count: int, parser: str, problems_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser's own limit is told as ours, at the level where ours is passed."""
    monkeypatch.setattr(loader, "EventParser", PARSERS[parser])
    before, level, place = SHAPES[shape]
    assert problems_of(before + level * count).splitlines()[0] == f"g.yaml:{place}: {TOO_DEEP}"


@given(st.lists(st.sampled_from(["[", "{a: ", "[1, ", "[b: ", "- ", "'[', ", "], ", "}", " # [\n  "]), max_size=90))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_limit_of_the_parsers_own_changes_no_message(problems_of: Callable[[str], str], parts: list[str]) -> None:
    """Where nesting is not too deep, a text that is wrong is told as by a parser without such a limit."""
    text = "a: " + "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "EventParser", PythonParser)
        expected = problems_of(text)
        patch.setattr(loader, "EventParser", LimitedParser)
        limited = problems_of(text)
    # A syntax error beyond the limit is not met.
    assert limited == expected or TOO_DEEP in limited


@pytest.mark.parametrize("words", ["exceeded maximum nesting depth", "too long a tag", "the limit of anchors is met"])
@pytest.mark.parametrize(
    "context", ["while parsing a flow sequence", "while scanning a tag", "while scanning an anchor"]
)
def test_other_limits_are_no_mistakes(
    words: str, context: str, problems_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a parser refuses by a limit is told in its words, and not as a mistake of the text."""

    class Limited(LimitedParser):
        def fetch_flow_collection_start(self, token: Any) -> None:
            if self.flow_level == 3:
                raise ScannerError(context, self.get_mark(), words, self.get_mark())
            super().fetch_flow_collection_start(token)

    monkeypatch.setattr(loader, "EventParser", Limited)
    assert problems_of("a: [[[[").splitlines()[0] == f"g.yaml:1:7: not readable as YAML: {context}: {words}"
