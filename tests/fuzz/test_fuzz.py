"""Whatever a graph file, a data file or a checkpoint holds: a result or a GraphrunError, in 2 GiB and 10 seconds.

`python tests/fuzz/campaign.py --graphs 50000 --data 10000 --checkpoints 5000` tries as many as are named there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="limits of memory need a POSIX system")

CAMPAIGN = Path(__file__).with_name("campaign.py")

SEEDS = {
    "graphs": [
        46,  # a clip_norm of 400 digits
        171,  # too few inputs to a type with settings
        914,  # a solver whose scale is 0
        8275,  # a trust radius beyond the largest
        13211,  # as many vectors of L-BFGS as no memory holds
        14800,  # an array of a million by a million
    ],
    "data": [149, 146, 504, 567, 1201, 2217],
    "checkpoints": [0, 171, 262, 366, 764],
}
"""Inputs that once ended with another exception, or with too much memory."""


def run(*arguments: str) -> None:
    """Run the campaign and fail with what it finds."""
    command = [sys.executable, str(CAMPAIGN), "--processes=1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.campaign
@pytest.mark.parametrize(("kind", "number"), [(kind, number) for kind in SEEDS for number in SEEDS[kind]])
def test_what_was_found_is_mended(kind: str, number: int) -> None:
    """Each input ends with a result or a message now."""
    run(f"--{kind}=1", f"--first={number}")


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["graphs", "data", "checkpoints"])
def test_a_hundred_inputs(kind: str) -> None:
    """Of a range that nothing else tries."""
    run(f"--{kind}=100", "--first=1000000")
