"""A small graph's steps as one straight-line Python function, the way one would write them by hand.

What node by node is looked up for every operation of every step is decided once here: which functions are called with
what, along which axes a gradient is summed up, who is given a gradient at all. The function does what the
passes and the update do, in the same order, so that the numbers are the same to the last bit.

The names in the text are made of slots, never of a graph file's words: v0 is a parameter and g0 its gradient, n0 and h0
are those of the next step, s0_0 is a state of the update rule and t0_0 the next one, p0 is a derivative, k0 is what a
forward function gave with what it kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphrun.base.norms import norm
from graphrun.base.random import uniform
from graphrun.engines import Stop
from graphrun.engines.numpy.namespace import add_up, namespace
from graphrun.engines.numpy.operation import bind, broadcast_axes, keeps
from graphrun.engines.numpy.update import clipping
from graphrun.engines.straight_line import PassWriter
from graphrun.nodes.placing import Placed
from graphrun.plan.plan import Batch, Feed, Plan
from graphrun.plan.shapes import as_index

# Straight-line code takes about 0.14 ms a node to write and compile, and saves 1 to 3 us a node and step: it is made
# for graphs up to so many nodes when a run has come to so many steps.
STRAIGHT_LINE_NODES = 10_000
STRAIGHT_LINE_STEPS = 100

Steps = Callable[[int, int, list[Any], list[Any], Any, Stop | None], tuple[int, Any, str | None]]
"""Takes (count, step, values, gradients, states, stop); returns how many steps were made, the parameters' new states
and the reason to stop, if there is one.

