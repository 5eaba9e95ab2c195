"""`graphrun export FILE --to python`: a program that needs nothing of graphrun, and gives the same numbers."""

from __future__ import annotations

import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import lesson
import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_graphs import TYPES, graphs

import graphrun
from graphrun.cli.entry import run_command
from graphrun.show.export import LANGUAGES

export = LANGUAGES["python"].export

EXAMPLES = sorted(Path(__file__).parents[3].glob("graphs/*.yaml"))
NESTED = f"{lesson.NESTED}steps: 10\n"
LESSON = f'''\
"""nested.yaml as a program: f is maximized by sgd."""
# Written by graphrun {graphrun.__version__}: graphrun export nested.yaml --to python

# Parameters: what an update moves.
a = 5.0
b = -3.0
c = -2.0

step_size = 0.01

steps = 10
for step in range(steps + 1):
    # Forward pass: each node from its inputs.
    d = a + b
    f = d * c

    # Backward pass: the derivative of f by each value, from f back to the parameters.
    df_df = 1.0
    df_dd = c
    df_dc = d
    df_da = df_dd
    df_db = df_dd

    if step == steps:
        break

    # Update: every parameter at once.
    a = a + step_size * df_da
    b = b + step_size * df_db
    c = c + step_size * df_dc

print("f =", f)
print("a =", a)
print("b =", b)
print("c =", c)
'''
# Names that Python's keywords and the program's own names are near to, every rule of a run, a subgraph's inner names.
EVERYTHING = """\
parameters: {x: 1.2, exp: {value: 0.5, lower: -1}, steps: 0.3, θ: 0.1}
constants: {k: 2.5, print: 0.7}
subgraphs:
  half:
    inputs: [v]
    nodes: {w: v / 2}
    output: w
nodes:
  fixed: k * print
  h: {type: half, inputs: [x]}
  g: gelu(h) + logaddexp(exp, steps) * fixed - sign(x)
  f: (g - 1) ** 2 + hypot(x, steps) + erf(-θ) + where(x, exp, k) + remainder(x, k) + -3 ** 2
  aside: f + k
minimize: f
update: {type: adam, step_size: {type: cosine, start: 0.05, steps: 30}, clip_norm: 2.0, clip_value: 1.5}
stop: {gradient_norm: 1e-9, change: 1e-12, value: -1000, patience: 40}
steps: 25
"""


def executed(text: str) -> dict[str, Any]:
    """Return the names of a program after it was run."""
    names: dict[str, Any] = {}
    exec(compile(text, "<exported>", "exec"), names)  # noqa: S102
    return names


def assert_same(graph: graphrun.Graph, capsys: pytest.CaptureFixture[str]) -> None:
    """Compare an exported program with a run, by names and by what it prints."""
    result = graph.run()
    text = export(graph)
    names = executed(text)
    target = result.objective.name
    for name, value in {**result.parameters, **result.values}.items():
        spelled = name.replace(".", "_")
        spelled = f"{spelled}_" if f"{spelled}_" in names else spelled
        np.testing.assert_allclose(float(names[spelled]), value, rtol=1e-12, atol=1e-12, err_msg=name)
    printed = dict(line.split(" = ") for line in capsys.readouterr().out.splitlines())
    np.testing.assert_allclose(float(printed[target]), result.values[target], rtol=1e-12)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_of_numbers_gives_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Graphs of arrays are refused by name."""
    graph = graphrun.load(file)
    plan = graph.plan()
    stepped = isinstance(plan.update.rule, graphrun.UpdateRule) and plan.objective is not None
    if any(plan.shapes) or not stepped:
        with pytest.raises(graphrun.UsageError, match="export to python: "):
            export(graph)
    else:
        assert_same(graph, capsys)


@settings(deadline=None, max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(data=graphs(), steps=st.integers(0, 10), rule=st.sampled_from(["sgd", "adam", "momentum", "rmsprop", "lion"]))
def test_random_graphs_give_the_same(data: dict[str, Any], steps: int, rule: str, tmp_path: Path) -> None:
    """Where Python raises, NumPy has a number that is not finite, or a branch that is not taken has."""
    del data["nodes"]["total"]
    data |= {"maximize": list(data["nodes"])[-1], "update": {"type": rule, "step_size": 1e-3}}
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    graph = graphrun.load(file)
    result = graph.try_run(steps, record=[*data["parameters"], *data["nodes"]], every=1)
    assume(result.error is None)
    text = export(graph, steps=steps)
    with redirect_stdout(StringIO()):
        try:
            names = executed(text)
        except (ValueError, ZeroDivisionError, OverflowError):
            assert any(raises_in_numpy(data, result.history, row) for row in range(steps + 1))
            return
    for name, value in {**result.parameters, **result.values}.items():
        np.testing.assert_allclose(float(names[name]), value, rtol=1e-9, atol=1e-9, equal_nan=True, err_msg=name)


def raises_in_numpy(data: dict[str, Any], history: Any, row: int) -> bool:
    """Whether something overflows, is divided by zero or has no value when NumPy runs the nodes of a recorded row."""
    known = {**{name: np.float64(value) for name, value in data["constants"].items()}}
    known |= {name: column[row] for name, column in history.items()}
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        for name, node in data["nodes"].items():
            declared = TYPES[node["type"]]
            inputs = [known[x] if isinstance(x, str) else np.float64(x) for x in node["inputs"]]
            try:
                declared.function(np, *inputs)
                declared.derivative(np, np.float64(known[name]), *inputs)
            except FloatingPointError:
                return True
    return False


def test_everything_that_a_run_may_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Subgraphs, constants, bounds, schedules, clipping, states, stop rules, names that Python has too."""
    file = tmp_path / "everything.yaml"
    file.write_text(EVERYTHING, encoding="utf-8")
    assert_same(graphrun.load(file), capsys)


