"""The choice `auto` beside the best engine: the whole time of runs, compiling included, over graphs of all kinds.

    python tests/bench/choice.py [--fit] [--processor] [KIND ...]

Every other graph is fitted (`--fit` prints the constants of `graphrun/engines/auto.py` anew), and the choice is tried
on the rest. A graph is compiled once by each engine, from an empty cache, and its steps are timed; a run of so many
steps takes what both come to. `--processor` counts the time of processors, for a machine that does other work too.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from harness import table
from shapes import convolutional, dense, fit, formula, lstm, recurrent, transformer, wide

import graphrun
from graphrun.engines import auto
from graphrun.engines.auto import Costs, Work, get_engine, work_of
from graphrun.plan.plan import Feed, Plan
from graphrun.plan.runs import find_runs

STEPS = (100, 1_000, 10_000, 100_000)
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


GRAPHS: dict[str, str] = {
    "dense 4-8-1, 16 rows": dense(4, 8, 1, batch=16),
    "dense 20-50-50-1, 32 rows": dense(20, 50, 50, 1, batch=32),
    "dense 64-32-10, 32 rows": dense(64, 32, 10, batch=32),
    "dense 64-128-64-10, 64 rows, float64": dense(64, 128, 64, 10, batch=64, dtype="float64"),
    "dense 256-256-10, 128 rows": dense(256, 256, 10, batch=128),
    "dense 784-128-10, 64 rows": dense(784, 128, 10, batch=64),
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
    "formula of 10": formula(10),
    "formula of 300": formula(300),
    "200 numbers side by side": wide(200),
}


def measured(plan: Plan, feed: Feed | None, engine: str) -> Measured:
    """Compile a plan and time its steps."""
    start = Clock.now()
    program = get_engine(engine).compile(plan, feed)
    program.evaluate()
    program.advance(1)
    ready = Clock.now() - start

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


def measure(kinds: list[str]) -> Iterator[tuple[str, Plan, dict[str, Measured]]]:
    """Measure each graph on the engines that can run it."""
    imports = startup()
    import jax

    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        for name, text in GRAPHS.items():
            if kinds and not any(kind in name for kind in kinds):
                continue
            plan = graphrun.loads(text).plan()
            engines = ("numpy", "jax") if plan.has_arrays else ("numpy", "numba")
            found = {}
            for engine in engines:
                taken = measured(plan, None, engine)
                found[engine] = taken._replace(ready=taken.ready + imports[engine])
            yield name, plan, found


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
        return np.append(np.log(counts[:, used] @ (before[used] * np.exp(logarithms)) / whole), 0.1 * logarithms)

    found = before.copy()
    found[used] *= np.exp(least_squares(off, np.zeros(int(used.sum())), loss="soft_l1").x)
    return Costs(*(float(f"{value:.2g}") for value in found))


def main(words: list[str]) -> None:
    """Measure, fit where that is asked for, and compare the choice with the best engine."""
    if "--processor" in words:
        Clock.now = time.process_time
    kinds = [word for word in words if not word.startswith("--")]
    graphs = []
    for name, plan, found in measure(kinds):
        print(name, {engine: [f"{x:.3g}" for x in taken] for engine, taken in found.items()}, flush=True)
        graphs.append((name, plan, found))
    if "--fit" in words:
        for engine in ("numpy", "jax"):
            rows = [(plan, found[engine]) for _, plan, found in graphs[::2] if plan.has_arrays]
            costs = fitted(rows, engine)
            setattr(auto, engine.upper(), costs)
            print(f"{engine.upper()} = {costs}")
    rows: list[list[object]] = [["graph", "steps", *auto.ENGINES, "auto", "auto / best"]]
    worst = 1.0
    for name, plan, found in graphs[1::2] if "--fit" in words else graphs:
        for steps in STEPS:
            whole = {engine: taken.whole(steps) for engine, taken in found.items()}
            engine = auto.choose(plan, steps).engine
            ratio = whole[engine] / min(whole.values())
            worst = max(worst, ratio)
            each = [f"{whole[e]:.3g} s" if e in whole else "" for e in auto.ENGINES]
            rows.append([name, f"{steps:,}", *each, engine, f"{ratio:.2f}"])
    table(rows)
    print(f"most: {worst:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
