"""One value on the board: what it is computed from, what uses it, and the paths of largest influence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from graphrun.base.errors import UsageError
from graphrun.base.norms import norm
from graphrun.base.wording import printable
from graphrun.document import did_you_mean
from graphrun.document.names import normalize
from graphrun.run.passes import Edge, Kind
from graphrun.show.explain.board import Board
from graphrun.show.explain.lesson import COLUMNS, KINDS, edge_row, forward_row, sum_row, title
from graphrun.show.explain.page import Block, Equations, Group, Heading, Math, MathRow, Page, Paragraph, Prose, joined
from graphrun.show.explain.update import update_of

MOST_EDGES = 12
"""Of a value that has more neighbours, those with the largest share of the gradient are shown."""

MOST_ON_PATH = 12
"""The middle of a longer path is left out."""


def neighbourhood(board: Board, name: str) -> Page:
    """Return the page about one value.

    Raises:
        UsageError: there is no such value.
    """
    slot = board.plan.slots.get(normalize(str(name)))
    if slot is None:
        hint = did_you_mean(str(name), board.plan.slots)
        raise UsageError(f"there is no value {name!r} to explain" + (f"; {hint}" if hint else ""))
    return [*title(board), *_itself(board, slot), *_gradient(board, slot), *_paths(board, slot)]


def _itself(board: Board, slot: int) -> Iterator[Block]:
    """Yield what the value is, and what it is computed from."""
    kind = board.passes.kind(slot)
    if kind is not Kind.NODE:
        yield Heading([Math(board.name(slot)), f": {KINDS[kind][0]}"])
        yield Equations([Group([MathRow(board.name(slot), result=board.value(slot))])])
        return
    declared = board.plan.batch_of(slot).type
    yield Heading([Math(board.name(slot)), f": a node of type {declared.name}"])
    if declared.summary:
        yield Paragraph([printable(declared.summary)])
    sources = [source for source in dict.fromkeys(board.plan.inputs_of(slot)) if board.plan.names[source] is not None]
    rows = [MathRow(board.name(source), result=board.value(source), note=[_what(board, source)]) for source in sources]
    yield Equations([Group([*rows[:MOST_EDGES], forward_row(board, slot)])])
    if len(rows) > MOST_EDGES:
        yield Paragraph([f"{MOST_EDGES} of {len(rows)} inputs are shown."])


def _what(board: Board, slot: int) -> str:
    kind = board.passes.kind(slot)
    return board.plan.batch_of(slot).type.name if kind is Kind.NODE else KINDS[kind][0]


def _gradient(board: Board, slot: int) -> Iterator[Block]:
    """Yield where the value's gradient comes from, and what it passes on."""
    if board.objective is None:
        return
    parts = board.parts(slot)
    if slot == board.objective:
        yield Heading(["It is the objective: the backward pass begins here"])
    elif parts:
        yield Heading(["Where its derivative comes from"])
        shown = _largest(parts)
        groups = [
            Group([edge_row(board, edge) for edge in edges], board.equation(target))
            for target, edges in groupby(shown, key=lambda edge: edge.target)
        ]
        if len(parts) > 1:
            groups.append(Group([sum_row(board, slot)]))
        yield Equations(groups, COLUMNS)
        if len(parts) > len(shown):
            yield Paragraph([f"The {len(shown)} largest of {len(parts)} uses are shown."])
    else:
        why = " does not depend on it" if board.is_followed(slot) else " is not followed back to it"
        yield Heading([board.objective_name, why])
        uses = list(dict(board.plan.uses.get(slot, ())))
        if uses:
            yield Paragraph(["Used by ", *board.listed(uses, MOST_EDGES), "."])
        return
    edges = board.edges_into(slot) if slot >= len(board.plan.leaves) else ()
    if edges:
        yield Heading(["What it passes on"])
        yield Equations([Group([edge_row(board, edge) for edge in _largest(edges)])], COLUMNS)
        if len(edges) > MOST_EDGES:
            yield Paragraph([f"The {MOST_EDGES} largest of {len(edges):,} parts are shown."])
    if slot < board.plan.parameters:
        yield from update_of(board, slot)


def _largest(edges: Sequence[Edge]) -> Sequence[Edge]:
    """Return the edges that carry most, in their order."""
    if len(edges) <= MOST_EDGES:
        return edges
    chosen = sorted(range(len(edges)), key=lambda k: -norm(edges[k].contribution))[:MOST_EDGES]
    return [edges[k] for k in sorted(chosen)]


def _paths(board: Board, slot: int) -> Iterator[Block]:
    """Yield the paths of largest influence: on to the objective, and back to a leaf."""
    forward, back = board.path_to_objective(slot), board.path_to_leaf(slot)
    if board.objective is None or not (forward or back):
        return
    yield Heading(["The path of largest influence, with the derivative at each place"])
    if forward and forward[-1].target == board.objective:
        yield Paragraph(["On to the objective: ", *path(board, [slot, *(edge.target for edge in forward)])])
    if back:
        yield Paragraph(["Back to a leaf: ", *path(board, [slot, *(edge.source for edge in back)])])


def path(board: Board, slots: Sequence[int]) -> Prose:
    """Return a path with the derivative at each place, without the middle of a long one."""
    half, gradients = MOST_ON_PATH // 2, board.passes.gradients
    places: list[Prose] = [[Math(board.name(slot)), " (", board.size(gradients[slot]), ")"] for slot in slots]
    if len(places) > MOST_ON_PATH:
        places[half:-half] = [[f"({len(places) - MOST_ON_PATH} more)"]]
    return joined(places, " -> ")
