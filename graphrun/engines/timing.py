"""How long the nodes of a step take: what each engine tells of its own programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from graphrun.plan.plan import Plan

PASSES = 50
SECONDS_OF_PASSES = 0.5
"""So many passes are timed, or as many as are made in this time, and three at least."""


class Timed(NamedTuple):
    """Nodes of one type that were timed together.

    Attributes:
        slots: their slots, batch by batch.
        seconds: what both passes of all of them take; None where it cannot be told.
        backward: what of it is the backward pass; None where the passes were not told apart.
    """

    slots: Sequence[range]
    seconds: float | None = None
    backward: float | None = None


@dataclass(frozen=True)
class Timing:
    """The times of the nodes of a loop.

    Attributes:
        how: how they were taken, in words.
        nodes: the nodes, each of them once.
        divides: what they are the parts of: a step as it is run, a step that is made alone, or neither.
    """

    how: str
    nodes: Sequence[Timed]
    divides: Literal["step", "lone step"] | None = None


def batches_of(plan: Plan) -> list[range]:
    """Return the slots of each batch of the loop."""
    return [range(batch.start, batch.stop) for batch in plan.in_loop]