Values and gradients are lists by slot and are changed in place. It ends before a step whose objective or gradients are
not finite, or where a function raises, so that the caller can look at that step closely: then the nodes are left as
they were.
"""


def compile_steps(plan: Plan, values: Sequence[Any], feed: Feed | None = None, step_size: Any = None) -> Steps:
    """Compile the steps of a plan, of which some values are known by slot; another step size than its own is given."""
    functions: dict[str, Any] = {
        "xp": namespace(plan.dtype),
        "isfinite": math.isfinite,
        "norm": norm,
    }
    functions |= {"minimum": np.minimum, "maximum": np.maximum, "as_index": as_index, "total": add_up}
    functions |= {"asarray": np.asarray, "dtype": plan.dtype, "number": plan.dtype.type, "square": np.vdot}
    functions |= {"zero": plan.dtype.type(0), "one": plan.dtype.type(1)}
    functions |= {f"n{slot}": values[slot] for slot in _fixed(plan)}
    functions |= {"step_size": step_size}
    if feed is not None:
        functions["rows"] = feed.batch
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
        self.asked: dict[int, tuple[set[int], set[int]]] = {}
        self.own: set[str] = set()
        self.passes = self.begin()
        code = PassWriter(plan=plan, add=self.passes.append, value="n{}".format, gradient="h{}".format, gets=self.gets)
        code.forward(plan.in_loop, self.forward)
        self.given = code.backward("one", self.contributions)

    def text(self) -> str:
        """Return the source of the function ``steps``."""
        plan = self.plan
        parameters = range(plan.parameters)
        states = [f"s{k}_{i}" for k in parameters for i in range(len(plan.rule.state))]
        kept_by_nodes = plan.state_slots
        # What a step that fails must leave as it was.
        moved = [*((f"v{k}", f"n{k}") for k in parameters), *((s, f"t{s[1:]}") for s in states)]
        moved += [(f"g{k}", f"h{k}") for k in parameters if k in self.given]
        moved += [(f"v{slot}", f"n{slot}") for slot in kept_by_nodes]
        body = [*self.update(), *self.next_states(), *self.passes]
        nodes = [slot for batch in plan.in_loop for slot in batch.slots]
        drawn = [noise.slot for noise in plan.noise]
        leaves = [*(plan.data if plan.feeds else ()), *drawn]
        lines = [
            "def steps(count, step, values, gradients, states, stop):",
            *(f"    v{k} = values[{k}]" for k in (*parameters, *kept_by_nodes)),
            *(f"    g{k} = gradients[{k}]" for k in parameters if k in self.given),
            *([f"    {_tuple(states)} = states"] if states else []),
            *(f"    n{slot} = values[{slot}]" for slot in self.read_by_states()),
            "    first, reason = step, None",
            "    for step in range(first + 1, first + count + 1):",
            "        try:",
            *(f"            {line}" for line in body),
            f"            finite = isfinite({self.watched()})",
            "        except (Exception, SystemExit):",
            "            finite = False",
            "        if not finite:",
            "            step -= 1",
            "            break",
            f"        {_tuple([name for name, _ in moved])} = {_tuple([name for _, name in moved])}",
            "        if stop is not None:",
            f"            reason = stop(float(n{plan.objective}), norm({', '.join(self.parameters_gradients('h'))}))",
            "            if reason:",
            "                break",
            "    if finite:",
            *(f"        values[{k}] = n{k}" for k in [*leaves, *nodes]),
            *(f"        gradients[{k}] = h{k}" for k in sorted(self.given)),
            *(f"    values[{k}] = v{k}" for k in (*parameters, *kept_by_nodes)),
            *(f"    gradients[{k}] = g{k}" for k in parameters if k in self.given),
            f"    return step - first, {_tuple(states)}, reason",
        ]
        return "\n".join(lines) + "\n"

    def parameters_gradients(self, prefix: str) -> list[str]:
        """Name the gradients of the parameters; of those that the objective does not depend on, zeros."""
        names = []
        for k in range(self.plan.parameters):
            if k not in self.given:
                self.functions[f"zero{k}"] = np.zeros(self.plan.shapes[k], self.plan.dtype)[()]
            names.append(f"{prefix}{k}" if k in self.given else f"zero{k}")
        return names

    def update(self) -> list[str]:
        """Write the update of every parameter."""
        plan, rule = self.plan, self.plan.rule
        lines = []
        settings = self.settings("rule", plan.update.settings)
        if self.functions["step_size"] is not None:
            settings = [s for s in settings if not s.startswith("step_size=")] + ["step_size=step_size"]
        elif plan.update.by_step is not None:
            schedule, its_settings = plan.update.by_step
            self.functions["schedule"] = schedule.function
            self.functions["numpy"] = np
            call = ", ".join(["numpy", "step - 1", *self.settings("schedule", its_settings)])
            lines.append(f"step_size = number(schedule({call}))")
            settings = [s for s in settings if not s.startswith("step_size=")] + ["step_size=step_size"]
        gradients = [f"g{k}" if k in self.given else f"v{k} * 0" for k in range(plan.parameters)]
        if plan.update.clips:
            self.functions["clip"] = clipping(plan)
            gradients = [f"c{k}" for k in range(plan.parameters)]
            lines.append(f"{_tuple(gradients)} = clip({_tuple(self.parameters_gradients('g'))})")
        for k, gradient in enumerate(gradients):
            states = [f"s{k}_{i}" for i in range(len(rule.state))]
            new = [f"n{k}", *(f"t{k}_{i}" for i in range(len(rule.state)))]
            step = ["step"] if rule.takes_step else []
            negated = plan.maximize and (k in self.given or gradient.startswith("c"))
            call = ", ".join(["xp", f"v{k}", f"-{gradient}" if negated else gradient, *step, *states, *settings])
            self.functions[f"rule{k}"] = plan.rules[k].function
            lines.append(f"{', '.join(new)} = rule{k}({call})")
            bounds = plan.bounds[k]
            if bounds is not None:
                self.functions[f"lower{k}"], self.functions[f"upper{k}"] = bounds
                lines.append(f"n{k} = minimum(maximum(n{k}, lower{k}), upper{k})")
        return lines

    def next_states(self) -> list[str]:
        """Write what nodes keep after the step before, made of its values: the nodes', and the parameters' old ones."""
        lines = []
        fresh = []
        for number, node in enumerate(self.plan.states):
            batch = node.batch
            self.functions[f"next{number}"] = batch.type.next_state
            inputs = self.plan.inputs_of(batch.start)
            names = [self.before(slot) for slot in (batch.start, *inputs)]
            call = ", ".join(["xp", *names, *self.settings(f"next{number}", batch.settings)])
            following = [f"m{slot}" for slot in node.slots]
            lines.append(f"{_tuple(following)} = next{number}({call})")
            fresh += [f"n{slot} = asarray(m{slot}, dtype)[()]" for slot in node.slots]
        return lines + fresh

    def before(self, slot: int) -> str:
        """Name a value of the step before, once the parameters have been updated."""
        kept = slot < self.plan.parameters or slot in self.plan.state_slots
        return f"v{slot}" if kept else f"n{slot}"

    def read_by_states(self) -> list[int]:
        """Return the slots that change from step to step and that the nodes' next states are made of."""
        fixed = set(_fixed(self.plan))
        read = {
            slot
            for node in self.plan.states
            for slot in (node.batch.start, *self.plan.inputs_of(node.batch.start))
            if slot not in fixed and self.before(slot).startswith("n")
        }
        return sorted(read)

    def begin(self) -> list[str]:
        """Write what belongs to the step: its rows of the data set, its random numbers."""
        plan = self.plan
        lines = []
        if plan.feeds:
            lines.append(f"{_tuple([f'n{slot}' for slot in plan.data])} = rows(step)")
            # A column that only selects keeps its integers.
            others = [slot for slot in plan.data if plan.leaves[slot].dtype.kind not in "iu"]
            lines += [f"n{slot} = asarray(n{slot}, dtype)" for slot in others]
        for noise in plan.noise:
            self.functions[f"draw{noise.slot}"] = partial(uniform, np, noise.key)
            lines.append(f"n{noise.slot} = asarray(draw{noise.slot}(step, {noise.shape}), dtype)[()]")
        return lines

    def forward(self, batch: Batch, inputs: list[int]) -> str:
        """Write the call of a node's forward function."""
        call = self.call(batch, "keep" if self.keeps(batch) else "f", self.arguments(batch, inputs))
        if self.keeps(batch):
            return f"(k{batch.start} := {call})[0]"
        if batch.casts:
            return f"asarray({call}).astype(dtype)[()]" if batch.shape else f"number({call})"
        return call

    def keeps(self, batch: Batch) -> bool:
        """Whether a node's forward function gives what its second one is handed."""
        return keeps(batch) is not None and any(self.plan.moving[slot] for slot in self.plan.inputs_of(batch.start))

    def contributions(self, batch: Batch, output: int, inputs: list[int]) -> Iterator[tuple[int, str]]:
        """Write the call of a node's derivatives, and what it gives to its inputs."""
        targets = [(k, slot) for k, slot in enumerate(inputs) if self.plan.moving[slot]]
        if not targets:
            return
        if batch.start not in self.asked:
            self.asked[batch.start] = _without_derivative(batch, self.plan, self.values)
        silent, placed = self.asked[batch.start]
        arguments = [f"n{output}", *self.arguments(batch, inputs)]
        if not batch.type.is_elementwise:
            arguments.insert(0, f"h{output}")
        if self.keeps(batch):
            arguments.append(f"kept=k{output}[1]")
        partials = [f"p{k}" for k in range(len(inputs))]
        self.passes.append(f"{_tuple(partials)} = {self.call(batch, 'd', arguments)}")
        for k, slot in targets:
            if k in silent:
                self.passes.append(f"if p{k} is not None: raise TypeError")
            elif k in placed:
                yield slot, _Placed(f"p{k}")
            else:
                yield slot, self.contribution(batch, output, k, slot)

    def gets(self, gradient: str, given: str, before: int) -> str:
        """Write what a gradient gets; added in place where it is a sum already, or zeros but for a place in them."""
        added = f"{given}()" if isinstance(given, _Placed) else given
        if not before:
            if isinstance(given, _Placed):
                self.own.add(gradient)
            return f"{gradient} = {added}"
        if before == 1 and gradient not in self.own:
            return f"{gradient} = {gradient} + {added}"
        return f"{given}.add_to({gradient})" if isinstance(given, _Placed) else f"{gradient} += {added}"

    def contribution(self, batch: Batch, output: int, k: int, slot: int) -> str:
        """Write what a node gives to one of its inputs."""
        shape, dtype = self.plan.shapes[slot], self.plan.dtype
        if batch.type.is_elementwise and not batch.shape and dtype == np.float64:
            return f"p{k}" if output == self.plan.objective else f"h{output} * p{k}"
        if batch.type.is_elementwise:
            # Nothing is multiplied by 1, the derivative of a sum.
            given = f"(h{output} if p{k}.__class__ is float and p{k} == 1.0 else h{output} * p{k})"
            axes = broadcast_axes(shape, batch.shape)
            if axes is not None:
                kept = tuple(size for axis, size in enumerate(batch.shape) if axis not in axes)
                given = f"total({given}, {axes})" + ("" if kept == shape else f".reshape({shape})")
        else:
            given = f"(p{k}() if callable(p{k}) else p{k})"
        if dtype != np.float64:
            given = f"asarray({given}, dtype)" + ("" if shape else "[()]")
        return given

    def watched(self) -> str:
        """Write a number that is finite only if the objective and all gradients of parameters are."""
        # The sum of squares takes a fifth of the time of looking at each element.
        gradients = [
            f"square(h{k}, h{k})" if self.plan.shapes[k] else f"h{k}"
            for k in range(self.plan.parameters)
            if k in self.given
        ]
        return " + ".join([f"n{self.plan.objective}", *gradients])

    def arguments(self, batch: Batch, inputs: Sequence[int]) -> list[str]:
        """Name the inputs of a node, those that select as integers."""
        indices = batch.type.index_inputs
        return [f"as_index(n{slot})" if k in indices else f"n{slot}" for k, slot in enumerate(inputs)]

    def call(self, batch: Batch, prefix: str, arguments: list[str]) -> str:
        """Write a call of one of a type's functions: forward, forward and keeping, or derivatives."""
        key = prefix, batch.type, batch.settings
        name = f"{prefix}{self.calls.setdefault(key, len(self.calls))}"
        function, derivative = batch.type.functions("numpy")
        self.functions[name] = {"f": function, "d": derivative, "keep": batch.type.keeps("numpy")}[prefix]
        return f"{name}({', '.join(['xp', *arguments, *self.settings(name, batch.settings)])})"

    def settings(self, owner: str, settings: tuple[tuple[str, Any], ...]) -> list[str]:
        """Write settings as keyword arguments, whose values are names too."""
        for setting, value in settings:
            self.functions[f"{owner}_{setting}"] = value
        return [f"{setting}={owner}_{setting}" for setting, _ in settings]


class _Placed(str):
    """The name of a part of a gradient that is zeros but for a place in them (`graphrun.nodes.placing`)."""

    __slots__ = ()


def _tuple(names: Sequence[str]) -> str:
    return f"({', '.join(names)},)" if names else "()"


def _fixed(plan: Plan) -> Iterator[int]:
    """Yield the slots whose values no step changes."""
    yield from (slot for slot in range(plan.parameters, len(plan.leaves)) if slot not in plan.changing_leaves)
    for batch in plan.once:
        yield from batch.slots


def _without_derivative(batch: Batch, plan: Plan, values: Sequence[Any]) -> tuple[set[int], set[int]]:
    """Return the inputs that a type gives None for, and those it gives a `Placed`, by asking it once more."""
    arguments = [values[slot] for slot in (batch.start, *plan.inputs_of(batch.start))]
    if not batch.type.is_elementwise:
        arguments.insert(0, np.ones_like(arguments[0]))
    with np.errstate(all="ignore"):
        partials = bind(plan, batch).derivative(*arguments)
    silent = {k for k, partial in enumerate(partials) if partial is None}
    return silent, {k for k, partial in enumerate(partials) if isinstance(partial, Placed)}
