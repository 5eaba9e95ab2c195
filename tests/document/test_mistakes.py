"""Every mistake that the document stage knows, with its whole message: place, words, caret, suggestion.

The table is `mistakes.txt`, so that files and messages stand there as users see them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydantic
import pytest

from graphrun.document import Problems, Source, settings_problems

TABLE = Path(__file__).with_name("mistakes.txt").read_bytes().decode()
CASES = [case.split("-" * 60 + "\n") for case in TABLE.split("=" * 60 + "\n")[1:]]


@pytest.mark.parametrize(("text", "message"), CASES, ids=[text.replace("\n", "↵")[:60] for text, _ in CASES])
def test_mistakes_and_their_messages(text: str, message: str, problems_of: Callable[[str], str]) -> None:
    """The whole text is compared, for each part of it is what a user needs."""
    assert problems_of(text) + "\n" == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k" * 1100 + ": 1\n", "g.yaml:1:1101: a key can have 1,024 characters at most"),
        ("constants: {a: 1" + "0" * 400 + "}", "g.yaml:1:16: this integer of 401 digits is too large for a float"),
        ("constants: {a: [1, 1" + "0" * 400 + "]}", "g.yaml:1:20: this integer of 401 digits is too large for a float"),
        (
            "constants: {a: [1" + "0" * 400 + ", -1" + "0" * 400 + "]}",
            "g.yaml:1:17: this integer of 401 digits is too large for a float",
        ),
        (
            "stop: {value: 1" + "0" * 400 + "}",
            "g.yaml:1:15: 'value' takes a finite number, not the number 1" + "0" * 58,
        ),
    ],
)
def test_very_long_words_and_numbers(text: str, message: str, problems_of: Callable[[str], str]) -> None:
    """They are cut in the message."""
    assert problems_of(text).splitlines()[0].startswith(message)


def test_mistakes_of_all_sections_are_told_together(problems_of: Callable[[str], str]) -> None:
    """Also those that YAML itself would let pass or stop at."""
    text = "steps: x\nsteps: 2\nparameters: {a: }\nnodes: {f: 5}\nmaximise: f\n"
    lines = [line for line in problems_of(text).splitlines() if line.startswith("g.yaml")]
    assert lines == [
        "g.yaml:1:8: 'steps' takes a whole number, 0 or more, not the text 'x'",
        "g.yaml:2:1: the key 'steps' stands twice: the first is in line 1, column 1",
        "g.yaml:3:17: a value is needed here: a number or a nested list of numbers",
        "g.yaml:4:12: the number 5 is no node",
        "g.yaml:5:1: unknown key 'maximise'",
    ]


class Settings(pydantic.BaseModel):
    """Settings as a node type's model has them."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    needed: float
    axis: int | tuple[int, ...] | None = None
    mode: str = pydantic.Field("none", pattern="^none$")
    rate: float = pydantic.Field(0.5, ge=0, lt=1)


def test_settings_are_told_in_the_same_words() -> None:
    """Errors about settings stand at their keys and values, one for each key."""
    source = Source("g.yaml", "nodes:\n  f: {axs: 1, axis: [1, x], rate: 1, mode: 5, other: 2}\n")
    raw = {"axs": 1, "axis": (1, "x"), "rate": 1, "mode": 5, "other": 2}
    with pytest.raises(pydantic.ValidationError) as caught:
        Settings.model_validate(raw)
    problems = Problems(source)
    names = list(Settings.model_fields)
    settings_problems(problems, ("nodes", "f"), caught.value, owner="pool", settings=names, other=["type", "inputs"])
    expected = """\
g.yaml:2:3: pool needs the setting 'needed'
    f: {axs: 1, axis: [1, x], rate: 1, mode: 5, other: 2}
    ^
g.yaml:2:7: pool has no setting 'axs'
    f: {axs: 1, axis: [1, x], rate: 1, mode: 5, other: 2}
        ^
  did you mean 'axis'?
g.yaml:2:25: 'axis' of pool takes a whole number, not the text 'x'
    f: {axs: 1, axis: [1, x], rate: 1, mode: 5, other: 2}
                          ^
g.yaml:2:35: 'rate' of pool takes a number below 1.0, not the number 1
    f: {axs: 1, axis: [1, x], rate: 1, mode: 5, other: 2}
                                    ^
g.yaml:2:44: 'mode' of pool takes a text, not the number 5
    f: {axs: 1, axis: [1, x], rate: 1, mode: 5, other: 2}
                                             ^
g.yaml:2:47: pool has no setting 'other'
    f: {axs: 1, axis: [1, x], rate: 1, mode: 5, other: 2}
                                                ^
  its settings are: needed, axis, mode, rate"""
    assert str(problems) == expected
