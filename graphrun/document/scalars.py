"""What a scalar means, plain or with a tag: the core schema of YAML 1.2 (section 10.3.2 of its specification)."""

import re
from typing import Any, TypeAlias

from yaml.events import MappingStartEvent

from graphrun.base.wording import quote
from graphrun.document.marks import GraphSyntaxError, mark_of

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


# The standard tags convert, every other is refused, so that a file can never name code.
STANDARD = "tag:yaml.org,2002:"
COLLECTIONS = {"seq": "a list", "map": "a mapping"}
SCALARS = {"str": "text", "int": "an integer", "float": "a number", "bool": "true or false", "null": "null"}


def tagged(event: Any) -> Scalar:
    """Return the value of a scalar with a tag."""
    kind = _standard_kind(event)
    text: str = event.value
    if kind == "str":
        return text
    try:
        value = resolve(text)
    except ValueError as error:
        raise GraphSyntaxError(mark_of(event), str(error)) from None
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise GraphSyntaxError(mark_of(event), "this integer is too large for a float") from None
    if {str: "str", int: "int", float: "float", bool: "bool", type(None): "null"}[type(value)] == kind:
        return value
    expected = SCALARS.get(kind) or COLLECTIONS[kind]
    raise GraphSyntaxError(mark_of(event), f"the tag '!!{kind}' asks for {expected}, and {quote(text)} is not")


def check_collection(event: Any) -> None:
    """Refuse a list or mapping whose tag says that it is something else."""
    if event.tag is None or event.tag == "!":
        return
    kind = _standard_kind(event)
    actual = "map" if isinstance(event, MappingStartEvent) else "seq"
    if kind != actual:
        expected = SCALARS.get(kind) or COLLECTIONS[kind]
        message = f"the tag '!!{kind}' asks for {expected}, and this is {COLLECTIONS[actual]}"
        raise GraphSyntaxError(mark_of(event), message)


def _standard_kind(event: Any) -> str:
    """Return what follows `!!` in a standard tag; raise GraphSyntaxError for any other tag."""
    tag: str = event.tag
    kind = tag.removeprefix(STANDARD)
    if tag.startswith(STANDARD) and (kind in SCALARS or kind in COLLECTIONS):
        return kind
    written = f"!!{kind}" if tag.startswith(STANDARD) else tag
    known = ", ".join(f"!!{name}" for name in (*SCALARS, *COLLECTIONS))
    message = f"the tag {quote(written)} is not supported: a graph file holds plain data and names no code"
    raise GraphSyntaxError(mark_of(event), message, f"tags that work: {known}")
