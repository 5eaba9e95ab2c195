"""`graphrun export FILE --to latex`: an article with every formula of the backward pass, in symbols."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from languages import assert_is_latex
from lesson import GRAPHS, NESTED

import graphrun
from graphrun.show.export import LANGUAGES

export = LANGUAGES["latex"].export


def test_the_lesson_is_what_a_board_has(load: Any) -> None:
    """Each local derivative, and the chain rule for each value."""
    text = export(load(NESTED))
    for equation in (
        r"d &= a + b",
        r"\frac{\partial d}{\partial a} &= 1",
        r"\frac{\partial f}{\partial d} &= c",
        r"\frac{\partial f}{\partial c} &= d",
        r"\frac{\mathrm{d} f}{\mathrm{d} a} &= \frac{\mathrm{d} f}{\mathrm{d} d} \cdot \frac{\partial d}{\partial a}",
        r"x_{\text{new}} &= x + \text{step\_size} \cdot \frac{\partial f}{\partial x}",
    ):
        assert equation in text


def test_what_is_used_twice_is_a_sum(load: Any) -> None:
    """The parts stand in the order in which the backward pass comes by."""
    text = export(load("parameters: {x: 2}\nnodes: {a: exp(x), f: a * x}\nminimize: f\n"))
    chain = r"\frac{\partial f}{\partial x} + \frac{\mathrm{d} f}{\mathrm{d} a} \cdot \frac{\partial a}{\partial x}"
    assert (
        rf"\frac{{\mathrm{{d}} f}}{{\mathrm{{d}} x}} &= {chain} = a + \frac{{\mathrm{{d}} f}}{{\mathrm{{d}} a}} \cdot a"
        in text
    )


TOO_LONG = {"garch", "nile"}
"""Examples of a sequence, whose copies have more nodes than anybody reads derivatives of."""


@pytest.mark.parametrize("file", sorted(GRAPHS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example(file: Path) -> None:
    """One document, in which every value that the objective depends on has its derivative."""
    graph = graphrun.load(file)
    if graph.structure.objective is None:
        with pytest.raises(graphrun.UsageError, match="no objective"):
            export(graph)
        return
    if file.stem in TOO_LONG:
        with pytest.raises(graphrun.UsageError, match="nothing to read"):
            export(graph)
        return
    text = export(graph)
    assert_is_latex(text)
    assert text.count(r"\begin{document}") == text.count(r"\end{document}") == 1
    derived = re.findall(r"^\\frac\{\\mathrm\{d\} .*? &=", text.partition("the chain rule")[2], re.MULTILINE)
    assert len(derived) == len(set(derived)) > 0


def test_a_graph_that_nobody_reads_is_refused(load: Any) -> None:
    """The message says how large is too large."""
    nodes = "".join(f"  n{k + 1}: sin(n{k})\n" for k in range(401))
    with pytest.raises(graphrun.UsageError, match="more than 400 nodes"):
        export(load(f"parameters: {{n0: 1}}\nnodes:\n{nodes}minimize: n401\n"))
