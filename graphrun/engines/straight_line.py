"""A small graph's steps as one straight-line Python function, the way one would write the lesson by hand.

The names in the text are made of slots, never of a graph file's words: v0 is a value, g0 its gradient, n and h are
those of the next step, p0 a local derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphrun.plan import Batch, Plan

Steps = Callable[[int, int, list[Any], list[Any], Any], tuple[int, Any]]
"""Takes (count, step, values, gradients, states); returns how many steps were made, and the parameters' new states.

Values and gradients are lists by slot and are changed in place. It ends before a step whose objective or gradients are
not finite, or where a function raises, so that the caller can look at that step closely: then the nodes are left as
they were.
"""


def compile_steps(plan: Plan, values: Sequence[Any]) -> Steps:
    """Compile the steps of a plan of float64 numbers.

    Args:
        plan: the plan.
        values: the value of each slot at some parameters.
    """
    functions: dict[str, Any] = {"xp": np, "isfinite": math.isfinite, "rule": plan.rule.function}
    functions |= {"minimum": np.minimum, "maximum": np.maximum, "float64": np.float64}
    functions |= {"zero": np.float64(0), "one": np.float64(1)}
    functions |= {f"n{slot}": values[slot] for slot in _fixed(plan)}
    text = _Writer(plan, functions, values).text()
    exec(compile(text, "<straight-line steps>", "exec"), functions)  # noqa: S102 (the text is made of slots alone)
    steps: Steps = functions["steps"]
    return steps


class _Writer:
    """Writes the function, and gathers what it calls by name."""

    def __init__(self, plan: Plan, functions: dict[str, Any], values: Sequence[Any]) -> None:
        self.plan = plan
        self.functions = functions
        self.values = values
        self.calls: dict[Any, int] = {}
        self.given: set[int] = set()

    def text(self) -> str:
        """Return the source of the function ``steps``."""
        plan = self.plan
        parameters = range(plan.parameters)
        states = [f"s{k}_{i}" for k in parameters for i in range(len(plan.rule.state))]
        kept = [*(f"v{k}" for k in parameters), *(f"g{k}" for k in parameters), *states]
        following = [f"n{k}" for k in parameters] + [f"h{k}" for k in parameters] + [f"t{s[1:]}" for s in states]
        body = [*self.update(), *self.forward(), *self.backward()]
        body += [f"h{k} = zero" for k in parameters if k not in self.given]
        nodes = [slot for batch in plan.in_loop for slot in range(batch.start, batch.stop)]
        sums = " + ".join([f"n{plan.objective}", *(f"h{k}" for k in parameters)])
        lines = [
            "def steps(count, step, values, gradients, states):",
            *(f"    v{k}, g{k} = values[{k}], gradients[{k}]" for k in parameters),
            *([f"    {_tuple(states)} = states"] if states else []),
            "    first = step",
            "    for step in range(first + 1, first + count + 1):",
            "        try:",
            *(f"            {line}" for line in body),
            f"            finite = isfinite({sums})",
            "        except (Exception, SystemExit):",
            "            finite = False",
            "        if not finite:",
            "            step -= 1",
            "            break",
            f"        {_tuple(kept)} = {_tuple(following)}",
            "    else:",
            *(f"        values[{k}] = n{k}" for k in nodes),
            *(f"        gradients[{k}] = h{k}" for k in sorted(self.given)),
            *(f"    values[{k}], gradients[{k}] = v{k}, g{k}" for k in parameters),
            f"    return step - first, {_tuple(states)}",
        ]
        return "\n".join(lines) + "\n"

    def update(self) -> list[str]:
        """Write the update of every parameter."""
        plan, rule = self.plan, self.plan.rule
        settings = self.settings("rule", plan.update.settings)
        lines = []
        for k in range(plan.parameters):
            states = [f"s{k}_{i}" for i in range(len(rule.state))]
            new = [f"n{k}", *(f"t{k}_{i}" for i in range(len(rule.state)))]
            step = ["step"] if rule.takes_step else []
            gradient = f"-g{k}" if plan.maximize else f"g{k}"
            call = ", ".join(["xp", f"v{k}", gradient, *step, *states, *settings])
            lines.append(f"{', '.join(new)} = rule({call})")
            bounds = plan.bounds[k]
            if bounds is not None:
                self.functions[f"lower{k}"], self.functions[f"upper{k}"] = bounds
                lines.append(f"n{k} = minimum(maximum(n{k}, lower{k}), upper{k})")
        return lines

    def forward(self) -> list[str]:
        """Write the forward pass."""
        return [
            f"n{output} = {self.call(batch, 'f', [f'n{slot}' for slot in inputs])}"
            for batch in self.plan.in_loop
            for output, inputs in enumerate(self.plan.inputs(batch).T.tolist(), batch.start)
        ]

    def backward(self) -> list[str]:
        """Write the backward pass: each node gives to its inputs, what an input is given adds up."""
        plan = self.plan
        moving = set(range(plan.parameters)).union(*(range(batch.start, batch.stop) for batch in plan.in_loop))
        self.given = {plan.objective or 0}
        lines = [f"h{plan.objective} = one"]
        for batch in reversed(plan.in_loop):
            silent = _without_derivative(batch, plan, self.values)
            inputs_of = plan.inputs(batch).T.tolist()
            for output, inputs in reversed(list(enumerate(inputs_of, batch.start))):
                targets = [(k, slot) for k, slot in enumerate(inputs) if slot in moving and k not in silent]
                if output not in self.given or not targets:
                    continue
                arguments = [f"n{output}", *(f"n{slot}" for slot in inputs)]
                partials = [f"p{k}" for k in range(len(inputs))]
                lines.append(f"{_tuple(partials)} = {self.call(batch, 'd', arguments)}")
                for k, slot in targets:
                    product = f"p{k}" if output == plan.objective else f"h{output} * p{k}"
                    lines.append(f"h{slot} = h{slot} + {product}" if slot in self.given else f"h{slot} = {product}")
                    self.given.add(slot)
        return lines

    def call(self, batch: Batch, prefix: str, arguments: list[str]) -> str:
        """Write a call of one of a type's two functions."""
        key = prefix, batch.type, batch.settings
        name = f"{prefix}{self.calls.setdefault(key, len(self.calls))}"
        self.functions[name] = batch.type.function if prefix == "f" else batch.type.derivative
        call = f"{name}({', '.join(['xp', *arguments, *self.settings(name, batch.settings)])})"
        return f"float64({call})" if prefix == "f" and batch.casts else call

    def settings(self, owner: str, settings: tuple[tuple[str, Any], ...]) -> list[str]:
        """Write settings as keyword arguments, whose values are names too."""
        for setting, value in settings:
            self.functions[f"{owner}_{setting}"] = value
        return [f"{setting}={owner}_{setting}" for setting, _ in settings]


def _tuple(names: list[str]) -> str:
    return f"({', '.join(names)},)" if names else "()"


def _fixed(plan: Plan) -> Iterator[int]:
    """Yield the slots whose values no step changes: of constants and of nodes that depend on no parameter."""
    yield from range(plan.parameters, len(plan.leaves))
    for batch in plan.batches:
        if not batch.moving:
            yield from range(batch.start, batch.stop)


def _without_derivative(batch: Batch, plan: Plan, values: Sequence[Any]) -> set[int]:
    """Return the inputs that a type gives None for, found by asking it once more what it was asked before."""
    derivative = batch.type.derivative
    arguments = [values[slot] for slot in (batch.start, *plan.inputs(batch)[:, 0].tolist())]
    partials = derivative(np, *arguments, **dict(batch.settings)) if derivative else ()
    return {k for k, partial in enumerate(partials) if partial is None}
