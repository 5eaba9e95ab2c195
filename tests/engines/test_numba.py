"""The numba engine against the NumPy engine, which is the specification: the same numbers, the same end of a run."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lesson import NESTED, each_of
from random_graphs import TYPES, graphs

import graphrun
from graphrun.api import Graph
from graphrun.cli.entry import run_command
from graphrun.engines.auto import get_engine
from graphrun.engines.numba import compiler, loops
from graphrun.engines.numba import engine as form

pytest.importorskip("numba", reason="the engine needs it: pip install 'graphrun[numba]'")
event = importlib.import_module("numba.core.event")

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(ROOT.glob("graphs/*.yaml"))
ROSENBROCK = """\
parameters: {x: -1.2, y: {value: 0.5, upper: 0.9}}
nodes:
  f: (1 - x) ** 2 + 100 * (y - x ** 2) ** 2
minimize: f
"""

Load = Callable[[str], Graph]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the tests' own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(params=["straight line", "loops"])
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both forms of compiled code, whatever the size of the graph."""
    use(request.param, monkeypatch)
    return request.param


def use(shape: str, patch: pytest.MonkeyPatch) -> None:
    """Have graphs of any size compiled in a form; in runs, all nodes of narrow batches are instructions."""
    if shape != "straight line":
        patch.setattr(form, "STRAIGHT_LINE_OPERATIONS", 0)
        patch.setattr(loops, "SHORTEST_RUN", 1 if shape == "runs" else 10**9)


SHAPES = st.sampled_from(["straight line", "loops", "runs"])


MOSTLY_STRAIGHT = pytest.mark.parametrize(
    "shape", ["straight line", pytest.param("loops", marks=pytest.mark.nightly)], indirect=True
)
"""Both forms in a nightly run, for tests that compile much: random graphs are compiled in all forms in the campaign."""


def assert_same(graph: Graph, steps: int | None = None, rtol: float = 1e-10, atol: float = 1e-300, **how: Any) -> Any:
    """Run a graph on both engines and compare everything that a result holds."""
    numpy, numba = (graph.try_run(steps, engine=engine, **how) for engine in ("numpy", "numba"))
    assert (numba.steps, numba.stopped) == (numpy.steps, numpy.stopped)
    close = {"rtol": rtol, "atol": atol, "equal_nan": True}
    for part in ("parameters", "values", "gradients", "history"):
        expected = getattr(numpy, part)
        for name, value in getattr(numba, part).items():
            np.testing.assert_allclose(value, expected[name], **close, err_msg=f"{part} {name}")
    assert numba.engine == "numba"
    return numba


# --- the same numbers ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@MOSTLY_STRAIGHT
@pytest.mark.parametrize("file", each_of(EXAMPLES, quick=["nested"]))
def test_every_example_of_numbers_agrees(file: Path, shape: str) -> None:
    """On a graph file of the distribution, both engines give the same; what it cannot run is refused by name."""
    graph = graphrun.load(file)
    plan = graph.plan()
    if any(plan.shapes) or plan.objective is None or not isinstance(plan.update.rule, graphrun.UpdateRule):
        with pytest.raises(graphrun.UsageError, match=r"engine numba: |works with the numpy engine, not with numba"):
            graph.run(engine="numba")
        return
    # What cancels at the end of Newton's method is rounding of numbers of the size of the root.
    assert_same(graph, atol=1e-15 if file.stem == "newton" else 1e-300)


@pytest.mark.campaign(seconds=15)
@settings(deadline=None, max_examples=examples(25), suppress_health_check=list(HealthCheck))
@given(data=graphs(), steps=st.integers(0, 30), shape=SHAPES)
def test_random_graphs_agree(data: dict[str, Any], steps: int, shape: str, tmp_path: Path) -> None:
    """Values and gradients of every node agree after some steps, also where a run ends at something not finite."""
    del data["nodes"]["total"]
    data["maximize"] = list(data["nodes"])[-1]
    data["update"] = {"type": "momentum", "step_size": 1e-3}
    path = tmp_path / "graph.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        use(shape, patch)
        assert_same(graphrun.load(path), steps, atol=1e-12)


