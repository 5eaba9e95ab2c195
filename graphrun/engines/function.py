"""A plan as a function of all its parameters, end to end: value, gradient, Jacobian, and products with the Hessian."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.types import Array
from graphrun.declare.trace import CannotTraceError
from graphrun.engines import NotFinite
from graphrun.engines.auto import INSTALL_JAX, choose, get_engine
from graphrun.engines.numpy import NumpyProgram, node_program
from graphrun.engines.scipy.jacobian import Jacobian
from graphrun.engines.second_order import SecondOrder
from graphrun.graph.graph import Update
from graphrun.plan.plan import Plan
from graphrun.solvers.newton_cg import DIFFERENCE
from graphrun.updates.gradient_descent import sgd

CALLS_OF_NUMBERS, CALLS_OF_ARRAYS = 1_000_000, 10_000
"""How often ``auto`` expects a function to be called."""

MOST_TRACED = 2000
"""Tracing takes some milliseconds a node: of a graph of more nodes JAX is asked first, which takes a second for all."""

Products = Callable[[Array, Array], Array]
"""Takes a vector and directions, a row each; returns the products of the Hessian with these, a row each."""


class Evaluator(Protocol):
    """What an engine makes of a plan here."""

    def at(self, vector: Array) -> tuple[float, Array]:
        """Return the objective and its gradient, finite or not."""


class PlanFunction:
    """One value of a plan as a function of all parameters; any number of threads may call it at once.

    Attributes:
        plan: the plan of the value alone.
        shape: the value's.
        engine: what computes value and gradient.
        mine: what the thread has that asks: ``mine.at`` returns the value and its gradient.

    Args:
        plan: the plan, whose other leaves stay as they are.
        slot: the value.
        engine: ``auto``, ``numpy``, ``numba`` or ``jax``; an array is NumPy's.

    Raises:
        UsageError: the engine cannot compute it.
    """

    def __init__(self, plan: Plan, slot: int, engine: str = "auto") -> None:
        self.plan = plan = replace(plan.towards(slot), update=Update(sgd, (("step_size", 0.0),)))
        self.shape = plan.shapes[slot]
        if self.shape and engine not in {"auto", "numpy"}:
            raise UsageError(f"{plan.names[slot]!r} is an array, whose values and derivatives are the numpy engine's")
        if engine == "auto":
            calls = CALLS_OF_ARRAYS if plan.has_arrays else CALLS_OF_NUMBERS
            engine = "numpy" if self.shape else choose(plan, calls).engine
        self.engine = engine
        self._lock = threading.RLock()
        self._jax: Any = None
        self.mine = _OfThread(self._evaluator, self._looking)
        if not self.shape:
            # What cannot be compiled is told at once.
            _ = self.mine.at

    def value(self, vector: Array) -> Array:
        """Return the value, by the forward pass alone where the engine makes it alone."""
        if self.engine != "numpy":
            return np.asarray(self.mine.at(vector)[0])
        (value,) = self.mine.looking[0].values_at(vector, [self.plan.objective or 0])
        return np.array(value)

    def jacobian(self, vector: Array) -> Array:
        """Return the derivatives of the value's elements, a row each."""
        program, jacobian = self.mine.looking
        program.values_at(vector, [])
        return jacobian()

    @cached_property
    def second_order(self) -> tuple[Products, str]:
        """What gives the products with the Hessian, and how, in words."""
        ways = [("by the traces of the declarations", self._traced), ("by JAX", self._compiled_by_jax)]
        reasons = []
        with self._lock:
            for how, make in ways if self.plan.node_count <= MOST_TRACED else reversed(ways):
                try:
                    return make(), f"exact: forward over reverse, {how}"
                except (CannotTraceError, UsageError) as error:
                    reasons.append(str(error).partition("\n")[0])
        return self._differences, f"central differences of exact gradients: {', and '.join(reasons)}"

    def _evaluator(self) -> Evaluator:
        if self.shape:
            name = self.plan.names[self.plan.objective or 0]
            raise UsageError(f"{name!r} has the shape {self.shape}, and a gradient is that of a number")
        with self._lock:
            if self.engine == "jax":
                evaluator: Evaluator = self._compiled_by_jax()
                return evaluator
            program: Any = get_engine(self.engine).compile(self.plan)
            with suppress(NotFinite):
                program.evaluate()
        return program  # type: ignore[no-any-return]

    def _traced(self) -> Products:
        return SecondOrder(self.plan)

    def _compiled_by_jax(self) -> Any:
        if importlib.util.find_spec("jax") is None:
            raise UsageError(f"JAX is not installed: {INSTALL_JAX}")
        if self._jax is None:
            from graphrun.engines.jax.function import JaxFunction

            self._jax = JaxFunction(self.plan)
        return self._jax

    def _looking(self) -> tuple[NumpyProgram, Jacobian]:
        program = node_program(self.plan)
        program.begin()
        return program, Jacobian(program, self.plan.objective or 0)

    def _differences(self, vector: Array, directions: Array) -> Array:
        # A parameter is measured by its size, here or at the start.
        start = np.abs(np.concatenate([np.ravel(leaf) for leaf in self.plan.leaves[: self.plan.parameters]]))
        sizes = np.maximum(np.abs(vector), np.where(start == 0, 1.0, start))
        found = np.zeros(directions.shape)
        for row, direction in enumerate(directions):
            longest = np.max(np.abs(direction) / sizes, initial=0.0)
            if longest:
                move = DIFFERENCE / longest * direction
                ahead, behind = vector + move, vector - move
                # What the vector moved by, after rounding.
                step = np.max(np.abs(ahead - behind)) / np.max(np.abs(direction))
                found[row] = (self.mine.at(ahead)[1] - self.mine.at(behind)[1]) / step
        return found


class _OfThread(threading.local):
    """What each thread has one of, for it holds the numbers of its last call."""

    def __init__(self, make: Callable[[], Evaluator], look: Callable[[], tuple[NumpyProgram, Jacobian]]) -> None:
        self._make, self._look = make, look

    @cached_property
    def at(self) -> Callable[[Array], tuple[float, Array]]:
        """The evaluator's function."""
        return self._make().at

    @cached_property
    def looking(self) -> tuple[NumpyProgram, Jacobian]:
        """A program that holds all values of a forward pass, and the derivatives of the value there."""
        return self._look()
