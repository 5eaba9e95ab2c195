"""Rules with squares of gradients, where these overflow, vanish, or leave a difference that rounding makes negative.

The oracle is mpmath, which has no limits to the size of a number, and the formulas as their papers have them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf, sqrt

from graphrun import updates

SIZES = [("float64", 1e170), ("float64", 1e-170), ("float32", 1e25), ("float32", 1e-25)]
ENGINES = [("numpy", ()), ("numpy", (3,)), ("numba", ()), ("jax", (3,))]
COMPILED = {("float64", 1e-170), ("float32", 1e25)}
"""What the engines that compile each run are tried with: both ends, and both dtypes."""
STEPS = 4

Oracle = Callable[[list[Any], Any], Any]


def adam(gradients: list[Any], epsilon: Any) -> Any:
    """Kingma and Ba, 2015, algorithm 1; `adamw` without a decay is the same."""
    x = mean = square = mpf(0)
    for step, g in enumerate(gradients, 1):
        mean = mpf(0.9) * mean + (1 - mpf(0.9)) * g
        square = mpf(0.999) * square + (1 - mpf(0.999)) * g**2
        x -= mpf("0.125") * mean / (1 - mpf(0.9) ** step) / (sqrt(square / (1 - mpf(0.999) ** step)) + epsilon)
    return x


def rmsprop(gradients: list[Any], epsilon: Any, centered: bool = False) -> Any:
    """Hinton, 2012; centered as Graves has it, 2013."""
    x = mean = square = mpf(0)
    for g in gradients:
        square = mpf(0.99) * square + (1 - mpf(0.99)) * g**2
        mean = mpf(0.99) * mean + (1 - mpf(0.99)) * g
        x -= mpf("0.125") * g / (sqrt(square - mean**2 if centered else square) + epsilon)
    return x


def adagrad(gradients: list[Any], epsilon: Any) -> Any:
    """Duchi, Hazan and Singer, 2011."""
    x = total = mpf(0)
    for g in gradients:
        total += g**2
        x -= mpf("0.125") * g / (sqrt(total) + epsilon)
    return x


CASES: dict[str, tuple[dict[str, Any], Oracle]] = {
    "adam": ({"type": "adam"}, adam),
    "adamw": ({"type": "adamw", "weight_decay": 0}, adam),
    "rmsprop": ({"type": "rmsprop"}, rmsprop),
    "centered": ({"type": "rmsprop", "centered": True}, lambda given, epsilon: rmsprop(given, epsilon, True)),
    "adagrad": ({"type": "adagrad"}, adagrad),
}


RUNS = [
    pytest.param(
        *(engine, shape, dtype, size, case),
        marks=[pytest.mark.campaign] * (engine != "numpy" and case != "adam"),
        id=f"{engine}-{shape}-{dtype}-{size}-{case}",
    )
    for engine, shape in ENGINES
    for dtype, size in SIZES
    for case in CASES
    if engine == "numpy" or (dtype, size) in COMPILED
]


def test_every_rule_that_roots_is_here() -> None:
    """A rule with an epsilon divides by a root."""
    rules = [rule for rule in updates.graphrun_update_rules() if "epsilon" in dict(rule.default_settings or ())]
    assert {rule.name for rule in rules} == {update["type"] for update, _ in CASES.values()}


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "shape", "dtype", "size", "case"), RUNS)
def test_steps_do_not_depend_on_the_size_of_gradients(
    load: Any, engine: str, shape: tuple[int, ...], dtype: str, size: float, case: str
) -> None:
    """Of gradients whose squares overflow the steps are those of the formula; of those that vanish, too."""
    pytest.importorskip(engine)
    update, oracle = CASES[case]
    epsilon = 0.0 if size < 1 else 1e-8
    slope = float(np.dtype(dtype).type(size))
    data = {
        "dtype": dtype,
        "parameters": {"x": np.zeros(shape).tolist()},
        "constants": {"g": slope},
        "nodes": {"f": "g * sum(x)" if shape else "g * x"},
        "minimize": "f",
        "steps": STEPS,
    }
    result = load({**data, "update": {**update, "step_size": 0.125, "epsilon": epsilon}}).run(engine=engine)
    with mp.workdps(60):
        expected = float(oracle([mpf(slope)] * STEPS, mpf(epsilon)))
    np.testing.assert_allclose(result.parameters["x"], expected, rtol=1e-12 if dtype == "float64" else 1e-5)


def test_a_constant_gradient_has_no_variance(load: Any) -> None:
    """What is left after k steps is alpha^k; as a difference of squares it came out negative, and its root NaN."""
    update = {"type": "rmsprop", "centered": True, "step_size": 1e-9}
    data = {"parameters": {"x": 0.0}, "nodes": {"f": "0.1 * x"}, "minimize": "f", "update": update}
    share = 0.99 ** np.arange(1, 5001)
    expected = -np.sum(1e-9 * 0.1 / (0.1 * np.sqrt((1 - share) * share) + 1e-8))
    assert load(data).run(5000).parameters["x"] == pytest.approx(expected, rel=1e-9)
