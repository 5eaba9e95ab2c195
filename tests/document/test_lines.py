"""Node lines that a pattern reads: the same data as from the parser, or none."""

from __future__ import annotations

import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrun.document import lines, loader
from graphrun.document.loader import Loader

LINES = [
    "  a: {type: add, inputs: [x, y]}",
    "  b: {type: sin, inputs: [-0.5]}",
    "  c.1: {type: max, inputs: [a, 1e-3, .inf, null, true, 0x1F, -a, 1.2.3]}",
    "  null: {type: add, inputs: [x, y]}",
    "  12: {type: add, inputs: [x, y]}",
    "  a: {type: null, inputs: [x, y]}",
    "  c: a + b",
    "  d: {type: clip, inputs: [a], low: 0}",
    "  e: {type: add, inputs: [a, b]} # comment",
    "  f: {type: add, inputs: [a,",
    "    b]}",
    "  g: |",
    "    e: {type: add, inputs: [a, b]}",
    '  h: "',
    '    "',
    "  i: text",
    "  j: [a, {b: c}",
    "  <<: *base",
    "  ? complex",
    " k: {type: add, inputs: [x, y]}",
    "   l: {type: add, inputs: [x, y]}",
    "  m: {type: add, inputs: []}",
    "  n: {type: add, inputs: [x y]}",
    "  # a comment",
    "",
    "nodes:",
    "parameters: {x: 1}",
    "base: &base {a: 1, z: 2}",
    "---",
    "{",
    "}",
    '"',
]


@settings(max_examples=examples(300))
@given(st.lists(st.sampled_from(LINES), max_size=12), st.lists(st.sampled_from(LINES), max_size=3))
def test_every_text_has_the_data_that_the_parser_finds(inside: list[str], before: list[str]) -> None:
    """Whatever stands around the lines, above all what looks like them and is none."""
    text = "\n".join([*before, "nodes:", *inside, ""])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "SHORTEST_TEXT", 0)
        patch.setattr(lines, "SHORTEST_RUN", 1)
        found = loader._load_by_lines(text)
    if found is not None:
        whole = loader._load(Loader(text))
        assert not whole.errors
        assert repr(found) == repr(whole.data)


def test_a_plain_file_is_read_by_lines() -> None:
    """So that a change which sends every file to the parser is noticed."""
    entries = [f"  n{k}: {{type: add, inputs: [a, b{k}]}}" for k in range(2000)]
    entries.insert(1000, "  s: a + n7")
    text = "\n".join(["parameters: {a: 1}", "nodes:", *entries, "minimize: n1999", ""])
    found = loader._load_by_lines(text)
    assert repr(found) == repr(loader._load(Loader(text)).data)
    assert loader.load(text.replace("n1999:", "n7:")).errors
