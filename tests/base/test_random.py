"""The generator of random numbers: the same everywhere, and random enough."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest

from graphrun.base.random import key_of, pcg4d, uniform

KEY = key_of(0, "hidden")
MANY = 1 << 18


def drawn(key: int = KEY, step: int = 3, count: int = MANY) -> Any:
    """Numbers less their mean, as float64."""
    return uniform(np, key, step, (count,)).astype(np.float64) - 0.5


def correlation(x: Any, y: Any) -> float:
    """The correlation of uniform numbers in units of its own standard deviation."""
    return float(np.mean(x * y) * 12 * math.sqrt(x.size))


def test_the_numbers_are_those_of_the_published_hash() -> None:
    """A graph file with a seed gives the same run tomorrow."""
    words = pcg4d(np, *(np.asarray([number], np.uint32) for number in (1, 2, 3, 4)))
    x, y, z, w = 1, 2, 3, 4
    x, y, z, w = (word * 1664525 + 1013904223 & 0xFFFFFFFF for word in (x, y, z, w))
    for _ in range(2):
        x = x + y * w & 0xFFFFFFFF
        y = y + z * x & 0xFFFFFFFF
        z = z + x * y & 0xFFFFFFFF
        w = w + y * z & 0xFFFFFFFF
        first = (x, y, z, w)
        x, y, z, w = (word ^ word >> 16 for word in first)
    assert tuple(int(word[0]) for word in words) == first == (908250390, 4044648920, 3775961919, 45698095)


def test_a_key_depends_on_seed_and_name() -> None:
    """Of 64 bits, the same in every process."""
    assert key_of(0, "hidden") == KEY
    assert len({key_of(seed, name) for seed in range(50) for name in ("a", "b", "0", "1:a")}) == 200
    assert all(0 <= key_of(seed, "a") < 2**64 for seed in (-1, 0, 2**70))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (0, 3), (1001,)])
def test_jax_draws_the_same_bits(shape: tuple[int, ...]) -> None:
    """Also where the step is computed by the compiled program."""
    jax, jnp = pytest.importorskip("jax"), importlib.import_module("jax.numpy")
    compiled = jax.jit(lambda step: uniform(jnp, KEY, step, shape))
    for step in (0, 1, 2**32 - 1):
        ours = uniform(np, KEY, step, shape)
        assert ours.shape == shape
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(uniform(jnp, KEY, step, shape), ours)
        np.testing.assert_array_equal(compiled(np.uint32(step)), ours)


def test_the_numbers_are_uniform() -> None:
    """Mean, variance, and the distance of Kolmogorov and Smirnov."""
    x = drawn()
    assert abs(x.mean()) * math.sqrt(12 * MANY) < 4
    assert abs(x.var() * 12 - 1) * math.sqrt(MANY * 5 / 4) < 4
    steps = np.arange(1, MANY + 1) / MANY
    assert np.abs(np.sort(x) + 0.5 - steps).max() * math.sqrt(MANY) < 2
    assert x.min() >= -0.5
    assert x.max() < 0.5


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 64, MANY // 4, MANY // 2])
def test_neighbours_are_independent(lag: int) -> None:
    """Also those whose words come from one call of the hash."""
    x = drawn()
    assert abs(correlation(x[lag:], x[:-lag])) < 4


@pytest.mark.parametrize(
    ("key", "step"), [(KEY, 4), (KEY, 2), (KEY + 1, 3), (KEY + 2**32, 3), (key_of(1, "hidden"), 3)]
)
def test_steps_and_keys_are_independent(key: int, step: int) -> None:
    """Next steps and next keys too: the hash mixes what is nearly equal."""
    assert abs(correlation(drawn(), drawn(key, step))) < 4


@pytest.mark.slow
def test_one_position_is_random_from_step_to_step() -> None:
    """The numbers of 32 units in 5,000 steps, each against each and against its own next."""
    x = np.stack([drawn(step=step, count=32) for step in range(5000)])
    limit = 5 / math.sqrt(12 * len(x))
    assert np.abs(x.mean(axis=0)).max() < limit
    among = np.corrcoef(x.T) - np.eye(32)
    assert np.abs(among).max() * math.sqrt(len(x)) < 5
    assert np.abs(np.mean(x[1:] * x[:-1], axis=0) * 12).max() * math.sqrt(len(x)) < 5


@pytest.mark.parametrize("axes", [2, 3])
def test_points_fill_the_cube(axes: int) -> None:
    """Chi-squared of the counts in 4,096 cells, by consecutive numbers."""
    x = drawn()[: MANY // axes * axes].reshape(-1, axes) + 0.5
    cells = round(4096 ** (1 / axes))
    counts = np.histogramdd(x, bins=cells, range=[(0, 1)] * axes)[0]
    chi_squared = np.sum((counts - counts.mean()) ** 2 / counts.mean())
    assert abs(chi_squared - 4095) / math.sqrt(2 * 4095) < 4
