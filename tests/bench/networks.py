"""Microseconds of a training step of small networks, and of the lesson, beside the same step written by others.

python tests/bench/networks.py [CASE ...]

Everybody draws batches of the same size from a data set in memory by the numbers of their rows. JAX by hand is one
`fori_loop` over all steps with `jax.grad`, PyTorch is eager with its own optimizer, NumPy the passes as one would write
them. The engine draws a new order each epoch; the others go through one order again and again. A ratio is the median
of those of rounds, in which two take turns: what else the machine does slows both.
"""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from harness import ROOT, Row, markdown

import graphrun
from graphrun.engines import Engine
from graphrun.engines.jax import JaxEngine
from graphrun.engines.numpy import NumpyEngine
from graphrun.plan.plan import Feed, Plan

ROWS = 8192
STEP_SIZE = 0.01
STEP_SIZE_OF_LESSON = 1e-9  # small, so that the objective stays finite for many steps
ROUNDS = 24
SECONDS = 0.05

LESSON = "nested.yaml"
CONVOLUTIONAL = "convnet"
BATCHES = {"64-32-10": 32, "784-128-10": 64, "784-512-512-10": 128, CONVOLUTIONAL: 64}
IN_ORDER = " in order"
"""Behind a case: the rows are taken in the order of the file, and JAX by hand slices them."""


def targets(eager: float) -> dict[tuple[str, str], float]:
    """Return the largest ratios that are allowed to a multilayer perceptron."""
    return {
        ("jax engine", "hand-written JAX"): 1.15,
        ("jax engine", "PyTorch eager"): eager,
        ("numpy engine", "hand-written NumPy"): 1.3,
    }


TARGETS = {
    LESSON: {("jax engine", "hand-written JAX"): 1.3},
    "64-32-10": targets(0.2),
    "784-128-10": targets(0.7),
    "784-512-512-10": targets(1.0),
    CONVOLUTIONAL: {("jax engine", "PyTorch eager"): 1.0},
    "64-32-10" + IN_ORDER: {("jax engine", "hand-written JAX"): 1.1},
    "784-128-10" + IN_ORDER: {("jax engine", "hand-written JAX"): 1.1},
}

Steps = Callable[[int], object]
"""Makes so many steps and waits for their end."""


