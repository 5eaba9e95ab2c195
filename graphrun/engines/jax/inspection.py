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
from graphrun.engines.jax.feed import StepRows, column_dtype
from graphrun.engines.jax.loop import LoopState, given_to, next_states, updated
from graphrun.engines.jax.passes import ArrayPasses, PlanPart
from graphrun.engines.jax.vector import JaxPasses
from graphrun.plan.plan import Plan


class Inspection:
    """The passes of a plan outside of the loop, compiled when they are first asked for.

    Attributes:
        fixed: the values that no step changes, on the device: what the passes begin from.
    """

    def __init__(self, plan: Plan, passes: JaxPasses, rows: StepRows, placement: Placement) -> None:
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

    def check(self, state: LoopState) -> None:
        """Trace every function that the run may need once, without compiling any.

        Raises:
            UsageError: a function of a node type or of the update rule cannot be traced.
        """
        plan, passes = self._plan, self._passes

        def everything(state: LoopState, fixed: Any, columns: Any) -> None:
            step = jnp.int64(0)
            if plan.objective is not None:
                state = updated(plan, passes, state, step, jnp.ones((), bool))
            values = self._forward(state.targets, state.nodes, fixed, columns, step)
            if plan.objective is not None:
                next_states(plan, passes, values)
                passes.backward(values, PlanPart.NEEDED)

        jax.eval_shape(everything, state, self.fixed, self._rows.of(0))

    def by_slot(self, what: str, state: LoopState, step: int) -> Any:
        """Return by slot the ``values``, also of what the loop leaves out, or the ``gradients``, also of constants.

        Of passes of arrays the ``masked_gradients``, too: those that are masked through tensor types.
        """
        if what not in self._found:
            if what == "masked_gradients":
                self._found[what] = self._masked.by_slot("gradients", state, step)
                self._masked.forget()
            else:
                given = state.targets, state.nodes, self.fixed, self._rows.of(step), np.int64(step)
                with double_precision(), np.errstate(all="ignore"):
                    self._found[what] = self._passes.by_slot(self._looks[what](*given))
        return self._found[what]

    @cached_property
    def _masked(self) -> Inspection:
        passes = ArrayPasses(self._plan, masked=True)
        with double_precision(), np.errstate(all="ignore"):
            return Inspection(self._plan, passes, self._rows, self._placement)

    @cached_property
    def _looks(self) -> dict[str, Callable[..., Any]]:
        passes = self._passes

        def values(*state: Any) -> Any:
            return passes.all(self._forward(*state))

        def gradients(*state: Any) -> Any:
            return passes.all(passes.backward(self._forward(*state), PlanPart.NEEDED))

        looks = values, gradients
        return {look.__name__: jax.jit(look, out_shardings=self._placement.results) for look in looks}

    def _forward(self, targets: Any, nodes: Any, fixed: Any, columns: Any, step: Array) -> Any:
        """Run the forward pass of every node that changes."""
        given = given_to(self._plan, step, self._rows.pick(columns, step), nodes)
        values = self._passes.begin(targets, given, fixed)
        return self._passes.forward(values, PlanPart.VARYING)

    def on_rows(self, state: LoopState, columns: Sequence[Array], slots: Sequence[int]) -> list[Array]:
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
        passes = ArrayPasses(plan)

        def on_rows(targets: Any, nodes: Any, fixed: Any, columns: Any) -> Any:
            given = dict(zip(plan.data, columns, strict=True))
            given |= dict(zip(plan.state_slots, nodes, strict=True))
            values = passes.begin(targets, given, fixed)
            for noise in plan.noise:
                # Nothing is dropped where data is only evaluated; the shape alone may matter.
                values[noise.slot] = jnp.zeros(noise.shape, plan.dtype)
            values = passes.forward(values, PlanPart.ALL)
            return [jnp.asarray(passes.value(values, slot)) for slot in slots]

        return jax.jit(on_rows, out_shardings=self._placement.results)
