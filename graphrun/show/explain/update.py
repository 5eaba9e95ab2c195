"""The update on the board: the rule in symbols, and what it makes of each parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.numbertext import ARRAY_DIGITS, number
from graphrun.base.types import Array
from graphrun.base.wording import printable
from graphrun.declare import clipping
from graphrun.declare.declaration import Settings
from graphrun.declare.formula import own_settings, setting_text
from graphrun.declare.notation import ATOM, POWER, Bound
from graphrun.declare.trace import Expression
from graphrun.declare.updaterule import UpdateRule
from graphrun.declare.writer import write_line
from graphrun.engines.traced import NotSupportedError, Tracer
from graphrun.show.explain.board import Board, is_number, value_text
from graphrun.show.explain.page import Block, CellTable, Equations, Group, Heading, Math, MathRow, Paragraph, Prose
from graphrun.solvers import Solver

LONGEST = 60
"""How many operations and operands a rule's formula may have."""

SHOWN_PARAMETERS = 12
"""The parameters that move most are shown; with more of them the others are counted."""


class UpdateStep:
    """One update, taken apart."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.plan = board.plan
        self.update = board.plan.update

    @property
    def remembers(self) -> bool:
        """Whether the rule keeps something from step to step."""
        return isinstance(self.update.rule, UpdateRule) and bool(self.update.rule.state)

    @cached_property
    def step_size(self) -> float | None:
        """The step size of this step, that of the schedule where there is one."""
        if self.update.by_step is not self.update.schedule and "step_size" in self.board.step.memory:
            return float(self.board.step.memory["step_size"])
        if self.update.schedule is not None:
            schedule, settings = self.update.schedule
            return float(schedule.function(np, self.board.passes.step, **dict(settings)))
        given = dict(self.update.settings).get("step_size")
        return None if given is None else float(given)

    @cached_property
    def within(self) -> Sequence[Array]:
        """The gradient of each parameter, within `clip_value`."""
        gradients, limit = self.board.passes.gradients[: self.plan.parameters], self.update.clip_value
        return (
            gradients
            if limit is None or self.update.accumulate > 1
            else [clipping.within(np, gradient, limit) for gradient in gradients]
        )

    @cached_property
    def factor(self) -> float:
        """What `clip_norm` multiplies the gradient by; 1 where it does not act."""
        limit = self.update.clip_norm
        return (
            1.0
            if limit is None or self.update.accumulate > 1
            else float(clipping.factor(np, norm(*self.within), limit))
        )

    @cached_property
    def gradients(self) -> Sequence[Array]:
        """The gradient of each parameter as the rule is given it: clipped."""
        return [gradient * self.factor for gradient in self.within]

    @cached_property
    def traced(self) -> Sequence[Expression]:
        """The new value and the new states; nothing where the rule cannot be traced."""
        return self._traced(self.plan.rule)

    def _traced(self, rule: UpdateRule) -> Sequence[Expression]:
        try:
            return Tracer(self.plan).update(rule)
        except NotSupportedError:
            return ()

    @cached_property
    def formulas(self) -> tuple[list[str], str] | None:
        """The formulas of the states and of the new value, in symbols; None where there are none to show."""
        if not self.traced:
            return None
        board, notation = self.board, self.board.notation
        names: dict[str, Bound] = {
            name: (notation.name(name), ATOM) for name in ("step", "step_size", *self.plan.rule.state)
        }
        names |= {"value": (notation.name("x"), ATOM), "gradient": (notation.derivative(board.goal, "x"), POWER)}
        states = zip(self.traced[1:], self.plan.rule.state, strict=True)
        known = {state: names[name] for state, name in states if state.arguments}
        texts = []
        for root in self.traced:
            written = write_line(root, names, notation, {e: n for e, n in known.items() if e is not root}, LONGEST)
            if written is None:
                return None
            texts.append(written[0])
        return texts[1:], texts[0]

    def in_numbers(self, slot: int) -> str:
        """Return the rule's formula with the numbers of a parameter in it, for a rule without memory."""
        if not self.traced or self.plan.rule.state or not is_number(self.board.passes.values[slot]):
            return ""
        passes = self.board.passes
        numbers: dict[str, Any] = {"value": passes.values[slot], "gradient": self.gradients[slot]}
        numbers |= {"step_size": self.step_size or 0.0, "step": passes.step + 1}
        names = {name: self.board.bound(given) for name, given in numbers.items()}
        written = write_line(self._traced(self.plan.rules[slot])[0], names, self.board.notation, most=LONGEST)
        return "" if written is None else written[0]

    def change(self, slot: int) -> Array:
        """Return by how much a parameter moved."""
        after = self.board.step.after
        assert after is not None  # noqa: S101 (for the type checker: it is asked where there is one)
        return after.values[slot] - self.board.passes.values[slot]

    def states(self, slot: int) -> Mapping[str, Array]:
        """Return what the rule remembers of a parameter after the update."""
        memory, name = self.board.step.memory, self.plan.names[slot]
        return {state: memory[f"rule/{state}/{name}"] for state in self.plan.rule.state}

    def at_bound(self, slot: int) -> str:
        """Return the word for the bound that a parameter lies at, empty where it lies at none."""
        limits, after = self.plan.bounds[slot], self.board.step.after
        if limits is None or after is None or not is_number(after.values[slot]):
            return ""
        lower, upper = limits
        return "lower" if after.values[slot] == lower else "upper" if after.values[slot] == upper else ""


