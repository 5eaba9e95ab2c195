"""`graphrun show FILE --plan`: what a reader is told of the schedule, and that its JSON form leaves nothing out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, assume, given, settings
from lesson import NESTED
from random_graphs import graphs

import graphrun
from graphrun import nodes
from graphrun.cli.entry import run_command
from graphrun.show.plan_listing import WIDTH, plan_data, plan_lines

EXAMPLES = sorted(Path(__file__).parents[2].glob("graphs/*.yaml"))
TYPES = {declared.name: declared for declared in nodes.graphrun_node_types()}
LISTED = """\
nested.yaml: 2 nodes, 2 batches, 2 generations, float64

slots  leaves             shape
0-2    parameter a, b, c  number

gen  slots  nodes               shape   part
1    3      d = add(a, b)       number  both
2    4      f = multiply(d, c)  number  both
both: forward and backward pass of each step

The backward pass takes the batches marked 'both' from the last to the first.
What several uses give to a value is added up in the order of that pass, so that
every run gives the same bits. It begins at f with 1.
memory: values 40 B, gradients 40 B, inputs 16 B
"""
PARTS = """\
parameters: {x: 1.5}
constants: {k: 2, m: 3}
nodes:
  fixed: k * m
  f: (x - fixed) ** 2
  aside: f + k
minimize: f
"""


def interpret(plan: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Run both passes of a plan's JSON form; return values and gradients by slot."""
    dtype = np.dtype(plan["dtype"])
    values = [np.asarray(leaf, dtype)[()] for leaf in plan["leaves"]] + [None] * (
        len(plan["names"]) - len(plan["leaves"])
    )
    gradients: list[Any] = [0.0] * len(values)
    gradients[plan["objective"]] = dtype.type(1)

    def each(number: int) -> Any:
        batch = plan["batches"][number]
        chosen = {name: tuple(v) if isinstance(v, list) else v for name, v in batch["settings"].items()}
        slots = zip(*batch["inputs"], strict=True)
        return TYPES[batch["type"]], batch, chosen, enumerate(slots, batch["start"])

    for number in range(len(plan["batches"])):
        declared, batch, chosen, slots = each(number)
        for slot, inputs in slots:
            values[slot] = np.asarray(declared.function(np, *(values[k] for k in inputs), **chosen), dtype)[()]
            assert list(np.shape(values[slot])) == batch["shape"] == plan["shapes"][slot]
    for number in plan["backward"]:
        declared, batch, chosen, slots = each(number)
        for slot, inputs in reversed(list(slots)):
            arguments = values[slot], *(values[k] for k in inputs)
            gradient = gradients[slot] + np.zeros_like(values[slot])
            local = () if declared.is_elementwise else (gradient,)
            given = declared.derivative(np, *local, *arguments, **chosen)
            for position in batch["derivatives"]:
                part = given[position]() if callable(given[position]) else given[position]
                if part is None:
                    continue
                part = np.where(gradient == 0, 0, gradient * part) if declared.is_elementwise else part
                target = inputs[position]
                extra = np.ndim(part) - np.ndim(values[target])
                part = np.sum(part, axis=tuple(range(extra)))
                stretched = [k for k, size in enumerate(np.shape(values[target])) if size != np.shape(part)[k]]
                gradients[target] = gradients[target] + np.sum(part, axis=tuple(stretched), keepdims=True)
    return values, gradients


def listing(graph: graphrun.Graph) -> str:
    """Return what the command prints of a graph."""
    return "\n".join(plan_lines(graph.plan(), "graph.yaml"))


