"""YAML tags: the standard ones convert, every other is refused, so that a file can never name code."""

from typing import Any

from yaml.events import MappingStartEvent

from graphrun.base.wording import quote
from graphrun.document.marks import GraphSyntaxError, mark_of
from graphrun.document.scalars import Scalar, resolve

STANDARD = "tag:yaml.org,2002:"
COLLECTIONS = {"seq": "a list", "map": "a mapping"}
SCALARS = {"str": "text", "int": "an integer", "float": "a number", "bool": "true or false", "null": "null"}


def scalar(event: Any) -> Scalar:
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