def update(board: Board) -> Iterator[Block]:
    """Yield the update."""
    if board.objective is None:
        return
    update, after = UpdateStep(board), board.step.after
    if not board.plan.parameters:
        why = "all parameters are frozen" if board.plan.frozen else "there are no parameters"
        yield Heading([f"No update: {why}"])
        return
    if after is None:
        yield Heading([f"No update: the run ends here ({printable(board.step.ended)})"])
        return
    yield from update_rule(board)
    shown = list(range(board.plan.parameters))
    if len(shown) > SHOWN_PARAMETERS:
        most = sorted(shown, key=lambda slot: -float(f"{norm(update.change(slot)):.6g}"))
        shown = sorted(most[:SHOWN_PARAMETERS])
    yield from _moves(update, shown)
    if len(shown) < board.plan.parameters:
        yield Paragraph([f"{len(shown)} of {board.plan.parameters} parameters are shown: those that move most."])


def update_rule(board: Board) -> Iterator[Block]:
    """Yield the rule by which all parameters move, in symbols."""
    update, rule = UpdateStep(board), board.plan.update.rule
    yield Heading(["Update by ", *_rule(update), ": all parameters at once"])
    if isinstance(rule, Solver):
        yield Paragraph(["A solver chooses each step itself, from gradients at several places: ", rule.summary])
    else:
        yield from _clipping(update)
        yield from _factors(update)
        yield from _formula(update)


def _moves(update: UpdateStep, shown: Sequence[int]) -> Iterator[Block]:
    if update.remembers:
        yield from _with_memory(update, shown)
    else:
        yield Equations([Group([_row(update, slot) for slot in shown])], ("parameter", "", "in numbers", "new value"))


def _rule(update: UpdateStep) -> Prose:
    rule = update.update.rule
    settings: Settings = tuple((name, v) for name, v in update.update.settings if name != "step_size")
    words = [rule.name]
    if update.step_size is not None:
        words.append(f"step_size {number(update.step_size)}")
        if update.update.schedule is not None:
            words[-1] += f" (of the schedule {update.update.schedule[0].name})"
    words += [
        f"{name} {printable(value) if isinstance(value, str) else setting_text(value)}"
        for name, value in own_settings(rule, settings).items()
    ]
    return [", ".join(words)]


def _clipping(update: UpdateStep) -> Iterator[Block]:
    """Say what clipping does in this step."""
    given = update.board.passes.gradients[: update.plan.parameters]
    value, largest, count = update.update.clip_value, update.update.clip_norm, update.update.accumulate
    if count > 1:
        this = "is" if (update.board.passes.step + 1) % count == 0 else "is not"
        mean = ", which is clipped" if update.update.clips else ""
        yield Paragraph([f"One step of {count} moves them, by the mean of {count} gradients{mean}: this {this} one."])
        return
    if value is not None:
        clipped = sum(int(np.count_nonzero(np.abs(gradient) > value)) for gradient in given)
        acts = f"cuts {clipped} of the derivatives" if clipped else "does not act here"
        yield Paragraph([f"clip_value {number(value)} {acts}."])
    if largest is not None:
        size, factor = norm(*update.within), update.factor
        acts = f"so all of it is multiplied by {number(factor)}" if factor < 1 else "so it does not act here"
        yield Paragraph([f"clip_norm {number(largest)}: the gradient's norm is {number(size)}, {acts}."])


