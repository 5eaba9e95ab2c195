"""`graphrun profile FILE`: what it tells of a step. How long anything takes is no part of the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson import GRAPHS

import graphrun
from graphrun.cli.entry import run_command
from graphrun.show.profile.table import WIDTH
from graphrun.show.profile.work import work_of_batches, work_of_update

NESTED = """\
parameters: {a: 5, b: -3, c: -2}
nodes:
  d: {type: add, inputs: [a, b]}
  f: {type: multiply, inputs: [d, c]}
maximize: f
update: {type: sgd, step_size: 1e-9}
"""
NETWORK = """\
parameters:
  W: {shape: [7, 5], init: {type: he_normal}}
  b: {shape: [5], init: {type: zeros}}
  kernel: {shape: [4, 3, 2, 2], init: {type: he_normal}}
  bias: {shape: [4], init: {type: zeros}}
  left: {shape: [2, 3, 4], init: {type: he_normal}}
constants:
  x: [[1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1], [1, 0, 1, 0, 1, 0, 1]]
  right: [[[1, 2], [3, 4], [5, 6], [7, 8]], [[1, 2], [3, 4], [5, 6], [7, 8]]]
  image: [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[2, 2, 2], [2, 2, 2], [2, 2, 2]]]]
nodes:
  h: x @ W
  shifted: h + b
  windows: conv2d(image, kernel, bias)
  product: einsum(left, right, subscripts="bij,bjk->bik")
  f: sum(shifted) + sum(windows) + sum(product)
minimize: f
update: {type: momentum, step_size: 1e-9}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and a cache of the tests' own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "nested.yaml").write_text(NESTED)
    (tmp_path / "network.yaml").write_text(NETWORK)
    return tmp_path


