"""The gradients of tensor types in the names of a graph, from the texts that their declarations give."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from graphrun.declare.formula import setting_text
from graphrun.declare.nodetype import Tensor
from graphrun.run.passes import Edge
from graphrun.show.explain.board import Board

LONGEST = 60
"""A longer text explains nothing in a line."""

MATRIX = 2

NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(?!\w*\()")
"""A name that is no function's and no attribute."""


def gradient_text(board: Board, edge: Edge) -> str | None:
    """Return what a tensor type gives an input, as text; None where the declaration has no formula for the case."""
    batch = board.plan.batch_of(edge.target)
    declared, settings = batch.type, dict(batch.settings)
    if not isinstance(declared, Tensor) or not board.notation.is_text or len(declared.gradients) <= edge.position:
        return None
    text = declared.gradients[edge.position]
    if text is None or len(text) > LONGEST or settings.get("reduction", "mean") != "mean":
        return None
    sources = board.plan.inputs_of(edge.target)
    # For vectors, and for matrices in stacks, products mean something else than the texts say.
    if re.search(r"@|\.T", text) and any(len(board.plan.shapes[slot]) != MATRIX for slot in sources):
        return None
    upstream = "1" if edge.target == board.objective else board.derivative(edge.target)
    names = {name: setting_text(value) for name, value in settings.items()}
    names |= dict(zip(declared.inputs, map(board.name, sources), strict=False))
    # The output has the name that no input has.
    output = next(name for name in "yz" if name not in declared.inputs)
    names |= {"gradient": upstream, output: board.name(edge.target)}
    if "n" not in names and re.search(r"\bn\b", text):
        names["n"] = _elements(board, edge, sources)
    if any(name not in names for name in NAME.findall(text)):
        return None
    if upstream == "1":
        text = re.sub(r"^(-?)gradient \* ", r"\1", text)
    return NAME.sub(lambda match: names[match[1]], text)


def _elements(board: Board, edge: Edge, sources: Sequence[int]) -> str:
    """Return how many elements a mean is taken of, for each element of the result."""
    shapes = board.plan.shapes
    try:
        elements = math.prod(np.broadcast_shapes(*(shapes[slot] for slot in sources)))
    except ValueError:
        return "n"
    return str(elements // max(math.prod(shapes[edge.target]), 1))
