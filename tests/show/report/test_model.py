"""What a page computes with, run by Node: values, gradients and what edges carry are those of the passes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lesson import GRAPHS, each_of
from random_graphs import SHAPES, graphs, loaded

import graphrun
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines import Program
from graphrun.run.api import Graph
from graphrun.run.passes import Passes
from graphrun.run.request import RunRequest
from graphrun.show.report.model import make_model
from graphrun.show.report.recording import Recording

SCRIPT = GRAPHS.parent / "graphrun" / "show" / "report" / "script"

STEPS = """
const text = (x) => (typeof x === "number" ? [String(x)] : x === undefined ? null : Array.from(x, String));
const texts = (all) => Object.fromEntries(Object.entries(all).map(([key, x]) => [key, text(x)]));
let { leaves, memory } = stateOf(data.live.first);
const { update, bounds } = data.live, rows = [];
for (let step = 0; step <= data.steps; step++) {
  const { values, gradients, states } = model.compute({ ...leaves, ...fed(step) });
  const { locals, contributions } = model.edges(values, gradients);
  const row = { values, gradients, locals, contributions };
  rows.push(Object.fromEntries(Object.entries(row).map(([kind, all]) => [kind, texts(all)])));
  if (!update) break;
  const rule = model.rules[update.type], moved = {}, kept = {};
  const settings = model.schedule ? { ...update.settings, step_size: model.schedule(step) } : update.settings;
  for (let slot = 0; slot < data.parameters; slot++) {
    const list = (x) => (typeof x === "number" ? [x] : x), own = { ...settings };
    for (const [name, factor] of Object.entries(data.live.factors?.[slot] ?? {})) own[name] *= factor;
    const made = Array.from(list(leaves[slot]), (x, k) => {
      const at = (array) => (array === undefined ? 0 : list(array)[k]);
      const states = rule.states.map((state) => at(memory[state]?.[slot]));
      const found = rule.update(x, data.sign * at(gradients[slot]), step + 1, states, own);
      const [low, high] = (bounds[slot] ?? ["-Infinity", "Infinity"]).map(decode).map((bound) => bound[k] ?? bound);
      found[0] = Math.min(Math.max(found[0], low), high);
      return found;
    });
    const column = (k) => (typeof leaves[slot] === "number" ? made[0][k] : Float64Array.from(made, (one) => one[k]));
    moved[slot] = column(0);
    rule.states.forEach((state, k) => { (kept[state] ??= {})[slot] = column(k + 1); });
  }
  leaves = { ...leaves, ...moved, ...states };
  memory = kept;
}
console.log(JSON.stringify(rows));
"""
"""What a page does with the model, as short as it can be said; the update is that of the file, without clipping."""


def rows_of(graph: Graph, steps: int, folder: Path) -> list[dict[str, Any]] | str:
    """Return the rows of a run as Node computes them; of what a page does not compute, the reason."""
    plan = graph.plan("float64")
    recording = Recording(plan, 1, None)
    graph.answer(RunRequest(steps=0, dtype="float64", engine="numpy", inspect=recording.take))
    recording.finish()
    model = make_model(graph, recording)
    if "why" in model.data:
        return str(model.data["why"])
    data = {"live": model.data, "steps": steps, "parameters": plan.parameters, "sign": -1 if plan.maximize else 1}
    lines = [
        model.script,
        f"const data = {json.dumps(data)}, shapes = {json.dumps([list(shape) for shape in plan.shapes])};",
        "const shapeOf = (slot) => shapes[slot];",
        (SCRIPT / "feeding.js").read_text(encoding="utf-8"),
        STEPS,
    ]
    file = folder / "model.mjs"
    file.write_text("\n".join(lines), encoding="utf-8")
    found = subprocess.run(["node", file], capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S607
    assert found.returncode == 0, found.stderr
    rows: list[dict[str, Any]] = json.loads(found.stdout)
    return rows


def expected_rows(graph: Graph, steps: int) -> Iterator[dict[str, dict[int, Any]]]:
    """Yield the same by the passes of the NumPy engine."""
    taken: list[dict[str, dict[int, Any]]] = []

    def take(program: Program) -> None:
        passes, plan = Passes.of(program), program.plan
        edges: list[Any] = []
        if plan.objective is not None:
            edges = [edge for _, node, _ in plan.nodes() for edge in passes.edges_into(node)]
        named = {number: edge for number, edge in enumerate(edges) if plan.names[edge.source] is not None}
        found = {"values": dict(enumerate(passes.values)), "gradients": {}, "locals": {}, "contributions": {}}
        if plan.objective is not None:
            found["gradients"] = dict(enumerate(passes.gradients))
            found["locals"] = {k: edge.local_derivative for k, edge in named.items()}
            found["contributions"] = {k: edge.contribution for k, edge in named.items()}
        taken.append({kind: {k: np.array(x) for k, x in all_.items() if x is not None} for kind, all_ in found.items()})

    graph.answer(RunRequest(steps=steps, dtype="float64", engine="numpy", every=1, inspect=take))
    return iter(taken)


def assert_same(graph: Graph, steps: int, folder: Path, tolerance: float = 1e-12) -> int:
    """Compare all numbers of a run, and return of how many rows."""
    found = rows_of(graph, steps, folder)
    assert not isinstance(found, str), found
    for step, (row, expected) in enumerate(
        zip(found, expected_rows(graph, steps if len(found) > 1 else 0), strict=True)
    ):
        for kind, numbers in expected.items():
            for key, wanted in numbers.items():
                texts = row[kind].get(str(key))
                told = f"{kind} {key} at step {step}"
                if texts is None:
                    assert not np.any(wanted), told
                    continue
                given = np.array([float(text) for text in texts]).reshape(wanted.shape)
                size = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
                np.testing.assert_allclose(given, wanted, tolerance, tolerance * size, err_msg=told)
            assert set(row[kind]) <= {str(key) for key in numbers} or kind == "gradients"
    return len(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nested", "formula", "digits"])
def test_the_numbers_are_those_of_the_passes(name: str, tmp_path: Path) -> None:
    """Of numbers, of what is broadcast, and of batches whose rows are drawn."""
    assert assert_same(graphrun.load(GRAPHS / f"{name}.yaml"), 3, tmp_path) == 4


@pytest.mark.campaign
@pytest.mark.parametrize("file", each_of(sorted(GRAPHS.glob("*.yaml"))))
def test_every_example_computes(file: Path, tmp_path: Path) -> None:
    """There is none that is too large, or that has a type which cannot be written."""
    graph = graphrun.load(file)
    if file.stem == "early":
        assert "what it looks at" in rows_of(graph, 0, tmp_path)
        return
    moves = graph.plan().objective is not None and isinstance(graph.plan().update.rule, UpdateRule)
    assert assert_same(graph, 2, tmp_path, 1e-11) == (3 if moves else 1)


@pytest.mark.campaign
@settings(deadline=None, max_examples=examples(25), suppress_health_check=list(HealthCheck))
@given(data=st.one_of(graphs(), graphs(SHAPES)))
def test_random_graphs(tmp_path: Path, data: dict[str, Any]) -> None:
    """Of all elementwise types, with what they broadcast."""
    graph, _ = loaded(data, tmp_path)
    assert_same(graph, 0, tmp_path, 1e-11)


def test_what_is_too_large_says_so(tmp_path: Path) -> None:
    """The page replays only, and names the limit."""
    file = tmp_path / "large.yaml"
    text = "parameters: {W: {init: normal, shape: [800, 700]}}\nnodes: {y: {type: sum, inputs: [W]}}\nminimize: y\n"
    file.write_text(text, encoding="utf-8")
    assert "560,001 numbers; a page computes with 524,288 at most" in rows_of(graphrun.load(file), 0, tmp_path)
