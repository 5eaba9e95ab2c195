"""``--set PATH=VALUE``: what is changed, and what is told about a path or a value that is wrong."""

from __future__ import annotations

import time
from typing import Any

import pytest

from graphrun.base.errors import GraphFileError, UsageError
from graphrun.document import Source, load_document
from graphrun.document.dump import dump_document

FILE = """\
description: every section
include: []
parameters: {a: {value: 5, lower: 0}, b: 3, W: [[1, 2], [3, 4]], ﬁ: 2, R: {shape: [2], init: {type: normal}}}
constants: {k: 1}
subgraphs:
  s:
    inputs: [x]
    settings: {n: 1}
    parameters: {w: 2}
    nodes: {y: x * w * $n}
    output: y
nodes:
  d: {type: add, inputs: [a, b]}
  e: {type: leaky_relu, inputs: [d], slope: 0.5}
  g: {type: s, inputs: [e]}
  f: g * k
maximize: f
update: {type: adam, step_size: 0.1}
steps: 3
stop: {change: 1}
record: [f, d]
seed: 7
dtype: float64
expect:
- {at: 0, values: {f: 1}}
"""


def changed(*overrides: str, file: str = FILE) -> dict[str, Any]:
    """Return the lines by which the shown graph differs, without and with the overrides."""
    before = dump_document(load_document(Source("g.yaml", file))).splitlines()
    document = load_document(Source("g.yaml", file), overrides)
    assert str(document.problems) == ""
    after = dump_document(document).splitlines()
    return {
        "-": [line.strip() for line in before if line not in after],
        "+": [s.strip() for s in after if s not in before],
    }


@pytest.mark.parametrize(
    ("override", "after"),
    [
        ("description=other # words", ["description: other"]),
        ("parameters.b=-1e-3", ["b: -0.001"]),
        ("parameters.b=[1, 2]", ["b: [1, 2]"]),
        ("parameters.b.lower=1", ["b: {value: 3, lower: 1}"]),
        ("parameters.a=7", ["a: {value: 7, lower: 0}"]),
        ("parameters.a.value=7", ["a: {value: 7, lower: 0}"]),
        ("parameters.a={value: 7}", ["a: 7"]),
        ("parameters.W.1.0=9", ["W: [[1, 2], [9, 4]]"]),
        ("parameters.W.-1=[5, 6]", ["W: [[1, 2], [5, 6]]"]),
        ("parameters.fi=9", ["fi: 9"]),
        ("parameters.ﬁ=9", ["fi: 9"]),
        ("parameters.R.shape.0=3", ["R: {shape: [3], init: {type: normal}}"]),
        ("parameters.R.init.std=3", ["R: {shape: [2], init: {type: normal, std: 3}}"]),
        ("parameters.R=[1, 2]", ["R: [1, 2]"]),
        ("constants.k=2", ["k: 2"]),
        ("subgraphs.s.settings.n=3", ["g: {type: multiply, inputs: [g.y.1, 3]}"]),
        ("subgraphs.s.parameters.w.lower=0", ["g.w: {value: 2, lower: 0}"]),
        ("subgraphs.s.nodes.y=x + w", ["g: {type: add, inputs: [e, g.w]}"]),
        ("nodes.d.type=subtract", ["d: {type: subtract, inputs: [a, b]}"]),
        ("nodes.d.inputs.1=2", ["d: {type: add, inputs: [a, 2]}"]),
        ("nodes.d=a * b", ["d: {type: multiply, inputs: [a, b]}"]),
        ("nodes.e.slope=0.1", ["e: {type: leaky_relu, inputs: [d], slope: 0.1}"]),
        ("nodes.g.n=4", ["g: {type: multiply, inputs: [g.y.1, 4]}"]),
        ("maximize=d", ["maximize: d"]),
        ("minimize=d", ["minimize: d"]),
        ("update.step_size=1", ["update: {type: adam, step_size: 1}"]),
        ("update.beta1=0.5", ["update: {type: adam, step_size: 0.1, beta1: 0.5}"]),
        ("update={type: sgd}", ["update: {type: sgd}"]),
        ("steps=1e3", ["steps: 1000"]),
        ("stop.patience=3", ["stop: {change: 1.0, patience: 3}"]),
        ("record=[d]", ["record: [d]"]),
        ("record.1=e", ["record: [f, e]"]),
        ("seed=8", ["seed: 8"]),
        ("dtype=float32", ["dtype: float32"]),
        ("expect.0.at=2", ["- {at: 2, values: {f: 1}}"]),
        ("expect.0.values.d=2", ["- {at: 0, values: {f: 1, d: 2}}"]),
        ("expect=[]", []),
    ],
)
def test_every_key_can_be_set(override: str, after: list[str]) -> None:
    """The value is YAML, and a short form becomes a long one where that is needed; bounds of a parameter stay."""
    assert changed(override)["+"] == after


