"""What a layered layout places: items and the links between them, and the layers that it puts them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

ASIDE = 0.02
"""How much a leaf that is used once weighs: it stands aside, so that the way of the values is straight."""

SPREAD = 26.0
"""The largest distance between the ends of links at one border of a box."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something to place.

    Attributes:
        along, across: its sizes.
        pin: -1 for what belongs at the very beginning, 1 at the very end, else 0.
        outside: of a line's end at a border, where the line goes on outside, in whatever unit; lines that are in this
            order do not cross there.
    """

    along: float
    across: float
    pin: int = 0
    outside: float = 0.0


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two items; an offset says where it has to meet the item, from the middle; None: anywhere."""

    source: int
    target: int
    source_offset: float | None = None
    target_offset: float | None = None


@dataclass(frozen=True, slots=True)
class Gaps:
    """Distances: between layers, between items of a layer, and of links that pass between them."""

    along: float
    across: float
    passing: float = 12.0


class End(NamedTuple):
    """One end of a link between neighbouring layers, as seen from the other end.

    Attributes:
        item: what is there.
        shift: how much further across it is than this end where the link is straight.
        weight: how much that matters.
        own: where the link is at this end, of the item's size: -0.5 to 0.5.
        other: where it is at that end.
    """

    item: int
    shift: float
    weight: float
    own: float
    other: float


@dataclass
class Layers:
    """The layers on the way: items first, then a place for each layer that a link passes."""

    items: list[Item]
    rank: list[int]
    rows: list[list[int]] = field(default_factory=list)
    above: list[list[End]] = field(default_factory=list)
    below: list[list[End]] = field(default_factory=list)
