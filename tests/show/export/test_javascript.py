"""`graphrun export FILE --to javascript`: the module's numbers, run by Node, are the run's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lesson import GRAPHS, each_of
from random_graphs import SHAPES, graphs, loaded
from type_graphs import TYPES, graphs_of

import graphrun
from graphrun.declare.updaterule import UpdateRule
from graphrun.run.api import Graph
from graphrun.show.export import LANGUAGES

export = LANGUAGES["javascript"].export

pytestmark = pytest.mark.campaign

RUNNER = """
import { createInterface } from "node:readline";
const text = (value) => (typeof value === "number" ? String(value) : Array.from(value, String));
const plain = (o) => Object.fromEntries(Object.entries(o).map(([name, value]) => [name, text(value)]));
for await (const line of createInterface({ input: process.stdin })) {
  const { file, steps } = JSON.parse(line);
  let answer;
  try {
    const module = await import(file);
    const found = module.value_and_gradient();
    answer = { values: plain(found.values), gradients: plain(found.gradients), printed: [] };
    if (module.step) {
      module.main(steps, (text) => answer.printed.push(text));
      let state = module.start();
      for (let k = 0; k < steps; k++) state = module.step(state);
      answer.parameters = plain(state.parameters);
    }
  } catch (error) {
    answer = { error: String(error.stack) };
  }
  console.log(JSON.stringify(answer));
}
"""

Ask = Callable[[str, int], dict[str, Any]]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Return what gives a module's text to Node, and returns what it computes."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "runner.mjs").write_text(RUNNER, encoding="utf-8")
    process = subprocess.Popen(["node", folder / "runner.mjs"], stdin=-1, stdout=-1, text=True, encoding="utf-8")  # noqa: S607
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(text: str, steps: int) -> dict[str, Any]:
        file = folder / f"module{len(list(folder.iterdir()))}.mjs"
        file.write_text(text, encoding="utf-8")
        process.stdin.write(json.dumps({"file": str(file), "steps": steps}) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    yield ask
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def numbers(value: Any) -> Any:
    """The numbers of an answer, which come as texts: JSON has none that are not finite."""
    return np.array([float(text.replace("Infinity", "inf")) for text in ([value] if isinstance(value, str) else value)])


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> None:
    """Compare what has a name in both; infinities and NaN are the same too."""
    for name, value in found.items():
        if name in expected:
            wanted = np.ravel(np.asarray(expected[name], np.float64))
            largest = np.abs(wanted).max(initial=1e-300, where=np.isfinite(wanted))
            np.testing.assert_allclose(numbers(value), wanted, tolerance, tolerance * largest, err_msg=name)


def assert_module_is_the_run(graph: Graph, ask: Ask, steps: int = 3) -> None:
    """Compare values and gradients at the start, and the parameters after some steps."""
    answer = ask(export(graph), steps)
    start = graph.run(0, engine="numpy", dtype="float64")
    assert_same(answer["values"], start.values, 1e-12)
    assert_same(answer["gradients"], start.gradients, 1e-12)
    assert set(answer["values"]) == set(start.values)
    assert set(answer["gradients"]) == set(start.gradients)
    plan = graph.plan()
    if "parameters" in answer and not plan.feeds:
        after = graph.try_run(steps, engine="numpy", dtype="float64")
        if after.error is not None:
            return
        assert_same(answer["parameters"], after.parameters, 1e-10)
        printed = dict(line.split(" = ", 1) for line in answer["printed"])
        # Frozen parameters, which have no gradient, are constants of a module.
        assert set(printed) == {after.objective.name, *(after.parameters.keys() & after.gradients.keys())}
    else:
        assert isinstance(plan.update.rule, UpdateRule) <= (plan.feeds or plan.objective is None)


@pytest.mark.parametrize("file", each_of(sorted(GRAPHS.glob("*.yaml"))))
def test_every_example(file: Path, node: Ask) -> None:
    """Of one that is fed batches, the first batch."""
    graph = graphrun.load(file)
    if file.stem == "early":
        with pytest.raises(graphrun.UsageError, match="falls by what a run looks at"):
            export(graph)
        return
    assert_module_is_the_run(graph, node)


@pytest.mark.parametrize("name", TYPES)
def test_every_type(name: str, node: Ask, tmp_path: Path) -> None:
    """In every form that the checker tries; those that draw random numbers, in their evaluation."""
    for data in graphs_of(name):
        file = tmp_path / "graph.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        if name in REFUSED:
            with pytest.raises(graphrun.UsageError, match=f"no form of the operation {REFUSED[name]}"):
                export(graphrun.load(file))
        else:
            assert_module_is_the_run(graphrun.load(file), node)


REFUSED = {"det": "svd"}
"""What cannot be said in JavaScript: the derivative of a determinant that may be 0 is by singular values."""

RULES = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion"]


@settings(deadline=None, max_examples=examples(100), suppress_health_check=list(HealthCheck))
@given(data=graphs(SHAPES), rule=st.sampled_from(RULES))
def test_random_graphs(data: dict[str, Any], rule: str, node: Ask, tmp_path: Path) -> None:
    """Deep graphs over all elementwise types, of numbers and arrays that broadcast, under every rule."""
    data |= {"update": {"type": rule, "step_size": 1e-3}}
    assert_module_is_the_run(loaded(data, tmp_path, 3)[0], node)