def profiled(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return the JSON form of a profile."""
    assert run_command(["profile", *arguments, "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def assert_whole(profile: dict[str, Any]) -> None:
    """Check that parts, types and sums belong together."""
    for key in ("count", "bytes", "operations"):
        assert sum(part[key] for part in profile["parts"]) == sum(total[key] for total in profile["types"])
    for key in ("bytes", "operations"):
        assert sum(total[key] for total in profile["types"]) + profile["update"][key] == profile["work"][key]
    assert profile["seconds"] > 0
    shares = profile["share_of_peaks"]
    rate = profile["work"]["bytes"] / profile["seconds"]
    assert shares["copied"] == pytest.approx(rate / profile["machine"]["copied"])
    assert shares["copied_as_much"] == pytest.approx(rate / profile["machine"]["copied_as_much"])
    done = profile["work"]["operations"] / profile["seconds"]
    assert shares["multiplied"] == pytest.approx(done / profile["machine"]["multiplied"])


# --- what a step does, counted by hand -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_lesson_is_counted_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes and operations of each node and of the update, on the NumPy engine, of which both passes are told apart."""
    profile = profiled(capsys, "nested.yaml", "--engine", "numpy", "--steps", "3")
    assert (profile["engine"], profile["dtype"], profile["steps"]) == ("numpy", "float64", 3)
    # Forward 3 numbers; backward its gradient, its output and 2 inputs, and 2 gradients read and written.
    assert {total["type"]: (total["count"], total["bytes"], total["operations"]) for total in profile["types"]} == {
        "add": (1, 88, 1 + 2),  # a sum; two gradients are added to
        "multiply": (1, 88, 1 + 4),  # a product; two products are added
    }
    assert profile["update"] == {"bytes": 3 * 24, "operations": 3 * 3}
    assert all(0 <= part["backward"] <= part["seconds"] for part in profile["parts"])
    assert_whole(profile)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("numpy", "parameters: {x: 3}\nminimize: x\n"),
        ("numba", "parameters: {x: {value: 3, frozen: true}}\nnodes: {f: x ** 2}\nminimize: f\n"),
    ],
)
def test_a_loop_without_nodes(engine: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The objective is a parameter, or all are frozen: nothing is timed, and a compiled step takes no time."""
    (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
    assert run_command(["profile", str(tmp_path / "g.yaml"), "--engine", engine]) == 0
    assert "A step touches" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "form"),
    [pytest.param("20", "node by node", marks=pytest.mark.campaign), ("200", "straight-line Python")],
)
def test_the_table_of_the_numpy_engine_divides_a_whole_step(
    steps: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nodes and what is left for update, data set and checks are a step, however many steps a round makes."""
    profile = profiled(capsys, "nested.yaml", "--engine", "numpy", "--steps", steps)
    assert profile["form"] == form
    nodes = sum(total["seconds"] for total in profile["types"])
    assert profile["rest"] == pytest.approx(max(profile["seconds_divided"] - nodes, 0))
    assert run_command(["profile", "nested.yaml", "--engine", "numpy", "--steps", steps]) == 0
    assert "\nupdate and rest " in capsys.readouterr().out


def test_contractions_are_counted_by_hand() -> None:
    """Two operations for each product that is summed up; as many again for each input that has a gradient."""
    plan = graphrun.load("network.yaml").plan()
    counted = {plan.names[b.start]: w.operations for b, w in zip(plan.in_loop, work_of_batches(plan), strict=True)}
    assert counted["h"] == 2 * (2 * 3 * 7 * 5)  # x is a constant
    assert counted["windows"] == 2 * (2 * (4 * 2 * 2) * (3 * 2 * 2))  # image is a constant, a bias is no contraction
    assert counted["product"] == 2 * (2 * 2 * 3 * 4 * 2)
    assert counted["shifted"] == 15 + 2 * 15
    elements = 35 + 5 + 48 + 4 + 24
    assert work_of_update(plan).bytes == 8 * elements * 5


PLUGIN = """\
import graphrun

@graphrun.tensor(cost={cost})
def halved(xp, x, *, times: int = 1):
    \"\"\"Half of x, some times over.\"\"\"
    return x * 0.5 ** times

@halved.vjp
def _(xp, gradient, y, x, *, times):
    return (gradient * 0.5 ** times,)

@graphrun.hookimpl
def graphrun_node_types():
    return [halved]
"""
HALVED = """\
parameters: {x: [1, 2, 3]}
nodes: {h: {type: halved, inputs: [x], times: 4}, f: sum(h)}
minimize: f
update: {type: sgd, step_size: 1e-9}
"""


@pytest.mark.parametrize(
    ("cost", "counted"),
    [
        ("None", 3 + 3),
        ("lambda y, x, *, times: 10 * times * y.size + x.ndim", 2 * (10 * 4 * 3 + 1)),
        ("lambda y, x, *, times: (times, 100)", 4 + 100),
    ],
)
def test_a_plugin_declares_its_cost(cost: str, counted: int) -> None:
    """By the shapes and the settings: the same for each gradient, or what a tuple says."""
    Path("halved.py").write_text(PLUGIN.format(cost=cost))
    Path("halved.yaml").write_text(HALVED)
    plan = graphrun.load("halved.yaml", plugins=["."]).plan()
    assert next(iter(work_of_batches(plan))).operations == counted


def test_a_cost_that_raises_is_the_plugin_s_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the type."""
    Path("halved.py").write_text(PLUGIN.format(cost="lambda y, x: 1 / 0"))
    Path("halved.yaml").write_text(HALVED)
    assert run_command(["profile", "halved.yaml", "--plugins", ".", "--steps", "2", "--engine", "numpy"]) == 1
    assert "profile: the cost of the node type halved: TypeError: " in capsys.readouterr().err


@pytest.mark.campaign
def test_half_the_bytes_in_single_precision(capsys: pytest.CaptureFixture[str]) -> None:
    """As of arrays."""
    double, single = (
        profiled(capsys, "network.yaml", "--engine", "numpy", "--steps", "2", "--dtype", dtype)
        for dtype in ("float64", "float32")
    )
    assert single["work"]["operations"] == double["work"]["operations"]
    assert single["work"]["bytes"] * 2 == double["work"]["bytes"]
    assert single["dtype"] == "float32"
    assert_whole(single)


# --- engines ---------------------------------------------------------------------------------------------------------


@pytest.mark.campaign
def test_straight_line_code_of_numba(capsys: pytest.CaptureFixture[str]) -> None:
    """It says that nodes are timed as loops, and the second time that nothing was compiled."""
    pytest.importorskip("numba", reason="the engine needs it: pip install 'graphrun[numba]'")
    first = profiled(capsys, "nested.yaml", "--engine", "numba", "--steps", "1000")
    again = profiled(capsys, "nested.yaml", "--engine", "numba", "--steps", "1000")
    assert first["form"] == "straight-line code"
    assert "straight-line code cannot be divided" in first["how"]
    assert (first["compiled"], again["compiled"]) == ("compiled anew, and kept", "from the cache")
    assert [part["name"] for part in first["parts"]] == ["d", "f"]
    assert all(part["seconds"] >= 0 and part["backward"] is None for part in first["parts"])
    assert first["rest"] is None
    assert_whole(first)


@pytest.mark.campaign
def test_loops_of_numba(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Of many batches the types are timed alone; the table leaves out what is not there."""
    pytest.importorskip("numba", reason="the engine needs it: pip install 'graphrun[numba]'")
    chain = "\n".join(f"  n{k}: {'tanh' if k % 2 else 'sin'}({f'n{k - 1}' if k else 'a'})" for k in range(2100))
    file = folder / "chain.yaml"
    file.write_text(f"parameters: {{a: 1}}\nnodes:\n{chain}\nminimize: n2099\n")
    profile = profiled(capsys, "chain.yaml", "--engine", "numba", "--steps", "5")
    assert profile["form"] == "loops by batch"
    assert {total["type"]: total["count"] for total in profile["types"]} == {"sin": 1050, "tanh": 1050}
    assert all(total["seconds"] is not None for total in profile["types"])
    assert all(part["seconds"] is None for part in profile["parts"])
    assert_whole(profile)
    assert run_command(["profile", "chain.yaml", "--engine", "numba", "--steps", "5"]) == 0
    text = capsys.readouterr().out
    assert "backward  " not in text
    assert "n2099" not in text


@pytest.mark.campaign
def test_jax_tells_what_xla_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """And times no nodes."""
    pytest.importorskip("jax", reason="the engine needs it: pip install 'graphrun[jax]'")
    profile = profiled(capsys, "network.yaml", "--engine", "jax", "--steps", "2")
    assert profile["xla"]["flops"] > 0
    assert all(part["seconds"] is None for part in profile["parts"])
    assert "XLA" in profile["how"]
    assert_whole(profile)


def test_auto_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, and the profile is of that engine."""
    assert run_command(["profile", "nested.yaml", "--steps", "3", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("engine numpy: ")
    assert json.loads(captured.out)["engine"] == "numpy"


@pytest.mark.campaign
def test_auto_compiles_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    """Which is told, for it takes the time of importing too."""
    pytest.importorskip("numba", reason="the engine needs it: pip install 'graphrun[numba]'")
    profile = profiled(capsys, "nested.yaml", "--steps", "3000000")
    assert profile["engine"] == "numba"
    assert profile["compiled"] == "compiled anew, and kept, with importing Numba"


# --- the table -------------------------------------------------------------------------------------------------------


OTHERS = [pytest.param(name, marks=pytest.mark.campaign) for name in ("decay", "digits", "convolution", "bounded")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nested", "attention", *OTHERS])
def test_the_table_fits_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of graphs with data, arrays, states, bounds and many nodes; every type and the machine's rates are named."""
    file = str(GRAPHS / f"{name}.yaml")
    assert run_command(["profile", file, "--engine", "numpy", "--steps", "2"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines()[1:])) <= WIDTH
    for batch in graphrun.load(file).plan().in_loop:
        assert f"\n{batch.type.name[:19]}" in text
    for word in ("plan ", "compile ", "step ", "memory ", "caches ", "arithmetic ", "product of 512 x 512 matrices"):
        assert f"\n{word}" in text or word in text


@pytest.mark.campaign
def test_a_run_is_not_changed_by_how_often_it_is_looked_at() -> None:
    """Timing operations leaves the values and gradients of a program as they were."""
    from graphrun.engines.auto import get_engine

    for engine in ("numpy", "numba"):
        if engine == "numba":
            pytest.importorskip("numba", reason="the engine needs it: pip install 'graphrun[numba]'")
        plan = graphrun.load("nested.yaml").plan()
        program = get_engine(engine).compile(plan)
        program.evaluate()
        program.advance(3)
        slots = range(len(plan.names))
        before = program.values(slots), program.gradients(slots)
        program.time_nodes(3)
        np.testing.assert_array_equal(before, (program.values(slots), program.gradients(slots)))
        program.advance(1)
        assert program.step == 4


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arguments", "status", "message"),
    [
        (NESTED, ["--engine", "nump"], 2, "engine 'nump' is unknown"),
        (NESTED, ["--steps", "0"], 2, "x>=1"),
        (NESTED.replace("[d, c]", "[d, z]"), [], 2, "graph.yaml:4:"),
        (NESTED.replace("maximize: f\n", ""), [], 2, "no objective"),
        (NESTED.replace("sgd, step_size: 1e-9", "lbfgs"), [], 2, "lbfgs is a solver"),
        (NESTED.replace("1e-9", "1e+9"), ["--steps", "200"], 1, "ends before"),
        ("parameters: {x: -1}\nnodes: {f: log(x)}\nminimize: f\n", [], 1, "at the start, the value of node 'f'"),
    ],
    ids=["engine", "steps", "name", "objective", "solver", "not finite", "start"],
)
def test_mistakes(
    text: str, arguments: list[str], status: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are told on stderr, and nothing is printed."""
    (folder / "graph.yaml").write_text(text)
    assert run_command(["profile", "graph.yaml", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.slow
def test_what_is_advised_for_a_solver_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same passes with another update."""
    (folder / "graph.yaml").write_text(NESTED.replace("sgd, step_size: 1e-9", "lbfgs"))
    assert profiled(capsys, "graph.yaml", "--set", "update={type: sgd}", "--steps", "2")["engine"] == "numpy"
