"""What a plan says of a graph: slots, batches, generations, what moves, what each step computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.plan.plan import Plan

Planned = Callable[..., Plan]

# Two equal nodes, one that depends on no parameter, one that the objective does not depend on.
GRAPH = """\
parameters: {a: 1, b: 2, idle: 3}
constants: {k: 4}
nodes:
  f: r * s
  r: {type: sin, inputs: [a]}
  fixed: {type: sin, inputs: [k]}
  q: {type: sin, inputs: [b]}
  s: q + fixed
  aside: {type: exp, inputs: [r]}
minimize: f
"""


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Return a function that makes the plan of a graph file's text."""

    def plan_of(text: str, **settings: object) -> Plan:
        (tmp_path / "graph.yaml").write_text(text, encoding="utf-8")
        return graphrun.load(tmp_path / "graph.yaml").plan(**settings)

    return plan_of


def names(plan: Plan, slots) -> list[str | None]:
    """Return the names of some slots."""
    return [plan.names[slot] for slot in slots]


def test_leaves_come_first_and_parameters_before_all(planned: Planned) -> None:
    """Slots count parameters, other leaves, nodes; each name has the slot that has its name."""
    plan = planned(GRAPH)
    assert names(plan, range(plan.parameters)) == ["a", "b", "idle"]
    assert names(plan, range(len(plan.leaves))) == ["a", "b", "idle", "k"]
    assert list(plan.leaves) == [1, 2, 3, 4]
    assert all(plan.names[slot] == name for name, slot in plan.slots.items())
    assert plan.objective == plan.slots["f"]


def test_every_node_comes_after_its_inputs(planned: Planned) -> None:
    """The walk over nodes comes by every one of them once, in an order in which it can be computed."""
    plan = planned(GRAPH)
    seen = set(range(len(plan.leaves)))
    for batch, slot, inputs in plan.nodes():
        assert slot in batch.slots
        assert seen.issuperset(inputs)
        assert plan.batch_of(slot) is batch
        assert plan.inputs_of(slot) == inputs
        seen.add(slot)
    assert seen == set(range(len(plan.names)))
    by_name = {plan.names[slot]: names(plan, inputs) for _, slot, inputs in plan.nodes()}
    assert (by_name["f"], by_name["s"]) == (["r", "s"], ["q", "fixed"])


def test_equal_nodes_of_a_generation_are_a_batch(planned: Planned) -> None:
    """A batch has neighbouring slots; a node that no parameter reaches is not in one with those that move."""
    plan = planned(GRAPH)
    assert [names(plan, batch.slots) for batch in plan.batches if batch.type.name == "sin"] == [["r", "q"], ["fixed"]]
    assert names(plan, plan.inputs(plan.batch_of(plan.slots["r"]))[0]) == ["a", "b"]


def test_a_node_of_arrays_is_a_batch_of_its_own(planned: Planned) -> None:
    """Only numbers are batched, for an array is work enough."""
    plan = planned("parameters: {v: [1, 2], w: [3, 4]}\nnodes: {p: sin(v), q: sin(w), f: sum(p * q)}\nminimize: f\n")
    assert all(batch.count == 1 for batch in plan.batches)


def test_generations_are_the_longest_paths_from_a_leaf(planned: Planned) -> None:
    """A leaf is of generation 0, a node of one more than the last of its inputs."""
    plan = planned(GRAPH)
    found = {name: plan.generations[slot] for name, slot in plan.slots.items()}
    assert found == {"a": 0, "b": 0, "idle": 0, "k": 0, "r": 1, "fixed": 1, "q": 1, "s": 2, "aside": 2, "f": 3}


def test_what_a_parameter_reaches_moves(planned: Planned) -> None:
    """Parameters move, and what depends on one; a constant and what is made of constants does not."""
    plan = planned(GRAPH)
    assert {name for name, slot in plan.slots.items() if not plan.moving[slot]} == {"k", "fixed"}
    assert len(plan.moving) == len(plan.names)


def test_what_a_step_computes(planned: Planned) -> None:
    """What moves on the way to the objective is computed by each step, other things once or where somebody looks."""
    plan = planned(GRAPH)

    def nodes(batches) -> set[str | None]:
        return {plan.names[slot] for _, slot, _ in plan.nodes(batches)}

    assert nodes(plan.once) == {"fixed"}
    assert nodes(plan.in_loop) == {"r", "q", "s", "f"}
    assert nodes(plan.off_loop) == {"aside"}


def test_without_an_objective_no_step_computes_anything(planned: Planned) -> None:
    """All that moves is computed where somebody looks."""
    plan = planned(GRAPH.replace("minimize: f\n", ""))
    assert plan.in_loop == ()
    assert sum(batch.count for batch in plan.off_loop) == 5


def test_each_use_of_a_value_is_told(planned: Planned) -> None:
    """A value that stands twice among a node's inputs is used twice by it."""
    plan = planned("parameters: {a: 1}\nnodes: {f: a * a, g: f - a}\nminimize: g\n")
    f, g = plan.slots["f"], plan.slots["g"]
    assert plan.uses == {plan.slots["a"]: [(f, 0), (f, 1), (g, 1)], f: [(g, 0)]}


def test_what_a_node_keeps_and_what_tells_steps_from_evaluations(planned: Planned) -> None:
    """A node's states have slots among the leaves, and random numbers too; rows to evaluate are not trained on."""
    plan = planned(
        "parameters: {x: [[1, 2], [3, 5]], gain: [1, 1], shift: [0, 0]}\n"
        "nodes:\n  n: {type: batch_norm, inputs: [x, gain, shift]}\n  d: {type: dropout, inputs: [n], rate: 0.5}\n"
        "  f: sum(d ** 2)\nminimize: f\n"
    )
    (node,) = plan.states
    assert plan.state_slots == node.slots
    assert node.batch is plan.batch_of(plan.slots["n"])
    assert all(slot in range(plan.parameters, len(plan.leaves)) for slot in plan.state_slots)
    (noise,) = plan.noise
    assert (noise.shape, noise.like) == ((2, 2), plan.slots["n"])
    training = [
        [value for batch in each.batches for name, value in batch.settings if name == batch.type.takes_training]
        for each in (plan, plan.evaluation())
    ]
    assert all(training[0])
    assert training[0]
    assert not any(training[1])


def test_leaves_have_the_dtype_of_the_plan(planned: Planned) -> None:
    """Numbers and bounds are of the dtype that is asked for; one that it cannot hold is refused."""
    text = "parameters: {a: {value: 0.1, upper: 1}}\nconstants: {k: 1.0e+39}\nnodes: {f: a * 2}\nminimize: f\n"
    with pytest.raises(graphrun.UsageError, match="'k' has a number that is too large for float32"):
        planned(text, dtype="float32")
    plan = planned(text.replace("39", "38"), dtype="float32")
    assert {leaf.dtype for leaf in plan.leaves} == {np.dtype("float32")}
    assert plan.bounds == [(np.float32(-np.inf), np.float32(1))]
    assert planned(text).dtype == np.float64
