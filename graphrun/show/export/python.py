"""`graphrun export FILE --to python`: a run as a program of plain Python, the way one would write it by hand.

The functions of the node types are traced (`declare.trace`) and written out where they are used, so the text
needs nothing but Python. It computes with Python's floats, which raise where NumPy's numbers become infinite.
"""

from __future__ import annotations

import itertools
import keyword
import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from graphrun.base.version import __version__
from graphrun.base.wording import printable
from graphrun.declare.notation import python
from graphrun.declare.trace import FLOAT, Expression, inputs_first, inputs_of, size_of
from graphrun.declare.writer import Writer
from graphrun.document import StopEntry
from graphrun.engines.straight_line import PassWriter, adding
from graphrun.engines.traced import Known, NotSupportedError, Tracer, check_supported
from graphrun.plan.plan import Batch
from graphrun.run.api import Graph

HELPERS = {
    "logaddexp": """\
def logaddexp(x, y):
    return max(x, y) + log1p(exp(-abs(x - y)))
""",
    "sign": """\
def sign(x):
    return float((x > 0) - (x < 0))
""",
}
# Python's own give integers, in which the sign of zero is lost.
HELPERS |= {
    name: f"""\
def {name}(x):
    return math.copysign({function}(x), x)
"""
    for name, function in {"floor": "math.floor", "ceil": "math.ceil", "trunc": "math.trunc", "rint": "round"}.items()
}
NEEDS = {"logaddexp": {"exp", "log1p"}}
BUILT_IN = {"abs", "float", "max", "min", "round", "print", "range", "math", "step", "steps", "__debug__", *HELPERS}
BUILT_IN |= {"previous", "best", "since_best", "factor"}
RESERVED = {name for name in dir(math) if not name.startswith("_")} | BUILT_IN

LARGEST_INLINE = 20
"""A function of more numbers and operations than this is written once, as a function, and called."""


def export(graph: Graph, *, steps: int | None = None) -> str:
    """Return a run of a graph of numbers as a program, which makes so many steps, default the file's.

    Raises:
        NotSupportedError: it is no graph of numbers, or has a node type that is not made of arithmetic.
    """
    check_supported(graph.plan("float64"))
    if graph.document.watches:
        raise NotSupportedError("what a run does by its recorded rows, as plateau or keep: best, cannot be written out")
    return _Program(graph, graph.steps if steps is None else steps).text()


