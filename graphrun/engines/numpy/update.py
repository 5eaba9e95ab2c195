"""What a step does with the parameters: clipping, the update rule, bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphrun.base.norms import Numbers, norm
from graphrun.base.types import Array
from graphrun.declare.clipping import clip
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines.numpy.namespace import namespace
from graphrun.engines.numpy.passes import BatchPasses, NodePasses
from graphrun.plan.plan import Plan


class Updater:
    """The update rule of a plan, bound to NumPy, and what it keeps from step to step.

    Attributes:
        targets: what the rule is called for, one by one: slots of parameters, and their bounds.
        states: the rule's states, for each target.
        step_size: what the rule is given in place of its own setting, or None.
    """

    def __init__(self, passes: NodePasses | BatchPasses, values: Any) -> None:
        self.plan = plan = passes.plan
        self.targets = targets = passes.targets()
        rule = plan.update.rule
        self.names = rule.state if isinstance(rule, UpdateRule) else ()
        self.states = [tuple(np.zeros_like(values[target]) for _ in self.names) for target, _ in targets]
        self.clip = clipping(plan)
        self.step_size: float | None = None
        settings, rules = dict(plan.update.settings), passes.rules() if isinstance(rule, UpdateRule) else ()
        self._rules = [partial(function, namespace(plan.dtype), **settings) for function in rules]

    def __call__(self, values: Any, gradients: Sequence[Array | None], step: int) -> None:
        """Give the parameters their new values, after so many steps were made.

        The gradient of a target is None where the objective does not depend on it.
        """
        plan, scheduled = self.plan, self._at(step)
        number = (step + 1,) if plan.rule.takes_step else ()
        states = []
        for rule, (target, bounds), gradient, state in zip(
            self._rules, self.targets, gradients, self.states, strict=True
        ):
            slope = np.zeros_like(values[target])[()] if gradient is None else -gradient if plan.maximize else gradient
            value = rule(values[target], slope, *number, *state, **scheduled)
            following: Sequence[Array] = ()
            if state:
                value, *following = value
            if bounds is not None:
                value = np.minimum(np.maximum(value, bounds[0]), bounds[1])
            values[target] = value
            states.append(tuple(following))
        self.states = states

    def set_step_size(self, step_size: float | None) -> None:
        """Give the rule another step size."""
        number: Any = self.plan.dtype.type
        self.step_size = None if step_size is None else number(step_size)

    def _at(self, step: int) -> dict[str, Any]:
        """Return the step size of a step, where it is not the setting."""
        schedule = self.plan.update.by_step
        if self.step_size is not None:
            return {"step_size": self.step_size}
        if schedule is None:
            return {}
        return {"step_size": self.plan.dtype.type(schedule[0].function(np, step, **dict(schedule[1])))}


def clipping(plan: Plan) -> Callable[[Sequence[Array]], list[Array]]:
    """Return what clips the parameters' gradients."""
    value, limit = plan.update.clip_value, plan.update.clip_norm
    return partial(clip, np, value=value, limit=limit, norm=norm, numbers=Numbers, cast=plan.dtype.type)
