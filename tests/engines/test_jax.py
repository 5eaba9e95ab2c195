"""The JAX engine against the NumPy engine, which is the specification, through the public interface."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lesson import UNLIKE, each_of

import graphrun
from graphrun import nodes
from graphrun.base.errors import UsageError
from graphrun.engines.auto import choose
from graphrun.run.checkpoint import load_checkpoint
from graphrun.show.plan_listing import plan_data
from graphrun.solvers import Solver

jax = pytest.importorskip("jax", reason="the engine needs JAX: pip install jax")

pytestmark = pytest.mark.slow  # of each worker, JAX takes seconds to import and to compile for

from graphrun.engines.jax import JaxEngine  # noqa: E402 (it needs JAX)
from graphrun.engines.jax.loop import LoopKind, passes_in_a_round  # noqa: E402

GRAPHS = sorted((Path(__file__).parents[2] / "graphs").glob("*.yaml"))
OF_OTHER_TESTS = {"activations", "early", "garch", "linear", "neuron", "repeated", "rosenbrock"}
"""Examples that random graphs and sequences are like; each takes seconds to compile."""

# Each example compiles two programs.
FEW = settings(
    deadline=None,
    max_examples=examples(8),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep compiled programs where no other test run finds them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def write(tmp_path):
    """Write a graph given as plain data, and load it."""

    def load(data, **options):
        path = tmp_path / "graph.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return graphrun.load(path, **options)

    return load


def assert_same(actual, expected, rtol=1e-10):
    """Compare two results; numbers that cancelled out may differ by rounding of what they were made of."""
    assert (actual.steps, actual.stopped) == (expected.steps, expected.stopped)
    for part in ("parameters", "values", "gradients", "history", "holdout"):
        ours, theirs = getattr(actual, part), getattr(expected, part)
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            size = float(np.max(np.abs(value), initial=1, where=np.isfinite(value)))
            np.testing.assert_allclose(ours[name], value, rtol=rtol, atol=rtol * size, err_msg=f"{part} {name}")


def assert_engines_agree(graph, rtol=1e-10, **options):
    """Run a graph with both engines and compare everything."""
    expected = graph.try_run(engine="numpy", **options)
    actual = graph.try_run(engine="jax", **options)
    assert actual.engine == "jax"
    assert_same(actual, expected, rtol)
    return actual


# --- agreement -------------------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize("path", each_of(GRAPHS, unlike=UNLIKE - OF_OTHER_TESTS))
def test_example_graphs_agree(path):
    """Every graph that comes with the program runs alike on both engines."""
    graph = graphrun.load(path)
    if isinstance(graph.structure.update.rule, Solver):
        # A solver has an engine of its own; this engine runs the same graph by another rule.
        without = ["~uncertainty"] if "uncertainty" in path.read_text(encoding="utf-8") else []
        graph = graphrun.load(path, overrides=["update={type: momentum, step_size: 1e-9}", *without])
    assert_engines_agree(graph, steps=min(graph.steps, 30))


UNARY = ("tanh", "sin", "sigmoid", "softplus", "square", "relu", "abs", "erf", "exp", "atan", "negative")
BINARY = ("add", "subtract", "multiply", "maximum", "hypot", "less")


NUMBER = st.just(())


@st.composite
def random_graphs(draw, shapes=NUMBER, most=10):
    """Draw a graph of plain data whose nodes take recent ones, some of them twice."""
    number = st.floats(-2, 2, allow_nan=False).map(lambda x: round(x, 3))

    def value():
        shape = draw(shapes)
        size = math.prod(shape)
        return np.array(draw(st.lists(number, min_size=size, max_size=size))).reshape(shape).tolist()

    leaves = [f"x{k}" for k in range(draw(st.integers(1, 3)))]
    names = [*leaves, "k"]
    made = {}
    for position in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(UNARY + BINARY))
        source = st.one_of(st.sampled_from(names[-3:]), st.sampled_from(names))
        made[f"n{position}"] = {"type": kind, "inputs": [draw(source) for _ in range(1 + (kind in BINARY))]}
        names.append(f"n{position}")
    made["bounded"] = {"type": "tanh", "inputs": [names[-1]]}
    made["total"] = {"type": "sum", "inputs": ["bounded"]}
    return {
        "parameters": {name: value() for name in leaves},
        "constants": {"k": value()},
        "nodes": made,
        "minimize": "total",
        "update": draw(
            st.sampled_from(
                [{"type": "sgd", "step_size": 0.01}, {"type": "adam"}, {"type": "momentum", "step_size": 1e-3}]
            )
        ),
    }


@pytest.mark.slow
@FEW
@given(data=random_graphs(), steps=st.integers(0, 20))
def test_graphs_of_numbers_agree(data, steps, write):
    """Values, gradients and history of random graphs of numbers are the NumPy engine's."""
    assert_engines_agree(write(data), steps=steps)


