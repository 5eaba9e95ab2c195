"""Subgraphs: what an instance becomes, and what is told about a definition or a use that is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graphrun.api import Graph
from graphrun.base.errors import GraphFileError
from graphrun.document import Document, Source, load_document
from graphrun.graph.build import build_graph
from graphrun.plugins.registry import Registry

REGISTRY = Registry()


def expanded(text: str) -> Document:
    """Return a document that has no problems."""
    document = load_document(Source("g.yaml", text))
    assert str(document.problems) == ""
    return document


def lines(text: str) -> list[str]:
    """Return the nodes that a file becomes as ``name = type(inputs, settings)``."""
    return [
        f"{name} = {entry.type}({', '.join([*map(str, entry.inputs), *(f'{k}={v}' for k, v in (entry.settings or {}).items())])})"  # noqa: E501
        for name, entry in expanded(text).nodes.items()
    ]


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests stand where no project names plugins, which messages about unknown types would tell of."""
    monkeypatch.chdir(tmp_path)


def errors(text: str) -> str:
    """Return the text of everything that is wrong with a file, its graph included."""
    with pytest.raises(GraphFileError) as caught:
        build_graph(load_document(Source("g.yaml", text)), REGISTRY)
    return str(caught.value)


def run(text: str) -> object:
    """Run a graph file without a step."""
    return Graph(build_graph(expanded(text), REGISTRY)).run(0)


LINEAR = """\
parameters: {a: 2, b: 3}
subgraphs:
  linear:
    inputs: [x]
    settings: {start: 0.5, kind: tanh}
    parameters: {w: $start, v: {value: 1, lower: 0}}
    constants: {k: 10}
    nodes:
      h: x * w + k
      y: {type: $kind, inputs: [h]}
    output: y
"""


def test_an_instance_has_dotted_names_and_its_output_is_its_own() -> None:
    """`f.w` and `f.k` are its leaves, `f.h` is a node inside, and `f` is its output."""
    document = expanded(
        LINEAR + "nodes:\n  f: {type: linear, inputs: [a], start: 4}\n  g: linear(f, kind='exp') + f.w\n"
    )
    assert {name: entry.value for name, entry in document.parameters.items()} == {
        "a": 2,
        "b": 3,
        "f.w": 4,
        "f.v": 1,
        "g.1.w": 0.5,
        "g.1.v": 1,
    }
    assert document.parameters["f.v"].lower == 0
    assert document.constants == {"f.k": 10, "g.1.k": 10}
    assert [(name, entry.type, entry.inputs) for name, entry in document.nodes.items()] == [
        ("f.h.1", "multiply", ("a", "f.w")),
        ("f.h", "add", ("f.h.1", "f.k")),
        ("f", "tanh", ("f.h",)),
        ("g.1.h.1", "multiply", ("f", "g.1.w")),
        ("g.1.h", "add", ("g.1.h.1", "g.1.k")),
        ("g.1", "exp", ("g.1.h",)),
        ("g", "add", ("g.1", "f.w")),
    ]


def test_repeat_chains_copies() -> None:
    """The output of each is the first input of the next; further inputs go to all; the last has the instance's name."""
    text = """\
parameters: {a: 1, c: 2}
subgraphs:
  s: {inputs: [x, u], parameters: {w: 3}, nodes: {y: x * w + u}, output: y}
nodes:
  f: {type: s, inputs: [a, c], repeat: 3}
"""
    assert lines(text) == [
        "f.1.y.1 = multiply(a, f.1.w)",
        "f.1 = add(f.1.y.1, c)",
        "f.2.y.1 = multiply(f.1, f.2.w)",
        "f.2 = add(f.2.y.1, c)",
        "f.3.y.1 = multiply(f.2, f.3.w)",
        "f = add(f.3.y.1, c)",
    ]
    assert list(expanded(text).parameters) == ["a", "c", "f.1.w", "f.2.w", "f.3.w"]
    assert lines(text.replace("repeat: 3", "repeat: 1"))[-1] == "f = add(f.y.1, c)"
    assert lines(text.replace("repeat: 3", "repeat: 3.0")) == lines(text)


