"""What a run computes and when it ends, through the Python interface."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson import NESTED

import graphrun
from graphrun.api import Graph
from graphrun.run.loop import HISTORY_ROWS, smallest_stride

# (x - 3)^2 from x = 0: a step of size 0.25 halves the distance to 3.
PARABOLA = """\
parameters: {x: 0}
nodes:
  e: {type: subtract, inputs: [x, 3]}
  f: {type: square, inputs: [e]}
minimize: f
update: {type: sgd, step_size: 0.25}
steps: 1000
"""

Load = Callable[[str], Graph]


# --- rows, values and gradients --------------------------------------------------------------------------------------


def test_the_nested_lesson(load: Load) -> None:
    """Row 0 is before any update, row 1 after one; values and gradients at the end belong to the final parameters."""
    result = load(NESTED).run(1)
    assert result.history["step"].tolist() == [0, 1]
    np.testing.assert_allclose(result.history["f"], [-4, -3.8808], rtol=1e-14)
    np.testing.assert_allclose(result.history["a"], [5, 4.98], rtol=1e-14)
    assert result.parameters == pytest.approx({"a": 4.98, "b": -3.02, "c": -1.98}, rel=1e-14)
    assert result.values == pytest.approx({"d": 1.96, "f": -3.8808}, rel=1e-14)
    assert result.gradients == pytest.approx({"a": -1.98, "b": -1.98, "c": 1.96, "d": -1.98, "f": 1}, rel=1e-14)
    assert (result.steps, result.stopped, result.error) == (1, "steps", None)


def test_no_steps_only_evaluate(load: Load) -> None:
    """With 0 steps the parameters stay, and values and gradients are those at the start."""
    result = load(NESTED).run(0)
    assert result.parameters == {"a": 5, "b": -3, "c": -2}
    assert result.gradients == {"a": -2, "b": -2, "c": 2, "d": -2, "f": 1}
    assert result.history["step"].tolist() == [0]


@pytest.mark.parametrize("steps", [1, 2, 99, 100, 101, 1000])
@pytest.mark.parametrize("every", [1, 7, 1000])
def test_a_run_is_the_same_however_it_is_cut(load: Load, steps: int, every: int) -> None:
    """The result after k steps is that of k single steps, to the last bit, whatever is recorded in between."""
    a, b, c = 5.0, -3.0, -2.0
    for _ in range(steps):
        d = a + b
        a, b, c = a + 0.01 * c, b + 0.01 * c, c + 0.01 * d
    result = load(NESTED).run(steps, every=every)
    assert list(result.parameters.values()) == pytest.approx([a, b, c], rel=1e-12)
    assert result.parameters == load(NESTED).run(steps).parameters
    assert result.values["f"] == result.history["f"][-1]


def test_a_graph_can_be_run_again(load: Load) -> None:
    """A run starts from the file's values, not from where another run ended."""
    graph = load(NESTED)
    assert graph.run(3).parameters == graph.run(3).parameters
    assert graph.run(0).parameters["a"] == 5


def test_all_parameters_move_at_once(load: Load) -> None:
    """No parameter sees another one's new value within a step: x y from (1, 2) goes to (1 - 2h, 2 - h)."""
    graph = load("parameters: {x: 1, y: 2}\nnodes: {f: {type: multiply, inputs: [x, y]}}\nminimize: f\n")
    assert graph.run(1).parameters == pytest.approx({"x": 0.98, "y": 1.99}, rel=1e-15)


def test_the_gradient_is_that_of_the_objective(load: Load) -> None:
    """Minimized or maximized, df/dx is the same; only the step goes the other way."""
    down = load(PARABOLA)
    up = load(PARABOLA.replace("minimize", "maximize"))
    assert down.run(0).gradients == up.run(0).gradients == {"x": -6, "e": -6, "f": 1}
    assert down.run(1).parameters == {"x": 1.5}
    assert up.run(1).parameters == {"x": -1.5}


