"""`graphrun show`: what it prints is a graph file that loads, gives the same result bit for bit, and shows the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphrun.api import Graph, load
from graphrun.cli.entry import run_command
from graphrun.data.rows import DataSource
from graphrun.document import Source, load_document
from graphrun.document.dump import dump_document
from graphrun.graph.build import build_graph
from graphrun.plugins.registry import Registry

REGISTRY = Registry()


def graph_of(text: str, *overrides: str) -> Graph:
    """Return the graph of a text."""
    return Graph(build_graph(load_document(Source("g.yaml", text), overrides), REGISTRY))


def load_text(path: Path, text: str) -> Graph:
    """Return the graph of a text as if it were a file."""
    document = load_document(Source(str(path), text))
    source = DataSource(document)
    return Graph(build_graph(document, REGISTRY, source.names), source, REGISTRY)


def assert_same(first: Any, second: Any) -> None:
    """Compare two results bit for bit."""
    for kind in ("parameters", "values", "gradients", "history"):
        before, after = getattr(first, kind), getattr(second, kind)
        assert list(before) == list(after)
        for name in before:
            np.testing.assert_array_equal(np.asarray(before[name]), np.asarray(after[name]), err_msg=name, strict=True)
    assert (first.steps, first.stopped) == (second.steps, second.stopped)


def assert_round_trip(text: str, *overrides: str) -> str:
    """Show a graph, run what is shown and the original, show again; return what is shown."""
    original = graph_of(text, *overrides)
    shown = dump_document(original.document)
    again = graph_of(shown)
    assert dump_document(again.document) == shown
    assert_same(original.try_run(), again.try_run())
    return shown


FULL = """\
graphrun: 1
description: "two\\nlines: of 'text' # \\u03b8 "
parameters:
  a: {value: 0.5, lower: -.inf, upper: 2}
  yes: [1e-3, 1e30, -0.0]
  W: {shape: [2, 3], init: {type: normal, std: 0.5}, lower: -1}
constants: {"on": 5, θ: [[1, 2], [3, 4]], i: -7}
nodes:
  f: sum(relu(W * a)) + h + sum(yes) * 1e-30
  h: leaky_relu(a - 5, slope=0.25) ** 2 + sum(θ, axis=[0, 1], keepdims=false)
minimize: f
update: {type: momentum, step_size: 1e-3, momentum: 0.5}
steps: 5
stop: {gradient_norm: 0, patience: 3}
record: [h, f]
seed: 12
dtype: float32
expect:
- {at: 0, values: {h: 1e3}, gradients: {yes: [1, 2, 3]}, tolerance: 1e9}
- {values: {f: 1}}
"""


def test_every_section() -> None:
    """Nothing is lost, and an initializer stays one, so that another seed draws other numbers."""
    shown = assert_round_trip(FULL)
    assert yaml.safe_load(shown)["parameters"]["W"] == {
        "shape": [2, 3],
        "init": {"type": "normal", "std": 0.5},
        "lower": -1,
    }
    assert (
        shown
        == """\
graphrun: 1
description: "two\\nlines: of 'text' # θ "
parameters:
  a: {value: 0.5, lower: -.inf, upper: 2}
  'yes': [0.001, 1.0e+30, -0.0]
  W: {shape: [2, 3], init: {type: normal, std: 0.5}, lower: -1}
constants:
  'on': 5
  θ: [[1, 2], [3, 4]]
  i: -7
nodes:
  f.1: {type: multiply, inputs: [W, a]}
  f.2: {type: relu, inputs: [f.1]}
  f.3: {type: sum, inputs: [f.2]}
  f.4: {type: add, inputs: [f.3, h]}
  f.5: {type: sum, inputs: ['yes']}
  f.6: {type: multiply, inputs: [f.5, 1.0e-30]}
  f: {type: add, inputs: [f.4, f.6]}
  h.1: {type: subtract, inputs: [a, 5]}
  h.2: {type: leaky_relu, inputs: [h.1], slope: 0.25}
  h.3: {type: pow, inputs: [h.2, 2]}
  h.4: {type: sum, inputs: [θ], axis: [0, 1], keepdims: false}
  h: {type: add, inputs: [h.3, h.4]}
