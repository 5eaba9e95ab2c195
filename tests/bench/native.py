"""The numba engine beside its peers, each ratio from interleaved rounds of one run; prints a table of medians.

python tests/bench/native.py [nested] [random]
python tests/bench/native.py large

nested: nanoseconds a step of the lesson's long loop. random: nanoseconds a node and step of 100,000 random nodes of
numbers, half of them sin, tanh and sigmoid, half sums, differences and products, all of which reach the objective; and
of a chain whose nodes take one of the last 64 as well, and of which every 16th reaches the objective by itself.
large: 10,000 to 1,000,000 nodes, and how the time for one grows with the caches that they outgrow.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from harness import Row, markdown
from peers import (
    STEP_SIZE,
    Node,
    Steps,
    casadi_step,
    nested_in_autograd,
    nested_in_c,
    nested_in_casadi,
    nested_in_numba,
    nested_in_python,
    nested_in_torch,
)

import graphrun
from graphrun.engines.auto import get_engine
from graphrun.plan.plan import Plan

ROUNDS = 11
SMALL_STEP = 1e-60
"""The derivatives of a tapped chain are up to 1e47."""
TARGETS = {"C -O3": 1.5, "CasADi": 0.02, "PyTorch eager": 0.02}
SHAPES = {"wide": 0.4, "far": 0.4, "layered": 0.4, "chain": 0.9, "tapped": 0.9}
"""The shapes of random graphs, and the most of CasADi's time that each may take."""
NESTED = f"""\
parameters: {{a: 5, b: -3, c: -2}}
nodes:
  d: {{type: add, inputs: [a, b]}}
  f: {{type: multiply, inputs: [d, c]}}
maximize: f
update: {{type: sgd, step_size: {STEP_SIZE}}}
"""


def rows(chosen: Iterable[str] = ()) -> Iterator[Row]:
    """Measure the graphs that are asked for, or all that have peers."""
    benchmarks: dict[str, Callable[[Path], Iterator[Row]]] = {"nested": nested, "random": random_graphs}
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen or benchmarks:
            yield from benchmarks[name](Path(folder))


def measure(contestants: Mapping[str, tuple[Steps, int]], scale: int = 1) -> dict[str, list[float]]:
    """Time contestants in turn, round by round.

    Args:
        contestants: by name, a function of a number of steps, and that number.
        scale: what a step is divided by, such as the number of nodes.

    Returns:
        The nanoseconds of each round.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for steps, count in contestants.values():
        steps(count)
    for _ in range(ROUNDS):
        for name, (steps, count) in contestants.items():
            start = time.perf_counter()
            steps(count)
            times[name].append((time.perf_counter() - start) * 1e9 / count / scale)
    return times


def beside(case: str, times: Mapping[str, list[float]], ours: str, targets: Mapping[str, float]) -> Iterator[Row]:
    """Return the rows of one of us beside each of the others."""
    for name, taken in times.items():
        if name != ours:
            mine, other = ([nanoseconds / 1e9 for nanoseconds in each] for each in (times[ours], taken))
            yield Row.of(case, ours, mine, name, other, targets.get(name))


def plan_of(text: str, folder: Path) -> Plan:
    """Return the plan of a graph file's text."""
    file = folder / "graph.yaml"
    file.write_text(text)
    return graphrun.load(file).plan()


def program_of(plan: Plan, engine: str) -> Steps:
    """Return a plan's steps by an engine."""
    program = get_engine(engine).compile(plan)
    program.evaluate()
    return program.advance


def nested(folder: Path) -> Iterator[Row]:
    """The lesson's long loop."""
    plan = plan_of(NESTED, folder)
    contestants = {
        "numba engine": (program_of(plan, "numba"), 5_000_000),
        "C -O3": (nested_in_c(folder), 5_000_000),
        "hand-written Numba": (nested_in_numba(), 5_000_000),
        "CasADi": (nested_in_casadi(10_000), 100_000),
        "plain Python": (nested_in_python, 200_000),
        "autograd": (nested_in_autograd, 300),
        "PyTorch eager": (nested_in_torch, 300),
    }
    yield from beside("nested.yaml", measure(contestants), "numba engine", TARGETS)


