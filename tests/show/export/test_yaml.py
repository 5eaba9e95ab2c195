"""`graphrun export FILE --to yaml --gradient`: the file's own gradients, as nodes of a file that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples, one_of
from hypothesis import HealthCheck, assume, example, given, settings
from lesson import GRAPHS, NESTED, each_of
from random_graphs import SHAPES, graphs
from type_graphs import TYPES, graphs_of

import graphrun
from graphrun.cli.entry import run_command
from graphrun.run.api import Graph
from graphrun.show.export import LANGUAGES

export = LANGUAGES["yaml"].export

EXAMPLES = [file for file in sorted(GRAPHS.glob("*.yaml")) if "imize:" in file.read_text(encoding="utf-8")]


def exported(graph: Graph, folder: Path, gradient: bool = True) -> Graph:
    """Export a graph, and load what was written."""
    file = folder / "exported.yaml"
    file.write_text(export(graph, gradient=gradient), encoding="utf-8")
    return graphrun.load(file)


def assert_gradients_are_values(graph: Graph, folder: Path, tolerance: float = 1e-12, engine: str = "numpy") -> None:
    """Compare each gradient of a run with the value of its node, and what else a run has with the run's."""
    given = graph.run(0, engine="numpy", dtype="float64")
    found = exported(graph, folder)
    values = found.run(0, engine=engine, dtype="float64").values
    constants = found.document.constants
    for name in given.gradients:
        own = f"d{given.objective.name}_d{name}".replace(".", "_")
        if name not in graph.document.parameters and ("." in name or own not in {**values, **constants}):
            # Several may be called that, or no parameter moves it.
            continue
        value = np.asarray(values[own] if own in values else constants[own])
        expected = np.asarray(given.gradients[name])
        assert value.shape == expected.shape, own
        np.testing.assert_allclose(value, expected, tolerance, tolerance * np.abs(expected).max(initial=0), err_msg=own)


def test_the_lesson_is_what_is_written_on_the_board(load: Any) -> None:
    """The derivatives of the lesson, each as its own line."""
    data = yaml.safe_load(export(load(NESTED), gradient=True))
    assert data["constants"] == {"df_df": 1}
    added = {name: node for name, node in data["nodes"].items() if name.startswith("df_")}
    assert added == {"df_dd": "c", "df_dc": "d", "df_da": "df_dd", "df_db": "df_dd"}
    assert data["maximize"] == "f"