minimize: f
update: {type: momentum, step_size: 0.001, momentum: 0.5}
steps: 5
stop: {gradient_norm: 0.0, patience: 3}
record: [h, f]
seed: 12
dtype: float32
expect:
- {at: 0, values: {h: 1000.0}, gradients: {'yes': [1, 2, 3]}, tolerance: 1000000000.0}
- {values: {f: 1}}
"""
    )


def test_overrides_and_an_empty_record() -> None:
    """What is shown has every override in place; recording nothing is not the same as recording the default."""
    shown = assert_round_trip(FULL, "record=[]", "seed=3", "maximize=h", "update={type: sgd}", "steps=0")
    assert "record: []\n" in shown
    assert "maximize: h\n" in shown
    assert "minimize" not in shown


@pytest.mark.parametrize(
    "name",
    [
        "y",
        "n",
        "no",
        "off",
        "null_",
        "x" * 200,
        "θ",
        "\N{FULLWIDTH LATIN SMALL LETTER X}",
        "𐐀",
        "été",
        "_",
        "a1",
        "h.1",
        "h.1.W",
        "日本",
    ],
)
def test_names_of_every_kind(name: str) -> None:
    """A name that YAML 1.1 reads otherwise, a long one, and those of other scripts."""
    assert_round_trip(f"parameters: {{{name}: 1}}\nnodes:\n  f: {{type: add, inputs: [{name}, 2]}}\nmaximize: f\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " x",
        "x ",
        "1e3",
        "0x1F",
        "null",
        "~",
        "yes",
        "- a",
        "a: b",
        "a # b",
        "{a}",
        "*a",
        "!a",
        "%a",
        "'",
        '"',
        "\\",
        "a\nb",
        "a\n\nb\n",
        "\t",
        "x " * 200,
        "1" * 2000,
        "\u2028",
        "\x85",
        "\x07",
        "é",
        "\U0001f600",
        "---",
        "?",
        ": ",
    ],
    ids=ascii,
)
def test_descriptions_of_every_kind(text: str) -> None:
    """A text is read back as it was."""
    document = load_document(Source("g.yaml", "{}"))
    document.description = text
    assert load_document(Source("g.yaml", dump_document(document))).description == text


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=examples(200), deadline=None, derandomize=True)
@given(st.lists(st.one_of(finite, st.integers(-(10**30), 10**30)), max_size=5), st.text(max_size=30))
def test_numbers_and_texts_of_every_kind(numbers: list[float], text: str) -> None:
    """Numbers keep every bit and their kind; a text that YAML can hold is read back as it was."""
    document = load_document(Source("g.yaml", "{}"))
    document.constants = {"k": numbers}
    document.description = "".join(c for c in text if c.isprintable() or c in "\n\t") + "."
    again = load_document(Source("g.yaml", dump_document(document)))
    assert str(again.problems) == ""
    assert list(map(repr, again.constants["k"])) == list(map(repr, numbers))
    assert again.description == document.description


@st.composite
def files(draw: Any) -> str:
    """Make a graph file with expressions, and subgraphs that use each other, repeated, shared and nested."""
    pick = lambda *choices: draw(st.sampled_from(choices))  # noqa: E731
    number = lambda: draw(st.sampled_from([-1.5, -0.25, 0.5, 1, 2]))  # noqa: E731

    def expression(names: list[str], calls: list[str]) -> str:
        left, right = draw(st.sampled_from(names)), draw(st.sampled_from([*names, "2", "0.5"]))
        core = f"{left} {pick('+', '-', '*')} {right}"
        kind = pick("plain", "tanh", "both", "power", *(["call"] if calls else []))
        if kind == "call":
            return f"{draw(st.sampled_from(calls))}({core}) + {left}"
        return {
            "plain": core,
            "tanh": f"tanh({core})",
            "both": f"sin({core}) * ({core})",
            "power": f"tanh({core}) ** 2",
        }[kind]

    subgraphs: dict[str, Any] = {}
    for index in range(draw(st.integers(0, 3))):
        earlier = list(subgraphs)
        inputs = ["x", "u"][: draw(st.integers(1, 2))]
        leaves: dict[str, Any] = {"w": pick("$start", number(), {"value": number(), "lower": -5})}
        if draw(st.booleans()):
            leaves["v"] = {"shape": [], "init": {"type": pick("normal", "uniform")}}
        names = [*inputs, *leaves, "k"]
        nodes: dict[str, Any] = {}
        for position in range(draw(st.integers(1, 3))):
            name = f"n{position}"
            if earlier and draw(st.booleans()):
                used = draw(st.sampled_from(earlier))
                arity = len(subgraphs[used]["inputs"])
                nodes[name] = {"type": used, "inputs": [draw(st.sampled_from(names)) for _ in range(arity)]}
                if draw(st.booleans()):
                    nodes[name] |= {"repeat": pick(1, 2, "$times"), "share": draw(st.booleans())}
                if draw(st.booleans()):
                    nodes[name]["start"] = pick("$start", 0.75)
            else:
                single = [used for used in earlier if len(subgraphs[used]["inputs"]) == 1]
                nodes[name] = expression([*names, "$start"], single)
            names.append(name)
        subgraphs[f"s{index}"] = {
            "inputs": inputs,
            "settings": {"start": 0.5, "times": 2},
            "parameters": leaves,
            "constants": {"k": pick(0.25, "$start")},
            "nodes": nodes,
            "output": draw(st.sampled_from([*nodes, *nodes, "x", "w"])),
        }
    names = ["a", "b"]
    nodes = {}
    for position in range(draw(st.integers(1, 5))):
        name = f"m{position}"
        if subgraphs and draw(st.booleans()):
            used = draw(st.sampled_from(list(subgraphs)))
            arity = len(subgraphs[used]["inputs"])
            nodes[name] = {"type": used, "inputs": [draw(st.sampled_from([*names, 0.5])) for _ in range(arity)]}
            nodes[name] |= draw(st.sampled_from([{}, {"repeat": 3}, {"repeat": 3, "share": True}, {"start": 0.125}]))
            shared = nodes[name].get("share") or "repeat" not in nodes[name]
            names.append(f"{name}.w" if shared else f"{name}.2.w")
        else:
            nodes[name] = expression(names, [used for used in subgraphs if len(subgraphs[used]["inputs"]) == 1])
        names.append(name)
    nodes["f"] = " + ".join(f"tanh({name})" for name in names)
    file = {
        "parameters": {"a": number(), "b": {"value": number(), "upper": 3}},
        "subgraphs": subgraphs,
        "nodes": nodes,
        pick("maximize", "minimize"): "f",
        "update": {"type": "sgd", "step_size": 0.1},
        "steps": 3,
        "seed": draw(st.integers(0, 3)),
    }
    return yaml.safe_dump(file, sort_keys=False)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(files())
def test_random_graphs_give_the_same_result(text: str) -> None:
    """Values, gradients, parameters and history are those of the original, bit for bit."""
    assert_round_trip(text)


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(Path(__file__).parents[2].glob("graphs/**/*.yaml")), ids=lambda path: path.name)
def test_graphs_of_the_repository(file: Path) -> None:
    """Each lesson and example."""
    original = load(file, registry=REGISTRY)
    shown = dump_document(original.document)
    # Beside the original, for a data set is named relative to its file.
    again = load_text(file.with_name("shown.yaml"), shown)
    assert dump_document(again.document) == shown
    assert_same(original.try_run(2), again.try_run(2))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its output is the file, overrides in place, and goes to stdout alone; a broken file prints nothing there."""
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {a: 1}\nnodes: {f: a * 2 + 1}\nmaximize: f\n")
    assert run_command(["show", str(file), "--set", "parameters.a=3", "--set", "steps=2"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert (
        out
        == """\
graphrun: 1
parameters:
  a: 3
nodes:
  f.1: {type: multiply, inputs: [a, 2]}
  f: {type: add, inputs: [f.1, 1]}
maximize: f
update: {type: sgd, step_size: 0.01}
steps: 2
dtype: float64
"""
    )
    file.write_text("nodes: {f: a +}\n")
    assert run_command(["show", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "the expression ends too early" in err
    assert run_command(["show", str(file), "--set", "step=2"]) == 2
    assert "did you mean 'steps'?" in capsys.readouterr().err