def test_several_at_once() -> None:
    """They are applied in order, so that the last one of two counts."""
    found = changed("parameters.b=1", "steps=4", "parameters.b=2", "minimize=d", "maximize=e")
    assert found["+"] == ["b: 2", "maximize: e", "steps: 4"]
    assert changed("nodes.d.type=subtract", "nodes.d=a / b")["+"] == ["d: {type: divide, inputs: [a, b]}"]
    assert changed("nodes.d=a / b", "parameters.b={}", "parameters.b.value=2")["+"] == [
        "b: 2",
        "d: {type: divide, inputs: [a, b]}",
    ]


def test_keys_are_taken_away() -> None:
    """Of a mapping, a list, a section; what is not there is told with the nearest."""
    found = changed("~parameters.a.lower", "~seed", "~record.0", "~expect", "~nodes.e.slope", "~update.step_size")
    assert found["+"] == ["a: 5", "e: {type: leaky_relu, inputs: [d]}", "update: {type: adam}", "record: [d]"]
    assert found["-"][-1] == "- {at: 0, values: {f: 1}}"
    assert "seed: 7" in found["-"]
    assert changed(
        "~parameters.R.init.std", "parameters.R.init.std=2", file=FILE.replace("normal}", "normal, std: 1}")
    )["+"] == ["R: {shape: [2], init: {type: normal, std: 2}}"]


def test_an_initializer_may_be_a_name() -> None:
    """A setting makes a mapping of it."""
    text = "parameters: {w: {shape: [2], init: normal}}\nnodes: {f: sum(w)}\n"
    assert changed("parameters.w.init.std=3", file=text) == {
        "-": ["w: {shape: [2], init: {type: normal}}"],
        "+": ["w: {shape: [2], init: {type: normal, std: 3}}"],
    }
    assert changed("parameters.w.init=zeros", file=text)["+"] == ["w: {shape: [2], init: {type: zeros}}"]


def test_keys_that_the_file_does_not_have() -> None:
    """The format's own keys can be set all the same."""
    bare = "parameters: {a: 1}\nnodes: {f: a * 2}\nstop:\n"
    found = changed("update.step_size=1", "steps=2", "stop.change=0", "seed=1", "maximize=f", file=bare)
    assert found["+"] == [
        "maximize: f",
        "update: {type: sgd, step_size: 1}",
        "steps: 2",
        "stop: {change: 0.0}",
        "seed: 1",
    ]


@pytest.mark.parametrize(
    ("override", "after"),
    [
        ("stop.holdout.patience=3", "stop: {holdout: {patience: 3}}"),
        ("data.holdout.share=0.5", "holdout: 0.5"),
        ("data.holdout.stratify=c", "holdout: {share: 0.2, stratify: c}"),
        ("data.columns.a.missing=mean", "a: {column: x, missing: mean}"),
        ("data.columns.b.standardize=true", "b: {columns: [x, y], standardize: true}"),
        ("data.columns.b.1=z", "b: [x, z]"),
        ("data.columns.c.categories=auto", "c: {column: z, categories: auto}"),
    ],
)
def test_short_forms_of_data_and_of_what_stops_a_run(override: str, after: str) -> None:
    """A share, a header and a list of them stand for mappings, and take the keys of those."""
    text = "data: {file: d.csv, columns: {a: x, b: [x, y], c: {column: z}}, holdout: 0.2}\nnodes: {f: sum(a)}\n"
    assert changed(override, file=text)["+"] == [after]
    bare = "data: {file: d.csv, columns: {a: x, b: [x, y], c: {column: z}}}\nnodes: {f: sum(a)}\n"
    assert "holdout: 0.3" in changed("data.holdout.share=0.3", file=bare)["+"]