@pytest.mark.slow
@FEW
@given(data=random_graphs(st.sampled_from([(), (3,), (2, 3), (2, 1), (1, 3)])), steps=st.integers(0, 20))
def test_graphs_of_arrays_agree(data, steps, write):
    """Broadcasting is undone as the NumPy engine does it."""
    assert_engines_agree(write(data), steps=steps)


def large_graph(nodes_per_layer, layers, seed=0):
    """Make a graph of numbers in layers, each node of two of the layer before and now and then of a parameter."""
    drawn = np.random.default_rng(seed)
    parameters = {f"p{k}": float(drawn.uniform(-1, 1)) for k in range(5)}
    before = list(parameters)
    made = {}
    for layer in range(layers):
        names = [f"n{layer}_{k}" for k in range(nodes_per_layer)]
        for name in names:
            if drawn.random() < 0.5:
                made[name] = {"type": str(drawn.choice(["tanh", "sin"])), "inputs": [str(drawn.choice(before))]}
            else:
                inputs = [str(drawn.choice(before)), str(drawn.choice([*before, *parameters]))]
                made[name] = {"type": str(drawn.choice(["add", "multiply"])), "inputs": inputs}
        before = names
    total = before[0]
    for k, name in enumerate(before[1:]):
        made[f"total{k}"] = {"type": "add", "inputs": [total, name]}
        total = f"total{k}"
    made["f"] = {"type": "tanh", "inputs": [total]}
    return {"parameters": parameters, "nodes": made, "minimize": "f"}


@pytest.mark.campaign
@pytest.mark.parametrize(("width", "layers"), [(20, 5), pytest.param(40, 2, marks=pytest.mark.nightly)])
def test_large_graphs_of_numbers_agree(width, layers, write):
    """Graphs that are run batch by batch on one vector give what the NumPy engine gives."""
    assert_engines_agree(write(large_graph(width, layers)), steps=7)


@pytest.mark.campaign
def test_a_long_chain_of_numbers_is_compiled_in_time(write):
    """A graph of a thousand numbers one after the other runs as an interpreter's loop, which compiles in seconds."""
    chain = {"n0": {"type": "add", "inputs": ["a", "b"]}}
    for k in range(1, 1500):
        kind = ("tanh", "sin", "multiply", "add")[k % 4]
        chain[f"n{k}"] = {"type": kind, "inputs": [f"n{k - 1}", "b"] if k % 4 > 1 else [f"n{k - 1}"]}
    graph = write({"parameters": {"a": 0.5, "b": 1.1}, "nodes": chain, "minimize": f"n{1499}"})
    assert_engines_agree(graph, steps=3)


# --- what an update may do -------------------------------------------------------------------------------------------

QUADRATIC = {
    "parameters": {"x": [1.0, -2.0, 3.0], "y": 0.5},
    "nodes": {"s": "square(x - 0.25)", "z": {"type": "sum", "inputs": ["s"]}, "f": "z + square(y)"},
    "minimize": "f",
}