def test_shared_copies_have_one_set_of_leaves() -> None:
    """Also those of instances inside: a recurrence has one set, however it is put together."""
    text = """\
parameters: {a: 1}
subgraphs:
  inner: {inputs: [x], parameters: {w: 3}, constants: {k: 1}, nodes: {y: x * w + k}, output: y}
  cell: {inputs: [h, x], parameters: {u: 2}, nodes: {g: inner(h), y: g * u + g.w * x}, output: y}
nodes:
  f: {type: cell, inputs: [0, a], repeat: 2, share: true}
  read: f.g.w + f.u
"""
    document = expanded(text)
    assert list(document.parameters) == ["a", "f.u", "f.g.w"]
    assert list(document.constants) == ["f.g.k"]
    assert lines(text) == [
        "f.1.g.y.1 = multiply(0, f.g.w)",
        "f.1.g = add(f.1.g.y.1, f.g.k)",
        "f.1.y.1 = multiply(f.1.g, f.u)",
        "f.1.y.2 = multiply(f.g.w, a)",
        "f.1 = add(f.1.y.1, f.1.y.2)",
        "f.2.g.y.1 = multiply(f.1, f.g.w)",
        "f.2.g = add(f.2.g.y.1, f.g.k)",
        "f.2.y.1 = multiply(f.2.g, f.u)",
        "f.2.y.2 = multiply(f.g.w, a)",
        "f = add(f.2.y.1, f.2.y.2)",
        "read = add(f.g.w, f.u)",
    ]


def test_a_repeated_instance_within_shared_copies() -> None:
    """Its own copies stay apart, and are those of all the shared ones."""
    text = """\
parameters: {a: 1}
subgraphs:
  inner: {inputs: [x], parameters: {w: 3}, nodes: {y: x * w}, output: y}
  cell: {inputs: [h], nodes: {g: {type: inner, inputs: [h], repeat: 2}, y: g + g.1 + g.1.w}, output: y}
nodes:
  f: {type: cell, inputs: [a], repeat: 2, share: true}
"""
    assert list(expanded(text).parameters) == ["a", "f.g.1.w", "f.g.2.w"]
    assert "f.2.y.1 = add(f.2.g, f.2.g.1)" in lines(text)
    assert "f = add(f.2.y.1, f.g.1.w)" in lines(text)


@pytest.mark.parametrize(
    ("output", "last"),
    [
        ("x", "f = identity(a)"),
        ("w", "f = identity(f.w)"),
        ("k", "f = identity(f.k)"),
        ("h", "f = multiply(a, f.w)"),
        ("g.w", "f = identity(f.g.w)"),
        ("g", "f = multiply(f.h, f.g.w)"),
    ],
)
def test_whatever_a_definition_has_can_be_its_output(output: str, last: str) -> None:
    """An input, a leaf, a node, an instance, and what is inside that one."""
    text = f"""\
parameters: {{a: 1}}
subgraphs:
  inner: {{inputs: [x], parameters: {{w: 3}}, nodes: {{y: x * w}}, output: y}}
  s: {{inputs: [x], parameters: {{w: 3}}, constants: {{k: 1}}, nodes: {{h: x * w, g: inner(h)}}, output: {output}}}
nodes: {{f: s(a)}}
"""
    assert last in lines(text)


def test_settings_stand_anywhere() -> None:
    """In shapes, values, bounds, settings, types, inputs, repeats, lists, and in defaults of later settings."""
    text = """\
parameters: {a: 1}
subgraphs:
  inner: {inputs: [x], settings: {k: 1}, nodes: {y: x * $k}, output: y}
  s:
    inputs: [x]
    settings: {n: null, m: $n, kind: elu, times: 2, power: 3, start: [1, $n]}
    parameters:
      W: {shape: [$n, $m], init: {type: normal, std: $power}}
      v: {value: $start, lower: $power}
    constants: {c: [[$n, 5]]}
    nodes:
      h: {type: $kind, inputs: [x], alpha: $power}
      i: {type: inner, inputs: [h], repeat: $times, k: $n}
      j: $kind(x ** $power + i, alpha=$power)
      y: {type: add, inputs: [j, $n]}
    output: y
nodes:
  f: {type: s, inputs: [a], n: 4, start: [7, 7]}
"""
    document = expanded(text)
    assert document.parameters["f.W"].shape == (4, 4)
    assert document.parameters["f.W"].init is not None
    assert document.parameters["f.W"].init.settings == {"std": 3}
    assert document.parameters["f.v"][:2] == ([7, 7], 3)
    assert document.constants == {"f.c": [[4, 5]]}
    assert lines(text) == [
        "f.h = elu(a, alpha=3)",
        "f.i.1 = multiply(f.h, 4)",
        "f.i = multiply(f.i.1, 4)",
        "f.j.1 = pow(a, 3)",
        "f.j.2 = add(f.j.1, f.i)",
        "f.j = elu(f.j.2, alpha=3)",
        "f = add(f.j, 4)",
    ]
    assert lines(text.replace("n: 4, ", "n: 4, m: 2, kind: tanh, times: 1, "))[0] == "f.h = tanh(a, alpha=3)"


