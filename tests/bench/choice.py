"""The choice `auto` beside the best engine: the whole time of runs, compiling included, over graphs of all kinds.

    python tests/bench/choice.py [--fit] [--processor] [KIND ...]

Every other graph is fitted (`--fit` prints the constants of `graphrun/engines/auto.py` anew), and the choice is tried
on the rest. A graph is compiled once by each engine, from an empty cache, and its steps are timed; a run of so many
steps takes what both come to. `--processor` counts the time of processors, for a machine that does other work too.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from harness import table
from shapes import MINIMIZED, convolutional, dense, fit, formula, lstm, recurrent, transformer, wide

import graphrun
from graphrun.engines import auto
from graphrun.engines.auto import Costs, Work, get_engine, work_of
from graphrun.engines.numpy import STRAIGHT_LINE_STEPS
from graphrun.plan.plan import Feed, Plan
from graphrun.plan.runs import find_runs

STEPS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
SECONDS = 0.2


class Clock:
    """The clock that is read."""

    now: Callable[[], float] = time.perf_counter


class Measured(NamedTuple):
    """What an engine takes for a graph, in seconds: to be ready, for a step, and for a call of one step beyond that."""

    ready: float
    step: float
    row: float

    def whole(self, steps: int) -> float:
        """Return what a run takes."""
        return self.ready + steps * self.step + min(steps, auto.ROWS) * self.row


EXAMPLES = Path(__file__).parents[2] / "graphs"


def written(parameters: list[str], nodes: list[str], dtype: str = "float64") -> str:
    """A graph of few lines."""
    lines = [f"dtype: {dtype}", "parameters:", *(f"  {line}" for line in parameters)]
    return "\n".join([*lines, "nodes:", *(f"  {line}" for line in nodes), *MINIMIZED])


def drawn(name: str, *shape: int, frozen: bool = True) -> str:
    """A line of a parameter that is drawn."""
    return f"{name}: {{shape: {list(shape)}, init: {{type: normal}}{', frozen: true' if frozen else ''}}}"


def recursion(length: int) -> str:
    """Numbers that follow each other, as variances of days do."""
    return "\n".join(
        [
            "parameters:",
            f"  {drawn('xs', length)}",
            "  start: {value: 1.0, frozen: true}",
            "subgraphs:",
            "  day:",
            "    inputs: [v, x]",
            "    parameters: {omega: 0.1, alpha: 0.1, beta: 0.8}",
            "    nodes: {next: omega + alpha * x ** 2 + beta * v}",
            "    output: next",
            "nodes:",
            f"  day: {{type: day, inputs: [start, xs], repeat: {length}, share: true, over: [x], collect: [v]}}",
            "  loss: mean(log(day.v) + xs ** 2 / day.v)",
            *MINIMIZED,
        ]
    )


def elementwise(rows: int, nodes: int) -> str:
    """A chain of operations on a vector."""
    chain = [f"n{k}: {('tanh(n{} + p)', 'n{} * q + p', 'sin(n{})')[k % 3].format(k - 1)}" for k in range(1, nodes)]
    start = [drawn("x", rows), drawn("p", rows, frozen=False), drawn("q", rows, frozen=False)]
    return written(start, ["n0: x * p", *chain, f"loss: mean(n{nodes - 1} ** 2)"])


def logistic(rows: int, columns: int) -> str:
    """A regression of two classes."""
    leaves = [drawn("x", rows, columns), drawn("y", rows), drawn("w", columns, frozen=False), "b: 0.1"]
    return written(leaves, ["loss: binary_cross_entropy_with_logits(x @ w + b, greater(y, 0))"])


def kernel(rows: int) -> str:
    """A Gaussian process: the likelihood of points by a Cholesky decomposition."""
    leaves = [drawn("x", rows), drawn("y", rows), "length: 1.0", "noise: 0.5"]
    distance = "d: 'expand_dims(x, axis=1) - expand_dims(x, axis=0)'"
    covariance = f"k: 'exp(-(d / length) ** 2) + diag_embed(broadcast_to(noise ** 2, shape=[{rows}]))'"
    solved = "u: solve_triangular(l, y)"
    return written(
        leaves, [distance, covariance, "l: cholesky(k)", solved, "loss: sum(u ** 2) / 2 + sum(log(diagonal(l)))"]
    )


def normalized(batch: int, width: int, layers: int) -> str:
    """Layers that are normalized and added to what they were given."""
    leaves = [drawn("x", batch, width), drawn("y", batch, width), f"o: {{shape: [{width}], init: {{type: zeros}}}}"]
    leaves += [f"w{k}: {{shape: [{width}, {width}], init: {{type: glorot_uniform}}}}" for k in range(layers)]
    leaves += [f"g{k}: {{shape: [{width}], init: {{type: ones}}}}" for k in range(layers)]
    before = ["x", *(f"h{k}" for k in range(1, layers))]
    nodes = [f"h{k + 1}: {h} + relu(layer_norm({h}, g{k}, o) @ w{k})" for k, h in enumerate(before)]
    return written(leaves, [*nodes, f"loss: mean_squared_error(h{layers}, y)"], "float32")


def embedded(words: int, batch: int, width: int) -> str:
    """Rows of a table, and a softmax over classes."""
    leaves = [f"t: {{shape: [{words}, {width}], init: {{type: normal}}}}", drawn("z", batch)]
    leaves += [f"w: {{shape: [{width}, 16], init: {{type: glorot_uniform}}}}"]
    index = f"i: remainder(round(abs(z) * 1000), {words})"
    return written(leaves, [index, "e: embedding(t, i)", "loss: cross_entropy(e @ w, remainder(i, 16))"], "float32")


def layered(nodes: int) -> str:
    """Numbers in ten layers, each of two of the layer before."""
    wide = nodes // 10
    lines = ["parameters:", *(f"  n{k}: {0.1 + k % 7 / 10}" for k in range(wide)), "nodes:"]
    signs = "+*-"
    lines += [
        f"  n{k}: n{k - wide} {signs[k % 3]} n{k - k % wide - wide + (7 * k + 3) % wide}" for k in range(wide, nodes)
    ]
    names = [f"n{k}" for k in range(nodes - wide, nodes)]
    while len(names) > 1:
        nodes += len(names) // 2
        sums = [f"n{nodes - 1 - k}" for k in range(len(names) // 2)]
        lines += [f"  {name}: {names[2 * k]} + {names[2 * k + 1]}" for k, name in enumerate(sums)]
        names = sums + names[2 * len(sums) :]
    return "\n".join([*lines, f"  loss: {names[0]} ** 2", *MINIMIZED])


class Case(NamedTuple):
    """A graph that was measured on the engines that can run it."""

    name: str
    plan: Plan
    feed: Feed | None
    found: dict[str, Measured]


GRAPHS: dict[str, str] = {
    "dense 4-8-1, 16 rows": dense(4, 8, 1, batch=16),
    "dense 20-50-50-1, 32 rows": dense(20, 50, 50, 1, batch=32),
    "dense 64-32-10, 32 rows": dense(64, 32, 10, batch=32),
    "dense 64-128-64-10, 64 rows, float64": dense(64, 128, 64, 10, batch=64, dtype="float64"),
    "dense 256-256-10, 128 rows": dense(256, 256, 10, batch=128),
    "dense 784-128-10, 64 rows": dense(784, 128, 10, batch=64),
    "dense 784-512-512-10, 128 rows": dense(784, 512, 512, 10, batch=128),
    "dense 1024-1024-1024-10, 256 rows": dense(1024, 1024, 1024, 10, batch=256),
    "dense, 12 layers of 32": dense(*[32] * 13, batch=32),
    "convolutions 4-8, 8 x 8, 16 rows": convolutional(4, 8, 8, 16),
    "convolutions 16-32, 8 x 8, 64 rows": convolutional(16, 32, 8, 64),
    "convolutions 8-16, 28 x 28, 32 rows": convolutional(8, 16, 28, 32),
    "transformer 4 x 16 x 32": transformer(4, 16, 32),
    "transformer 16 x 32 x 64": transformer(16, 32, 64),
    "transformer 8 x 16 x 64, float64": transformer(8, 16, 64, "float64"),
    "recurrence of 10": recurrent(10, 16, 16),
    "recurrence of 60": recurrent(60, 16, 16),
    "recurrence of 200": recurrent(200, 8, 32),
    "LSTM of 50": lstm(50, 16, 32),
    "fit of 20 points": fit(20),
    "fit of 1,000 points": fit(1_000),
    "fit of 50,000 points": fit(50_000),
    "recursion of 250 numbers": recursion(250),
    "recursion of 1,000 numbers": recursion(1_000),
    "chain of 30 on 1,000 numbers": elementwise(1_000, 30),
    "chain of 60 on 20 numbers": elementwise(20, 60),
    "chain of 10 on 200,000 numbers": elementwise(200_000, 10),
    "two classes, 200 x 5": logistic(200, 5),
    "two classes, 20,000 x 40": logistic(20_000, 40),
    "process of 30 points": kernel(30),
    "process of 200 points": kernel(200),
    "residual, 4 layers of 64": normalized(32, 64, 4),
    "residual, 16 layers of 128": normalized(64, 128, 16),
    "table of 5,000 words": embedded(5_000, 64, 32),
    "convolutions 2-4, 12 x 12, 8 rows": convolutional(2, 4, 12, 8),
    "LSTM of 20, float32": lstm(20, 8, 64, "float32"),
    "dense 10-200-200-200-1, 256 rows": dense(10, 200, 200, 200, 1, batch=256),
    **{
        f"graphs/{name}.yaml": ""
        for name in ("attention", "convolution", "digits", "early", "experts", "groups", "network", "quantiles")
    },
    "graphs/reading.yaml": "",
    "formula of 10": formula(10),
    "formula of 40": formula(40),
    "formula of 100": formula(100),
    "formula of 3,000": formula(3_000),
    "300 numbers in layers": layered(300),
    "30,000 numbers in layers": layered(30_000),
    "graphs/rosenbrock.yaml": "",
    "graphs/line.yaml": "",
    "formula of 300": formula(300),
    "200 numbers side by side": wide(200),
}


def measured(plan: Plan, feed: Feed | None, engine: str) -> Measured:
    """Compile a plan and time its steps."""
    start = Clock.now()
    program = get_engine(engine).compile(plan, feed)
    # The step size of a schedule that looks at the rows.
    program.step_size = 0.001
    program.evaluate()
    program.advance(1)
    ready = Clock.now() - start
    if engine == "numpy":
        # It writes straight-line code then.
        program.advance(STRAIGHT_LINE_STEPS)

    def each(count: int) -> float:
        start = Clock.now()
        program.advance(count)
        return (Clock.now() - start) / count

    count = int(min(5_000, max(3, SECONDS / max(each(2), 1e-7))))
    step = min(each(count) for _ in range(2))
    alone = min(each(1) for _ in range(5))
    return Measured(ready, step, max(alone - step, 0.0))


def startup() -> dict[str, float]:
    """Return what importing the libraries takes, with a first program of each."""
    found = {"numpy": 0.0}
    for engine, library in (("jax", "jax"), ("numba", "numba")):
        start = Clock.now()
        __import__(library)
        get_engine(engine)
        found[engine] = Clock.now() - start
    return found


def opened(name: str, text: str) -> tuple[Plan, Feed | None]:
    """Return a graph's plan, and its rows where it has data."""
    graph = graphrun.loads(text) if text else graphrun.load(EXAMPLES.parent / name)
    return graph.plan(), graph.source and graph.source.open(0)


