"""Engines by name, and that of a run that names none: by its work, by what is installed, by what compiling costs.

The figures are of two cores of a 2.6 GHz machine, and need not be exact. Those of arrays are a fit over many graphs by
`tests/bench/choice.py`, which tries them on others.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.declare.nodetype import Tensor
from graphrun.engines import Engine
from graphrun.engines.numpy import STRAIGHT_LINE_NODES, STRAIGHT_LINE_STEPS, NumpyEngine, is_by_batch
from graphrun.engines.relay import NAME, Relay, named
from graphrun.plan.plan import Batch, Feed, Plan
from graphrun.plan.runs import Run, find_runs

# What NumPy takes for a number's node and step: in straight-line code, called one by one, in an array of many; for each
# array operation; for each state that the rule keeps of a parameter.
SECONDS_PER_NODE = 9e-7
SECONDS_PER_LONE_NODE = 4.2e-6
SECONDS_PER_BATCHED_NODE = 5e-8
SECONDS_PER_BATCH = 2e-5
SECONDS_PER_STATE = 2e-6

# Importing Numba and loading code that is in the cache; compiling 1,000 operations and what every program has.
SECONDS_TO_LOAD = 0.3
SECONDS_TO_COMPILE = 1.5
SECONDS_TO_COMPILE_OPERATION = 3.5e-3


@dataclass(frozen=True)
class Costs:
    """What an engine takes for arrays, in seconds: what `tests/bench/choice.py` fits over many graphs.

    Attributes:
        start: importing the library, and compiling what every program has.
        compile: compiling an elementwise operation or the update of a parameter; copies that are a loop are one.
        compile_tensor: compiling another node.
        step: beginning a step.
        number: both passes of a node of numbers.
        call: both passes of an elementwise operation.
        tensor: both passes of another node.
        copy: both passes of a node in a loop over copies.
        element: an element that a pass reads or writes.
        product: a multiplication of matrices, with its addition.
        window: one of a convolution.
        update: moving a parameter, and each state that the rule keeps of it.
        row: handing out a row of the history.
    """

    start: float = 0.0
    compile: float = 0.0
    compile_tensor: float = 0.0
    step: float = 0.0
    number: float = 0.0
    call: float = 0.0
    tensor: float = 0.0
    copy: float = 0.0
    element: float = 0.0
    product: float = 0.0
    window: float = 0.0
    update: float = 0.0
    row: float = 0.0


NUMPY = Costs(
    number=9.1e-7,
    call=2.7e-6,
    tensor=6.3e-5,
    copy=6.2e-6,
    element=2.4e-9,
    product=6e-12,
    window=1.9e-10,
    update=2.1e-6,
)
JAX = Costs(
    start=2.0,
    compile=0.016,
    compile_tensor=0.12,
    step=4.8e-7,
    number=7.9e-9,
    call=1.7e-7,
    tensor=6.3e-7,
    copy=4.5e-8,
    element=1.4e-9,
    product=6.2e-12,
    window=8.3e-11,
    update=5.4e-7,
    row=3.1e-4,
)

ROWS = 1000
"""So many rows has the history of a run of more steps."""

INSTALL_JAX = "pip install 'graphrun[jax]'"
INSTALL = "pip install 'graphrun[numba]'"


ENGINES = ("numpy", "numba", "jax")


def get_engine(name: str, **settings: Any) -> Engine:
    """Return an engine by name, imported now; ``auto`` is no engine but a choice, made by `choose`.

    `settings` are those of `JaxEngine`.

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

        return JaxEngine(**settings)
    if relay := NAME.fullmatch(name):
        first, step, then = relay.groups()
        return Relay(name, get_engine(first), int(step), partial(get_engine, then, **settings))
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


def choose(plan: Plan, steps: int, feed: Feed | None = None, *, stops: bool = False) -> Choice:
    """Choose an engine for so many steps; where it `stops`, a rule may end the run before."""
    seconds = numpy_seconds(plan, steps)
    if seconds < SECONDS_TO_LOAD:
        return Choice("numpy", f"a run of {shown(seconds)} is short")
    if feed is None and not plan.has_arrays:
        return _for_numbers(plan, steps, seconds, stops=stops)
    return _for_arrays(plan, feed, steps, seconds, stops=stops)


def keep(engine: str, choice: Choice) -> Choice:
    """Return the choice for a run that goes on from a checkpoint: the engine that began it, for its last bits.

    `engine` is the checkpoint's, "" where that is not known; `choice` is what would be chosen without it.
    """
    relay = NAME.fullmatch(engine)
    # Each is named as the library that it needs.
    needed = relay.group(1, 3) if relay else (engine,)
    if engine == choice.engine or not all(name in ENGINES and importlib.util.find_spec(name) for name in needed):
        return choice
    faster = "" if relay or choice.engine not in ENGINES[1:] else f"--engine {choice.engine} would be faster"
    return Choice(engine, "it began this run, and goes on with it bit for bit", faster)


