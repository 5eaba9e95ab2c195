"""Graphs of a text, of plain data, with types of the program's own; copies, pickles, threads and processes."""

from __future__ import annotations

import copy
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lesson import GRAPHS, NESTED

import graphrun

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))
from random_graphs import graphs


@graphrun.elementwise
def cubed(xp, x):
    """Cube: x^3."""
    return x * x * x


@cubed.local_derivatives
def _(xp, y, x):
    return (3 * x * x,)


@graphrun.update_rule
def half_step(xp, value, gradient):
    """Gradient descent by a half."""
    return value - 0.5 * gradient


OWN = "parameters: {x: 2}\nnodes: {f: cubed(x)}\nminimize: f\nupdate: {type: half_step}\n"


def test_a_text_is_a_graph_and_needs_no_file(tmp_path, monkeypatch):
    """What is wrong with it is told at its lines."""
    monkeypatch.chdir(tmp_path)
    graph = graphrun.loads(NESTED)
    assert graph.run(steps=1).values["f"] == pytest.approx(-3.8808)
    assert repr(graph) == "<Graph <text>: 3 parameters, 2 nodes>"
    with pytest.raises(
        graphrun.GraphFileError, match=r"(?s)^<text>:1:12: input 'a' is unknown\n +nodes: \{f: a \+ 1\}"
    ):
        graphrun.loads("nodes: {f: a + 1}")
    with pytest.raises(graphrun.GraphFileError, match=r"^lesson:1:12: "):
        graphrun.loads("nodes: {f: a + 1}", name="lesson")
    with pytest.raises(graphrun.UsageError, match="loads takes the text"):
        graphrun.loads(Path("graph.yaml"))
    assert not list(tmp_path.iterdir())


def test_files_that_a_text_names_are_found_from_its_name(tmp_path):
    """As if it stood there."""
    (tmp_path / "rows.csv").write_text("x\n1\n3\n")
    text = "parameters: {m: 0}\ndata: {file: rows.csv}\nnodes: {f: mean((x - m) ** 2)}\nminimize: f\n"
    for graph in (
        graphrun.loads(text, name=str(tmp_path / "graph.yaml")),
        graphrun.load(yaml.safe_load(text), name=str(tmp_path / "graph.yaml")),
    ):
        assert graph.run(steps=0).values["f"] == 5


@given(data=graphs(shapes=st.sampled_from([(), (2,)])))
def test_a_mapping_is_what_its_text_is(data):
    """The same values, whether written out or not; arrays of NumPy are lists too, and nothing of it is changed."""
    arrays = data | {"parameters": {name: np.array(value) for name, value in data["parameters"].items()}}
    before = copy.deepcopy(arrays)
    text = yaml.safe_dump(data, sort_keys=False)
    by_text, by_data = graphrun.loads(text), graphrun.load(arrays, overrides="parameters.x0=1")
    assert list(by_data.document.nodes) == list(by_text.document.nodes)
    np.testing.assert_equal(arrays, before)
    by_text = graphrun.loads(text, overrides="parameters.x0=1")
    try:
        expected, found = by_text.run(0), by_data.run(0)
    except (graphrun.RunError, graphrun.ShapeError):
        return
    np.testing.assert_equal(found.values, expected.values)
    np.testing.assert_equal(found.gradients, expected.gradients)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minimise": "f"}, r"<mapping>: minimise: unknown key 'minimise'\n(.*\n)*  did you mean 'minimize'\?"),
        ({"nodes": {"f": "a * (c + 1)"}}, r"<mapping>: nodes.f: input 'c' is unknown\n    a \* \(c \+ 1\)\n {9}\^"),
        ({"nodes": {"f": {"type": "add", "inputs": ["a", "c"]}}}, r"<mapping>: nodes.f.inputs\[1\]: input 'c' is unkn"),
        ({"nodes": {"f": {"type": "clip", "inputs": ["a"], "max": "x"}}}, r"<mapping>: nodes.f.max: "),
        ({"parameters": {"a": "1"}}, r"<mapping>: parameters.a: "),
        ({"parameters": {"a": float("nan")}}, r"<mapping>: parameters.a: "),
        ({"steps": -1}, r"<mapping>: steps: "),
        ({"nodes": {1: "a"}}, r"nodes.1: a key is a text, not the number 1"),
        (
            {"parameters": {"a": {1, 2}}},
            r"parameters.a: a graph is made of mappings, lists, texts and numbers, not of ",
        ),
        ({"parameters": {"a": 1j}}, r"parameters.a: .* not of complex"),
    ],
)
def test_a_mistake_in_a_mapping_is_told_by_its_keys(change, message):
    """There is no line to show, but for the text of an expression."""
    with pytest.raises(graphrun.GraphrunError, match=message):
        graphrun.load({"parameters": {"a": 1}, "nodes": {"f": "a * a"}} | change)