def measure(kinds: list[str]) -> Iterator[Case]:
    """Measure each graph on the engines that can run it."""
    imports = startup()
    for name, text in GRAPHS.items():
        if kinds and not any(kind in name for kind in kinds):
            continue
        plan, feed = opened(name, text)
        engines = ("numpy", "numba") if feed is None and not plan.has_arrays else ("numpy", "jax")
        found = {}
        for engine in engines:
            taken = measured(plan, feed, engine)
            found[engine] = taken._replace(ready=taken.ready + imports[engine])
        yield Case(name, plan, feed, found)


@contextmanager
def empty_cache() -> Iterator[None]:
    """Have no code that was compiled before."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, XDG_CACHE_HOME=folder):
        yield


def fitted(rows: list[tuple[Plan, Measured]], engine: str) -> Costs:
    """Return the constants that come nearest to the logarithms of whole runs.

    Each is drawn a little to what it was: what few graphs have much of is hardly told by them.
    """
    from scipy.optimize import least_squares

    before = np.array([getattr(getattr(auto, engine.upper()), name) for name in Work._fields])
    counts = np.array([work_of(plan, steps, find_runs(plan)) for plan, _ in rows for steps in STEPS])
    whole = np.array([taken.whole(steps) for _, taken in rows for steps in STEPS])
    used = before > 0
    if engine == "numpy":
        # It has nothing to make ready worth telling.
        whole = np.array([taken.step * steps for _, taken in rows for steps in STEPS])

    def off(logarithms: Any) -> Any:
        return np.append(np.log(counts[:, used] @ (before[used] * np.exp(logarithms)) / whole), logarithms)

    found = before.copy()
    found[used] *= np.exp(least_squares(off, np.zeros(int(used.sum())), loss="soft_l1").x)
    return Costs(*(float(f"{value:.2g}") for value in found))


def main(words: list[str]) -> None:
    """Measure, fit where that is asked for, and compare the choice with the best engine."""
    if "--processor" in words:
        Clock.now = time.process_time
    kinds = [word for word in words if not word.startswith("--")]
    cases = []
    with empty_cache():
        for case in measure(kinds):
            print(case.name, {engine: [f"{x:.3g}" for x in taken] for engine, taken in case.found.items()}, flush=True)
            cases.append(case)
    if "--fit" in words:
        for engine in ("numpy", "jax"):
            rows = [(case.plan, case.found[engine]) for case in cases[::2] if "jax" in case.found]
            costs = fitted(rows, engine)
            setattr(auto, engine.upper(), costs)
            print(f"{engine.upper()} = {costs}")
    rows: list[list[object]] = [["graph", "steps", *auto.ENGINES, "auto", "auto / best"]]
    ratios = []
    for name, plan, feed, found in cases[1::2] if "--fit" in words else cases:
        for steps in STEPS:
            whole = {engine: taken.whole(steps) for engine, taken in found.items()}
            with empty_cache():
                engine = auto.choose(plan, steps, feed).engine
            ratio = whole[engine] / min(whole.values())
            ratios.append(ratio)
            each = [f"{whole[e]:.3g} s" if e in whole else "" for e in auto.ENGINES]
            rows.append([name, f"{steps:,}", *each, engine, f"{ratio:.2f}"])
    table(rows)
    print(f"most: {max(ratios):.2f}; above 1.3: {sum(ratio > 1.3 for ratio in ratios)} of {len(ratios)}")


if __name__ == "__main__":
    main(sys.argv[1:])