def _until_it_pays(engine: str, steps: int, seconds: float, cost: float) -> Choice:
    """Choose NumPy's engine up to the step where it has taken as long as another would to begin."""
    step = max(1, round(steps * cost / seconds))
    reason = f"a stop rule may end the run before {engine} would pay, which is ready after {shown(cost)}"
    return Choice(named("numpy", step, engine), reason)


def numpy_seconds(plan: Plan, steps: int) -> float:
    """Estimate how long the NumPy engine would take for some steps of both passes."""
    batches = plan.in_loop
    nodes = sum(batch.count for batch in batches)
    if plan.has_arrays:
        return work_of(plan, steps).seconds(NUMPY)
    if is_by_batch(nodes, len(batches)):
        return steps * (nodes * SECONDS_PER_BATCHED_NODE + len(batches) * SECONDS_PER_BATCH)
    if nodes > STRAIGHT_LINE_NODES or steps < STRAIGHT_LINE_STEPS:
        return steps * nodes * SECONDS_PER_LONE_NODE
    return steps * (nodes * SECONDS_PER_NODE + plan.parameters * len(plan.rule.state) * SECONDS_PER_STATE)


class Work(NamedTuple):
    """How much of what has a cost there is, field by field of `Costs`: of a run of some steps."""

    start: float
    compile: float
    compile_tensor: float
    step: float
    number: float
    call: float
    tensor: float
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
    numbers = calls = tensors = copies = compiled_tensors = 0
    compiled = plan.parameters
    elements = products = windows = 0.0
    for batch in plan.in_loop:
        shapes = [plan.shapes[slot] for slot in plan.inputs_of(batch.start)]
        of_copies = sum(slot in in_runs for slot in batch.slots)
        compiles = batch.count - sum(not in_runs.get(slot, True) for slot in batch.slots)
        if batch.type.is_elementwise:
            compiled += compiles
        else:
            compiled_tensors += compiles
        if not batch.shape and not any(shapes):
            numbers += batch.count
        else:
            copies += of_copies
            calls += (batch.count - of_copies) * batch.type.is_elementwise
            tensors += (batch.count - of_copies) * (not batch.type.is_elementwise)
        elements += batch.count * (math.prod(batch.shape) + sum(map(math.prod, shapes)))
        made = batch.count * _products(batch, shapes)
        if batch.type.name.startswith("conv"):
            windows += made
        else:
            products += made
    moved = plan.parameters * (1 + len(plan.rule.state)) if plan.objective is not None else 0
    elements += sum(math.prod(shape) for shape in plan.shapes[: plan.parameters]) * (3 + 2 * len(plan.rule.state))
    each = (1, numbers, calls, tensors, copies, elements, products, windows, moved)
    return Work._make([1, compiled, compiled_tensors, *(steps * number for number in each), min(steps, ROWS)])


def _products(batch: Batch, shapes: Sequence[tuple[int, ...]]) -> float:
    """Return how many multiplications both passes of a node make, as far as its type says so."""
    if not isinstance(batch.type, Tensor) or batch.type.cost is None:
        return 0.0
    try:
        arrays = [np.broadcast_to(0.0, shape) for shape in (batch.shape, *shapes)]
        return sum(batch.type.operations(*arrays, settings=batch.settings)) / 2
    except (Exception, SystemExit):
        # That of a plugin may not work; `profile` says so.
        return 0.0


def shown(seconds: float) -> str:
    """Return an estimate as a reader takes it: to one digit, or to whole seconds."""
    if seconds < 0.05:
        return "less than 0.1 s"
    return f"about {seconds:.0f} s" if seconds >= 10 else f"about {seconds:.1g} s"


def _for_numbers(plan: Plan, steps: int, seconds: float, *, stops: bool) -> Choice:
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
    if seconds < cost:
        return Choice("numpy", f"a run of {shown(seconds)}, and {how}")
    if stops:
        return _until_it_pays("numba", steps, seconds, cost)
    try:
        compile_steps(code.text, plan.dtype.name)
    except NotSupportedError as error:
        return Choice("numpy", f"a run of {shown(seconds)}", f"numba would be faster, but {error}")
    return Choice("numba", f"numpy would take {shown(seconds)}, {how}")


def _for_arrays(plan: Plan, feed: Feed | None, steps: int, seconds: float, *, stops: bool) -> Choice:
    """Choose between the engines of arrays, for a run that NumPy takes long over."""
    work = work_of(plan, steps, find_runs(plan))
    cost = JAX.start + work.compile * JAX.compile + work.compile_tensor * JAX.compile_tensor
    if seconds < work.seconds(JAX):
        return Choice("numpy", f"a run of {shown(seconds)}, and XLA compiles for {shown(cost)}")
    if importlib.util.find_spec("jax") is None:
        return Choice("numpy", f"a run of {shown(seconds)}", f"XLA would take a part of it: {INSTALL_JAX}")
    if stops:
        return _until_it_pays("jax", steps, seconds, cost)
    try:
        # The functions of a node type or of the update rule may call what is NumPy's alone.
        get_engine("jax").compile(plan, feed)
    except UsageError as error:
        return Choice("numpy", f"jax would be faster, but {str(error).partition(chr(10))[0]}")
    return Choice("jax", f"numpy would take {shown(seconds)} for its arrays")
