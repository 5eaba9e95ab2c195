"""Time and memory of large graphs: microseconds a node to load, to plan and for the first step, and peak bytes a node.

The ratio is that of a file's whole way to its first step, beside the same graph and its gradient built in CasADi by
Python: medians of rounds in turn, where code that was compiled before is at hand.

python tests/bench/load.py [NODES ...]
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import deque
from pathlib import Path

from harness import run, table

SIZES = (10_000, 100_000, 1_000_000)
LEAVES = 10
WIDTH = 1000
LARGEST_IN_CASADI = 100_000
UNARY = ("tanh", "sin", "sigmoid")
BINARY = ("add", "subtract", "multiply", "maximum")
ROUNDS = 5
TARGETS = {"load": 30.0, "bytes": 1200.0, "casadi": 1.2}

MEASURED = """
import resource, sys, time
import graphrun
from graphrun.engines.auto import get_engine
graphrun.load(sys.argv[2]).run(steps=1)
times = [time.perf_counter()]
graph = graphrun.load(sys.argv[1])
times.append(time.perf_counter())
plan = graph.plan()
times.append(time.perf_counter())
program = get_engine("numpy").compile(plan)
program.evaluate()
program.advance(1)
times.append(time.perf_counter())
program.advance(5)
times.append(time.perf_counter())
try:
    # Linux hands ru_maxrss on to a process from the one which started it.
    peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
load, planned, first, five = (after - before for before, after in zip(times, times[1:]))
print(load, planned, first, five / 5, peak)
"""


def write_graph(file: Path, nodes: int) -> None:
    """Write a graph of random scalar nodes that the objective depends on, all of them.

    Each node takes the oldest value that nothing has taken yet, so that `WIDTH` of them stay, and, as a second input,
    a recent node or a parameter. At the end the values that are left are added up.
    """
    drawn = random.Random(0)  # noqa: S311 (no secret)
    width = min(WIDTH, nodes // 4)
    loose = deque(f"p{k % LEAVES}" for k in range(width))
    with file.open("w", encoding="utf-8") as text:
        text.write("parameters:\n")
        text.writelines(f"  p{k}: {drawn.uniform(-1, 1):.6f}\n" for k in range(LEAVES))
        text.write("nodes:\n")
        for k in range(nodes):
            inputs = [loose.popleft()]
            if nodes - k <= width - 1:
                kind = "add"
                inputs.append(loose.popleft())
            else:
                kind = drawn.choice([*UNARY, *BINARY])
            if kind in BINARY and len(inputs) == 1:
                recent = drawn.random() < 0.8 and k > 0
                inputs.append(
                    f"n{drawn.randrange(max(0, k - 2 * width), k)}" if recent else f"p{drawn.randrange(LEAVES)}"
                )
            text.write(f"  n{k}: {{type: {kind}, inputs: [{', '.join(inputs)}]}}\n")
            loose.append(f"n{k}")
        text.write(f"minimize: n{nodes - 1}\n")


def measure(nodes: int) -> list[float]:
    """Return the seconds of each stage and the peak memory, in a process of its own, above those of a small graph."""
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.yaml", Path(folder) / "small.yaml"
        write_graph(large, nodes)
        write_graph(small, 20)
        figures = [float(word) for word in run([sys.executable, "-c", MEASURED, large, small]).split()]
        empty = float(run([sys.executable, "-c", MEASURED, small, small]).split()[-1])
        return [*figures[:-1], figures[-1] - empty]


AGAINST_CASADI = """
import statistics, sys, time, yaml
sys.path.insert(0, sys.argv[2])
import graphrun
from graphrun.engines.auto import get_engine
from peers import casadi_step
data = yaml.load(open(sys.argv[1], encoding="utf-8"), yaml.CSafeLoader)
nodes = [(name, node["type"], node["inputs"]) for name, node in data["nodes"].items()]
ratios = {name: [] for name in sys.argv[4:]}
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    casadi_step(data["parameters"], nodes, data["minimize"], 0.01)
    built = time.perf_counter() - start
    for name in ratios:
        start = time.perf_counter()
        program = get_engine(name).compile(graphrun.load(sys.argv[1]).plan())
        program.evaluate()
        program.advance(1)
        ratios[name].append((time.perf_counter() - start) / built)
        del program
for name in ratios:
    print(statistics.median(ratios[name][1:]))
"""


def against_casadi(nodes: int) -> list[float]:
    """Return the time from the file to the first step over that of CasADi, for each engine."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.yaml"
        write_graph(file, nodes)
        command = [sys.executable, "-c", AGAINST_CASADI, file, Path(__file__).parent, str(ROUNDS + 1), "numpy", "numba"]
        return [float(word) for word in run(command).split()]


if __name__ == "__main__":
    rows: list[list[object]] = [
        ["nodes", "load us", "plan us", "first step us", "a step us", "peak bytes", "numpy / CasADi", "numba / CasADi"]
    ]
    for size in [int(word) for word in sys.argv[1:]] or SIZES:
        *seconds, peak = measure(size)
        figures = [*(f"{s / size * 1e6:.2f}" for s in seconds), f"{peak / size:.0f}"]
        ratios = [f"{ratio:.2f}" for ratio in against_casadi(size)] if size <= LARGEST_IN_CASADI else ["", ""]
        rows.append([f"{size:,}", *figures, *ratios])
    rows.append(["target", TARGETS["load"], "", "", "", f"{TARGETS['bytes']:.0f}", *[TARGETS["casadi"]] * 2])
    table(rows)