def test_nothing_outside_is_seen(problems_of: Callable[[str], str]) -> None:
    """A name of the file is unknown inside, and the same name inside is another value."""
    text = LINEAR.replace("x * w + k", "x * w + a") + "nodes: {f: linear(b)}\n"
    assert problems_of(text).splitlines()[0] == "g.yaml:9:18: input 'a' is unknown"
    text = LINEAR.replace("constants: {k: 10}", "constants: {k: 10, a: 5}") + "nodes: {f: linear(a)}\n"
    assert "f.a" in expanded(text).constants


DEFINITION = """\
subgraphs:
  s:
    inputs: [x]
    settings: {n: 1}
    nodes: {y: x * 2}
    output: y
"""
WRONG_DEFINITIONS = [
    ("  s:\n", "  s: 5\n  t:\n", "g.yaml:2:6: a subgraph is a mapping, not the number 5"),
    ("inputs: [x]", "inputs: x", "g.yaml:3:13: 'inputs' of a subgraph is a list of names, not the text 'x'"),
    ("inputs: [x]", "inputs: [x, x]", "g.yaml:3:17: the name 'x' stands twice among the inputs"),
    ("inputs: [x]", "inputs: [x, 1y]", "g.yaml:3:17: '1y' cannot be a name"),
    ("inputs: [x]", "input: [x]", "g.yaml:3:5: unknown key 'input' of a subgraph"),
    ("output: y", "output: z", "g.yaml:6:13: output 'z' is unknown"),
    ("output: y", "output: 5", "g.yaml:6:13: 'output' is the name of a value, not the number 5"),
    ("    output: y\n", "", "g.yaml:2:3: the subgraph has no 'output'"),
    ("x * 2", "x * $m", "g.yaml:5:20: the subgraph 's' has no setting $m"),
    ("x * 2", "x * n", "g.yaml:5:20: input 'n' is unknown"),
    ("x * 2", "x *", "g.yaml:5:19: the expression ends too early"),
    ("x * 2}", "x * 2, x: 1 + 2}", "g.yaml:5:23: the name 'x' stands twice in the subgraph"),
    ("x * 2", "{type: add, inputs: [x, q]}", "g.yaml:5:40: input 'q' is unknown"),
    ("x * 2", "s(x)", "g.yaml:2:3: a subgraph cannot use itself: s → s"),
    ("n: 1", "repeat: 1", "g.yaml:4:16: 'repeat' cannot be a setting: it is a key of every instance"),
    ("n: 1", "n: $n", "g.yaml:4:19: the default of a setting can name settings before it, and '$n' is none"),
    ("n: 1", "a.b: 1", "g.yaml:4:16: 'a.b' cannot be a name"),
    ("  s:", "  s.t:", "g.yaml:2:3: 's.t' cannot be a name"),
    ("nodes:", "constants: {c: x}\n    nodes:", "g.yaml:5:20: a number or a nested list of numbers is needed here"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG_DEFINITIONS)
def test_mistakes_in_definitions(old: str, new: str, message: str, problems_of: Callable[[str], str]) -> None:
    """They are told once, whether the subgraph is used or not, and its uses cause no further problem."""
    text = DEFINITION.replace(old, new, 1)
    for used in ("", "parameters: {a: 1}\nnodes: {f: s(a), g: f + f.y}\n"):
        found = problems_of(text + used)
        assert found.startswith(message)
        assert found.count("g.yaml:") == 1


WRONG_USES = [
    ("s(a, a)", "g.yaml:7:17: s(x) takes 1 input, not 2"),
    ("s()", "g.yaml:7:17: s(x) takes 1 input, not 0"),
    ("s(a, m=1)", "g.yaml:7:17: the subgraph 's' has no setting 'm'"),
    ("{type: s, inputs: [a], m: 1}", "g.yaml:7:39: the subgraph 's' has no setting 'm'"),
    ("{type: s, inputs: [a], repeat: 0}", "g.yaml:7:47: 'repeat' is a whole number, 1 or more, not the number 0"),
    ("{type: s, inputs: [a], repeat: -1}", "g.yaml:7:47: 'repeat' is a whole number, 1 or more, not the number -1"),
    ("{type: s, inputs: [a], repeat: 1.5}", "g.yaml:7:47: 'repeat' is a whole number, 1 or more, not the number 1.5"),
    ("{type: s, inputs: [a], repeat: true}", "g.yaml:7:47: 'repeat' is a whole number, 1 or more, not true"),
    ("{type: s, inputs: [a], share: 1}", "g.yaml:7:46: 'share' is true or false, not the number 1"),
    ("{type: s, inputs: [b]}", "g.yaml:7:35: input 'b' is unknown"),
    ("s(b)", "g.yaml:7:18: input 'b' is unknown"),
    ("s(x)", "g.yaml:7:18: input 'x' is unknown"),
    ("{type: S, inputs: [a]}", "g.yaml:7:23: node type 'S' is unknown"),
]


@pytest.mark.parametrize(("use", "message"), WRONG_USES)
def test_mistakes_in_uses(use: str, message: str) -> None:
    """They stand at the use."""
    found = errors(f"{DEFINITION}nodes: {{a: 1 + 1, f: {use!r}, g: f + 1}}\n".replace("'{", "{").replace("}'", "}"))
    place, _, words = message.partition(": ")
    line = found.splitlines()[0]
    assert line.split(": ", 1)[1].startswith(words)
    assert place.split(":")[1] == line.split(":")[1]
    assert found.count("g.yaml:") == 1


def test_a_required_setting_that_is_missing() -> None:
    """Null in place of a default says that the setting must be given, and null is no value."""
    text = (
        DEFINITION.replace("n: 1", "n: null")
        + "parameters: {a: 1}\nnodes:\n  f: s(a)\n  g: {type: s, inputs: [a], n: }\n"
    )
    assert [line for line in errors(text).splitlines() if line.startswith("g.yaml")] == [
        "g.yaml:9:6: the subgraph 's' needs the setting 'n'",
        "g.yaml:10:3: the subgraph 's' needs the setting 'n'",
    ]


@pytest.mark.parametrize(
    ("inside", "problem"),
    [
        ("{y: foo(x)}", "g.yaml:2:31: node type 'foo' is unknown"),
        ("{y: 'leaky_relu(x, slop=1)'}", "g.yaml:2:32: leaky_relu has no setting 'slop'"),
        ("{y: {type: add, inputs: [x]}}", "g.yaml:2:51: add(x, y) takes 2 inputs, not 1"),
        ("{y: z + x, z: x * y}", "g.yaml:2:31: the inputs close a cycle: f → f.z → f"),
        ("{y: x * $n}", "g.yaml:2:35: the setting '$n' is an input here: it is a number, not the text 'x'"),
        ("{y: x + $l}", "g.yaml:2:35: the setting '$l' is an input here: it is a number, not a list"),
        ("{y: $l(x)}", "g.yaml:2:31: a node type is a name, and '$l' is a list"),
        ("{h: t(x), y: h.q + x}", "g.yaml:2:40: 'h.q' is unknown"),
        ("{h: t(x), y: h.w + x + h.y}", "g.yaml:2:50: 'h.y' is unknown"),
        ("{h: x * 2, y: h.q + x}", "g.yaml:2:41: 'h.q' is unknown"),
        ("{y: 't(x, k=1)'}", "g.yaml:2:32: the subgraph 't' has no setting 'k'"),
    ],
)
def test_errors_inside_show_both_places(inside: str, problem: str) -> None:
    """The definition, and each use that leads to it."""
    text = f"""\
subgraphs:
  s: {{inputs: [x], nodes: {inside}, output: y, settings: {{n: x, l: [1]}}}}
  t: {{inputs: [x], parameters: {{w: 1}}, nodes: {{y: x * w}}, output: y}}
  shell: {{inputs: [x], nodes: {{y: s(x)}}, output: y}}
parameters: {{a: 1}}
nodes:
  f: s(a)
  g: {{type: shell, inputs: [a]}}
"""
    found = errors(text).split("\ng.yaml")
    first = found[0].splitlines()
    place, words = problem.split(": ", 1)
    assert first[0].split(": ", 1)[1].startswith(words.replace("f.z", "f.z"))
    assert first[0].split(":")[1] == place.split(":")[1]
    assert first[-1] == "  in the subgraph 's', used at g.yaml:7:3"
    assert len(found) <= 2


def test_a_use_within_a_use() -> None:
    """The innermost comes first."""
    text = """\
subgraphs:
  s: {inputs: [x], nodes: {y: foo(x)}, output: y}
  shell: {inputs: [x], nodes: {y: s(x)}, output: y}
parameters: {a: 1}
nodes:
  g: {type: shell, inputs: [a], repeat: 1000}
"""
    assert (
        errors(text)
        == """\
g.yaml:2:31: node type 'foo' is unknown
    s: {inputs: [x], nodes: {y: foo(x)}, output: y}
                                ^
  did you mean 'floor'?
  in the subgraph 's', used at g.yaml:3:32
  in the subgraph 'shell', used at g.yaml:6:3"""
    )


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("{shape: [2], init: {type: normla}}", "initializer 'normla' is unknown"),
        ("{shape: [2], init: {type: normal, sdt: 1}}", "normal has no setting 'sdt'"),
        ("{shape: [$n], init: {type: normal}}", "'shape' is a list of whole numbers, 0 or more"),
        ("{value: $n}", "a number or a nested list of numbers is needed here, not the text 'x'"),
    ],
)
def test_errors_of_parameters_inside_show_both_places(parameter: str, message: str) -> None:
    """A parameter of an instance stands in the definition."""
    text = f"""\
subgraphs:
  s: {{inputs: [x], settings: {{n: x}}, parameters: {{w: {parameter}}}, nodes: {{y: x * w}}, output: y}}
parameters: {{a: 1}}
nodes: {{f: s(a), g: f + 1}}
"""
    found = errors(text).splitlines()
    assert found[0].startswith("g.yaml:2:")
    assert found[0].endswith(message)
    assert found[-1] == "  in the subgraph 's', used at g.yaml:4:9"


