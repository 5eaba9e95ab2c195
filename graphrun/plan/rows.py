"""What becomes of the rows of the data: which axis of a value they are, and how values of parts of them combine.

An elementwise type is known by how its inputs broadcast. A tensor type is run on a few rows of random numbers, and on
some of them in another order: an axis that grows with the rows is theirs, and each depends on its own row alone where
its part of the value is the same in other company. So a plugin's type needs no further declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphrun.base.types import Array
from graphrun.declare.declaration import Settings
from graphrun.declare.nodetype import NodeType
from graphrun.plan.shapes import Shape, as_index

MANY, CHOSEN = 7, (5, 2, 6, 0)
"""How many rows a type is tried on, and those of them that it is tried on alone."""

PART = 3
"""How many of the rows are the first of two parts."""

TRIALS = 9

# Several of them may hold on some numbers by chance: of a rule that is found, all others failed.
COMBINATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": np.add,
    "product": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "logsumexp": np.logaddexp,
    "norm": np.hypot,
}


class RowAxes(NamedTuple):
    """What a value that depends on the data has of its rows.

    Attributes:
        axis: the first axis that is as long as there are rows; None where there is none, as after a mean of all rows.
        own: whether each row of it depends on its own row of the data alone, and on values that have no such axis.
    """

    axis: int | None
    own: bool = False


class RowNode(NamedTuple):
    """A node, as far as its rows go: inputs are slots."""

    type: NodeType
    settings: Settings
    output: int
    inputs: Sequence[int]


def rows_of_values(
    nodes: Iterable[RowNode],
    shapes: Sequence[Shape],
    leaves: Sequence[Array],
    data: Iterable[int],
    like: Mapping[int, int],
) -> dict[int, RowAxes]:
    """Return what each value that depends on the data has of its rows, by slot.

    Args:
        nodes: the nodes in topological order.
        shapes: the shape of each slot's value.
        leaves: the values of the leaves' slots.
        data: the slots of the columns, whose first axis is the rows.
        like: of random numbers the slot whose shape they have.
    """
    found: dict[int, RowAxes] = {slot: RowAxes(0, own=True) for slot in data}
    for node in nodes:
        for slot in node.inputs:
            if like.get(slot) in found:
                found[slot] = found[like[slot]]
        if found.keys().isdisjoint(node.inputs):
            continue
        with_axis = [slot for slot in node.inputs if slot in found and found[slot].axis is not None]
        own = all(found[slot].own for slot in with_axis)
        if not with_axis:
            found[node.output] = RowAxes(None)
        elif node.type.is_elementwise:
            found[node.output] = _broadcast(node, found, shapes, own=own)
        else:
            found[node.output] = _tried(node, found, shapes, leaves, own=own)
    return found


def combination(
    node: RowNode, rows: Mapping[int, RowAxes], shapes: Sequence[Shape], leaves: Sequence[Array]
) -> str | None:
    """Return how a node's values on parts of the rows make its value on all: a name of `COMBINATIONS`, or "mean".

    None where they do not, as of a standard deviation.
    """
    possible = {*COMBINATIONS, "mean"}
    for inputs in _trials(node, rows, shapes, leaves):
        try:
            whole, first, rest = (
                node_value(node, _taken(node, inputs, rows, chosen))
                for chosen in (range(MANY), range(PART), range(PART, MANY))
            )
        except (Exception, SystemExit):  # noqa: S112 (a type may raise whatever it likes on numbers that are not for it)
            continue
        if not whole.shape == first.shape == rest.shape:
            return None
        if not np.isfinite(whole).all():
            continue
        combined = {name: function(first, rest) for name, function in COMBINATIONS.items()}
        combined["mean"] = (PART * first + (MANY - PART) * rest) / MANY
        possible = {name for name in possible if _same(combined[name], whole)}
    return possible.pop() if len(possible) == 1 else None


def node_value(node: RowNode, inputs: Sequence[Array]) -> Array:
    """Return what a node's forward function gives."""
    given = [as_index(x) if k in node.type.index_inputs else x for k, x in enumerate(inputs)]
    with np.errstate(all="ignore"):
        return np.asarray(node.type.function(np, *given, **dict(node.settings)))


