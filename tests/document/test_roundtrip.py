"""Random data, written by independent programs, loads back equal."""

from __future__ import annotations

import json
import math
from typing import Any

import hypothesis.strategies as st
import pytest
import yaml
from depth import examples
from hypothesis import given, settings

from graphrun.document import Source, load_document, loader
from graphrun.document.lookahead import PythonParser

# JSON writes some characters as they are that YAML allows only as escapes, or takes for line breaks.
CHARACTERS = st.characters(
    codec="utf-8", exclude_categories=("Cs",), exclude_characters="\x7f\x85\u2028\u2029\ufeff\ufffe\uffff"
).filter(lambda character: not "\x80" <= character <= "\x9f" and ord(character) & 0xFFFE != 0xFFFE)
TEXTS = st.text(CHARACTERS, max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
DATA = st.recursive(
    SCALARS | st.sampled_from(["1e-3", "on", "017", "null", "~", "", "<<", "a: b", "- a", "# a", "'", '"']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Compare with types and signs of zero."""
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return isinstance(right, dict) and list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(left, float):
        return isinstance(right, float) and left == right and math.copysign(1, left) == math.copysign(1, right)
    return type(left) is type(right) and bool(left == right)


def load(text: str) -> Any:
    """Return what stands at x among the settings of the update rule, which are taken as they are."""
    return load_document(Source("graph.yaml", text)).update.settings["x"]


@given(DATA)
def test_json_loads_back(data: Any) -> None:
    """JSON is YAML 1.2: what the standard library's writer writes loads as what it was."""
    text = json.dumps({"update": {"x": data}}, ensure_ascii=False)
    assert same(load(text), data)
    indented = json.dumps({"update": {"x": data}}, ensure_ascii=False, indent=2)
    assert same(load(indented), data)


@given(DATA, st.booleans())
def test_what_pyyaml_writes_with_tags_loads_back(data: Any, flow: bool) -> None:
    """With every scalar quoted and tagged, the differences of YAML 1.1 do not matter."""
    text = yaml.safe_dump({"update": {"x": data}}, default_style='"', default_flow_style=flow, sort_keys=False)
    assert same(load(text), data)


@given(DATA)
@settings(max_examples=examples(30))
def test_the_python_parser_gives_the_same(data: Any) -> None:
    """Without libyaml, files mean the same."""
    text = json.dumps({"update": {"x": data}}, ensure_ascii=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "EventParser", PythonParser)
        assert same(load(text), data)
