"""Runs of several processes on this machine, which share out the rows of each step: real ones, by the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

import graphrun
from graphrun.cli.entry import run_command

pytest.importorskip("jax", reason="the engine needs JAX: pip install jax")
pytest.importorskip("graphrun.data")

pytestmark = pytest.mark.campaign(seconds=15)

SECONDS = 300


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep compiled programs where no other test run finds them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def network(tmp_path):
    """Write a network with dropout and batch normalization, and its 48 rows."""
    drawn = np.random.default_rng(1)
    np.savez(tmp_path / "rows.npz", x=drawn.normal(size=(48, 4)), label=drawn.integers(0, 3, 48))
    graph = {
        "data": {
            "file": "rows.npz",
            "columns": {"x": "x", "label": "label"},
            "batch_size": 8,
            "shuffle": True,
            "holdout": 0.25,
        },
        "parameters": {
            "W": {"shape": [4, 3], "init": {"type": "he_normal"}},
            "scale": [1.0, 1, 1],
            "shift": [0.0, 0, 0],
        },
        "nodes": {
            "normal": {"type": "batch_norm", "inputs": ["z", "scale", "shift"]},
            "z": "x @ W",
            "logits": {"type": "dropout", "inputs": ["normal"], "rate": 0.25},
            "loss": {"type": "cross_entropy", "inputs": ["logits", "label"]},
        },
        "minimize": "loss",
        "update": {"type": "adam", "step_size": 0.01},
    }
    path = tmp_path / "graph.yaml"
    path.write_text(yaml.safe_dump(graph, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def layer(network):
    """The same rows and a layer, which compiles in less time than the network."""
    graph = yaml.safe_load(network.read_text(encoding="utf-8"))
    graph["parameters"] = {"W": graph["parameters"]["W"]}
    graph["nodes"] = {"z": "x @ W", "loss": {"type": "cross_entropy", "inputs": ["z", "label"]}}
    graph["update"] = {"type": "sgd", "step_size": 0.01}
    network.write_text(yaml.safe_dump(graph, sort_keys=False), encoding="utf-8")
    return network


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


COUNTING = """
import sys
from graphrun.cli.entry import run_command
from graphrun.data.memory import MemoryDataSet
rows = []
part = MemoryDataSet.part
def counted(self, step, start, stop):
    rows.append((start, stop))
    return part(self, step, start, stop)
MemoryDataSet.part = counted
status = run_command(sys.argv[1:])
print("rows", *sorted(set(rows)), file=sys.stderr)
sys.exit(status)
"""
"""The command line, which says at the end which rows of its batches it took from the data set."""


IMPATIENT = """
import sys
from graphrun.cli.entry import run_command
from graphrun.run import rendezvous
rendezvous.SECONDS_OF_SILENCE = 10
sys.exit(run_command(sys.argv[1:]))
"""
"""The command line, which gives a process up that is silent for a shorter time than a user's does."""