def _broadcast(node: RowNode, found: Mapping[int, RowAxes], shapes: Sequence[Shape], *, own: bool) -> RowAxes:
    """Return the rows of an elementwise node: its axes are paired from the last one."""
    places = {len(shapes[s]) - (found[s].axis or 0) for s in node.inputs if s in found and found[s].axis is not None}
    place = max(places)
    if len(places) > 1:
        return RowAxes(len(shapes[node.output]) - place)
    # What is as long as the rows and none of theirs belongs to these rows, and no others.
    others = [shapes[s] for s in node.inputs if s not in found or found[s].axis is None]
    fits = all(len(shape) < place or shape[-place] == 1 for shape in others)
    return RowAxes(len(shapes[node.output]) - place, own=own and fits)


def _tried(
    node: RowNode, found: Mapping[int, RowAxes], shapes: Sequence[Shape], leaves: Sequence[Array], *, own: bool
) -> RowAxes:
    """Return the rows of a node of a tensor type, which is tried on some."""
    axis, same, tried = None, own, False
    for inputs in _trials(node, found, shapes, leaves):
        try:
            many = node_value(node, inputs)
            few = node_value(node, _taken(node, inputs, found, CHOSEN))
        except (Exception, SystemExit):  # noqa: S112 (a type may raise whatever it likes on numbers that are not for it)
            continue
        grown = [k for k, sizes in enumerate(zip(many.shape, few.shape, strict=False)) if sizes == (MANY, len(CHOSEN))]
        if many.ndim != few.ndim or not grown:
            return RowAxes(None)
        axis, tried = grown[0], True
        same = same and _same(np.take(many, CHOSEN, axis), few)
    # What cannot be tried, as a shape that is written out, is none of any other rows.
    return RowAxes(axis, own=tried and same) if tried else RowAxes(None)


def _trials(
    node: RowNode, found: Mapping[int, RowAxes], shapes: Sequence[Shape], leaves: Sequence[Array]
) -> Iterator[list[Array]]:
    """Yield inputs of so many rows: normal numbers, numbers between 0 and 1, whole ones that can be classes."""
    random = np.random.default_rng(0)
    for trial in range(TRIALS):
        inputs: list[Array] = []
        for position, slot in enumerate(node.inputs):
            shape = list(shapes[slot])
            rows = found.get(slot, RowAxes(None))
            if rows.axis is not None:
                shape[rows.axis] = MANY
            index = position in node.type.index_inputs
            leaf = np.asarray(leaves[slot]) if slot < len(leaves) else None
            if leaf is not None and leaf.size and (index or (rows.axis is not None and _is_whole(leaf))):
                # Indices and classes are what the data has, for others may be out of range.
                inputs.append(leaf if rows.axis is None else np.take(leaf, random.integers(0, len(leaf), MANY), axis=0))
            elif index or (trial % 3 == 2 and rows.axis is not None):
                inputs.append(random.integers(0, 2, shape).astype(np.int64 if index else np.float64))
            else:
                inputs.append(random.normal(size=shape) if trial % 3 == 0 else random.uniform(0.1, 0.9, shape))
        yield inputs


def _taken(node: RowNode, inputs: Sequence[Array], found: Mapping[int, RowAxes], chosen: Iterable[int]) -> list[Array]:
    """Return inputs with some of their rows."""
    places = [found[slot].axis if slot in found else None for slot in node.inputs]
    numbers = list(chosen)
    return [x if axis is None else np.take(x, numbers, axis) for x, axis in zip(inputs, places, strict=True)]


def _is_whole(leaf: Array) -> bool:
    return leaf.dtype.kind in "iu" or bool((leaf == np.rint(leaf)).all())


def _same(x: Array, y: Array) -> bool:
    return x.shape == y.shape and np.allclose(x, y, rtol=1e-9, atol=1e-12, equal_nan=True)
