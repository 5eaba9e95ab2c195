"""A run of copies as one operation of the passes: `lax.scan` forward, and backward the other way.

Its value is all values of all copies, stacked; what is handed on to the next copy is carried. Its gradient is what
other nodes give to these values. What they are all given, the copies' own uses included, stands in a slot beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from graphrun.base.types import Array
from graphrun.engines.numpy import Bound, Operation, backward, forward
from graphrun.plan.plan import Batch, Plan
from graphrun.plan.runs import Run


class Stacked(tuple[Any, ...]):
    """The values or gradients of all copies, for each node of a copy; None for a node without."""

    __slots__ = ()

    def __add__(self, other: Any) -> Stacked:
        """Add up gradients."""
        pairs = zip(self, other, strict=True)
        return Stacked(b if a is None else a if b is None else a + b for a, b in pairs)


class Scan:
    """The operation of a run, of which some nodes are computed.

    Args:
        plan: the plan.
        run: the copies.
        slot: where the values go; the gradients of all of them go behind it.
        members: the nodes that are computed.
        bind: binds a batch's functions to JAX.
        wanted: for each slot, whether it is given gradients.
    """

    def __init__(
        self,
        plan: Plan,
        run: Run,
        slot: int,
        members: Sequence[int],
        bind: Callable[[Batch], tuple[Bound, bool]],
        wanted: Sequence[bool],
    ) -> None:
        self.plan, self.run, self.slot, self.wanted = plan, run, slot, wanted
        self.count = len(run.batches)
        self.members = members
        # Within a copy, its own nodes are numbered first, then all else that they read.
        self.places: dict[Any, int] = {}
        self.operations: list[Operation] = []
        for k in members:
            inputs = [source[1] if source[0] == "own" else self._place(source) for source in run.sources[k]]
            if run.rows[k] is None:
                bound, has_one = bind(run.batches[k])
                moves = [has_one and wanted[slot] for slot in plan.inputs_of(int(run.slots[0, k]))]
                self.operations.append(bound.at(k, inputs, moves))

    def _place(self, source: Any) -> int:
        return self.places.setdefault(source, self.count + len(self.places))

    def operation(self) -> Operation:
        """Return the operation."""
        pull: Callable[[Any, Any], Iterator[tuple[Any, Any]]] = self.pull
        return Operation(self.forward, self.run.outside, self.slot, pull, (), _NOTHING)

    def forward(self, *outside: Array) -> Stacked:
        """Compute the values of all copies."""
        values = dict(zip(self.run.outside, outside, strict=True))
        starts = {place: self._array(values[s[2]]) for s, place in self.places.items() if s[0] == "before"}

        def copy(carried: Any, rows: Any) -> Any:
            local = self._shared(values) | carried | rows
            forward(self.operations, local)
            found = {k: local[k] for k in self.members}
            return {place: found[s[1]] for s, place in self.places.items() if s[0] == "before"}, found

        _, found = lax.scan(copy, starts, self._rows(values), length=len(self.run.slots))
        return Stacked(found.get(k) for k in range(self.count))

    def pull(self, gradient: Stacked, values: Any) -> Iterator[tuple[Any, Any]]:
        """Give gradients to what is read from outside."""
        plan, run, own = self.plan, self.run, values[self.slot]
        befores = {place: s for s, place in self.places.items() if s[0] == "before"}
        sames = {place: s[1] for s, place in self.places.items() if s[0] == "same" and self.wanted[s[1]]}
        starts = {p: jnp.zeros(plan.shapes[slot], plan.dtype) for p, slot in sames.items()}
        starts |= {p: jnp.zeros(plan.shapes[s[2]], plan.dtype) for p, s in befores.items()}
        before = {p: jnp.concat([self._array(values[s[2]])[None], own[s[1]][:-1]]) for p, s in befores.items()}
        known = self._rows(values) | before | {k: own[k] for k in self.members}
        given = {k: gradient[k] for k in self.members if gradient[k] is not None}

        def copy(state: Any, rows: Any) -> Any:
            known, given = rows
            local = self._shared(values) | known
            # It stands behind all nodes, and gives them what comes from outside of the copy.
            first: dict[int, Any] = dict(given)
            for place, source in befores.items():
                k = source[1]
                first[k] = first[k] + state[place] if k in first else state[place]
            end = self.count + len(self.places)
            last = Operation(_none, (), end, lambda _gradient, _values: iter(first.items()), (), _NOTHING)
            found = backward([*self.operations, last], local, end, jnp.ones((), plan.dtype))
            del found[end]
            following = {p: found.pop(p, jnp.zeros_like(state[p])) for p in befores}
            following |= {p: state[p] + found.pop(p) if p in found else state[p] for p in sames}
            return following, found

        state, found = lax.scan(copy, starts, (known, given), reverse=True)
        for place, source in befores.items():
            if self.wanted[source[2]]:
                yield source[2], state[place]
        for place, slot in sames.items():
            yield slot, state[place]
        for source, place in self.places.items():
            if source[0] == "each" and place in found:
                for number, slot in enumerate(source[1]):
                    if self.wanted[slot]:
                        yield slot, found[place][number]
        for k in self.members:
            if run.rows[k] is not None and k in found and self.wanted[slot := run.sources[k][0][1]]:
                yield slot, jnp.zeros(plan.shapes[slot], plan.dtype).at[run.rows[k]].add(found[k])
        yield self.slot + 1, Stacked(found.get(k) for k in range(self.count))

    def _shared(self, values: Any) -> dict[int, Any]:
        """Return what is the same for all copies."""
        return {place: values[s[1]] for s, place in self.places.items() if s[0] == "same"}

    def _rows(self, values: Any) -> dict[int, Any]:
        """Return what each copy has a row of, by its place: slices of arrays, and values of the copy's own."""
        run = self.run
        rows = {k: values[run.sources[k][0][1]][run.rows[k]] for k in self.members if run.rows[k] is not None}
        for source, place in self.places.items():
            if source[0] == "each":
                rows[place] = jnp.stack([self._array(values[slot]) for slot in source[1]])
        return rows

    def _array(self, value: Any) -> Array:
        # Not of the plan's shape: of other rows there may be more.
        array = jnp.asarray(value)
        return array if array.dtype.kind in "iu" else array.astype(self.plan.dtype)


