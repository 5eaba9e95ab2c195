"""The NumPy engine's short cuts give the same as the long way, to the last bit: straight-line code, its namespace."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from random_graphs import graphs

import graphrun
from graphrun import nodes
from graphrun.engines import NotFinite
from graphrun.engines.numpy import batch_program, node_program, straight_line_program
from graphrun.engines.numpy.namespace import namespace

NETWORK = """\
data: {{file: rows.csv, columns: {{x: [a, b, c], label: label}}, batch_size: 7, shuffle: true}}
parameters:
  W: {{shape: [3, 6], init: {{type: he_normal}}}}
  b: {{shape: [6], init: {{type: zeros}}, lower: -0.01, upper: 0.02}}
  gain: {{value: 1.5}}
  scale: {{shape: [6], init: {{type: ones}}}}
  shift: {{shape: [1, 6], init: {{type: normal}}}}
  V: {{shape: [6, 4], init: {{type: glorot_uniform}}}}
  idle: {{value: [1.0, -2.0]}}
nodes:
  h: x @ W + b
  n: {{type: batch_norm, inputs: [h, scale, b]}}
  r: gain * relu(n) + shift
  d: {{type: dropout, inputs: [r], rate: 0.3}}
  kept: where(greater(d, 0.1), d, gain)
  logits: kept @ V
  loss: {{type: cross_entropy, inputs: [logits, label]}}
  off: sum(logits ** 2)
  size: sum(V ** 2) + gain * gain
  f: {objective}
{goal}: f
update: {update}
dtype: {dtype}
"""
RULES = [
    "{type: sgd, step_size: 0.05}",
    "{type: momentum, step_size: {type: cosine, start: 0.05, steps: 90}, clip_norm: 0.4, weight_decay: 0.01}",
    "{type: adamw, step_size: 0.01, clip_value: 0.02}",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a data file."""
    drawn = np.random.default_rng(0)
    rows = [
        f"{a},{b},{c},{k}" for (a, b, c), k in zip(drawn.normal(size=(30, 3)), drawn.integers(0, 4, 30), strict=True)
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,label", *rows]) + "\n", encoding="utf-8")
    return tmp_path


def both(folder: Path, text: str, steps: int, stop=None):
    """Make the same steps node by node and as straight-line code; return all that can be asked for afterwards."""
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    graph = graphrun.load(folder / "g.yaml")
    for kind in (node_program, straight_line_program):
        feed = graph.source.open(0) if "data:" in text else None
        plan = graph.plan()
        program = kind(plan, feed)
        program.evaluate()
        reason = None
        try:
            while program.step < steps and not reason:
                reason = program.advance(min(steps - program.step, 40 + program.step), stop and stop())
        except NotFinite as failure:
            reason = [np.array(leaf) for leaf in failure.leaves]
        slots = range(len(plan.names))
        yield program.step, reason, program.snapshot(), program.values(slots), program.gradients(slots)


def assert_same(one, other) -> None:
    """Compare outcomes bit for bit, types of numbers included."""
    np.testing.assert_equal(other, one)
    for a, b in zip((*one[3], *one[4]), (*other[3], *other[4]), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.shape(a) == np.shape(b)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.campaign)])
@pytest.mark.parametrize("goal", [pytest.param("minimize", marks=pytest.mark.campaign), "maximize"])
@pytest.mark.parametrize("update", RULES, ids=["sgd", "momentum", "adamw"])
def test_straight_line_code_of_a_network_gives_the_same_bits(folder, update, goal, dtype):
    """Batches, noise, states of nodes, schedules, clipping, bounds and unused parameters, in both dtypes."""
    objective = "0.01 * size + loss" if goal == "minimize" else "-loss - 0.01 * size"
    text = NETWORK.format(update=update, goal=goal, dtype=dtype, objective=objective)
    one, other = both(folder, text, 170)
    assert one[0] == 170
    assert_same(one, other)


def test_straight_line_code_stops_where_a_rule_says(folder):
    """The stop rule is asked after every step, with the same objective and the same norm."""

    def rule():
        asked = []

        def stop(objective: float, norm: float) -> str | None:
            asked.append((objective, norm))
            return f"enough: {asked[-1]}" if len(asked) > 85 and norm < asked[20][1] else None

        return stop

    text = NETWORK.format(update=RULES[0], goal="minimize", dtype="float64", objective="loss")
    one, other = both(folder, text, 400, rule)
    assert one[1]
    assert one[0] < 400
    assert_same(one, other)