@pytest.mark.campaign(seconds=15)
@settings(deadline=None, max_examples=examples(25), suppress_health_check=list(HealthCheck))
@given(
    data=graphs(),
    step_size=st.sampled_from([1e-3, 1.0, 1e3, 1e200]),
    rule=st.sampled_from(["sgd", "adam", "rmsprop"]),
    stop=st.sampled_from([None, {"gradient_norm": 0.5}, {"change": 1e-3}, {"patience": 2}, {"value": 0.1}]),
    shape=SHAPES,
)
def test_random_runs_end_alike(
    data: dict[str, Any], step_size: float, rule: str, stop: Any, shape: str, tmp_path: Path
) -> None:
    """At the same step for the same reason, in the same words; a run that is resumed goes on to the same end."""
    del data["nodes"]["total"]
    data |= {"minimize": list(data["nodes"])[-1], "update": {"type": rule, "step_size": step_size}}
    data |= {"stop": stop} if stop else {}
    del data["maximize"]
    path, half = tmp_path / "graph.yaml", tmp_path / "half.safetensors"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    graph = graphrun.load(path)
    with pytest.MonkeyPatch.context() as patch:
        use(shape, patch)
        # Few steps: large ones magnify the last digit, in which functions may differ.
        whole = assert_same(graph, 4, rtol=1e-6, atol=1e-9)
        assert str(whole.error) == str(graph.try_run(4, engine="numpy").error)
        if whole.error is None and whole.stopped == "steps":
            graph.run(2, engine="numba", save=half)
            resumed = graph.run(4, engine="numba", resume=half)
            # To the last bit, and NaN where NaN is.
            np.testing.assert_equal(resumed.parameters, whole.parameters)
            np.testing.assert_equal(resumed.gradients, whole.gradients)


@pytest.mark.campaign(seconds=15)
@pytest.mark.parametrize(
    ("dtype", "every"),
    # The audit of accuracy compiles types in both precisions too.
    [("float64", 1), *(pytest.param("float32", every, marks=pytest.mark.nightly) for every in (6, 1))],
)
def test_every_elementwise_type_agrees(load: Load, dtype: str, every: int) -> None:
    """Each type, with its defaults and each example's settings, at ordinary numbers, in one graph."""
    nodes: dict[str, Any] = {}
    for name, declared in sorted(TYPES.items()):
        for number, chosen in enumerate([{}, *(example.settings for example in declared.examples)]):
            inputs = ["p", "q", "r"][: declared.arity[0]]
            nodes[f"{name}_{number}"] = {"type": name, "inputs": inputs, **chosen}
    nodes["acosh_0"] = {"type": "acosh", "inputs": [2.5]}
    # Compiling takes more than twice as long for twice the nodes.
    for few in batched(list(nodes)[::every], 12):
        data = {"parameters": {"p": 0.6, "q": 0.3, "r": 0.9}, "minimize": "f"}
        data["nodes"] = {name: nodes[name] for name in few} | {"f": " + ".join(few)}
        text = yaml.safe_dump({**data, "update": {"type": "sgd", "step_size": 1e-4}}, sort_keys=False)
        assert_same(load(text), 3, rtol=1e-10 if dtype == "float64" else 1e-4, dtype=dtype)


def batched(names: Iterable[str], count: int) -> Iterator[tuple[str, ...]]:
    """Names in groups, as Python 3.12's itertools have it."""
    rest = iter(names)
    while group := tuple(islice(rest, count)):
        yield group


UPDATES = [
    "{type: sgd, step_size: 1e-2, weight_decay: 0.1, clip_norm: 0.5}",
    "{type: momentum, step_size: {type: step, start: 0.001, every: 7}, dampening: 0.1}",
    "{type: nesterov, step_size: {type: one_cycle, peak: 0.0001, steps: 50}}",
    "{type: adam, step_size: 1e-2, clip_value: 0.5}",
    "{type: adamw, step_size: {type: cosine, start: 0.1, steps: 40, warm_up: 5}}",
    "{type: rmsprop, centered: true, momentum: 0.5}",
    "{type: adagrad, step_size_decay: 0.1, initial_accumulator: 0.1}",
    "{type: lion, step_size: 1e-3, weight_decay: 0.1}",
]
"""Each rule, way to clip and schedule once: each is compiled, which takes most of the time."""


# Loops and straight lines share the writer of an update; they differ in how they reach state, norms and schedules.
@pytest.mark.campaign
@pytest.mark.parametrize(
    ("shape", "update"),
    [("straight line", update) for update in UPDATES] + [("loops", UPDATES[i]) for i in (0, 4)],
    indirect=["shape"],
)
def test_updates_agree(load: Load, shape: str, update: str) -> None:
    """Every update rule, clipping and schedules, within bounds, after each of 60 steps."""
    assert_same(load(f"{ROSENBROCK}update: {update}\n"), 60)


