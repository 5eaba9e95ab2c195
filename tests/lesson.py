"""The lesson, and where the example graphs are, for all tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

GRAPHS = Path(__file__).parents[1] / "graphs"

UNLIKE = frozenset(
    (
        *("nested", "activations", "attention", "bounded", "digits", "early", "experts", "garch", "layers", "linear"),
        *("neuron", "newton", "repeated", "rosenbrock", "titanic"),
    )
)
"""The example graphs that show everything at least once: numbers, arrays, data, subgraphs, bounds, solvers, states."""


def each_of(files: Iterable[Path], *, quick: Iterable[str] = UNLIKE, unlike: Iterable[str] = UNLIKE) -> list[Any]:
    """Return files of example graphs as parameters: those that are like others, to this test, are for a nightly run.

    What is not in `quick` is the campaign's, as is all of a test that is marked so.
    """
    return [
        pytest.param(
            file,
            id=file.stem,
            marks=pytest.mark.nightly if file.stem not in unlike else [pytest.mark.campaign] * (file.stem not in quick),
        )
        for file in files
    ]


NESTED = """\
parameters: {a: 5, b: -3, c: -2}
nodes:
  d: {type: add, inputs: [a, b]}
  f: {type: multiply, inputs: [d, c]}
maximize: f
update: {type: sgd, step_size: 0.01}
"""
"""f = (a + b) c, as in graphs/nested.yaml."""

LONG_NAMES = """
parameters: {the_first_weight_of_the_hidden_layer: -0.512345678, the_second_weight_of_the_hidden_layer_which_is_long: 2}
constants: {observed_input_value_from_the_experiment: 1.51234567}
nodes:
  product_of_first_weight_and_observed_input:
    the_first_weight_of_the_hidden_layer * observed_input_value_from_the_experiment
  prediction: tanh(product_of_first_weight_and_observed_input * the_second_weight_of_the_hidden_layer_which_is_long)
  squared_error_of_the_prediction: (prediction - 1) ** 2
minimize: squared_error_of_the_prediction
steps: 20
"""
"""A graph whose names are as long as those of people who spell everything out."""
