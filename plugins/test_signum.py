"""The update rule signum does what its source says."""

from pathlib import Path

import numpy as np

import graphrun
from graphrun.testing import load_plugin

FOLDER = Path(__file__).parent
plugin = load_plugin(FOLDER / "signum.py")


def test_steps_are_of_one_size_and_halve() -> None:
    """Gradients of any size give the same step; after one half-life, half of it."""
    value, mean = plugin.signum(
        np, np.array([1.0, 1.0, 1.0]), np.array([1e-6, -50.0, 0.0]), 1, np.zeros(3), step_size=0.1
    )
    np.testing.assert_allclose(value, [0.9, 1.1, 1.0])
    np.testing.assert_allclose(mean, [1e-7, -5.0, 0.0])
    value, _ = plugin.signum(np, 1.0, 3.0, 11, 0.0, step_size=0.1, momentum=0.9, half_life=10)
    np.testing.assert_allclose(value, 0.95)


def test_a_graph_can_name_it(tmp_path: Path) -> None:
    """A graph file names the rule, and the run uses it: x^2 goes from 1 to 0.81 in one step of 0.1."""
    file = tmp_path / "parabola.yaml"
    file.write_text(
        "parameters: {x: 1}\n"
        "nodes:\n"
        "  f: {type: square, inputs: [x]}\n"
        "minimize: f\n"
        "update: {type: signum, step_size: 0.1}\n",
        encoding="utf-8",
    )
    result = graphrun.load(file, plugins=[FOLDER]).run(steps=1)
    np.testing.assert_allclose(result.values["f"], 0.81)
