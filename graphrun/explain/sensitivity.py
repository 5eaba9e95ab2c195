"""Sensitivity: which leaves matter most, and where the gradient vanishes or explodes on the way to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from graphrun.explain.board import Board
from graphrun.explain.forward import KINDS
from graphrun.explain.influence import Carried, carried, depths
from graphrun.explain.lesson import title
from graphrun.explain.notation import is_number, value_text
from graphrun.explain.page import Block, Heading, Math, Page, Paragraph, Prose, Table
from graphrun.passes import Kind
from graphrun.summary import norm, number

MOST_LEAVES = 20
MOST_GENERATIONS = 16
MOST_NAMED = 3

VANISHED = 1e-3
"""A gradient that is smaller by this factor at the leaves has vanished; one larger by its inverse has exploded."""


def sensitivity(board: Board) -> Page:
    """Return the page on how sensitive the objective is, and to what."""
    blocks: list[Block] = list(title(board))
    if board.objective is not None:
        blocks += [*_ranking(board), *_flow(board)]
    return Page(blocks)


def _ranking(board: Board) -> Iterator[Block]:
    """Yield the leaves by the size of gradient times value."""
    goal = Math(board.notation.name(board.goal))
    yield Heading(["Leaves by |gradient * value|"])
    weights = {slot: _weight(board, slot) for slot in range(len(board.plan.leaves)) if _counts(board, slot)}
    total = sum(weights.values())
    ranked = sorted((slot for slot in weights if weights[slot]), key=lambda slot: -weights[slot])
    if not ranked:
        yield Paragraph(["It is 0 for every leaf."])
        return
    yield Paragraph(["How much ", goal, " feels a change of a leaf in proportion to the leaf; of arrays, the norm."])
    rows = [
        [
            Math(board.name(slot)),
            KINDS[board.passes.kind(slot)][0],
            *(_size(board, given[slot]) for given in (board.passes.values, board.passes.gradients)),
            Math(board.bound(weights[slot])[0]),
            f"{100 * weights[slot] / total:.1f} %" if math.isfinite(total) else "",
        ]
        for slot in ranked[:MOST_LEAVES]
    ]
    yield Table(["leaf", "", "value", "gradient", "|gradient * value|", "share"], rows)
    if len(ranked) > MOST_LEAVES:
        yield Paragraph([f"{MOST_LEAVES} of {len(ranked):,} leaves are shown."])
    yield from _without(board, [slot for slot in weights if not weights[slot]])


def _counts(board: Board, slot: int) -> bool:
    """Whether a leaf can be ranked: it has a name, and is no state or label."""
    if board.passes.kind(slot) in {Kind.LITERAL, Kind.STATE, Kind.NOISE}:
        return False
    return np.asarray(board.passes.values[slot]).dtype.kind not in "iu"


def _weight(board: Board, slot: int) -> float:
    with np.errstate(all="ignore"):
        return norm(board.passes.gradients[slot] * board.passes.values[slot])


def _size(board: Board, value: object) -> str:
    return Math(value_text(board.notation, value)) if is_number(value) else f"norm {number(norm(value))}"


def _without(board: Board, slots: Sequence[int]) -> Iterator[Block]:
    """Name the leaves whose product is 0: those without a gradient, and those that are 0."""
    dead = [slot for slot in slots if not np.any(board.passes.gradients[slot])]
    zero = [slot for slot in slots if slot not in set(dead)]
    for words, found in (("No gradient reaches ", dead), ("The value is 0, though not the gradient, of ", zero)):
        if found:
            yield Paragraph([words, *_names(board, found), "."])


def _names(board: Board, slots: Sequence[int], most: int = 8) -> Prose:
    prose: list[str] = []
    for slot in slots[:most]:
        prose += [", "] if prose else []
        prose.append(Math(board.name(slot)))
    return [*prose, f" and {len(slots) - most:,} more"] if len(slots) > most else prose


def _flow(board: Board) -> Iterator[Block]:
    """Yield what becomes of the gradient on its way from the objective to the leaves."""
    yield Heading(["The gradient on its way, from the objective to the leaves"])
    passes, depth = board.passes, depths(board.passes)
    squares: dict[int, float] = {}
    counts: dict[int, int] = {}
    for slot in range(len(board.plan.names)):
        if board.is_followed(slot) and (slot < len(board.plan.leaves) or passes.is_needed(slot)):
            squares[depth[slot]] = math.hypot(squares.get(depth[slot], 0.0), norm(passes.gradients[slot]))
            counts[depth[slot]] = counts.get(depth[slot], 0) + 1
    generations = sorted(squares, reverse=True)
    if len(generations) < 2:
        yield Paragraph(["There is no way: the objective is a leaf, or depends on none that moves."])
        return
    ratios = {
        after: squares[after] / squares[before] if squares[before] else math.nan
        for before, after in pairwise(generations)
    }
    places = {round(k) for k in np.linspace(0, len(generations) - 1, min(len(generations), MOST_GENERATIONS))}
    rows = [
        [f"{generation:,}", f"{counts[generation]:,}", number(squares[generation]), _ratio(ratios.get(generation))]
        for place, generation in enumerate(generations)
        if place in places
    ]
    yield Table(["generation", "values", "norm of gradient", "times the one above"], rows)
    if len(places) < len(generations):
        yield Paragraph([f"{len(places)} of {len(generations):,} generations are shown."])
    yield Paragraph(_verdict(squares, generations))
    yield from _extremes(board)


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None or math.isnan(ratio) else number(ratio)


def _verdict(squares: dict[int, float], generations: Sequence[int]) -> Prose:
    first, last = squares[generations[0]], squares[generations[-1]]
    steps = len(generations) - 1
    whole = last / first if first else math.nan
    text = f"from {number(first)} to {number(last)} over {steps:,} generation{'s' if steps > 1 else ''}"
    if whole > 0 and steps > 1:
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
    drop, growth = min(alive, key=_factor, default=None), max(alive, key=_factor, default=None)
    if drop is not None and drop.factor < 1:
        yield Paragraph(["It drops most ", *_edge(board, drop)])
    if growth is not None and growth.factor > 1:
        yield Paragraph(["It grows most ", *_edge(board, growth)])
    ends = [edge for edge in edges if edge.factor == 0]
    if ends:
        places = f"{len(ends):,} edge{'s' if len(ends) > 1 else ''}"
        prose: list[str] = [f"It ends at {places}, whose local derivative is 0: "]
        for edge in ends[:MOST_NAMED]:
            prose += ["; "] if len(prose) > 1 else []
            prose += ["from ", Math(board.name(edge.target)), " to ", Math(board.name(edge.source))]
        yield Paragraph([*prose, "; ..." if len(ends) > MOST_NAMED else "."])


def _factor(edge: Carried) -> float:
    return edge.factor


def _edge(board: Board, edge: Carried) -> Prose:
    target, source = edge.target, edge.source
    factor = Math(board.bound(edge.factor)[0])
    between = ["from ", Math(board.name(target)), " to ", Math(board.name(source)), ", times ", factor]
    return [*between, ": ", board.equation(target), "."]