def test_shape_errors_inside_show_both_places() -> None:
    """They are found when values are known, and stand in the definition all the same."""
    text = """\
subgraphs:
  s: {inputs: [x], nodes: {y: x @ x}, output: y}
parameters: {a: [1, 2, 3], b: [[1, 2, 3]]}
nodes: {f: s(a), g: s(b)}
"""
    from graphrun.base.errors import ShapeError

    with pytest.raises(ShapeError) as caught:
        run(text)
    found = str(caught.value).splitlines()
    assert found[0].startswith("g.yaml:2:")
    assert found[-1] == "  in the subgraph 's', used at g.yaml:4:18"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "parameters: {a: 1, f.w: 3}\nnodes: {f: s(a)}\n",
            "g.yaml:2:20: the name 'f.w' stands twice: an instance of 's' makes it too",
        ),
        (
            "parameters: {a: 1}\nconstants: {f.w: 3}\nnodes: {f: s(a)}\n",
            "g.yaml:3:13: the name 'f.w' stands twice: an instance of 's' makes it too",
        ),
        (
            "parameters: {a: 1}\nnodes: {f: s(a), f.h: a + 1}\n",
            "g.yaml:3:23: the name 'f.h' stands twice: an instance of a subgraph makes it too",
        ),
        (
            "parameters: {a: 1}\nnodes: {f.h: a + 1, f: s(a)}\n",
            "g.yaml:3:14: the name 'f.h' stands twice: an instance of a subgraph makes it too",
        ),
    ],
)
def test_names_of_instances_that_are_taken(text: str, message: str) -> None:
    """Nothing takes the place of anything in silence."""
    definition = "subgraphs: {s: {inputs: [x], parameters: {w: 1}, nodes: {h: x * w, y: h + 1}, output: y}}\n"
    assert errors(definition + text).startswith(message)


