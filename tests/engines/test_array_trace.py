"""The passes and the update of a graph, traced on arrays, against the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lesson import GRAPHS
from traced import computed

import graphrun
from graphrun.base.errors import UsageError
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines.array_trace import PlanTrace
from graphrun.run.api import Graph


def leaves_at(graph: Graph, step: int = 0) -> dict[str, Any]:
    """The numbers of a graph's leaves in a step, by the names that their symbols have."""
    plan = graph.plan()
    feed = graph.source.open(0)
    columns = dict(zip(plan.data, feed.batch(step), strict=True)) if feed is not None and plan.feeds else {}
    return {f"v{slot}": columns.get(slot, leaf) for slot, leaf in enumerate(plan.leaves)}


@pytest.mark.parametrize("file", sorted(GRAPHS.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_step_of_every_example(file: Any) -> None:
    """Values, gradients and the parameters after a step are those of the run."""
    graph = graphrun.load(file)
    plan = graph.plan()
    trace = PlanTrace(plan)
    trace.forward(plan.batches)
    gradients = trace.gradients() if plan.objective is not None else {}
    is_rule = isinstance(plan.update.rule, UpdateRule)
    # A step size that follows what a run looks at is none that can be written out.
    is_written = is_rule and plan.objective is not None and plan.update.by_step is plan.update.schedule
    updates = trace.updates(gradients) if is_written else []
    nodes = [slot for slot in range(len(plan.leaves), len(plan.names)) if plan.names[slot] is not None]
    moved = [slot for slot in gradients if slot < plan.parameters]
    given: dict[str, Any] = leaves_at(graph) | {"step": 0.0}
    given |= {
        f"{name}.{slot}": np.zeros(plan.shapes[slot]) for slot, made in enumerate(updates) for name in made.states
    }
    roots = [trace.values[slot] for slot in nodes] + [gradients[slot] for slot in moved]
    found = iter(computed([*roots, *(made.value for made in updates)], given))
    start = graph.run(0, engine="numpy")
    for slot in nodes:
        assert_close(next(found), start.values[plan.names[slot]])
    for slot in moved:
        assert_close(next(found), start.gradients[plan.names[slot]])
    if updates:
        after = graph.run(1, engine="numpy", every=1)
        for slot in range(plan.parameters):
            assert_close(next(found), after.parameters[plan.names[slot]])


def assert_close(found: Any, expected: Any) -> None:
    """Equal but for rounding."""
    largest = np.abs(expected).max(initial=1e-300, where=np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * largest)


RULES = ["momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion", "sgd"]


@pytest.mark.parametrize("rule", RULES)
def test_steps_of_every_rule(load: Callable[..., Graph], rule: str) -> None:
    """With a schedule, both clippings and bounds, the states kept from step to step."""
    graph = load(
        f"""
parameters: {{w: {{value: [1.0, -2.0, 0.5], upper: 1.0}}, b: 0.3}}
constants: {{x: [[1, 2, 3], [0.5, -1, 2]], y: [1, 2]}}
nodes: {{loss: sum((x @ w + b - y) ** 2)}}
minimize: loss
update: {{type: {rule}, step_size: {{type: cosine, start: 0.05, steps: 5}}, clip_norm: 2.0, clip_value: 1.5}}
"""
    )
    plan = graph.plan()
    trace = PlanTrace(plan)
    trace.forward(plan.batches)
    updates = trace.updates(trace.gradients())
    given: dict[str, Any] = leaves_at(graph)
    given |= {
        f"{name}.{slot}": np.zeros(plan.shapes[slot]) for slot, made in enumerate(updates) for name in made.states
    }
    for step in range(4):
        roots = [root for made in updates for root in (made.value, *made.states.values())]
        found = iter(computed(roots, given | {"step": float(step)}))
        for slot, made in enumerate(updates):
            given |= {f"v{slot}": next(found), **{f"{name}.{slot}": next(found) for name in made.states}}
    after = graph.run(4, engine="numpy")
    for slot, name in enumerate(plan.names[: plan.parameters]):
        assert_close(given[f"v{slot}"], after.parameters[name])


def test_what_cannot_be_written_out_is_named(load: Callable[..., Graph]) -> None:
    """The type, its file and the reason."""
    graph = load("parameters: {x: 1.0}\nnodes: {y: sin(x)}\nminimize: y\nupdate: {type: lion}\n")
    plan = graph.plan()
    declared = plan.batches[0].type
    trace = PlanTrace(plan)
    trace.forward(plan.batches)

    def looks(xp: Any, output: Any, x: Any) -> Any:
        return (1.0 if x > 0 else 2.0,)

    original, declared.derivative = declared.derivative, looks
    try:
        with pytest.raises(UsageError, match=r"sin .* cannot be written out: it decides by the value"):
            trace.gradients()
    finally:
        declared.derivative = original