UPDATES = {
    **{name: {"type": name} for name in ("sgd", "nesterov", "adamw", "rmsprop", "adagrad", "lion")},
    "momentum": {"type": "momentum", "step_size": 0.01, "dampening": 0.5, "weight_decay": 0.1},
    "cosine": {"type": "sgd", "step_size": {"type": "cosine", "start": 0.1, "steps": 15, "warm_up": 4}},
    "step": {"type": "adam", "step_size": {"type": "step", "start": 0.1, "every": 5}},
    "clip_norm": {"type": "sgd", "step_size": 0.1, "clip_norm": 0.5},
    "clip_value": {"type": "sgd", "step_size": 0.1, "clip_value": 0.5},
}


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("update", "direction"),
    [
        pytest.param(update, ("minimize", "maximize")[k % 2], id=name)
        for k, (name, update) in enumerate([*UPDATES.items(), ("momentum too", UPDATES["momentum"])])
    ],
)
def test_updates_agree(update, direction, write):
    """Every rule, schedule and way of clipping moves the parameters as in the NumPy engine, also upwards."""
    data = {**QUADRATIC, "update": update}
    data[direction] = data.pop("minimize")
    assert_engines_agree(write(data), steps=20)


def test_bounds_agree(write):
    """Parameters are brought back onto their bounds."""
    data = {**QUADRATIC, "parameters": {"x": {"value": [1.0, 2.0, 3.0], "lower": 0.5}, "y": {"value": 1, "upper": 2}}}
    assert_engines_agree(write({**data, "update": {"type": "sgd", "step_size": 0.1}}), steps=20)


@pytest.mark.campaign
@pytest.mark.parametrize("objective", ["x", "far"])
def test_a_large_graph_may_have_no_loop(objective, write):
    """Where nothing that changes leads to the objective, or nothing but the parameter itself."""
    chain = {f"n{k}": f"tanh({f'n{k - 1}' if k else 'x'})" for k in range(100)}
    data = {"parameters": {"x": 0.5}, "constants": {"c": 2.0}, "nodes": {**chain, "far": "c + 1"}}
    assert_engines_agree(write({**data, "minimize": objective}), steps=5)


def test_single_precision(write):
    """float32 is kept from end to end."""
    result = assert_engines_agree(write(QUADRATIC), rtol=1e-5, steps=20, dtype="float32")
    assert result.parameters["x"].dtype == np.float32


@pytest.mark.slow
def test_noise_and_states_agree(write):
    """Dropout draws the same numbers, batch normalization keeps the same running values."""
    data = {
        "parameters": {
            "W": {"shape": [3, 4], "init": {"type": "he_normal"}},
            "scale": [1.0, 1, 1, 1],
            "shift": [0.0] * 4,
        },
        "constants": {"x": np.linspace(-1, 1, 18).reshape(6, 3).tolist()},
        "nodes": {
            "z": "x @ W",
            "n": {"type": "batch_norm", "inputs": ["z", "scale", "shift"]},
            "d": {"type": "dropout", "inputs": ["n"], "rate": 0.25},
            "f": {"type": "mean", "inputs": ["q"]},
            "q": "square(d - 1)",
        },
        "minimize": "f",
        "update": {"type": "momentum", "step_size": 0.05},
        "seed": 3,
    }
    assert_engines_agree(write(data), steps=12)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.campaign), 150])
