"""Convolutions and pooling of the NumPy engine against the types' own functions, for windows of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from depth import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import graphrun
from graphrun import nodes
from graphrun.check.check import check_graph
from graphrun.engines.numpy import node_program, straight_line_program
from graphrun.plugins.registry import Registry

TYPES = {declared.name: declared for declared in nodes.graphrun_node_types()}


def derivatives(function, *arguments, **chosen):
    """Call a vjp and what it leaves to be called."""
    return [part() if callable(part) else part for part in function(np, *arguments, **chosen)]


@st.composite
def windows(draw, kernels, number):
    """Draw the settings of windows along some axes, and the sizes of x."""
    several = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(number))  # noqa: E731
    return several(1, kernels), several(1, 8), several(1, 3), several(0, 2), several(1, 2)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(60))
@given(data=st.data())
def test_a_convolution_is_that_of_the_types_own_functions(data):
    """Any stride, padding, dilation, number of channels and order in memory; one group, or as many as channels."""
    number = data.draw(st.integers(1, 2))
    kernel, sizes, stride, padding, dilation = data.draw(windows(3, number))
    batch, channels, outputs = (data.draw(st.integers(1, 9)) for _ in range(3))
    groups = data.draw(st.sampled_from([1, 1, 1, channels]))
    declared = TYPES[f"conv{number}d"]
    form = declared.forms["numpy"]
    chosen = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    drawn = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = drawn.normal(size=(batch, channels, *sizes))
    if data.draw(st.booleans()):
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    inputs = [
        x,
        drawn.normal(size=(outputs * groups, channels // groups, *kernel)),
        drawn.normal(size=outputs * groups),
    ]
    inputs = inputs[: data.draw(st.integers(2, 3))]
    try:
        y = declared.function(np, *inputs, **chosen)
    except ValueError:
        assume(False)
    found, kept = form.forward_keeping(np, *inputs, **chosen)
    np.testing.assert_allclose(found, y, atol=1e-11)
    gradient = drawn.normal(size=y.shape)
    expected = derivatives(declared.derivative, gradient, y, *inputs, **chosen)
    for handed in (None, kept):
        found = derivatives(form.derivative, gradient, y, *inputs, **chosen, kept=handed)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-11)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(60))
@given(data=st.data())
def test_the_gradient_of_pooling_is_that_of_the_types_own_function(data):
    """Windows that lie side by side or overlap, with equal largest elements and without, and with no number in them."""
    number = data.draw(st.integers(1, 2))
    kernel, sizes, stride, _, _ = data.draw(windows(3, number))
    declared = TYPES[f"max_pool{number}d"]
    padding = tuple(data.draw(st.integers(0, size // 2)) for size in kernel)
    chosen = {"kernel_size": kernel, "stride": data.draw(st.sampled_from([None, stride])), "padding": padding}
    drawn = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = np.round(drawn.normal(size=(2, 3, *sizes)), data.draw(st.integers(0, 3)))
    if data.draw(st.booleans()):
        x.flat[0] = np.nan
    try:
        y = declared.function(np, x, **chosen)
    except ValueError:
        assume(False)
    gradient = drawn.normal(size=y.shape)
    found, expected = (
        derivatives(function, gradient, y, x, **chosen)
        for function in (declared.forms["numpy"].derivative, declared.derivative)
    )
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)


CALLS = {"plain": 0, "keeping": 0, "derivative": 0}


@graphrun.tensor
def counted(xp, x):
    """Exponential whose calls are counted."""
    CALLS["plain"] += 1
    return xp.exp(x)


@counted.keeping
def _(xp, x):
    CALLS["keeping"] += 1
    power = xp.exp(x)
    return power, power


@counted.vjp
def _(xp, gradient, y, x, *, kept=None):
    CALLS["derivative"] += kept is None
    return (gradient * (xp.exp(x) if kept is None else kept),)


@pytest.mark.parametrize("make", [node_program, straight_line_program])
def test_what_is_kept_is_made_once_a_step_and_of_the_values_at_hand(make, tmp_path):
    """The forward function that keeps is called once a step, and the vjp makes nothing again."""
    registry = Registry()
    registry.add([counted])
    path = tmp_path / "graph.yaml"
    path.write_text("parameters: {x: [1, 2]}\nnodes: {f: sum(counted(x))}\nminimize: f\n", encoding="utf-8")
    program = make(graphrun.load(path, registry=registry).plan())
    program.evaluate()
    for name in CALLS:
        CALLS[name] = 0
    program.advance(150)
    assert CALLS["keeping"] == 150
    assert CALLS["derivative"] <= 1  # asked once what it gives, when the code is written
    np.testing.assert_allclose(program.gradients([0])[0], np.exp(program.values([0])[0]))
    program.set_parameters([np.zeros(2)])
    program.evaluate()
    np.testing.assert_array_equal(program.gradients([0])[0], [1, 1])


def test_parts_of_a_value_add_up_in_place(tmp_path):
    """Slices that overlap, single elements and other uses of a value give what they give node by node."""
    path = tmp_path / "graph.yaml"
    path.write_text(
        """\
parameters: {w: [[1, 2, 3, 4], [0.5, -1, 2, 0.1]], v: [1, -1]}
nodes:
  z: tanh(w)
  a: slice(z, start=0, stop=3, axis=1)
  b: slice(z, start=3, step=-1, axis=1)
  c: {type: unstack, inputs: [z], index: 1}
  d: {type: unstack, inputs: [z], index: -1, axis: 1}
  same: identity(z)
  f: sum(a ** 2) + sum(b * same) + sum(c) * sum(d * v) + sum(exp(z)) + sum(same)
minimize: f
update: {type: sgd, step_size: 0.01}
""",
        encoding="utf-8",
    )
    graph = graphrun.load(path)
    outcomes = []
    for make in (node_program, straight_line_program):
        program = make(graph.plan())
        program.evaluate()
        program.advance(150)
        slots = range(len(program.plan.names))
        outcomes.append([*program.values(slots), *program.gradients(slots)])
    for one, other in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not check_graph(graph).failures


def test_a_part_that_is_one_number_is_shown():
    """An edge carries of a single element, whose gradient is a number of Python's, an array of zeros but for it."""
    graph = graphrun.loads(
        "parameters: {v: [3, 5]}\nnodes: {a: {type: unstack, inputs: [v], index: 0}, f: a ** 2}\nminimize: f\n"
    )
    assert "6" in graph.explain()
    passes = graph.passes()
    edges = passes.edges_into(passes.plan.slots["a"])
    np.testing.assert_array_equal(next(iter(edges)).contribution, [6, 0])