class Network:
    """A data set, the first weights of a network, and its graph file."""

    def __init__(self, name: str, folder: Path) -> None:
        drawn = np.random.default_rng(0)
        name, in_order, _ = name.partition(IN_ORDER)
        self.shuffled = not in_order
        self.convolutional = name == CONVOLUTIONAL
        self.batch = BATCHES[name]
        sizes = [784, 10] if self.convolutional else [int(size) for size in name.split("-")]
        shape = (1, 28, 28) if self.convolutional else (sizes[0],)
        self.images = drawn.normal(size=(ROWS, *shape)).astype(np.float32)
        self.labels = drawn.integers(0, 10, ROWS)
        if self.convolutional:
            shapes = [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (16,), (784, 10), (10,)]
        else:
            shapes = [s for n, m in itertools.pairwise(sizes) for s in ((n, m), (m,))]
        self.weights = [self._draw(drawn, shape) for shape in shapes]
        file = folder / f"{name}.npz"
        np.savez(file, image=self.images, label=self.labels)
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(self._graph(file), sort_keys=False), encoding="utf-8")
        self.graph = graphrun.load(path)
        self.feed = self.graph.source.open(0)
        self.indices = np.stack([self.feed.indices(step) for step in range(ROWS // self.batch)]).astype(np.int32)

    def _draw(self, drawn: np.random.Generator, shape: tuple[int, ...]) -> Any:
        fan_in = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
        scale = 0.0 if len(shape) == 1 else math.sqrt(2 / fan_in)
        return (drawn.normal(size=shape) * scale).astype(np.float32)

    def _graph(self, file: Path) -> dict[str, Any]:
        nodes: dict[str, Any] = {}
        last = "image"
        if self.convolutional:
            for layer in (0, 1):
                inputs = [last, f"w{2 * layer}", f"w{2 * layer + 1}"]
                nodes[f"c{layer}"] = {"type": "conv2d", "inputs": inputs, "padding": 1}
                nodes[f"r{layer}"] = {"type": "relu", "inputs": [f"c{layer}"]}
                nodes[f"p{layer}"] = {"type": "max_pool2d", "inputs": [f"r{layer}"], "kernel_size": 2}
                last = f"p{layer}"
            nodes["flat"] = {"type": "reshape", "inputs": [last], "shape": [-1, 784]}
            nodes["logits"] = "flat @ w4 + w5"
        else:
            layers = len(self.weights) // 2
            for layer in range(layers):
                formula = f"{last} @ w{2 * layer} + w{2 * layer + 1}"
                last = "logits" if layer == layers - 1 else f"h{layer}"
                nodes[last] = formula if last == "logits" else f"relu({formula})"
        nodes["loss"] = {"type": "cross_entropy", "inputs": ["logits", "label"]}
        return {
            "parameters": {f"w{k}": weight.tolist() for k, weight in enumerate(self.weights)},
            "data": {
                "file": str(file),
                "columns": {"image": "image", "label": "label"},
                "batch_size": self.batch,
                "shuffle": self.shuffled,
            },
            "nodes": nodes,
            "minimize": "loss",
            "update": {"type": "sgd", "step_size": STEP_SIZE},
            "dtype": "float32",
        }


def engine(make: Engine, plan: Plan, feed: Feed | None = None) -> Steps:
    """Advance a program of an engine."""
    program = make.compile(plan, feed)
    program.evaluate()
    return program.advance


def jax_by_hand(network: Network) -> Steps:
    """One `fori_loop`, batches gathered or sliced on the device, gradients `jax.grad`'s; nobody looks at the loss."""
    import jax
    import jax.numpy as jnp

    def loss(weights: Any, x: Any, labels: Any) -> Any:
        for k in range(0, len(weights) - 2, 2):
            x = jax.nn.relu(x @ weights[k] + weights[k + 1])
        logarithms = jax.nn.log_softmax(x @ weights[-2] + weights[-1])
        return -jnp.mean(jnp.take_along_axis(logarithms, labels[:, None], axis=1))

    @jax.jit
    def steps(weights: Any, images: Any, labels: Any, indices: Any, count: Any) -> Any:
        def body(step: Any, weights: Any) -> Any:
            if network.shuffled:
                rows = indices[step % len(indices)]
                batch = images[rows], labels[rows]
            else:
                first = step % len(indices) * network.batch
                batch = tuple(jax.lax.dynamic_slice_in_dim(a, first, network.batch) for a in (images, labels))
            gradients = jax.grad(loss)(weights, *batch)
            return [weight - STEP_SIZE * gradient for weight, gradient in zip(weights, gradients, strict=True)]

        return jax.lax.fori_loop(0, count, body, weights)

    data = [jnp.asarray(a) for a in (network.images, network.labels.astype(np.int32), network.indices)]
    weights = [jnp.asarray(weight) for weight in network.weights]
    return lambda count: jax.block_until_ready(steps(weights, *data, count))


def nested_by_hand() -> Steps:
    """The lesson as one `fori_loop` in double precision."""
    import jax

    def objective(parameters: Any) -> Any:
        a, b, c = parameters
        return (a + b) * c

    def body(_step: Any, parameters: Any) -> Any:
        return [p + STEP_SIZE_OF_LESSON * g for p, g in zip(parameters, jax.grad(objective)(parameters), strict=True)]

    with jax.enable_x64(True):
        steps = jax.jit(lambda count, parameters: jax.lax.fori_loop(0, count, body, parameters))

    def run(count: int) -> object:
        with jax.enable_x64(True):
            return jax.block_until_ready(steps(count, [np.float64(value) for value in (5, -3, -2)]))

    return run


def torch_eager(network: Network) -> Steps:
    """PyTorch's modules' functions, its autograd and its optimizer."""
    import torch
    from torch.nn import functional

    weights = [torch.tensor(weight, requires_grad=True) for weight in network.weights]
    optimizer = torch.optim.SGD(weights, lr=STEP_SIZE)
    images, labels = torch.tensor(network.images), torch.tensor(network.labels)
    indices = torch.tensor(network.indices.astype(np.int64))

    def logits_of(x: Any) -> Any:
        if network.convolutional:
            for k in (0, 2):
                x = functional.max_pool2d(
                    functional.relu(functional.conv2d(x, weights[k], weights[k + 1], padding=1)), 2
                )
            return x.flatten(1) @ weights[4] + weights[5]
        for k in range(0, len(weights) - 2, 2):
            x = functional.relu(x @ weights[k] + weights[k + 1])
        return x @ weights[-2] + weights[-1]

    def steps(count: int) -> None:
        for step in range(count):
            rows = indices[step % len(indices)]
            optimizer.zero_grad()
            functional.cross_entropy(logits_of(images[rows]), labels[rows]).backward()
            optimizer.step()

    return steps


def numpy_by_hand(network: Network) -> Steps:
    """The two passes of a multilayer perceptron, written out."""
    weights = [weight.copy() for weight in network.weights]
    rows_of = np.arange(network.batch)
    step_size = np.float32(STEP_SIZE)

    def steps(count: int) -> None:
        for step in range(count):
            rows = network.indices[step % len(network.indices)]
            x, labels = network.images[rows], network.labels[rows]
            inputs = []
            for k in range(0, len(weights), 2):
                inputs.append(x)
                x = x @ weights[k] + weights[k + 1]
                if k < len(weights) - 2:
                    x = np.maximum(x, 0)
            exponentials = np.exp(x - x.max(axis=1, keepdims=True))
            probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
            loss = -np.mean(np.log(probabilities[rows_of, labels]))
            probabilities[rows_of, labels] -= 1
            gradient = probabilities / np.float32(network.batch)
            for k in range(len(weights) - 2, -1, -2):
                of_weight, of_bias = inputs[k // 2].T @ gradient, gradient.sum(axis=0)
                if k:
                    gradient = (gradient @ weights[k].T) * (inputs[k // 2] > 0)
                weights[k] -= step_size * of_weight
                weights[k + 1] -= step_size * of_bias
        assert np.isfinite(loss)  # as every engine watches

    return steps


def with_best_threads(steps: Steps) -> Steps:
    """Give PyTorch one thread or all, whichever is faster: a small network gains nothing by a second one."""
    import torch

    def seconds(threads: int) -> float:
        torch.set_num_threads(threads)
        steps(3)
        return min(timed(steps, 3) for _ in range(5))

    torch.set_num_threads(min((1, torch.get_num_threads()), key=seconds))
    return steps


def timed(steps: Steps, count: int) -> float:
    """Return the seconds of a step."""
    start = time.perf_counter()
    steps(count)
    return (time.perf_counter() - start) / count


def enough(steps: Steps) -> int:
    """Return how many steps take about `SECONDS`: a call has a cost of its own, so longer and longer ones are tried."""
    steps(3)
    count = 3
    while (seconds := timed(steps, count) * count) < SECONDS / 2:
        count = int(count * min(10.0, max(2.0, SECONDS / seconds)))
    return count


def measure(*peers: Steps) -> list[list[float]]:
    """Return the seconds of a step of each peer, round by round, timed in turn, each time another one first."""
    counts = [enough(steps) for steps in peers]
    times: list[list[float]] = [[] for _ in peers]
    for number in range(ROUNDS):
        for k in range(len(peers)):
            peer = (number + k) % len(peers)
            times[peer].append(timed(peers[peer], counts[peer]))
    return times


def peers_of(name: str, folder: Path) -> dict[str, Steps]:
    """Return all who run a case."""
    if name == LESSON:
        file = folder / "nested.yaml"
        lesson = (ROOT / "graphs" / "nested.yaml").read_text(encoding="utf-8").partition("expect:")[0]
        file.write_text(lesson.replace("step_size: 0.01", f"step_size: {STEP_SIZE_OF_LESSON}"), encoding="utf-8")
        return {"jax engine": engine(JaxEngine(), graphrun.load(file).plan()), "hand-written JAX": nested_by_hand()}
    network = Network(name, folder)
    plan, feed = network.graph.plan(), network.feed
    peers = {
        "jax engine": engine(JaxEngine(), plan, feed),
        "numpy engine": engine(NumpyEngine(), plan, feed),
        "PyTorch eager": with_best_threads(torch_eager(network)),
    }
    if not network.convolutional:
        peers |= {"hand-written JAX": jax_by_hand(network), "hand-written NumPy": numpy_by_hand(network)}
    return peers


def rows(chosen: Iterable[str] = ()) -> Iterator[Row]:
    """Measure the cases that are asked for, or all."""
    with tempfile.TemporaryDirectory() as folder:
        for case in chosen or TARGETS:
            peers = peers_of(case, Path(folder))
            for (ours, theirs), target in TARGETS[case].items():
                # Only two at a time, for threads of the others' libraries go on waiting for work.
                mine, other = measure(peers[ours], peers[theirs])
                yield Row.of(case, ours, mine, theirs, other, target)


if __name__ == "__main__":
    for line in markdown(rows(sys.argv[1:])):
        print(line, flush=True)