def test_the_lesson_reads_like_the_lesson(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line; and the printed program runs in a Python that has nothing else."""
    file = tmp_path / "nested.yaml"
    file.write_text(NESTED)
    assert run_command(["export", str(file), "--to", "python"]) == 0
    text = capsys.readouterr().out
    assert text == LESSON
    done = subprocess.run([sys.executable, "-I", "-S", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == f"f = {graphrun.load(file).run().values['f']}"


ADAM = """\
    # Update: every parameter at once.
    x_mean = 0.9 * x_mean + 0.09999999999999998 * df_dx
    x_root = hypot(0.999499874937461 * x_root, 0.031622776601683805 * df_dx)
    x = x - step_size * (x_mean / (1 - 0.9 ** (step + 1)) / (x_root / pow(1 - 0.999 ** (step + 1), 0.5) + 1e-08))

print("f =", f)
print("x =", x)

# Nodes that the objective does not depend on.
aside = log(x)
print("aside =", aside)
"""


def test_states_and_what_is_aside(tmp_path: Path) -> None:
    """A rule's states change one after the other, by name; what the objective does not need comes last."""
    file = tmp_path / "graph.yaml"
    file.write_text(
        "parameters: {x: 2}\nnodes: {f: x ** 2, aside: log(x)}\nminimize: f\nupdate: {type: adam, step_size: 0.1}\n"
    )
    assert export(graphrun.load(file), steps=3).endswith(ADAM)


def test_no_complex_numbers(tmp_path: Path) -> None:
    """Python's ** makes one of a negative number to a power that is not whole; the program raises instead."""
    file = tmp_path / "graph.yaml"
    file.write_text('parameters: {x: -1.5, y: 0.5}\nnodes: {f: "x ** 3 + 2 ** y", aside: x ** y}\nminimize: f\n')
    text = export(graphrun.load(file), steps=0)
    assert "x ** 3" in text
    assert "2 ** y" in text
    with pytest.raises(ValueError, match="math domain error"):
        executed(text)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["lesson.yaml", "--to", "fortran"], 2, "'fortran'"),
        (["leson.yaml", "--to", "python"], 2, "did you mean 'lesson.yaml'"),
        (["arrays.yaml", "--to", "python"], 2, "export to python: it runs graphs of numbers, and x has the shape (2,)"),
        (["lesson.yaml", "--to", "python", "--set", "parameters.q=1"], 2, "q"),
    ],
    ids=["language", "file", "arrays", "override"],
)
def test_mistakes(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are told on stderr, and nothing is printed."""
    monkeypatch.chdir(tmp_path)
    Path("lesson.yaml").write_text(NESTED)
    Path("arrays.yaml").write_text("parameters: {x: [1, 2]}\nnodes: {f: sum(x * x)}\nminimize: f\n")
    assert run_command(["export", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_steps_and_overrides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a run."""
    file = tmp_path / "nested.yaml"
    file.write_text(NESTED)
    assert run_command(["export", str(file), "--to", "python", "--steps", "1", "--set", "parameters.a=6"]) == 0
    assert executed(capsys.readouterr().out)["a"] == 5.98
