"""Where the gradient goes: the path of largest influence, and what each edge makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.norms import norm
from graphrun.engines.numpy import bind
from graphrun.plan.plan import Batch
from graphrun.run.passes import Edge
from graphrun.show.explain.board import Board


def path_to_leaf(board: Board, slot: int) -> list[Edge]:
    """Return the edges from a value back to a leaf, at each node the one that carries most; fewer where all carry 0."""
    path: list[Edge] = []
    while slot >= len(board.plan.leaves):
        edge = _largest(board.edges_into(slot))
        if edge is None:
            break
        path.append(edge)
        slot = edge.source
    return path


def path_to_objective(board: Board, slot: int) -> list[Edge]:
    """Return the edges from a value on to the objective, at each value the use that gives most of its gradient."""
    path: list[Edge] = []
    while slot != board.objective:
        edge = _largest(board.parts(slot))
        if edge is None:
            break
        path.append(edge)
        slot = edge.target
    return path


def _largest(edges: Sequence[Edge]) -> Edge | None:
    # Of equal ones the first, whatever rounding made of them.
    edge = max(edges, key=lambda edge: float(f"{norm(edge.contribution):.9g}"), default=None)
    return edge if edge is not None and np.any(edge.contribution) else None


@dataclass(frozen=True, slots=True)
class Carried:
    """What an edge makes of the gradient.

    Attributes:
        source, target, position: the edge.
        factor: the norm of what it gives over the norm of what comes in.
    """

    source: int
    target: int
    position: int
    factor: float


def carried(board: Board) -> Iterator[Carried]:
    """Yield what every edge makes of the gradient, where one comes in."""
    passes = board.passes
    for batch in passes.plan.batches:
        if not batch.needed or batch.type.derivative is None:
            continue
        if batch.count > 1 and batch.type.is_elementwise:
            yield from _of_batch(board, batch)
            continue
        for node in batch.slots:
            incoming = norm(passes.gradients[node])
            for edge in board.edges_into(node) if incoming else ():
                yield Carried(edge.source, node, edge.position, norm(edge.contribution) / incoming)


def _of_batch(board: Board, batch: Batch) -> Iterator[Carried]:
    """Do the same for a batch of numbers at once."""
    passes, slots = board.passes, board.plan.inputs(batch)
    gradient = _gather(passes.gradients, batch.slots)
    values = [_gather(passes.values, row) for row in (batch.slots, *slots.tolist())]
    operation = bind(board.plan, batch, masked=True).at(0, range(1, batch.arity + 1), [True] * batch.arity)
    with np.errstate(all="ignore"):
        for place, part in operation.pull(gradient, values):
            factors = np.abs(part / gradient)
            for node, (source, factor) in enumerate(zip(slots[place - 1].tolist(), factors.tolist(), strict=True)):
                if gradient[node] and board.is_followed(source):
                    yield Carried(source, batch.start + node, place - 1, factor)


def _gather(values: Sequence[object], slots: Sequence[int]) -> NDArray[Any]:
    return np.array([values[slot] for slot in slots])
