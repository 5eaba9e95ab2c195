"""The settings of node types and update rules: pydantic's errors about them in plain words and places."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from graphrun.base.wording import describe, did_you_mean, quote
from graphrun.document.marks import Path
from graphrun.document.problems import Problems, Suggestion
from graphrun.document.slips import OF_RULE, number_of

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

# What each kind of pydantic's errors says was expected; braces are filled from the error's context.
EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "none_required": "null",
    "literal_error": "{expected}",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of {ge} or more",
    "not_a_number": "a number",
    "not_below": "a number not below {other!r}, {least}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of {le} or less",
    "too_short": "at least {min_length} elements",
    "too_long": "at most {max_length} elements",
}

# What other programs call a setting.
SYNONYMS = {
    "lr": "step_size",
    "learning_rate": "step_size",
    "eta": "step_size",
    "negative_slope": "slope",
    "dim": "axis",
    "dims": "axes",
    "keepdim": "keepdims",
    "eps": "epsilon",
    "p": "rate",
    "low": "min",
    "high": "max",
}


def settings_problems(
    problems: Problems,
    path: Path,
    error: ValidationError,
    *,
    owner: str,
    settings: Sequence[str],
    other: Sequence[str],
    inputs: Sequence[str] = (),
) -> None:
    """Add what pydantic found wrong with the settings in the mapping at `path`, that of a node or an update rule.

    Beside the `settings` that its type, the `owner`, has stand `other` keys, so that a misspelt one is recognized too.
    """
    by_key: dict[str, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        by_key.setdefault(str(details["loc"][0]) if details["loc"] else "", []).append(details)
    for key, found in by_key.items():
        kind = found[0]["type"]
        if kind == "missing":
            problems.add(path, f"{owner} needs the setting {key!r}", key=True)
        elif kind == "extra_forbidden":
            message = f"{owner} has no setting {quote(key)}"
            suggestion: Suggestion = partial(_near_setting, key, settings, other)
            if key in inputs:
                suggestion = f"{key!r} is an input: it is written without its name, {owner}({found[0]['input']!s:.20})"
            problems.add((*path, key), message, suggestion=suggestion, key=True)
        else:
            # A union gives one error for each of its members: those about an element know best what was meant, and
            # each names one kind of value that would do.
            index = max(map(_index, found), key=len)
            deepest = [details for details in found if _index(details) == index]
            value = deepest[0]["input"]
            expected = " or ".join(dict.fromkeys(map(_expected, deepest)))
            literal = deepest[-1]["type"] == "literal_error" and isinstance(value, str)
            near = did_you_mean(value, _literals(deepest[-1])) if literal else None
            number = number_of(value) if "number" in expected and isinstance(value, str) else None
            if number and (number.isdigit() or "whole" not in expected):
                near = f"write {number}"
            message = f"{key!r} of {owner} takes {expected}, not {describe(value)}"
            problems.add((*path, key, *index), message, suggestion=near)


def _expected(details: ErrorDetails) -> str:
    words = EXPECTED.get(details["type"])
    if words is None:
        return f"another value ({details['msg']})"
    return words.format_map(details.get("ctx", {}))


def _literals(details: ErrorDetails) -> list[str]:
    """Return the texts that a literal allows, which pydantic lists as "'a', 'b' or 'c'"."""
    return str(details.get("ctx", {}).get("expected", "")).split("'")[1::2]


def _index(details: ErrorDetails) -> tuple[int, ...]:
    """Return the indices that lead from a setting to the element that is wrong."""
    return tuple(part for part in details["loc"][1:] if isinstance(part, int))


def _near_setting(key: str, settings: Sequence[str], other: Sequence[str]) -> str:
    meant = SYNONYMS.get(key.lower())
    if meant in settings:
        return f"it is called {meant!r} here"
    near = did_you_mean(key, [*settings, *other])
    if near is None and "step_size" in settings:
        near = OF_RULE.get(key.lower())
    if near is not None:
        return near
    return f"its settings are: {', '.join(settings)}" if settings else "it has no settings"
