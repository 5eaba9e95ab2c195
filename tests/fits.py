"""Graph files of fits, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np


def squares(model: str, constants: dict[str, Any], starts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the graph file of a least-squares fit of `y`."""
    return {
        "parameters": starts,
        "constants": {name: np.asarray(value).tolist() for name, value in constants.items()},
        "nodes": {"model": model, "residual": "model - y", "loss": "sum(residual ** 2)"},
        "minimize": "loss",
        "update": {"type": "least_squares", "residual": "residual"},
        "uncertainty": "least_squares",
        "steps": 20_000,
        **more,
    }
