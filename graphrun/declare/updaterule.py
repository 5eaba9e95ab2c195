"""Declaring an update rule: one pure function of value, gradient and state, which every engine runs inside its loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property, wraps
from inspect import Parameter
from typing import Any, overload

from graphrun.base.errors import DeclarationError
from graphrun.declare.declaration import Declaration, Function


class UpdateRule(Declaration):
    """An update rule; made by the decorator `update_rule`.

    The function is ``(xp, value, gradient, *state, *, settings)``. It minimizes: to maximize, the engine passes the
    negative gradient. A state has the shape of the value and starts at zero; a positional parameter named ``step`` is
    no state but the number of the step, counted from 1. A rule without state returns the new value, a rule with state
    the tuple of the new value and every state in order.
    """

    keys: tuple[str, ...] = ("type", "clip_norm", "clip_value", "accumulate")

    @cached_property
    def takes_step(self) -> bool:
        """Whether the function has a parameter ``step``."""
        return any(parameter.name == "step" for parameter in self.positional)

    @cached_property
    def state(self) -> tuple[str, ...]:
        """The names of the states, in order."""
        return tuple(p.name for p in self.positional[2:] if p.name != "step")

    def times(self, **factors: float) -> UpdateRule:
        """Return the rule that multiplies some of its settings by factors before it does what it does."""
        factors = {name: factor for name, factor in factors.items() if factor != 1}
        if not factors:
            return self

        @wraps(self.function)
        def function(*arguments: Any, **settings: Any) -> Any:
            own = {name: settings[name] * factor for name, factor in factors.items() if name in settings}
            return self.function(*arguments, **settings | own)

        rule = copy(self)
        rule.function = function
        return rule

    def check_declaration(self) -> None:
        """Read the whole declaration once."""
        super().check_declaration()
        names = [parameter.name for parameter in self.positional]
        if names[:2] != ["value", "gradient"] or ("step" in names and names[2] != "step"):
            raise DeclarationError(f"{self.name}: an update rule is (xp, value, gradient, [step,] *state, *, settings)")


def side_by_side(groups: Sequence[tuple[UpdateRule, Sequence[int]]]) -> Function:
    """Return one function of vectors of numbers, for rules of which each has some of their elements."""
    if len(groups) == 1:
        return groups[0][0].function
    places = [list(elements) for _, elements in groups]
    back = sorted(range(sum(map(len, places))), key=[place for own in places for place in own].__getitem__)

    def function(xp: Any, *given: Any, **settings: Any) -> Any:
        parts = []
        for (rule, _), own in zip(groups, places, strict=True):
            # The number of the step is the same for all.
            found = rule.function(xp, *(xp.take(x, xp.asarray(own)) if xp.ndim(x) else x for x in given), **settings)
            parts.append(found if isinstance(found, tuple) else (found,))
        whole = [xp.take(xp.concat(part), xp.asarray(back)) for part in zip(*parts, strict=True)]
        return tuple(whole) if len(whole) > 1 else whole[0]

    return function


def accumulating(rule: UpdateRule) -> UpdateRule:
    """Return a rule that moves the value in every `accumulate`-th step, a setting, by the mean of so many gradients.

    What they add up to is its last state. The rule itself is told the number of the update, not of the step.
    """

    @wraps(rule.function)
    def function(xp: Any, value: Any, gradient: Any, step: Any, *kept: Any, accumulate: int, **settings: Any) -> Any:
        *states, accumulated = kept
        total = accumulated + gradient
        number = ((step + accumulate - 1) // accumulate,) if rule.takes_step else ()
        given = rule.function(xp, value, total / accumulate, *number, *states, **settings)
        following, due = given if rule.state else (given,), step % accumulate == 0
        moved = (xp.where(due, new, old) for new, old in zip(following, (value, *states), strict=True))
        return (*moved, xp.where(due, 0.0, total))

    from graphrun.base.types import Positive

    made = UpdateRule(function, rule.name)
    made.takes_step, made.state = True, (*rule.state, "accumulated")
    made.keyword = (*rule.keyword, Parameter("accumulate", Parameter.KEYWORD_ONLY, default=1))
    made.annotations = {**rule.annotations, "accumulate": Positive}
    return made


@overload
def update_rule(function: Function, /) -> UpdateRule: ...
@overload
def update_rule(*, name: str | None = None) -> Callable[[Function], UpdateRule]: ...
def update_rule(function: Function | None = None, /, *, name: str | None = None) -> Any:
    """Declare an update rule by its function ``(xp, value, gradient, [step,] *state, *, settings)``.

    Args:
        function: the function; its docstring's first line is the rule's description.
        name: the rule's name, default the function's.
    """
    return UpdateRule(function) if function else lambda function: UpdateRule(function, name)
