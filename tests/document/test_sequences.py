"""Copies over a sequence: what `over`, several outputs and `collect` become, and what is told of a wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.base.errors import GraphrunError
from graphrun.document import Source, load_document
from graphrun.document.dump import dump_document

STEP = """\
subgraphs:
  step:
    inputs: [level, slope, x, gain]
    nodes:
      next: level + slope + gain * x
      rise: slope * 2
      twice: next * 2
    output: [next, rise]
constants: {x: [1, 2, 3]}
nodes:
  s: {type: step, inputs: [10, 1, x, 5], repeat: 3, over: [x], collect: [twice, level]}
  f: sum(s.twice) + s.2.rise + sum(s.level)
"""


def error(text: str) -> str:
    """Return what is wrong with a file."""
    with pytest.raises(GraphrunError) as caught:
        graphrun.loads(text).run(0)
    return str(caught.value)


def test_copies_take_slices_and_hand_on_several_values() -> None:
    """Each output feeds the input at its place, slices are nodes `unstack`, and what is collected is one `stack`."""
    nodes = load_document(Source("g.yaml", STEP)).nodes
    shown = {name: (entry.type, entry.inputs, entry.settings) for name, entry in nodes.items()}
    assert shown["s.1.x"] == ("unstack", ("x",), {"index": 0, "size": 3})
    assert shown["s.3.x"] == ("unstack", ("x",), {"index": 2, "size": 3})
    assert shown["s.2.next.1"] == ("add", ("s.1", "s.1.rise"), None)
    assert shown["s.3.rise"] == ("multiply", ("s.2.rise", 2), None)
    assert shown["s.twice"] == ("stack", ("s.1.twice", "s.2.twice", "s.3.twice"), None)
    assert shown["s.level"] == ("stack", (10, "s.1", "s.2"), None)
    assert "s" in shown
    assert "s.3" not in shown


def test_the_values_are_those_of_the_loop() -> None:
    """The same as a loop in Python."""
    level, slope, twice, levels, rises = 10, 1, [], [], []
    for x in (1, 2, 3):
        levels.append(level)
        level, slope = level + slope + 5 * x, slope * 2
        twice.append(2 * level)
        rises.append(slope)
    result = graphrun.loads(STEP).run(0)
    assert result.values["s"] == level
    np.testing.assert_array_equal(result.values["s.twice"], twice)
    assert result.values["f"] == sum(twice) + rises[1] + sum(levels)


def test_one_copy_is_a_sequence_too() -> None:
    """Its values have a number like those of several."""
    text = STEP.replace("repeat: 3", "repeat: 1").replace("[1, 2, 3]", "[4]").replace(" + s.2.rise", "")
    result = graphrun.loads(text).run(0)
    assert result.values["s"] == 31
    np.testing.assert_array_equal(result.values["s.twice"], [62])
    assert "s.1.rise" in result.values


def test_an_instance_within_a_subgraph_has_sequences() -> None:
    """What it collects is known within the definition, its number of copies may be a setting, and it may be a call."""
    text = """\
subgraphs:
  plus: {inputs: [s, x], nodes: {t: s + x}, output: t}
  sums:
    inputs: [xs]
    settings: {n: null}
    nodes:
      run: plus(0, xs, repeat=$n, over=['x'], collect='t')
      y: run.t * 2
    output: y
constants: {x: [1, 2, 3, 4]}
nodes:
  f: {type: sums, inputs: [x], n: 4}
"""
    np.testing.assert_array_equal(graphrun.loads(text).run(0).values["f"], [2, 6, 12, 20])


def test_the_expanded_file_is_the_same_graph(tmp_path: Path) -> None:
    """`graphrun show` writes it, and it gives the same."""
    graph = graphrun.loads(STEP)
    expanded = tmp_path / "e.yaml"
    expanded.write_text(dump_document(graph.document), encoding="utf-8")
    assert graphrun.load(expanded).run(0).values["f"] == graph.run(0).values["f"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[1, 2, 3]", "[1, 2]", "x has 2 slices along axis 0, not 3"),
        ("[1, 2, 3]", "7", "which has 0 axes"),
        ("over: [x]", "over: [y]", "the subgraph 'step' has no input 'y'"),
        ("over: [x]", "over: [gian]", "did you mean 'gain'?"),
        ("over: [x]", "over: [level]", "'level' cannot be cut into slices"),
        ("over: [x]", "over: 3", "'over' is a list of names, not the number 3"),
        ("over: [x]", "over: {x: 1}", "'over' is a list of names"),
        ("over: [x]", "ovre: [x]", "did you mean 'over'?"),
        ("collect: [twice, level]", "colect: [twice]", "did you mean 'collect'?"),
        ("collect: [twice, level]", "collect: [twcie]", "did you mean 'twice'?"),
        ("collect: [twice, level]", "collect: [[twice]]", "'collect' is a list of names"),
        (" repeat: 3,", "", "'over' goes with 'repeat'"),
        ("sum(s.twice)", "sum(s.rise)", "collect: [rise] stacks what they have of 'rise'"),
        ("output: [next, rise]", "output: [next, rsie]", "output 'rsie' is unknown"),
        ("output: [next, rise]", "output: []", "'output' is the name of a value"),
        ("output: [next, rise]", "output: [next, rise, twice, next, level, x]", "it hands on next, rise, twice"),
        ("repeat: 3", "repeat: 2000000", "nodes: at most"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(old: str, new: str, told: str) -> None:
    """A misspelt name, a sequence of another length, a key that does not go."""
    assert old in STEP
    message = error(STEP.replace(old, new))
    assert told in message
    assert any(f":{line}:" in message for line in (8, 11, 12))
    assert len(message.splitlines()) < 15


def test_keys_of_instances_are_no_settings() -> None:
    """A subgraph's own setting could not be told from them."""
    for key in ("over", "collect"):
        text = STEP.replace("    nodes:\n", f"    settings: {{{key}: 1}}\n    nodes:\n", 1)
        assert f"'{key}' cannot be a setting" in error(text)
