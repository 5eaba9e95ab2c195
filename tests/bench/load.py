"""Time and memory of large graphs: microseconds a node to load, to plan and for the first step, and peak bytes a node.

The ratio is that of a file's whole way to its first step, beside the same graph and its gradient built in CasADi by
Python: medians of rounds in turn, where code that was compiled before is at hand.

Nodes stand in the file in the order in which they are computed, or shuffled.

python tests/bench/load.py [NODES ...]
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import Row, run, table

SIZES = (10_000, 100_000, 1_000_000)
LEAVES = 10
WIDTH = 1000
LARGEST_IN_CASADI = 100_000
UNARY = ("tanh", "sin", "sigmoid")
BINARY = ("add", "subtract", "multiply", "maximum")
ROUNDS = 5
TARGETS = {"load": 30.0, "bytes": 700.0, "casadi": 0.9}

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


def write_graph(file: Path, nodes: int, *, shuffled: bool = False) -> None:
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
        lines = []
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
            lines.append(f"  n{k}: {{type: {kind}, inputs: [{', '.join(inputs)}]}}\n")
            loose.append(f"n{k}")
        if shuffled:
            drawn.shuffle(lines)
        text.writelines(lines)
        text.write(f"minimize: n{nodes - 1}\n")


def measure(nodes: int, *, shuffled: bool = False) -> list[float]:
    """Return the seconds of each stage and the peak memory, in a process of its own, above those of a small graph."""
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.yaml", Path(folder) / "small.yaml"
        write_graph(large, nodes, shuffled=shuffled)
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
in_order = sorted(data["nodes"].items(), key=lambda item: int(item[0][1:]))
nodes = [(name, node["type"], node["inputs"]) for name, node in in_order]
taken = {name: [] for name in ("casadi", *sys.argv[4:])}
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    casadi_step(data["parameters"], nodes, data["minimize"], 0.01)
    taken["casadi"].append(time.perf_counter() - start)
    for name in sys.argv[4:]:
        start = time.perf_counter()
        program = get_engine(name).compile(graphrun.load(sys.argv[1]).plan())
        program.evaluate()
        program.advance(1)
        taken[name].append(time.perf_counter() - start)
        del program
for name in taken:
    ratio = statistics.median(mine / theirs for mine, theirs in zip(taken[name][1:], taken["casadi"][1:]))
    print(statistics.median(taken[name][1:]), ratio)
"""


def rows(sizes: Iterable[int] = SIZES[:2], *, memory: bool = True) -> Iterator[Row]:
    """Yield the rows of files in both orders, those of the peak memory with bytes a node in place of seconds."""
    for nodes in sizes:
        for shuffled in (False, True):
            case = f"file to first step, {nodes:,} nodes{', shuffled' if shuffled else ''}"
            found = against_casadi(nodes, shuffled=shuffled)
            theirs, _ = found.pop("casadi")
            for name, (mine, ratio) in found.items():
                yield Row(case, f"{name} engine", mine, "CasADi's build", theirs, ratio, TARGETS["casadi"])
            if memory:
                peak, most = measure(nodes, shuffled=shuffled)[-1] / nodes, TARGETS["bytes"]
                yield Row(f"{case}, bytes a node", "peak", peak, "wanted", most, peak / most, 1.0)


def against_casadi(nodes: int, *, shuffled: bool = False) -> dict[str, tuple[float, float]]:
    """Return the seconds of CasADi's build, and of each engine from the file to the first step, with the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.yaml"
        write_graph(file, nodes, shuffled=shuffled)
        engines = "numpy", "numba"
        command = [sys.executable, "-c", AGAINST_CASADI, file, Path(__file__).parent, str(ROUNDS + 1), *engines]
        found = [[float(word) for word in line.split()] for line in run(command).splitlines()]
    return {name: (seconds, ratio) for name, (seconds, ratio) in zip(("casadi", *engines), found, strict=True)}


if __name__ == "__main__":
    lines: list[list[object]] = [
        ["nodes", "load us", "plan us", "first step us", "a step us", "peak bytes", "numpy / CasADi", "numba / CasADi"]
    ]
    for size in [int(word) for word in sys.argv[1:]] or SIZES:
        for mixed in (False, True):
            *taken, most = measure(size, shuffled=mixed)
            figures = [*(f"{s / size * 1e6:.2f}" for s in taken), f"{most / size:.0f}"]
            ratios = against_casadi(size, shuffled=mixed) if size <= LARGEST_IN_CASADI else {}
            beside = [f"{ratios[name][1]:.2f}" if ratios else "" for name in ("numpy", "numba")]
            lines.append([f"{size:,}{' shuffled' if mixed else ''}", *figures, *beside])
    lines.append(["target", TARGETS["load"], "", "", "", f"{TARGETS['bytes']:.0f}", *[TARGETS["casadi"]] * 2])
    table(lines)
