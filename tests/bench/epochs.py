"""Epochs to read digits: the examples `digits.yaml` and `convolution.yaml`, and the same networks in PyTorch.

    python tests/bench/epochs.py [SEEDS]

Both train on the same rows in the same batches, hold the same rows back, and take the same update rule and step sizes;
PyTorch draws its own initial weights, from the same distributions. The curves are the accuracies on held-back rows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as PyTorch's users call it)

import graphrun
from graphrun.api import Graph

if TYPE_CHECKING:
    from graphrun.data.dataset import DataSet

from harness import ROOT, table

EPOCH = 45
"""Steps in an epoch of 1438 rows, in batches of 32."""

GOALS = {"digits": 0.97, "convolution": 0.98}


def dense() -> nn.Module:
    """Return the network of digits.yaml."""
    layers = nn.Linear(64, 128), nn.Linear(128, 64), nn.Linear(64, 10)
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def convolutional() -> nn.Module:
    """Return the network of convolution.yaml."""
    kernels, last = (nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)), nn.Linear(128, 10)
    for layer in kernels:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    nn.init.xavier_uniform_(last.weight)
    nn.init.zeros_(last.bias)
    pooled = [part for layer in kernels for part in (layer, nn.ReLU(), nn.MaxPool2d(2))]
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *pooled, nn.Flatten(), last)


def optimizer(name: str, network: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """Return the update rule and the schedule of a graph file, in PyTorch's words."""
    rule = (
        torch.optim.AdamW(network.parameters(), weight_decay=0.1)
        if name == "digits"
        else torch.optim.Adam(network.parameters())
    )
    peak = 0.01 if name == "digits" else 0.02
    return rule, torch.optim.lr_scheduler.OneCycleLR(rule, peak, total_steps=steps, cycle_momentum=False)


def train(name: str, network: nn.Module, data: DataSet, steps: int) -> Iterator[float]:
    """Train a network; yield the accuracy on the held-back rows at the start and after each epoch."""
    rule, schedule = optimizer(name, network, steps)
    held = data.holdout()
    assert held is not None
    unseen, answers = images(held[0]), torch.tensor(held[1])
    for step in range(steps + 1):
        if step % EPOCH == 0:
            with torch.no_grad():
                yield float((network(unseen).argmax(1) == answers).double().mean())
        if step < steps:
            pixels, digits = data.batch(step)
            rule.zero_grad()
            F.cross_entropy(network(images(pixels)), torch.tensor(digits)).backward()
            rule.step()
            schedule.step()


def images(pixels: Any) -> torch.Tensor:
    """Return pixels from 0 to 1."""
    return torch.tensor(pixels).double() / 16


def first_at(goal: float, curve: list[float]) -> int | str:
    """Return the first epoch that reaches a goal."""
    return next((epoch for epoch, accuracy in enumerate(curve) if accuracy >= goal), "never")


def compare(name: str, make: Callable[[], nn.Module], seed: int) -> list[list[object]]:
    """Train a network twice; return a row of each."""
    graph: Graph = graphrun.load(ROOT / "graphs" / f"{name}.yaml")
    start = time.perf_counter()
    result = graph.run(seed=seed, every=EPOCH)
    ours = time.perf_counter() - start
    data = graph.source.open(seed)
    assert data is not None
    torch.manual_seed(seed)
    start = time.perf_counter()
    curve = list(train(name, make(), data, graph.steps))
    theirs = time.perf_counter() - start
    rows: list[list[object]] = []
    for title, found, seconds in (
        ("graphrun", [float(value) for value in result.history["holdout.accuracy"]], ours),
        ("PyTorch", curve, theirs),
    ):
        percents = " ".join(f"{100 * value:.1f}" for value in found[1:])
        rows.append([f"{name} {seed} {title}", first_at(GOALS[name], found), f"{seconds:.1f}", percents])
    return rows


def main(seeds: int = 3) -> None:
    """Print the curves."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    rows: list[list[object]] = [
        ["network, seed", "epochs to goal", "seconds", "accuracy on held-back rows, %, by epoch"]
    ]
    for name, make in (("digits", dense), ("convolution", convolutional)):
        for seed in range(seeds):
            rows += compare(name, make, seed)
    table(rows)
    print(", ".join(f"{name}: {100 * goal:g}%" for name, goal in GOALS.items()), "are the goals")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
