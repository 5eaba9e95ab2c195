"""Nanoseconds of a step of the lesson, beside the same step written by hand in plain Python.

python tests/bench/nested.py [STEPS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness import ROOT, shortest_call, table

import graphrun
from graphrun.engines.auto import get_engine

TARGET = 15.0
STEP_SIZE = 1e-9


def by_hand(steps: int) -> tuple[float, float, float, float]:
    """Make the steps: forward pass, backward pass, update, as a person would write them."""
    a, b, c = 5.0, -3.0, -2.0
    step_size = STEP_SIZE
    d = a + b
    f = d * c
    for _ in range(steps):
        df_dd, df_dc = c, d
        df_da, df_db = df_dd * 1.0, df_dd * 1.0
        a, b, c = a + step_size * df_da, b + step_size * df_db, c + step_size * df_dc
        d = a + b
        f = d * c
    return a, b, c, f


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        # A small step size, for the objective must stay finite for many steps.
        lesson = (ROOT / "graphs" / "nested.yaml").read_text(encoding="utf-8").partition("expect:")[0]
        file = Path(folder) / "nested.yaml"
        file.write_text(lesson.replace("step_size: 0.01", f"step_size: {STEP_SIZE}"), encoding="utf-8")
        graph = graphrun.load(file)
    program = get_engine("numpy").compile(graph.plan())
    program.evaluate()

    def engine() -> None:
        """Advance by all steps at once."""
        program.advance(steps)

    def whole_run() -> None:
        """Do what `graph.run` does, the history included."""
        graph.run(steps=steps)

    times = shortest_call({"by hand": lambda: by_hand(steps), "numpy engine": engine, "graph.run": whole_run}, 15)
    rows: list[list[object]] = [["", "ns a step", "ratio", "target"]]
    for name, seconds in times.items():
        target = TARGET if name == "numpy engine" else ""
        rows.append([name, f"{seconds / steps * 1e9:.0f}", f"{seconds / times['by hand']:.1f}", target])
    table(rows)
