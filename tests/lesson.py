"""The lesson, and where the example graphs are, for all tests."""

from __future__ import annotations

from pathlib import Path

GRAPHS = Path(__file__).parents[1] / "graphs"

NESTED = """\
parameters: {a: 5, b: -3, c: -2}
nodes:
  d: {type: add, inputs: [a, b]}
  f: {type: multiply, inputs: [d, c]}
maximize: f
update: {type: sgd, step_size: 0.01}
"""
"""f = (a + b) c, as in graphs/nested.yaml."""
