"""Checkpoints: a run that is killed and resumed ends as one that is not, and what does not fit is refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

import graphrun
from graphrun.base.errors import CheckpointError, UsageError
from graphrun.base.files import LEFTOVER_SECONDS, write_atomically
from graphrun.cli.entry import run_command
from graphrun.run.checkpoint import load_checkpoint

GRAPH = """\
data:
  file: data.csv
  columns: {x: {columns: ["x*"], standardize: true}, y: y}
  batch_size: 7
  shuffle: true
  holdout: 0.2
parameters:
  W: {shape: [3, 8], init: {type: he_normal}}
  scale: {shape: [8], init: {type: ones}}
  shift: {shape: [8], init: {type: zeros}}
  v: {shape: [8], init: {type: normal}}
nodes:
  h: {type: matmul, inputs: [x, W]}
  n: {type: batch_norm, inputs: [h, scale, shift]}
  r: {type: relu, inputs: [n]}
  d: {type: dropout, inputs: [r], rate: 0.3}
  p: {type: matmul, inputs: [d, v]}
  loss: {type: mean_squared_error, inputs: [p, y]}
minimize: loss
update: {type: adam, step_size: {type: cosine, start: 0.02, steps: 400, warm_up: 10}}
stop: {patience: 250}
steps: 600
seed: 3
"""

WATCHING = GRAPH.replace("cosine, start: 0.02, steps: 400, warm_up: 10", "plateau, start: 0.02, patience: 1")
WATCHING = WATCHING.replace("type: adam", "type: adam, accumulate: 2, clip_norm: 1")
WATCHING = WATCHING.replace("{patience: 250}", "{patience: 250, holdout: {patience: 100000}}\nkeep: best")
"""The same with all that a run looks at and counts."""

DRIVER = """\
import os, sys
import graphrun.api, graphrun.data.opening, graphrun.show.tables, graphrun.plugins.registry, graphrun.cli.terminal
import safetensors.numpy
from graphrun.cli.entry import run_command
graphrun.load("g.yaml").run(1)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(run_command(line.split()))
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Driver:
    """A process that forks after its imports, so that a run begins within milliseconds."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def start(self, arguments: str) -> int:
        """Start a run in a process of its own, and return its number."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{arguments}\n")
        self._process.stdin.flush()
        return self._read()

    def wait(self) -> int:
        """Wait for the run to end, and return how it did, as `os.waitpid` does."""
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def write_data(folder: Path, rows: int = 60) -> None:
    """Write rows of three features and a target."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3)).round(4)
    y = (np.sin(x[:, 0]) + 2 * x[:, 1] * x[:, 2]).round(4)
    lines = ["x0,x1,x2,y", *(",".join(map(str, [*row, target])) for row, target in zip(x.tolist(), y, strict=True))]
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the working folder, with the graph and its data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    write_data(tmp_path)
    return tmp_path


# --- killed and resumed ----------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
@pytest.mark.parametrize("kills", [20, pytest.param(50, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("text", [GRAPH, WATCHING], ids=["plain", "watching"])
def test_killed_at_many_moments(folder: Path, text: str, kills: int) -> None:
    """A run killed often ends, to the last bit, as one that is not; after each kill its checkpoint is whole.

    It is killed a moment after its checkpoint was written some times; each fourth time, while it begins.
    """
    # Patience stays what it is remembered by: the best row and how long ago it was are compared with the checkpoint.
    (folder / "g.yaml").write_text(text.replace("patience: 250", "patience: 1000000"), encoding="utf-8")
    checkpoint = folder / "part.safetensors"
    moments = np.random.default_rng(1)
    reached: list[int] = []
    with Driver(folder) as driver:
        # The first one waits for the driver's imports, the second shows how long a run takes to begin.
        for _ in range(2):
            start = time.perf_counter()
            driver.start("g.yaml --steps 3 --save probe.safetensors -q")
            assert driver.wait() == 0
        longest = time.perf_counter() - start

        def arguments(steps: int) -> str:
            resume = f"--resume {checkpoint.name}" if checkpoint.exists() else ""
            return (
                f"g.yaml --engine numpy --steps {steps} --every 5 --save {checkpoint.name} --save-every 3 {resume} -q"
            )

        for kill in range(kills):
            child, seen = driver.start(arguments(10**9)), written(checkpoint)
            for _ in range(kill % 4):
                while written(checkpoint) == seen:
                    time.sleep(0.0005)
                seen = written(checkpoint)
            time.sleep(moments.uniform(0, 0.01 if kill % 4 else longest))
            os.kill(child, signal.SIGKILL)
            assert os.WTERMSIG(driver.wait()) == signal.SIGKILL
            if checkpoint.exists():
                reached.append(load_checkpoint(checkpoint).step)
        steps = reached[-1] + 20
        driver.start(arguments(steps))
        assert driver.wait() == 0
    assert reached == sorted(reached)
    assert len(set(reached)) > 10
    assert load_checkpoint(checkpoint).step == steps
    graphrun.load("g.yaml").run(steps, engine="numpy", every=5, save="whole.safetensors")
    assert checkpoint.read_bytes() == (folder / "whole.safetensors").read_bytes()


def written(file: Path) -> int:
    """When a file was written, 0 where it was not."""
    return file.stat().st_mtime_ns if file.exists() else 0


@pytest.mark.slow
def test_auto_goes_on_with_the_engine_that_began(folder: Path) -> None:
    """Engines differ in the last bit, so a run that goes on keeps its engine, and says which would be faster."""
    (folder / "n.yaml").write_text("parameters: {x: 3}\nnodes: {f: tanh(x) ** 2}\nminimize: f\n", encoding="utf-8")
    graph = graphrun.load("n.yaml")
    assert graph.run(10, save="n.safetensors").engine == "numpy"
    choices: list[str] = []
    rest = graph.try_run(
        10**7, resume="n.safetensors", interrupted=lambda: True, on_choice=lambda choice: choices.append(str(choice))
    )
    assert rest.engine == "numpy"
    assert choices == [
        "engine numpy: it began this run, and goes on with it bit for bit; --engine numba would be faster"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [99, *(pytest.param(cut, marks=pytest.mark.campaign) for cut in (0, 1, 263))])
def test_resumed_by_the_interface(folder: Path, cut: int) -> None:
    """Everything of the result is that of the uninterrupted run, the rows after the cut included."""
    graph = graphrun.load("g.yaml")
    whole = graph.run(400, every=1)
    part = graphrun.load("g.yaml").run(cut, save="c.safetensors")
    assert part.steps == cut
    resumed = graphrun.load("g.yaml").run(400, every=1, resume="c.safetensors")
    assert (resumed.steps, resumed.stopped) == (whole.steps, whole.stopped)
    for name in ("parameters", "values", "gradients", "holdout"):
        mine, others = getattr(resumed, name), getattr(whole, name)
        assert mine.keys() == others.keys()
        for key in mine:
            np.testing.assert_array_equal(mine[key], others[key])
    for name, column in resumed.history.items():
        np.testing.assert_array_equal(column, whole.history[name][cut:])


def test_patience_goes_on(folder: Path) -> None:
    """The stop rule remembers the best row before the cut."""
    (folder / "g.yaml").write_text(GRAPH.replace("patience: 250", "patience: 20"), encoding="utf-8")
    whole = graphrun.load("g.yaml").run(400)
    assert whole.stopped == "patience"
    cut = whole.steps - 10
    graphrun.load("g.yaml").run(cut, save="c.safetensors")
    resumed = graphrun.load("g.yaml").run(400, resume="c.safetensors")
    assert (resumed.steps, resumed.stopped) == (whole.steps, "patience")


def test_the_checkpoint_of_a_run_that_is_done(folder: Path) -> None:
    """Resumed for no more steps than it has, a run only evaluates; its checkpoint is the same file again."""
    whole = graphrun.load("g.yaml").run(5, save="c.safetensors")
    for steps in (5, 3):
        again = graphrun.load("g.yaml").run(steps, resume="c.safetensors", save="again.safetensors")
        assert again.steps == 5
        assert again.objective == whole.objective
        assert (folder / "again.safetensors").read_bytes() == (folder / "c.safetensors").read_bytes()


def test_the_seed_is_the_checkpoints(folder: Path) -> None:
    """Without --seed a resumed run goes on with the seed that it began with."""
    whole = graphrun.load("g.yaml").run(9, seed=11)
    graphrun.load("g.yaml").run(4, seed=11, save="c.safetensors")
    assert load_checkpoint("c.safetensors").seed == 11
    assert graphrun.load("g.yaml").run(9, resume="c.safetensors").objective == whole.objective


@pytest.mark.parametrize("batches", [True, False])
def test_statistics_are_the_checkpoints(folder: Path, batches: bool) -> None:
    """Resumed on other rows, the data is standardized as before; the graph's next run of its own is not."""
    if not batches:
        text = GRAPH.replace("  batch_size: 7\n", "").replace("  shuffle: true\n", "").replace("  holdout: 0.2\n", "")
        (folder / "g.yaml").write_text(text, encoding="utf-8")
    graphrun.load("g.yaml").run(2, save="c.safetensors")
    rows = (folder / "data.csv").read_text(encoding="utf-8").splitlines()
    shifted = [",".join(str(float(cell) + 5) for cell in row.split(",")) for row in rows[1:]]
    (folder / "other.csv").write_text("\n".join([rows[0], *shifted]) + "\n", encoding="utf-8")
    graph = graphrun.load("g.yaml", data="other.csv")
    alone = graph.run(0, record=["x"]).history["x"][0]
    assert abs(alone.mean()) < 0.5
    resumed = graph.run(2, record=["x"], resume="c.safetensors").history["x"][0]
    assert resumed.mean() > 3
    np.testing.assert_array_equal(graph.run(0, record=["x"]).history["x"][0], alone)