@pytest.mark.parametrize("key", ["name", "maximize", "patience"])
def test_keys_of_the_rule_of_held_back_rows(key: str) -> None:
    """Those that the file does not have can be set; what is no key is told with those that are."""
    text = "data: {file: d.csv, holdout: 0.2, columns: {x: x}}\nnodes: {f: sum(x)}\nstop: {holdout: {patience: 3}}\n"
    value = {"name": "f", "maximize": "true", "patience": "9"}[key]
    assert f"{key}: {value}" in changed(f"stop.holdout.{key}={value}", file=text)["+"][-1]
    with pytest.raises(UsageError, match=f"did you mean 'stop.holdout.{key}'"):
        changed(f"stop.holdout.{key}x={value}", file=text)


def test_names_with_dots() -> None:
    """The names of an expanded graph are found, the longest first."""
    text = "parameters: {h.W: 1, h: 2}\nnodes: {f.1: h.W * 2, f.1.x: {type: add, inputs: [h, 1]}}\n"
    assert changed("parameters.h.W=3", file=text)["+"] == ["h.W: 3"]
    assert changed("parameters.h.W.lower=0", file=text)["+"] == ["h.W: {value: 1, lower: 0}"]
    assert changed("nodes.f.1.x.type=subtract", file=text)["+"] == ["f.1.x: {type: subtract, inputs: [h, 1]}"]


