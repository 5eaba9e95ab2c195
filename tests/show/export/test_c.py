"""`graphrun export FILE --to c`: what a compiler makes of it gives the run's numbers, to the last bit or two."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lesson import GRAPHS, NESTED, each_of
from random_graphs import graphs
from type_graphs import TYPES

import graphrun
from graphrun.run.api import Graph
from graphrun.show.export import LANGUAGES

export = LANGUAGES["c"].export

pytestmark = pytest.mark.campaign

COMPILER = ["cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-unused-function"]
FAST = ["-O3", "-ffp-contract=off"]


def ran(text: str, folder: Path, *flags: str) -> dict[str, float]:
    """Compile a program, run it, and return what it prints."""
    (folder / "program.c").write_text(text, encoding="utf-8")
    command = [*COMPILER, *flags, str(folder / "program.c"), "-o", str(folder / "program"), "-lm"]
    subprocess.run(command, check=True, timeout=120)
    printed = subprocess.run([folder / "program"], check=True, capture_output=True, encoding="utf-8").stdout
    return {name: float(text) for name, text in (line.split(" = ") for line in printed.splitlines())}


def assert_same(graph: Graph, folder: Path, steps: int, tolerance: float = 2e-15) -> None:
    """Compare all values and parameters after some steps, where all of them are finite."""
    result = graph.try_run(steps, engine="numpy", record=[*graph.document.parameters, *graph.document.nodes], every=1)
    if result.error is not None:
        return
    found = ran(export(graph, steps=steps), folder, *FAST)
    for name in result.gradients:
        # All but frozen parameters, which are constants of a program.
        value = {**result.parameters, **result.values}[name]
        np.testing.assert_allclose(found[name], value, tolerance, 1e-300, err_msg=name)


@pytest.mark.parametrize("file", each_of(sorted(GRAPHS.glob("*.yaml"))))
def test_every_example_of_numbers(file: Path, tmp_path: Path) -> None:
    """All others are refused by name."""
    graph = graphrun.load(file)
    plan = graph.plan()
    if plan.has_arrays or plan.data or plan.objective is None:
        with pytest.raises(graphrun.UsageError, match="export to c: "):
            export(graph)
    else:
        assert_same(graph, tmp_path, min(graph.steps, 100))


RULES = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion"]


@settings(deadline=None, max_examples=examples(40), suppress_health_check=list(HealthCheck))
@given(data=graphs(), steps=st.integers(0, 10), rule=st.sampled_from(RULES))
def test_random_graphs(data: dict[str, Any], steps: int, rule: str, tmp_path: Path) -> None:
    """Deep graphs over all elementwise types, under every rule; libm and NumPy round differently."""
    del data["nodes"]["total"]
    data |= {"maximize": list(data["nodes"])[-1], "update": {"type": rule, "step_size": 1e-3}}
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    assert_same(graphrun.load(file), tmp_path, steps, 1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_elementwise_type(dtype: str, tmp_path: Path) -> None:
    """In one program: each at a number of its domain."""
    nodes: dict[str, Any] = {}
    for name, declared in TYPES.items():
        settings_known = declared.default_settings is not None
        if declared.is_elementwise and settings_known and not declared.engine_inputs:
            count = declared.arity[0]
            nodes[f"y_{name}"] = {"type": name, "inputs": ["a", "b", "c"][:count]}
    graph = {"dtype": dtype, "parameters": {"a": 0.7, "b": 0.4, "c": 0.9, "far": 1.5}, "nodes": nodes}
    if "y_acosh" in nodes:
        nodes["y_acosh"]["inputs"] = ["far"]
    total = " + ".join(nodes)
    graph["nodes"] |= {"f": total}
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump(graph | {"minimize": "f"}, sort_keys=False), encoding="utf-8")
    assert_same(graphrun.load(file), tmp_path, 1, 1e-13 if dtype == "float64" else 1e-5)


def test_the_three_functions(load: Any, tmp_path: Path) -> None:
    """A program of one's own links with them."""
    (tmp_path / "own.c").write_text(
        """
#include <stdio.h>
double value_and_gradient(const double *, double *);
void step(double *, double *, long);
int main(void) {
    double p[3] = {5, -3, -2}, g[3], s[1] = {0};
    double f = value_and_gradient(p, g);
    printf("f = %g\\na = %g\\nb = %g\\nc = %g\\n", f, g[0], g[1], g[2]);
    step(p, s, 0);
    printf("after = %.17g\\n", value_and_gradient(p, g));
    return 0;
}
"""
    )
    found = ran(export(load(NESTED)), tmp_path, "-DGRAPHRUN_NO_MAIN", str(tmp_path / "own.c"))
    assert found == {"f": -4, "a": -2, "b": -2, "c": 2, "after": pytest.approx(-3.8808, rel=1e-15)}


def test_a_type_that_makes_arrays_of_numbers(tmp_path: Path) -> None:
    """What it makes on the way has a place in the program."""

    @graphrun.tensor
    def larger_sum(xp: Any, x: Any, y: Any) -> Any:
        """Sum of the two largest of x, y and 0.5."""
        both = xp.stack([x, y, 0.5 * xp.ones_like(x)])
        return xp.sum(xp.cumulative_sum(xp.take(both, xp.asarray([1, 0, 2]), axis=0), axis=0)) - xp.min(both)

    @larger_sum.vjp
    def _(xp: Any, gradient: Any, output: Any, x: Any, y: Any) -> Any:
        return gradient * xp.where(x < y, 1.0, 2.0), gradient * 3.0

    text = "parameters: {a: 0.25, b: 2.0}\nnodes: {f: 'larger_sum(a, b) * a'}\nminimize: f\n"
    assert_same(graphrun.loads(text, types=[larger_sum]), tmp_path, 3)
