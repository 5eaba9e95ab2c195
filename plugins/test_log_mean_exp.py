"""The node type log_mean_exp keeps what it declares."""

import math
from pathlib import Path

import numpy as np

from graphrun.testing import check_node_type, load_plugin

plugin = load_plugin(Path(__file__).with_name("log_mean_exp.py"))


def test_log_mean_exp_keeps_its_declaration() -> None:
    """Arity, shapes, dtypes, and every derivative against finite differences."""
    check_node_type(plugin.log_mean_exp)


def test_log_mean_exp_of_logarithms_is_the_logarithm_of_their_mean() -> None:
    """The mean of 1, 2 and 6 is 3; a shift of the input is the same shift of the output, however large."""
    x = np.log(np.array([1.0, 2.0, 6.0]))
    np.testing.assert_allclose(plugin.log_mean_exp(np, x), math.log(3))
    np.testing.assert_allclose(plugin.log_mean_exp(np, x + 1000), math.log(3) + 1000)
