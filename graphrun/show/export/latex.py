"""`graphrun export FILE --to latex`: the derivation of the backward pass in symbols, as a paper would print it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from graphrun.base.version import __version__
from graphrun.declare.nodetype import Tensor
from graphrun.declare.notation import PRODUCT, Bound
from graphrun.engines.traced import NotSupportedError
from graphrun.run.passes import Edge
from graphrun.show.explain.board import Board
from graphrun.show.explain.latex import LATEX, render
from graphrun.show.explain.lesson import leaves, title
from graphrun.show.explain.page import Block, Equations, Group, Heading, MathRow, Paragraph
from graphrun.show.explain.step import take_step
from graphrun.show.explain.update import update_rule

if TYPE_CHECKING:
    from graphrun.run.api import Graph

MOST_NODES = 400
"""A derivation of more nodes is no paper's."""

FRAME = r"""\documentclass{{article}}
% written by graphrun {version}
\usepackage[T1]{{fontenc}}
\usepackage[utf8]{{inputenc}}
\usepackage{{amsmath,amssymb}}
\begin{{document}}
{body}\end{{document}}
"""


def export(graph: Graph) -> str:
    """Return the derivation of a graph's backward pass as an article in LaTeX.

    Raises:
        NotSupportedError: the graph has no objective, or is too large for a derivation that anybody reads.
    """
    if graph.structure.objective is None:
        raise NotSupportedError("there is no objective, so there is nothing to derive")
    if len(graph.structure.nodes) > MOST_NODES:
        raise NotSupportedError(f"a derivation of more than {MOST_NODES} nodes is nothing to read")
    with np.errstate(all="ignore"):
        board = Board(take_step(graph, 0), LATEX)
        body = render([*title(board), *_derivation(board), *update_rule(board)])
    return FRAME.format(version=__version__, body=body)


def _derivation(board: Board) -> Iterator[Block]:
    nodes = [node for node in reversed(board.order) if board.passes.is_needed(node) and board.edges_into(node)]
    yield Heading(["Definitions"])
    yield from leaves(board, range(len(board.plan.leaves)))
    yield Heading(["Forward pass"])
    yield Equations([Group([MathRow(board.name(node), board.forward(node)) for node in board.order])])
    yield Heading(["Local derivatives"])
    given = ((node, _local_rows(board, node)) for node in reversed(nodes))
    groups = [Group(rows, board.equation(node)) for node, rows in given if rows]
    if groups:
        yield Equations(groups)
    yield Heading(["Backward pass: the chain rule"])
    goal = board.objective or 0
    yield Paragraph(["What a value is given by all its uses adds up."])
    rows = [MathRow(_total(board, goal), "1")]
    ends = [slot for slot in range(len(board.plan.leaves)) if board.is_followed(slot)]
    for slot in [*(node for node in nodes if node != goal), *ends]:
        parts = [(_part(board, edge), _part(board, edge, local=True)) for edge in board.parts(slot)]
        symbols, texts = (board.total([part[k] for part in parts]) if parts else "0" for k in range(2))
        left = _total(board, slot)
        rows.append(MathRow(left, "" if symbols in {left, texts} else symbols, "" if texts == left else texts))
    yield Equations([Group(rows)])


def _local_rows(board: Board, node: int) -> list[MathRow]:
    """Return the derivatives of a node by its inputs; of a tensor type, what it gives of the gradient that comes in."""
    rows = []
    for edge in board.edges_into(node):
        local, _ = board.local(edge)
        if local is not None:
            rows.append(MathRow(_symbol(board, edge), local[0]))
            continue
        declared = board.plan.batch_of(node).type
        texts = declared.gradients if isinstance(declared, Tensor) else ()
        # Of any number of inputs, the last text is that of each.
        words = texts[min(edge.position, len(texts) - 1)] if texts else None
        if words is not None:
            left = _total(board, edge.source) if edge.target == board.objective else _part(board, edge)[0]
            rows.append(MathRow(left, board.notation.words(words), note=["gradient is what comes in"]))
    return rows


def _total(board: Board, slot: int) -> str:
    """Return the derivative of the objective by a value on all ways; by an input of its own it is a partial one."""
    goal, name = board.notation.name(board.goal), board.name(slot)
    return rf"\frac{{\mathrm{{d}} {goal}}}{{\mathrm{{d}} {name}}}"


def _symbol(board: Board, edge: Edge) -> str:
    return board.notation.derivative(board.raw(edge.target), board.raw(edge.source))


def _part(board: Board, edge: Edge, *, local: bool = False) -> Bound:
    """Return what an edge gives, in symbols, or with the formula of its local derivative where it has one."""
    found = board.local(edge)[0] if local else None
    factor = found or board.operand(_symbol(board, edge))
    if edge.target == board.objective:
        return factor
    return board.product(board.operand(_total(board, edge.target)), factor), PRODUCT