# --- the JSON form ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=examples(50), suppress_health_check=list(HealthCheck))
@given(data=graphs())
def test_the_json_form_is_complete(data: dict[str, Any], tmp_path: Path) -> None:
    """An interpreter of its own finds in it all that it takes to compute a run's values and gradients."""
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    graph = graphrun.load(file)
    result = graph.try_run(0)
    assume(result.error is None)
    plan = json.loads(json.dumps(plan_data(graph.plan()), allow_nan=False))
    with np.errstate(all="ignore"):
        values, gradients = interpret(plan)
    for slot, name in enumerate(plan["names"]):
        if name in result.values:
            np.testing.assert_allclose(values[slot], result.values[name], rtol=1e-12, equal_nan=True, err_msg=name)
        if name in result.parameters:
            np.testing.assert_allclose(gradients[slot], result.gradients[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_listed(file: Path) -> None:
    """Each node stands in one batch after all of its inputs, its part is one of the four, and no line is too long."""
    plan = graphrun.load(file).plan()
    data = json.loads(json.dumps(plan_data(plan), allow_nan=False))
    known = set(range(len(data["leaves"])))
    for batch in data["batches"]:
        assert {slot for slots in batch["inputs"] for slot in slots} <= known
        known |= set(range(batch["start"], batch["start"] + batch["count"]))
    assert known == set(range(len(data["names"])))
    assert sorted(data["backward"]) == [k for k, batch in enumerate(data["batches"]) if batch["part"] == "both"]
    assert max(map(len, plan_lines(plan, file.name))) <= WIDTH


def test_a_batch_of_arrays_is_complete_too(tmp_path: Path) -> None:
    """A layer and its loss, with a derivative that is undone over the axis along which the bias was stretched."""
    file = tmp_path / "graph.yaml"
    file.write_text(
        "parameters: {W: [[1, 2], [3, -4], [0.5, 6]], b: [0.1, 0.2]}\nconstants: {x: [[1, 2, 3], [4, 5, 6]]}\n"
        "nodes:\n  h: relu(x @ W + b)\n  f: mean(h * h)\nminimize: f\n"
    )
    graph = graphrun.load(file)
    values, gradients = interpret(json.loads(json.dumps(plan_data(graph.plan()))))
    result = graph.run(0)
    np.testing.assert_allclose(values[graph.plan().slots["f"]], result.values["f"])
    np.testing.assert_allclose(gradients[0], result.gradients["W"])
    np.testing.assert_allclose(gradients[1], result.gradients["b"])


def test_a_plan_cannot_be_changed(tmp_path: Path) -> None:
    """Neither its fields nor its arrays: engines and runs share it."""
    file = tmp_path / "nested.yaml"
    file.write_text(NESTED)
    plan = graphrun.load(file).plan()
    with pytest.raises(AttributeError):
        plan.objective = 0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        plan.operands[0] = 1
    with pytest.raises(TypeError):
        plan.batches[0] = plan.batches[1]  # type: ignore[index]


# --- the listing -----------------------------------------------------------------------------------------------------


def test_the_lesson_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a table, and as JSON of the same plan."""
    monkeypatch.chdir(tmp_path)
    Path("nested.yaml").write_text(NESTED)
    assert run_command(["show", "nested.yaml", "--plan"]) == 0
    assert capsys.readouterr().out == LISTED
    assert run_command(["show", "nested.yaml", "--plan", "--format", "json", "--set", "parameters.a=6"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("graph") == "nested.yaml"
    assert printed["leaves"] == [6.0, -3.0, -2.0]
    assert printed["backward"] == [1, 0]


def test_parts_are_told_apart(tmp_path: Path) -> None:
    """What every step computes, what is computed once, and what nothing needs."""
    file = tmp_path / "graph.yaml"
    file.write_text(PARTS)
    graph = graphrun.load(file)
    parts = {graph.plan().names[b["start"]]: b["part"] for b in plan_data(graph.plan())["batches"]}
    assert parts == {"fixed": "once", "f.1": "both", "f": "both", "aside": "aside"}
    assert "once: computed once, before the first step" in listing(graph)


def test_a_large_graph_is_summarized(tmp_path: Path) -> None:
    """Equal nodes are a line, and of many lines the first and the last are shown, with what is between."""
    wide = "\n".join(f"  n{k}: sin(a)" for k in range(3000))
    chain = "\n".join(f"  m{k}: tanh({f'm{k - 1}' if k else 'n7'})" for k in range(200))
    file = tmp_path / "graph.yaml"
    file.write_text(f"parameters: {{a: 1}}\nnodes:\n{wide}\n{chain}\nmaximize: m199\n")
    text = listing(graphrun.load(file))
    assert "2,999 x sin(a)" in text
    assert "batches more, with nodes of tanh 162" in text
    assert len(text.splitlines()) < 60


def test_graphs_without_an_objective_and_without_nodes(tmp_path: Path) -> None:
    """They are listed too."""
    file = tmp_path / "graph.yaml"
    file.write_text("constants: {a: 1}\nnodes: {b: a + 1}\n")
    assert "There is no objective" in listing(graphrun.load(file))
    file.write_text("subgraphs: {s: {inputs: [x], nodes: {y: x + 1}, output: y}}\n")
    assert listing(graphrun.load(file)) == "graph.yaml: 0 nodes, 0 batches, 0 generations, float64"


def test_json_has_names_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the encoding allows, a name is no escape, as in the other JSON that is printed."""
    (tmp_path / "g.yaml").write_text("parameters: {λ: 1}\nnodes: {f: λ * λ}\nminimize: f\n", encoding="utf-8")
    assert run_command(["show", str(tmp_path / "g.yaml"), "--plan", "--format", "json"]) == 0
    assert '"names": ["λ", "f"]' in capsys.readouterr().out


def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A format without the plan, and a file with an error, end with 2 and print nothing."""
    monkeypatch.chdir(tmp_path)
    Path("nested.yaml").write_text(NESTED)
    Path("wrong.yaml").write_text(NESTED.replace("[d, c]", "[d, z]"))
    for arguments in (["nested.yaml", "--format", "json"], ["wrong.yaml", "--plan"], ["nothing.yaml", "--plan"]):
        assert run_command(["show", *arguments]) == 2
        assert capsys.readouterr().out == ""