CHAIN = """\
parameters: {a: 0.7, b: -0.4, c: 0.9}
nodes:
%s
  f: s0 + s1 + s2 + s3 + s4 + n39
minimize: f
update: {type: momentum, step_size: 0.001}
"""
STEPS_OF_CHAIN = (
    "n{k} + b",
    "tanh(n{k})",
    "n{k} * n{j}",
    "n{k} - n{j} ** 2",
    "where(n{k} - a, n{k}, sqrt(n{j} - n{j}))",
)


@pytest.mark.campaign
def test_runs_give_the_numbers_of_loops(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, of instructions of one to three operands and literals, masked; a wide batch is between them."""
    chain = (f"n{k}: {STEPS_OF_CHAIN[k % 5].format(k=k - 1, j=k // 2)}" for k in range(1, 40))
    lines = ["n0: a * c", *chain, *(f"s{k}: n10 * n{k}" for k in range(5))]
    graph = load(CHAIN % "\n".join(f"  {line}" for line in lines))
    results = []
    for shape in ("loops", "runs"):
        use(shape, monkeypatch)
        results.append(assert_same(graph, 20))
    assert results[0].values == results[1].values
    assert results[0].gradients == results[1].gradients
    program = get_engine("numba").compile(graph.plan())
    assert isinstance(program, form.NumbaProgram)
    assert len(program._code.batches) < len(loops.loops(graph.plan(), divided=True).batches)
    program.evaluate()
    timed = [slot for timed in program.time_nodes(1).nodes for slots in timed.slots for slot in slots]
    assert sorted(timed) == [slot for batch in graph.plan().in_loop for slot in batch.slots]


# --- the same end of a run -------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("shape", "stop"),
    [
        ("straight line", "{gradient_norm: 1.0}"),
        ("straight line", "{value: 0.5}"),
        ("straight line", "{change: 0.001}"),
        ("straight line", "{patience: 3}"),
        ("loops", "{patience: 500, change: 1e-5}"),
        ("loops", "{gradient_norm: 1.0}"),
    ],
    indirect=["shape"],
)
def test_stop_rules_agree(load: Load, shape: str, stop: str) -> None:
    """A run stops at the same step for the same reason."""
    result = assert_same(load(f"{ROSENBROCK}update: {{type: adam, step_size: 0.3}}\nstop: {stop}\nsteps: 3000\n"))
    assert result.stopped in {"gradient_norm", "value", "change", "patience"}


@pytest.mark.slow
@MOSTLY_STRAIGHT
def test_a_step_that_is_not_finite_is_undone(load: Load, shape: str) -> None:
    """The run ends at the same step, with the last finite parameters, and the same error names the node."""
    graph = load("parameters: {x: 1.5}\nnodes: {f: x ** 4}\nminimize: f\nupdate: {type: momentum, step_size: 1}\n")
    result = assert_same(graph, 50)
    assert "pow" in str(result.error)
    assert str(result.error) == str(graph.try_run(50, engine="numpy").error)


@pytest.mark.campaign
@MOSTLY_STRAIGHT
def test_a_start_that_is_not_finite_fails_at_row_0(load: Load, shape: str) -> None:
    """So the first evaluation fails as the NumPy engine's does."""
    graph = load("parameters: {x: -1}\nnodes: {f: log(x)}\nminimize: f\n")
    result = graph.try_run(5, engine="numba")
    assert str(result.error) == str(graph.try_run(5, engine="numpy").error)


@pytest.mark.campaign
@MOSTLY_STRAIGHT
def test_a_gradient_of_zero_hides_what_is_behind_it(load: Load, shape: str) -> None:
    """The branch of a where that is not taken gives 0, be its derivative infinite or not a number."""
    graph = load(
        """\
parameters: {x: 1.0, y: 0.0}
nodes:
  positive: x > 0.5
  root: sqrt(y)
  f: where(positive, x * x, root)
minimize: f
update: {type: sgd, step_size: 0.01}
""".replace("x > 0.5", "{type: greater, inputs: [x, 0.5]}")
    )
    result = assert_same(graph, 20)
    assert result.gradients["y"] == 0


@pytest.mark.campaign
@MOSTLY_STRAIGHT
def test_a_resumed_run_equals_the_uninterrupted_one(load: Load, shape: str, tmp_path: Path) -> None:
    """To the last bit, and a checkpoint of one engine is one of the other."""
    graph = load(f"{ROSENBROCK}update: {{type: adam}}\n")
    file = tmp_path / "run.safetensors"
    whole = graph.run(70, engine="numba")
    graph.run(30, engine="numba", save=file)
    resumed = graph.run(70, engine="numba", resume=file)
    assert resumed.parameters == whole.parameters
    assert resumed.gradients == whole.gradients
    other = graph.run(70, engine="numpy", resume=file)
    np.testing.assert_allclose(other.values["f"], whole.values["f"], rtol=1e-10)


@pytest.mark.slow
@MOSTLY_STRAIGHT
def test_rows_do_not_change_a_run(load: Load, shape: str) -> None:
    """However often a run is looked at, its numbers are the same to the last bit."""
    graph = load(f"{ROSENBROCK}update: {{type: adam}}\n")
    assert graph.run(500, engine="numba", every=1).parameters == graph.run(500, engine="numba", every=500).parameters


# --- what it cannot run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("x if x > 0 else 0 * x", "decides by the value of a number"),
        ("math.exp(x)", "something else than the functions of xp"),
        ("xp.linalg.norm(x)", "xp.linalg"),
    ],
)
def test_a_plugin_that_cannot_be_compiled_is_named(tmp_path: Path, body: str, reason: str) -> None:
    """Before the run starts, with the reason; auto runs it with NumPy and says so."""
    (tmp_path / "odd.py").write_text(
        f"import math\n\nimport graphrun\n\n\n@graphrun.elementwise\ndef odd(xp, x):\n    return {body}\n\n\n"
        "@odd.local_derivatives\ndef _(xp, y, x):\n    return (1.0,)\n\n\n"
        "@graphrun.hookimpl\ndef graphrun_node_types():\n    return [odd]\n"
    )
    file = tmp_path / "graph.yaml"
    file.write_text("parameters: {x: 1.0}\nnodes: {f: odd(x)}\nminimize: f\n")
    graph = graphrun.load(file, plugins=[tmp_path])
    with pytest.raises(graphrun.UsageError, match=rf"engine numba: the node type odd \(.*odd.py\) .*{reason}"):
        graph.run(1, engine="numba")
    choices = []
    result = graph.try_run(3_000_000, engine="auto", on_choice=choices.append, interrupted=lambda: True)
    assert result.engine == "numpy"
    assert "node type odd" in str(choices[0])