def test_what_the_objective_does_not_depend_on(load: Load) -> None:
    """Nodes and parameters off the objective have values at the final parameters, and gradient 0; they do not move."""
    result = load(
        "parameters: {x: 1, y: 5, w: [1, 2]}\nnodes:\n  f: {type: square, inputs: [x]}\n"
        "  off: {type: add, inputs: [x, y]}\n  far: {type: multiply, inputs: [w, 2]}\nminimize: f\n"
    ).run(1)
    assert result.values["off"] == pytest.approx(5.98, rel=1e-15)
    assert (result.gradients["y"], result.gradients["off"]) == (0, 0)
    np.testing.assert_array_equal(result.gradients["w"], [0, 0])
    np.testing.assert_array_equal(result.gradients["far"], [0, 0])
    assert result.parameters["y"] == 5


def test_what_is_off_the_objective_costs_nothing_in_the_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node off the objective is computed for the rows and the result, not in every step."""
    (tmp_path / "counted.py").write_text(
        "import graphrun\ncalls = []\n"
        "@graphrun.elementwise\ndef counted(xp, x):\n    calls.append(x)\n    print('called')\n    return x\n"
        "@counted.local_derivatives\ndef _(xp, y, x):\n    return (1.0,)\n"
        "@graphrun.hookimpl\ndef graphrun_node_types():\n    return [counted]\n",
        encoding="utf-8",
    )
    (tmp_path / "graph.yaml").write_text(
        "parameters: {x: 1}\nminimize: f\nnodes: {f: {type: square, inputs: [x]}, off: {type: counted, inputs: [f]}}\n",
        encoding="utf-8",
    )
    result = graphrun.load(tmp_path / "graph.yaml", plugins=[tmp_path]).run(500, every=500)
    assert result.values["off"] == result.values["f"]
    assert capsys.readouterr().out.count("called") < 10


def test_the_objective_can_be_a_parameter(load: Load) -> None:
    """A parameter is its own objective, with derivative 1."""
    result = load("parameters: {a: {value: 1, lower: 0}}\nminimize: a\nupdate: {step_size: 0.4}\n").run(3)
    np.testing.assert_allclose(result.history["a"], [1, 0.6, 0.2, 0], atol=1e-15)
    assert result.gradients == {"a": 1}
    assert list(result.history) == ["step", "a"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("parameters: {x: 2}\nnodes: {y: {type: square, inputs: [x]}}\nsteps: 5\n", {"y": 4}),
        ("constants: {x: 2}\nnodes: {y: {type: square, inputs: [x]}}\n", {"y": 4}),
        ("nodes: {y: {type: add, inputs: [1, 2]}}\n", {"y": 3}),
        ("parameters: {x: 2}\n", {}),
        ("constants: {x: 2}\n", {}),
        ("constants: {x: 2}\nnodes: {y: {type: square, inputs: [x]}}\nminimize: y\nsteps: 5\n", {"y": 4}),
    ],
    ids=["no objective", "no parameters", "literals", "no nodes", "constants alone", "nothing to move"],
)
def test_graphs_that_have_little(load: Load, text: str, values: dict[str, float]) -> None:
    """A graph without parameters, nodes or objective is evaluated like any other."""
    result = load(text).run()
    assert result.values == values
    assert result.stopped == "steps"


def test_a_graph_without_an_objective_makes_no_steps(load: Load) -> None:
    """Without something to optimize only row 0 is there, and the results are recorded beside the parameters."""
    result = load("parameters: {x: 2}\nnodes: {y: {type: square, inputs: [x]}, z: {type: exp, inputs: [y]}}\n").run(10)
    assert (result.steps, result.objective, result.gradients) == (0, None, {})
    assert list(result.history) == ["step", "x", "z"]


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize(
    ("bounds", "expected"),
    [("upper: 2", 2), ("lower: -1, upper: 2.5", 2.5), ("lower: 0, upper: 10", 3), ("lower: 0, upper: 0", 0)],
)
def test_bounds_are_kept_in_every_row(load: Load, rule: str, bounds: str, expected: float) -> None:
    """Parameters beyond a bound are put back onto it after each update; the gradient there is the objective's own."""
    text = PARABOLA.replace("x: 0", f"x: {{value: 0, {bounds}}}").replace("sgd", rule).replace("0.25", "0.02")
    result = load(text).run(2000)
    low, high = min(result.history["x"]), max(result.history["x"])
    limits = {key: float(value) for key, value in (part.split(": ") for part in bounds.split(", "))}
    assert limits.get("lower", -math.inf) <= low
    assert high <= limits.get("upper", math.inf)
    assert result.parameters["x"] == pytest.approx(expected, abs=1e-6)
    assert result.gradients["x"] == pytest.approx(2 * (expected - 3), abs=1e-5)


