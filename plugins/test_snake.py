"""The node type snake keeps what it declares."""

import math
from pathlib import Path

import numpy as np

from graphrun.testing import check_node_type, load_plugin

plugin = load_plugin(Path(__file__).with_name("snake.py"))


def test_snake_keeps_its_declaration() -> None:
    """Arity, shapes, dtypes, and every derivative against finite differences."""
    check_node_type(plugin.snake)


def test_snake_meets_the_line_where_the_sine_is_zero() -> None:
    """At x = pi / frequency the wave is 0, and snake gives x."""
    np.testing.assert_allclose(plugin.snake(np, math.pi / 2, frequency=2.0), math.pi / 2, rtol=1e-15)
    np.testing.assert_allclose(plugin.snake(np, math.pi / 4, frequency=2.0), math.pi / 4 + 1 / 2, rtol=1e-15)
