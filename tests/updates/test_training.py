"""What parameters say of the update: frozen ones, and factors of the rule's step size and weight decay."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun import updates

RULES = [rule.name for rule in updates.graphrun_update_rules()]
FACTORS = list(product((1.0, 0.5, 2.0), (1.0, 0.0, 3.0)))
SCHEDULE = {"type": "cosine", "start": 0.02, "steps": 40}


def separable(count: int, rule: dict[str, Any], training: list[tuple[float, float]], **more: Any) -> dict[str, Any]:
    """Return a graph whose every parameter has a term of its own, so that each goes its own way."""
    starts = np.random.default_rng(3).normal(size=count).tolist()
    parameters = {
        f"p{k}": {"value": start, "step_size": own[0], "weight_decay": own[1]}
        for k, (start, own) in enumerate(zip(starts, training, strict=True))
    }
    nodes: dict[str, Any] = {f"d{k}": f"tanh(p{k} - {k % 5} / 10)" for k in range(count)}
    nodes |= {f"s{k}": f"d{k} * d{k}" + (f" + s{k - 1}" if k else "") for k in range(count)}
    return {"parameters": parameters, "nodes": nodes, "minimize": f"s{count - 1}", "update": rule, **more}


def alone(rule: dict[str, Any], start: float, place: int, own: tuple[float, float]) -> float:
    """Return where a parameter of `separable` comes to by the rule with the products for settings."""
    size = rule.get("step_size", 0.0)
    size = {**size, "start": size["start"] * own[0]} if isinstance(size, dict) else size * own[0]
    given = {**rule, "step_size": size, "weight_decay": rule["weight_decay"] * own[1]}
    graph = {"parameters": {"p": start}, "nodes": {"d": f"tanh(p - {place % 5} / 10)", "s": "d * d"}}
    return float(graphrun.load({**graph, "minimize": "s", "update": given}).run(25).parameters["p"])


COMPILED = [(engine, count) for engine in ("numba", "jax") for count in (9, 900)]


@pytest.mark.parametrize(
    ("name", "engine", "count"),
    [
        *((name, "numpy", 9) for name in RULES),
        pytest.param("adamw", "numpy", 90, marks=pytest.mark.slow),
        *(pytest.param("momentum", *form, marks=pytest.mark.campaign) for form in COMPILED),
    ],
)
@pytest.mark.parametrize(
    ("size", "more"),
    [(0.02, {}), (SCHEDULE, {}), (0.02, {"accumulate": 3})],
    ids=["number", "schedule", "accumulate"],
)
def test_a_factor_is_that_of_the_setting(name: str, size: Any, more: dict[str, Any], engine: str, count: int) -> None:
    """In every form of every engine, a parameter goes where the rule with the multiplied settings takes it."""
    rule = {"type": name, "step_size": size, "weight_decay": 0.1, **more}
    training = [FACTORS[k % len(FACTORS)] for k in range(count)]
    graph = separable(count, rule, training)
    result = graphrun.load(graph).run(25, engine=engine)
    for k in (*range(9), count - 1):
        expected = alone(rule, graph["parameters"][f"p{k}"]["value"], k, training[k])
        assert result.parameters[f"p{k}"] == pytest.approx(expected, rel=1e-10, abs=1e-10), k


@pytest.mark.parametrize("engine", ["numpy", "numba", pytest.param("jax", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "more", ["", ", accumulate: 2", ", clip_norm: 1", ", accumulate: 2, clip_norm: 1, clip_value: 1"]
)
def test_a_run_moves_nothing_where_all_is_frozen(engine: str, more: str) -> None:
    """Every setting of the gradients has none of them to do with."""
    held = "parameters: {x: {value: 3, frozen: true}}\nnodes: {f: x * x}\nminimize: f\nsteps: 5\n"
    result = graphrun.loads(f"{held}update: {{type: adam{more}}}").run(engine=engine)
    assert (result.steps, result.parameters["x"], result.values["f"]) == (5, 3, 9)
