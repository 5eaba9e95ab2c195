"""What all parts of an explanation know of a step: names, formulas and numbers in one notation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.numbertext import ARRAY_DIGITS, describe, number
from graphrun.declare.formula import Traced, formulas_of, literal, operands, traced
from graphrun.declare.notation import ATOM, TEXT_FORMS, Bound, Notation, readable_number, signed
from graphrun.declare.trace import Expression, inputs_of
from graphrun.declare.writer import write_line
from graphrun.run.passes import Edge, Kind, Passes
from graphrun.show.explain.page import Math, Prose, joined
from graphrun.show.explain.step import Step

SHORT = 4
"""Names of more letters make the symbols of local derivatives longer than a line has room for."""


@dataclass(frozen=True, kw_only=True)
class BoardNotation(Notation):
    """A notation with what stands around formulas on a board.

    Attributes:
        decimal: writes a number that was computed: in decimals, never as a fraction.
        derivative_form: the derivative of one value by another.
        new_form: the symbol of a value after the update.
        is_text: whether it takes the texts of declarations as they are.
    """

    truths: tuple[str, str] = ("false", "true")
    is_for_readers: bool = True
    decimal: Callable[[float], Bound] = lambda value: signed(number(value))
    derivative_form: str = "d{0}/d{1}"
    new_form: str = "new {0}"
    is_text: bool = True

    def derivative(self, of: str, by: str) -> str:
        """Return the derivative of one value by another, both by name."""
        return self.derivative_form.format(self.name(of), self.name(by))

    def new(self, name: str) -> str:
        """Return the symbol of a value after the update."""
        return self.new_form.format(self.name(name))


BOARD_TEXT = BoardNotation(forms=TEXT_FORMS, number=readable_number)
"""Plain text: the derivative of f by a is ``df/da``."""


def value_text(notation: BoardNotation, value: Any) -> str:
    """Return a value: a number, or the summary of an array."""
    return notation.decimal(float(value))[0] if is_number(value) else notation.words(describe(value))


def is_number(value: Any) -> bool:
    """Whether a value is a number rather than an array."""
    return not getattr(value, "shape", ())


class Board:
    """A step, written in a notation."""

    def __init__(self, step: Step, notation: BoardNotation) -> None:
        self.step = step
        self.notation = notation
        self.passes = step.before
        self.plan = step.before.plan
        self.objective = self.plan.objective
        self._edges: dict[int, Sequence[Edge]] = {}
        self._parts: dict[int, Sequence[Edge]] = {}

    @cached_property
    def order(self) -> Sequence[int]:
        """The nodes' slots in topological order, that of the file among nodes that are ready."""
        structure, slots = self.step.graph.structure, self.plan.slots
        return [slots[structure.names[number] or ""] for number in structure.order]

    @cached_property
    def names_are_short(self) -> bool:
        """Whether local derivatives that are mere numbers can be named beside them, as in ``df/dd * dd/da``."""
        return all(name is None or len(name) <= SHORT for name in self.plan.names)

    @cached_property
    def goal(self) -> str:
        """The name of the objective."""
        return "" if self.objective is None else self.raw(self.objective)

    @property
    def objective_name(self) -> Math:
        """The name of the objective, as it is written."""
        return Math(self.notation.name(self.goal))

    def raw(self, slot: int) -> str:
        """Return a value's name as the graph file has it, a literal's number."""
        name = self.plan.names[slot]
        return repr(float(self.plan.leaves[slot])) if name is None else name

    def name(self, slot: int) -> str:
        """Return a value's name, a literal's number, as it is written."""
        name = self.plan.names[slot]
        return self.value(slot) if name is None else self.notation.name(name)

    def value(self, slot: int, passes: Passes | None = None) -> str:
        """Return a value as it is written: a number, or the summary of an array."""
        return value_text(self.notation, (passes or self.passes).values[slot])

    def gradient(self, slot: int) -> str:
        """Return the derivative of the objective by a value, as it is written."""
        return value_text(self.notation, self.passes.gradients[slot])

    def derivative(self, slot: int) -> str:
        """Return the symbol of the derivative of the objective by a value."""
        return self.notation.derivative(self.goal, self.raw(slot))

    def size(self, value: Any) -> str:
        """Return a number as it is written, or the norm of an array."""
        return self.math(value) if is_number(value) else f"norm {number(norm(value), ARRAY_DIGITS)}"

    def listed(self, slots: Sequence[int], most: int) -> Prose:
        """Return the names of values; of many the first, and how many more there are."""
        prose = joined([Math(self.name(slot))] for slot in slots[:most])
        return [*prose, f" and {len(slots) - most:,} more"] if len(slots) > most else prose

    def bound(self, number: object) -> Bound:
        """Return a number, and how tightly it binds."""
        return self.notation.decimal(float(number))  # type: ignore[arg-type]

    def math(self, number: object) -> Math:
        """Return a number as it is written."""
        return Math(self.bound(number)[0])

    def product(self, first: Bound, second: Bound) -> str:
        """Return a product."""
        return self.notation.apply("multiply", [first, second])[0]

    def total(self, terms: Sequence[Bound]) -> str:
        """Return a sum."""
        result = terms[0]
        for text, binding in terms[1:]:
            if text.startswith("-"):
                result = self.notation.apply("subtract", [result, (text[1:], ATOM)])
            else:
                result = self.notation.apply("add", [result, (text, binding)])
        return result[0]

    def forward(self, node: int) -> str:
        """Return the formula of a node's value."""
        batch = self.plan.batch_of(node)
        return formulas_of(batch.type, batch.settings, self._inputs(node), self.raw(node), self.notation).forward

    def equation(self, node: int) -> Math:
        """Return a node as ``name = formula``."""
        return Math(f"{self.name(node)} = {self.forward(node)}")

    def forward_in_numbers(self, node: int, passes: Passes | None = None) -> str:
        """Return a node's formula with the numbers in it; nothing where an array is among them."""
        return self._in_numbers(self._traced(node).forward, node, passes or self.passes)

    def local(self, edge: Edge) -> tuple[Bound | None, bool]:
        """Return the formula of a local derivative, and whether it is a mere number."""
        found = self._traced(edge.target).local_derivatives[edge.position]
        if found is None:
            return None, False
        names = operands(self._inputs(edge.target), self.raw(edge.target), self.notation)
        return write_line(found, names, self.notation), found.is_constant

    def local_in_numbers(self, edge: Edge) -> str:
        """Return the formula of a local derivative with the numbers in it."""
        return self._in_numbers(self._traced(edge.target).local_derivatives[edge.position], edge.target, self.passes)

    def _inputs(self, node: int) -> list[str]:
        return [self.raw(slot) for slot in self.plan.inputs_of(node)]

    def _traced(self, node: int) -> Traced:
        batch = self.plan.batch_of(node)
        return traced(batch.type, batch.settings, tuple(map(literal, self._inputs(node))))

    def _in_numbers(self, expression: Expression | None, node: int, passes: Passes) -> str:
        if expression is None:
            return ""
        slots = {f"x{k}": slot for k, slot in enumerate(self.plan.inputs_of(node))} | {"y": node}
        used = inputs_of([expression])
        if not all(is_number(passes.values[slots[name]]) for name in used):
            return ""
        written = write_line(expression, {name: self.bound(passes.values[slots[name]]) for name in used}, self.notation)
        return "" if written is None else written[0]

    @cached_property
    def follows_constants(self) -> bool:
        """Whether the backward pass is followed to constants: where the objective depends on no parameter."""
        return (
            self.objective is not None and self.objective >= len(self.plan.leaves) and not self._moves(self.objective)
        )

    def _moves(self, slot: int) -> bool:
        return slot < self.plan.parameters if slot < len(self.plan.leaves) else self.plan.batch_of(slot).moving

    def is_followed(self, slot: int) -> bool:
        """Whether the backward pass is followed to a value: to what updates move, and what depends on it."""
        if self.follows_constants:
            return self.passes.kind(slot) in {Kind.NODE, Kind.CONSTANT, Kind.FROZEN}
        return self._moves(slot)

    def edges_into(self, node: int) -> Sequence[Edge]:
        """Return the edges of the backward pass that lead from a node to what it is computed from."""
        if node not in self._edges:
            edges = self.passes.edges_into(node)
            self._edges[node] = [e for e in edges if e.contribution is not None and self.is_followed(e.source)]
        return self._edges[node]

    @cached_property
    def _place(self) -> Mapping[int, int]:
        return {node: place for place, node in enumerate(self.order)}

    def parts(self, slot: int) -> Sequence[Edge]:
        """Return the edges that the gradient of a value adds up, in the order in which the backward pass comes by."""
        if slot not in self._parts:
            uses = sorted(dict(self.plan.uses.get(slot, ())), key=self._place.__getitem__, reverse=True)
            self._parts[slot] = [edge for node in uses for edge in self.edges_into(node) if edge.source == slot]
        return self._parts[slot]

    def operand(self, text: str) -> Bound:
        """Return a text that binds as tightly as a name does."""
        return text, ATOM

    def path_to_leaf(self, slot: int) -> list[Edge]:
        """Return the edges from a value back to a leaf, at each node the one that carries most."""
        return self._path(slot, range(len(self.plan.leaves)), self.edges_into, attrgetter("source"))

    def path_to_objective(self, slot: int) -> list[Edge]:
        """Return the edges from a value on to the objective, at each value the use that gives most of its gradient."""
        return self._path(slot, [self.objective], self.parts, attrgetter("target"))

    def _path(
        self, slot: int, ends: Sequence[int | None], edges: Callable[[int], Sequence[Edge]], end: Callable[[Edge], int]
    ) -> list[Edge]:
        """Follow the edges that carry most to one of the ends, or to where all carry 0."""
        path: list[Edge] = []
        while slot not in ends:
            # Of equal ones the first, whatever rounding made of them.
            edge = max(edges(slot), key=lambda edge: float(f"{norm(edge.contribution):.9g}"), default=None)
            if edge is None or not np.any(edge.contribution):
                break
            path.append(edge)
            slot = end(edge)
        return path