@pytest.mark.parametrize("extra", ["", "data: {file: rows.csv, columns: {x: [a, b, c]}, batch_size: 7}\n"])
def test_straight_line_code_leaves_a_failing_step_as_it_was(folder, extra):
    """The step after which something is not finite is the same, and so is the state before it."""
    given = "x" if extra else "v"
    text = (
        f"{extra}parameters: {{v: [1.0, 2.0, 3.0], w: 1.0}}\n"
        f"nodes: {{y: {given} * w * sum(v), f: 0.001 * sum(y) + sum(v ** 2)}}\nmaximize: f\n"
        f"update: {{type: sgd, step_size: {0.3 if extra else 0.03}}}\n"
    )
    one, other = both(folder, text, 2000)
    assert 100 < one[0] < 2000
    assert one[1] is not None
    assert_same(one, other)


def test_straight_line_code_where_steps_need_a_mask(folder):
    """A branch that is not taken has an infinite derivative at every step, which must not leak."""
    text = (
        "parameters: {v: [0.0, 2.0, 3.0]}\nnodes: {safe: 'where(greater(v, 0.0), sqrt(v), v)', f: sum(safe)}\n"
        "minimize: f\nupdate: {type: sgd, step_size: 0.001}\n"
    )
    one, other = both(folder, text, 300)
    assert one[0] == 300
    assert_same(one, other)


def test_straight_line_code_of_a_type_that_raises_at_some_step(folder):
    """An error that a type raises after a hundred steps ends both at the same step."""
    text = (
        "parameters: {v: [0.1, 0.2], t: [[1.0, 0.0, 2.0], [0.5, 1.0, 0.1]]}\n"
        "nodes: {k: floor(v), f: {type: cross_entropy, inputs: [t, k]}, g: f - sum(v)}\nminimize: g\n"
        "update: {type: sgd, step_size: 0.02}\n"
    )
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    steps = []
    for kind in (node_program, straight_line_program):
        program = kind(graphrun.load(folder / "g.yaml").plan())
        program.evaluate()
        with pytest.raises(graphrun.RunError, match="labels holds 3"):
            program.advance(1000)
        steps.append((program.step, program.snapshot()))
    assert steps[0][0] > 100
    np.testing.assert_equal(steps[0], steps[1])


# --- the namespace ---------------------------------------------------------------------------------------------------

MATRICES = arrays.arrays(
    st.sampled_from([np.float64, np.float32]),
    arrays.array_shapes(min_dims=0, max_dims=3, max_side=4),
    elements=st.floats(-1e6, 1e6, width=32),
)


def call(function, *arguments, **settings):
    """Return what a function gives, or the type of what it raises."""
    try:
        return function(*arguments, **settings)
    except Exception as error:
        return type(error)


def assert_same_array(one, other) -> None:
    """Compare values, dtypes, shapes, and whether it is a number or an array."""
    assert type(one) is type(other)
    np.testing.assert_array_equal(one, other)
    assert getattr(one, "dtype", None) == getattr(other, "dtype", None)


@given(x=MATRICES, axis=st.sampled_from([None, 0, -1, 1, 5, (0, 1)]), keepdims=st.booleans())
@pytest.mark.parametrize("name", ["sum", "max", "min", "mean"])
def test_reductions_of_the_namespace_are_numpys(name, x, axis, keepdims):
    """Every array, axis and error is NumPy's own."""
    xp = namespace(x.dtype)
    for array in (x, x[()], x > 0, x.astype(int), x.T):
        settings = {"axis": axis, "keepdims": keepdims}
        assert_same_array(call(getattr(xp, name), array, **settings), call(getattr(np, name), array, **settings))