def random_graph(shape: str, count: int) -> tuple[dict[str, float], list[Node]]:
    """Draw a graph, whose objective is the last node.

    Args:
        shape: wide (20 layers), far (50 layers, second inputs from any before), layered (100 nodes a layer), chain, or
            tapped, the chain that the module describes.
    """
    if shape == "tapped":
        return tapped_chain(count)
    drawn = random.Random(0)  # noqa: S311 (a graph, not a secret)
    parameters = {f"p{k}": round(drawn.uniform(-1, 1), 6) for k in range(max(10, count // 100))}
    leaves = list(parameters)
    width = {"wide": count // 20, "far": count // 50, "layered": 100, "chain": 1}[shape]
    before, earlier, nodes = leaves, list(leaves), []
    while len(nodes) < count:
        layer: list[Node] = []
        order = drawn.sample(before, len(before))
        for k in range(min(width, count - len(nodes))):
            inputs = [order[k % len(order)] if width > 1 else before[-1]]
            kind = drawn.choice(["sin", "tanh", "sigmoid"])
            if drawn.random() < 0.5:
                kind = drawn.choice(["add", "subtract", "multiply"])
                near = before if width > 1 and drawn.random() < 0.7 else leaves
                inputs.append(drawn.choice(earlier if shape == "far" else near))
            layer.append((f"n{len(nodes) + k}", kind, inputs))
        nodes += layer
        before = [name for name, _, _ in layer]
        earlier += before
    return parameters, joined(leaves, nodes)


def tapped_chain(count: int) -> tuple[dict[str, float], list[Node]]:
    """Draw a chain; so many of its nodes are tanh that its numbers and derivatives stay finite."""
    drawn = random.Random(1)  # noqa: S311
    parameters = {f"p{k}": round(drawn.uniform(-1, 1), 6) for k in range(64)}
    names, nodes = list(parameters), list[Node]()
    for k in range(count):
        kind = drawn.choice(["add", "add", "subtract", "subtract", "multiply", "tanh", "tanh", "tanh", "tanh"])
        inputs = [names[-1]] if kind == "tanh" else [names[-1], drawn.choice(names[-64:-1])]
        nodes.append((f"n{k}", kind, inputs))
        names.append(f"n{k}")
    return parameters, joined(list(parameters), nodes, [f"n{k}" for k in range(0, count, 16)])


def joined(leaves: Sequence[str], nodes: list[Node], taps: Sequence[str] = ()) -> list[Node]:
    """Return the nodes and an objective that depends on all of them, and on some more than once."""
    read = {source for _, _, inputs in nodes for source in inputs}
    loose = [*taps, *(name for name in (*leaves, *(name for name, _, _ in nodes)) if name not in read)]
    while len(loose) > 1:
        sums: list[Node] = [
            (f"s{len(nodes) + k}", "add", pair) for k, pair in enumerate(zip(loose[::2], loose[1::2], strict=False))
        ]
        nodes += sums
        loose = [name for name, _, _ in sums] + (loose[-1:] if len(loose) % 2 else [])
    return [*nodes, ("f", "sin", loose)]


def text_of(parameters: Mapping[str, float], nodes: list[Node]) -> str:
    """Return the graph file of a graph."""
    lines = ["parameters:", *(f"  {name}: {value}" for name, value in parameters.items()), "nodes:"]
    lines += [f"  {name}: {{type: {kind}, inputs: [{', '.join(inputs)}]}}" for name, kind, inputs in nodes]
    return "\n".join([*lines, "minimize: f", f"update: {{type: sgd, step_size: {SMALL_STEP!r}}}"]) + "\n"


def random_graphs(folder: Path, count: int = 100_000, steps: int = 50) -> Iterator[Row]:
    """Random graphs beside CasADi, whose loop over the steps is in its virtual machine too; times are a node's."""
    for shape, target in SHAPES.items():
        parameters, nodes = random_graph(shape, count)
        step = casadi_step(parameters, nodes, "f", SMALL_STEP)
        loop, first = step.fold(steps), np.array(list(parameters.values()))
        plan = plan_of(text_of(parameters, nodes), folder)
        program = get_engine("numba").compile(plan)
        program.evaluate()
        program.advance(1)
        difference = np.abs(step(first).full().ravel() - program.values(range(plan.parameters))).max()
        assert difference < 1e-12, "the two do not compute the same"
        contestants = {
            "numba engine": (program.advance, steps),
            "CasADi SX": (lambda _, loop=loop, first=first: loop(first), steps),
        }
        case = f"{shape}, {len(nodes):,} nodes, each"
        yield from beside(case, measure(contestants, len(nodes)), "numba engine", {"CasADi SX": target})


def large(folder: Path) -> None:
    """From 10,000 to 1,000,000 nodes: values, gradients and operands take 24 bytes a node."""
    for shape in SHAPES:
        print(f"\n{shape}")
        for count in (10_000, 100_000, 1_000_000):
            plan = plan_of(text_of(*random_graph(shape, count)), folder)
            nodes = len(plan.names) - len(plan.leaves)
            steps = max(1, 3_000_000 // count)
            taken = measure({"": (program_of(plan, "numba"), steps)}, nodes)[""]
            # A call evaluates once more, at the point where it begins.
            each = statistics.median(taken) * steps / (steps + 1)
            print(f"  {nodes:9,} nodes {nodes * 24 / 1e6:6.1f} MB: {each:6.2f} ns a node and evaluation")


if __name__ == "__main__":
    if sys.argv[1:] == ["large"]:
        with tempfile.TemporaryDirectory() as place:
            large(Path(place))
    else:
        for line in markdown(rows(sys.argv[1:])):
            print(line, flush=True)