def _factors(update: UpdateStep) -> Iterator[Block]:
    """Say which parameters have the rule's settings times a factor, with those that move alike together."""
    plan = update.plan
    for _, slots in update.plan.groups if plan.factors else ():
        factors = plan.factors.get(slots[0], {})
        if factors:
            times = " and ".join(f"{name} times {number(factor)}" for name, factor in factors.items())
            yield Paragraph([f"{times}: ", *update.board.listed(slots, SHOWN_PARAMETERS), "."])


def _formula(update: UpdateStep) -> Iterator[Block]:
    found, rule, notation = update.formulas, update.plan.rule, update.board.notation
    if found is None:
        yield Paragraph([rule.summary])
        return
    states, value = found
    rows = [MathRow(notation.name(name), text) for name, text in zip(rule.state, states, strict=True)]
    rows = [row for row in rows if row.formula != row.left]
    yield Equations([Group([*rows, MathRow(notation.new("x"), value)])], ("", "rule", "", ""))


def _row(update: UpdateStep, slot: int) -> MathRow:
    board, after = update.board, update.board.step.after
    left, result = board.name(slot), board.value(slot, after)
    if not is_number(board.passes.values[slot]):
        return MathRow(left, "", "", result, [f"moved by {board.size(update.change(slot))}"])
    if isinstance(update.update.rule, Solver):
        change = board.total([board.bound(board.passes.values[slot]), board.bound(update.change(slot))])
        return MathRow(left, "", change, result, _note(update, slot))
    return MathRow(left, "", update.in_numbers(slot), result, _note(update, slot))


def _note(update: UpdateStep, slot: int) -> Prose:
    """Say what the move of a parameter adds to the objective, and whether a bound holds it."""
    board, bound = update.board, update.at_bound(slot)
    added = float(board.passes.gradients[slot] * update.change(slot))
    what: Prose = ["adds ", board.math(added), " to ", board.objective_name]
    return [f"held at its {bound} bound, ", *what] if bound else what


def _with_memory(update: UpdateStep, shown: Sequence[int]) -> Iterator[Block]:
    """Yield a table for a rule that remembers: what it was given, what it remembers after, the new value."""
    board, states = update.board, update.plan.rule.state
    numbers = [slot for slot in shown if is_number(board.passes.values[slot])]
    arrays = [slot for slot in shown if slot not in numbers]
    used = [name for name in states if any(np.any(update.states(slot)[name]) for slot in shown)]
    if numbers:
        header = ["", "derivative", *used, "value", "new value", ""]
        rows = []
        for slot in numbers:
            cells = [update.gradients[slot], *(update.states(slot)[name] for name in used)]
            cells += [board.passes.values[slot], board.step.after.values[slot]]  # type: ignore[union-attr]
            bound = update.at_bound(slot)
            shown_cells = [Math(value_text(board.notation, cell)) for cell in cells]
            rows.append([Math(board.name(slot)), *shown_cells, f"held at its {bound} bound" if bound else ""])
        if not any(row[-1] for row in rows):
            header, rows = header[:-1], [row[:-1] for row in rows]
        yield CellTable(header, rows)
    if arrays:
        header = ["norms", "gradient", *used, "value", "change", "new value"]
        rows = [_norms(update, slot, used) for slot in arrays]
        yield CellTable(header, rows)


def _norms(update: UpdateStep, slot: int, used: Sequence[str]) -> list[str]:
    board = update.board
    cells = [update.gradients[slot], *(update.states(slot)[name] for name in used)]
    cells += [board.passes.values[slot], update.change(slot), board.step.after.values[slot]]  # type: ignore[union-attr]
    return [Math(board.name(slot)), *(Math(number(norm(cell), ARRAY_DIGITS)) for cell in cells)]


def update_of(board: Board, slot: int) -> Iterator[Block]:
    """Yield what the update makes of one parameter."""
    if board.step.after is None:
        return
    update = UpdateStep(board)
    yield Heading(["Update by ", *_rule(update)])
    if update.remembers:
        yield from _formula(update)
    yield from _moves(update, [slot])
