"""What a graph file becomes: normalized names, defaults, entries."""

from __future__ import annotations

import gc

import pytest

from graphrun.document import (
    ExpectEntry,
    NodeEntry,
    ParameterEntry,
    Source,
    StopEntry,
    UpdateEntry,
    load_document,
    loader,
    shape_of,
)
from graphrun.document.lookahead import PythonParser

FULL = """\
graphrun: 1
description: every section
parameters:
  a: 5
  W: [[1, 2.5], [3, 4]]
  bounded: {value: [0, 1], lower: -.inf, upper: [1, 1]}
constants: {ﬁ: 1e-3, v: []}
nodes:
  d: {type: add, inputs: [a, ﬁ]}
  h: {type: conv, inputs: [d, 2, .5], stride: 2, axis: null}
  k: {type: noise, inputs: []}
maximize: ﬁ
update: {type: adam, step_size: {type: cosine, start: 0.1}}
steps: 1e6
stop: {gradient_norm: 0, change: 1e-9, value: -3, patience: 2}
record: [h, ﬁ, h]
seed: 7
dtype: float32
expect:
- {at: 0, values: {h: [1, 2]}, gradients: {ﬁ: -1}, tolerance: 1e-9}
- values: {d: 1}
"""


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read with libyaml's parser, and with the one that takes its place where PyYAML has no libyaml."""
    if request.param == "python":
        monkeypatch.setattr(loader, "EventParser", PythonParser)


@pytest.mark.usefixtures("parser")
def test_every_section() -> None:
    """Names are in normal form, numbers stay as they are, sequences are tuples."""
    document = load_document(Source("g.yaml", FULL))
    assert str(document.problems) == ""
    assert document.broken == set()
    assert (document.graphrun, document.description) == (1, "every section")
    assert document.parameters == {
        "a": ParameterEntry(5),
        "W": ParameterEntry([[1, 2.5], [3, 4]]),
        "bounded": ParameterEntry([0, 1], float("-inf"), [1, 1]),
    }
    assert type(document.parameters["a"].value) is int
    assert document.constants == {"fi": 0.001, "v": []}
    assert document.nodes == {
        "d": NodeEntry("add", ("a", "fi")),
        "h": NodeEntry("conv", ("d", 2, 0.5), {"stride": 2, "axis": None}),
        "k": NodeEntry("noise", ()),
    }
    assert (document.maximize, document.minimize) == ("fi", None)
    assert document.update == UpdateEntry("adam", {"step_size": {"type": "cosine", "start": 0.1}})
    assert document.steps == 1_000_000
    assert type(document.steps) is int
    assert document.stop == StopEntry(gradient_norm=0.0, change=1e-9, value=-3.0, patience=2)
    assert document.record == ("h", "fi")
    assert (document.seed, document.dtype) == (7, "float32")
    assert document.expect == (
        ExpectEntry(at=0, values={"h": [1, 2]}, gradients={"fi": -1}, tolerance=1e-9),
        ExpectEntry(values={"d": 1}),
    )
    assert document.expect_path(1) == ("expect", 1)


def test_defaults_and_empty_sections() -> None:
    """A section with nothing after its colon is an empty one."""
    bare = load_document(Source("g.yaml", "{}"))
    assert bare.update == UpdateEntry("sgd", {"step_size": 0.01})
    assert (bare.steps, bare.stop, bare.record, bare.seed, bare.dtype) == (None, None, None, None, "float64")
    assert (bare.maximize, bare.minimize, bare.expect) == (None, None, ())
    empty = load_document(Source("g.yaml", "parameters:\nconstants:\nnodes:\nstop:\nrecord:\nexpect:\nupdate: {}\n"))
    assert not empty.problems
    assert (empty.parameters, empty.constants, empty.nodes) == ({}, {}, {})
    assert (empty.stop, empty.record, empty.expect, empty.update) == (StopEntry(), (), (), UpdateEntry("sgd", {}))


def test_one_expectation_stands_alone() -> None:
    """A single mapping is a list of one, and its path has no index."""
    document = load_document(Source("g.yaml", "expect: {at: 10, values: {f: -4}}"))
    assert document.expect == (ExpectEntry(at=10, values={"f": -4}),)
    assert document.expect_path(0) == ("expect",)


def test_what_is_right_is_delivered_beside_what_is_wrong() -> None:
    """The next stage goes on with the rest, and knows which names were declared."""
    text = """\
parameters: {a: 1, b: x, c-d: 2}
paramters: {p: 1}
nodes: {f: {type: add, inputs: [a, b]}, g: {type: add}, h: a +}
steps: x
seed: 3
"""
    document = load_document(Source("g.yaml", text))
    assert len(document.problems) == 6
    assert list(document.parameters) == ["a"]
    assert list(document.nodes) == ["f"]
    assert (document.steps, document.seed) == (None, 3)
    assert document.broken == {"b", "c-d", "p", "g", "h"}


@pytest.mark.usefixtures("parser")
def test_anchors_aliases_and_merges() -> None:
    """A merged key comes first and gives way to an explicit one; of several mappings the first wins."""
    text = """\
nodes:
  f: &f {type: add, inputs: &in [a, b], axis: 1}
  g: *f
  h: {inputs: [c], <<: *f, axis: 2}
  i: {<<: [{axis: 3, keep: &yes true}, *f], keepdims: *yes}
  j: {type: &name tanh, inputs: *in, "<<": 1}
  *name : {type: *name, inputs: [*name]}
"""
    nodes = load_document(Source("g.yaml", text)).nodes
    assert nodes["g"] == nodes["f"] == NodeEntry("add", ("a", "b"), {"axis": 1})
    assert nodes["h"] == NodeEntry("add", ("c",), {"axis": 2})
    assert nodes["i"] == NodeEntry("add", ("a", "b"), {"axis": 3, "keep": True, "keepdims": True})
    assert nodes["j"] == NodeEntry("tanh", ("a", "b"), {"<<": 1})
    assert nodes["tanh"] == NodeEntry("tanh", ("tanh",))


def test_an_alias_of_a_section_is_not_changed_by_reading_it() -> None:
    """Nodes are replaced in place, but not in what an alias shows elsewhere."""
    text = "nodes: &n\n  f: {type: add, inputs: [a]}\nupdate: {x: *n}\n"
    document = load_document(Source("g.yaml", text))
    assert document.nodes == {"f": NodeEntry("add", ("a",))}
    assert document.update.settings == {"x": {"f": {"type": "add", "inputs": ["a"]}}}


def test_equal_names_share_one_object() -> None:
    """A large file holds each name once."""
    nodes = load_document(Source("g.yaml", "nodes:\n  long_name: {type: add, inputs: [long_name, long_name]}\n")).nodes
    (key,) = nodes
    assert nodes[key].inputs[0] is nodes[key].inputs[1] is key


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(enabled: bool) -> None:
    """It is off only while a file loads, also when that fails."""
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        load_document(Source("g.yaml", "{}"))
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize(
    ("value", "shape"), [(1, ()), ([1, 2.0], (2,)), ([], (0,)), ([[], []], (2, 0)), ([[[1]], [[2]]], (2, 1, 1))]
)
def test_shapes(value: object, shape: tuple[int, ...]) -> None:
    """The shape of a nested list is that of the array it stands for."""
    assert shape_of(value) == shape