def test_what_a_node_keeps_is_of_every_step(every, write, tmp_path):
    """Also of a node that the objective does not depend on, and however many rows are recorded."""
    data = {
        "parameters": {"w": [1.0, 2.0], "scale": [1.0, 1.0], "shift": [0.0, 0.0]},
        "constants": {"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]},
        "nodes": {
            "h": "x * w",
            "n": {"type": "batch_norm", "inputs": ["h", "scale", "shift"]},
            "aside": "mean(n)",
            "f": "sum(h)",
        },
        "minimize": "f",
    }
    graph = write(data)
    weights, mean = np.array([1.0, 2.0]), np.zeros(2)
    for _ in range(150):
        mean = 0.9 * mean + 0.1 * np.mean(data["constants"]["x"], axis=0) * weights
        weights = weights - 0.01 * np.array([9.0, 13.0])
    for engine in ("numpy", "jax"):
        graph.run(steps=150, every=every, engine=engine, save=tmp_path / "end.safetensors")
        kept = load_checkpoint(tmp_path / "end.safetensors").arrays
        np.testing.assert_allclose(kept["states/n.running_mean"], mean, rtol=1e-12)
    parts = [batch["part"] for batch in plan_data(graph.plan())["batches"]]
    assert sorted(parts) == ["aside", "both", "both", "kept"]


# --- the end of a run ------------------------------------------------------------------------------------------------

STOPS = [{"gradient_norm": 1e-3}, {"change": 1e-6}, {"value": 0.1}, {"patience": 3}]


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: next(iter(stop)))
def test_stop_rules_end_the_run_at_the_same_step(stop, write):
    """A rule is asked after each step, also within a call of the loop."""
    size = 1.05 if "patience" in stop else 0.05
    data = {**QUADRATIC, "stop": stop, "update": {"type": "sgd", "step_size": size}, "steps": 400}
    result = assert_engines_agree(write(data), every=400)
    assert 0 < result.steps < 400


def growing(**more):
    """Make a graph whose values grow until they are not finite."""
    return {
        "parameters": {"x": 1.5},
        "nodes": {"f": {"type": "multiply", "inputs": ["c", "x"]}, "c": "x * x"},
        "maximize": "f",
        "update": {"type": "sgd", "step_size": 0.1, **more},
        "steps": 500,
    }


@pytest.mark.campaign
@pytest.mark.parametrize(
    "data",
    [
        growing(),
        {**growing(), "parameters": {"x": {"value": 1.5, "upper": 1e200}}},
        {**growing(), "update": {"type": "lion", "step_size": 0.1}, "nodes": {"f": "exp(exp(x))"}},
        {
            **growing(),
            "nodes": {"f": "sqrt(2 - x) + x * x"},
            "update": {"type": "adam", "step_size": 0.2},
        },
    ],
    ids=["sgd", "bounds", "lion", "domain"],
)
@pytest.mark.parametrize("every", [1, 500])
def test_the_first_step_that_is_not_finite_ends_the_run(data, every, write):
    """The run ends at the same step with the same words, and keeps the last finite parameters."""
    result = assert_engines_agree(write(data), every=every)
    assert result.stopped.startswith("not finite")
    assert math.isfinite(result.parameters["x"])


def test_nothing_leaks_from_the_branch_not_taken(write):
    """A gradient of zero gives zero, be the local derivative infinite or not a number."""
    data = {
        "parameters": {"x": [0.0, 4.0, -1.0]},
        "nodes": {
            "c": {"type": "greater", "inputs": ["x", 0]},
            "r": {"type": "sqrt", "inputs": ["x"]},
            "w": {"type": "where", "inputs": ["c", "r", "x"]},
            "f": {"type": "sum", "inputs": ["w"]},
        },
        "maximize": "f",
    }
    assert_engines_agree(write(data), steps=5)


@pytest.mark.campaign
def test_a_parameter_may_become_infinite_where_nothing_else_does(write):
    """What the objective does not see is no failure: the NumPy engine goes on, and so does this one."""
    data = {
        "parameters": {"x": 1e308},
        "nodes": {"f": {"type": "tanh", "inputs": ["y"]}, "y": {"type": "clip", "inputs": ["x"], "min": -1, "max": 1}},
        "minimize": "f",
        "update": {"type": "adamw", "step_size": 3.0, "weight_decay": 1.0},
        "steps": 5,
    }
    assert_engines_agree(write(data), every=5)


# --- one program for a run -------------------------------------------------------------------------------------------