def test_a_subgraph_cannot_have_the_name_of_a_type() -> None:
    """Else it would be taken for the operator in every expression."""
    text = "subgraphs: {add: {inputs: [x], nodes: {y: x * 2}, output: y}}\nparameters: {a: 1}\nnodes: {f: add(a)}\n"
    assert errors(text).startswith("g.yaml:1:13: the subgraph 'add' has the name of a node type")


START = "parameters: {a: 1}\n"
LAUGH = (
    "subgraphs:\n  s0: {inputs: [x], nodes: {y: x + 1}, output: y}\n"
    + "".join(
        f"  s{i}: {{inputs: [x], nodes: {{y: {{type: s{i - 1}, inputs: [x], repeat: TIMES}}}}, output: y}}\n"
        for i in range(1, 11)
    )
    + START
    + "nodes: {f: s10(a)}\n"
)
VARIANTS = (
    "subgraphs:\n"
    f"  w: {{inputs: [x], settings: {{{', '.join(f'k{i}: 1' for i in range(40))}}}, "
    "nodes: {y: {type: v, inputs: [x], repeat: $k0}}, output: y}\n"
    "  v: {inputs: [x], nodes: {y: x + 1}, output: y}\n"
    + "".join(
        f"  s{level}: {{inputs: [x], settings: {{{', '.join(f'k{i}: 1' for i in range(40))}}}, nodes: {{"
        + ", ".join(
            f"y{way}: {{type: {f's{level - 1}' if level else 'w'}, inputs: [x], "
            + ", ".join(f"k{i}: {way if i == level else f'$k{i}'}" for i in range(40))
            + "}"
            for way in (1, 2)
        )
        + "}, output: y1}\n"
        for level in range(40)
    )
    + START
    + "nodes: {f: s39(a)}\n"
)
HOSTILE = {
    "ten levels of a thousand copies": (LAUGH.replace("TIMES", "1000"), "the graph would have 1,000,000,000 nodes"),
    "numbers of copies of 900 digits": (
        LAUGH.replace("TIMES", "1" + "0" * 900),
        "the graph would have more than 1,000,000 nodes",
    ),
    "one copy too many": (
        START
        + "subgraphs: {s: {inputs: [x], nodes: {y: x + 1}, output: y}}\n"
        + "nodes: {f: {type: s, inputs: [a], repeat: 1e6}, g: a + 1}\n",
        "the graph would have 1,000,001 nodes: at most 1,000,000 are possible",
    ),
    "leaves": (
        START
        + "subgraphs: {s: {inputs: [x], constants: {"
        + ", ".join(f"c{i}: 1" for i in range(1000))
        + "}, nodes: {y: x + 1}, output: y}}\nnodes: {f: {type: s, inputs: [a], repeat: 1000000}}\n",
        "the graph would have 1,000,000,000 parameters and constants",
    ),
    "each copy different": (VARIANTS, "the graph would have"),
    "itself, named by a setting": (
        START + "subgraphs: {s: {inputs: [x], settings: {t: null}, "
        "nodes: {y: {type: $t, inputs: [x], t: $t}}, output: y}}\nnodes: {f: {type: s, inputs: [a], t: s}}\n",
        "subgraphs are nested deeper than 64 levels: s → s → s → s → s → s → ...",
    ),
    "three thousand levels": (
        START
        + "subgraphs:\n  s0: {inputs: [x], nodes: {y: x + 1}, output: y}\n"
        + "".join(f"  s{i}: {{inputs: [x], nodes: {{y: s{i - 1}(x)}}, output: y}}\n" for i in range(1, 3000))
        + "nodes: {f: s2999(a)}\n",
        "subgraphs are nested deeper than 64 levels",
    ),
    "a circle of a thousand": (
        START
        + "subgraphs:\n"
        + "".join(f"  s{i}: {{inputs: [x], nodes: {{y: s{(i + 1) % 1000}(x)}}, output: y}}\n" for i in range(1000))
        + "nodes: {f: s2(a)}\n",
        "a subgraph cannot use itself: s0 → s1 → s2",
    ),
    "settings that double": (
        START
        + "subgraphs:\n  s0: {inputs: [x], settings: {v: 1}, parameters: {p: {value: $v}}, nodes: {y: x}, output: y}\n"
        + "".join(
            f"  s{i}: {{inputs: [x], settings: {{v: 1}}, nodes: {{y: {{type: s{i - 1}, inputs: [x], v: [$v, $v]}}}}, "
            "output: y}\n"
            for i in range(1, 50)
        )
        + "nodes: {f: {type: s49, inputs: [a], v: 1}}\n",
        "the settings multiply this to more than 1,000,000 values",
    ),
    "defaults that double": (
        START
        + "subgraphs:\n  s: {inputs: [x], settings: {v0: 1, "
        + ", ".join(f"v{i}: [$v{i - 1}, $v{i - 1}]" for i in range(1, 60))
        + "}, nodes: {y: x}, output: y}\nnodes: {f: s(a)}\n",
        "the settings multiply this to more than 1,000,000 values",
    ),
    "a leaf that doubles": (
        START
        + "subgraphs:\n  s: {inputs: [x], settings: {v0: 1, "
        + ", ".join(f"v{i}: [$v{i - 1}, $v{i - 1}]" for i in range(1, 18))
        + f"}}, constants: {{c: [{', '.join(['$v17'] * 50)}]}}, nodes: {{y: x}}, output: y}}\nnodes: {{f: s(a)}}\n",
        "the settings multiply this to more than 1,000,000 values",
    ),
    "a problem in each of a million copies": (
        START + "subgraphs: {t: {inputs: [x], settings: {k: null}, nodes: {y: x * $k}, output: y}, "
        "s: {inputs: [x], nodes: {y: t(x)}, output: y}}\nnodes: {f: {type: s, inputs: [a], repeat: 1000000}}\n",
        "the subgraph 't' needs the setting 'k'",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.campaign] * (name == "three thousand levels")) for name in HOSTILE],
)
def test_hostile_subgraphs_are_refused_quickly(name: str, problems_of: Callable[[str], str]) -> None:
    """What a graph would have is counted before anything is made."""
    text, message = HOSTILE[name]
    start = time.process_time()
    found = problems_of(text)
    assert time.process_time() - start < 3
    assert found.splitlines()[0].split(": ", 1)[1].startswith(message)
    assert len(found) < 10_000


