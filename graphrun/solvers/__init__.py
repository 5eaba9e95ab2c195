"""Solvers: whole algorithms in the place of an update rule, each a declaration found by its name in ``update.type``.

Nothing here imports SciPy until a solver runs.
"""

from __future__ import annotations

from graphrun.declare.solver import Solver
from graphrun.solvers.differential_evolution import differential_evolution
from graphrun.solvers.least_squares import least_squares
from graphrun.solvers.newton_cg import newton_cg
from graphrun.solvers.quasi_newton import lbfgs

__all__ = ["SOLVERS", "Solver"]

SOLVERS: dict[str, Solver] = {
    solver.name: solver for solver in (lbfgs, newton_cg, least_squares, differential_evolution)
}
"""The solvers by name."""
