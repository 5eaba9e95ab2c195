"""The NumPy engine, the specification of what a run computes: `passes.py` has the two passes, which begin to read."""

from __future__ import annotations

from graphrun.declare.updaterule import UpdateRule
from graphrun.engines.numpy.operation import Bound, Operation, bind, broadcast_axes, is_finite, with_indices
from graphrun.engines.numpy.passes import BatchPasses, NodePasses, backward, forward
from graphrun.engines.numpy.program import NumpyProgram
from graphrun.engines.numpy.straight_line import STRAIGHT_LINE_NODES, STRAIGHT_LINE_STEPS
from graphrun.plan.plan import Feed, Plan

__all__ = [
    "STRAIGHT_LINE_NODES",
    "STRAIGHT_LINE_STEPS",
    "BatchPasses",
    "Bound",
    "NodePasses",
    "NumpyEngine",
    "NumpyProgram",
    "Operation",
    "backward",
    "batch_program",
    "bind",
    "broadcast_axes",
    "forward",
    "is_by_batch",
    "is_finite",
    "node_program",
    "straight_line_program",
    "with_indices",
]

# A batch takes about 16 us, a number's node 4 us alone and 0.8 in straight-line code, which is made after some steps.
NODES_PER_BATCH = 6
NODES_PER_BATCH_OF_FEW = 20
FEW_NODES = 1000


def is_by_batch(nodes: int, batches: int) -> bool:
    """Whether so many nodes of numbers, so many batches, are computed batch by batch."""
    return nodes >= (NODES_PER_BATCH if nodes > FEW_NODES else NODES_PER_BATCH_OF_FEW) * batches > 0


class NumpyEngine:
    """Runs plans with NumPy: node by node or, where a graph has many equal nodes of numbers, batch by batch."""

    name = "numpy"

    def compilation(self, plan: Plan) -> str:
        """Return how `compile` comes to code."""
        return "no code is compiled"

    def compile(self, plan: Plan, feed: Feed | None = None) -> NumpyProgram:
        """Make a plan ready to run."""
        nodes = plan.node_count
        only_numbers = feed is None and not plan.noise and not plan.states and not plan.has_arrays
        if only_numbers and is_by_batch(nodes, len(plan.batches)):
            return batch_program(plan)
        update = plan.update
        plain = isinstance(update.rule, UpdateRule) and not update.clips_means
        if nodes <= STRAIGHT_LINE_NODES and plan.objective is not None and plain:
            return straight_line_program(plan, feed)
        return node_program(plan, feed)


def node_program(plan: Plan, feed: Feed | None = None) -> NumpyProgram:
    """Make a program for small graphs, and for arrays."""
    return NumpyProgram(NodePasses(plan), feed)


def batch_program(plan: Plan) -> NumpyProgram:
    """Make a program for large graphs of numbers, that have no data set."""
    return NumpyProgram(BatchPasses(plan))


def straight_line_program(plan: Plan, feed: Feed | None = None) -> NumpyProgram:
    """Make a program for small graphs that takes long stretches of steps as straight-line code."""
    return NumpyProgram(NodePasses(plan), feed, straight_line=True)
