"""Microseconds of a training step of small networks, beside the same step written by hand: JAX, PyTorch, NumPy.

python tests/bench/networks.py [NAME ...]

Everybody draws the same batches from a data set in memory by the numbers of their rows. JAX by hand is one `fori_loop`
over all steps with `jax.grad`, PyTorch is eager with its own optimizer, NumPy the passes as one would write them.
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from harness import table

import graphrun
from graphrun.engines.jax import JaxEngine
from graphrun.engines.numpy import NumpyEngine

ROWS = 1024
STEP_SIZE = 0.01
ROUNDS = 7
SECONDS = 0.25
NETWORKS = {"64-32-10": 32, "784-128-10": 64, "784-512-512-10": 128}
CONVOLUTIONAL = "convnet"
TARGETS = {
    ("jax engine", "jax by hand"): dict.fromkeys(NETWORKS, 1.15),
    ("jax engine", "jax by hand, loss watched"): dict.fromkeys(NETWORKS, 1.15),
    ("jax engine", "torch eager"): {"64-32-10": 0.2, "784-128-10": 0.7, "784-512-512-10": 1.0, CONVOLUTIONAL: 1.0},
    ("numpy engine", "numpy by hand"): dict.fromkeys(NETWORKS, 1.3),
}

Steps = Callable[[int], object]
"""Makes so many steps and waits for their end."""


class Network:
    """A data set, the first weights of a network, and its graph file."""

    def __init__(self, name: str, folder: Path) -> None:
        drawn = np.random.default_rng(0)
        self.name = name
        self.convolutional = name == CONVOLUTIONAL
        self.batch = 64 if self.convolutional else NETWORKS[name]
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
                "shuffle": True,
            },
            "nodes": nodes,
            "minimize": "loss",
            "update": {"type": "sgd", "step_size": STEP_SIZE},
            "dtype": "float32",
        }


def engine(network: Network, make: Any) -> Steps:
    """Advance a program of an engine."""
    program = make.compile(network.graph.plan(), network.feed)
    program.evaluate()
    return program.advance


def jax_by_hand(network: Network, *, watched: bool = False) -> Steps:
    """One `fori_loop`: batches are gathered on the device, gradients are `jax.grad`'s.

    Args:
        network: the network.
        watched: whether it keeps the loss and ends where that is not finite; without, XLA never computes the loss.
    """
    import jax
    import jax.numpy as jnp

    def logits_of(weights: Any, x: Any) -> Any:
        if network.convolutional:
            for k in (0, 2):
                x = jax.lax.conv_general_dilated(x, weights[k], (1, 1), ((1, 1), (1, 1)))
                x = jnp.maximum(x + weights[k + 1][:, None, None], 0)
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
            return x.reshape(len(x), -1) @ weights[4] + weights[5]
        for k in range(0, len(weights) - 2, 2):
            x = jax.nn.relu(x @ weights[k] + weights[k + 1])
        return x @ weights[-2] + weights[-1]

    def loss(weights: Any, x: Any, labels: Any) -> Any:
        logarithms = jax.nn.log_softmax(logits_of(weights, x))
        return -jnp.mean(jnp.take_along_axis(logarithms, labels[:, None], axis=1))

    @jax.jit
    def steps(weights: Any, images: Any, labels: Any, indices: Any, count: Any) -> Any:
        def body(step: Any, weights: Any) -> Any:
            rows = indices[step % len(indices)]
            gradients = jax.grad(loss)(weights, images[rows], labels[rows])
            return [weight - STEP_SIZE * gradient for weight, gradient in zip(weights, gradients, strict=True)]

        return jax.lax.fori_loop(0, count, body, weights)

    @jax.jit
    def watched_steps(weights: Any, images: Any, labels: Any, indices: Any, count: Any) -> Any:
        def body(carried: Any) -> Any:
            step, weights, _ = carried
            rows = indices[step % len(indices)]
            value, gradients = jax.value_and_grad(loss)(weights, images[rows], labels[rows])
            pairs = zip(weights, gradients, strict=True)
            return step + 1, [weight - STEP_SIZE * gradient for weight, gradient in pairs], value

        start = (0, weights, jnp.float32(0))
        return jax.lax.while_loop(lambda carried: (carried[0] < count) & jnp.isfinite(carried[2]), body, start)

    data = [jnp.asarray(a) for a in (network.images, network.labels.astype(np.int32), network.indices)]
    weights = [jnp.asarray(weight) for weight in network.weights]
    chosen = watched_steps if watched else steps
    return lambda count: jax.block_until_ready(chosen(weights, *data, count))


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


def measure(network: Network) -> dict[str, float]:
    """Return the median seconds of a step of each peer, timed in turn."""
    peers: dict[str, Steps] = {
        "jax engine": engine(network, JaxEngine()),
        "jax by hand": jax_by_hand(network),
        "jax by hand, loss watched": jax_by_hand(network, watched=True),
        "torch eager": torch_eager(network),
        "numpy engine": engine(network, NumpyEngine()),
    }
    if not network.convolutional:
        peers["numpy by hand"] = numpy_by_hand(network)
    counts = {}
    for name, steps in peers.items():
        steps(3)
        start = time.perf_counter()
        steps(10)
        counts[name] = max(10, int(SECONDS / ((time.perf_counter() - start) / 10)))
        if name.startswith("jax engine"):
            # A call of the loop takes up to 1,024 steps.
            counts[name] = max(1024, counts[name] // 1024 * 1024) if counts[name] > 512 else counts[name]
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(ROUNDS):
        for name, steps in peers.items():
            start = time.perf_counter()
            steps(counts[name])
            seconds[name].append((time.perf_counter() - start) / counts[name])
    return {name: statistics.median(times) for name, times in seconds.items()}


if __name__ == "__main__":
    rows: list[list[object]] = [["", "us a step", "of", "ratio", "target"]]
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or [*NETWORKS, CONVOLUTIONAL]:
            times = measure(Network(name, Path(folder)))
            rows.append([name])
            rows += [[f"  {peer}", f"{seconds * 1e6:.0f}"] for peer, seconds in times.items()]
            for (ours, theirs), targets in TARGETS.items():
                if name in targets:
                    ratio = times[ours] / times[theirs]
                    rows.append([f"  {ours}", "", theirs, f"{ratio:.2f}", f"{targets[name]:.2f}"])
    width = len(rows[0])
    table([[*row, *[""] * (width - len(row))] for row in rows])
