"""What the solvers do in a run, through the Python interface."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import optimize

import graphrun
from graphrun.api import Graph

Load = Callable[[dict[str, Any]], Graph]

ROSENBROCK = {
    "parameters": {"a": -1.2, "b": 1.0},
    "nodes": {"u": "1 - a", "v": "10 * (b - a**2)", "f": "u**2 + v**2"},
    "minimize": "f",
    "steps": 1000,
}
X = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
Y = [2.1, 1.4, 1.0, 0.75, 0.5, 0.4]
DECAY: dict[str, Any] = {
    "parameters": {"amount": 1.0, "rate": 0.1},
    "constants": {"x": X, "y": Y},
    "nodes": {"r": "amount * exp(-rate * x) - y", "f": "sum(r**2)"},
    "minimize": "f",
    "steps": 1000,
}
UPDATES: dict[str, dict[str, Any]] = {
    "lbfgs": {"type": "lbfgs"},
    "newton_cg": {"type": "newton_cg"},
    "least_squares": {"type": "least_squares", "residual": "r"},
}


def changed(data: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Return a graph file with other sections; None leaves one out."""
    return {key: value for key, value in {**data, **sections}.items() if value is not None}


@pytest.mark.parametrize("solver", ["lbfgs", "newton_cg"])
def test_rosenbrock(load: Load, solver: str) -> None:
    """The general solvers find the minimum of Rosenbrock's function to machine precision, and say why they ended."""
    result = load(changed(ROSENBROCK, update={"type": solver})).run()
    assert result.parameters == pytest.approx({"a": 1, "b": 1}, abs=1e-9)
    assert result.stopped.startswith(f"{solver}: ")
    assert 10 < result.steps < 100
    assert result.engine == "scipy"


@pytest.mark.parametrize("solver", UPDATES)
def test_a_solver_goes_on_to_machine_precision(load: Load, solver: str) -> None:
    """All three come to the same fit, and what they report belongs to its parameters."""
    result = load(changed(DECAY, update=UPDATES[solver])).run()
    direct = optimize.least_squares(
        lambda p: p[0] * np.exp(-p[1] * np.array(X)) - Y, [1, 0.1], ftol=1e-15, xtol=1e-15, gtol=1e-15
    )
    assert result.parameters["amount"] == pytest.approx(direct.x[0], rel=1e-7)
    assert result.parameters["rate"] == pytest.approx(direct.x[1], rel=1e-7)
    assert result.values["f"] == pytest.approx(2 * direct.cost, rel=1e-12)
    there = load(changed(DECAY, parameters=result.parameters)).run(0)
    for name, value in result.values.items():
        np.testing.assert_array_equal(value, there.values[name])
    for name, gradient in result.gradients.items():
        np.testing.assert_array_equal(gradient, there.gradients[name])


@pytest.mark.parametrize("solver", UPDATES)
def test_a_step_is_an_iteration(load: Load, solver: str) -> None:
    """A run of few steps makes the first steps of a longer one, and each of them lowers the objective."""
    graph = load(changed(DECAY, update=UPDATES[solver]))
    whole, part = graph.run(every=1), graph.run(3)
    assert (part.steps, part.stopped) == (3, "steps")
    steps = whole.history["step"].tolist()
    assert steps == list(range(whole.steps + 1))
    for name in ("f", "amount", "rate"):
        assert part.history[name].tolist() == whole.history[name][:4].tolist()
    assert np.all(np.diff(whole.history["f"]) <= 0)


@pytest.mark.parametrize("solver", UPDATES)
def test_maximizing_is_minimizing_the_negative(load: Load, solver: str) -> None:
    """The way is the same to the last bit."""
    update = UPDATES[solver]
    down = load(changed(DECAY, update=update)).run()
    nodes = {**DECAY["nodes"], "g": "-f"}
    up = load(changed(DECAY, update=update, nodes=nodes, minimize=None, maximize="g")).run()
    assert (up.steps, up.stopped) == (down.steps, down.stopped)
    assert up.parameters == down.parameters


@pytest.mark.slow
@pytest.mark.parametrize("solver", UPDATES)
@pytest.mark.parametrize(
    ("stop", "reason"),
    [({"gradient_norm": 0.1}, "gradient_norm"), ({"change": 1e-3}, "change"), ({"value": 0.05}, "value")],
)
def test_stop_rules_end_a_solver(load: Load, solver: str, stop: dict[str, float], reason: str) -> None:
    """They are asked after each iteration, as for any update rule."""
    result = load(changed(DECAY, update=UPDATES[solver], stop=stop)).run()
    assert result.stopped == reason
    assert 0 < result.steps < load(changed(DECAY, update=UPDATES[solver])).run().steps


