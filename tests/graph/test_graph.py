"""Mistakes in the structure of a graph: each is told with its place and a way out, and all of them together."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import networkx as nx
import pytest

import graphrun
from graphrun.cli.entry import run_command

Load = Callable[[str], graphrun.Graph]


# Each: the file, with a mark before what is wrong; the message; the suggestion, or None.
MISTAKES: dict[str, tuple[str, str, str | None]] = {
    "unknown input": (
        "parameters: {weight: 1}\nnodes: {f: {type: exp, inputs: [^wieght]}}\n",
        "input 'wieght' is unknown",
        "did you mean 'weight'?",
    ),
    "unknown type": (
        "parameters: {x: 1}\nnodes: {f: {type: ^multply, inputs: [x, x]}}\n",
        "node type 'multply' is unknown",
        "did you mean 'multiply'?",
    ),
    "another library's name of a type": (
        "parameters: {x: 1}\nnodes: {f: {type: ^mul, inputs: [x, x]}}\n",
        "node type 'mul' is unknown",
        "it is called 'multiply' here",
    ),
    "unknown objective": (
        "parameters: {x: 1}\nnodes: {loss: {type: exp, inputs: [x]}}\nminimize: ^los\n",
        "objective 'los' is unknown",
        "did you mean 'loss'?",
    ),
    "unknown record": (
        "parameters: {x: 1}\nnodes: {loss: {type: exp, inputs: [x]}}\nminimize: loss\nrecord: [x, ^lss]\n",
        "name to record 'lss' is unknown",
        "did you mean 'loss'?",
    ),
    "unknown expected value": (
        "parameters: {weight: 1}\nexpect: {values: {^weigth: 1}}\n",
        "name 'weigth' is unknown",
        "did you mean 'weight'?",
    ),
    "unknown expected gradient": (
        "parameters: {weight: 1}\nminimize: weight\nexpect: [{gradients: {^weigth: 1}}]\n",
        "name 'weigth' is unknown",
        "did you mean 'weight'?",
    ),
    "unknown update rule": (
        "parameters: {x: 1}\nminimize: x\nupdate: {type: ^adan}\n",
        "update rule 'adan' is unknown",
        "did you mean 'adam'?",
    ),
    "unknown setting of the update rule": (
        "parameters: {x: 1}\nminimize: x\nupdate: {type: sgd, ^step: 0.1}\n",
        "sgd has no setting 'step'",
        None,
    ),
    "mistyped setting of the update rule": (
        "parameters: {x: 1}\nminimize: x\nupdate: {type: sgd, step_size: ^fast}\n",
        "'step_size' of sgd takes a number, not the text 'fast'",
        None,
    ),
    "unknown setting": (
        "parameters: {x: 1}\nnodes: {f: {type: leaky_relu, inputs: [x], ^slop: 0.1}}\n",
        "leaky_relu has no setting 'slop'",
        "did you mean 'slope'?",
    ),
    "setting of a type without any": (
        "parameters: {x: 1}\nnodes: {f: {type: exp, inputs: [x], ^base: 2}}\n",
        "exp has no setting 'base'",
        "it has no settings",
    ),
    "mistyped setting": (
        "parameters: {x: 1}\nnodes: {f: {type: leaky_relu, inputs: [x], slope: ^steep}}\n",
        "'slope' of leaky_relu takes a number, not the text 'steep'",
        None,
    ),
    "a quoted number for a setting": (
        "parameters: {x: 1}\nnodes: {f: {type: leaky_relu, inputs: [x], slope: ^'0.1'}}\n",
        "'slope' of leaky_relu takes a number, not the text '0.1'",
        None,
    ),
    "too few inputs": (
        "parameters: {x: 1}\nnodes: {f: {type: add, inputs: ^[x]}}\n",
        "add(x, y) takes 2 inputs, not 1",
        None,
    ),
    "too many inputs": (
        "parameters: {x: 1}\nnodes: {f: {type: exp, inputs: ^[x, x]}}\n",
        "exp(x) takes 1 input, not 2",
        None,
    ),
    "a name in two sections": (
        "parameters: {x: 1}\nconstants: {^x: 2}\n",
        "'x' is already the name of one of the parameters",
        None,
    ),
    "a node named like a constant": (
        "constants: {x: 1}\nnodes: {^x: {type: exp, inputs: [x]}}\n",
        "'x' is already the name of one of the constants",
        None,
    ),
    "a constant as objective": (
        "constants: {k: 1}\nparameters: {x: 1}\nminimize: ^k\n",
        "the objective is a node or a parameter, and 'k' is a constant: no step moves it",
        None,
    ),
    "a vector as objective": (
        "parameters: {x: [1, 2]}\nnodes: {f: {type: square, inputs: [x]}}\nminimize: ^f\n",
        "the objective is one number, and 'f' has the shape (2,)",
        "reduce it by a node of type sum or mean: {type: sum, inputs: [f]}",
    ),
    "a vector of one element as objective": (
        "parameters: {x: [1]}\nmaximize: ^x\n",
        "the objective is one number, and 'x' has the shape (1,)",
        "reduce it by a node of type sum or mean: {type: sum, inputs: [x]}",
    ),
    "a node that reads itself": (
        "parameters: {x: 1}\nnodes: {f: {type: add, inputs: [x, ^f]}}\n",
        "the inputs close a cycle: f → f",
        None,
    ),
    "a cycle": (
        "nodes:\n  a: {type: add, inputs: [1, ^c]}\n  b: {type: exp, inputs: [a]}\n  c: {type: exp, inputs: [b]}\n",
        "the inputs close a cycle: a → b → c → a",
        None,
    ),
    "setting without its name": (
        "parameters: {x: [1, 2]}\nnodes:\n  f: ^sum(x, 0)\n",
        "sum(x, axis=None, keepdims=False) takes 1 input, not 2",
        "settings are given by name, as in axis=0",
    ),
    "initializer's other name": (
        "parameters: {W: {shape: [2], init: {type: ^xavier}}}\nnodes: {f: sum(W)}\n",
        "initializer 'xavier' is unknown",
        "it is called 'glorot_uniform' here",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place(mistake: str, load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """File, line, column, the message, the line with a caret, and what to write instead; nothing goes to stdout."""
    marked, message, suggestion = MISTAKES[mistake]
    before, _, after = marked.partition("^")
    lines = before.split("\n")
    row, column = len(lines), len(lines[-1]) + 1
    with pytest.raises(graphrun.GraphrunError) as caught:
        load(before + after).run()
    shown = str(caught.value).splitlines()
    line = (before + after).splitlines()[row - 1]
    assert shown[0] == f"graph.yaml:{row}:{column}: {message}"
    assert shown[1].endswith(line)
    assert shown[2].index("^") == len(shown[1]) - len(line) + column - 1
    if suggestion is not None:
        assert shown[3].strip() == suggestion
    assert sum(line.startswith("graph.yaml:") for line in shown) == 1
    assert run_command(["graph.yaml"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{caught.value}\n")


def test_all_mistakes_are_told_together(load: Load) -> None:
    """One broken node hides no other mistake: a file with eleven of them gives eleven messages, in the file's order."""
    text = """\
paramters: {q: 1}
parameters: {a: 1}
constants: {a: 3, k: 1}
nodes:
  c1: {type: add, inputs: [c2, a]}
  c2: {type: add, inputs: [c1, a]}
  e: {type: exp, inputs: [e]}
  g: {type: ad, inputs: [a, nope]}
  h: {type: add, inputs: [a]}
  i: {type: leaky_relu, inputs: [a], slop: 0.1, slope: x}
maximize: k
update: {type: sgdd}
record: [a, lost]
"""
    with pytest.raises(graphrun.GraphFileError) as caught:
        load(text)
    places = re.findall(r"^graph\.yaml:(\d+):\d+: (.*)$", str(caught.value), re.MULTILINE)
    assert [int(line) for line, _ in places] == [1, 3, 5, 7, 8, 8, 9, 10, 10, 11, 12, 13]