def test_what_may_differ(folder: Path) -> None:
    """Step size, schedule, clipping, steps, stop and record; and then the run is that with the new ones."""
    graphrun.load("g.yaml").run(4, save="c.safetensors")
    changes = ["update.step_size=0.5", "stop.patience=7", "steps=8", "record=[loss, p]"]
    assert graphrun.load("g.yaml", overrides=changes).run(resume="c.safetensors").steps == 8
    assert "p" in graphrun.load("g.yaml", overrides=changes).run(resume="c.safetensors").history
    slower = graphrun.load("g.yaml", overrides=["update.step_size=0"]).run(6, resume="c.safetensors")
    np.testing.assert_array_equal(slower.parameters["W"], load_checkpoint("c.safetensors").arrays["parameters/W"])


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def status(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return a function that runs the command line, and gives the exit status and stderr; stdout has to be empty."""

    def run(*arguments: str) -> tuple[int, str]:
        code = run_command([*arguments])
        captured = capsys.readouterr()
        if code == 2:
            assert captured.out == ""
        return code, captured.err

    return run


OTHER_GRAPHS = {
    "renamed parameter": ({"  v: ": "  u: ", "[d, v]": "[d, u]"}, "it has no parameter 'u'"),
    "another shape": ({"[3, 8]": "[3, 9]", "shape: [8]": "shape: [9]"}, "its 'W' has the shape [3, 8], not [3, 9]"),
    "another type": ({"type: relu": "type: tanh"}, "node types"),
    "another setting": ({"rate: 0.3": "rate: 0.4"}, "settings"),
    "another setting of a layer": ({"[h, scale, shift]": "[h, scale, shift], momentum: 0.2"}, "settings"),
    "another input": ({"inputs: [r]": "inputs: [n]"}, "inputs"),
    "another node's name": ({"  p: ": "  q: ", "[p, y]": "[q, y]"}, "inputs"),
    "one node more": ({"minimize:": "  more: {type: sum, inputs: [p]}\nminimize:"}, "node types"),
    "the other direction": ({"minimize:": "maximize:"}, "objective"),
    "another objective": ({"minimize: loss": "  o: {type: sum, inputs: [d]}\nminimize: o"}, "objective"),
    "another rule": ({"type: adam,": "type: sgd,"}, "update rule"),
    "another setting of the rule": ({"type: adam,": "type: adam, beta1: 0.8,"}, "update rule"),
    "another dtype": ({"minimize:": "dtype: float32\nminimize:"}, "dtype"),
}


@pytest.mark.parametrize("case", OTHER_GRAPHS)
def test_another_graph(folder: Path, status: Callable[..., tuple[int, str]], case: str) -> None:
    """Its checkpoint is refused with the reason, before the first step, and is left as it is."""
    changes, reason = OTHER_GRAPHS[case]
    text = GRAPH
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "other.yaml").write_text(text, encoding="utf-8")
    assert graphrun.load("other.yaml").run(1).steps == 1
    graphrun.load("g.yaml").run(2, save="c.safetensors")
    before = (folder / "c.safetensors").read_bytes()
    code, message = status("other.yaml", "--resume", "c.safetensors", "--save", "c.safetensors")
    assert code == 2
    assert message.startswith("graphrun: the checkpoint c.safetensors is of another graph: ")
    assert reason in message
    assert (folder / "c.safetensors").read_bytes() == before


def foreign(folder: Path, case: str) -> str:
    """Write a file that is no checkpoint, and return its name."""
    path = folder / "bad.safetensors"
    graphrun.load("g.yaml").run(1, save="good.safetensors")
    good = (folder / "good.safetensors").read_bytes()
    with path.open("wb") as file:
        if case == "text":
            file.write(b"graphrun: 1\n")
        elif case.startswith("cut"):
            file.write(good[: {"cut at 0": 0, "cut at 5": 5, "cut in the header": 100, "cut": len(good) - 1}[case]])
        elif case == "longer":
            file.write(good + b"\0")
    arrays = {"parameters/W": np.zeros((3, 8))}
    record: Any = {"format": 1, "step": 1, "seed": 3, "fingerprint": "0", "watch": {}}
    if case == "foreign":
        save_file(arrays, path)
    elif case == "foreign metadata":
        save_file(arrays, path, {"format": "pt"})
    elif case == "no JSON":
        save_file(arrays, path, {"graphrun": "{"})
    elif case == "no mapping":
        save_file(arrays, path, {"graphrun": "[1]"})
    elif case == "incomplete":
        save_file(arrays, path, {"graphrun": json.dumps({"format": 1})})
    elif case == "wrong kinds":
        save_file(arrays, path, {"graphrun": json.dumps({**record, "watch": {"best": 1}})})
    elif case == "newer":
        save_file(arrays, path, {"graphrun": json.dumps({**record, "format": 2})})
    elif case == "folder":
        path.unlink()
        path.mkdir()
    elif case == "missing":
        path.unlink()
    return path.name


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("text", "bad.safetensors is no checkpoint, or is cut short"),
        ("cut at 0", "bad.safetensors is no checkpoint, or is cut short"),
        ("cut at 5", "bad.safetensors is no checkpoint, or is cut short"),
        ("cut in the header", "bad.safetensors is no checkpoint, or is cut short"),
        ("cut", "bad.safetensors is no checkpoint, or is cut short"),
        ("longer", "bad.safetensors is no checkpoint, or is cut short"),
        ("foreign", "bad.safetensors is no checkpoint of graphrun's: it is a safetensors file of another kind"),
        ("foreign metadata", "bad.safetensors is no checkpoint of graphrun's"),
        ("no JSON", "bad.safetensors is no checkpoint of graphrun's: its record is damaged"),
        ("no mapping", "bad.safetensors is no checkpoint of graphrun's: its record is damaged"),
        ("incomplete", "bad.safetensors is no checkpoint of graphrun's: its record is damaged"),
        ("wrong kinds", "bad.safetensors is no checkpoint of graphrun's: its record is damaged"),
        ("newer", "bad.safetensors is a checkpoint of another version of graphrun: format 2"),
        ("folder", "the checkpoint bad.safetensors cannot be read: it is a folder"),
        ("missing", "there is no checkpoint bad.safetensors"),
    ],
)
def test_no_checkpoint(folder: Path, status: Callable[..., tuple[int, str]], case: str, reason: str) -> None:
    """What is no whole checkpoint is refused before the first step, with the reason, by `run` and by `predict`."""
    name = foreign(folder, case)
    code, message = status("g.yaml", "--resume", name)
    assert code == 2
    assert message.startswith(f"graphrun: {reason}")
    assert message.count("\n") == 1
    code, again = status("predict", "g.yaml", "--resume", name, "--output", "p")
    assert (code, again) == (2, message)


def test_every_cut_is_refused(folder: Path) -> None:
    """Wherever a file ends early, it is no checkpoint."""
    graphrun.load("g.yaml").run(1, save="c.safetensors")
    whole = (folder / "c.safetensors").read_bytes()
    for length in range(0, len(whole), 37):
        (folder / "cut").write_bytes(whole[:length])
        with pytest.raises(UsageError, match="no checkpoint"):
            load_checkpoint("cut")


RECORDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an infinite step": lambda record: record.update(step=float("inf")),
    "a step of 400 digits": lambda record: record.update(step=10**400),
    "a negative step": lambda record: record.update(step=-1),
    "a true step": lambda record: record.update(step=True),
    "half a step": lambda record: record.update(step=1.5),
    "a step in words": lambda record: record.update(step="1"),
    "a seed in words": lambda record: record.update(seed="3"),
    "no seed": lambda record: record.pop("seed"),
    "a list of watches": lambda record: record.update(watch=[]),
    "half a watch": lambda record: record.update(watch={"best": "0x1p0"}),
    "a watch beyond floats": lambda record: record.update(watch=dict.fromkeys(["previous", "best"], "0x1p99999")),
    "another key": lambda record: record.update(chedksum="0"),
    "another fingerprint": lambda record: record.update(fingerprint=[[]]),
    "a format in words": lambda record: record.update(format="\x1b[2J\u202e" + 1000 * "x"),
    "another checksum": lambda record: record.update(checksum="0"),
}


def rewrite(record: Callable[[dict[str, Any]], object] | str, **changed: np.ndarray | None) -> None:
    """Write c.safetensors anew, without a checksum as before there were any, changed as is asked for."""
    with safe_open("c.safetensors", framework="numpy") as file:
        text = file.metadata()["graphrun"]
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    content = json.loads(text)
    del content["checksum"]
    if callable(record):
        record(content)
    arrays = {name: array for name, array in (arrays | changed).items() if array is not None}
    save_file(arrays, "c.safetensors", {"graphrun": record if isinstance(record, str) else json.dumps(content)})


@pytest.mark.parametrize("case", RECORDS)
def test_a_damaged_record(folder: Path, status: Callable[..., tuple[int, str]], case: str) -> None:
    """Every field is looked at before anything is made of it."""
    graphrun.load("g.yaml").run(1, save="c.safetensors")
    rewrite(RECORDS[case])
    code, message = status("g.yaml", "--resume", "c.safetensors")
    assert code == 2
    assert re.search(r"c\.safetensors is (no checkpoint of graphrun's|a checkpoint of another|damaged)", message)
    assert len(message) < 200
    assert not re.search("[\x1b\u202e]", message)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format":' * 100_000, "Infinity", "NaN", "1", '"', "{}"])
def test_a_damaged_json(folder: Path, status: Callable[..., tuple[int, str]], text: str) -> None:
    """Deep nesting, numbers that are none and halves are no record."""
    graphrun.load("g.yaml").run(1, save="c.safetensors")
    rewrite(text)
    code, message = status("g.yaml", "--resume", "c.safetensors")
    assert (code, message) == (2, "graphrun: c.safetensors is no checkpoint of graphrun's: its record is damaged\n")


def test_a_checkpoint_without_a_checksum_goes_on(folder: Path) -> None:
    """Those that were written before there was one."""
    graphrun.load("g.yaml").run(3, save="c.safetensors")
    rewrite(lambda _: None)
    whole = graphrun.load("g.yaml").run(6)
    resumed = graphrun.load("g.yaml").run(6, resume="c.safetensors")
    assert all(np.array_equal(resumed.parameters[name], whole.parameters[name]) for name in whole.parameters)


@pytest.mark.slow
def test_damaged_arrays(folder: Path, status: Callable[..., tuple[int, str]]) -> None:
    """Each array that a run goes on from, missing, of another shape or of another dtype: a message, never a run."""
    graphrun.load("g.yaml").run(2, save="c.safetensors")
    good = Path("c.safetensors").read_bytes()
    arrays = load_checkpoint("c.safetensors").arrays
    assert {name.partition("/")[0] for name in arrays} >= {"parameters", "rule", "data"}
    for name, array in arrays.items():
        changes: list[np.ndarray | None] = [None, array[..., None], np.concatenate([array.reshape(-1)] * 2)]
        if not name.startswith("data/"):
            changes += [array.astype(kind) for kind in (np.float16, np.float32, np.int64, np.bool_, np.uint8)]
        for changed in changes:
            Path("c.safetensors").write_bytes(good)
            rewrite(lambda _: None, **{name: changed})
            code, message = status("g.yaml", "--resume", "c.safetensors")
            assert code == 2, (name, changed)
            assert "the checkpoint" in message


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_bit_resumes_in_silence(folder: Path, data: st.DataObject) -> None:
    """Whichever bit of a file a disk flips: either the run is refused, or what is read is what was written."""
    if not Path("whole.safetensors").exists():
        graphrun.load("g.yaml").run(2, save="whole.safetensors")
    whole = load_checkpoint("whole.safetensors")
    content = bytearray(Path("whole.safetensors").read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    Path("flipped.safetensors").write_bytes(content)
    try:
        flipped = load_checkpoint("flipped.safetensors")
    except UsageError:
        return
    assert flipped.arrays.keys() == whole.arrays.keys()
    assert all(np.array_equal(array, whole.arrays[name]) for name, array in flipped.arrays.items())
    assert replace(flipped, arrays={}) == replace(whole, arrays={})


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no/c", "No such file or directory"),
        ("sub", "Is a directory"),
        ("/dev/null", "it is no regular file"),
        ("n" * 300, "File name too long"),
    ],
)
def test_a_checkpoint_that_cannot_be_written(
    folder: Path, status: Callable[..., tuple[int, str]], target: str, reason: str
) -> None:
    """It is told before the first step, not after hours, with exit status 1."""
    (folder / "sub").mkdir()
    steps: list[int] = []
    with pytest.raises(CheckpointError):
        graphrun.load("g.yaml").try_run(5, save=target, on_row=lambda step, _: steps.append(step))
    assert not steps
    code, message = status("g.yaml", "--steps", "5", "--save", target)
    assert (code, message) == (1, f"graphrun: the checkpoint {target} cannot be written: {reason}\n")
    assert sorted(file.name for file in folder.iterdir()) == ["data.csv", "g.yaml", "sub"]


def test_a_disk_that_fills_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The old checkpoint stays, nothing half-written is left, and what the run has is printed, with exit status 1."""
    graphrun.load("g.yaml").run(2, save="c.safetensors")
    before = (folder / "c.safetensors").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graphrun.run.checkpoint.os.fsync", full)
    code = run_command(["g.yaml", "--steps", "9", "--save", "c.safetensors", "--save-every", "4", "--format", "json"])
    captured = capsys.readouterr()
    assert code == 1
    assert "the checkpoint c.safetensors cannot be written: No space left on device" in captured.err
    result = json.loads(captured.out)
    assert (result["steps"], result["stopped"][:6]) == (4, "failed")
    assert (folder / "c.safetensors").read_bytes() == before
    assert sorted(file.name for file in folder.iterdir()) == ["c.safetensors", "data.csv", "g.yaml"]


def test_leftovers_are_cleaned_up(folder: Path) -> None:
    """What a killed run left half-written is removed by the next one that writes there; others' files are not."""
    old, young, others = folder / ".c.ab12.part", folder / ".c.cd34.part", folder / ".d.ab12.part"
    for file in (old, young, others):
        file.write_bytes(b"half")
        past = time.time() - LEFTOVER_SECONDS - 5
        os.utime(file, (past, past) if file is not young else None)
    write_atomically(folder / "c", b"whole")
    assert (folder / "c").read_bytes() == b"whole"
    assert not old.exists()
    assert young.exists()
    assert others.exists()


def test_permissions_are_those_of_any_new_file(folder: Path) -> None:
    """A checkpoint may be read by whom the umask says; one that is written again keeps its own permissions."""
    (folder / "plain").touch()
    target = folder / "c"
    write_atomically(target, b"1")
    assert target.stat().st_mode == (folder / "plain").stat().st_mode
    target.chmod(0o604)
    write_atomically(target, b"2")
    assert target.stat().st_mode & 0o777 == 0o604


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="makes a link")
def test_a_link_stays_one(folder: Path) -> None:
    """Where the name is a link, the file that it leads to is replaced."""
    (folder / "real").write_bytes(b"old")
    (folder / "link").symlink_to("real")
    write_atomically(folder / "link", b"new")
    assert (folder / "link").is_symlink()
    assert (folder / "real").read_bytes() == b"new"


def test_save_every_needs_save(folder: Path, status: Callable[..., tuple[int, str]]) -> None:
    """On its own it would write nothing."""
    code, message = status("g.yaml", "--save-every", "5")
    assert code == 2
    assert "--save-every goes with --save" in message


def test_equal_runs_write_equal_files(folder: Path) -> None:
    """A checkpoint is a function of the run alone."""
    graphrun.load("g.yaml").run(3, save="a", save_every=2)
    graphrun.load("g.yaml").run(3, save="b")
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_a_failed_run_saves_what_is_finite(folder: Path) -> None:
    """The checkpoint is that of the last finite step; the run that goes on from it fails at the same step."""
    text = GRAPH.replace("{type: cosine, start: 0.02, steps: 400, warm_up: 10}", "1e300")
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    failed = graphrun.load("g.yaml").try_run(9, save="c.safetensors")
    assert failed.error is not None
    saved = load_checkpoint("c.safetensors")
    assert saved.step == failed.steps
    assert all(np.isfinite(array).all() for array in saved.arrays.values())
    again = graphrun.load("g.yaml").try_run(9, resume="c.safetensors")
    assert str(again.error) == str(failed.error)
