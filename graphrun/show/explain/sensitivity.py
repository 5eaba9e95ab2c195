"""Sensitivity: which leaves matter most, and where the gradient vanishes or explodes on the way to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.numbertext import number
from graphrun.base.wording import counted
from graphrun.engines.numpy import bind
from graphrun.plan.plan import Batch
from graphrun.run.passes import Kind
from graphrun.show.explain.board import Board
from graphrun.show.explain.lesson import KINDS, title
from graphrun.show.explain.page import Block, CellTable, Heading, Math, Page, Paragraph, Prose, joined

MOST_LEAVES = 20
MOST_GENERATIONS = 16
MOST_LISTED = 8
MOST_NAMED = 3

VANISHED = 1e-3
"""A gradient that is smaller by this factor at the leaves has vanished; one larger by its inverse has exploded."""


class Carried(NamedTuple):
    """What an edge makes of the gradient: the norm of what it gives over the norm of what comes in."""

    source: int
    target: int
    factor: float


def sensitivity(board: Board) -> Page:
    """Return the page on how sensitive the objective is, and to what."""
    return [*title(board), *([] if board.objective is None else [*_ranking(board), *_flow(board)])]


def _ranking(board: Board) -> Iterator[Block]:
    """Yield the leaves by the size of gradient times value."""
    yield Heading(["Leaves by |gradient * value|"])
    values, gradients = board.passes.values, board.passes.gradients
    leaves = (slot for slot in range(len(board.plan.leaves)) if _counts(board, slot))
    weights = {slot: norm(gradients[slot] * values[slot]) for slot in leaves}
    total = sum(weights.values())
    ranked = sorted((slot for slot in weights if weights[slot]), key=lambda slot: -weights[slot])
    if not ranked:
        yield Paragraph(["It is 0 for every leaf."])
        return
    words = " changes by about 1 % of gradient * value; of arrays the norm is shown."
    yield Paragraph(["If a leaf grows by 1 %, ", board.objective_name, words])
    rows = [
        [
            Math(board.name(slot)),
            KINDS[board.passes.kind(slot)][0],
            board.size(values[slot]),
            board.size(gradients[slot]),
            board.math(weights[slot]),
            f"{100 * weights[slot] / total:.1f} %" if math.isfinite(total) else "",
        ]
        for slot in ranked[:MOST_LEAVES]
    ]
    yield CellTable(["leaf", "", "value", "gradient", "|gradient * value|", "share"], rows)
    if len(ranked) > MOST_LEAVES:
        yield Paragraph([f"{MOST_LEAVES} of {len(ranked):,} leaves are shown."])
    yield from _without(board, [slot for slot in weights if not weights[slot]])


def _counts(board: Board, slot: int) -> bool:
    """Whether a leaf can be ranked: it has a name, and is no state or label."""
    if board.passes.kind(slot) in {Kind.LITERAL, Kind.STATE, Kind.NOISE}:
        return False
    return np.asarray(board.passes.values[slot]).dtype.kind not in "iu"


def _without(board: Board, slots: Sequence[int]) -> Iterator[Block]:
    """Name the leaves whose product is 0: those without a gradient, and those that are 0."""
    moved = [slot for slot in slots if board.is_followed(slot)]
    dead = [slot for slot in moved if not np.any(board.passes.gradients[slot])]
    zero = [slot for slot in moved if np.any(board.passes.gradients[slot])]
    for words, found in (("No gradient reaches ", dead), ("The value is 0, though not the gradient, of ", zero)):
        if found:
            yield Paragraph([words, *board.listed(found, MOST_LISTED), "."])


def _flow(board: Board) -> Iterator[Block]:
    """Yield what becomes of the gradient on its way from the objective to the leaves."""
    yield Heading(["The gradient on its way, from the objective to the leaves"])
    depth = board.plan.generations
    nodes = [slot for slot in board.order if board.is_followed(slot) and board.passes.is_needed(slot)]
    by_generation: dict[int, list[int]] = {}
    for slot in nodes:
        by_generation.setdefault(depth[slot], []).append(slot)
    if not by_generation:
        yield Paragraph(["There is no way: the objective depends on no parameter through a node."])
        return
    generations = sorted(by_generation, reverse=True)
    norms = [_norm_of(board, by_generation[generation]) for generation in generations]
    leaves = _leaves_by_generation(board, depth)
    count = min(len(generations), MOST_GENERATIONS)
    places = list(dict.fromkeys(round(k) for k in np.linspace(0, len(generations) - 1, count)))
    # Each is compared with the one that is shown above it, which may be several generations away.
    rows = [
        [
            f"{generations[place]:,}",
            f"{len(by_generation[generations[place]]):,}",
            number(norms[place]),
            number(norms[place] / norms[above]) if above is not None and norms[above] else "",
            number(_norm_of(board, leaves[generations[place]])) if generations[place] in leaves else "",
        ]
        for above, place in pairwise([None, *places])
        if place is not None
    ]
    yield CellTable(["generation", "nodes", "norm of gradient", "times the one above", "of parameters used"], rows)
    if len(places) < len(generations):
        yield Paragraph([f"{len(places)} of {len(generations):,} generations are shown."])
    yield Paragraph(_verdict(norms))
    yield from _extremes(board)


def _norm_of(board: Board, slots: Sequence[int]) -> float:
    return norm(*(board.passes.gradients[slot] for slot in slots))


def _leaves_by_generation(board: Board, depth: Sequence[int]) -> dict[int, list[int]]:
    """Return the leaves that are followed, by the generation that uses them first."""
    leaves: dict[int, list[int]] = {}
    for slot in range(len(board.plan.leaves)):
        uses = board.plan.uses.get(slot)
        if uses and board.is_followed(slot):
            leaves.setdefault(min(depth[node] for node, _ in uses), []).append(slot)
    return leaves


def _verdict(norms: Sequence[float]) -> Prose:
    """Say what becomes of the gradient between the objective and the first generation."""
    steps = len(norms) - 1
    if not steps:
        return ["The leaves are one step away."]
    whole = norms[-1] / norms[0] if norms[0] else math.nan
    text = f"from {number(norms[0])} to {number(norms[-1])} over {counted(steps, 'generation')}"
    if 0 < whole < math.inf and steps > 1:
        text += f", a factor of {number(whole ** (1 / steps), 3)} each"
    if whole == 0:
        return [f"The gradient is lost on the way: {text}."]
    if whole < VANISHED:
        return [f"The gradient vanishes: {text}."]
    if whole > 1 / VANISHED:
        return [f"The gradient explodes: {text}."]
    return [f"The gradient neither vanishes nor explodes: {text}."]


def _extremes(board: Board) -> Iterator[Block]:
    """Name the edges at which the gradient drops and grows most, and those where it ends."""
    edges = [edge for edge in carried(board) if math.isfinite(edge.factor)]
    alive = [edge for edge in edges if edge.factor > 0]
    factor = attrgetter("factor")
    drop, growth = min(alive, key=factor, default=None), max(alive, key=factor, default=None)
    if drop is not None and drop.factor < 1:
        yield Paragraph(["It drops most ", *_edge(board, drop)])
    if growth is not None and growth.factor > 1:
        yield Paragraph(["It grows most ", *_edge(board, growth)])
    ends = [edge for edge in edges if edge.factor == 0]
    if ends:
        places = joined((_ends(board, edge) for edge in ends[:MOST_NAMED]), "; ")
        count = f"It ends at {counted(len(ends), 'edge')}, whose local derivative is 0: "
        yield Paragraph([count, *places, "; ..." if len(ends) > MOST_NAMED else "."])


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
                yield Carried(edge.source, node, norm(edge.contribution) / incoming)


def _of_batch(board: Board, batch: Batch) -> Iterator[Carried]:
    """Do the same for a batch of numbers at once."""
    passes, slots = board.passes, board.plan.inputs(batch)
    gradient = np.array([passes.gradients[slot] for slot in batch.slots])
    values = [np.array([passes.values[slot] for slot in row]) for row in (batch.slots, *slots.tolist())]
    operation = bind(board.plan, batch, masked=True).at(0, range(1, batch.arity + 1), [True] * batch.arity)
    with np.errstate(all="ignore"):
        for place, part in operation.pull(gradient, values):
            factors = np.abs(part / gradient)
            for node, (source, factor) in enumerate(zip(slots[place - 1].tolist(), factors.tolist(), strict=True)):
                if gradient[node] and board.is_followed(source):
                    yield Carried(source, batch.start + node, factor)


def _edge(board: Board, edge: Carried) -> Prose:
    return [*_ends(board, edge), ", times ", board.math(edge.factor), ": ", board.equation(edge.target), "."]


def _ends(board: Board, edge: Carried) -> Prose:
    return ["from ", Math(board.name(edge.target)), " to ", Math(board.name(edge.source))]