def test_two_cycles_are_two_messages(load: Load) -> None:
    """Each knot of cycles is reported once, as the path that closes it; what hangs on it is no part of it."""
    text = """\
nodes:
  a: {type: exp, inputs: [b]}
  b: {type: exp, inputs: [a]}
  p: {type: add, inputs: [a, r]}
  q: {type: exp, inputs: [p]}
  r: {type: exp, inputs: [q]}
  z: {type: exp, inputs: [r]}
"""
    with pytest.raises(graphrun.GraphFileError) as caught:
        load(text)
    cycles = re.findall(r"close a cycle: (.*)$", str(caught.value), re.MULTILINE)
    assert cycles == ["a → b → a", "p → q → r → p"]


def test_a_long_cycle_is_found(load: Load) -> None:
    """A cycle of many nodes does not exceed any depth, and is shown without its middle."""
    nodes = "".join(f"  n{k}: {{type: exp, inputs: [n{(k + 1) % 5000}]}}\n" for k in range(5000))
    with pytest.raises(
        graphrun.GraphFileError, match=r"close a cycle: n0 → n4999 → .* → \(4989 more\) → .* → n1 → n0\n"
    ):
        load(f"nodes:\n{nodes}")


def test_a_constant_has_no_gradient_to_expect(load: Load) -> None:
    """Gradients are those of parameters and nodes; to expect a constant's is a mistake of the file."""
    text = (
        "parameters: {x: 2}\nconstants: {k: 3}\nnodes: {f: {type: multiply, inputs: [x, k]}}\nminimize: f\n"
        "expect: {gradients: {k: 2}}\n"
    )
    with pytest.raises(graphrun.GraphFileError, match="'k'"):
        load(text)


