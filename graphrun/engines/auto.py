"""Engines by name, and that of a run that names none: by its work, by what is installed, by what compiling costs.

The figures are of one core of a 2.6 GHz machine, and need not be exact: another engine than NumPy is taken where it
saves half of the time and more.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass

from graphrun.base.errors import UsageError
from graphrun.engines import Engine
from graphrun.engines.numpy import NODES_PER_BATCH, STRAIGHT_LINE_NODES, NumpyEngine
from graphrun.plan.plan import Batch, Feed, Plan
from graphrun.plan.runs import find_runs

# What NumPy takes for a node and step: alone in straight-line code or called one by one, and in an array of many; the
# last is for each array operation.
SECONDS_PER_NODE = 1e-6
SECONDS_PER_BATCHED_NODE = 1e-7
SECONDS_PER_BATCH = 2e-5

# Importing Numba and loading code that is in the cache; compiling 1,000 operations and what every program has.
SECONDS_TO_LOAD = 0.8
SECONDS_TO_COMPILE = 0.7
SECONDS_TO_COMPILE_OPERATION = 8e-4

# What NumPy takes for an array operation in both passes, for each element and for each multiplication of matrices;
# importing JAX and compiling a small network.
SECONDS_PER_CALL = 8e-6
SECONDS_PER_ELEMENT = 2e-9
SECONDS_PER_MULTIPLICATION = 5e-11
SECONDS_TO_START_JAX = 4.0

# What XLA takes for an operation more than a small network has; copies that it is given as a loop are one.
SMALL_NETWORK = 100
SECONDS_FOR_XLA_OPERATION = 0.03

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
    return _for_arrays(plan, feed, seconds)


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
        return steps * sum(batch.count * _array_seconds(plan, batch) for batch in batches)
    if nodes <= STRAIGHT_LINE_NODES or nodes < NODES_PER_BATCH * len(batches):
        return steps * (nodes * SECONDS_PER_NODE + 1e-6)
    return steps * (nodes * SECONDS_PER_BATCHED_NODE + len(batches) * SECONDS_PER_BATCH)


def _array_seconds(plan: Plan, batch: Batch) -> float:
    """Estimate both passes of one node: calls, elements read and written, and products of matrices.

    Of (m, k) and (k, n) the root of the product of the three sizes is the m k n multiplications that it takes.
    """
    sizes = [math.prod(plan.shapes[slot]) for slot in plan.inputs_of(batch.start)]
    size = math.prod(batch.shape)
    seconds: float = SECONDS_PER_CALL + SECONDS_PER_ELEMENT * (size + sum(sizes))
    if batch.type.is_elementwise or len(sizes) < 2:
        return seconds
    return seconds + 3 * SECONDS_PER_MULTIPLICATION * math.sqrt(size * sizes[0] * sizes[1])


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


def _for_arrays(plan: Plan, feed: Feed | None, seconds: float) -> Choice:
    """Choose between the engines of arrays, for a run that NumPy takes long over."""
    if seconds < 2 * SECONDS_TO_START_JAX:
        return Choice("numpy", f"a run of {shown(seconds)}, and XLA compiles for some")
    copies = sum((len(run.slots) - 1) * len(run.batches) for run in find_runs(plan))
    operations = sum(batch.count for batch in plan.in_loop) - copies
    cost = SECONDS_TO_START_JAX + SECONDS_FOR_XLA_OPERATION * max(operations - SMALL_NETWORK, 0)
    if seconds < 2 * cost:
        return Choice("numpy", f"a run of {shown(seconds)}, and XLA compiles for {shown(cost)}")
    if importlib.util.find_spec("jax") is None:
        return Choice("numpy", f"a run of {shown(seconds)}", f"XLA would take a part of it: {INSTALL_JAX}")
    try:
        # The functions of a node type or of the update rule may call what is NumPy's alone.
        get_engine("jax").compile(plan, feed)
    except UsageError as error:
        return Choice("numpy", f"jax would be faster, but {str(error).partition(chr(10))[0]}")
    return Choice("jax", f"numpy would take {shown(seconds)} for its arrays")