@pytest.mark.campaign
def test_an_unknown_type_in_each_of_many_copies() -> None:
    """It is told once, and the nearest name is looked for once."""
    text = (
        START
        + "subgraphs: {s: {inputs: [x], nodes: {y: foo(x)}, output: y}}\n"
        + "nodes: {f: {type: s, inputs: [a], repeat: 30000}}\n"
    )
    start = time.process_time()
    assert errors(text).count("\n") == 4
    assert time.process_time() - start < 5


@pytest.mark.campaign
def test_within_the_limits() -> None:
    """64 levels are possible, and a million copies of what is shared make no million leaves."""
    text = (
        START
        + "subgraphs:\n  s0: {inputs: [x], nodes: {y: x + 1}, output: y}\n"
        + "".join(f"  s{i}: {{inputs: [x], nodes: {{y: s{i - 1}(x)}}, output: y}}\n" for i in range(1, 64))
        + "nodes: {f: s63(a)}\n"
    )
    assert lines(text) == ["f = add(a, 1)"]
    leaves = ", ".join(f"c{i}: 1" for i in range(200))
    text = START + (
        f"subgraphs: {{s: {{inputs: [x], constants: {{{leaves}}}, nodes: {{y: x + 1}}, output: y}}}}\n"
        "nodes: {f: {type: s, inputs: [a], repeat: 60000, share: true}}\n"
    )
    assert len(expanded(text).nodes) == 60_000
