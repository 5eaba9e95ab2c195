"""How long the lesson takes from the shell, beside importing the four libraries that graphrun is built on.

The lesson itself does without one of them: only files whose nodes do not stand in order are ordered by NetworkX.

python tests/bench/startup.py [REPEATS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness import ROOT, installed_wheel, shortest, table

TARGET = 1.4

if __name__ == "__main__":
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with installed_wheel() as scripts, tempfile.TemporaryDirectory() as elsewhere:
        python = scripts / "python"
        libraries = "import the four libraries"
        clock, processor = shortest(
            {
                "python -c pass": [python, "-c", "pass"],
                "import numpy": [python, "-c", "import numpy"],
                libraries: [python, "-c", "import networkx, yaml, pydantic, pluggy"],
                "graphrun --version": [scripts / "graphrun", "--version"],
                "graphrun nested.yaml --steps 10": [
                    scripts / "graphrun",
                    ROOT / "graphs" / "nested.yaml",
                    "--steps",
                    "10",
                ],
                "graphrun nodes add": [scripts / "graphrun", "nodes", "add"],
            },
            repeats,
            Path(elsewhere),
        )
        rows: list[list[object]] = [["", "ms", "ratio", "target", "CPU ms", "ratio"]]
        for name in clock:
            target = TARGET if "nested" in name else ""
            figures = [(f"{t[name] * 1000:.0f}", f"{t[name] / t[libraries]:.2f}") for t in (clock, processor)]
            rows.append([name, *figures[0], target, *figures[1]])
        table(rows)
