"""Numbers, counts of inputs and of axes that nobody means: each is a message, wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graphrun
from graphrun.cli.entry import run_command
from graphrun.declare.nodetype import NodeType
from graphrun.plugins.registry import Registry

EVERY_KEY = """\
graphrun: 1
parameters:
  a: 5
  b: {value: 1, lower: 0, upper: 2}
  W: {shape: [2, 3], init: {type: normal, std: 1}}
  U: {shape: [2, 3], init: {type: uniform, low: 0, high: 1}}
constants: {k: [1, 2]}
data:
  file: d.csv
  columns: {x: x, y: y, t: {column: t, categories: [a, b]}}
  batch_size: 2
  holdout: 0.25
subgraphs:
  s:
    inputs: [q]
    settings: {n: 3}
    parameters: {p: 1, V: {shape: [$n], init: {type: zeros}}}
    nodes: {o: q * p + $n}
    output: o
nodes:
  d: {type: clip, inputs: [a], min: 0, max: 1}
  e: {type: sum, inputs: [k], axis: 0}
  r: {type: reshape, inputs: [W], shape: [3, 2]}
  l: {type: leaky_relu, inputs: [b], slope: 0.1}
  i: {type: s, inputs: [a], n: 2, repeat: 2}
  g: {type: add, inputs: [a, 2]}
  h: a ** 2 + 3 * b
  u: take(k, 0)
  z: clip(a, min=0, max=1)
  v: {type: dropout, inputs: [W], rate: 0.5}
  j: {type: permute_dims, inputs: [W], axes: [1, 0]}
  m: mean(x * y)
  f: h + d + l + g + i + m
minimize: f
update: {type: adam, step_size: STEP_SIZE, beta1: 0.9, epsilon: 1e-8, clip_norm: 1, clip_value: 2}
steps: 3
stop: {gradient_norm: 1e-9, change: 1e-9, value: -100, patience: 3}
record: [f]
seed: 4
expect: {at: 0, values: {g: 7}, gradients: {a: 1}, tolerance: 1e-6}
"""
NUMBERS = re.compile(r"(?<![\w.$])-?\d[\d.e-]*(?!\w)")
SCHEDULE = "{type: one_cycle, start: 0.1, steps: 10, divisor: 25, warm_up: 0.3}"


@pytest.mark.slow
@pytest.mark.parametrize("step_size", ["0.1", SCHEDULE])
@pytest.mark.parametrize(
    "number",
    [
        *("9" * 400, str(2**63)),
        *(pytest.param(number, marks=pytest.mark.campaign) for number in ("-" + "9" * 400, "9" * 5000, "1e400")),
    ],
)
def test_a_huge_number_in_any_key(
    number: str, step_size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Either it may stand there, or a message says where it stands and is short."""
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("x,y,t\n1,2,a\n3,4,b\n5,6,a\n7,8,b\n", encoding="utf-8")
    text = EVERY_KEY.replace("STEP_SIZE", step_size)
    update = text.index("update:")
    for place in NUMBERS.finditer(text, *((0,) if step_size == "0.1" else (update, text.index("\n", update)))):
        Path("g.yaml").write_text(f"{text[: place.start()]}{number}{text[place.end() :]}", encoding="utf-8")
        status = run_command(["g.yaml", "-q", "--engine", "numpy"])
        error = capsys.readouterr().err
        assert status in {0, 1, 2}
        assert (status == 0) == (error == "")
        assert len(error) < 1500


@pytest.mark.parametrize("option", ["--steps", "--seed", "--every", "--save-every", "--step"])
@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e400", "nan"])
def test_a_huge_number_of_an_option(
    option: str, number: str, load: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """On the command line, too; any seed is one."""
    load("parameters: {a: 1}\nnodes: {f: a ** 2}\nminimize: f\n")
    command = ["explain"] if option == "--step" else ["run", "--save", "c"] if option == "--save-every" else ["run"]
    status = run_command([*command, "graph.yaml", option, number])
    assert status == (0 if option == "--seed" and number == "9" * 400 else 2)
    assert "Traceback" not in capsys.readouterr().err


TYPES = {name: declared for name, (declared, plugin) in Registry().all(NodeType).items() if plugin.source == "built-in"}


@pytest.mark.parametrize("name", TYPES)
def test_another_number_of_inputs(name: str, load: Callable[..., Any]) -> None:
    """Of every type, too few and too many are told with its signature."""
    least, most = TYPES[name].arity
    counts = {*range(least), *(() if most is None else (most + 1, most + 3))}
    nodes = {
        f"{source}_{count}": {"type": name, "inputs": [given] * count}
        for count in counts
        for source, given in (("name", "a"), ("number", 1))
    }
    with pytest.raises(graphrun.GraphFileError) as caught:
        load({"parameters": {"a": 1}, "nodes": nodes})
    for count in counts:
        assert len(re.findall(rf"takes .*, not {count}\b", str(caught.value))) == 2, count


@pytest.mark.parametrize(
    "text",
    [
        f"parameters: {{a: {'[' * 40}1{']' * 40}}}\nnodes: {{f: a}}\n",
        f"constants: {{a: {'[' * 33}1{']' * 33}}}\nnodes: {{f: a}}\n",
        f"parameters: {{a: {{shape: {[1] * 40}, init: {{type: zeros}}}}}}\nnodes: {{f: a}}\n",
        f"parameters: {{a: 1}}\nnodes: {{f: {{type: reshape, inputs: [a], shape: {[1] * 40}}}}}\n",
        f"parameters: {{a: 1}}\nnodes: {{f: {{type: broadcast_to, inputs: [a], shape: {[1] * 40}}}}}\n",
        f"parameters: {{a: {'[' * 32}1{']' * 32}}}\nnodes: {{b: 'stack(a, a)', f: b + 1}}\n",
        f"parameters: {{a: {'[' * 32}1{']' * 32}}}\nnodes: {{b: 'expand_dims(a, axis=0)', f: sum(b)}}\n",
    ],
)
def test_too_many_axes(text: str, load: Callable[..., Any]) -> None:
    """NumPy broadcasts 32 axes, and no engine more."""
    with pytest.raises(graphrun.GraphrunError, match=r"at most 32|maximum supported dimension"):
        load(text).run(1)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_many_axes(engine: str, load: Callable[..., Any]) -> None:
    """So many are taken."""
    graph = load(f"parameters: {{a: {'[' * 32}3{']' * 32}}}\nnodes: {{f: sum(a * a + a)}}\nminimize: f\n")
    assert graph.run(0, engine=engine).values["f"] == 12