def test_a_mapping_in_itself_ends():
    """As a bomb of aliases does in a file."""
    graph = {"nodes": {}}
    graph["nodes"]["f"] = graph
    with pytest.raises(graphrun.UsageError, match="deeper than 64 levels"):
        graphrun.load(graph)


def test_types_of_the_program_itself():
    """Node types and update rules; they are checked as those of plugins are."""
    graph = graphrun.loads(OWN, types=[cubed, half_step])
    assert graph.run(steps=1).parameters["x"] == 2 - 0.5 * 12
    assert graph.function().hessian([2.0]) == 12
    again = graphrun.loads(OWN, types=[cubed, half_step], registry=graph.registry)
    assert again.run(steps=0).values["f"] == 8
    one = graphrun.loads(OWN.replace("half_step", "sgd"), types=cubed, name=Path("own.yaml"))
    assert repr(one) == "<Graph own.yaml: 1 parameter, 1 node>"


def test_types_that_are_none_are_refused():
    """Also names that are taken."""
    for odd in ([lambda xp, x: x], abs, None, "cubed"):
        with pytest.raises(graphrun.UsageError, match="is no node type and no update rule"):
            graphrun.loads(OWN, types=odd)
    with pytest.raises(graphrun.UsageError, match=r"overrides: a list of PATH=VALUE is needed, not \[3\]"):
        graphrun.loads(NESTED, overrides=[3])

    @graphrun.elementwise
    def exp(xp, x):
        """Another exponential."""
        return xp.exp(x)

    with pytest.raises(graphrun.UsageError, match=r"the name 'exp' is taken: built-in graphrun\.nodes has it"):
        graphrun.loads(OWN, types=[exp])

    @graphrun.update_rule
    def lbfgs(xp, value, gradient):
        """What a solver is called."""
        return value - gradient

    with pytest.raises(graphrun.UsageError, match="the name 'lbfgs' is taken: a solver has it"):
        graphrun.loads(OWN, types=[lbfgs])

    @graphrun.elementwise
    def kwarged(xp, x, **settings):
        """Settings that nobody declared."""
        return x

    with pytest.raises(graphrun.DeclarationError):
        graphrun.loads(OWN, types=[kwarged])


def graphs_to_copy(tmp_path):
    """Yield graphs from everywhere: a file, a text, data, types of this module, a folder of plugins."""
    yield graphrun.load(GRAPHS / "nested.yaml", overrides="parameters.a=7")
    yield graphrun.loads(NESTED)
    yield graphrun.load(yaml.safe_load(NESTED))
    yield graphrun.loads(OWN, types=[cubed, half_step])
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "fourth_power.py").write_text("""\
import graphrun

@graphrun.elementwise
def fourth_power(xp, x):
    \"\"\"x^4.\"\"\"
    return x ** 4

@fourth_power.local_derivatives
def _(xp, y, x):
    return (4 * x ** 3,)

@graphrun.hookimpl
def graphrun_node_types():
    return [fourth_power]
""")
    yield graphrun.loads(OWN.replace("cubed", "fourth_power").replace("half_step", "sgd"), plugins=folder)


