"""What an operation's `pull` gives to its inputs: all that is not the chain rule is in there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.engines.numpy import BatchPasses, NodePasses, backward, forward
from graphrun.plan.plan import Plan

Planned = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Return a function that makes the plan of some parameters, of a node ``p`` and of others."""

    def plan_of(parameters: str, nodes: str, dtype: str = "float64") -> Plan:
        text = f"parameters: {{{parameters}}}\nnodes: {{{nodes}}}\nminimize: f\ndtype: {dtype}\n"
        (tmp_path / "graph.yaml").write_text(text, encoding="utf-8")
        return graphrun.load(tmp_path / "graph.yaml").plan()

    return plan_of


def pulled(plan: Plan, gradient: Any, **settings: bool) -> dict[str | None, Any]:
    """Return what the node ``p`` gives to its inputs, by name, at the leaves' values."""
    passes = NodePasses(plan)
    operations, values = passes.operations(plan.batches, **settings), passes.values()
    with np.errstate(all="ignore"):
        forward(operations, values)
        operation = next(each for each in operations if each.output == plan.slots["p"])
        return {plan.names[slot]: part for slot, part in operation.pull(gradient, values)}


def test_broadcasting_is_undone(planned: Planned) -> None:
    """What all copies of an element are given adds up, and has the shape of the input."""
    plan = planned("a: [[1], [2]], b: [3, 4, 5], c: 2", "p: a * b, f: sum(p) * c")
    found = pulled(plan, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(found["a"], [[0 * 3 + 1 * 4 + 2 * 5], [3 * 3 + 4 * 4 + 5 * 5]])
    np.testing.assert_array_equal(found["b"], [0 * 1 + 3 * 2, 1 * 1 + 4 * 2, 2 * 1 + 5 * 2])


def test_zero_gives_zero_where_it_is_masked(planned: Planned) -> None:
    """The infinite slope of a square root at 0, times a gradient of 0, is 0 if masked and else no number."""
    plan = planned("a: [0, 4]", "p: sqrt(a), f: sum(p)")
    gradient = np.array([0.0, 1.0])
    np.testing.assert_array_equal(pulled(plan, gradient, masked=True)["a"], [0, 0.25])
    np.testing.assert_array_equal(pulled(plan, gradient)["a"], [np.nan, 0.25])


def test_the_dtype_is_kept(planned: Planned) -> None:
    """A part is of the graph's dtype, whatever a function gives."""
    plan = planned("a: [1, 2], b: 3", "p: sum(a) * b, f: p * 1", dtype="float32")
    for masked in (False, True):
        assert {part.dtype for part in pulled(plan, np.float32(2), masked=masked).values()} == {np.dtype("float32")}


def test_only_what_is_wanted_is_given(planned: Planned) -> None:
    """A number literal is given a gradient only where gradients are wanted everywhere."""
    plan = planned("a: 5", "p: a * 7, f: p * p")
    assert pulled(plan, 2.0) == {"a": 14}
    assert pulled(plan, 2.0, everywhere=True) == {"a": 14, None: 10}


def test_a_tensor_type_gives_its_product(planned: Planned) -> None:
    """A vector-Jacobian product is computed at the gradient that comes in, also where it is a function yet."""
    plan = planned("a: [[1, 2], [3, 4]], b: [5, 6]", "p: a @ b, f: sum(p)")
    found = pulled(plan, np.array([1.0, -1.0]))
    np.testing.assert_array_equal(found["a"], [[5, 6], [-5, -6]])
    np.testing.assert_array_equal(found["b"], [1 - 3, 2 - 4])


def test_the_backward_pass_is_the_chain_rule(planned: Planned) -> None:
    """What a value is given by all its uses adds up; what the objective does not depend on has no gradient."""
    plan = planned("a: 5, b: -3, c: -2, idle: 1", "p: a + b, q: p * c, aside: q * idle, f: q + p * p")
    passes = NodePasses(plan)
    operations, values = passes.operations(plan.batches), passes.values()
    forward(operations, values)
    found = backward(operations, values, plan.slots["f"], np.float64(1))
    expected = {"a": 2, "b": 2, "c": 2, "p": 2, "q": 1, "f": 1}
    assert {name: found.get(plan.slots[name]) for name in expected} == expected
    assert not {plan.slots["idle"], plan.slots["aside"]}.intersection(found)


def test_a_batch_gives_all_its_nodes_inputs(planned: Planned) -> None:
    """Batch by batch the gradients are the same, also of a value that several nodes of a batch use."""
    nodes = ", ".join(f"n{k}: a * b{k % 2}" for k in range(6)) + ", p: n0 + n1, f: p * n2 + n3 * n4 - n5"
    plan = planned("a: 2, b0: 3, b1: -1", nodes)
    assert any(batch.count == 6 for batch in plan.batches)
    gradients = []
    for passes in (NodePasses(plan), BatchPasses(plan)):
        operations, values = passes.operations(plan.batches), passes.values()
        forward(operations, values)
        gradients.append(passes.backward(operations, values)[: plan.parameters])
    np.testing.assert_array_equal(gradients[0], gradients[1])
