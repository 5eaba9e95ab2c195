"""What a run leaves behind for its report: at some of its rows, every value, every gradient and what each edge carries.

Arrays are summed up as the run goes, so that a long run of large arrays takes no memory. What is left is columns: one
for each quantity, one number for each row, and nothing written twice. In a graph many quantities are the same: the
gradient of what is only added is that of the sum, the derivative of a product is the other factor. Columns that are
equal are kept once, and a column that stays the same is one number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.numbertext import SHOWN_ELEMENTS
from graphrun.base.types import Array
from graphrun.declare.formula import formulas_of
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines import Program
from graphrun.plan.plan import Batch, Plan
from graphrun.run.passes import Edge, Passes

DIGITS = 7
"""One more than are shown."""

DIGITS_OF_TIES = 12
"""What ends in 5 has more, so that rounding it again shows the digits that `explain` does."""

Number = float | int | str
"""As JSON has it: what is not finite is a string."""

MOST_NUMBERS = 120_000
"""A report has fewer rows of a larger graph, so that it has about so many numbers at most."""

MOST_ELEMENTS = 20_000_000
"""So many elements of values are looked at, at most: large arrays have fewer rows too."""

FEWEST_ROWS = 3
KNOWN = re.compile(r"-?[\d./]+|x\d+|y")
"""A formula that is a number, an input or the output."""

Parts = list[float]


def parts(value: Any) -> list[float]:
    """Return the numbers that stand for a value: those of a small one, the smallest, largest and norm of a larger."""
    array = np.asarray(value)
    if array.size <= SHOWN_ELEMENTS:
        return [float(element) for element in array.ravel()]
    with np.errstate(all="ignore"):
        return [float(array.min()), float(array.max()), norm(array)]


def count_parts(shape: tuple[int, ...]) -> int:
    """Return how many numbers stand for a value of some shape."""
    size = math.prod(shape)
    return size if size <= SHOWN_ELEMENTS else 3


def shortened(value: float) -> Number:
    """Round to the digits that a report has; whole numbers lose their point, and minus zero its sign."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.{DIGITS}g}"
    rounded = float(f"{value:.{DIGITS_OF_TIES}g}" if text.partition("e")[0].endswith("5") else text)
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


class RecordedColumns:
    """All columns by number: a list of numbers, or one number where all are the same."""

    def __init__(self) -> None:
        self.data: list[Number | list[Number]] = []
        self._known: dict[tuple[Number, ...], int] = {}

    def add(self, column: Sequence[float]) -> int:
        """Return the number of a column, a new one if there is none like it."""
        key = tuple(map(shortened, column))
        if len(set(key)) == 1:
            # What stays the same does so over any rows.
            key = key[:1]
        if key not in self._known:
            self._known[key] = len(self.data)
            self.data.append(key[0] if len(key) == 1 else list(key))
        return self._known[key]

    def add_rows(self, rows: Sequence[Sequence[float]]) -> list[int]:
        """Return the numbers of the columns of a table that is given by its rows, which are of one length."""
        return [self.add(column) for column in zip(*rows, strict=True)]

    def __iter__(self) -> Iterator[Number | list[Number]]:
        return iter(self.data)


class EdgeUse(NamedTuple):
    """An edge without its numbers."""

    source: int
    target: int
    position: int


class RecordedRow(NamedTuple):
    """The numbers of one row.

    Attributes:
        step: how many updates were made before.
        values, gradients: of each slot; gradients are empty where there is no objective.
        local_derivatives, contributions: of each edge; None where there is none.
    """

    step: int
    values: list[Parts]
    gradients: list[Parts]
    local_derivatives: list[Parts | None]
    contributions: list[Parts | None]


class Move(NamedTuple):
    """What one update, or several between two recorded rows, added to each parameter; `step` is the one after it.

    `states` has what the rule remembers of each parameter after it, state by state.
    """

    step: int
    changes: list[Parts]
    states: list[list[Parts]]


class Snapshot(NamedTuple):
    """What a run goes on from: the step, and the arrays of a checkpoint by their names there."""

    step: int
    arrays: Mapping[str, Array]