def test_a_graph_is_copied_and_pickled(tmp_path):
    """The copy runs as the original does, whether that was run before or not."""
    for graph in graphs_to_copy(tmp_path):
        for again in (
            pickle.loads(pickle.dumps(graph)),  # noqa: S301 (our own)
            copy.copy(graph),
            copy.deepcopy(graph),
        ):
            assert again.name == graph.name
            found, expected = again.run(steps=2), graph.run(steps=2)
            assert found.values == expected.values
            assert found.parameters == expected.parameters


@pytest.mark.parametrize("asked", [{}, {"data": "other.csv"}])
def test_a_copy_finds_its_files_wherever_it_is_made(tmp_path, monkeypatch, asked):
    """Data and includes, also nested ones, in the folders where they were when the graph was loaded."""
    (tmp_path / "rows.csv").write_text("x\n1\n3\n")
    (tmp_path / "other.csv").write_text("x\n2\n4\n")
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    body = "subgraphs: {NAME: {inputs: [a], output: y, nodes: {y: BODY}}}\n"
    (tmp_path / "parts" / "one.yaml").write_text(
        "include: [deep/two.yaml]\n" + body.replace("NAME", "one").replace("BODY", "two(a)")
    )
    (tmp_path / "parts" / "deep" / "two.yaml").write_text(body.replace("NAME", "two").replace("BODY", "a * 2"))
    text = "include: [parts/one.yaml]\nparameters: {m: 0}\ndata: {file: rows.csv}\nnodes: {f: mean(one(x - m))}\n"
    (tmp_path / "graph.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    graphs = [
        graphrun.load("graph.yaml", **asked),
        graphrun.loads(text, **asked),
        graphrun.load(yaml.safe_load(text), name="graph.yaml", **asked),
    ]
    kept = pickle.dumps(graphs)
    expected = [graph.run().values["f"] for graph in graphs]
    moved = graphrun.load("graph.yaml")
    monkeypatch.chdir("/")
    for again in (pickle.loads(kept), copy.deepcopy(graphs)):  # noqa: S301 (our own)
        assert [graph.run().values["f"] for graph in again] == expected
    assert moved.run().values["f"] == 4


def test_a_file_that_changes_does_not_change_a_pickle(tmp_path):
    """What was loaded is what is loaded again."""
    file = tmp_path / "graph.yaml"
    file.write_text(NESTED)
    kept = pickle.dumps(graphrun.load(file))
    file.write_text("nodes: [")
    assert pickle.loads(kept).run(steps=0).values["f"] == -4  # noqa: S301 (our own)


def run_steps(graph, steps=20):
    """Return where a run ends; for processes, which find it by its name."""
    return graph.run(steps=steps).parameters


@pytest.mark.slow
def test_processes_run_graphs_that_they_are_sent():
    """Types of this module are found by their name there."""
    sent = [graphrun.load(GRAPHS / "nested.yaml"), graphrun.loads(OWN, types=[cubed, half_step])]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for graph, found in zip(sent, pool.map(run_steps, sent, [2, 2]), strict=True):
            assert found == run_steps(graph, 2)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_threads_run_one_graph(engine):
    """Each run has a program of its own, with its own seed and number of steps."""
    graph = graphrun.loads(NESTED)

    def run(steps):
        return graph.run(steps=steps, engine=engine, seed=steps % 3).parameters

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, range(40)))
    assert found == [graphrun.loads(NESTED).run(steps=k, engine=engine).parameters for k in range(40)]


@pytest.mark.slow
def test_threads_share_a_data_set(tmp_path):
    """Of which each step of each run is given its own rows."""
    rows = np.random.default_rng(0).normal(size=200)
    (tmp_path / "rows.csv").write_text("x\n" + "\n".join(map(str, rows)))
    text = "parameters: {m: 0}\ndata: {file: rows.csv, batch_size: 7, shuffle: true}\n"
    text += "nodes: {f: mean((x - m) ** 2)}\nminimize: f\n"
    graph = graphrun.loads(text, name=str(tmp_path / "graph.yaml"))
    expected = [graph.run(steps=k).parameters for k in range(0, 100, 5)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda k: graph.run(steps=k).parameters, range(0, 100, 5))) == expected