@pytest.fixture
def compilations():
    """Count the programs that XLA is given, by the name of the function."""
    counts = Counter()

    def listen(event, _seconds, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            counts[about.get("fun_name", "")] += 1

    jax.monitoring.register_event_duration_secs_listener(listen)
    return counts


@pytest.mark.parametrize(
    "stop",
    [pytest.param(None, id="steps", marks=pytest.mark.campaign), pytest.param({"gradient_norm": 1e-30}, id="stop")],
)
def test_a_run_compiles_its_loop_once(stop, write, compilations):
    """Rows, stretches of any length, stop rules and the last pass are all of one program."""
    data = {**QUADRATIC, "update": {"type": "adam"}, **({"stop": stop} if stop else {})}
    write(data).run(engine="jax", steps=3000, every=70)
    loops = {name: count for name, count in compilations.items() if "loop" in name}
    assert sum(loops.values()) == 1, compilations


@pytest.mark.campaign
def test_the_second_run_takes_its_programs_from_the_cache(tmp_path):
    """Compiled programs are kept in the user's cache folder."""
    graph = tmp_path / "graph.yaml"
    graph.write_text(yaml.safe_dump(QUADRATIC), encoding="utf-8")
    code = (
        "import graphrun, jax, sys\n"
        "hits = []\n"
        "jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))\n"
        "graphrun.load(sys.argv[1]).run(engine='jax', steps=5)\n"
        "print(sum(event == '/jax/compilation_cache/cache_hits' for event in hits))\n"
    )
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", code, str(graph)]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)
    )
    assert int(first.stdout) == 0
    assert int(second.stdout) > 0
    assert second.stderr == ""


@pytest.mark.campaign
def test_no_cache_folder_is_no_obstacle(tmp_path):
    """Where the folder cannot be made, programs are not kept, and nobody is told of each."""
    graph = tmp_path / "graph.yaml"
    graph.write_text(yaml.safe_dump(QUADRATIC), encoding="utf-8")
    environment = {"XDG_CACHE_HOME": str(graph), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-m", "graphrun", str(graph), "--engine", "jax", "--steps", "2", "--quiet"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_stretches_of_any_length_give_the_same_bits(write, tmp_path):
    """A run that is cut in pieces, saved and resumed is the run in one piece, bit for bit."""
    data = {**QUADRATIC, "update": {"type": "adam", "step_size": 0.05}}
    whole = write(data).run(engine="jax", steps=60, every=60)
    file = tmp_path / "half.safetensors"
    write(data).run(engine="jax", steps=23, every=1, save=file)
    resumed = write(data).run(engine="jax", steps=60, every=7, resume=file)
    for part in ("parameters", "gradients", "values"):
        for name, value in getattr(whole, part).items():
            np.testing.assert_array_equal(getattr(resumed, part)[name], value, err_msg=name)


FEW_NUMBERS = {
    "parameters": {"a": 0.3, "b": -1.7},
    "nodes": {"c": "a * b", "f": "c * c + b"},
    "minimize": "f",
    "update": {"type": "momentum", "step_size": 1, "dampening": 0.9},
}


@pytest.mark.campaign
@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1, 1, 1, 30), (4, 33)])
def test_several_passes_in_a_round_give_the_same_bits(pieces, write):
    """Of a few numbers several passes are one round of the loop; where the pieces of a run end changes nothing."""
    plan = write({**FEW_NUMBERS, "update": {"type": "momentum", "step_size": 0.01}}).plan()
    assert passes_in_a_round(plan, LoopKind(careful=False, watch=False)) > 1
    whole, cut = (JaxEngine().compile(plan) for _ in range(2))
    for program in (whole, cut):
        program.evaluate()
    whole.advance(sum(pieces))
    for count in pieces:
        cut.advance(count)
    slots = range(len(plan.names))
    assert (cut.values(slots), cut.gradients(slots)) == (whole.values(slots), whole.gradients(slots))


@pytest.mark.campaign
@pytest.mark.parametrize("step", [1, *(pytest.param(step, marks=pytest.mark.nightly) for step in (2, 3)), 4])
def test_a_pass_within_a_round_that_is_not_finite_ends_the_run(step, write):
    """An objective that is infinite after one step alone, and finite again after the next, is not passed over."""
    data = {
        "parameters": {"x": 0.0},
        "constants": {"large": 1e308},
        "nodes": {"f": f"x + where(equal(x, {step}), infinite, 0)", "infinite": "10 * large"},
        "maximize": "f",
        "update": {"type": "sgd", "step_size": 1.0},
    }
    result = assert_engines_agree(write(data), steps=20, every=20)
    assert result.steps == step - 1
    assert result.stopped.startswith("not finite")