def test_an_alias_of_what_is_set_keeps_its_value() -> None:
    """Only the path that is named changes."""
    text = "nodes: {f: &f {type: add, inputs: &i [a, 1]}, g: *f, h: {<<: *f}, k: {type: add, inputs: *i}}\n"
    text += "parameters: {a: 1}\n"
    assert changed("nodes.f.inputs.1=7", file=text) == {
        "-": ["f: {type: add, inputs: [a, 1]}"],
        "+": ["f: {type: add, inputs: [a, 7]}"],
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("parameters.b", "write PATH=VALUE, as in --set update.step_size=0.1"),
        ("=3", "write PATH=VALUE, as in --set update.step_size=0.1"),
        ("", "write PATH=VALUE, as in --set update.step_size=0.1"),
        ("~", "the file has no ''"),
        ("~sed", "the file has no 'sed'; did you mean 'seed'?"),
        ("~seed=3", "the file has no '~seed'; did you mean 'seed'?"),
        ("~stop.patience", "the file has no 'stop.patience'"),
        ("~update.beta1", "the file has no 'update.beta1'"),
        ("~data.batch_size", "the file has no 'data.batch_size'"),
        ("~record.2", "record is a list of 2: write a position from 0"),
        ("~steps.x", "steps has no keys"),
        ("step=3", "the file has no 'step'; did you mean 'steps'?"),
        ("step_size=3", "the file has no 'step_size'; did you mean 'update.step_size'?"),
        ("lr=3", "the file has no 'lr'; did you mean 'update.step_size'?"),
        ("slope=3", "the file has no 'slope'; did you mean 'nodes.e.slope'?"),
        ("parameter.a=3", "the file has no 'parameter'; did you mean 'parameters.a'?"),
        ("params.a.value=3", "the file has no 'params'; did you mean 'parameters.a.value'?"),
        ("parameters.w=3", "the file has no 'parameters.w'; did you mean 'subgraphs.s.parameters.w'?"),
        ("parameters.a.lwoer=3", "the file has no 'parameters.a.lwoer'; did you mean 'parameters.a.lower'?"),
        ("parameters.zzz=3", "the file has no 'parameters.zzz'"),
        ("parameters.=3", "the file has no 'parameters.'"),
        ("parameters..a=3", "the file has no 'parameters.'"),
        (".=3", "the file has no ''"),
        ("constants.c=3", "the file has no 'constants.c'; did you mean 'constants.k'?"),
        (
            "nodes.x.type=add",
            "the file has no 'nodes.x'; did you mean 'nodes.d.type', 'nodes.e.type' or 'nodes.g.type'?",
        ),
        ("stop.patince=3", "the file has no 'stop.patince'; did you mean 'stop.patience'?"),
        ("subgraphs.t.output=y", "the file has no 'subgraphs.t'; did you mean 'subgraphs.s.output'?"),
        ("subgraphs.s.outptu=y", "the file has no 'subgraphs.s.outptu'; did you mean 'subgraphs.s.output'?"),
        ("nodes.f.type=add", "nodes.f has no keys; set nodes.f as a whole"),
        ("steps.x=1", "steps has no keys"),
        ("record.2=d", "record is a list of 2: write a position from 0"),
        ("record.--1=d", "record is a list of 2: write a position from 0"),
        ("record.x=d", "record is a list of 2: write a position from 0"),
        ("record." + "9" * 5000 + "=d", "record is a list of 2: write a position from 0"),
        ("parameters.b=[1", "this '[' is not closed by ']'"),
        ("parameters.b=*x", "the alias '*x' has no anchor '&x' before it"),
        ("parameters.b=&x [*x]", "the anchor '&x' contains itself"),
        (
            "parameters.b=!!python/object/apply:os.system [ls]",
            "the tag '!!python/object/apply:os.system' is not supported",
        ),
        ("parameters.b=!!python/name:os.system", "the tag '!!python/name:os.system' is not supported"),
        ("parameters.b={<<: 5}", "'<<' merges a mapping or a list of mappings"),
        ("parameters.b={x: 1, x: 2}", "the key 'x' stands twice"),
        ("parameters.b=1\n---\n2", "a second document starts here"),
        ("parameters.b=\udcff", "'utf-8' codec can't encode"),
        ("parameters.b=" + "[" * 100_000, "lists and mappings are nested deeper than 64 levels"),
        ("parameters.b=" + "9" * 100_000, "an integer of 100,000 characters is too long"),
        (
            "parameters.b={a0: &a0 [x, x], "
            + ", ".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20))
            + "}",
            "aliases multiply this file to more than 1,000,000 values",
        ),
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_paths_and_values_that_are_wrong(override: str, message: str) -> None:
    """A path that there is not is refused with the nearest one; a value is read as a file is, with its limits."""
    start = time.process_time()
    with pytest.raises(UsageError) as caught:
        load_document(Source("g.yaml", FILE), [override])
    assert time.process_time() - start < 2
    text = str(caught.value)
    assert text.startswith("--set ")
    assert f": {message}" in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("parameters.b=", "--set parameters.b: a value is needed here: a number or a nested list of numbers"),
        (
            "parameters.b=x",
            "--set parameters.b: a number or a nested list of numbers is needed here, not the text 'x'\n    x\n    ^",
        ),
        ("parameters.b=[1, x]", "--set parameters.b: a number is needed here, not the text 'x'\n    [1, x]\n        ^"),
        ("parameters.a=-1", "--set parameters.a: the start -1 is below its lower bound 0\n    -1\n    ^"),
        ("nodes.f=a + b % c", "--set nodes.f: '%' is not part of expressions\n    a + b % c\n          ^"),
        ("nodes.f={typ: add, inputs: []}", "--set nodes.f: unknown key 'typ'\n    {typ: add, inputs: []}\n     ^"),
        ("steps=-1", "--set steps: 'steps' takes a whole number, 0 or more, not the number -1\n    -1\n    ^"),
        ("update=adam", "--set update: 'update' is a mapping, not the text 'adam'\n    adam\n    ^"),
        ("graphrun=2", "--set graphrun: 'graphrun' takes the format version, which is 1, not the number 2"),
    ],
)
def test_problems_with_a_value_stand_in_the_override(override: str, message: str) -> None:
    """What was given is shown, not the line of the file that it took the place of."""
    found = str(load_document(Source("g.yaml", FILE), [override]).problems)
    assert found.startswith(message)


@pytest.mark.campaign
def test_a_path_of_a_large_file_is_looked_for_quickly() -> None:
    """However many paths there are."""
    text = "nodes:\n" + "".join(f"  n{i}: {{type: add, inputs: [a, b]}}\n" for i in range(50_000))
    start = time.process_time()
    with pytest.raises(UsageError, match=r"did you mean 'nodes\.n49999'"):
        load_document(Source("g.yaml", text), ["nodes.n49999x=1"])
    assert time.process_time() - start < 3


def test_a_broken_file_with_overrides() -> None:
    """What is wrong with the file itself is told as ever."""
    with pytest.raises(GraphFileError, match=r"g\.yaml:1:1: a graph file is a mapping"):
        load_document(Source("g.yaml", "[1]"), ["steps=1"])