@pytest.mark.slow
@pytest.mark.parametrize("solver", UPDATES)
def test_a_run_leaves_no_thread_behind(load: Load, solver: str) -> None:
    """However it ends: by its steps, by itself, by an interruption, before the first step."""
    before = threading.active_count()
    graph = load(changed(DECAY, update=UPDATES[solver]))
    for steps in (0, 1, 1000):
        graph.run(steps)
    assert graph.try_run(interrupted=lambda: True).stopped == "interrupted"
    gc.collect()
    assert threading.active_count() == before


@pytest.mark.campaign
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_ends_the_iteration_in_hand(tmp_path: Path) -> None:
    """The run ends with status 130 and without a traceback, and no thread of the solver holds the process up."""
    file = tmp_path / "graph.yaml"
    file.write_text(
        "parameters: {w: {shape: [300000], init: {type: normal}}}\n"
        "nodes: {f: sum(w**4)}\nminimize: f\nrecord: [f]\nupdate: {type: lbfgs}\nsteps: 1e6\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "graphrun", str(file), "--format", "jsonl", "--every", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline().startswith("{")
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, messages
    assert "Traceback" not in messages


@pytest.mark.slow
@pytest.mark.parametrize("solver", UPDATES)
def test_a_node_type_that_raises(tmp_path: Path, solver: str) -> None:
    """The run fails with the plugin's error, keeps the last iteration and leaves no thread behind."""
    (tmp_path / "plugin.py").write_text(
        "import graphrun\n\n"
        "@graphrun.elementwise\ndef picky(xp, x):\n"
        "    if xp.any(xp.asarray(x) < 2.5):\n        raise ArithmeticError('too small')\n    return x * 1.0\n\n"
        "@picky.local_derivatives\ndef _(xp, y, x):\n    return (1.0,)\n\n"
        "@graphrun.hookimpl\ndef graphrun_node_types():\n    return [picky]\n",
        encoding="utf-8",
    )
    data = {"parameters": {"a": 3.0}, "nodes": {"r": "picky(a)**3", "f": "r * r"}, "minimize": "f", "steps": 100}
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump({**data, "update": UPDATES[solver]}), encoding="utf-8")
    before = threading.active_count()
    result = graphrun.load(file, plugins=[tmp_path]).try_run()
    assert isinstance(result.error, graphrun.PluginError)
    assert "too small" in str(result.error)
    assert 2.5 <= result.parameters["a"] <= 3
    gc.collect()
    assert threading.active_count() == before


@pytest.mark.parametrize("solver", UPDATES)
def test_a_solver_works_on_all_rows(tmp_path: Path, solver: str) -> None:
    """Rows of a data file are as good as constants; batches of them are refused."""
    rows = "".join(f"{x},{y}\n" for x, y in zip(X, Y, strict=True))
    (tmp_path / "rows.csv").write_text("x,y\n" + rows, encoding="utf-8")
    data = changed(DECAY, constants=None, update=UPDATES[solver])
    data["data"] = {"file": "rows.csv", "columns": {"x": "x", "y": "y"}}
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    found = graphrun.load(file).run().parameters
    file.write_text(yaml.safe_dump(changed(DECAY, update=UPDATES[solver])), encoding="utf-8")
    assert found == graphrun.load(file).run().parameters
    data["data"]["batch_size"] = 2
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(graphrun.GraphrunError, match="batch_size"):
        graphrun.load(file).run()


@pytest.mark.parametrize("solver", UPDATES)
def test_a_start_at_the_solution(load: Load, solver: str) -> None:
    """There is nothing to do, and no step is made of it."""
    data = {
        "parameters": {"a": 3.0},
        "nodes": {"r": "a - 3", "f": "r * r"},
        "minimize": "f",
        "update": UPDATES[solver],
        "steps": 10,
    }
    result = load(data).run()
    assert (result.steps, result.parameters["a"], result.values["f"]) == (0, 3, 0)
    assert result.stopped.startswith(f"{solver}: ")


# --- bounds ----------------------------------------------------------------------------------------------------------


def bounded(update: dict[str, Any], **bounds: Any) -> dict[str, Any]:
    """Return the decay with a bound that its best fit lies beyond."""
    return changed(DECAY, parameters={"amount": 1.0, "rate": {"value": 0.1, **bounds}}, update=update)


@pytest.mark.parametrize("solver", ["lbfgs", "least_squares"])
@pytest.mark.parametrize("bounds", [{"upper": 0.3}, {"lower": 0.05, "upper": 0.3}])
def test_bounds_are_honoured(load: Load, solver: str, bounds: dict[str, float]) -> None:
    """No row is beyond them, and the fit is the best one within, as SciPy's own."""
    result = load(bounded(UPDATES[solver], **bounds)).run(every=1)
    assert np.all(result.history["rate"] <= 0.3)
    direct = optimize.minimize(lambda amount: np.sum((amount * np.exp(-0.3 * np.array(X)) - Y) ** 2), [1.0], tol=1e-14)
    assert result.parameters["rate"] == pytest.approx(0.3, rel=1e-7)
    assert result.parameters["amount"] == pytest.approx(direct.x[0], rel=1e-6)
    if solver == "lbfgs":
        assert result.parameters["rate"] == 0.3


def test_a_vector_within_bounds(load: Load) -> None:
    """Bounds hold for each element: the solution of a bounded linear fit is SciPy's lsq_linear."""
    random = np.random.default_rng(3)
    matrix, y = random.normal(size=(20, 4)), random.normal(size=20)
    data = {
        "parameters": {"w": {"value": [0.1] * 4, "lower": 0.0, "upper": 0.2}},
        "constants": {"m": matrix.tolist(), "y": y.tolist()},
        "nodes": {"r": "m @ w - y", "f": "mean(r**2)"},
        "minimize": "f",
        "steps": 1000,
    }
    expected = optimize.lsq_linear(matrix, y, (0, 0.2), tol=1e-15).x
    for solver in ("lbfgs", "least_squares"):
        result = load({**data, "update": UPDATES[solver]}).run()
        np.testing.assert_allclose(result.parameters["w"], expected, atol=1e-6)


def test_newton_cg_takes_no_bounds(load: Load) -> None:
    """It says so, and names the solvers that do."""
    with pytest.raises(graphrun.UsageError, match=r"newton_cg: it takes no bounds, and 'rate' has some; lbfgs"):
        load(bounded(UPDATES["newton_cg"], upper=0.3)).run()


# --- L-BFGS against SciPy --------------------------------------------------------------------------------------------


def rosenbrock(x: Any) -> tuple[float, Any]:
    """Rosenbrock's function of two variables with its gradient."""
    u, v = 1 - x[0], 10 * (x[1] - x[0] ** 2)
    return u * u + v * v, np.array([-2 * u - 40 * v * x[0], 20 * v])


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [{}, {"upper": 0.5}, {"lower": -1.5, "upper": 0.8}])
def test_lbfgs_makes_the_iterations_of_scipy(load: Load, bounds: dict[str, float]) -> None:
    """In SciPy's own measure it comes through the points that SciPy's L-BFGS-B comes through by itself."""
    points = [np.array([-1.2, 1.0])]
    direct = optimize.minimize(
        rosenbrock,
        points[0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(bounds.get("lower"), bounds.get("upper")), (None, None)],
        callback=points.append,
        options={"ftol": 0, "gtol": 0},
    )
    parameters = {"a": {"value": -1.2, **bounds}, "b": 1.0}
    data = changed(ROSENBROCK, parameters=parameters, update={"type": "lbfgs", "x_scale": "none"})
    result = load(data).run(every=1)
    rows = np.stack([result.history["a"], result.history["b"]], axis=1)
    np.testing.assert_allclose(rows[:15], points[:15], rtol=1e-6)
    np.testing.assert_allclose(rows[-1], direct.x, rtol=1e-7)
    assert result.values["f"] <= direct.fun * (1 + 1e-9) + 1e-20


