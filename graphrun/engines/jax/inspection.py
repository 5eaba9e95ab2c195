"""What a run looks at now and then: values and gradients at any slots, and values on other rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from graphrun.base.types import Array
from graphrun.engines.jax.devices import Placement, double_precision
from graphrun.engines.jax.feed import Rows, column_dtype
from graphrun.engines.jax.loop import State, given_to, next_states, updated
from graphrun.engines.jax.passes import NodePasses, Part
from graphrun.engines.jax.vector import Passes
from graphrun.plan.plan import Plan


class Inspection:
    """The passes of a plan outside of the loop, compiled when they are first asked for.

    Attributes:
        fixed: the values that no step changes, on the device: what the passes begin from.
    """

    def __init__(self, plan: Plan, passes: Passes, rows: Rows, placement: Placement) -> None:
        self._plan = plan
        self._passes = passes
        self._rows = rows
        self._placement = placement
        self.fixed = passes.fixed(placement)
        self._on_rows: dict[tuple[int, ...], Callable[..., Any]] = {}
        self._found: dict[str, Any] = {}

    def forget(self) -> None:
        """Forget what was found, for the state is another one."""
        self._found.clear()

    def check(self, state: State) -> None:
        """Trace every function that the run may need once, without compiling any.

        Raises:
            UsageError: a function of a node type or of the update rule cannot be traced.
        """
        plan, passes = self._plan, self._passes

        def everything(state: State, fixed: Any, columns: Any) -> None:
            step = jnp.int64(0)
            if plan.objective is not None:
                state = updated(plan, passes, state, step, jnp.ones((), bool))
            values = self._forward(state.targets, state.nodes, fixed, columns, step)
            if plan.objective is not None:
                next_states(plan, passes, values)
                passes.backward(values, Part.NEEDED)

        jax.eval_shape(everything, state, self.fixed, self._rows.of(0))

    def values(self, state: State, step: int) -> Any:
        """Return the values by slot, those that the loop leaves out included."""
        return self._look("values", state, step)

    def gradients(self, state: State, step: int) -> Any:
        """Return the gradients by slot, those of constants included."""
        return self._look("gradients", state, step)

    def _look(self, name: str, state: State, step: int) -> Any:
        if name not in self._found:
            look = self._values if name == "values" else self._gradients
            with double_precision(), np.errstate(all="ignore"):
                found = look(state.targets, state.nodes, self.fixed, self._rows.of(step), np.int64(step))
            # A graph of numbers comes as one vector, which is fetched at once.
            self._found[name] = found if isinstance(found, list) else np.asarray(found)
        return self._found[name]

    @cached_property
    def _values(self) -> Callable[..., Any]:
        slots = range(len(self._plan.names))
        values = lambda *state: self._passes.each(self._forward(*state), slots)  # noqa: E731
        return jax.jit(values, out_shardings=self._placement.results)

    @cached_property
    def _gradients(self) -> Callable[..., Any]:
        passes, slots = self._passes, range(len(self._plan.names))
        gradients = lambda *state: passes.each(passes.backward(self._forward(*state), Part.NEEDED), slots)  # noqa: E731
        return jax.jit(gradients, out_shardings=self._placement.results)

    def _forward(self, targets: Any, nodes: Any, fixed: Any, columns: Any, step: Array) -> Any:
        """Run the forward pass of every node that changes."""
        given = given_to(self._plan, step, self._rows.pick(columns, step), nodes)
        values = self._passes.begin(targets, given, fixed)
        return self._passes.forward(values, Part.VARYING)

    def on_rows(self, state: State, columns: Sequence[Array], slots: Sequence[int]) -> list[Array]:
        """Return the values of some slots on some rows of the data set, at the state's parameters."""
        chosen = tuple(slots)
        if chosen not in self._on_rows:
            self._on_rows[chosen] = self._make_on_rows(chosen)
        with double_precision(), np.errstate(all="ignore"):
            given = [
                self._placement.whole(np.asarray(column, column_dtype(self._plan, slot)))
                for slot, column in zip(self._plan.data, columns, strict=True)
            ]
            found = self._on_rows[chosen](state.targets, state.nodes, self.fixed, given)
        return [np.array(value)[()] for value in found]

    def _make_on_rows(self, slots: Sequence[int]) -> Callable[..., Any]:
        # Graphs of numbers that are run as one vector have no data.
        plan = self._plan.evaluation()
        passes = NodePasses(plan)

        def on_rows(targets: Any, nodes: Any, fixed: Any, columns: Any) -> Any:
            given = dict(zip(plan.data, columns, strict=True))
            given |= dict(zip(plan.state_slots, nodes, strict=True))
            values = passes.begin(targets, given, fixed)
            for noise in plan.noise:
                # Nothing is dropped where data is only evaluated; the shape alone may matter.
                values[noise.slot] = jnp.zeros(noise.shape, plan.dtype)
            values = passes.forward(values, Part.ALL)
            return [jnp.asarray(passes.value(values, slot)) for slot in slots]

        return jax.jit(on_rows, out_shardings=self._placement.results)
