"""A run step by step, and pages that are methods."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from lesson import GRAPHS, NESTED

import graphrun

ENGINES = ["numpy", "numba", pytest.param("jax", marks=pytest.mark.slow)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["nested", "rosenbrock", "bounded"])
def test_rows_are_those_of_a_run(engine, name):
    """The same as its history, and at the end the same as its result, to the last bit."""
    graph = graphrun.load(GRAPHS / f"{name}.yaml")
    result = graph.run(steps=12, engine=engine, every=1)
    with graph.iterate(12, engine=engine) as rows:
        objective, seen = result.objective.name, []
        for row in rows:
            seen.append({**row.parameters, **row.values}[objective])
    assert rows.stopped == result.stopped
    np.testing.assert_array_equal(seen, result.history[objective])
    assert row.step == result.steps
    assert row.parameters == result.parameters
    assert row.values == result.values
    assert row.gradients == result.gradients


def test_a_parameter_is_put_elsewhere_between_steps(load):
    """The row is that of there, and the step goes on from there."""
    rows = load(NESTED).iterate(3)
    row = next(rows)
    row.set({"a": 10}, b=0)
    assert row.parameters == {"a": 10, "b": 0, "c": -2}
    assert row.values == {"d": 10, "f": -20}
    assert next(rows).parameters == pytest.approx({"a": 9.98, "b": -0.02, "c": -1.9})
    with pytest.raises(graphrun.UsageError, match="'e' is no parameter"):
        rows._row.set(e=1)
    with pytest.raises(graphrun.UsageError, match=r"'a' has the shape \(\), not \(1,\)"):
        rows._row.set(a=[1])
    with pytest.raises(graphrun.UsageError, match=r"set takes parameters by name, .* not ndarray"):
        rows._row.set(np.ones(3))


def test_what_a_parameter_is_put_to_is_within_its_bounds_and_copied(load):
    """An update would bring it back from beyond them without a word."""
    graph = load(
        "parameters: {v: {value: [1, 2], lower: [0, 1], upper: 3}}\nnodes: {f: sum(v * v)}\nminimize: f\n"
        "update: {type: sgd, step_size: 0.25}\n"
    )
    rows = graph.iterate(2)
    row = next(rows)
    for beyond in ([1, 0.5], [4, 2], [np.inf, 2]):
        with pytest.raises(graphrun.UsageError, match=r"'v' stays between .* and .*: .* is beyond them"):
            row.set(v=beyond)
    mine = np.array([3.0, 3.0])
    row.set(v=mine)
    mine[:] = 7
    np.testing.assert_array_equal(row.parameters["v"], [3, 3])
    np.testing.assert_array_equal(next(rows).parameters["v"], [1.5, 1.5])


def test_a_row_is_read_before_the_next(load):
    """What was read of it is kept; the rest is gone with the step."""
    rows = list(load(NESTED).iterate(2))
    assert [row.step for row in rows] == [0, 1, 2]
    with pytest.raises(graphrun.UsageError, match="the run has gone on: read the row of step 0 before"):
        _ = rows[0].values
    kept = [row.values["f"] for row in load(NESTED).iterate(2)]
    assert kept == pytest.approx([-4, -3.8808, -3.7647522])


def test_a_solver_ends_with_who_asks(monkeypatch):
    """Its thread too, be the run closed, forgotten or left by an error."""
    graph = graphrun.load(GRAPHS / "rosenbrock.yaml", overrides=["update={type: lbfgs}", "~stop"])

    def threads():
        return [thread for thread in threading.enumerate() if "solver" in thread.name]

    rows = graph.iterate(50)
    next(rows), next(rows)
    assert threads()
    rows.close()
    assert not threads()
    assert list(rows) == []
    with graph.iterate(50) as rows:
        for row in rows:
            if row.step == 2:
                break
    assert not threads()
    assert row.values.keys() == {"rest", "rest_squared", "x_squared", "off", "off_squared", "wall", "f"}
    for row in graph.iterate(50):
        if row.step == 3:
            break
    del row
    assert not threads()
    rows = graph.iterate(1000)
    steps = [row.step for row in rows]
    assert steps == list(range(len(steps)))
    assert rows.stopped.startswith("lbfgs: ")


def test_what_breaks_a_step_is_told(load):
    """As of a run; there are no rows after it."""
    text = "parameters: {x: 0.3}\nnodes: {y: log(x), z: y * y}\nmaximize: z\nupdate: {type: sgd, step_size: 0.05}\n"
    rows = load(text).iterate(5)
    next(rows)
    with pytest.raises(graphrun.NotFiniteError, match="step 1: the value of node 'y'"):
        next(rows)
    assert list(rows) == []
    assert rows.stopped == load(text).try_run(5).stopped
    with pytest.raises(graphrun.UsageError, match="engine 'nimba' is unknown"):
        load(text).iterate(5, engine="nimba")


def test_a_checkpoint_goes_on_step_by_step(load):
    """Counted from the very start."""
    graph = load(NESTED)
    graph.run(steps=3, save="kept.safetensors")
    rows = list(graph.iterate(5, resume="kept.safetensors"))
    assert [row.step for row in rows] == [3, 4, 5]


def test_pages_are_methods(load, tmp_path):
    """What the commands print, and write where they are told to."""
    graph = load(NESTED)
    graph.run(steps=3, save="kept.safetensors")
    assert "df/dc" in graph.explain()
    assert graph.explain(3, path="lesson.txt") == (tmp_path / "lesson.txt").read_text()
    assert graph.explain(resume="kept.safetensors") == graph.explain(3)
    assert graph.explain(node="d", format="markdown") != graph.explain(sensitivity=True)
    assert graph.draw().startswith("<svg ")
    assert graph.draw("graph.dot", step=3) == (tmp_path / "graph.dot").read_text()
    assert graph.draw(format="mmd", resume="kept.safetensors") == graph.draw(format="mmd", step=3)
    assert graph.report("run.html", steps=2) == (tmp_path / "run.html").read_text()
    assert graph.check().failures == []
    assert "a = 5.0" in graph.export()
    assert graph.export(path="program.py", steps=7) == (tmp_path / "program.py").read_text()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.explain(format="pdf"), "explain: format 'pdf' is none of text, markdown, latex, html"),
        (lambda g: g.explain(node="d", sensitivity=True), "two different pages"),
        (lambda g: g.explain(2, resume="kept.safetensors"), "there is no step 2 in what follows the checkpoint"),
        (lambda g: g.draw(format="gif"), "draw: format 'gif' is none of svg, dot, mmd, png, pdf"),
        (lambda g: g.draw(direction="up"), "direction 'up' is none of auto, right, down"),
        (lambda g: g.draw(depth=-1), "depth is a whole number of 0 or more, not -1"),
        (lambda g: g.report(depth="deep"), "depth is a whole number of 0 or more, not deep"),
        (lambda g: g.explain(node=3), "there is no value 3 to explain"),
        (lambda g: g.run(record=3), "record: a list of names is needed, not 3"),
        (lambda g: next(g.predict("kept.safetensors", "f")), "names: a list of names is needed, not 'f'"),
        (lambda g: g.draw("graph.gif"), "the suffix '.gif' is none of"),
        (lambda g: g.export("cobol"), "'cobol' is none of the languages"),
    ],
)
def test_pages_that_there_are_not(load, call, message):
    """Are refused with those that there are."""
    graph = load(NESTED)
    graph.run(steps=3, save="kept.safetensors")
    with pytest.raises(graphrun.UsageError, match=message):
        call(graph)


def test_a_graph_that_is_only_evaluated_has_one_row(load):
    """Without an objective nothing moves, and there are no gradients."""
    rows = list(load("parameters: {x: 3}\nnodes: {y: x * x}\n").iterate(5))
    assert [(row.step, row.values, row.gradients) for row in rows] == [(0, {"y": 9}, {})]


def test_a_solver_begins_anew_where_it_is_put():
    """From another point, to the same minimum."""
    with graphrun.load(GRAPHS / "rosenbrock.yaml", overrides=["update={type: lbfgs}", "~stop"]).iterate(500) as rows:
        for row in rows:
            if row.step == 5:
                row.set(x=3, y=-2)
    assert rows.stopped.startswith("lbfgs: ")
    assert row.parameters == pytest.approx({"x": 1, "y": 1}, abs=1e-6)
