"""The NumPy engine, the specification of what a run computes.

The forward pass computes every node from its inputs. The backward pass goes the other way: it starts with the
derivative 1 of the objective by itself, and each node gives to each of its inputs its own gradient times the local
derivative of the node by that input; what a value is given by all its uses adds up (the chain rule).

A gradient of exactly zero gives zero, whatever the local derivative is: the objective does not depend on that value,
so nothing leaks from the branch of a `where` that is not taken, be it infinite or not a number.
"""

from __future__ import annotations

from graphrun.declare.updaterule import UpdateRule
from graphrun.engines.numpy.batches import BatchProgram
from graphrun.engines.numpy.nodes import NodeProgram
from graphrun.engines.numpy.operation import Operation, bind, broadcast_axes, is_finite, mask
from graphrun.engines.numpy.program import NumpyProgram
from graphrun.engines.numpy.straight_line import STRAIGHT_LINE_NODES, STRAIGHT_LINE_STEPS, StraightLineProgram
from graphrun.plan.plan import Feed, Plan

__all__ = [
    "NODES_PER_BATCH",
    "STRAIGHT_LINE_NODES",
    "STRAIGHT_LINE_STEPS",
    "BatchProgram",
    "NodeProgram",
    "NumpyEngine",
    "NumpyProgram",
    "Operation",
    "StraightLineProgram",
    "bind",
    "broadcast_axes",
    "is_finite",
    "mask",
]

# Fewer nodes in a batch than this are faster one by one: gathering their inputs into arrays costs about 1 us for any
# number of them, one operation on NumPy's numbers a tenth of that.
NODES_PER_BATCH = 6


class NumpyEngine:
    """Runs plans with NumPy: node by node or, where a graph has many equal nodes of numbers, batch by batch."""

    name = "numpy"

    def compilation(self, plan: Plan) -> str:
        """Return how `compile` comes to code."""
        return "no code is compiled"

    def compile(self, plan: Plan, feed: Feed | None = None) -> NumpyProgram:
        """Make a plan ready to run."""
        nodes = len(plan.names) - len(plan.leaves)
        only_numbers = feed is None and not plan.noise and not plan.states and not any(plan.shapes)
        if only_numbers and nodes >= NODES_PER_BATCH * max(len(plan.batches), 1):
            return BatchProgram(plan)
        if nodes <= STRAIGHT_LINE_NODES and plan.objective is not None and isinstance(plan.update.rule, UpdateRule):
            return StraightLineProgram(plan, feed)
        return NodeProgram(plan, feed)