@pytest.mark.slow
def test_lbfgs_of_many_parameters(load: Load) -> None:
    """A thousand parameters, and a graph of numbers alone, which the engine runs in batches."""
    names = [f"p{k}" for k in range(60)]
    nodes = {f"e{k}": f"({name} - {k}) ** 2 * {k % 7 + 1}" for k, name in enumerate(names)}
    nodes["f"] = " + ".join(f"e{k}" for k in range(60))
    graph = {"parameters": dict.fromkeys(names, 0.5), "nodes": nodes, "minimize": "f", "steps": 1000}
    result = load({**graph, "update": {"type": "lbfgs", "memory": 5}}).run()
    np.testing.assert_allclose([result.parameters[name] for name in names], range(60), atol=1e-6)

    target = np.linspace(-1, 1, 1000)
    graph = {
        "parameters": {"w": {"shape": [1000], "init": {"type": "zeros"}}},
        "constants": {"t": target.tolist()},
        "nodes": {"f": "sum(cosh(w - t))"},
        "minimize": "f",
        "steps": 1000,
        "update": {"type": "lbfgs"},
    }
    np.testing.assert_allclose(load(graph).run().parameters["w"], target, atol=1e-6)


# --- trial points that are not finite --------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", UPDATES)
@pytest.mark.parametrize("start", [1e-3, 8.0, 300.0])
def test_trial_points_that_are_not_finite(load: Load, solver: str, start: float) -> None:
    """A step that leaves the domain of log(x) is taken back, and the solution is found all the same."""
    data = {
        "parameters": {"x": start},
        "nodes": {"r": "log(x)", "f": "r ** 2"},
        "minimize": "f",
        "update": UPDATES[solver],
        "steps": 1000,
    }
    result = load(data).run()
    assert result.error is None
    assert result.parameters["x"] == pytest.approx(1, abs=1e-6)


