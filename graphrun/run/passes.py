"""Both passes of one step, taken apart: every value, every gradient, and what each edge carries back.

Engines add up what a value is given; who explains, draws or reports wants the parts. They are computed here from an
engine's values and gradients, by the node types' own functions, for the nodes that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np

from graphrun.base.errors import NotFiniteError
from graphrun.base.types import Array
from graphrun.engines import NotFinite, Program
from graphrun.engines.numpy import bind, node_program
from graphrun.plan.plan import Plan
from graphrun.run.result import Result


class Kind(StrEnum):
    """What a value is."""

    PARAMETER = "parameter"
    FROZEN = "frozen parameter"
    CONSTANT = "constant"
    LITERAL = "literal"
    DATA = "data"
    NOISE = "noise"
    STATE = "state"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Edge:
    """One use of a value by a node; a value that stands twice among a node's inputs has two edges to it.

    Attributes:
        source: the slot of the value.
        target: the slot of the node.
        position: which input of the node it is, from 0.
        local_derivative: the derivative of the node by this input, element by element, of the node's shape; None for a
            tensor type, whose function gives the contribution at once, and where there is none to give.
        contribution: the part of the source's gradient that comes this way, of the source's shape: the node's gradient
            times the local derivative, summed over the axes along which the source was broadcast; None where the type
            says that the input has no derivative, or the objective does not depend on the node.
    """

    source: int
    target: int
    position: int
    local_derivative: Array | None
    contribution: Array | None


@dataclass(frozen=True)
class Passes:
    """The forward and the backward pass of one step.

    Attributes:
        plan: what was computed; slots are its own.
        step: how many updates were made before.
        values: the value of each slot.
        gradients: the derivative of the objective by the value of each slot; 0 where it does not depend on it.
    """

    plan: Plan
    step: int
    values: Sequence[Array]
    gradients: Sequence[Array]

    @classmethod
    def of(cls, program: Program) -> Passes:
        """Take the passes that a program of whatever engine ran last; it may go on afterwards."""
        slots = range(len(program.plan.names))
        return cls(program.plan, program.step, program.values(slots), program.gradients(slots))

    @classmethod
    def broken(cls, plan: Plan, leaves: Sequence[Array], step: int) -> Passes:
        """Run the passes of a step in which something is not finite, as far as they come, with the NumPy engine."""
        program = node_program(plan.at_rest(leaves))
        with suppress(NotFinite):
            program.evaluate()
        return replace(cls.of(program), plan=plan, step=step)

    @property
    def varying(self) -> str:
        """What varies from step to step beside the parameters, so that steps cannot be compared; mostly nothing."""
        if self.plan.feeds:
            return "rows"
        return "random numbers" if self.plan.noise else "running statistics" if self.plan.states else ""

    def kind(self, slot: int) -> Kind:
        """Return what a value is."""
        plan = self.plan
        if slot < plan.parameters:
            return Kind.PARAMETER
        if slot >= len(plan.leaves):
            return Kind.NODE
        return self._other_leaves.get(slot, Kind.LITERAL if plan.names[slot] is None else Kind.CONSTANT)

    def is_needed(self, node: int) -> bool:
        """Whether the objective depends on a node."""
        return self.plan.objective is not None and self.plan.batch_of(node).needed

    def edges_into(self, node: int) -> tuple[Edge, ...]:
        """Return the edges that lead to a node, in the order of its inputs."""
        batch, sources = self.plan.batch_of(node), self.plan.inputs_of(node)
        edges = [Edge(source, node, position, None, None) for position, source in enumerate(sources)]
        if batch.type.derivative is None or not sources or not self.is_needed(node):
            return tuple(edges)
        operation = bind(self.plan, batch, masked=True).at(node, sources, [True] * batch.arity)
        gradient = self.gradients[node]
        with np.errstate(all="ignore"):
            given = operation.derivatives(gradient, self.values)
            for position, source, part in operation.wanted:
                derivative = given[position]
                if derivative is not None:
                    local = np.broadcast_to(derivative, batch.shape)[()] if batch.type.is_elementwise else None
                    edges[position] = Edge(source, node, position, local, part(gradient, derivative))
        return tuple(edges)

    def edges_from(self, slot: int) -> tuple[Edge, ...]:
        """Return the edges that lead away from a value: one for each use by a node, in the order of the nodes."""
        return tuple(self.edges_into(node)[position] for node, position in self.plan.uses.get(slot, ()))

    def culprits(self) -> Sequence[int]:
        """Return the slots where what is not finite arose; mostly none.

        Those are values whose inputs are all finite; where every value is, nodes that make of a gradient that is finite
        one that is not.
        """
        plan = self.plan

        def not_finite(arrays: Sequence[Array | None]) -> set[int]:
            return {slot for slot, one in enumerate(arrays) if one is not None and not np.isfinite(one).all()}

        bad = not_finite(self.values)
        if bad:
            return [slot for slot in sorted(bad) if slot < len(plan.leaves) or bad.isdisjoint(plan.inputs_of(slot))]
        # Nobody asks for the derivative by what no step moves, as by the exponent of (-3) ** 2, which is no number.
        bad = {slot for slot in not_finite(self.gradients) if plan.moving[slot]}
        nodes = {node for slot in bad for node, _ in plan.uses.get(slot, ()) if node not in bad}
        known = [node for node in sorted(nodes) if all(self.values[slot] is not None for slot in plan.inputs_of(node))]
        parts = {node: [edge.contribution for edge in self.edges_into(node)] for node in known}
        return [node for node in known if not all(p is None or np.isfinite(p).all() for p in parts[node])]

    @cached_property
    def _other_leaves(self) -> dict[int, Kind]:
        plan = self.plan
        return (
            dict.fromkeys(plan.data, Kind.DATA)
            | {noise.slot: Kind.NOISE for noise in plan.noise}
            | dict.fromkeys(plan.state_slots, Kind.STATE)
            | dict.fromkeys(range(plan.parameters, plan.parameters + plan.frozen), Kind.FROZEN)
        )


def tell_passes(result: Result, step: int) -> bool:
    """Give the error of a step that broke its passes, as far as they come; say whether it was that step that broke."""
    error = result.error
    if not isinstance(error, NotFiniteError) or error.step != step or not result.made_of:
        return False
    error.passes = Passes.broken(result.made_of[1], error.leaves, step)
    return True
