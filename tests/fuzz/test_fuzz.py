"""Whatever a graph file, a data file or a checkpoint holds: a result or a GraphrunError, in 2 GiB and 10 seconds.

`python tests/fuzz/campaign.py --graphs 50000 --data 10000 --checkpoints 5000` tries as many as are named there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import graphrun

pytest.importorskip("resource", reason="limits of memory need a POSIX system")

CAMPAIGN = Path(__file__).with_name("campaign.py")

PARAMETERS = "parameters: {a: [0.5, -1.0, 2.0]}\nnodes: {r: square(a), f: sum(r)}\nminimize: f\n"
FOUND = {
    "a trust radius beyond the largest": PARAMETERS + "update: {type: newton_cg, trust_radius: .inf}\n",
    "a trust radius whose square is too large": (
        "parameters: {a: [300.0, 0.5]}\nnodes: {r: atan(a), f: sum(r)}\nminimize: f\n"
        "update: {type: newton_cg, trust_radius: 1.0e+308}\n"
    ),
    "a start at which the residual is zero": (
        "parameters: {a: [0, 0]}\nnodes: {r: square(a), f: sum(r)}\nminimize: f\n"
        "update: {type: least_squares, residual: a}\n"
    ),
    "more pairs of L-BFGS than memory holds": PARAMETERS + "update: {type: lbfgs, memory: 1000000}\n",
    "a million by a million": (
        "parameters: {a: [[1]]}\nnodes: {b: 'broadcast_to(a, shape=[1000000, 1000000])', f: sum(b)}\nminimize: f\n"
    ),
}
"""Graphs that once ended with another exception, or took too much memory; those of files and checkpoints stand in their
own tests, `tests/data/test_mistakes.py` and `tests/run/test_checkpoint.py`."""


def run(*arguments: str) -> None:
    """Run the campaign and fail with what it finds."""
    command = [sys.executable, str(CAMPAIGN), "--processes=1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_mended(load: Callable[[str], Any], name: str) -> None:
    """A result or a message now."""
    with suppress(graphrun.GraphrunError):
        load(FOUND[name]).try_run(steps=2, engine="numpy")


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["graphs", "data", "checkpoints"])
def test_some_inputs(kind: str) -> None:
    """Of a range that nothing else tries."""
    run(f"--{kind}=40", "--first=1000000")