@pytest.mark.campaign
def test_a_chain_of_100000_nodes(load: Load) -> None:
    """Nothing recurs along a path."""
    nodes = "".join(f"  n{k}: {{type: negative, inputs: [n{k - 1}]}}\n" for k in range(1, 100_000))
    result = load(f"parameters: {{n0: 2}}\nnodes:\n{nodes}minimize: n99999\n").run(1)
    assert (result.history["n0"].tolist(), result.gradients["n0"]) == ([2, 2.01], -1)


def test_the_order_in_the_file_does_not_matter(load: Load) -> None:
    """Nodes may stand before their inputs; the values are those of the graph."""
    text = "parameters: {x: 2}\nminimize: f\nnodes:\n  f: {type: exp, inputs: [g]}\n  g: {type: square, inputs: [x]}\n"
    result = load(text).run(0)
    assert result.values["g"] == 4
    assert result.gradients["g"] == result.values["f"]


def test_nodes_that_are_ready_keep_the_order_of_the_file(load: Load) -> None:
    """Among nodes that do not wait for each other, the one that stands first comes first."""
    text = "parameters: {x: 2}\nnodes:\n" + "".join(
        f"  {name}: {{type: {kind}, inputs: [x]}}\n" for name, kind in [("z", "exp"), ("b", "sin"), ("y", "cos")]
    )
    structure = load(text).structure
    assert [structure.names[number] for number in structure.order] == ["z", "b", "y"]


@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "shuffled"])
@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_networkxs(load: Load, seed: int, shuffled: bool) -> None:
    """A file whose nodes stand below their inputs, and one whose nodes do not, are ordered as NetworkX has it."""
    drawn = random.Random(seed)  # noqa: S311 (a graph, no secret)
    inputs = {k: drawn.choices(["a", *(f"n{j}" for j in range(k))], k=2) for k in range(12)}
    numbers = drawn.sample(range(12), 12) if shuffled else range(12)
    lines = [f"  n{k}: {{type: add, inputs: [{', '.join(inputs[k])}]}}" for k in numbers]
    structure = load("\n".join(["parameters: {a: 1}", "nodes:", *lines, "maximize: n11"]) + "\n").structure
    place = {f"n{k}": position for position, k in enumerate(numbers)}
    drawing = structure.networkx()
    drawing.remove_node("a")
    expected = list(nx.lexicographical_topological_sort(drawing, key=place.__getitem__))
    assert [structure.names[number] for number in structure.order] == expected


def test_an_input_that_stands_twice_gives_twice(load: Load) -> None:
    """`multiply: [a, a]` is a squared, with derivative 2a; `subtract: [a, a]` has derivative 0."""
    text = "parameters: {a: 3}\nnodes: {f: {type: KIND, inputs: [a, a]}}\nminimize: f\n"
    assert load(text.replace("KIND", "multiply")).run(0).gradients["a"] == 6
    assert load(text.replace("KIND", "subtract")).run(0).gradients["a"] == 0


def test_inputs_keep_their_order(load: Load) -> None:
    """A minus b is not b minus a, whatever the order of the sections."""
    text = "parameters: {b: 2, a: 5}\nnodes: {f: {type: subtract, inputs: [a, b]}, g: {type: divide, inputs: [1, a]}}\n"
    assert load(text).run().values == {"f": 3, "g": 0.2}


@pytest.mark.parametrize("name", ["θ", "_", "x1", "step_size", "type", "nodes", "numpy", "print", "é", "n0", "v0"])
def test_names_may_be_any_identifier(load: Load, name: str) -> None:
    """Neither other alphabets nor words of the format or of Python's libraries are in the way."""
    text = f"parameters: {{{name}: 3}}\nnodes: {{f: {{type: square, inputs: [{name}]}}}}\nminimize: f\nsteps: 200\n"
    result = load(text).run()
    assert result.gradients[name] == 2 * result.parameters[name]


def test_the_graph_is_a_networkx_graph(load: Load) -> None:
    """The structure can be looked at with NetworkX, by names."""
    graph = load("parameters: {a: 3}\nnodes: {b: {type: multiply, inputs: [a, a]}, c: {type: exp, inputs: [b]}}\n")
    drawn = graph.structure.networkx()
    assert list(nx.topological_sort(drawn)) == ["a", "b", "c"]
    assert list(drawn.edges) == [("a", "b"), ("b", "c")]


def test_results_are_listed_as_the_file_lists_nodes(load: Load) -> None:
    """Engines compute batch by batch; a result has its values in the order of the file."""
    result = load("parameters: {a: 2}\nnodes: {z: sin(a) + 1, b: a ** 2, f: z * b}\nminimize: f\n").run(0)
    assert list(result.values) == ["z.1", "z", "b", "f"]
    assert list(result.gradients) == ["a", "z.1", "z", "b", "f"]