class _Program:
    """Writes the program; a value has its name in the file, the derivative of f by x is ``df_dx``."""

    def __init__(self, graph: Graph, steps: int) -> None:
        self.graph = graph
        self.plan = graph.plan("float64")
        self.steps = steps
        self.tracer = Tracer(self.plan)
        self.notation = python()
        self.lines: list[str] = []
        self.functions: dict[Any, tuple[str, list[str]]] = {}
        self.taken = set(RESERVED)
        self.names: list[str] = []
        for slot, name in enumerate(self.plan.names):
            if name is None:
                # A number of the file is written where it is used.
                self.names.append(self.notation.constant(self.tracer.literals[slot], FLOAT)[0])
            else:
                self.names.append(self.new(name))
        target = self.names[self.plan.objective or 0]
        self.gradients = [
            self.new(f"d{target}_d{name}") if given else ""
            for name, given in zip(self.names, self.plan.names, strict=True)
        ]
        temporaries = itertools.count(1)
        self.write = Writer(self.notation, self.add, lambda: self.new(f"t{next(temporaries)}")).write
        self.code = PassWriter(
            plan=self.plan,
            add=self.add,
            value=self.names.__getitem__,
            gradient=self.gradients.__getitem__,
            gets=adding("{0} += {1}"),
        )

    def text(self) -> str:
        plan = self.plan
        parameters = range(plan.parameters)
        constants = [s for s in range(plan.parameters, len(plan.leaves)) if plan.names[s] is not None]
        verb = "maximize" if plan.maximize else "minimize"
        title = f"{plan.names[plan.objective or 0]} is {verb}d by {plan.rule.name}"
        self.add("# Parameters: what an update moves.", *(self.assign(k) for k in parameters))
        if constants:
            self.add("", "# Constants.", *(self.assign(slot) for slot in constants))
        self.nodes("Nodes that no step changes.", [b for b in plan.batches if not b.varying and b.needed])
        self.states()
        self.settings()
        self.add("", f"steps = {self.steps}", "for step in range(steps + 1):")
        self.indented(self.step)
        self.add("")
        self.show([plan.objective or 0, *parameters])
        # After what the run is for: these may be the logarithm of a negative number, where Python raises.
        aside = [b for b in plan.batches if not b.needed]
        self.nodes("Nodes that the objective does not depend on.", aside)
        self.show([slot for batch in aside for slot in batch.slots])
        return "\n".join([*self.header(title), *self.lines]) + "\n"

    def show(self, slots: Iterable[int]) -> None:
        """Write what prints some values."""
        self.add(*(f'print("{self.plan.names[slot]} =", {self.names[slot]})' for slot in slots))

    def header(self, title: str) -> Iterator[str]:
        """Yield the docstring, the imports and the helpers."""
        file = self.graph.name.replace("\\", "/").rpartition("/")[2]
        # A file may have any name: one with quotes or a line break must not become code.
        named = printable(file).replace("\\", "\\\\").replace('"', '\\"')
        yield f'"""{named} as a program: {title}."""'
        yield f"# Written by graphrun {__version__}: graphrun export {printable(shlex.quote(file))} --to python"
        if self.graph.document.dtype == "float32":
            yield "# Python's numbers are of double precision; those of the graph file are float32."
        used = set(self.notation.used)
        for name in list(used):
            used |= NEEDS.get(name, set())
        imported = sorted(name for name in used - set(HELPERS) if hasattr(math, name))
        lines = ["import math"] if any("math." in HELPERS[name] for name in used & set(HELPERS)) else []
        lines += [f"from math import {', '.join(imported)}"] if imported else []
        yield from ("", *lines) if lines else ()
        for name, helper in HELPERS.items():
            if name in used:
                yield from ("", "", helper.rstrip())
        for _, lines in self.functions.values():
            yield from ("", "", *lines)
        yield from ("", "") if self.functions or used & set(HELPERS) else ("",)

    def step(self) -> None:
        plan = self.plan
        self.add("# Forward pass: each node from its inputs.")
        self.code.forward(plan.in_loop, self.forward)
        name = plan.names[plan.objective or 0]
        self.add("", f"# Backward pass: the derivative of {name} by each value, from {name} back to the parameters.")
        given = self.code.backward("1.0", self.contributions)
        moving = (slot for batch in plan.in_loop for slot in batch.slots)
        self.add(*(f"{self.gradients[k]} = 0.0" for k in (*range(plan.parameters), *moving) if k not in given))
        if self.graph.document.stop is not None:
            self.add("", "# Stop rules.", *self.stop(self.graph.document.stop))
        self.add("", "if step == steps:", "    break", "", "# Update: every parameter at once.")
        self.update()

    def nodes(self, title: str, batches: Sequence[Batch]) -> None:
        """Write some nodes under a title."""
        if batches:
            self.add("", f"# {title}")
            self.code.forward(batches, self.forward)

    def forward(self, batch: Batch, inputs: list[int]) -> str:
        """Return what the forward function of a node gives."""
        known = self.tracer.known(inputs)
        functions = self.tracer.functions(batch, known)
        return self.expression((batch, "", known), functions.forward, self.inputs(inputs))

    def contributions(self, batch: Batch, output: int, inputs: list[int]) -> Iterator[tuple[int, str]]:
        """Yield what a node gives to its inputs."""
        for position, slot in enumerate(inputs):
            text = self.contribution(batch, position, inputs, output) if self.plan.moving[slot] else None
            if text is not None:
                yield slot, text

    def contribution(self, batch: Batch, position: int, inputs: Sequence[int], output: int) -> str | None:
        """Return what a node gives to the gradient of one of its inputs."""
        known = self.tracer.known(inputs)
        partial = self.tracer.functions(batch, known, seed=True).contributions[position]
        names = self.inputs(inputs) | {"y": self.names[output], "g": self.gradients[output]}
        if partial is None:
            return None
        at_objective = output == self.plan.objective
        # Elsewhere Python raises where a derivative is not finite, so the readable product is right.
        is_masked = any(part.is_constant and not math.isfinite(part.value) for part in inputs_first([partial]))
        if size_of([partial]) > LARGEST_INLINE or at_objective:
            suffix = "_derivative" if batch.arity == 1 else f"_derivative_{position + 1}"
            text = self.expression((batch, suffix, known), partial, names)
            if at_objective:
                return text
            product = f"{names['g']} * {text}"
            return f"0.0 if {names['g']} == 0.0 else {product}" if is_masked else product
        contribution = self.tracer.functions(batch, known, masked=is_masked).contributions[position]
        assert contribution is not None  # noqa: S101 (for the type checker)
        return self.write([contribution], names)[0]

    def expression(self, of: tuple[Batch, str, Known], expression: Expression, names: Mapping[str, str]) -> str:
        """Return an expression of a node's inputs; a large one as a call of a function that is written once."""
        if size_of([expression]) <= LARGEST_INLINE:
            return self.write([expression], names)[0]
        used = sorted(inputs_of([expression]))
        batch, suffix, known = of
        key = batch.type, batch.settings, suffix, known
        if key not in self.functions:
            declared = {f"x{k}": name for k, name in enumerate(batch.type.inputs)} | {"y": "output"}
            arguments = {name: declared.get(name, name) for name in used}
            lines: list[str] = []
            count = itertools.count(1)
            writer = Writer(self.notation, lines.append, lambda: f"t{next(count)}")
            (result,) = writer.write([expression], arguments)
            name = self.new(batch.type.name + suffix)
            head = f"def {name}({', '.join(arguments.values())}):"
            self.functions[key] = name, [head, *(f"    {line}" for line in (*lines, f"return {result}"))]
        return f"{self.functions[key][0]}({', '.join(names[name] for name in used)})"

    def states(self) -> None:
        """Write the first states of the update rule: zeros."""
        parameters = self.names[: self.plan.parameters]
        self.state_names = [[self.new(f"{name}_{state}") for name in parameters] for state in self.plan.rule.state]
        states = itertools.chain(*self.state_names)
        if self.state_names and parameters:
            self.add("", f"# What {self.plan.rule.name} keeps of the steps before.", *(f"{s} = 0.0" for s in states))

    def settings(self) -> None:
        """Write the step size where it is the same in every step."""
        settings = dict(self.plan.update.settings)
        self.step_size = self.new("step_size")
        if self.plan.update.schedule is None and "step_size" in settings:
            self.add("", f"{self.step_size} = {settings['step_size']!r}")
        entry = self.graph.document.stop
        if entry is not None and entry.change is not None:
            self.add("previous = inf")
            self.notation.used.add("inf")
        if entry is not None and entry.patience is not None:
            self.add("best = inf", "since_best = 0")
            self.notation.used.add("inf")

    def update(self) -> None:
        plan = self.plan
        schedule = self.tracer.step_size()
        if schedule is not None:
            (text,) = self.write([schedule], {"steps_made": "step"})
            self.add(f"{self.step_size} = {text}")
        gradients = self.clipped()
        for k in range(plan.parameters):
            rule = self.tracer.update(plan.rules[k])
            states = [names[k] for names in self.state_names]
            names = {"value": self.names[k], "gradient": gradients[k], "step": "(step + 1)"}
            names |= {"step_size": self.step_size, **dict(zip(plan.rule.state, states, strict=True))}
            known = self.new_states(rule, names, states)
            targets, expressions = [self.names[k], *states], rule
            if known is not None:
                targets, expressions = targets[:1], rule[:1]
            texts = self.write(expressions, names, known or {})
            low, high = map(float, plan.bounds[k] or (-math.inf, math.inf))
            texts[0] = texts[0] if math.isinf(low) else f"max({texts[0]}, {low!r})"
            texts[0] = texts[0] if math.isinf(high) else f"min({texts[0]}, {high!r})"
            self.add(f"{', '.join(targets)} = {', '.join(texts)}")

    def new_states(
        self, rule: Sequence[Expression], names: Mapping[str, str], states: Sequence[str]
    ) -> dict[Expression, str] | None:
        """Write the states one after the other, if nothing that comes later needs what one was before.

        Returns:
            The names of the new states; None where all have to change at once.
        """
        known: dict[Expression, str] = {}
        for position, name in enumerate(self.plan.rule.state, 1):
            known[rule[position]] = states[position - 1]
            if name in inputs_of([rule[0], *rule[position + 1 :]], known):
                return None
        known = {}
        for expression, state in zip(rule[1:], states, strict=True):
            self.add(f"{state} = {self.write([expression], names, known)[0]}")
            known[expression] = state
        return known

    def clipped(self) -> list[str]:
        """Write the clipping of the gradient, and return the names of its parts."""
        gradients = self.gradients[: self.plan.parameters]
        within, factor = self.tracer.clipping()
        if within is not None:
            clipped = [self.new(f"{name}_clipped") for name in gradients]
            for new, gradient in zip(clipped, gradients, strict=True):
                self.add(f"{new} = {self.write([within], {'gradient': gradient})[0]}")
            gradients = clipped
        if factor is not None:
            self.add(f"factor = {self.write([factor], {'norm': self.norm(gradients)})[0]}")
            gradients = [f"({name} * factor)" for name in gradients]
        return gradients

    def stop(self, entry: StopEntry) -> Iterator[str]:
        plan = self.plan
        objective = self.names[plan.objective or 0]
        seen = self.tracer.watched(-1.0 if plan.maximize else 1.0)
        if entry.gradient_norm is not None:
            norm = self.norm(self.gradients[: plan.parameters])
            yield from (f"if {norm} <= {float(entry.gradient_norm)!r}:", "    break")
        if entry.value is not None:
            sign = ">=" if plan.maximize else "<="
            yield from (f"if {objective} {sign} {float(entry.value)!r}:", "    break")
        if entry.change is not None:
            yield from (f"if {self.seen([seen.change])[0]} <= {float(entry.change)!r}:", "    break")
            yield f"previous = {objective}"
        if entry.patience is not None:
            yield f"best, since_best = {', '.join(self.seen([seen.best, seen.since_best]))}"
            yield from (f"if since_best >= {entry.patience}:", "    break")

    def seen(self, expressions: Sequence[Expression]) -> list[str]:
        """Return the texts of what a stop rule sees."""
        names = {"objective": self.names[self.plan.objective or 0]}
        names |= {name: name for name in ("previous", "best", "since_best")}
        return self.write(expressions, names)

    def norm(self, gradients: Sequence[str]) -> str:
        """Return the norm of the gradient: Python's own neither overflows nor vanishes on the way."""
        self.notation.used.add("hypot")
        return f"hypot({', '.join(gradients)})"

    def assign(self, slot: int) -> str:
        return f"{self.names[slot]} = {float(self.plan.leaves[slot])!r}"

    def inputs(self, slots: Sequence[int]) -> dict[str, str]:
        texts = (self.names[slot] for slot in slots)
        return {f"x{k}": f"({text})" if text.startswith("-") else text for k, text in enumerate(texts)}

    def new(self, name: str) -> str:
        """Return a name of the file as one of Python's that is not taken."""
        name = name.replace(".", "_")
        while name in self.taken or keyword.iskeyword(name):
            name += "_"
        self.taken.add(name)
        return name

    def add(self, *lines: str) -> None:
        self.lines += lines

    def indented(self, write: Callable[[], None]) -> None:
        """Add the lines that a function writes, as those of a block."""
        before, self.lines = self.lines, []
        write()
        self.lines = before + [f"    {line}" if line else "" for line in self.lines]
