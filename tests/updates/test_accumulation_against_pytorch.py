"""Accumulated gradients against PyTorch, which adds up the gradients of k small batches before its optimizer steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import graphrun

COUNT, BATCH, ROWS, STEPS = 3, 5, 30, 60
CASES = [
    ({"type": "sgd", "step_size": 0.05}, torch.optim.SGD, {"lr": 0.05}),
    ({"type": "adam", "step_size": 0.1}, torch.optim.Adam, {"lr": 0.1}),
    ({"type": "adamw", "step_size": 0.1, "clip_norm": 0.7}, torch.optim.AdamW, {"lr": 0.1}),
]


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize(("update", "optimizer", "given"), CASES, ids=[str(case[0]) for case in CASES])
def test_as_pytorch(tmp_path: Path, update: dict[str, Any], optimizer: Any, given: Any, engine: str) -> None:
    """The parameters after each step are those of PyTorch's loop to 1e-12."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(ROWS, 3)), rng.normal(size=ROWS)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    result = graphrun.load(
        {
            "data": {"file": str(tmp_path / "rows.npz"), "batch_size": BATCH},
            "parameters": {"w": [0.1, 0.2, 0.3], "b": 0},
            "nodes": {"f": "mean((tanh(x @ w + b) - y) ** 2)"},
            "minimize": "f",
            "update": {**update, "accumulate": COUNT},
            "record": ["w", "b"],
        }
    ).run(STEPS, engine=engine)
    w, b = (torch.tensor(start, dtype=torch.float64, requires_grad=True) for start in ([0.1, 0.2, 0.3], 0.0))
    stepper = optimizer([w, b], **given)
    expected = [[0.1, 0.2, 0.3, 0.0]]
    for step in range(STEPS):
        rows = np.arange(step * BATCH, (step + 1) * BATCH) % ROWS
        inputs, targets = torch.tensor(x[rows]), torch.tensor(y[rows])
        (torch.mean((torch.tanh(inputs @ w + b) - targets) ** 2) / COUNT).backward()
        if (step + 1) % COUNT == 0:
            if "clip_norm" in update:
                torch.nn.utils.clip_grad_norm_([w, b], update["clip_norm"])
            stepper.step()
            stepper.zero_grad()
        expected.append([*w.tolist(), b.item()])
    found = np.column_stack([result.history["w"], result.history["b"]])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
