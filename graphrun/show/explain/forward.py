"""The forward pass on the board: the leaves, then every node from what it is computed from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphrun.base.numbertext import describe
from graphrun.run.passes import Kind
from graphrun.show.explain.board import Board
from graphrun.show.explain.notation import is_number
from graphrun.show.explain.page import Block, Equations, Group, Heading, Math, MathRow, Paragraph, joined

KINDS = {
    Kind.PARAMETER: ("parameter", "Parameters"),
    Kind.CONSTANT: ("constant", "Constants"),
    Kind.DATA: ("data", "Data"),
    Kind.NOISE: ("random numbers", "Random numbers"),
    Kind.STATE: ("kept from step to step", "Kept from step to step"),
}


def forward(board: Board) -> Iterator[Block]:
    """Yield the forward pass."""
    if not board.plan.names:
        yield Paragraph(["There are no values: it is there for other files to include."])
        return
    yield Heading(["Forward pass: each value from those before it"])
    yield from leaves(board, range(len(board.plan.leaves)))
    if board.order:
        yield Equations([Group([forward_row(board, node) for node in board.order])])


def leaves(board: Board, slots: range) -> Iterator[Block]:
    """Yield leaves by their kinds: numbers in one sentence, arrays in a row each."""
    arrays = []
    for kind, (name, title) in KINDS.items():
        here = [slot for slot in slots if board.passes.kind(slot) is kind]
        numbers = [slot for slot in here if is_number(board.passes.values[slot])]
        if numbers:
            words = f"{title}: " if len(numbers) > 1 else f"{name.capitalize()}: "
            given = ([Math(f"{board.name(k)} = {board.value(k)}"), *bounds(board, k)] for k in numbers)
            yield Paragraph([words, *joined(given)])
        others = (slot for slot in here if slot not in numbers)
        arrays += [MathRow(board.name(k), result=board.value(k), note=[name, *bounds(board, k)]) for k in others]
    if arrays:
        yield Equations([Group(arrays)])


def forward_row(board: Board, node: int) -> MathRow:
    """Return a node's line of the forward pass."""
    formula, numbers, result = board.forward(node), board.forward_in_numbers(node), board.value(node)
    return MathRow(board.name(node), formula, "" if numbers in {formula, result} else numbers, result)


def bounds(board: Board, slot: int) -> list[str]:
    """Return the bounds of a parameter in words."""
    given = board.plan.bounds[slot] if slot < board.plan.parameters else None
    if given is None:
        return []
    words = zip(("at least", "at most"), given, strict=True)
    shown = [f"{word} {describe(limit)}" for word, limit in words if np.any(np.isfinite(limit))]
    return [f" ({', '.join(shown)})"]
