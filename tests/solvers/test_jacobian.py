"""The Jacobian of a node, forwards and backwards, against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphrun.api import Graph
from graphrun.engines.numpy import NumpyProgram, forward, node_program
from graphrun.engines.scipy.jacobian import Jacobian

Load = Callable[[dict[str, Any]], Graph]

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(5, 3)).round(2).tolist()
W = RANDOM.normal(size=(3, 2)).round(2).tolist()

CASES: dict[str, dict[str, Any]] = {
    "elementwise": {"a": 1.5, "b": -0.3, "r": "a * exp(b * x) + a * a"},
    "broadcast": {"a": [[1.0], [2.0]], "b": [0.5, -0.5, 0.25], "r": "a * sin(b) + b / a"},
    "a parameter itself": {"a": [1.0, 2.0, 3.0], "r": "identity(a)", "residual": "a"},
    "a parameter without influence": {"a": 2.0, "b": [1.0, 1.0], "r": "a * x"},
    "used twice": {"a": [1.0, 2.0], "r": "a * a - 3 * a"},
    "matrix product": {"w": W, "b": [0.1, 0.2], "r": "tanh(m @ w + b)"},
    "tensor types among elementwise": {"w": W, "s": 2.0, "r": "sum(s * (m @ w)**2, axis=0) * s"},
    "one residual": {"w": W, "r": "mean(exp(w))"},
    "a branch not taken": {"a": 0.0, "b": 2.0, "r": "where(x, a * x + b, log(a) * x)"},
}


def program_of(load: Load, case: dict[str, Any]) -> tuple[NumpyProgram, int]:
    """Return a program, evaluated, and the slot of the residuals."""
    leaves = {name: value for name, value in case.items() if name not in {"r", "residual"}}
    residual = case.get("residual", "r")
    data = {
        "parameters": leaves,
        "constants": {"x": [1.0, 2.0, 0.5, 3.0], "m": X},
        "nodes": {"r": case["r"], "f": f"sum({residual}**2)"},
        "minimize": "f",
    }
    plan = load(data).plan()
    program = node_program(plan)
    program.evaluate()
    return program, plan.slots[residual]


@pytest.mark.parametrize("way", ["forwards", "backwards"])
@pytest.mark.parametrize("name", CASES)
def test_both_ways_are_the_slopes(load: Load, name: str, way: str) -> None:
    """Forwards and backwards, the Jacobian is that of central differences."""
    program, slot = program_of(load, CASES[name])
    jacobian = Jacobian(program, slot)
    with np.errstate(all="ignore"):
        matrix = jacobian._forwards() if way == "forwards" else jacobian._backwards()

    shapes = [program.plan.shapes[k] for k in range(program.plan.parameters)]
    start = np.concatenate([np.ravel(value) for value in program.values(range(len(shapes)))])
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def residuals(point: Any) -> Any:
        program.set_parameters([part.reshape(s) for part, s in zip(np.split(point, ends), shapes, strict=True)])
        with np.errstate(all="ignore"):
            forward(program.operations(), program.values_by_slot)
        return np.ravel(program.values([slot])[0])

    step = 1e-5
    columns = [residuals(start + step * e) - residuals(start - step * e) for e in np.eye(start.size)]
    np.testing.assert_allclose(matrix, np.stack(columns, axis=1) / (2 * step), rtol=1e-7, atol=1e-8)


def test_the_way_of_less_work_is_taken(load: Load) -> None:
    """Many residuals of few parameters go forwards, few residuals of many parameters backwards."""
    few = Jacobian(*program_of(load, CASES["elementwise"]))
    assert few.goes_forwards
    many = {"w": RANDOM.normal(size=(3, 1000)).tolist(), "r": "mean(tanh(m @ w), axis=1)"}
    assert not Jacobian(*program_of(load, many)).goes_forwards