class Recording:
    """Looks at a program whenever the run has recorded a row; `take` is the run's `inspect`.

    Attributes:
        edges: every use of a value by a node, node by node.
        stride: how many steps there are between rows.
        rows, moves: the rows so far, and the update that followed each, by its step.
        first, last: what the run began and ended with; None before that.
    """

    def __init__(self, plan: Plan, every: int | None, most: int | None = None) -> None:
        """Begin; the run records one row in `every` steps, or `most` rows at the most where that is not given."""
        self.plan = plan
        self.rows: list[RecordedRow] = []
        self.moves: dict[int, Move] = {}
        self.edges = [EdgeUse(source, target, k) for _, target, given in plan.nodes() for k, source in enumerate(given)]
        elements = sum(map(math.prod, plan.shapes))
        fitting = min(MOST_NUMBERS // max(self._numbers_of_a_row(), 1), MOST_ELEMENTS // max(elements, 1))
        self._most = max(FEWEST_ROWS, fitting if most is None else min(fitting, most))
        self.stride = every or 1
        self.first: Snapshot | None = None
        self.last: Snapshot | None = None
        self._before: tuple[int, list[Array]] | None = None
        self._program: Program | None = None

    def take(self, program: Program) -> None:
        """Look at a program at a row of the run."""
        self._program = program
        self.first = self.first or Snapshot(program.step, program.snapshot())
        self._take_move(program)
        if program.step % self.stride == 0:
            # Of a long run every other row is dropped again and again: it is not known before where it ends.
            if len(self.rows) >= self._most:
                self.stride *= 2
                self.rows = [row for row in self.rows if row.step % self.stride == 0]
                self.moves = {step: move for step, move in self.moves.items() if step % self.stride == 0}
            if program.step % self.stride == 0:
                self._take_row(program)

    def finish(self) -> None:
        """Take the last row of the run, be it due or not."""
        program = self._program
        if program is not None and (not self.rows or self.rows[-1].step != program.step):
            self._take_move(program)
            self._take_row(program)
        if program is not None:
            self.last = Snapshot(program.step, program.snapshot())

    def _take_move(self, program: Program) -> None:
        if self._before is None:
            return
        step, before = self._before
        if program.step > step:
            after = program.values(range(self.plan.parameters))
            with np.errstate(all="ignore"):
                changes = [parts(np.subtract(new, old)) for new, old in zip(after, before, strict=True)]
            self.moves[step] = Move(program.step, changes, self._states(program))
            self._before = None

    def _states(self, program: Program) -> list[list[Parts]]:
        """Return what a rule with memory remembers, state by state."""
        rule = self.plan.update.rule
        if not isinstance(rule, UpdateRule) or not rule.state:
            return []
        memory, names = program.snapshot(), self.plan.names[: self.plan.parameters]
        return [[parts(memory[f"rule/{state}/{name}"]) for name in names] for state in rule.state]

    def _take_row(self, program: Program) -> None:
        passes = Passes.of(program)
        plan = self.plan
        nodes = (node for batch in plan.batches for node in batch.slots) if plan.objective is not None else ()
        edges = [edge for node in nodes for edge in passes.edges_into(node)]
        self.rows.append(
            RecordedRow(
                program.step,
                [parts(value) for value in passes.values],
                [] if plan.objective is None else [parts(gradient) for gradient in passes.gradients],
                [self._shown(edge, edge.local_derivative) for edge in edges],
                [self._shown(edge, edge.contribution) for edge in edges],
            )
        )
        if plan.objective is not None:
            self._before = program.step, [np.array(value) for value in passes.values[: plan.parameters]]

    def _shown(self, edge: Edge, value: Array | None) -> Parts | None:
        """Return what stands for a value on an edge; nobody wants the derivative by a number that is written down."""
        return None if value is None or self.plan.names[edge.source] is None else parts(value)

    def _numbers_of_a_row(self) -> int:
        """Return about how many numbers a row has: those that are the same as others are not counted."""
        plan = self.plan
        values = sum(map(count_parts, plan.shapes))
        if plan.objective is None:
            return values
        uses = np.bincount([edge.source for edge in self.edges], minlength=len(plan.names))
        contributions = sum(count_parts(plan.shapes[edge.source]) for edge in self.edges if uses[edge.source] > 1)
        needed = (batch for batch in plan.batches if batch.needed and batch.type.is_elementwise)
        derivatives = sum(batch.count * count_parts(batch.shape) * _new_derivatives(batch) for batch in needed)
        return 2 * values + contributions + derivatives


def _new_derivatives(batch: Batch) -> int:
    """Return how many of a type's local derivatives are neither numbers nor values that there are anyway."""
    found = formulas_of(batch.type, batch.settings, [f"x{k}" for k in range(batch.arity)], "y")
    return sum(formula is None or not KNOWN.fullmatch(formula) for formula in found.local_derivatives)
