"""The schedule `plateau` against PyTorch's ReduceLROnPlateau, whose metric is the value of each recorded row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import graphrun

STEPS = 150
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"patience": 3}, {"patience": 3}),
    ({"patience": 0, "factor": 0.5}, {"patience": 0, "factor": 0.5}),
    ({"patience": 2, "factor": 0.8, "cooldown": 3}, {"patience": 2, "factor": 0.8, "cooldown": 3}),
    (
        {"patience": 1, "factor": 0.7, "end": 0.02, "threshold": 0.05},
        {"patience": 1, "factor": 0.7, "min_lr": 0.02, "threshold": 0.05},
    ),
]


@pytest.mark.parametrize("engine", ["numpy", "numba", "jax"])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(("settings", "given"), CASES, ids=[str(case[0]) for case in CASES])
def test_as_pytorch(settings: dict[str, Any], given: dict[str, Any], engine: str, *, maximize: bool) -> None:
    """The parameters after each step are those of PyTorch's loop to 1e-12, so the step sizes are."""
    # Linear steps, which amplify no rounding.
    objective = "20 - f" if maximize else "f"
    result = graphrun.load(
        {
            "parameters": {"x": 2.0, "y": -1.0},
            "nodes": {"f": "3 * (x - 0.3) ** 2 + (y - 0.1) ** 2 + 1", "g": objective},
            "maximize" if maximize else "minimize": "g",
            "update": {"type": "momentum", "step_size": {"type": "plateau", "start": 0.3, **settings}, "momentum": 0.5},
            "record": ["x", "y"],
        }
    ).run(STEPS, engine=engine)
    x, y = (torch.tensor(start, dtype=torch.float64, requires_grad=True) for start in (2.0, -1.0))
    optimizer = torch.optim.SGD([x, y], lr=0.3, momentum=0.5, maximize=maximize)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max" if maximize else "min", eps=0, **given)
    expected = [[2.0, -1.0]]
    for _ in range(STEPS):
        f = 3 * (x - 0.3) ** 2 + (y - 0.1) ** 2 + 1
        metric = 20 - f if maximize else f
        scheduler.step(metric.item())
        optimizer.zero_grad()
        metric.backward()
        optimizer.step()
        expected.append([x.item(), y.item()])
    assert optimizer.param_groups[0]["lr"] < 0.3
    found = np.column_stack([result.history["x"], result.history["y"]])
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
