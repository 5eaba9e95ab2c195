"""Steps on an accelerator beside JAX by hand: perceptrons, convolutions, a block of a transformer.

    python tests/bench/gpu.py [--tiny] [DEVICE]

DEVICE is cpu, gpu, gpu:1, ... Both have the same leaves and Adam, and take turns. `--tiny` tries it with small sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import networks
import numpy as np
from harness import Row, markdown
from shapes import convolutional, convolutional_loss, dense, dense_loss, jax_peer, transformer, transformer_loss

import graphrun
from graphrun.engines.jax import JaxEngine
from graphrun.engines.jax.devices import find_device

TARGET = 1.1
CASES = {
    "64-32-10, 32 rows": (dense(64, 32, 10, batch=32), dense_loss),
    "784-512-512-10, 128 rows": (dense(784, 512, 512, 10, batch=128), dense_loss),
    "4096-4096-4096-1024, 4096 rows": (dense(4096, 4096, 4096, 1024, batch=4096), dense_loss),
    "convolutions, 256 of 28 x 28": (convolutional(32, 64, 28, 256), convolutional_loss),
    "transformer 32 x 256 x 512": (transformer(32, 256, 512), transformer_loss),
}
TINY = {
    "8-4-2, 4 rows": (dense(8, 4, 2, batch=4), dense_loss),
    "convolutions, 2 of 8 x 8": (convolutional(2, 4, 8, 2), convolutional_loss),
    "transformer 2 x 4 x 8": (transformer(2, 4, 8), transformer_loss),
}


def rows(device: str | None = None, *, tiny: bool = False) -> Iterator[Row]:
    """Measure all cases on a device."""
    for case, (text, loss) in (TINY if tiny else CASES).items():
        plan = graphrun.loads(text).plan()
        start, theirs = jax_peer(plan, loss, find_device(device))
        program = JaxEngine(device).compile(plan)
        program.evaluate()
        assert plan.objective is not None
        np.testing.assert_allclose(program.values([plan.objective])[0], start, 1e-3)
        mine, other = networks.measure(program.advance, theirs)
        yield Row.of(case, "jax engine", mine, "hand-written JAX", other, TARGET)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--tiny"]
    for line in markdown(rows(*words, tiny="--tiny" in sys.argv)):
        print(line, flush=True)
