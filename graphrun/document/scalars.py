"""What a plain scalar of a graph file means: the core schema of YAML 1.2 (section 10.3.2 of its specification)."""

import re
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}

# Every scalar of the schema that is no text begins with one of these: all others skip the patterns.
FIRST_CHARACTERS = frozenset("+-.0123456789~nNtTfF")
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

# Python refuses to print integers of more than 4,300 digits, and the largest float has 309.
LONGEST_NUMBER = 1000


def resolve(text: str) -> Scalar:
    """Return the value of a plain scalar; raise ValueError for a number that is too long to be one."""
    if not text:
        return None
    if text[0] not in FIRST_CHARACTERS:
        return text
    if text in CONSTANTS:
        return CONSTANTS[text]
    if INTEGER.fullmatch(text):
        if len(text) > LONGEST_NUMBER:
            raise ValueError(f"an integer of {len(text):,} characters is too long ({LONGEST_NUMBER:,} are the limit)")
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)
    if NUMBER.fullmatch(text):
        if len(text) > LONGEST_NUMBER:
            raise ValueError(f"a number of {len(text):,} characters is too long ({LONGEST_NUMBER:,} are the limit)")
        return float(text)
    return text


class PlainScalars(dict[str, Scalar]):
    """The values of plain scalars by their text, found on first use, so that equal names share one object."""

    def __missing__(self, text: str) -> Scalar:
        value = resolve(text)
        # Numbers are not kept: a file of a million different ones would hold each of them twice.
        if isinstance(value, str):
            self[text] = value
        return value