@pytest.mark.parametrize("engines", [("numpy", "jax"), ("jax", "numpy")])
def test_a_checkpoint_goes_from_engine_to_engine(engines, write, tmp_path):
    """What one engine saves, another goes on from."""
    data = {**QUADRATIC, "update": {"type": "adam", "step_size": 0.05}}
    whole = write(data).run(engine="numpy", steps=20)
    file = tmp_path / "half.safetensors"
    write(data).run(engine=engines[0], steps=9, save=file)
    resumed = write(data).run(engine=engines[1], steps=20, resume=file)
    np.testing.assert_allclose(resumed.parameters["x"], whole.parameters["x"], rtol=1e-12)


# --- data ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def classes(tmp_path):
    """Write a data set of 50 rows with a matrix, a column of numbers and one of labels."""
    drawn = np.random.default_rng(1)
    np.savez(
        tmp_path / "rows.npz", x=drawn.normal(size=(50, 4)), y=drawn.normal(size=50), label=drawn.integers(0, 3, 50)
    )
    return tmp_path / "rows.npz"


def classifier(file, **data):
    """Make a network that is trained on the rows of a file."""
    return {
        "data": {"file": str(file), "columns": {"x": "x", "y": "y", "label": "label"}, **data},
        "parameters": {
            "W": {"shape": [4, 3], "init": {"type": "he_normal"}},
            "table": {"shape": [3, 1], "init": {"type": "he_normal"}},
        },
        "nodes": {
            "logits": "x @ W",
            "vectors": {"type": "embedding", "inputs": ["table", "label"]},
            "apart": {"type": "mean", "inputs": ["distance"]},
            "distance": "square(y - reshape(vectors, shape=[-1]))",
            "entropy": {"type": "cross_entropy", "inputs": ["logits", "label"]},
            "loss": "entropy + apart",
        },
        "minimize": "loss",
        "update": {"type": "momentum", "step_size": 0.05},
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"batch_size": 8, "shuffle": True}, id="shuffled", marks=pytest.mark.campaign),
        pytest.param({"batch_size": 8}, id="in order", marks=pytest.mark.nightly),
        pytest.param({}, id="all rows", marks=pytest.mark.nightly),
        pytest.param({"batch_size": 8, "shuffle": True, "holdout": 0.2}, id="held back"),
    ],
)
def test_steps_get_the_rows_of_the_data_set(data, write, classes):
    """Batches are those of the NumPy engine, over several epochs."""
    pytest.importorskip("graphrun.data")
    assert_engines_agree(write(classifier(classes, **data)), steps=30)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "on_processor"),
    [
        ({"holdout": 0.2}, True),
        ({"shuffle": True}, False),
        *(
            pytest.param(*case, marks=pytest.mark.nightly)
            for case in (({"holdout": 0.2}, False), ({"shuffle": True}, True))
        ),
    ],
    ids=str,
)
def test_rows_on_the_device_are_those_of_the_data_set(data, on_processor, write, classes, monkeypatch):
    """Sliced, put in order or gathered, at any step, over epochs that end within a batch and over several stretches."""
    from graphrun.engines.jax import devices, feed

    monkeypatch.setattr(devices.Placement, "is_processor", on_processor)
    monkeypatch.setattr(feed, "BYTES_AT_ONCE", 3000)
    monkeypatch.setattr(feed, "INDICES_AT_ONCE", 40)
    graph = write(classifier(classes, batch_size=8, **data))
    opened = graph.source.open(3)
    with devices.double_precision():
        rows = feed.make_rows(graph.plan(), opened, devices.Placement(devices.find_device(None)))
        for step in (0, 1, 5, 6, 7, 23, 24, 100, 3):
            picked = rows.pick(rows.of(step), np.int64(step))
            for column, expected in zip(picked, opened.batch(step), strict=True):
                np.testing.assert_array_equal(column, expected)
            rows.prepare(step + 4)