def test_a_barrier_at_every_side(load: Load) -> None:
    """The analytic center of a box lies far from walls of infinite height."""
    data = {
        "parameters": {"x": 0.001, "y": 0.999},
        "nodes": {"f": "-log(x) - log(1 - x) - log(y) - log(1 - y) + 1e3 * (x - y) ** 2"},
        "minimize": "f",
        "steps": 1000,
    }
    for solver in ("lbfgs", "newton_cg"):
        result = load({**data, "update": {"type": solver}}).run()
        assert result.parameters == pytest.approx({"x": 0.5, "y": 0.5}, abs=1e-6)


def test_a_start_that_is_not_finite(load: Load) -> None:
    """It fails at step 0, as any run does."""
    data = {"parameters": {"x": -1.0}, "nodes": {"f": "log(x)"}, "minimize": "f", "update": {"type": "lbfgs"}}
    with pytest.raises(graphrun.NotFiniteError, match="step 0"):
        load(data).run()


# --- least squares ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["sum(r**2)", "sum(r**2) / 2", "mean(r**2)", "sum(r * r) * 3", "r @ r"])
def test_any_multiple_of_the_sum_of_squares_will_do(load: Load, objective: str) -> None:
    """The fit does not depend on the constant."""
    nodes = {**DECAY["nodes"], "f": objective}
    result = load(changed(DECAY, nodes=nodes, update=UPDATES["least_squares"])).run()
    assert result.parameters["rate"] == pytest.approx(0.3485, abs=1e-2)
    assert result.parameters == pytest.approx(
        load(changed(DECAY, update=UPDATES["least_squares"])).run().parameters, rel=1e-7
    )


@pytest.mark.parametrize(
    ("objective", "direction"),
    [
        ("sum(r**2) + rate**2", "minimize"),
        ("sum(r**2) + 1", "minimize"),
        ("sqrt(mean(r**2))", "minimize"),
        ("sum(abs(r))", "minimize"),
        ("sum(r**4)", "minimize"),
        ("sum(r**2)", "maximize"),
        ("-sum(r**2)", "minimize"),
        ("amount * rate", "minimize"),
    ],
)
def test_another_objective_is_refused(load: Load, objective: str, direction: str) -> None:
    """What is no multiple of the sum of squares would be minimized wrongly."""
    data = changed(DECAY, nodes={**DECAY["nodes"], "f": objective}, update=UPDATES["least_squares"], minimize=None)
    with pytest.raises(graphrun.UsageError, match=r"least_squares: \w+: f is not .* of the squares of r"):
        load({**data, direction: "f"}).run()


@pytest.mark.parametrize("name", ["rr", "y", "nothing"])
def test_a_residual_that_is_no_node(load: Load, name: str) -> None:
    """It is named."""
    with pytest.raises(graphrun.GraphrunError, match=f"'{name}'"):
        load(changed(DECAY, update={"type": "least_squares", "residual": name})).run()