def test_bounds_of_arrays(load: Load) -> None:
    """A bound may be one number for all elements, or one for each."""
    text = """
parameters: {x: {value: [0, 0, 0], lower: -1, upper: [1, 2, 9]}}
constants: {target: [5, -5, 5]}
nodes:
  e: {type: subtract, inputs: [x, target]}
  s: {type: square, inputs: [e]}
  f: {type: sum, inputs: [s]}
minimize: f
update: {step_size: 0.25}
"""
    np.testing.assert_allclose(load(text).run(60).parameters["x"], [1, -1, 5], atol=1e-12)


# --- stop rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "reason", "steps"),
    [
        # x is 3 - 3 / 2^k after k steps: the gradient's norm is 6 / 2^k, the objective 9 / 4^k.
        ("{gradient_norm: 0.1}", "gradient_norm", 6),
        ("{gradient_norm: 6}", "gradient_norm", 0),
        ("{value: 0.01}", "value", 5),
        ("{value: 9}", "value", 0),
        ("{change: 0.01}", "change", 6),
        ("{gradient_norm: 1e-3, value: 0.01, change: 1e-9}", "value", 5),
        ("{gradient_norm: 0}", "gradient_norm", None),
        ("{value: -1}", "steps", 1000),
        ("{}", "steps", 1000),
    ],
)
def test_stop_rules(load: Load, rule: str, reason: str, steps: int | None) -> None:
    """A run ends at the first row that meets a rule, and says which; that row is the last one recorded."""
    result = load(f"{PARABOLA}stop: {rule}\n").run()
    assert result.stopped == reason
    assert steps is None or result.steps == steps
    assert result.history["step"][-1] == result.steps
    assert result.history["f"][-1] == result.values["f"]


@pytest.mark.parametrize("every", [1, 4, 1000])
def test_a_stop_does_not_depend_on_what_is_recorded(load: Load, every: int) -> None:
    """Stop rules look at every step, not only at recorded ones."""
    result = load(f"{PARABOLA}stop: {{value: 0.01}}\n").run(every=every)
    assert (result.steps, result.stopped) == (5, "value")


def test_value_is_a_goal_in_the_objectives_direction(load: Load) -> None:
    """A maximized objective stops when it is at least the value."""
    text = PARABOLA.replace("minimize", "maximize").replace("0.25", "0.01")
    result = load(f"{text}stop: {{value: 20}}\n").run()
    assert result.stopped == "value"
    assert result.history["f"][-2] < 20 <= result.history["f"][-1]


def test_patience_counts_steps_that_bring_nothing_better(load: Load) -> None:
    """A step too long jumps from side to side: with patience 5 the run ends five steps after its best row."""
    result = load(PARABOLA.replace("0.25", "1") + "stop: {patience: 5}\n").run()
    assert (result.stopped, result.steps) == ("patience", 5)
    better = load(f"{PARABOLA}stop: {{patience: 1}}\n").run(20)
    assert better.stopped == "steps"