# --- refusals --------------------------------------------------------------------------------------------------------


UNTRACEABLE = """
import numpy
import graphrun

@graphrun.elementwise
def plain(xp, x):
    "Hyperbolic tangent by NumPy."
    return numpy.tanh(x)

@plain.local_derivatives
def _(xp, y, x):
    return (1 - y * y,)

@graphrun.elementwise
def branching(xp, x):
    "Looks at the values."
    return x if xp.all(x > 0) else -x

@branching.local_derivatives
def _(xp, y, x):
    return (xp.sign(x),)

@graphrun.tensor
def lazy(xp, x):
    "Looks at the gradient, when it is asked for."
    return xp.sum(x)

@lazy.vjp
def _(xp, gradient, y, x):
    return (lambda: gradient * xp.ones_like(x) if gradient else xp.zeros_like(x),)

@graphrun.update_rule
def hesitant(xp, value, gradient, *, step_size: float = 0.1):
    "Looks at the gradient."
    return value - step_size * gradient if abs(gradient) > 1e-3 else value

@graphrun.hookimpl
def graphrun_node_types():
    return [plain, branching, lazy]

@graphrun.hookimpl
def graphrun_update_rules():
    return [hesitant]
"""


@pytest.mark.parametrize(
    ("nodes", "update", "message"),
    [
        ({"f": "plain(x)"}, "sgd", r"node type plain \(.*ours\.py\): it calls NumPy itself"),
        ({"f": "branching(x)"}, "sgd", r"node type branching \(.*ours\.py\): it looks at a value"),
        ({"f": "lazy(x)"}, "sgd", r"node type lazy \(.*ours\.py\): it looks at a value"),
        ({"f": "x * x", "aside": "plain(x)"}, "sgd", "node type plain"),
        ({"f": "x * x"}, "hesitant", r"update rule hesitant \(.*ours\.py\): it looks at a value"),
    ],
    ids=["numpy", "branch", "lazy", "aside", "rule"],
)
def test_what_cannot_be_traced_is_named_before_the_run(nodes, update, message, write, tmp_path):
    """A plugin's function that JAX cannot trace is refused with its file and the reason, and runs on NumPy."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "ours.py").write_text(UNTRACEABLE, encoding="utf-8")
    data = {"parameters": {"x": 1.0}, "nodes": nodes, "minimize": "f", "update": {"type": update}}
    graph = write(data, plugins=[folder])
    assert graph.run(engine="numpy").steps == 1
    with pytest.raises(UsageError, match=message):
        graph.run(engine="jax")


def test_a_solver_is_not_taken_for_this_engine():
    """A solver evaluates with NumPy, and says so where another engine is asked for."""
    graph = graphrun.load(GRAPHS[0].parent / "logistic.yaml")
    for options in ({"engine": "jax"}, {"engine": "numba"}, {"device": "cpu"}):
        with pytest.raises(UsageError, match="the solver lbfgs works with the numpy engine"):
            graph.run(**options)


@pytest.mark.parametrize(
    ("device", "message"),
    [("abacus", "is none of cpu, gpu, tpu"), ("cpu:99", "unknown; the last one is"), ("tpu", "JAX finds no tpu")],
)
def test_a_device_that_is_not_there_is_refused(device, message, write):
    """The message says what there is."""
    with pytest.raises(UsageError, match=message):
        write(QUADRATIC).run(engine="jax", device=device)


def test_a_device_is_for_this_engine_only(write):
    """Another engine does not take one in silence."""
    with pytest.raises(UsageError, match="jax engine's"):
        write(QUADRATIC).run(engine="numpy", device="cpu")


@pytest.mark.slow
def test_a_missing_jax_is_told_with_the_command_that_installs_it(tmp_path):
    """Without JAX, the engine's name is an error that helps."""
    graph = tmp_path / "graph.yaml"
    graph.write_text(yaml.safe_dump(QUADRATIC), encoding="utf-8")
    code = (
        "import sys\nsys.modules['jax'] = None\n"
        "from graphrun.cli.entry import run_command\nsys.exit(run_command([sys.argv[1], '--engine', 'jax']))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(graph)], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "pip install 'graphrun[jax]'" in result.stderr


# --- auto ------------------------------------------------------------------------------------------------------------


def chosen(graph, steps):
    """Return what ``auto`` chooses for a run of so many steps."""
    return choose(graph.plan(), steps, graph.source.open(0))


def test_auto_stays_with_numpy_for_a_short_training(write, classes):
    """A few seconds of NumPy are over before XLA has compiled."""
    choice = chosen(write(classifier(classes, batch_size=8, shuffle=True)), 1000)
    assert str(choice).startswith("engine numpy: a run of about 0.")


def test_auto_takes_jax_for_a_long_training(write, classes):
    """In one line it says which engine it took, and why."""
    choice = chosen(write(classifier(classes, batch_size=8, shuffle=True)), 10**7)
    assert choice.engine == "jax"
    assert re.fullmatch(r"engine jax: numpy would take about \d+ s for its arrays", str(choice))


@pytest.mark.slow
def test_auto_runs_what_it_chose(write, classes):
    """The run is the chosen engine's."""
    graph = write(classifier(classes, batch_size=8))
    lines = []
    result = graph.try_run(10**7, on_choice=lambda choice: lines.append(str(choice)), interrupted=lambda: True)
    assert (result.engine, result.stopped) == ("jax", "interrupted")
    assert [line.partition(":")[0] for line in lines] == ["engine jax"]


def test_auto_suggests_what_would_help(write, classes, monkeypatch):
    """Without JAX, the command that installs it is named where it would pay, and only there."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    graph = write(classifier(classes, batch_size=8))
    assert str(chosen(graph, 10**7)).endswith("XLA would take a part of it: pip install 'graphrun[jax]'")
    assert chosen(graph, 100).suggestion == ""


def test_auto_says_what_jax_cannot_run(write, tmp_path):
    """A plugin that calls NumPy itself is run by NumPy, and named."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "ours.py").write_text(UNTRACEABLE, encoding="utf-8")
    data = {"parameters": {"x": [1.0, 2.0]}, "nodes": {"f": "sum(plain(x))"}, "minimize": "f"}
    choice = chosen(write(data, plugins=[folder]), 10**8)
    assert choice.engine == "numpy"
    assert "jax would be faster, but the jax engine cannot run the node type plain" in str(choice)


# --- every type ------------------------------------------------------------------------------------------------------

TYPES = [declared for declared in nodes.graphrun_node_types() if "jax" in declared.forms]


@pytest.mark.campaign
@pytest.mark.parametrize("declared", TYPES, ids=lambda declared: declared.name)
def test_forms_of_this_engine_agree_with_the_types_own_functions(declared):
    """XLA's own operations give what the plain array form gives, in both functions, on every example."""
    drawn = np.random.default_rng(0)
    from graphrun.engines.jax.devices import double_precision

    form = declared.forms["jax"]
    for example in declared.examples:
        given = example.values or [drawn.normal(size=shape) for shape in example.shapes]
        inputs = [np.asarray(values, np.float64) for values in given]
        given_settings = dict(declared.read_settings(example.settings))
        expected = declared.function(np, *inputs, **given_settings)
        gradient = np.asarray(drawn.normal(size=np.shape(expected)))
        derivatives = declared.derivative(np, gradient, expected, *inputs, **given_settings)
        with double_precision():
            arrays = [jax.numpy.asarray(array) for array in (gradient, expected, *inputs)]

            def both(gradient, output, *inputs, given_settings=given_settings):
                parts = form.derivative(jax.numpy, gradient, output, *inputs, **given_settings)
                return form.function(jax.numpy, *inputs, **given_settings), [
                    part() if callable(part) else part for part in parts
                ]

            actual, found = jax.jit(both)(*arrays)
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
            for pair in zip(found, derivatives, strict=True):
                one, other = (part() if callable(part) else part for part in pair)
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