ODD = """\
import graphrun

@graphrun.elementwise
def odd(xp, x):
    return x if x > 0 else 0 * x

@odd.local_derivatives
def _(xp, y, x):
    return (1.0,)

@graphrun.update_rule
def halves(xp, value, gradient, *, step_size: float = 0.01):
    return value - step_size * gradient if value > 0 else value

@graphrun.hookimpl
def graphrun_node_types():
    return [odd]

@graphrun.hookimpl
def graphrun_update_rules():
    return [halves]
"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("parameters: {x: 1.0}\nnodes: {f: odd(x)}\nminimize: f\n", "the node type odd"),
        ("parameters: {x: 1.0}\nnodes: {f: x * x}\nminimize: f\nupdate: {type: halves}\n", "the update rule halves"),
    ],
    ids=["node type", "update rule"],
)
def test_the_command_line_names_what_cannot_be_compiled(
    text: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--engine numba` ends with 2 before anything is printed; auto takes NumPy and says so in one line on stderr."""
    monkeypatch.chdir(tmp_path)
    Path("odd.py").write_text(ODD)
    Path("graph.yaml").write_text(text + "steps: 5_000_000\nstop: {gradient_norm: 1e9}\n".replace("_", "", 2))
    assert run_command(["graph.yaml", "--plugins", ".", "--engine", "numba"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"graphrun: engine numba: {named} (")
    assert run_command(["graph.yaml", "--plugins", "."]) == 0
    captured = capsys.readouterr()
    assert re.match(rf"engine numpy: a run of about \d+ s; numba would be faster, but {named} \(", captured.err)
    assert captured.err.count("\n") == 1
    assert "stopped: gradient_norm" in captured.out


@pytest.mark.slow
def test_a_numba_that_cannot_be_imported_is_told(tmp_path: Path) -> None:
    """As that of another NumPy: `--engine numba` ends with 2 and no traceback, auto takes NumPy and says why."""
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text('raise ImportError("Numba needs NumPy 1.0 or less")\n')
    file = tmp_path / "graph.yaml"
    # It grows, and ends where it is not finite any more.
    file.write_text(NESTED + "steps: 5000000\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    reason = "Numba cannot be imported: ImportError: Numba needs NumPy 1.0 or less\n"
    for engine, status, said in (
        ("numba", 2, f"graphrun: engine numba: {reason}"),
        ("auto", 1, f"engine numpy: a run of about 9 s; numba would be faster, but {reason}"),
    ):
        command = [sys.executable, "-m", "graphrun", file, "--engine", engine]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status
        assert done.stderr.startswith(said)


# --- auto ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_auto_takes_numpy_for_a_short_run_and_numba_for_a_long_one(load: Load) -> None:
    """And says what it took and why."""
    graph = load(NESTED.replace("0.01", "1e-9"))
    choices: list[Any] = []
    assert graph.try_run(10, on_choice=choices.append).engine == "numpy"
    assert graph.try_run(3_000_000, on_choice=choices.append).engine == "numba"
    assert "short" in choices[0].reason
    assert "numpy would take" in choices[1].reason


@pytest.mark.slow
def test_a_short_run_does_not_import_numba(tmp_path: Path) -> None:
    """Nor what reads the source of compiled code."""
    file = tmp_path / "nested.yaml"
    file.write_text(NESTED)
    script = (
        "import sys, graphrun; graphrun.load(sys.argv[1]).run(10);"
        "print([name for name in sys.modules if 'numba' in name or 'llvm' in name or 'native' in name])"
    )
    done = subprocess.run([sys.executable, "-c", script, file], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- the cache -------------------------------------------------------------------------------------------------------

COUNTED = """\
import sys
import graphrun
from numba.core import event

compiled = []
class Listener(event.Listener):
    def on_start(self, found): compiled.append(found.data["dispatcher"].py_func.__name__)
    def on_end(self, found): pass

event.register("numba:compile", Listener())
result = graphrun.load(sys.argv[1]).run(10, engine="numba")
print(len(compiled), result.values["f"])
"""


def start(file: Path, folder: Path) -> subprocess.Popen[str]:
    """Start a process that runs a graph and prints how often the steps were compiled."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    return subprocess.Popen([sys.executable, "-c", COUNTED, file], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.campaign
def test_the_second_start_compiles_nothing(tmp_path: Path) -> None:
    """Two first starts at once do not disturb each other, and the next takes their code; nothing else is left."""
    file = tmp_path / "nested.yaml"
    file.write_text(NESTED)
    folder = tmp_path / "cache"
    first = [process.communicate()[0].split() for process in [start(file, folder) for _ in range(2)]]
    assert {value for _, value in first} == {"-2.9390591943007185"}
    before = kept(folder)
    assert sorted(path.suffix for path in before) == [".nbc", ".nbi", ".py"]
    assert start(file, folder).communicate()[0].split() == ["0", "-2.9390591943007185"]
    assert kept(folder) == before


def kept(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Return what is in a cache folder: the content of each file, and when it was changed."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def compiled_anew(graph: Graph) -> int:
    """Run a graph as a process that has not yet run it; return how often Numba compiled for it."""
    compiler._compiled.cache_clear()
    with event.install_recorder("numba:compile") as recorder:
        assert graph.run(10, engine="numba").values["f"] == pytest.approx(-2.9390591943007185)
    return len(recorder.buffer)


@pytest.mark.campaign
def test_damaged_files_of_the_cache_are_replaced(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a full disk left half written, or empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    graph = load(NESTED)
    assert compiled_anew(graph)
    for suffix, left in [(".nbc", 0), (".nbc", 100), (".nbi", 0), (".nbi", 100)]:
        (damaged,) = (tmp_path / "cache").rglob(f"*{suffix}")
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[:left])
        assert compiled_anew(graph)
        assert len(damaged.read_bytes()) == len(whole)
    assert not compiled_anew(graph)


@pytest.mark.slow
def test_no_cache_folder_is_no_obstacle(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the folder cannot be made, code is compiled and not kept."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load(NESTED).run(10, engine="numba").values["f"] == pytest.approx(-2.9390591943007185)


@pytest.mark.campaign
def test_a_cache_that_nothing_can_be_put_into_is_no_obstacle(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is a text, but no room for its code: it is compiled and not kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "full"))
    graph = load(NESTED)
    assert compiled_anew(graph)
    (text,) = (tmp_path / "full" / "graphrun" / "native").glob("*.py")
    shutil.rmtree(text.parent / "__pycache__")
    (text.parent / "__pycache__").write_text("")
    assert compiled_anew(graph)


@pytest.mark.slow
def test_a_user_without_a_home_has_no_cache(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number of its own."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nobody)
    assert load(NESTED).run(10, engine="numba").values["f"] == pytest.approx(-2.9390591943007185)


def test_another_step_size_or_start_compiles_nothing(load: Load, cache: Path) -> None:
    """What --set and a sweep change is no part of the compiled code."""
    load(NESTED).run(1, engine="numba")
    before = sorted(cache.rglob("*.nbc"))
    load(NESTED.replace("0.01", "0.5").replace("a: 5", "a: 7")).run(1, engine="numba")
    assert sorted(cache.rglob("*.nbc")) == before