# --- the history -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 998, 999, 1000, 1001, 1998, 1999, 12345, 10**6, 10**18])
def test_the_stride_is_the_smallest_that_keeps_a_thousand_rows(steps: int) -> None:
    """First and last row included, the stride keeps 1,000 rows, and one less would not."""

    def rows(every: int) -> int:
        return 1 + -(-steps // every)

    every = smallest_stride(steps)
    assert rows(every) <= HISTORY_ROWS
    assert every == 1 or rows(every - 1) > HISTORY_ROWS


@pytest.mark.parametrize(("steps", "every"), [(10, 3), (10, 5), (10, 11), (5000, None), (0, 4), (1, 1)])
def test_the_first_and_the_last_row_are_recorded(load: Load, steps: int, every: int | None) -> None:
    """Every K-th row is recorded, and the last one whether it is due or not."""
    recorded = load(NESTED).run(steps, every=every).history["step"]
    assert (recorded[0], recorded[-1]) == (0, steps)
    assert len(recorded) <= HISTORY_ROWS
    assert np.all(np.diff(recorded)[:-1] == (every or 6))


def test_what_is_recorded(load: Load) -> None:
    """By default the objective and the scalar parameters; else what the file says; else what the call says."""
    text = NESTED.replace("c: -2}", "c: -2, W: [1, 2]}")
    assert list(load(text).run(1).history) == ["step", "f", "a", "b", "c"]
    assert list(load(f"{text}record: [d, W]\n").run(1).history) == ["step", "d", "W"]
    assert load(f"{text}record: [d, W]\n").run(1).history["W"].shape == (2, 2)
    assert list(load(f"{text}record: [d, W]\n").run(1, record=["a", "d", "a"]).history) == ["step", "a", "d"]


def test_a_value_named_step_does_not_hide_the_steps(load: Load) -> None:
    """The history's column `step` holds the numbers of the steps, so the name is refused."""
    with pytest.raises(graphrun.GraphFileError, match="1:14: 'step' cannot be a name: it is the history's own column"):
        load("parameters: {step: 3}\nminimize: step\n")


# --- what is not finite ----------------------------------------------------------------------------------------------


def failure(graph: Graph, steps: int | None = None) -> graphrun.NotFiniteError:
    """Run a graph that must fail; return the error, which carries the result."""
    with pytest.raises(graphrun.NotFiniteError) as caught:
        graph.run(steps)
    assert caught.value.result is not None
    return caught.value


def test_a_value_that_is_not_finite_at_the_start(load: Load) -> None:
    """The node where it arose is named with its type, its inputs and the way to it, not the nodes after it."""
    text = (
        "parameters: {x: 1}\nnodes:\n  e: {type: subtract, inputs: [x, 1]}\n  l: {type: log, inputs: [e]}\n"
        "  m: {type: multiply, inputs: [l, 2]}\n  f: {type: add, inputs: [m, x]}\nminimize: f\n"
    )
    error = failure(load(text))
    assert str(error) == (
        "step 0: the value of node 'l' (type log) is -inf; "
        "its inputs are e = 0, outside the domain (0, inf) of x; reached by x → e → l"
    )
    assert error.result is not None
    assert error.result.stopped == f"not finite: {error}"
    assert error.result.steps == 0


def test_a_derivative_that_is_not_finite(load: Load) -> None:
    """The square root of 0 is 0, but its derivative there is not finite: that node is named, and the input."""
    error = failure(
        load(
            "parameters: {x: 0}\nminimize: f\n"
            "nodes: {r: {type: sqrt, inputs: [x]}, f: {type: multiply, inputs: [r, 3]}}\n"
        )
    )
    assert str(error).startswith("step 0: the derivative of node 'r' (type sqrt) by x is not finite (inf)")
    assert "its inputs are x = 0" in str(error)
    assert "reached by x → r" in str(error)


@pytest.mark.parametrize("every", [None, 1, 10, 1000])
def test_a_run_that_fails_keeps_what_was_finite(load: Load, every: int | None) -> None:
    """With x = 1 - 0.3 k, log x fails at step 4: the result is that of step 3, and the error names step 4."""
    text = (
        "parameters: {x: 1}\nnodes: {l: {type: log, inputs: [x]}, f: {type: add, inputs: [x, l]},\n"
        "  g: {type: subtract, inputs: [f, l]}}\nminimize: g\nupdate: {step_size: 0.3}\nsteps: 1000\n"
    )
    graph = load(text)
    with pytest.raises(graphrun.NotFiniteError, match=r"^step 4: the value of node 'l' \(type log\) is nan") as caught:
        graph.run(every=every)
    result = caught.value.result
    assert result is not None
    assert result.steps == 3
    assert result.parameters == pytest.approx({"x": 0.1})
    assert result.values["g"] == pytest.approx(0.1)
    assert result.gradients["x"] == pytest.approx(1)
    assert result.history["step"][-1] == 3


def test_a_run_that_fails_after_many_steps(load: Load) -> None:
    """Divergence is found at its step also in long stretches of steps that nobody looks into."""
    text = PARABOLA.replace("0.25", "1.5")
    error = failure(load(text), 100_000)
    result = error.result
    assert result is not None
    again = load(text).run(result.steps)
    assert result.parameters == again.parameters
    assert str(error).startswith(f"step {result.steps + 1}: ")
    with pytest.raises(graphrun.NotFiniteError):
        load(text).run(result.steps + 1)


def test_a_recorded_value_that_is_not_finite(load: Load) -> None:
    """A value off the objective stops the run only if it is recorded, and then the node where it arose is named."""
    text = (
        "parameters: {x: 1}\nconstants: {k: -1}\nnodes:\n  bad: {type: log, inputs: [k]}\n"
        "  g: {type: add, inputs: [bad, 1]}\n  f: {type: square, inputs: [x]}\nminimize: f\n"
    )
    assert math.isnan(load(text).run(3).values["g"])
    error = failure(load(f"{text}record: [f, g]\n"))
    assert str(error) == (
        "step 0: the value of node 'bad' (type log) is nan; "
        "its inputs are k = -1, outside the domain (0, inf) of x; reached by k → bad"
    )


def test_an_element_of_an_array_that_is_not_finite(load: Load) -> None:
    """Of an array it is told where it stops being finite."""
    text = (
        "parameters: {x: [1, 2, 3, 4, 5, 6, 7, 0]}\n"
        "nodes: {l: {type: log, inputs: [x]}, f: {type: sum, inputs: [l]}}\nminimize: f\n"
    )
    assert "with 1 of 8 elements not finite, the first at [7]" in str(failure(load(text)))


def test_the_branch_not_taken_leaks_nothing(load: Load) -> None:
    """log(x) for x > 0, else x: at x = -1 the logarithm is not a number, and neither value nor gradient sees it."""
    text = """
parameters: {x: START}
nodes:
  l: {type: log, inputs: [x]}
  positive: {type: greater, inputs: [x, 0]}
  w: {type: where, inputs: [positive, l, x]}
  f: {type: sum, inputs: [w]}
minimize: f
update: {step_size: 0.1}
"""
    result = load(text.replace("START", "-1")).run(2)
    assert (result.values["f"], result.gradients["x"]) == (pytest.approx(-1.2), 1)
    arrays = load(text.replace("START", "[-1, 0, 2]")).run(0)
    np.testing.assert_allclose(arrays.gradients["x"], [1, 1, 0.5])
    assert arrays.values["f"] == pytest.approx(-1 + math.log(2))


def test_a_square_root_masked_at_its_border_leaks_nothing(load: Load) -> None:
    """An infinite derivative in the branch not taken is multiplied by 0 and must not become NaN."""
    text = """
parameters: {x: 0}
nodes:
  r: {type: sqrt, inputs: [x]}
  positive: {type: greater, inputs: [x, 0]}
  w: {type: where, inputs: [positive, r, x]}
  f: {type: multiply, inputs: [w, 2]}
maximize: f
"""
    assert load(text).run(0).gradients["x"] == 2


# --- dtypes and update rules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["file", "call"])
def test_float32_is_used_throughout(load: Load, how: str) -> None:
    """In single precision every number and every array is one that float32 holds."""
    text = NESTED.replace("c: -2}", "c: -2, w: [0.1, 0.2]}").replace(
        "nodes:", "nodes:\n  s: {type: sum, inputs: [w]}\n  t: {type: multiply, inputs: [s, 0.3]}"
    )
    graph = load(text + "dtype: float32\n") if how == "file" else load(text)
    result = graph.run(3, dtype=None if how == "file" else "float32")
    assert result.parameters["w"].dtype == np.float32
    for group in (result.parameters, result.values, result.gradients):
        for value in group.values():
            assert np.all(np.float64(np.float32(value)) == value)
    double = load(text).run(3, dtype="float64")
    assert result.values["f"] != double.values["f"]
    assert result.values["f"] == pytest.approx(double.values["f"], rel=1e-6)


RULES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sgd": ("SGD", {}, {}),
    "momentum": ("SGD", {"momentum": 0.8}, {"momentum": 0.8}),
    "nesterov": ("SGD", {"momentum": 0.8}, {"momentum": 0.8, "nesterov": True}),
    "adam": (
        "Adam",
        {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6},
        {"betas": (0.8, 0.99), "eps": 1e-6},
    ),
}
DEFAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {}),
}
ROSENBROCK = """
parameters: {x: -1.2, y: 1}
nodes:
  rest: {type: subtract, inputs: [1, x]}
  rest_squared: {type: square, inputs: [rest]}
  x_squared: {type: square, inputs: [x]}
  off: {type: subtract, inputs: [y, x_squared]}
  off_squared: {type: square, inputs: [off]}
  wall: {type: multiply, inputs: [100, off_squared]}
  f: {type: add, inputs: [rest_squared, wall]}
"""


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("settings", ["given", "defaults"])
def test_update_rules_are_those_of_pytorch(load: Load, torch: Any, rule: str, settings: str, direction: str) -> None:
    """On Rosenbrock's function every rule walks the way of torch.optim's, with its defaults and with others."""
    name, ours, theirs = RULES[rule]
    if settings == "defaults":
        name, theirs = DEFAULTS.get(rule, ("SGD", {}))
        ours = {}
    step_size = 1e-5 if direction == "maximize" else 1e-3
    listed = "".join(f", {key}: {value}" for key, value in ours.items())
    steps = 30
    result = load(
        f"{ROSENBROCK}{direction}: f\nupdate: {{type: {rule}, step_size: {step_size}{listed}}}\nsteps: {steps}\n"
    ).run()

    x, y = (torch.tensor(start, dtype=torch.float64, requires_grad=True) for start in (-1.2, 1.0))
    optimizer = getattr(torch.optim, name)([x, y], lr=step_size, maximize=direction == "maximize", **theirs)
    way = [(x.item(), y.item())]
    for _ in range(steps):
        optimizer.zero_grad()
        ((1 - x) ** 2 + 100 * (y - x * x) ** 2).backward()
        optimizer.step()
        way.append((x.item(), y.item()))
    np.testing.assert_allclose(np.array([result.history["x"], result.history["y"]]).T, way, rtol=1e-11)


