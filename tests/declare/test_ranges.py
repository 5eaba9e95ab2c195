"""Every setting that is a number has a range, and what lies outside is a mistake of the file, before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

import graphrun
from graphrun import nodes, updates
from graphrun.declare.declaration import Declaration
from graphrun.declare.initializers import INITIALIZERS
from graphrun.solvers import SOLVERS
from graphrun.updates.schedule import SCHEDULES

KINDS: dict[str, list[Declaration]] = {
    "rule": [*updates.graphrun_update_rules()],
    "schedule": [*SCHEDULES.values()],
    "solver": [*SOLVERS.values()],
    "initializer": [*INITIALIZERS.values()],
    "type": [*nodes.graphrun_node_types()],
}

MAY_BE_INFINITE = {("clip", "min"), ("clip", "max"), ("vector_norm", "ord")}

ANY_FINITE = {
    *(("selu", "alpha"), ("selu", "gamma"), ("hard_sigmoid", "beta")),
    *(("leaky_relu", "slope"), ("elu", "alpha"), ("pad", "value"), ("scaled_dot_product_attention", "scale")),
    *((initializer, "gain") for initializer in INITIALIZERS),
    *(("constant", "value"), ("uniform", "low"), ("uniform", "high"), ("normal", "mean"), ("truncated_normal", "mean")),
}
"""Where any finite number makes sense."""

OUTSIDE = {
    ("step_size", "weight_decay", "epsilon", "step_size_decay", "initial_accumulator"): [-1e-9],
    ("start", "end", "factor", "peak", "std", "correction", "tol"): [-1e-9],
    ("start_divisor", "end_divisor", "trust_radius", "beta", "delta", "f_scale"): [0.0, -1.0],
    ("beta1", "beta2"): [-0.1, 1.0, 1.5],
    ("momentum", "dampening", "rise", "rate"): [-0.1, 1.5, 5.0],
    ("ord",): [0.5, -2.0],
}
"""By the settings' names, numbers that make no sense."""


def numeric(kind: str) -> Iterator[tuple[Declaration, str]]:
    """Yield the settings that take a number which is not whole."""
    for declared in KINDS[kind]:
        schema = declared.settings_model.model_json_schema()["properties"]
        for name, entry in schema.items():
            if any(part.get("type") == "number" for part in [entry, *entry.get("anyOf", [])]):
                yield declared, name


SETTINGS = [
    pytest.param(kind, declared, name, id=f"{declared.name}-{name}")
    for kind in KINDS
    for declared, name in numeric(kind)
]


def wrong_numbers(declared: Declaration, name: str) -> list[float]:
    """Return numbers that a setting does not take."""
    found = [math.nan] + ([] if (declared.name, name) in MAY_BE_INFINITE else [math.inf, -math.inf])
    if (declared.name, name) not in ANY_FINITE:
        special = {("rmsprop", "alpha"): [-0.1, 1.0], ("celu", "alpha"): [0.0, -1.0]}
        special |= {("hard_sigmoid", "alpha"): [0.0, -1.0], ("quantile_loss", "quantile"): [-0.1, 1.1]}
        special |= {("plateau", "threshold"): [-0.1]}
        named = [numbers for names, numbers in OUTSIDE.items() if name in names]
        found += special.get((declared.name, name)) or (named[0] if named else [])
    return found


def graph_of(kind: str, declared: Declaration, settings: dict[str, Any]) -> dict[str, Any]:
    """Return a graph file that uses a declaration with some settings, on two lines of its own."""
    required = {p.name: 2 for p in declared.keyword if p.default is p.empty}
    required |= {"residual": "r"} if "residual" in required else {}
    entry = {"type": declared.name, **required, **settings}
    graph: dict[str, Any] = {"parameters": {"a": 1.0}, "nodes": {"r": "a - 3", "f": "r ** 2"}, "minimize": "f"}
    if kind in {"rule", "solver"}:
        return graph | {"update": entry}
    if kind == "schedule":
        return graph | {"update": {"type": "sgd", "step_size": entry}}
    if kind == "initializer":
        return graph | {"parameters": {"a": 1.0, "b": {"shape": [2, 2], "init": entry}}}
    example = next((e for e in getattr(declared, "examples", ()) if e.shapes), None)
    shapes = example.shapes if example else [(2, 3)] * (getattr(declared, "arity", (1, 1))[0] or 1)
    settled = {**(dict(example.settings) if example else {}), **entry}
    inputs = {f"x{k}": {"shape": list(shape), "init": {"type": "ones"}} for k, shape in enumerate(shapes)}
    node = {**settled, "inputs": list(inputs)}
    return graph | {"parameters": {"a": 1.0, **inputs}, "nodes": {**graph["nodes"], "n": node}}


@pytest.mark.parametrize(("kind", "declared", "name"), SETTINGS)
def test_what_makes_no_sense_is_refused(load: Any, kind: str, declared: Declaration, name: str) -> None:
    """Before the run, with file, line and column."""
    numbers = wrong_numbers(declared, name)
    assert len(numbers) > 1 or (declared.name, name) in MAY_BE_INFINITE
    if (declared.name, name) not in ANY_FINITE | MAY_BE_INFINITE:
        assert any(map(math.isfinite, numbers)), "say which numbers it does not take"
    for number in numbers:
        with pytest.raises(graphrun.GraphrunError, match=r"graph\.yaml:\d+:\d+: ") as caught:
            load(graph_of(kind, declared, {name: number})).run(0)
        assert "raises" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_within_the_ranges(kind: str) -> None:
    """The model takes each of them when it is given."""
    for declared in KINDS[kind]:
        given = {p.name: p.default for p in declared.keyword if p.default is not p.empty and p.default is not None}
        required = {p.name for p in declared.keyword if p.default is p.empty}
        if not required:
            declared.read_settings(given)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("nodes: {f: 'clip(a, min=3, max=1)'}", "'max' of clip takes a number not below 'min', 3, not the number 1"),
        ("nodes: {f: {type: clip, inputs: [a], max: 1, min: 1}}", None),
        ("nodes: {f: 'clip(a, min=3)'}", None),
        ("nodes: {f: 'clip(a, max=-3)'}", None),
    ],
)
def test_bounds_in_the_wrong_order(load: Any, section: str, message: str | None) -> None:
    """Two settings that only make sense together are compared."""
    text = f"parameters: {{a: 1}}\n{section}\nminimize: f\n"
    if message is None:
        load(text).run(1)
        return
    with pytest.raises(graphrun.GraphFileError, match=r"graph\.yaml:2:\d+: ") as caught:
        load(text)
    assert message in str(caught.value)


def test_an_initializer_with_bounds_in_the_wrong_order(load: Any) -> None:
    """Also where one of them is the default."""
    for settings in ({"low": 3, "high": 1}, {"low": 3}, {"high": -3}):
        with pytest.raises(graphrun.GraphrunError, match=r"graph\.yaml:\d+:\d+: "):
            load(graph_of("initializer", INITIALIZERS["uniform"], settings)).run(0)