def start(path, count, *arguments, program=("-m", "graphrun")):
    """Start the processes of a run; in the arguments, `{}` stands for the number of each."""
    coordinator = f"127.0.0.1:{free_port()}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    joined = ["--distributed", "--coordinator", coordinator, "--process-count", str(count)]
    command = [sys.executable, *program, str(path), "--format", "json", "--engine", "jax", *arguments, *joined]
    return [
        subprocess.Popen(
            [*(word.replace("{}", str(number)) for word in command), "--process-id", str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(count)
    ]


def finish(processes):
    """Wait for processes; return the status, stdout and stderr of each."""
    try:
        outputs = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


def alone(path, steps, *overrides):
    """Return the result of a run of one process, by the engine that is the specification and compiles nothing."""
    return graphrun.load(path, overrides=overrides).run(steps, engine="numpy")


def assert_same(actual, expected):
    """Compare what a run printed with a result, within rounding."""
    assert (actual["steps"], actual["stopped"]) == (expected.steps, expected.stopped)
    for part in ("parameters", "values", "gradients", "history", "holdout"):
        assert list(actual[part]) == list(getattr(expected, part))
        for name, value in getattr(expected, part).items():
            np.testing.assert_allclose(actual[part][name], value, rtol=1e-9, atol=1e-12, err_msg=f"{part} {name}")


def test_processes_together_do_what_one_does(network, tmp_path):
    """Parameters, values, gradients, history and held-back rows are those of one process; only process 0 prints.

    Of the rows of a step, each process takes its own from the data set, and no others. Only process 0 writes the
    checkpoint, from which one process goes on.
    """
    saved = ("--save", str(tmp_path / "half{}.safetensors"))
    outcomes = finish(start(network, 2, "--steps", "12", *saved, program=("-c", COUNTING)))
    assert [status for status, _, _ in outcomes] == [0, 0], outcomes
    assert [error for _, _, error in outcomes] == ["rows (0, 4)\n", "rows (4, 8)\n"]
    assert outcomes[1][1] == ""
    assert_same(json.loads(outcomes[0][1]), alone(network, 12))
    (file,) = tmp_path.glob("*.safetensors")
    assert file.name == "half0.safetensors"
    resumed = graphrun.load(network).run(18, engine="numpy", resume=file)
    for name, value in alone(network, 18).parameters.items():
        np.testing.assert_allclose(resumed.parameters[name], value, rtol=1e-9)


def test_all_rows_are_shared_out_too(layer):
    """Where every step is given all rows, each process has its share of them."""
    overrides = ["data.batch_size=36", "data.shuffle=false"]
    outcomes = finish(start(layer, 2, "--steps", "8", *(word for o in overrides for word in ("--set", o))))
    assert outcomes[0][0] == 0, outcomes
    assert_same(json.loads(outcomes[0][1]), alone(layer, 8, *overrides))


@pytest.mark.nightly
def test_another_number_of_processes_goes_on(network, tmp_path):
    """A checkpoint of four processes is one file, from which two and one go on alike; only process 0 writes."""
    outcomes = finish(start(network, 4, "--steps", "12", "--save", str(tmp_path / "half{}.safetensors")))
    assert [status for status, _, _ in outcomes] == [0] * 4, outcomes
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["half0.safetensors"]
    file = tmp_path / "half0.safetensors"
    outcomes = finish(start(network, 2, "--steps", "30", "--resume", str(file)))
    assert outcomes[0][0] == 0, outcomes
    whole = json.loads(outcomes[0][1])
    resumed = graphrun.load(network).run(30, engine="jax", resume=file)
    for name, value in alone(network, 30).parameters.items():
        np.testing.assert_allclose(whole["parameters"][name], value, rtol=1e-9)
        np.testing.assert_allclose(resumed.parameters[name], value, rtol=1e-9)


@pytest.mark.parametrize(
    ("lost", "how"),
    [
        (0, signal.SIGKILL),
        (1, signal.SIGSTOP),
        pytest.param(0, signal.SIGSTOP, marks=pytest.mark.nightly),
        pytest.param(1, signal.SIGKILL, marks=pytest.mark.nightly),
    ],
)
def test_a_lost_process_ends_the_others(lost, how, layer, tmp_path):
    """A process that is killed or stopped within the run is noticed, and the others end with an error that says so."""
    file = tmp_path / "going.safetensors"
    arguments = ("--steps", "100000000", "--save", str(file), "--save-every", "50")
    processes = start(layer, 2, *arguments, program=("-c", IMPATIENT))
    try:
        deadline = time.monotonic() + SECONDS
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert file.exists()
        processes[lost].send_signal(how)
        _, errors = processes[1 - lost].communicate(timeout=SECONDS)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                pipe.close()
    assert processes[1 - lost].returncode not in (0, None)
    assert "another process of the run was lost" in errors
    # Of a process 0 that is killed JAX may hear first, and aborts.
    if (how, lost) != (signal.SIGKILL, 0):
        assert processes[1 - lost].returncode == 1
        assert "*** " not in errors


def test_rows_that_cannot_be_shared_out_are_refused(network):
    """Every process needs as many rows as the others."""
    outcomes = finish(start(network, 2, "--steps", "3", "--set", "data.batch_size=7"))
    assert [status for status, _, _ in outcomes] == [2, 2]
    assert "set data.batch_size to a multiple of 2" in outcomes[0][2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--coordinator", "127.0.0.1:1"], "go with --distributed"),
        (["--distributed", "--process-id", "0"], "go together"),
        (["--distributed=here"], "stands alone, or with dask:ADDRESS"),
        (["--distributed", "dask:local", "--process-id", "0"], "find each other: leave out --coordinator"),
        (["--distributed", "dask:local", "--engine", "numba"], "not the numba engine's"),
        (
            ["--distributed", "--coordinator", "a:1", "--process-id", "2", "--process-count", "2"],
            "is none of 2 processes",
        ),
        (["--distributed", "--coordinator", "here", "--process-id", "0", "--process-count", "2"], "is no HOST:PORT"),
        (
            ["--distributed", "--coordinator", "a:1", "--process-id", "0", "--process-count", "2", "--engine", "numba"],
            "not the numba engine's",
        ),
    ],
)
def test_a_cluster_that_makes_no_sense_is_refused(arguments, message, network, capsys):
    """What is wrong is said before anything is tried."""
    assert run_command([str(network), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_cluster_that_is_not_there_is_refused(network):
    """Outside of a cluster's environment, the options that describe one are named."""
    command = [sys.executable, "-m", "graphrun", str(network), "--distributed"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert result.returncode == 2
    assert "give --coordinator" in result.stderr
