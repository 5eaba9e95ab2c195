"""What ends a run from outside: signals, and a reader that goes. Each ends it in order, with the checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lesson import NESTED

import graphrun
from graphrun.run.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
SQUARE = "parameters: {a: 1, b: 2}\nnodes: {f: (a - b) ** 2}\nminimize: f\nsteps: 1000000000000\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working folder with a graph that never ends."""
    monkeypatch.chdir(tmp_path)
    Path("endless.yaml").write_text(SQUARE, encoding="utf-8")
    Path("nested.yaml").write_text(NESTED, encoding="utf-8")
    return tmp_path


@pytest.fixture(autouse=True)
def in_the_foreground() -> Iterator[None]:
    """Let the processes that are started take signals, also where these tests run in the background or under nohup."""
    numbers = (getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.default_int_handler)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


COMMAND = [sys.executable, "-m", "graphrun"]


def start(*arguments: str, ignored: int | None = None) -> subprocess.Popen[str]:
    """Start graphrun as a process, with a signal ignored as under nohup."""
    return subprocess.Popen(
        [*([] if ignored is None else ["sh", "-c", f'trap "" {ignored}; exec "$@"', "sh"]), *COMMAND, *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begun(process: subprocess.Popen[str]) -> None:
    """Wait for the first row."""
    assert process.stdout is not None
    assert process.stdout.readline().startswith('{"step": 0')


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the status and what was said."""
    try:
        _, error = process.communicate(timeout=300)
    finally:
        # One that goes on would take a processor from all other tests.
        process.kill()
    return process.returncode, error.strip()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.parametrize(
    "name", ["SIGTERM", *(pytest.param(name, marks=pytest.mark.campaign) for name in ("SIGINT", "SIGHUP"))]
)
def test_a_signal_ends_a_run_with_its_checkpoint(name: str) -> None:
    """Ctrl-C, a scheduler's SIGTERM, a terminal that is closed: the run goes on from where it was ended."""
    process = start("endless.yaml", "-q", "--format", "jsonl", "--save", "c.safetensors")
    begun(process)
    process.send_signal(getattr(signal, name))
    assert ended(process) == (130, "")
    step = load_checkpoint("c.safetensors").step
    assert step > 0
    assert graphrun.load("endless.yaml").run(step + 1, resume="c.safetensors").steps == step + 1


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.campaign
def test_several_signals_end_it_once() -> None:
    """Systemd sends SIGTERM and SIGHUP, and some wrappers send SIGTERM again: the checkpoint is still written."""
    process = start("endless.yaml", "-q", "--format", "jsonl", "--save", "c.safetensors")
    begun(process)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        process.send_signal(number)
    assert ended(process) == (130, "")
    assert load_checkpoint("c.safetensors").step > 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_what_is_ignored_stays_so() -> None:
    """Under nohup a run outlives its terminal."""
    process = start("endless.yaml", "-q", "--format", "jsonl", ignored=signal.SIGHUP)
    begun(process)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (130, "")


@pytest.mark.parametrize("stream", ["stdout", pytest.param("stderr", marks=pytest.mark.campaign)])
def test_a_reader_that_goes_leaves_the_checkpoint(stream: str) -> None:
    """`graphrun ... --format jsonl --save FILE | head -1`: quiet, status 0, and the run can go on."""
    arguments = ["endless.yaml", "--format", "jsonl", "--save", "c.safetensors"]
    process = start(*arguments, *(["--every", "1"] if stream == "stdout" else ["--steps", "2000", "-v"]))
    if stream == "stdout":
        begun(process)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        process.stderr.close()
    else:
        assert process.stderr is not None
        process.stderr.close()
        assert process.stdout is not None
        assert len(process.stdout.readlines()) > 2
        process.stdout.close()
    assert process.wait(300) == 0
    assert load_checkpoint("c.safetensors").step > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_leaves_the_checkpoint() -> None:
    """Rows that cannot be written end a run in order, too, with status 1."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "graphrun", "endless.yaml", "--format", "jsonl", "--save", "c.safetensors", "-q"],
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 1
    assert done.stderr == "graphrun: the output cannot be written: [Errno 28] No space left on device\n"
    assert load_checkpoint("c.safetensors").step > 0


@pytest.mark.campaign
@pytest.mark.parametrize("moments", [6, pytest.param(24, marks=pytest.mark.nightly)])
def test_ctrl_c_at_any_moment_gives_no_traceback(moments: int) -> None:
    """While modules are imported, a graph is loaded, code is compiled: from the moment when graphrun has the word.

    Python itself, before it, shows a traceback of its own.
    """
    for moment in range(moments):
        process = start("endless.yaml", "-q", "--engine", ["numpy", "numba", "jax"][moment % 3])
        time.sleep(2 * moment / moments)
        process.send_signal(signal.SIGINT)
        status, error = ended(process)
        assert status in {130, -signal.SIGINT, 1}
        assert "graphrun/cli" not in error


QUERY = """
import os, signal, threading
from graphrun.data.duck import connect, interruptible
try:
    with connect("a test") as connection, interruptible(connection):
        # Not before: an import that is in hand may swallow it. The query takes hours.
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        connection.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")
except KeyboardInterrupt:
    print("interrupted")
"""

THREADS = """
import sys, threading, graphrun
out = sys.stdout
def work():
    for _ in range(20):
        graphrun.load("nested.yaml").run(1, engine="numpy")
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sys.stdout is out)
"""

FORK = """
import os, sys, graphrun
import graphrun.data.opening as opening
opening.Limits.__new__.__defaults__ = (-1, *opening.Limits.__new__.__defaults__[1:])
graph = graphrun.load("streamed.yaml")
assert type(graph.source.open(0)).__name__ == "StreamedDataSet"
before = graph.run(50, engine="numpy").parameters
child = os.fork()
if not child:
    if sys.argv[1] == "used":
        assert graph.run(50, engine="numpy").parameters == before
    sys.exit(0)
print(os.waitpid(child, 0)[1], graph.run(50, engine="numpy").parameters == before)
"""


def run_code(code: str, *arguments: str) -> str:
    """Run a program; return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.campaign
def test_ctrl_c_ends_a_query() -> None:
    """DuckDB makes an error of its own of it, which must not be taken for one of the file's."""
    pytest.importorskip("duckdb")
    assert run_code(QUERY) == "interrupted\n"


def test_threads_leave_stdout_as_it_was() -> None:
    """Whichever of them comes first."""
    assert run_code(THREADS) == "True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("use", ["used", pytest.param("unused", marks=pytest.mark.campaign)])
def test_a_child_of_a_fork_after_a_streamed_run(use: str) -> None:
    """It runs the graph as its parent does, and ends; what the parent reads is still there."""
    duckdb = pytest.importorskip("duckdb")
    rows = "SELECT random() AS x, random() AS y FROM range(50000)"
    duckdb.execute(f"COPY ({rows}) TO 'd.csv' (HEADER, DELIMITER ',')")
    section = "{file: d.csv, batch_size: 1000, shuffle: true, holdout: 0.1}"
    Path("streamed.yaml").write_text(
        f"data: {section}\nparameters: {{w: 1}}\nnodes: {{f: mean((w * x - y) ** 2)}}\nminimize: f\n", encoding="utf-8"
    )
    assert run_code(FORK, use) == "0 True\n"