Piece = tuple[int, Any, int, int]
"""A part of a stack: its slot, and the node and the copies of the run that is there; None for a value of its own."""


def taken(
    pieces: Sequence[Piece], counts: dict[int, int], output: int, wanted: Sequence[bool], *, stacked: bool
) -> Operation:
    """Return the operation that stacks pieces, or that takes out the only one.

    `counts` has the number of nodes of a copy by the slots of the runs.
    """
    inputs = list(dict.fromkeys(piece[0] for piece in pieces))
    ends = np.cumsum([stop - start for _, _, start, stop in pieces]).tolist()

    def forward(*given: Any) -> Array:
        values = dict(zip(inputs, given, strict=True))
        parts = [jnp.asarray(values[s])[None] if node is None else values[s][node][a:b] for s, node, a, b in pieces]
        return jnp.concat(parts) if stacked else parts[0][0]

    def pull(gradient: Array, values: Any) -> Iterator[tuple[int, Any]]:
        for (slot, node, start, stop), end in zip(pieces, ends, strict=True):
            part = gradient[end - (stop - start) : end] if stacked else gradient[None]
            if node is not None:
                whole = jnp.zeros_like(values[slot][node]).at[start:stop].set(part)
                yield slot, Stacked(whole if k == node else None for k in range(counts[slot]))
            elif wanted[slot]:
                yield slot, part[0]

    return Operation(forward, inputs, output, pull, (), _NOTHING)


def _none(*_given: Any) -> tuple[Any, ...]:
    return ()


_NOTHING = Bound(_none, _none, elementwise=False, parts=())
