"""Plain scalars against the tables of the YAML 1.2.2 specification, section 10.3.2 (core schema) and its examples."""

from __future__ import annotations

import math

import pytest

from graphrun.base.errors import GraphFileError
from graphrun.document import Source, load_document

CORE_SCHEMA = {
    # null
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    # bool
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    # int
    "0": 0,
    "-19": -19,
    "+12": 12,
    "017": 17,
    "-0": 0,
    "0o7": 7,
    "0o14": 12,
    "0x3A": 58,
    "0xff": 255,
    # float
    "0.": 0.0,
    "-0.0": -0.0,
    ".5": 0.5,
    "+12e03": 12000.0,
    "-2E+05": -200000.0,
    "12.3015e+02": 1230.15,
    "1e-3": 0.001,
    "1e3": 1000.0,
    ".inf": math.inf,
    "-.Inf": -math.inf,
    "+.INF": math.inf,
    ".nan": math.nan,
    ".NaN": math.nan,
    # text, much of which YAML 1.1 reads as something else
    "on": "on",
    "Off": "Off",
    "yes": "yes",
    "no": "no",
    "y": "y",
    "n": "n",
    "nULL": "nULL",
    "tRUE": "tRUE",
    "None": "None",
    "nan": "nan",
    "inf": "inf",
    "-.nan": "-.nan",
    "12:30": "12:30",
    "1_000": "1_000",
    "0b11": "0b11",
    "0o8": "0o8",
    "-0x1": "-0x1",
    "0X1": "0X1",
    ".": ".",
    "+": "+",
    "-x": "-x",
    ".e1": ".e1",
    "1e": "1e",
    "2001-12-14": "2001-12-14",
    "=": "=",
    "\u0663": "\u0663",
    "1.5.2": "1.5.2",
}


def value_of(text: str) -> object:
    """Load a text as a setting of the update rule, where values are taken as they are."""
    return load_document(Source("graph.yaml", f"update:\n  x: {text}\n")).update.settings["x"]


@pytest.mark.parametrize("text", CORE_SCHEMA)
def test_plain_scalars_follow_the_core_schema(text: str) -> None:
    """Each text has the type and the value that the specification's table gives it."""
    value, expected = value_of(text), CORE_SCHEMA[text]
    assert type(value) is type(expected)
    assert repr(value) == repr(expected)


@pytest.mark.parametrize("text", CORE_SCHEMA)
def test_quoted_scalars_are_text(text: str) -> None:
    """Quotes make text of everything."""
    assert value_of(f"'{text}'") == text
    assert value_of(f'"{text}"') == text


@pytest.mark.parametrize("text", [text for text in CORE_SCHEMA if text and text != "="])
def test_keys_are_kept_as_their_text(text: str) -> None:
    """A key is a name, whatever its value would be."""
    settings = load_document(Source("graph.yaml", f"update: {{{text} : 1}}")).update.settings
    assert list(settings) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!!str 12", "12"),
        ("!!str", ""),
        ("! 12", "12"),
        ("! '12'", "12"),
        ("!!int '12'", 12),
        ("!!int 0x10", 16),
        ("!!float 1", 1.0),
        ("!!float '.inf'", math.inf),
        ("!!bool 'true'", True),
        ("!!null ''", None),
        ("!!seq [1]", [1]),
        ("!!map {a: 1}", {"a": 1}),
        ("! [1]", [1]),
        ("! {a: 1}", {"a": 1}),
        ("!<tag:yaml.org,2002:str> 1", "1"),
    ],
)
def test_standard_tags_convert(text: str, expected: object) -> None:
    """The tags of the core schema say what a value is."""
    value = value_of(text)
    assert type(value) is type(expected)
    assert value == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!int abc", "the tag '!!int' asks for an integer, and 'abc' is not"),
        ("!!int 1.5", "the tag '!!int' asks for an integer, and '1.5' is not"),
        ("!!int true", "the tag '!!int' asks for an integer, and 'true' is not"),
        ("!!float x", "the tag '!!float' asks for a number, and 'x' is not"),
        ("!!bool yes", "the tag '!!bool' asks for true or false, and 'yes' is not"),
        ("!!null 0", "the tag '!!null' asks for null, and '0' is not"),
        ("!!seq a", "the tag '!!seq' asks for a list, and 'a' is not"),
        ("!!map [a]", "the tag '!!map' asks for a mapping, and this is a list"),
        ("!!str {a: 1}", "the tag '!!str' asks for text, and this is a mapping"),
        ("!!float 1" + "0" * 400, "this integer is too large for a float"),
        ("1" * 1001, "an integer of 1,001 characters is too long (1,000 are the limit)"),
        ("!!int " + "1" * 1001, "an integer of 1,001 characters is too long (1,000 are the limit)"),
        ("0." + "1" * 1000, "a number of 1,002 characters is too long (1,000 are the limit)"),
    ],
)
def test_values_that_are_not_what_their_tag_says_are_refused(text: str, message: str) -> None:
    """The message stands at the value, tag included."""
    with pytest.raises(GraphFileError) as caught:
        value_of(text)
    assert str(caught.value).startswith(f"graph.yaml:2:6: {message}\n")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/name:os.system",
        "!!binary",
        "!!timestamp",
        "!!set",
        "!!omap",
        "!mine",
    ],
)
def test_other_tags_are_refused(tag: str) -> None:
    """No tag runs anything or makes anything but plain data."""
    for text in (f"{tag} ['true']", f"{tag} {{a: b}}", f"{tag} true"):
        with pytest.raises(GraphFileError) as caught:
            value_of(text)
        message = f"graph.yaml:2:6: the tag '{tag}' is not supported: a graph file holds plain data and names no code\n"
        assert str(caught.value).startswith(message)
