"""What a fit is worth: standard errors, covariance and intervals against NIST, statsmodels, lmfit and simulation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphrun.api import Graph
from graphrun.base.outcome import Uncertainty

pytest.importorskip("scipy", minversion="1.16", reason="fits are SciPy's: pip install 'graphrun[scipy]'")

Load = Callable[[dict[str, Any]], Graph]

NIST = [json.loads(file.read_text()) for file in sorted((Path(__file__).parents[1] / "solvers/nist").glob("*.json"))]


def worth(graph: Graph, **asked: Any) -> Uncertainty:
    """Run a fit, and return what it is worth."""
    found = graph.run(**asked).uncertainty
    assert found is not None
    return found


def squares(model: str, data: dict[str, Any], starts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the graph file of a least-squares fit of `y`."""
    return {
        "parameters": starts,
        "constants": {name: np.asarray(value).tolist() for name, value in data.items()},
        "nodes": {"model": model, "residual": "model - y", "loss": "sum(residual ** 2)"},
        "minimize": "loss",
        "update": {"type": "least_squares", "residual": "residual"},
        "uncertainty": "least_squares",
        "steps": 20_000,
        **more,
    }


# --- certified -------------------------------------------------------------------------------------------------------

FITS = [pytest.param(problem, start, id=f"{problem['name']}-{start + 1}") for problem in NIST for start in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "start"), FITS)
def test_nist_certified_standard_deviations(load: Load, problem: dict[str, Any], start: int) -> None:
    """All parameters' and the residuals', to six digits; Lanczos1's residuals are rounding in the third."""
    data = {**problem["data"]}
    graph = squares(problem["model"], {}, problem["starts"][start], constants=data)
    graph["nodes"] |= {"y_observed": problem["observed"], "residual": "y_observed - model"}
    found = worth(load(graph))
    free = len(problem["data"]["y"]) - len(problem["deviations"])
    digits = 2e-3 if problem["name"] == "Lanczos1" else 1e-6
    assert found.std_errors == pytest.approx(problem["deviations"], rel=digits)
    assert found.residual_sd == pytest.approx(math.sqrt(problem["residual_sum_of_squares"] / free), rel=digits)
    assert found.degrees_of_freedom == free
    assert not found.notes
    assert not found.undetermined
