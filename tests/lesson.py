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
