"""Where what is not finite arose, and which function raised: a node or a derivative is named, and the path to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.plan.plan import Plan
from graphrun.run.diagnosis import diagnose, diagnose_failure, show

Planned = Callable[[str], Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Return a function that makes the plan of a graph file's text."""

    def plan_of(text: str) -> Plan:
        (tmp_path / "graph.yaml").write_text(text, encoding="utf-8")
        return graphrun.load(tmp_path / "graph.yaml").plan()

    return plan_of


def test_the_first_node_whose_inputs_are_finite_is_named(planned: Planned) -> None:
    """The value is followed up from the objective; the input outside of the type's domain is told."""
    plan = planned("parameters: {x: -2, c: 1}\nnodes: {h: x + c, l: log(h), g: l * c, f: g + h}\nminimize: f\n")
    assert diagnose(plan, plan.leaves) == (
        "the value of node 'l' (type log) is nan; its inputs are h = -1, outside the domain (0, inf) of x; "
        "reached by x → h → l"
    )


def test_a_leaf_that_is_not_finite(planned: Planned) -> None:
    """Where a parameter is what is not finite, it is named alone."""
    plan = planned("parameters: {x: 1}\nnodes: {f: x * x}\nminimize: f\n")
    assert diagnose(plan, [np.float64(np.inf)]) == "x is inf"


def test_a_derivative_that_is_not_finite(planned: Planned) -> None:
    """Where all values are finite, the first derivative on the way back that is not is named, by which input it is."""
    plan = planned("parameters: {x: 0, y: 4}\nnodes: {r: sqrt(x), s: sqrt(y), f: r + s}\nminimize: f\n")
    assert diagnose(plan, plan.leaves) == (
        "the derivative of node 'r' (type sqrt) by x is not finite (inf); its value is 0, its inputs are x = 0; "
        "reached by x → r"
    )


def test_where_zero_comes_in_nothing_is_wrong(planned: Planned) -> None:
    """An infinite derivative that a gradient of zero meets is not the cause: the other one is."""
    plan = planned("parameters: {x: 0, y: 0}\nnodes: {r: sqrt(x), s: sqrt(y), f: 0 * r + s}\nminimize: f\n")
    assert diagnose(plan, plan.leaves).startswith("the derivative of node 's' (type sqrt) by y is not finite")


def test_a_gradient_that_adds_up_to_what_is_not_finite(planned: Planned) -> None:
    """Where every part is finite and their sum is not, the parameter is named."""
    plan = planned("parameters: {x: 1}\nnodes: {p: x * 1.0e+308, q: x * 1.0e+308, f: 0.9 * p + 0.9 * q}\nminimize: f\n")
    plan.leaves[0] = np.float64(0)
    assert diagnose(plan, plan.leaves) == "the gradient of x adds up to something not finite"


def test_a_value_aside_of_the_objective(planned: Planned) -> None:
    """Asked for another value, that one is followed."""
    plan = planned("parameters: {x: 0}\nnodes: {f: x * x, aside: 1 / x}\nminimize: f\n")
    text = diagnose(plan, plan.leaves, plan.slots["aside"])
    assert text.startswith("the value of node 'aside' (type divide) is inf; its inputs are 1, x = 0")


PLUGIN = """\
import graphrun


@graphrun.elementwise
def odd(xp, x):
    {body}
    return x


@odd.local_derivatives
def _(xp, y, x):
    return (1.0,)


@graphrun.hookimpl
def graphrun_node_types():
    return [odd]
"""


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("if xp.max(x) > 1: raise OverflowError('too much')", "raises OverflowError: too much"),
        ("if xp.max(x) > 1: return xp.sum(x)", "gives the shape (), not (2,)"),
    ],
)
def test_the_function_that_raises_is_named(tmp_path: Path, body: str, fault: str) -> None:
    """What raises, or gives another shape, at some point only is found by calling all functions there."""
    plugin, file = tmp_path / "plugins" / "odd.py", tmp_path / "graph.yaml"
    plugin.parent.mkdir()
    plugin.write_text(PLUGIN.format(body=body), encoding="utf-8")
    file.write_text(
        "parameters: {x: [-2, -1]}\n"
        "nodes: {h: {type: exp, inputs: [x]}, r: {type: odd, inputs: [h]}, f: {type: sum, inputs: [r]}}\nminimize: f\n",
        encoding="utf-8",
    )
    plan = graphrun.load(file, plugins=[plugin.parent]).plan()
    found = diagnose_failure(plan, [np.array([0.0, 1.0])], ValueError("what an engine said"))
    assert found == (
        f"node 'r' (type odd) ({plugin}) {fault}; its inputs are h = [1.      , 2.718282]; reached by x → h → r"
    )


def test_a_rule_or_an_engine_where_no_node_is_to_blame(planned: Planned) -> None:
    """Where every node keeps to its declaration, the rest is told."""
    plan = planned("parameters: {x: 1}\nnodes: {f: x * x}\nminimize: f\nupdate: {type: adam}\n")
    found = diagnose_failure(plan, plan.leaves, ValueError("no"))
    assert found.startswith("the update rule adam (")
    assert found.endswith("or an engine raises ValueError: no")


def test_values_are_shown_short() -> None:
    """A number has six digits, a small array its elements, a large one its shape and where it is not finite."""
    assert show(1 / 3) == "0.333333"
    assert show(np.array([1.0, np.inf])) == "[ 1., inf]"
    large = np.zeros((3, 4))
    assert show(large) == "an array of shape (3, 4)"
    large[1, 2] = np.nan
    assert show(large) == "an array of shape (3, 4) with 1 of 12 elements not finite, the first at [1, 2]"
