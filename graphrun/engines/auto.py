"""Engines by name, and that of a run that names none: by its work, by what is installed, by what compiling costs.

The figures are of two cores of a 2.6 GHz machine, and need not be exact. Those of arrays are a fit over many graphs by
`tests/bench/choice.py`, which tries them on others.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.declare.nodetype import Tensor
from graphrun.engines import Engine
from graphrun.engines.numpy import NODES_PER_BATCH, STRAIGHT_LINE_NODES, NumpyEngine
from graphrun.plan.plan import Batch, Feed, Plan
from graphrun.plan.runs import Run, find_runs

# What NumPy takes for a node and step: alone in straight-line code or called one by one, and in an array of many; the
# last is for each array operation.
SECONDS_PER_NODE = 1e-6
SECONDS_PER_BATCHED_NODE = 1e-7
SECONDS_PER_BATCH = 2e-5

# Importing Numba and loading code that is in the cache; compiling 1,000 operations and what every program has.
SECONDS_TO_LOAD = 0.8
SECONDS_TO_COMPILE = 0.7
SECONDS_TO_COMPILE_OPERATION = 8e-4


@dataclass(frozen=True)
class Costs:
    """What an engine takes for arrays, in seconds: what `tests/bench/choice.py` fits over many graphs.

    Attributes:
        start: importing the library, and compiling what every program has.
        compile: compiling a node or the update of a parameter; copies that are a loop are compiled once.
        step: beginning a step.
        call: both passes of a node.
        copy: both passes of a node in a loop over copies.
        element: an element that a pass reads or writes.
        product: a multiplication of matrices, with its addition.
        window: one of a convolution.
        update: moving a parameter, and each state that the rule keeps of it.
        row: handing out a row of the history.
    """

    start: float = 0.0
    compile: float = 0.0
    step: float = 0.0
    call: float = 0.0
    copy: float = 0.0
    element: float = 0.0
    product: float = 0.0
    window: float = 0.0
    update: float = 0.0
    row: float = 0.0


NUMPY = Costs(call=3.9e-6, copy=1.1e-5, element=1.7e-9, product=7.4e-11, window=2.7e-10, update=1.3e-5)
JAX = Costs(
    start=3.2,
    compile=0.021,
    step=5.5e-7,
    call=5.1e-7,
    copy=1.1e-6,
    element=6.7e-10,
    product=6.9e-11,
    window=1.8e-10,
    update=8.9e-7,
    row=2.7e-4,
)

ROWS = 1000
"""So many rows has the history of a run of more steps."""

INSTALL_JAX = "pip install 'graphrun[jax]'"
INSTALL = "pip install 'graphrun[numba]'"


ENGINES = ("numpy", "numba", "jax")


def get_engine(name: str) -> Engine:
    """Return an engine by name, imported now; ``auto`` is no engine but a choice, made by `choose`.

    Raises:
        UsageError: there is no such engine.
    """
    if name == "numpy":
        return NumpyEngine()
    if name == "numba":
        from graphrun.engines.numba.engine import NumbaEngine

        return NumbaEngine()
    if name == "jax":
        from graphrun.engines.jax import JaxEngine

        return JaxEngine()
    raise UsageError(f"engine {name!r} is unknown; there are: auto, {', '.join(ENGINES)}")


@dataclass(frozen=True)
class Choice:
    """What ``auto`` chose.

    Attributes:
        engine: the name.
        reason: why, in a few words.
        suggestion: what would make the run faster, or why something that would cannot, or "".
    """

    engine: str
    reason: str
    suggestion: str = ""

    def __str__(self) -> str:
        """The choice in one line."""
        return f"engine {self.engine}: {self.reason}" + (f"; {self.suggestion}" if self.suggestion else "")


def choose(plan: Plan, steps: int, feed: Feed | None = None) -> Choice:
    """Choose an engine for so many steps at most."""
    seconds = numpy_seconds(plan, steps)
    if seconds < 2 * SECONDS_TO_LOAD:
        return Choice("numpy", f"a run of {shown(seconds)} is short")
    if feed is None and not plan.has_arrays:
        return _for_numbers(plan, seconds)
    return _for_arrays(plan, feed, steps, seconds)


def keep(engine: str, choice: Choice) -> Choice:
    """Return the choice for a run that goes on from a checkpoint: the engine that began it, for its last bits.

    `engine` is the checkpoint's, "" where that is not known; `choice` is what would be chosen without it.
    """
    # Each is named as the library that it needs.
    if engine not in ENGINES or engine == choice.engine or importlib.util.find_spec(engine) is None:
        return choice
    faster = "" if choice.engine == "numpy" else f"--engine {choice.engine} would be faster"
    return Choice(engine, "it began this run, and goes on with it bit for bit", faster)


def numpy_seconds(plan: Plan, steps: int) -> float:
    """Estimate how long the NumPy engine would take for some steps of both passes."""
    batches = plan.in_loop
    nodes = sum(batch.count for batch in batches)
    if plan.has_arrays:
        return work_of(plan, steps).seconds(NUMPY)
    if nodes <= STRAIGHT_LINE_NODES or nodes < NODES_PER_BATCH * len(batches):
        return steps * (nodes * SECONDS_PER_NODE + 1e-6)
    return steps * (nodes * SECONDS_PER_BATCHED_NODE + len(batches) * SECONDS_PER_BATCH)


class Work(NamedTuple):
    """How much of what has a cost there is, field by field of `Costs`: of a run of some steps."""

    start: float
    compile: float
    step: float
    call: float
    copy: float
    element: float
    product: float
    window: float
    update: float
    row: float

    def seconds(self, costs: Costs) -> float:
        """Return what an engine takes for it."""
        return float(sum(number * getattr(costs, name) for name, number in self._asdict().items()))


def work_of(plan: Plan, steps: int, runs: Sequence[Run] = ()) -> Work:
    """Count the work of a run on arrays, both passes and the updates; `runs` are the copies that are a loop."""
    in_runs = {
        slot: number < run.slots.shape[1] for run in runs for number, slot in enumerate(run.slots.ravel().tolist())
    }
    compiled = calls = copies = 0
    elements = products = windows = 0.0
    for batch in plan.in_loop:
        shapes = [plan.shapes[slot] for slot in plan.inputs_of(batch.start)]
        of_copies = sum(slot in in_runs for slot in batch.slots)
        calls += batch.count - of_copies
        copies += of_copies
        compiled += batch.count - sum(not in_runs.get(slot, True) for slot in batch.slots)
        elements += batch.count * (math.prod(batch.shape) + sum(map(math.prod, shapes)))
        made = batch.count * _products(batch, shapes)
        if batch.type.name.startswith("conv"):
            windows += made
        else:
            products += made
    moved = plan.parameters * (1 + len(plan.rule.state)) if plan.objective is not None else 0
    elements += sum(math.prod(shape) for shape in plan.shapes[: plan.parameters]) * (3 + 2 * len(plan.rule.state))
    each = (1, calls, copies, elements, products, windows, moved)
    return Work._make([1, compiled + plan.parameters, *(steps * number for number in each), min(steps, ROWS)])


def _products(batch: Batch, shapes: Sequence[tuple[int, ...]]) -> float:
    """Return how many multiplications both passes of a node make, as far as its type says so."""
    if not isinstance(batch.type, Tensor) or batch.type.cost is None:
        return 0.0
    try:
        arrays = [np.broadcast_to(0.0, shape) for shape in (batch.shape, *shapes)]
        return sum(batch.type.operations(*arrays, settings=batch.settings)) / 2
    except Exception:
        # That of a plugin may not work; `profile` says so.
        return 0.0


def shown(seconds: float) -> str:
    """Return an estimate as a reader takes it: to one digit, or to whole seconds."""
    if seconds < 0.05:
        return "less than 0.1 s"
    return f"about {seconds:.0f} s" if seconds >= 10 else f"about {seconds:.1g} s"


def _for_numbers(plan: Plan, seconds: float) -> Choice:
    """Choose between the engines of graphs of numbers, for a run that NumPy takes long over."""
    from graphrun.engines.numba.compiler import compile_steps, is_compiled
    from graphrun.engines.numba.engine import form_of
    from graphrun.engines.traced import NotSupportedError

    if importlib.util.find_spec("numba") is None:
        return Choice("numpy", f"a run of {shown(seconds)}", f"native loops would take a part of it: {INSTALL}")
    try:
        code = form_of(plan)
    except NotSupportedError as error:
        return Choice("numpy", f"a run of {shown(seconds)}", f"numba would be faster, but {error}")
    cost = SECONDS_TO_LOAD
    how = "compiled before"
    if not is_compiled(code.text):
        cost += SECONDS_TO_COMPILE + SECONDS_TO_COMPILE_OPERATION * code.size
        how = f"compiling takes about {cost:.1f} s"
    if seconds < 2 * cost:
        return Choice("numpy", f"a run of {shown(seconds)}, and {how}")
    try:
        compile_steps(code.text, plan.dtype.name)
    except NotSupportedError as error:
        return Choice("numpy", f"a run of {shown(seconds)}", f"numba would be faster, but {error}")
    return Choice("numba", f"numpy would take {shown(seconds)}, {how}")


def _for_arrays(plan: Plan, feed: Feed | None, steps: int, seconds: float) -> Choice:
    """Choose between the engines of arrays, for a run that NumPy takes long over."""
    work = work_of(plan, steps, find_runs(plan))
    cost = JAX.start + work.compile * JAX.compile
    if seconds < work.seconds(JAX):
        return Choice("numpy", f"a run of {shown(seconds)}, and XLA compiles for {shown(cost)}")
    if importlib.util.find_spec("jax") is None:
        return Choice("numpy", f"a run of {shown(seconds)}", f"XLA would take a part of it: {INSTALL_JAX}")
    try:
        # The functions of a node type or of the update rule may call what is NumPy's alone.
        get_engine("jax").compile(plan, feed)
    except UsageError as error:
        return Choice("numpy", f"jax would be faster, but {str(error).partition(chr(10))[0]}")
    return Choice("jax", f"numpy would take {shown(seconds)} for its arrays")
