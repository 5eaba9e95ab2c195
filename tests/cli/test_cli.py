"""The command line as a process: exit statuses, what goes to stdout and what to stderr, signals, closed pipes."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lesson import NESTED

from graphrun.cli.entry import commands, run_command

ENDLESS = "parameters: {x: 1}\nnodes: {f: {type: square, inputs: [x]}}\nminimize: f\nsteps: 1e12\n"
NOT_FINITE = "parameters: {x: 0}\nnodes: {f: {type: log, inputs: [x]}}\nmaximize: f\n"
NO_GRAPH = "nodes: {f: {type: add, inputs: [x, 1]}}\n"

Start = Callable[..., "subprocess.Popen[str]"]
Finished = tuple[int, str, str]

# The tests decide about buffering and encoding, not the environment that they run in.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
    "LC_ALL": "C.UTF-8"
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working folder with a few graph files in it."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"nested": NESTED, "endless": ENDLESS, "not_finite": NOT_FINITE, "no_graph": NO_GRAPH}.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def start(*arguments: str, environment: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start graphrun as a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        [sys.executable, "-m", "graphrun", *arguments],
        text=True,
        encoding="utf-8",
        env=ENVIRONMENT | (environment or {}),
        **pipes,
    )


def finish(process: subprocess.Popen[str]) -> Finished:
    """Wait for a process; return its status and what it wrote."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("arguments", "status", "writes"),
    [
        (["nested.yaml"], 0, True),
        (["run", "nested.yaml"], 0, True),
        (["not_finite.yaml"], 1, True),
        (["no_graph.yaml"], 2, False),
        (["nothing.yaml"], 2, False),
        (["."], 2, False),
        ([""], 2, False),
        (["x" * 5000], 2, False),
        ([], 2, False),
        (["nested.yaml", "nested.yaml"], 2, False),
        (["nested.yaml", "--steps", "-1"], 2, False),
        (["nested.yaml", "--steps", "1.5"], 2, False),
        (["nested.yaml", "--every", "0"], 2, False),
        (["nested.yaml", "--format", "xml"], 2, False),
        (["nested.yaml", "--dtype", "float16"], 2, False),
        (["nested.yaml", "--engine", "abacus"], 2, False),
        (["nested.yaml", "--record", "f,g"], 2, False),
        (["nested.yaml", "--plugins", "nothing"], 2, False),
        (["nested.yaml", "--plugins", "nested.yaml"], 2, False),
        (["nested.yaml", "--nothing"], 2, False),
        (["check"], 2, False),
        (["check", "nested.yaml"], 0, True),
        (["check", "not_finite.yaml"], 1, False),
        (["check", "no_graph.yaml"], 2, False),
        (["nodes", "nothing"], 2, False),
        (["new-node", "not-a-name"], 2, False),
        (["--help"], 0, True),
        (["--version"], 0, True),
    ],
    ids=lambda value: shlex.join(value)[:40] if isinstance(value, list) else None,
)
def test_the_status_says_what_happened(
    arguments: list[str], status: int, writes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 done, 1 the run failed, 2 bad usage or a bad file; stdout is data, and errors are on stderr alone."""
    assert run_command(arguments) == status
    out, err = capsys.readouterr()
    assert bool(out) is writes
    assert bool(err) is (status != 0)
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_process_ends_with_the_status_of_its_command() -> None:
    """`python -m graphrun` ends with the status, prints the table on stdout, and the error on stderr."""
    status, out, err = finish(start("not_finite.yaml"))
    assert status == 1
    assert "stopped: not finite: step 0" in out
    assert err.startswith("not_finite.yaml: step 0: the value of node 'f' (type log) is -inf")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["check", "nodes", "plugins", "run"])
def test_a_file_that_is_named_like_a_command_can_be_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`graphrun ./check` and `graphrun run check` run the file of that name."""
    Path(name).write_text(NESTED, encoding="utf-8")
    assert run_command([f"./{name}"]) == 0
    by_path = capsys.readouterr().out
    assert run_command(["run", name]) == 0
    assert capsys.readouterr().out == by_path
    assert "stopped: steps" in by_path


@pytest.mark.parametrize("arguments", [["chekc", "nested.yaml"], ["cheek"], ["chck", "-q", "nested.yaml"]])
def test_a_misspelt_command_is_suggested(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is no file and almost a command is not reported as a missing file alone."""
    assert run_command(arguments) == 2
    assert "is no file and no command; did you mean the command 'check'?" in capsys.readouterr().err


def test_a_misspelt_file_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file is told with the file that is almost named so."""
    assert run_command(["nestd.yaml"]) == 2
    assert "did you mean 'nested.yaml'?" in capsys.readouterr().err


def test_options_stand_before_the_file_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`--plugins` is no misspelt command `plugins`; a command that comes late is told to stand first."""
    Path("own").mkdir()
    assert run_command(["--plugins", "own", "nested.yaml", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("step,")
    for arguments in (["--steps", "2", "check", "nested.yaml"], ["nested.yaml", "check", "--steps", "2"]):
        assert run_command(arguments) == 2
        assert "the command 'check' stands first: graphrun check " in capsys.readouterr().err
    assert run_command(["nested.yaml", "--set", "parameters.a", "3"]) == 2
    assert "--set parameters.a=3" in capsys.readouterr().err
    assert run_command(["--record", "check", "nested.yaml"]) == 2
    assert "the name 'check' is unknown" in capsys.readouterr().err


def test_every_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    """`graphrun --help` lists each command with a description, and each has a help of its own."""
    assert run_command(["--help"]) == 0
    listing = capsys.readouterr().out
    for name, command in commands.commands.items():
        assert command.help
        assert f"\n  {name}" in listing
        assert run_command([name, "-h"]) == 0
        assert "Usage: graphrun" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="this system has no /dev/stdin")
def test_a_graph_can_come_from_another_program() -> None:
    """/dev/stdin is a file like any other."""
    process = start("/dev/stdin", "--format", "json", stdin=subprocess.PIPE)
    out, _ = process.communicate(NESTED, timeout=300)
    assert json.loads(out)["values"]["f"] == pytest.approx(-3.8808, rel=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("output_format", ["jsonl", "csv"])
def test_a_closed_pipe_ends_quietly(output_format: str) -> None:
    """`graphrun ... | head -1` gives one line, status 0 and not a word on stderr."""
    process = start("nested.yaml", "--steps", "20000", "--every", "1", "--format", output_format)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(("step", '{"step": 0'))
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=300) == 0
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [["nested.yaml"], pytest.param(["nested.yaml", "--format", "jsonl"], marks=pytest.mark.campaign), ["nodes"]],
)
def test_an_output_that_cannot_be_written_is_an_error(arguments: list[str]) -> None:
    """A full disk ends with status 1 and says so, without a traceback."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        status, _, err = finish(start(*arguments, stdout=full))
    assert status == 1
    assert err == "graphrun: the output cannot be written: [Errno 28] No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize(("stream", "status"), [(1, 1), (2, 0)])
def test_a_stream_that_is_closed_gives_no_traceback(stream: int, status: int) -> None:
    """Without a stdout (`>&-`) nothing can be written, status 1; without a stderr all goes its way."""
    command = f"{shlex.quote(sys.executable)} -m graphrun nested.yaml {stream}>&-"
    done = subprocess.run(  # noqa: S602 (only a shell closes a stream)
        command, shell=True, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == status
    assert "Traceback" not in done.stdout + done.stderr
    assert ("stdout is closed" in done.stderr) is (stream == 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "output_format", ["table", *(pytest.param(name, marks=pytest.mark.campaign) for name in ("json", "csv"))]
)
def test_names_that_the_encoding_lacks_are_escaped(output_format: str) -> None:
    """A θ on a stdout of ASCII is shown as an escape, and JSON stays JSON."""
    Path("greek.yaml").write_text(
        "parameters: {θ: 2, é: 1}\nnodes: {f: {type: add, inputs: [θ, é]}}\nminimize: f\n", encoding="utf-8"
    )
    status, out, err = finish(start("greek.yaml", "--format", output_format, environment={"PYTHONIOENCODING": "ascii"}))
    assert (status, err) == (0, "")
    assert "\\u03b8" in out
    if output_format == "json":
        assert json.loads(out)["parameters"] == {"θ": 1.99, "é": 0.99}


def interrupt_after_start(process: subprocess.Popen[str]) -> None:
    """Send Ctrl-C as soon as the first row shows that the run is under way."""
    assert process.stdout is not None
    assert process.stdout.readline().startswith('{"step": 0')
    process.send_signal(signal.SIGINT)


@pytest.mark.campaign
def test_ctrl_c_keeps_the_rows_of_json_lines_whole() -> None:
    """Rows that were written before Ctrl-C are followed by the last one, each a whole line."""
    process = start("endless.yaml", "--format", "jsonl", "-q")
    interrupt_after_start(process)
    status, out, err = finish(process)
    assert (status, err) == (130, "")
    assert json.loads(out.splitlines()[-1])["step"] > 0


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(folder: Path) -> None:
    """While one step takes long, a second Ctrl-C ends the process with status 130 and no table."""
    plugin = """
import time
import graphrun

@graphrun.elementwise
def slow(xp, x):
    \"\"\"Takes minutes a step, apart from the first calls.\"\"\"
    if xp.all(x != 1) and xp.all(x != 4):
        time.sleep(200)
    return 2 * x

@slow.local_derivatives
def _(xp, y, x):
    return (2.0,)

@graphrun.hookimpl
def graphrun_node_types():
    return [slow]
"""
    (folder / "plugins").mkdir()
    (folder / "plugins" / "slow.py").write_text(plugin, encoding="utf-8")
    Path("slow.yaml").write_text(
        "parameters: {x: 4}\nnodes: {f: {type: slow, inputs: [x]}}\nminimize: f\nsteps: 9\n", encoding="utf-8"
    )
    process = start("slow.yaml", "--format", "jsonl", "--plugins", "plugins")
    interrupt_after_start(process)
    begin = time.monotonic()
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    status, out, err = finish(process)
    assert time.monotonic() - begin < 100
    assert (status, out) == (130, "")
    assert "Traceback" not in err


def run_on_terminal(*arguments: str, seconds: float) -> tuple[str, str, int]:
    """Run graphrun with stderr on a terminal; return stdout, what the terminal shows, and the status.

    Ctrl-C is pressed when the terminal shows something, at the latest after so many seconds.
    """
    screen, terminal = pty.openpty()
    process = start(*arguments, stderr=terminal)
    os.close(terminal)
    shown = b""
    deadline = time.monotonic() + seconds
    pressed = False
    while True:
        ready, _, _ = select.select([screen], [], [], 0.1)
        try:
            shown += os.read(screen, 65536) if ready else b""
        except OSError:  # Linux ends a terminal so when its other end is closed
            break
        if process.poll() is not None and not ready:
            break
        if not pressed and (b"steps" in shown or time.monotonic() > deadline) and process.poll() is None:
            process.send_signal(signal.SIGINT)
            pressed = True
    os.close(screen)
    out, _ = process.communicate(timeout=300)
    return out, shown.decode(), process.returncode


@pytest.mark.slow
def test_ctrl_c_ends_long_work_in_order() -> None:
    """A run of more than a second shows its progress; Ctrl-C ends it with the table, the reason and status 130."""
    out, screen, status = run_on_terminal("endless.yaml", seconds=30)
    assert status == 130
    assert "/1,000,000,000,000" in screen
    assert "Traceback" not in screen
    lines = out.splitlines()
    assert lines[0].split() == ["step", "f", "x"]
    assert lines[1].split() == ["0", "1", "1"]
    assert int(lines[2].split()[0]) > 0
    assert lines[-1] == "stopped: interrupted"
    assert "\r" not in out


@pytest.mark.campaign
@pytest.mark.parametrize(
    "arguments", [["nested.yaml"], ["endless.yaml", "-q", "--engine", "numpy", "--steps", "1000000"]]
)
def test_short_or_quiet_work_shows_no_progress(arguments: list[str]) -> None:
    """A short run, and one with -q, write nothing to the terminal."""
    _, screen, _ = run_on_terminal(*arguments, seconds=300)
    assert screen == ""


def test_verbose_says_on_stderr_what_was_run(capsys: pytest.CaptureFixture[str]) -> None:
    """-v adds a line on stderr, and leaves stdout as it is."""
    assert run_command(["nested.yaml"]) == 0
    plain = capsys.readouterr().out
    assert run_command(["nested.yaml", "-v"]) == 0
    out, err = capsys.readouterr()
    assert out == plain
    assert "nested.yaml" in err
    assert "engine numpy" in err


@pytest.mark.slow
def test_a_run_writes_no_file(folder: Path) -> None:
    """Nothing is written that was not asked for."""
    before = sorted(folder.rglob("*"))
    assert finish(start("nested.yaml"))[0] == 0
    assert finish(start("check", "nested.yaml"))[0] == 0
    assert sorted(folder.rglob("*")) == before