@given(x=MATRICES, axis=st.integers(-4, 4))
def test_shapes_of_the_namespace_are_numpys(x, axis):
    """Every array, axis and error is NumPy's own."""
    xp = namespace(x.dtype)
    for name, arguments in {
        "expand_dims": (axis,),
        "matrix_transpose": (),
        "reshape": ((-1, 1),),
        "broadcast_to": ((2, *x.shape),),
        "astype": (np.int64,),
    }.items():
        assert_same_array(call(getattr(xp, name), x, *arguments), call(getattr(np, name), x, *arguments))
    if x.ndim:
        indices = np.argmax(np.atleast_2d(x), axis=-1)[..., None]
        taken = [library.take_along_axis(np.atleast_2d(x), indices, axis=-1) for library in (xp, np)]
        assert_same_array(*taken)


def test_numbers_in_where_take_the_dtype_of_the_graph():
    """A mask of two numbers does not make a float32 graph compute in float64."""
    condition = np.array([True, False])
    for dtype in (np.dtype("float32"), np.dtype("float64")):
        xp = namespace(dtype)
        for pair in ((1.0, 0.0), (0.0, 1.0), (2.5, -1.0)):
            found = xp.where(condition, *pair)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, pair)
        np.testing.assert_array_equal(xp.where(condition, np.ones(2), 0.0), [1, 0])
        np.testing.assert_array_equal(xp.where(condition)[0], [0])


# --- forms for NumPy -------------------------------------------------------------------------------------------------

TYPES = [declared for declared in nodes.graphrun_node_types() if "numpy" in declared.forms]


@pytest.mark.parametrize("declared", TYPES, ids=lambda declared: declared.name)
@pytest.mark.parametrize("special", [None, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("order", ["C", "F"])
def test_forms_of_this_engine_agree_with_the_types_own_functions(declared, special, order):
    """A form gives what the type's own functions give on every example, in any order in memory, infinite inputs too."""
    drawn = np.random.default_rng(0)
    form = declared.forms["numpy"]
    for example in declared.examples:
        shapes, values = example.shapes, example.values
        inputs = [
            np.array(drawn.normal(size=shape) if value is None else value, dtype=float, order=order)
            for shape, value in itertools.zip_longest(shapes, values)
        ]
        if special is not None:
            inputs[0].flat[0] = special
        settings = dict(declared.read_settings(example.settings))
        with np.errstate(all="ignore"):
            expected = declared.function(np, *inputs, **settings)
            np.testing.assert_allclose(form.function(np, *inputs, **settings), expected, rtol=1e-12)
            gradient = np.asarray(drawn.normal(size=np.shape(expected)))[()]
            found = form.derivative(np, gradient, expected, *inputs, **settings)
            derivatives = declared.derivative(np, gradient, expected, *inputs, **settings)
            given = [(*pair,) for pair in zip(found, derivatives, strict=True)]
            if form.forward_keeping is not None:
                output, kept = form.forward_keeping(np, *inputs, **settings)
                np.testing.assert_array_equal(output, form.function(np, *inputs, **settings))
                found = form.derivative(np, gradient, expected, *inputs, **settings, kept=kept)
                given += zip(found, derivatives, strict=True)
            pairs = [[part() if callable(part) else part for part in pair] for pair in given]
        for one, other in pairs:
            assert (one is None) == (other is None)
            if other is not None:
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.slow
@settings(
    deadline=None,
    max_examples=examples(200),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=graphs(), steps=st.integers(0, 150))
def test_the_three_programs_agree(data, steps, tmp_path):
    """Node by node, batch by batch and as straight-line code, the same steps give the same numbers."""
    data = {**data, "update": {"type": "momentum", "step_size": 1e-3}}
    path = tmp_path / "graph.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    del data["nodes"]["total"]
    data["maximize"] = list(data["nodes"])[-1]
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    plan = graphrun.load(path).plan()
    outcomes = []
    for kind in (node_program, batch_program, straight_line_program):
        program = kind(plan)
        try:
            program.evaluate()
            program.advance(steps)
            finite = True
        except NotFinite:
            finite = False
        slots = range(len(plan.names))
        outcomes.append((finite, program.step, program.values(slots), program.gradients(slots)))
    finite, step, values, gradients = outcomes[0]
    for other in outcomes[1:]:
        assert other[:2] == (finite, step)
        np.testing.assert_allclose(np.array(other[2]), np.array(values), rtol=1e-10, atol=1e-12)
        if finite:
            np.testing.assert_allclose(np.array(other[3]), np.array(gradients), rtol=1e-10, atol=1e-12)