# --- the Python interface --------------------------------------------------------------------------------------------


def test_numbers_are_floats_and_arrays_are_arrays(load: Load) -> None:
    """Scalars come as Python floats, arrays as NumPy arrays, the history as NumPy columns."""
    result = load("parameters: {w: [1, 2]}\nnodes: {f: {type: sum, inputs: [w]}}\nminimize: f\n").run()
    assert type(result.values["f"]) is float
    assert isinstance(result.parameters["w"], np.ndarray)
    assert result.history["step"].dtype == np.int64
    assert result.objective is not None
    assert (result.objective.name, result.objective.direction) == ("f", "minimize")
    assert result.objective.value == result.values["f"]
    assert Path(result.graph).name == "graph.yaml"
    assert result.engine == "numpy"


@pytest.mark.parametrize(
    "arguments",
    [
        {"steps": -1},
        {"steps": 2.5},
        {"steps": "3"},
        {"every": 0},
        {"every": 1.5},
        {"engine": "abacus"},
        {"dtype": "float16"},
        {"record": ["nothing"]},
        {"record": "f"},
    ],
    ids=str,
)
def test_arguments_that_make_no_sense(load: Load, arguments: dict[str, Any]) -> None:
    """They are UsageErrors, before anything is computed."""
    with pytest.raises(graphrun.UsageError):
        load(NESTED).run(**arguments)


def test_errors_are_one_family(load: Load, tmp_path: Path) -> None:
    """One except clause catches whatever is a user's mistake."""
    with pytest.raises(graphrun.GraphrunError):
        graphrun.load(tmp_path / "nothing.yaml")
    with pytest.raises(graphrun.GraphFileError):
        load("nodes: {f: {type: nothing, inputs: []}}\n")
    with pytest.raises(graphrun.UsageError):
        graphrun.load(tmp_path / "graph.yaml", plugins=[tmp_path / "nothing"])
    for error in (graphrun.GraphFileError, graphrun.UsageError, graphrun.ShapeError, graphrun.RunError):
        assert issubclass(error, graphrun.GraphrunError)
    for error in (graphrun.NotFiniteError, graphrun.PluginError):
        assert issubclass(error, graphrun.RunError)
