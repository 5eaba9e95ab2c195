"""Steps of layers beside PyTorch: convolutions on small images, a block of a transformer, an LSTM by `repeat`.

python tests/bench/layers.py [CASE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import networks
import numpy as np
from harness import Row, markdown
from shapes import convolutional, convolutional_loss, lstm, lstm_loss, torch_peer, transformer, transformer_loss

import graphrun
from graphrun.engines.auto import get_engine

CASES = {
    "convolutions on 8 x 8": (
        convolutional(16, 32, 8, 64),
        convolutional_loss,
        {("jax", "float32"): 0.8, ("numpy", "float32"): 1.2, ("numpy", "float64"): 1.2},
    ),
    "LSTM by repeat": (lstm(20, 32, 32), lstm_loss, {("numpy", "float32"): 1.2, ("jax", "float32"): 1.2}),
    "transformer": (
        transformer(8, 32, 64),
        transformer_loss,
        {("numpy", "float64"): 1.2, ("jax", "float64"): 1.0, ("jax", "float32"): 1.0},
    ),
}


def rows(chosen: Iterable[str] = ()) -> Iterator[Row]:
    """Measure the cases that are asked for, or all."""
    for case in chosen or CASES:
        text, loss, targets = CASES[case]
        graph = graphrun.loads(text)
        for (engine, dtype), target in targets.items():
            plan = graph.plan(dtype)
            start, theirs = torch_peer(plan, loss)
            theirs = networks.with_best_threads(theirs)
            program = get_engine(engine).compile(plan)
            program.evaluate()
            assert plan.objective is not None
            np.testing.assert_allclose(program.values([plan.objective])[0], start, 1e-4)
            mine, other = networks.measure(program.advance, theirs)
            yield Row.of(f"{case}, {dtype}", f"{engine} engine", mine, "PyTorch eager", other, target)


if __name__ == "__main__":
    for line in markdown(rows(sys.argv[1:])):
        print(line, flush=True)
