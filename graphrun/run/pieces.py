"""Values on rows that come in pieces, for they are too many for memory: what the nodes give on all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.types import Array
from graphrun.engines import Program
from graphrun.engines.numpy import NumpyProgram, node_program
from graphrun.plan.rows import COMBINATIONS

Columns = Sequence[Array]
Pieces = Callable[[], Iterable[Columns]]

MOST_BYTES = 256 * 2**20
"""What may be put together of a value's rows, where a node needs all of them at once."""


class Piecewise:
    """How the values of some slots are made of pieces of the rows.

    A value whose rows stand alone is made piece by piece. One that is a sum, a mean, a maximum, ... of all rows is made
    of its values on the pieces. Any other is computed once, of inputs that are put together whole. What reads a value
    of all rows, as ``X - mean(X)`` does, waits for a pass over the pieces before.

    Args:
        program: it has the parameters at which rows are evaluated.
        slots: the values that are asked for; those `by_piece` are only asked for piece by piece.

    Attributes:
        plan: of the evaluation.
    """

    def __init__(self, program: Program, slots: Iterable[int], *, by_piece: bool = False) -> None:
        self.plan = program.plan.evaluation()
        self._rows = self.plan.rows
        self._slots = [slot for slot in slots if slot in self._rows]
        # How the values that are needed of all rows are made: a combination, "rows", or "whole".
        self._made: dict[int, str] = {}
        self._pass: dict[int, int] = {}
        self._is_restored = False
        self._sort(by_piece=by_piece)

    def own(self, slot: int) -> bool:
        """Say whether each row of a value is of its own row of the data, given values of all rows."""
        return slot in self._rows and self._rows[slot].own

    def _sort(self, *, by_piece: bool) -> None:
        """Find what is needed of all rows, what of a piece at a time, and in which pass over the pieces it is made."""
        nodes = [(slot, [s for s in inputs if s in self._rows]) for _, slot, inputs in self.plan.nodes()]
        whole = {slot for slot in self._slots if not (by_piece and self.own(slot))}
        pieces = set(self._slots) - whole
        for slot, inputs in reversed(nodes):
            if slot not in whole and slot not in pieces:
                continue
            apart = all(self.own(s) or self._rows[s].axis is None for s in inputs) and any(map(self.own, inputs))
            if not self.own(slot):
                how = self.plan.combination(slot) if apart else None
                self._made[slot] = how or "whole"
                apart = how is not None
            for source in inputs:
                (pieces if apart and self.own(source) else whole).add(source)
        self._made |= {slot: "rows" for slot in whole if self.own(slot)}
        self._pass = dict.fromkeys((*self.plan.data, *(noise.slot for noise in self.plan.noise)), 0)
        for slot, inputs in nodes:
            if slot in whole or slot in pieces:
                # What is made of pieces takes the pass after the one that gives a value of all rows.
                later = self._made.get(slot) != "whole"
                self._pass[slot] = max(self._pass[s] + (later and not self.own(s)) for s in inputs)

    def values(self, program: Program, pieces: Pieces) -> dict[int, Array]:
        """Return the values that are needed of all rows, the slots that were asked for among them.

        Raises:
            UsageError: a node needs more of them at once than may be put together.
        """
        known: dict[int, Array] = {}
        self._is_restored = False
        for number in range(1 + max((self._pass[slot] for slot in self._made), default=-1)):
            now = [slot for slot in self._made if self._pass[slot] == number]
            parts = [slot for slot in now if self._made[slot] != "whole"]
            gathered = {
                slot: _Gathered(self._made[slot], self._rows[slot].axis or 0, self.plan.dtype) for slot in parts
            }
            columns: Columns = ()
            for columns in pieces():
                values = self.evaluate(program, columns, parts, self._shared(known))
                for slot, value in zip(parts, values, strict=True):
                    gathered[slot].add(value, len(columns[0]))
                    if gathered[slot].bytes > MOST_BYTES:
                        self._refuse(slot)
            known |= {slot: found.value for slot, found in gathered.items()}
            for slot in sorted(set(now) - set(parts)):
                known[slot] = self.evaluate(program, columns, [slot], known)[0]
        return known

    def _shared(self, known: Mapping[int, Array]) -> dict[int, Array]:
        """Return the values that are the same for every piece."""
        return {slot: value for slot, value in known.items() if not self.own(slot)}

    def by_piece(self, program: Program, pieces: Pieces) -> Iterator[list[Array]]:
        """Yield the values that were asked for piece by piece; those whose rows do not stand alone are cut."""
        known = self.values(program, pieces)
        start = 0
        for columns in pieces():
            stop = start + len(columns[0])
            own = [slot for slot in self._slots if self.own(slot)]
            found = dict(zip(own, self.evaluate(program, columns, own, self._shared(known)), strict=True))
            yield [found[slot] if slot in found else known[slot][start:stop] for slot in self._slots]
            start = stop

    def evaluate(
        self, program: Program, columns: Columns, slots: Sequence[int], known: Mapping[int, Array]
    ) -> list[Array]:
        """Return values on a piece; where some are known already, by NumPy, at the program's parameters."""
        if not known:
            return program.evaluate_rows(columns, slots)
        if not isinstance(program, NumpyProgram):
            if not self._is_restored:
                self._numpy.restore_values(program.snapshot())
                self._is_restored = True
            program = self._numpy
        return program.evaluate_rows(columns, slots, known)

    @cached_property
    def _numpy(self) -> NumpyProgram:
        return node_program(self.plan)

    def _refuse(self, slot: int) -> NoReturn:
        names = self.plan.names
        users = (node for node, _ in self.plan.uses.get(slot, ()) if self._made.get(node) == "whole")
        raise UsageError(
            f"{names[next(users, slot)]!r} needs all rows of {names[slot]!r} at once, which are more than "
            f"{MOST_BYTES >> 20} MiB\n  use what can be put together of parts, such as a mean or a sum"
        )


class _Gathered:
    """The value of a slot on all rows, as pieces come in.

    Args:
        how: a combination, or "rows" for what is put together along an axis.
        axis: that axis.
        dtype: the dtype of the value.
    """

    def __init__(self, how: str, axis: int | None, dtype: np.dtype[Any]) -> None:
        self._how = how
        self._dtype = dtype
        self._axis = axis or 0
        self._parts: list[Array] = []
        self._rows = 0
        self.bytes = 0

    def add(self, value: Array, rows: int) -> None:
        """Add the value on a piece of so many rows."""
        if self._how == "rows":
            self._parts.append(value)
            self.bytes += value.nbytes
        else:
            # A thousand pieces lose no digit of single precision to one another.
            value = np.asarray(value, np.float64)
            if self._parts and self._how == "mean":
                value = self._parts[0] + (value - self._parts[0]) * (rows / (self._rows + rows))
            elif self._parts:
                value = COMBINATIONS[self._how](self._parts[0], value)
            self._parts = [value]
        self._rows += rows

    @property
    def value(self) -> Array:
        """The value on all rows so far."""
        if self._how == "rows":
            return np.concatenate(self._parts, self._axis)
        return np.asarray(self._parts[0], self._dtype)[()]
