"""The same work by others: C at -O3, Numba by hand, CasADi's virtual machine, PyTorch, autograd, plain Python."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Steps = Callable[[int], object]
Node = tuple[str, str, Sequence[str]]
"""Name, type, inputs."""

STEP_SIZE = 1e-9
"""Small, so that the lesson's numbers stay finite for as many steps as a measurement takes."""

NESTED_IN_C = """
void steps(long count, double *p) {
    double a = p[0], b = p[1], c = p[2];
    for (long step = 0; step < count; step++) {
        double d = a + b, f = d * c;
        double df_dd = c, df_dc = d, df_da = df_dd, df_db = df_dd;
        a += %(h)r * df_da; b += %(h)r * df_db; c += %(h)r * df_dc;
        p[3] = f;
    }
    p[0] = a; p[1] = b; p[2] = c;
}
"""


def nested_in_c(folder: Path) -> Steps:
    """The lesson by hand, compiled by gcc -O3."""
    source, library = folder / "nested.c", folder / "nested.so"
    source.write_text(NESTED_IN_C % {"h": STEP_SIZE})
    subprocess.run(["gcc", "-O3", "-shared", "-fPIC", "-o", library, source], check=True)  # noqa: S607
    function = ctypes.CDLL(str(library)).steps
    parameters = (ctypes.c_double * 4)(5, -3, -2)
    return lambda count: function(ctypes.c_long(count), parameters)


def nested_in_python(count: int) -> object:
    """The lesson by hand."""
    a, b, c, h = 5.0, -3.0, -2.0, STEP_SIZE
    for _ in range(count):
        d = a + b
        f = d * c
        df_dd, df_dc = c, d
        df_da = df_db = df_dd
        a, b, c = a + h * df_da, b + h * df_db, c + h * df_dc
    return a, b, c, f


def nested_in_numba() -> Steps:
    """The lesson by hand, compiled by Numba."""
    import numba

    @numba.njit
    def loop(count: int) -> tuple[float, float, float]:
        a, b, c = 5.0, -3.0, -2.0
        for _ in range(count):
            df_dd, df_dc = c, a + b
            a, b, c = a + STEP_SIZE * df_dd, b + STEP_SIZE * df_dd, c + STEP_SIZE * df_dc
        return a, b, c

    steps: Steps = loop
    return steps


def nested_in_autograd(count: int) -> object:
    """The lesson by HIPS/autograd, which traces each step anew."""
    import autograd

    def objective(parameters: Any) -> Any:
        return (parameters[0] + parameters[1]) * parameters[2]

    gradient = autograd.grad(objective)
    parameters = np.array([5.0, -3.0, -2.0])
    for _ in range(count):
        parameters = parameters + STEP_SIZE * gradient(parameters)
    return parameters


def nested_in_torch(count: int) -> object:
    """The lesson by autograd and torch.optim.SGD."""
    import torch

    parameters = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (5.0, -3.0, -2.0)]
    optimizer = torch.optim.SGD(parameters, lr=STEP_SIZE, maximize=True)
    a, b, c = parameters
    for _ in range(count):
        optimizer.zero_grad()
        ((a + b) * c).backward()
        optimizer.step()
    return parameters


def nested_in_casadi(length: int) -> Steps:
    """The lesson by SX, the loop of `length` steps in CasADi's virtual machine."""
    nodes = [("d", "add", ["a", "b"]), ("f", "multiply", ["d", "c"])]
    step = casadi_step({"a": 5.0, "b": -3.0, "c": -2.0}, nodes, "f", -STEP_SIZE)
    loop = step.fold(length)
    start = np.array([5.0, -3.0, -2.0])

    def steps(count: int) -> object:
        value = start
        for _ in range(count // length):
            value = loop(value)
        return value

    return steps


def casadi_step(parameters: Mapping[str, float], nodes: Sequence[Node], objective: str, step_size: float) -> Any:
    """Return a step of gradient descent as a function of SX."""
    import casadi

    operations = {
        "add": lambda x, y: x + y,
        "subtract": lambda x, y: x - y,
        "multiply": lambda x, y: x * y,
        "maximum": casadi.fmax,
        "sin": casadi.sin,
        "tanh": casadi.tanh,
        "sigmoid": lambda x: 1 / (1 + casadi.exp(-x)),
    }
    vector = casadi.SX.sym("p", len(parameters))
    values = {name: vector[k] for k, name in enumerate(parameters)}
    for name, kind, inputs in nodes:
        values[name] = operations[kind](*[values[source] for source in inputs])
    gradient = casadi.gradient(values[objective], vector)
    return casadi.Function("step", [vector], [vector - step_size * gradient])
