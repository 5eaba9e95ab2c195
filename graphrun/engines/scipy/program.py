"""Running a solver as a program: its iterations are the steps of the run.

The NumPy engine evaluates the objective wherever the solver asks for it; between two steps the parameters are those
of the solver's last iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.declare.solver import Solver, Vector
from graphrun.document.names import normalize
from graphrun.engines import Program, Stop, Timing
from graphrun.engines.numpy import NumpyEngine, node_program
from graphrun.engines.scipy.iterations import iterations
from graphrun.engines.scipy.problem import ProgramProblem
from graphrun.engines.scipy.starts import from_all_starts
from graphrun.plan.plan import Feed, Plan


class SolverEngine:
    """Makes programs of plans whose update is a solver."""

    name = "scipy"

    def compilation(self, plan: Plan) -> str:
        """Return how `compile` comes to code."""
        return "no code is compiled"

    def compile(self, plan: Plan, feed: Feed | None = None) -> Program:
        """Make a plan ready to run, as `SolverProgram` says."""
        return SolverProgram(plan, feed)


class SolverProgram:
    """A plan whose update is a solver, made ready to run; a solver takes all rows of a data set at once.

    Raises:
        UsageError: SciPy is missing, or the solver does not take what the graph has: bounds, batches, noise, states,
            an objective that is no sum of squares of the residuals.
    """

    def __init__(self, plan: Plan, feed: Feed | None = None) -> None:
        solver = plan.update.rule
        if not isinstance(solver, Solver):
            raise TypeError(f"{solver!r} is no solver")
        self.plan = plan
        _check(plan, solver)
        settings = dict(plan.update.settings)
        self._solve = lambda problem: solver.function(problem, **settings)
        residual = settings.get("residual")
        program = NumpyEngine().compile(plan, feed) if residual is None else node_program(plan, feed)
        self._problem = ProgramProblem(program, None if residual is None else plan.slots[normalize(residual)])
        self._program = program
        # What is no step is the same as of any other update.
        self.set_parameters, self.snapshot, self.restore = program.set_parameters, program.snapshot, program.restore
        self.values, self.gradients, self.gradient_norm = program.values, program.gradients, program.gradient_norm
        self.evaluate_rows, self.cost = program.evaluate_rows, program.cost
        self.step_size: float | None = None
        self._iterations: Generator[Vector | None, None, str] | None = None
        self._ended: str | None = None
        self.interrupted: Callable[[], bool] = lambda: False

    @property
    def step(self) -> int:
        """How many iterations were made."""
        return self._program.step

    def evaluate(self) -> None:
        """Run the forward and the backward pass at the parameters as they are; the solver begins from there."""
        self._iterations = self._ended = None
        self._program.evaluate()
        self._problem.begin()

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        """Make `count` iterations, fewer if the solver ends or the stop rule gives a reason."""
        for _ in range(count):
            reason = self._ended or self._iterate()
            if reason is not None:
                return reason
            if stop is not None and self.plan.objective is not None:
                objective = float(self.values([self.plan.objective])[0])
                if met := stop(objective, self.gradient_norm()):
                    if self.plan.update.starts == 1 or met == "value":
                        return met
                    # It is this start that has come far enough.
                    self._problem.enough = met
        return None

    def _iterate(self) -> str | None:
        """Make the solver's next iteration, and leave the parameters where it came to; return why there is none."""
        if self._iterations is None:
            self._iterations = _run(self._problem, self._solve, self.plan)
        try:
            while (point := next(self._iterations)) is None:
                if self.interrupted():
                    self._settle()
                    return "interrupted"
        except StopIteration as end:
            self._ended = end.value
            self._problem.return_to_current()
            return self._ended
        except BaseException:
            self._settle()
            raise
        self._problem.accept(point)
        self._program.step += 1
        return None

    def _settle(self) -> None:
        """Give up the iteration in hand; the solver begins anew from where the last one came to."""
        if self._iterations is not None:
            self._iterations.close()
        self._iterations = None
        self._problem.return_to_current()

    def form(self, steps: int) -> str:
        """Return how so many iterations are made, in words."""
        return f"the solver {self.plan.update.rule.name}, {self._program.form(steps)}"

    def time_nodes(self, steps: int) -> Timing:
        """Time the nodes where the parameters are; a solver's iterations are made of any number of passes."""
        return replace(self._program.time_nodes(steps), divides=None)


def _run(
    problem: ProgramProblem, solve: Callable[[ProgramProblem], str], plan: Plan
) -> Generator[Vector | None, None, str]:
    """Yield the points of a solver's iterations; return why it ended."""
    name = plan.update.rule.name

    def work(hand_over: Callable[[Vector], None], look: Callable[[], None]) -> str:
        problem.hand_over, problem.look = hand_over, look
        if not problem.start.size:
            return f"{name}: no parameter has an element that may move"
        # A solver's own arithmetic overflows where the objective does, and it is ready for that.
        with np.errstate(all="ignore"):
            return f"{name}: {from_all_starts(problem, solve, plan)}"

    return iterations(work)


def _check(plan: Plan, solver: Solver) -> None:
    """Refuse what a solver cannot work with.

    Raises:
        UsageError: what it is, and the way out.
    """
    if find_spec("scipy") is None:
        raise UsageError(f"the solver {solver.name!r} needs SciPy: pip install 'graphrun[scipy]'")
    if not plan.parameters:
        raise UsageError(f"{solver.name}: there is no parameter to solve for")
    if plan.feeds:
        raise UsageError(f"{solver.name}: a solver works on all rows at once: leave out batch_size")
    changing = [plan.names[item.slot] for item in plan.noise] + [plan.names[slot] for slot in plan.state_slots]
    if changing:
        raise UsageError(
            f"{solver.name}: {changing[0]} changes from step to step, and a solver needs one objective for all of them"
        )
    if not solver.takes_bounds:
        for slot, bounds in enumerate(plan.bounds):
            if bounds is not None:
                raise UsageError(
                    f"{solver.name}: it takes no bounds, and {plan.names[slot]!r} has some; lbfgs and least_squares do"
                )
