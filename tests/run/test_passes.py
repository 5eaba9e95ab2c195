"""Both passes taken apart: what the edges carry adds up to the gradients, on every example and on random graphs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lesson import each_of
from random_graphs import graphs

import graphrun
from graphrun.run.passes import Kind, Passes

GRAPHS = sorted(Path(__file__).parents[2].joinpath("graphs").glob("**/*.yaml"))
NESTED = next(file for file in GRAPHS if file.name == "nested.yaml")
NAMES_OF_SHAPES = st.sampled_from([(), (3,), (2, 1), (2, 3)])


def assert_adds_up(passes: Passes) -> None:
    """Assert that each gradient is the sum of what the edges carry."""
    for slot in range(len(passes.plan.names)):
        if slot == passes.plan.objective:
            assert passes.gradients[slot] == 1
            continue
        parts = [edge.contribution for edge in passes.edges_from(slot) if edge.contribution is not None]
        total = sum(parts, np.zeros(passes.plan.shapes[slot]))
        np.testing.assert_allclose(total, passes.gradients[slot], rtol=1e-6, atol=1e-9)


def test_the_lesson() -> None:
    """Each edge of f = (a + b) c has the local derivative and the contribution of the lesson."""
    passes = graphrun.load(NESTED).passes()
    plan, slots = passes.plan, passes.plan.slots
    assert [passes.kind(slots[name]) for name in "acf"] == [Kind.PARAMETER, Kind.PARAMETER, Kind.NODE]
    assert passes.plan.batch_of(slots["f"]).type.name == "multiply"
    edges = [
        (plan.names[edge.source], plan.names[edge.target], float(edge.local_derivative), float(edge.contribution))
        for name in "fd"
        for edge in passes.edges_into(slots[name])
    ]
    assert edges == [("d", "f", -2, -2), ("c", "f", 2, 2), ("a", "d", 1, -2), ("b", "d", 1, -2)]


def test_a_later_step() -> None:
    """After one update f is -3.8808."""
    passes = graphrun.load(NESTED).passes(1)
    assert passes.step == 1
    assert passes.values[passes.plan.slots["f"]] == pytest.approx(-3.8808, rel=1e-12)


@pytest.mark.parametrize("file", each_of(GRAPHS))
def test_contributions_of_the_examples(file: Path) -> None:
    """On every example what the edges carry adds up to the gradients."""
    assert_adds_up(graphrun.load(file).passes())


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(data=graphs(NAMES_OF_SHAPES))
def test_contributions_of_random_graphs(tmp_path_factory: Any, data: dict[str, Any]) -> None:
    """On random graphs too, with inputs that are broadcast and inputs that stand twice."""
    file = tmp_path_factory.mktemp("graph") / "g.yaml"
    file.write_text(yaml.safe_dump(data))
    try:
        passes = graphrun.load(file).passes()
    except graphrun.GraphrunError:
        return  # a value that is not finite, or shapes that do not fit
    with np.errstate(all="ignore"):
        assert_adds_up(passes)


def test_a_step_that_a_run_does_not_come_to(tmp_path: Path) -> None:
    """A run that a rule stops has no later step."""
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {x: 1}\nnodes: {f: x ** 2}\nminimize: f\nstop: {value: 0.9}\n")
    with pytest.raises(graphrun.GraphrunError, match=r"there is no step 50: the run ends after \d+ \(value\)"):
        graphrun.load(file).passes(50)


@pytest.mark.parametrize("step", [0, 3])
def test_a_step_that_is_not_finite(tmp_path: Path, step: int) -> None:
    """There are no passes where a run fails, be it before any update; the message is that of the run."""
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {x: 300}\nnodes: {f: x ** 200}\nmaximize: f\n")
    graph = graphrun.load(file)
    failed = graph.try_run(0).error
    assert failed is not None
    with pytest.raises(graphrun.NotFiniteError, match=re.escape(str(failed))):
        graph.passes(step)


def test_without_an_objective_there_is_no_later_step(tmp_path: Path) -> None:
    """What has no objective is not updated."""
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {x: 3}\nnodes: {f: x ** 2}\n")
    graph = graphrun.load(file)
    assert graph.passes().values[graph.plan().slots["f"]] == 9
    with pytest.raises(graphrun.UsageError, match="there is no step 1: without an objective nothing is updated"):
        graph.passes(1)
