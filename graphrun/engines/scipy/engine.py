"""The engine of graphs whose update is a solver: SciPy makes the steps, the NumPy engine evaluates."""

from __future__ import annotations

from graphrun.engines import Program
from graphrun.engines.scipy.program import SolverProgram
from graphrun.plan.plan import Feed, Plan


class SolverEngine:
    """Makes programs of plans whose update is a solver."""

    name = "scipy"

    def compilation(self, plan: Plan) -> str:
        """Return how `compile` comes to code."""
        return "no code is compiled"

    def compile(self, plan: Plan, feed: Feed | None = None) -> Program:
        """Make a plan ready to run.

        Raises:
            UsageError: SciPy is missing, or the solver cannot work with what the graph has.
        """
        return SolverProgram(plan, feed)
