"""How problems are shown: order, limits, carets, escapes, near names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphrun.base.errors import GraphFileError
from graphrun.document import Mark, Problems, Source, did_you_mean, load_document, nearest
from graphrun.graph.build import build_graph
from graphrun.plugins.registry import Registry


def test_problems_stand_in_the_order_of_the_file() -> None:
    """Whatever the order in which they were found."""
    problems = Problems(Source("g.yaml", "a: 1\nb: [x, y]\n"))
    assert not problems
    problems.raise_if_any()
    problems.add(("b", 1), "second", suggestion="do")
    problems.add(("b",), "key", key=True)
    problems.add_at(Mark(1, 4), "first", suggestion=lambda: None)
    assert len(problems) == 3
    expected = (
        "g.yaml:1:4: first\n    a: 1\n       ^\n"
        "g.yaml:2:1: key\n    b: [x, y]\n    ^\n"
        "g.yaml:2:8: second\n    b: [x, y]\n           ^\n  do"
    )
    with pytest.raises(GraphFileError) as caught:
        problems.raise_if_any()
    assert str(caught.value) == expected


@pytest.mark.parametrize(("count", "end"), [(20, "^"), (21, "and 1 more problem"), (1020, "and 1,000 more problems")])
def test_twenty_problems_are_shown(count: int, end: str) -> None:
    """The rest is counted, and suggestions are made only for those that are shown."""
    asked = []
    problems = Problems(Source("g.yaml", "\n".join(f"k{i}: 1" for i in range(count))))
    for index in reversed(range(count)):
        problems.add((f"k{index}",), "wrong", suggestion=lambda index=index: asked.append(index))
    text = str(problems)
    assert text.splitlines()[-1].strip() == end
    assert text.count("wrong") == 20
    assert asked == list(range(20))


@pytest.mark.parametrize(
    ("line", "column", "shown", "caret"),
    [
        ("    a: x", 8, "a: x", 3),
        ("\t\ta: x", 6, "a: x", 3),
        ("\ta: x", 1, " a: x", 0),
        ("a:\tx", 4, "a: x", 3),
        ("日本: x", 5, "日本: x", 6),
        ("e\u0301: x", 5, "e\u0301: x", 3),
        ("a\x1b: x", 5, "a\\x1b: x", 7),
        ("a\u202e: x", 5, "a\\u202e: x", 9),
        ("a: x", 9, "a: x", 4),
        ("a" * 200, 1, "a" * 76 + "…", 0),
        ("a" * 200, 200, "…" + "a" * 51, 51),
        ("a" * 200, 100, "…" + "a" * 76 + "…", 51),
    ],
)
def test_the_caret_stands_under_its_character(line: str, column: int, shown: str, caret: int) -> None:
    """Also after tabs, wide and combining characters and escapes, and in a line that is cut."""
    problems = Problems(Source("g.yaml", line))
    problems.add_at(Mark(1, column), "wrong")
    assert str(problems) == f"g.yaml:1:{column}: wrong\n    {shown}\n    {' ' * caret}^"


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("ad", ["subtract", "add"], "add"),
        ("ADD", ["odd", "add"], "add"),
        ("add", ["ADD"], "ADD"),
        ("x", ["y", "z"], None),
        ("x", [], None),
        ("n99999x", [f"n{i}" for i in range(100_000)], "n99999"),
    ],
)
def test_the_nearest_name(word: str, candidates: list[str], expected: str | None) -> None:
    """Letter case counts little, and among very many names the search stays short."""
    assert nearest(word, candidates) == expected
    assert did_you_mean(word, candidates) == (None if expected is None else f"did you mean '{expected}'?")


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("nodes:\n  p: concat(" + ",".join(f"x{i}" for i in range(8000)) + ")", id="in one expression"),
        pytest.param(
            "nodes:\n" + "".join(f"  n{i}: tanh(q{i})\n" for i in range(8000)), id="in many", marks=pytest.mark.campaign
        ),
        pytest.param(
            "parameters: {a: 1}\nsubgraphs:\n"
            "  s: {inputs: [x], output: y, settings: {k: null}, nodes: {y: 'elu(x, alpha=$k)'}}\n"
            "nodes:\n" + "".join(f"  n{i}: s(a, k=w{i})\n" for i in range(8000)),
            id="in uses of a subgraph",
            marks=pytest.mark.campaign,
        ),
    ],
)
def test_many_mistakes_are_told_in_linear_time(text: str) -> None:
    """Eight thousand of them took 36 seconds, for each was followed through the text from its beginning."""
    start = time.process_time()
    document = load_document(Source("g.yaml", text))
    with pytest.raises(GraphFileError) as caught:
        build_graph(document, Registry())
    assert time.process_time() - start < 10
    assert "and 7,980 more problems" in str(caught.value)
    assert len(str(caught.value).splitlines()) < 100


@pytest.mark.parametrize("name", ["type", "input", "key", "text"])
def test_a_message_is_no_longer_than_a_screen(name: str) -> None:
    """Whatever is long in the file is cut, and what is wrong with it still stands there."""
    long = "x" * 2_000_000
    text = {
        "type": f"nodes: {{f: {{type: {long}, inputs: [1]}}}}",
        "input": f"nodes: {{f: {{type: exp, inputs: [{long}]}}}}",
        "key": f"? {long}\n: 1",
        "text": f"nodes: {{f: 'exp(1, {long}=1)'}}",
    }[name]
    with pytest.raises(GraphFileError) as caught:
        build_graph(load_document(Source("g.yaml", text)), Registry())
    message = str(caught.value)
    assert len(message) < 3000
    assert message.startswith("g.yaml:1:")


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("ad", ["pad", "add"], "did you mean 'pad' or 'add'?"),
        ("tahn", ["tan", "tanh", "atan"], "did you mean 'tan' or 'tanh'?"),
        ("sdg", ["sgd", "adam"], "did you mean 'sgd'?"),
        ("heigth", ["weight", "height"], "did you mean 'height'?"),
        ("step", ["stop", "steps"], "did you mean 'steps'?"),
        ("hidden.x", [f"hidden.{x}" for x in "abcde"], "did you mean 'hidden.a', 'hidden.b' or 'hidden.c'?"),
        ("huber", ["where"], None),
        ("x" * 100, ["x" * 99, "y"], f"did you mean '{'x' * 59}…'?"),
    ],
)
def test_all_names_that_are_equally_near(word: str, candidates: list[str], expected: str | None) -> None:
    """Two letters that changed places are one slip; names that as many slips lead to are told together."""
    assert did_you_mean(word, candidates) == expected


@given(st.text("abcde", min_size=4, max_size=12), st.data())
def test_a_word_is_found_again_after_two_letters_changed_places(word: str, data: st.DataObject) -> None:
    """Whatever else is there: the word is among the names that are told, or a nearer one is."""
    place = data.draw(st.integers(0, len(word) - 2))
    slip = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    assert nearest(slip, ["zzzzzzzz", word]) == word