@pytest.mark.parametrize("loss", ["linear", "huber"])
@pytest.mark.parametrize(("name", "message"), [("rr", "residual 'rr' is unknown"), ("t", "'t' is none: no step")])
def test_a_wrong_residual_is_told_where_it_stands(loss: str, name: str, message: str) -> None:
    """When the file is loaded, so that a check finds it."""
    text = f"""\
parameters: {{a: 1}}
constants: {{t: [1, 2]}}
nodes: {{r: a - t, f: sum(r * r)}}
minimize: f
update: {{type: least_squares, loss: {loss}, residual: {name}}}
"""
    with pytest.raises(graphrun.GraphFileError, match=rf"<text>:5:\d+: .*{message}"):
        graphrun.loads(text)


def test_a_linear_fit_takes_one_step(load: Load) -> None:
    """Gauss and Newton agree there; the second step only shows that nothing is left to gain."""
    random = np.random.default_rng(1)
    matrix, y = random.normal(size=(30, 3)), random.normal(size=30)
    data = {
        "parameters": {"w": [0.0, 0.0, 0.0], "b": 0.0},
        "constants": {"m": matrix.tolist(), "y": y.tolist()},
        "nodes": {"r": "m @ w + b - y", "f": "mean(r**2)"},
        "minimize": "f",
        "steps": 50,
        "update": UPDATES["least_squares"],
    }
    result = load(data).run(every=1)
    expected, *_ = np.linalg.lstsq(np.column_stack([matrix, np.ones(30)]), y)
    np.testing.assert_allclose([*result.parameters["w"], result.parameters["b"]], expected, rtol=1e-10)
    assert result.steps <= 4


def test_more_parameters_than_residuals(load: Load) -> None:
    """The residuals come to zero, and the Jacobian is made row by row."""
    random = np.random.default_rng(2)
    data = {
        "parameters": {"w": random.normal(size=(3, 300)).tolist()},
        "constants": {"m": random.normal(size=(4, 3)).tolist(), "y": [0.1, -0.2, 0.3, 0.0]},
        "nodes": {"r": "mean(tanh(m @ w), axis=1) - y", "f": "sum(r**2)"},
        "minimize": "f",
        "steps": 50,
        "update": UPDATES["least_squares"],
    }
    assert load(data).run().values["f"] < 1e-25


def test_single_precision(load: Load) -> None:
    """A solver works on numbers of the graph's dtype, and ends where these end."""
    for solver, update in UPDATES.items():
        result = load(changed(DECAY, update=update)).run(dtype="float32")
        assert result.parameters["rate"] == pytest.approx(0.35, abs=0.02), solver
        assert result.stopped.startswith(solver)


# --- what a solver refuses, and what it needs ------------------------------------------------------------------------


def test_scipy_is_missing(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command that installs it."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(graphrun.UsageError, match=r"pip install 'graphrun\[scipy\]'"):
        load(changed(ROSENBROCK, update={"type": "lbfgs"})).run()


@pytest.mark.parametrize(
    "update",
    [
        {"type": "lbfgs", "step_size": 0.1},
        {"type": "lbfgs", "clip_norm": 1.0},
        {"type": "lbfgs", "memory": 0},
        {"type": "newton_cg", "trust_radius": 0},
        {"type": "least_squares"},
        {"type": "least_squares", "residual": "r", "x_scale": "start"},
        {"type": "lbfg"},
    ],
)
def test_wrong_settings_are_mistakes_of_the_file(load: Load, update: dict[str, Any]) -> None:
    """They are reported with their position."""
    with pytest.raises(graphrun.GraphFileError, match=r"graph\.yaml:\d+:\d+: "):
        load(changed(DECAY, update=update))


def test_every_solver_is_declared_well() -> None:
    """Their declarations are those of functions of a problem and of settings."""
    from graphrun.solvers import SOLVERS

    assert set(SOLVERS) == {*UPDATES, "differential_evolution"}
    for solver in SOLVERS.values():
        solver.check_declaration()
        assert solver.description


@pytest.mark.slow
def test_a_plain_run_does_not_import_scipy(tmp_path: Path) -> None:
    """SciPy takes long to import, so only a run of a solver does it."""
    file = tmp_path / "graph.yaml"
    file.write_text("parameters: {a: 1}\nnodes: {f: a * a}\nminimize: f\n", encoding="utf-8")
    code = f"import sys, graphrun; graphrun.load({str(file)!r}).run(); sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
