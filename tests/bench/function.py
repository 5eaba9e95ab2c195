"""A graph as a function: what a call costs, and SciPy's BFGS beside a gradient that is written by hand.

    python tests/bench/function.py [ROUNDS]

Rosenbrock's function on each engine. Times are those of the processor, the least of several rounds that take turns, so
that other work on the machine hardly moves them. ``beyond`` is what a call takes beyond its arithmetic: the time less
that of the same function by the engine's own loop of steps.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.optimize
from harness import ROOT

import graphrun

CALLS = 20_000
STARTS = np.random.default_rng(0).uniform(-2, 2, (40, 2))


def by_hand(point: np.ndarray) -> tuple[float, np.ndarray]:
    """The function as one writes it for SciPy."""
    x, y = point
    off = y - x * x
    return (1 - x) ** 2 + 100 * off * off, np.array([-2 * (1 - x) - 400 * x * off, 200 * off])


def least(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the least processor time of each action, in seconds."""
    found = dict.fromkeys(actions, float("inf"))
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.process_time()
            action()
            found[name] = min(found[name], time.process_time() - start)
    return found


def calls(function: Callable[[np.ndarray], object], count: int = CALLS) -> Callable[[], object]:
    """Return what calls a function many times."""
    points = [np.array(point) for point in STARTS]

    def action() -> None:
        for k in range(count):
            function(points[k % len(points)])

    return action


def minimized(function: Callable[[np.ndarray], object]) -> Callable[[], object]:
    """Return what minimizes a function from many starts."""

    def action() -> None:
        for start in STARTS:
            scipy.optimize.minimize(function, start, jac=True, method="BFGS")

    return action


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    graph = graphrun.load(ROOT / "graphs" / "rosenbrock.yaml", overrides="~stop")
    functions = {engine: graph.function(engine=engine).value_and_gradient for engine in ("numba", "numpy", "jax")}
    functions = {"by hand": by_hand, **functions}
    counts = {"jax": CALLS // 20, "numpy": CALLS // 10}
    actions = {name: calls(function, counts.get(name, CALLS)) for name, function in functions.items()}
    actions["nothing"] = calls(lambda _: None)
    actions["step"] = lambda: graph.run(steps=1_000_000, engine="numba")
    found = least(actions, rounds)
    nothing, step = found.pop("nothing") / CALLS, found.pop("step") / 1_000_000
    print("value_and_gradient of rosenbrock, us a call")
    for name, seconds in found.items():
        call = seconds / counts.get(name, CALLS) - nothing
        print(f"  {name:8} {call * 1e6:8.2f}   beyond the arithmetic {(call - step) * 1e6:8.2f}")
    solved = least({name: minimized(functions[name]) for name in ("by hand", "numba", "numpy")}, rounds)
    print(f"scipy BFGS from {len(STARTS)} starts, times that of the gradient by hand")
    for name, seconds in solved.items():
        print(f"  {name:8} {seconds / solved['by hand']:8.2f}   {seconds / len(STARTS) * 1e3:.2f} ms a start")


if __name__ == "__main__":
    main()