def test_the_command(load: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --gradient it is the file as it is shown."""
    load(NESTED)
    texts = []
    for command in (
        "export graph.yaml --to yaml",
        "show graph.yaml --format yaml",
        "export graph.yaml --to yaml --gradient",
    ):
        assert run_command(command.split()) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "df_da: df_dd" in texts[2]
    assert run_command(["export", "graph.yaml", "--to", "python", "--gradient"]) == 2
    assert "--gradient is not for --to python" in capsys.readouterr().err


def test_names_that_are_taken(load: Any, tmp_path: Path) -> None:
    """What the file calls df_dx stays; so does what a parameter is called that nothing depends on."""
    text = "parameters: {x: 3, df_dx: 2, unread: [1, 2]}\nnodes: {f: x ** 2 * df_dx}\nminimize: f\n"
    values = exported(load(text), tmp_path).run(0).values
    assert values["df_dx_"] == 12
    assert values["df_ddf_dx"] == 9
    np.testing.assert_array_equal(values["df_dunread"], [0, 0])


def test_an_objective_without_nodes(load: Any, tmp_path: Path) -> None:
    """A parameter is minimized; it has the derivative 1 by itself, and 0 by all others."""
    found = exported(load("parameters: {x: 3, other: [1, 2], third: 4}\nminimize: x\n"), tmp_path)
    assert found.document.constants == {"dx_dx": 1, "dx_dthird": 0}
    np.testing.assert_array_equal(found.run(0).values["dx_dother"], [0, 0])


def test_it_trains_as_the_file_does(tmp_path: Path) -> None:
    """The objective and the update are the file's."""
    graph = graphrun.load(GRAPHS / "network.yaml")
    expected, found = graph.run(20), exported(graph, tmp_path).run(20)
    for name, value in expected.parameters.items():
        np.testing.assert_allclose(found.parameters[name], value, 1e-12)


def test_a_gradient_of_zero_gives_zero(load: Any, tmp_path: Path) -> None:
    """Nothing leaks from the branch that is not taken, in value and in the derivative of the derivative."""
    text = """
parameters: {x: 0, y: 0}
nodes: {f: "where(greater(x, 0), log(x) * sqrt(x), x ** 2) + y ** 2 * (y + 3) ** 0.5"}
minimize: f
"""
    graph = load(text)
    assert_gradients_are_values(graph, tmp_path)
    once = exported(graph, tmp_path)
    for name, second in (("x", 2), ("y", 2 * 3**0.5)):
        file = tmp_path / "second.yaml"
        file.write_text(export(once).replace("minimize: f", f"minimize: df_d{name}"))
        assert graphrun.load(file).run(0).gradients[name] == pytest.approx(second, rel=1e-12)


def test_what_has_no_node_type_is_refused_by_name(load: Any) -> None:
    """And a graph without an objective."""
    graph = load("parameters: {x: [[1, 2], [3, 4]]}\nnodes: {f: det(x)}\nminimize: f\n")
    with pytest.raises(graphrun.UsageError, match="no node type for the operation svd"):
        export(graph, gradient=True)
    with pytest.raises(graphrun.UsageError, match="no objective"):
        export(load("parameters: {x: 1}\nnodes: {f: x}\n"), gradient=True)


def test_a_plugin_that_cannot_be_traced_is_refused_by_name(load: Any, tmp_path: Path) -> None:
    """Its derivative takes a number out of an array."""
    (tmp_path / "odd.py").write_text(
        "import graphrun\n\n\n@graphrun.elementwise\ndef odd(xp, x):\n    return x\n\n\n"
        "@odd.local_derivatives\ndef _(xp, y, x):\n    return (float(x),)\n\n\n"
        "@graphrun.hookimpl\ndef graphrun_node_types():\n    return [odd]\n"
    )
    load("parameters: {x: 1}\nnodes: {f: x}\nminimize: f\n")
    graph = graphrun.load("graph.yaml", overrides="nodes.f=odd(x)", plugins=tmp_path)
    with pytest.raises(graphrun.UsageError, match=r"odd .* cannot be written out"):
        export(graph, gradient=True)


@pytest.mark.campaign
@pytest.mark.parametrize("file", each_of(EXAMPLES))
def test_every_example(file: Path, tmp_path: Path) -> None:
    """Of one that is fed batches, the first batch."""
    graph = graphrun.load(file)
    data = graph.document.data
    if data is not None:
        graph = graphrun.load(file, overrides=[f"data.file={(file.parent / data.file).resolve()}"])
    assert_gradients_are_values(graph, tmp_path)


REFUSED = {"prod": "cumulative_prod", "det": "svd"}
"""What cannot be said: the derivative of a product that may be 0, and that of a determinant that may be 0."""


@pytest.mark.campaign
@pytest.mark.parametrize("name", one_of(9, TYPES))
def test_every_type(name: str, tmp_path: Path) -> None:
    """In every form that the checker tries; the first one on every engine."""
    for number, data in enumerate(graphs_of(name)):
        file = tmp_path / "graph.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        graph = graphrun.load(file)
        if name in REFUSED and np.size(data["parameters"]["x0"]) and not isinstance(data["parameters"]["x0"], dict):
            with pytest.raises(graphrun.UsageError, match=REFUSED[name]):
                export(graph, gradient=True)
            continue
        for engine in ("numpy", "jax") if number == 0 and len(name) % 4 == 0 else ("numpy",):
            assert_gradients_are_values(graph, tmp_path, engine=engine)


SATURATED = {
    "parameters": {"x": 0.05},
    "nodes": {
        "n0": {"type": "stop_gradient", "inputs": ["x"]},
        "n1": {"type": "fmod", "inputs": ["n0", "n0"]},
        "n2": {"type": "log1mexp", "inputs": ["n1"]},
        "n3": {"type": "tanh", "inputs": ["n2"]},
        "total": {"type": "sum", "inputs": ["n3"]},
    },
    "maximize": "total",
}
"""An infinite value that a saturated one hides: 0 times infinity, which comes to no parameter."""


def that_runs(data: dict[str, Any], folder: Path) -> Graph:
    """Load a graph; one that has no pass is no example, one with infinite values on the way is."""
    file = folder / "graph.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    try:
        graph = graphrun.load(file)
    except graphrun.ShapeError:
        assume(False)
    assume(graph.try_run(0, engine="numpy").error is None)
    return graph


@pytest.mark.campaign
@settings(deadline=None, max_examples=examples(200), suppress_health_check=list(HealthCheck))
@given(data=graphs(SHAPES))
@example(data=SATURATED)
def test_random_graphs(data: dict[str, Any], tmp_path: Path) -> None:
    """Deep graphs over all elementwise types, with arrays that broadcast."""
    assert_gradients_are_values(that_runs(data, tmp_path), tmp_path, 1e-9)


@pytest.mark.campaign
@settings(deadline=None, max_examples=examples(5), suppress_health_check=list(HealthCheck))
@given(data=graphs())
def test_random_graphs_of_numbers_by_numba(data: dict[str, Any], tmp_path: Path) -> None:
    """They are graphs of numbers still."""
    nodes = {name: node for name, node in data["nodes"].items() if name != "total"}
    graph = that_runs(data | {"nodes": nodes, "maximize": list(nodes)[-1]}, tmp_path)
    assert_gradients_are_values(graph, tmp_path, 1e-9, engine="numba")
