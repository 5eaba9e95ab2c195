"""The source text of a plan's steps: what the straight-line form and the form by batches have in common.

The function `steps` evaluates at the parameters as they are, then updates and evaluates again, until the steps are
made, a stop rule is met, or something is not finite. Every number comes from the same code however the steps are cut
into calls, so a run does not depend on how often it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graphrun.base.norms import GROWN, LEAST, MOST, SHRUNK
from graphrun.declare.updaterule import UpdateRule
from graphrun.declare.writer import Writer
from graphrun.engines.numba.notation import Literals, notation
from graphrun.engines.traced import Tracer

DONE, NOT_FINITE, GRADIENT_NORM, VALUE, CHANGE, PATIENCE = range(6)
"""What `steps` ends with; the last four are the stop rules in the order of `StopRule`."""

ARGUMENTS = {
    "count": "int64",  # how many steps to make
    "step": "int64",  # how many were made
    "step_size": "float64",
    "values": "{F}[::1]",  # by slot
    "gradients": "{F}[::1]",  # by slot
    "states": "{F}[:, ::1]",  # of the update rule: state, parameter
    "trial": "{F}[::1]",  # the parameters at which something was not finite
    "kept": "{F}[:, ::1]",  # room for the parameters and the states before a step
    "bounds": "{F}[:, ::1]",  # lower and upper, parameter
    "limits": "float64[::1]",  # of the stop rules; NaN for none
    "memory": "float64[::1]",  # of the stop rules: previous, best, since_best, sign of the objective
    "batches": "int32[::1]",  # of each batch: the loop that it is for, first slot, slot after the last, place
    "operands": "int32[::1]",  # node by node; a batch's begin at its place
}

HEADER = """\
import math

import numpy as np

from graphrun.engines.numba.instructions import floor_divide, hypot, read, select, tanh, write
"""

# The Euclidean norm as `root_of_squares` has it.
NORM = f"""\
squares = 0.0
for k in range({{count}}):
    squares += float(gradients[k]) ** 2
norm = math.sqrt(squares)
if not (squares >= {LEAST!r} and squares <= {MOST!r}):
    scale = {GROWN!r} if squares < {LEAST!r} else {SHRUNK!r}
    squares = 0.0
    for k in range({{count}}):
        squares += (float(gradients[k]) * scale) ** 2
    norm = math.sqrt(squares) / scale
"""


def _nothing() -> NDArray[np.int32]:
    return np.zeros(0, np.int32)


@dataclass(frozen=True)
class StepsCode:
    """What is compiled of a plan.

    Attributes:
        text: a module that defines the function ``steps``.
        size: how many operations it has, which is what compiling it takes its time for.
        masked: a gradient of exactly 0 gives 0 in it, whatever the local derivative is.
        batches, operands: the arrays of `ARGUMENTS` that loops read; straight-line code reads none.
    """

    text: str
    size: int
    masked: bool
    batches: NDArray[np.int32] = field(default_factory=_nothing)
    operands: NDArray[np.int32] = field(default_factory=_nothing)

    @property
    def is_straight_line(self) -> bool:
        """Whether the steps are straight-line code, not loops."""
        return not len(self.batches)


class Lines:
    """The lines of a function, indented."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.plan = tracer.plan
        self.literal = Literals(self.plan.dtype)
        self.write = Writer(notation(self.literal), self.add, self.new_name).write
        self.lines: list[str] = []
        self.names = 0
        self.indent = 1

    def add(self, *lines: str) -> None:
        """Add lines; those of a block are indented by the line itself."""
        self.lines += ["    " * self.indent + line for line in lines]

    def block(self, text: str, deeper: int = 0) -> None:
        """Add a text of several lines."""
        self.add(*("    " * deeper + line for line in text.splitlines()))

    def new_name(self) -> str:
        """Return a name that is not in use."""
        self.names += 1
        return f"t{self.names}"

    def module(self) -> str:
        """Return the module."""
        head = [f"# Numbers of {self.plan.dtype.name}.", HEADER, *self.literal.header(), "", ""]
        return "\n".join([*head, f"def steps({', '.join(ARGUMENTS)}):", *self.lines, ""])

    def step_size(self) -> None:
        """Write the step size of the step that comes next, by the schedule."""
        expression = self.tracer.step_size()
        if expression is not None:
            (text,) = self.write([expression], {"steps_made": "float(step - 1)"})
            self.add(f"scheduled = {text}")

    def updated(self, rule: UpdateRule, value: str, gradient: str, states: Sequence[str]) -> str:
        """Write the new value of a parameter and its new states, by its rule and the names of what they are made of."""
        step_size = "step_size" if self.plan.update.by_step is None else "scheduled"
        names = {"value": value, "gradient": gradient, "step": "float(step)", "step_size": step_size}
        texts = self.write(self.tracer.update(rule), names | dict(zip(self.plan.rule.state, states, strict=True)))
        return ", ".join(texts)

    def clip(self, count: int) -> None:
        """Write the clipping of `gradients` to the largest value and the largest norm that are allowed.

        Where an update takes the mean of several, it is their mean that is clipped, as by `clip_mean`: ``due`` tells
        that nothing of what was accumulated is left to the rule.
        """
        within, factor = self.tracer.clipping()
        several, sign = self.plan.update.accumulate, "-" if self.plan.maximize else "+"
        if several > 1:
            number, last = self.literal(float(several)), len(self.plan.rule.state) - 1
            self.add(f"due = step % {several} == 0", "if due:")
            self.indent += 1
            self.block(
                f"for k in range({count}):\n    gradients[k] = (gradients[k] {sign} states[{last}, k]) / {number}"
            )
        if within is not None:
            (text,) = self.write([within], {"gradient": "gradients[k]"})
            self.block(f"for k in range({count}):\n    gradients[k] = {text}")
        if factor is not None:
            self.block(NORM.format(count=count))
            (text,) = self.write([factor], {"norm": "norm"})
            self.block(f"factor = {text}\nfor k in range({count}):\n    gradients[k] = gradients[k] * factor")
        if several > 1:
            self.block(f"for k in range({count}):\n    gradients[k] = gradients[k] * {number}")
            self.indent -= 1

    def watch(self, count: int, objective: str) -> None:
        """Write what a stop rule looks at after a step, and the code that it ends with."""
        self.block(NORM.format(count=count), deeper=1)
        self.indent += 1
        self.add(f"objective = float({objective})")
        names = {name: f"memory[{k}]" for k, name in enumerate(("previous", "best", "since_best", "sign"))}
        texts = self.write(self.tracer.watched(), {"objective": "objective", **names})
        self.add(f"value, change, patience, memory[1], memory[2] = {', '.join(texts)}", "memory[0] = objective")
        for k, watched in enumerate(("norm", "value", "change", "patience")):
            self.block(f"{'elif' if k else 'if'} {watched} <= limits[{k}]:\n    code = {GRADIENT_NORM + k}")
        self.indent -= 1


def signature(dtype: str) -> str:
    """Return the signature of ``steps`` for the graph's dtype."""
    return f"Tuple((int64, int64))({', '.join(ARGUMENTS.values())})".replace("{F}", dtype)


def sum_of(terms: Iterable[str]) -> str:
    """Return a sum whose parts do not wait for each other: by halves, not from left to right."""
    found = list(terms)
    while len(found) > 1:
        pairs = [f"({a} + {b})" for a, b in zip(found[::2], found[1::2], strict=False)]
        found = pairs + found[2 * len(pairs) :]
    return found[0] if found else "0.0"
