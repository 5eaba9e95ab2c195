"""`graphrun diff`: what differs between two graphs in structure, and in values, gradients and trajectory."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphrun.api import Graph
from graphrun.cli.entry import run_command
from graphrun.document import Source, load_document
from graphrun.document.dump import dump_document
from graphrun.graph.build import build_graph
from graphrun.plugins.registry import Registry
from graphrun.show.diff import SHOWN, diff_graphs

REGISTRY = Registry()

FILE = """\
parameters: {a: 5, b: {value: -3, lower: -10}, R: {shape: [2], init: {type: normal}}}
constants: {c: -2}
nodes:
  d: {type: add, inputs: [a, b]}
  e: {type: leaky_relu, inputs: [d], slope: 0.5}
  f: e * c + sum(R) * 0
maximize: f
update: {type: sgd, step_size: 0.01}
steps: 3
"""


def graph_of(text: str, *overrides: str) -> Graph:
    """Return the graph of a text."""
    return Graph(build_graph(load_document(Source("g.yaml", text), overrides), REGISTRY))


def diff(*overrides: str, steps: int | None = None, tolerance: float = 1e-9) -> list[str]:
    """Return the difference between the file and itself with overrides."""
    return list(diff_graphs(graph_of(FILE), graph_of(FILE, *overrides), steps, tolerance))


def test_equal_graphs_do_not_differ() -> None:
    """Neither a graph and itself, nor a graph and what it is shown as: where things stand is no difference."""
    assert diff() == []
    assert list(diff_graphs(graph_of(FILE), graph_of(dump_document(graph_of(FILE).document)))) == []


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("parameters.a=4", "~ parameters.a: 5 → 4"),
        ("parameters.b.lower=-9", "~ parameters.b: -3, lower -10 → -3, lower -9"),
        ("parameters.b.upper=9", "~ parameters.b: -3, lower -10 → -3, lower -10, upper 9"),
        ("parameters.R.shape=[3]", "~ parameters.R: normal of shape [2] → normal of shape [3]"),
        ("parameters.R.init.std=2", "~ parameters.R: normal of shape [2] → normal(std=2) of shape [2]"),
        ("constants.c=1", "~ constants.c: -2 → 1"),
        ("nodes.d.type=subtract", "~ nodes.d: add(a, b) → subtract(a, b)"),
        ("nodes.d.inputs=[b, a]", "~ nodes.d: add(a, b) → add(b, a)"),
        ("nodes.e.slope=0.25", "~ nodes.e: leaky_relu(d, slope=0.5) → leaky_relu(d, slope=0.25)"),
        ("minimize=f", "minimize: none → f"),
        ("update.step_size=0.1", "update: sgd(step_size=0.01) → sgd(step_size=0.1)"),
        ("steps=4", "steps: 3 → 4"),
        ("seed=4", "seed: none → 4"),
        ("dtype=float32", "dtype: float64 → float32"),
        ("record=[d]", "record: none → [d]"),
        ("stop.change=1", "stop: none → change 1.0"),
    ],
)
def test_structure(override: str, line: str) -> None:
    """What differs is shown as it was and as it is."""
    found = diff(override)
    assert found[0] == "structure:"
    assert f"  {line}" in found


def test_numbers_of_another_kind_are_equal() -> None:
    """5 and 5.0 are one number, and so are 1e-2 and 0.01."""
    assert diff("parameters.a=5.0", "update.step_size=1e-2", "nodes.d={type: add, inputs: [a, b]}") == []


def test_nodes_that_only_one_of_them_has() -> None:
    """They are marked - and +; made nodes of an expression are nodes."""
    found = diff("nodes.f=e * c")
    assert set(found[1:5]) == {
        "  ~ nodes.f: add(f.1, f.3) → multiply(e, c)",
        "  - nodes.f.1: multiply(e, c)",
        "  - nodes.f.2: sum(R)",
        "  - nodes.f.3: multiply(f.2, 0)",
    }
    backwards = list(diff_graphs(graph_of(FILE, "nodes.f=e * c"), graph_of(FILE)))
    assert "  + nodes.f.2: sum(R)" in backwards


def test_values_gradients_and_trajectory() -> None:
    """The final numbers that differ, and from which step on the recorded ones do."""
    found = diff("update.step_size=0.1")
    assert found[:2] == ["structure:", "  update: sgd(step_size=0.01) → sgd(step_size=0.1)"]
    assert "final values:" in found
    assert "  a: 4.94 → 4.4" in found
    assert "trajectory of f: differs from step 1 on: -3.92 → -3.2" in found
    assert "trajectory of a: differs from step 1 on: 4.98 → 4.8" in found
    gradients = diff("constants.c=-1", steps=0)
    assert gradients[gradients.index("final gradients:") + 1 :][:2] == ["  a: -2 → -1", "  b: -2 → -1"]


def test_another_seed_is_told_by_its_draws() -> None:
    """Structure and values both."""
    found = diff("seed=1", steps=0)
    assert found[:3] == ["structure:", "  seed: none → 1", "final values:"]
    assert found[3].startswith("  R: ")


def test_tolerance() -> None:
    """Numbers that are no further apart are equal; the structure is compared exactly."""
    assert diff("constants.c=-2.0000001", steps=0, tolerance=1e-5) == ["structure:", "  ~ constants.c: -2 → -2.0000001"]
    assert len(diff("constants.c=-2.0000001", steps=0)) > 2


def test_runs_that_end_apart() -> None:
    """Where and why each stopped."""
    assert "stopped: step 3 (steps) → step 0 (value)" in diff("stop.value=-1000000")
    assert any(line.startswith("stopped: step 3 (steps) → step 0 (not finite") for line in diff("nodes.d=log(b)"))


def test_a_long_difference_is_cut() -> None:
    """The rest is counted."""
    first = "parameters: {a: 1}\nnodes:\n" + "".join(f"  n{i}: a * {i}\n" for i in range(100))
    found = list(diff_graphs(graph_of(first), graph_of(first.replace("a *", "a +"))))
    assert found.count(f"  and {100 - SHOWN} more") >= 1


def test_subgraphs_are_compared_expanded() -> None:
    """A repeat of one more copy is one more node."""
    text = """\
parameters: {a: 1}
subgraphs: {s: {inputs: [x], parameters: {w: 2}, nodes: {y: x * w}, output: y}}
nodes: {f: {type: s, inputs: [a], repeat: 2}}
maximize: f
"""
    found = list(diff_graphs(graph_of(text), graph_of(text, "nodes.f.repeat=3")))
    assert found[:5] == [
        "structure:",
        "  + parameters.f.3.w: 2",
        "  ~ nodes.f: multiply(f.1, f.2.w) → multiply(f.2, f.3.w)",
        "  + nodes.f.2: multiply(f.1, f.2.w)",
        "final values:",
    ]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 0 for no difference, 1 for some, 2 for a file that cannot be used."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(FILE)
    second.write_text(FILE.replace("c: -2", "c: -1"))
    assert run_command(["diff", str(first), str(first)]) == 0
    assert capsys.readouterr() == ("", "")
    assert run_command(["diff", str(first), str(second), "--steps", "0"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("structure:\n  ~ constants.c: -2 → -1\nfinal values:\n")
    second.write_text("nodes: {f: a +}\n")
    assert run_command(["diff", str(first), str(second)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "b.yaml:1:" in err
