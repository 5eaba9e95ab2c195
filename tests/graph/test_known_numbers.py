"""The numbers pi and e in expressions: a value of the graph's own that is called so comes first."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

import graphrun
from graphrun.api import Graph

Load = Callable[[str], Graph]


def value(load: Load, text: str) -> float:
    """The value of f without a step."""
    return float(load(text).run(steps=0).values["f"])


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("f: 2 * pi * a", 6 * math.pi),
        ("f: e ** -a", math.exp(-3)),
        ("f: pi", math.pi),
        ("f: {type: add, inputs: [a, e]}", 3 + math.e),
        ("f: -pi + sin(pi / 2)", 1 - math.pi),
    ],
)
def test_numbers_by_name(load: Load, nodes: str, expected: float) -> None:
    """In expressions and as inputs, like numbers that are written out."""
    assert value(load, f"parameters: {{a: 3}}\nnodes: {{'f': {nodes.removeprefix('f: ')}}}") == pytest.approx(expected)


@pytest.mark.parametrize(
    "own",
    ["parameters: {e: 5}\nnodes: {f: e + 0}", "constants: {e: 5}\nnodes: {f: e + 0}", "nodes: {e: 2 + 3, f: e + 0}"],
)
def test_an_own_value_comes_first(load: Load, own: str) -> None:
    """A parameter, a constant or a node called e is what the name stands for."""
    assert value(load, own) == 5


def test_a_column_comes_first(tmp_path: Path, load: Load) -> None:
    """Of the data set too, also where the file names no columns."""
    (tmp_path / "rows.csv").write_text("e,pi\n5,1\n7,1\n")
    text = f"data: {{file: {tmp_path / 'rows.csv'}}}\nnodes: {{f: mean(e) + pi * 0 + sum(pi)}}"
    assert value(load, text.replace(" + pi * 0 + sum(pi)", " + sum(pi)")) == 8


def test_a_subgraph_has_them_too(load: Load) -> None:
    """Its own names come first there, those of the graph around are not seen; they may be handed over."""
    text = """
subgraphs:
  area: {inputs: [r], nodes: {y: pi * r ** 2}, output: y}
  own: {inputs: [e], nodes: {y: e * 2}, output: y}
parameters: {pi: 100}
nodes: {a: area(2), b: own(e), f: a + b}
"""
    assert value(load, text) == pytest.approx(4 * math.pi + 2 * math.e)


def test_a_setting_is_no_number(load: Load) -> None:
    """A setting called e is written $e: the name alone is not taken for the number."""
    text = "subgraphs: {s: {settings: {e: 1}, inputs: [x], nodes: {y: x * e}, output: y}}\nnodes: {f: s(1)}"
    with pytest.raises(graphrun.GraphFileError, match=r"write \$e for the value of the setting"):
        load(text)
