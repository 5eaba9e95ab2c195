"""Normal random numbers: their distribution, that every engine draws the same, that a resumed run goes on with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from graphrun.api import Graph

Load = Callable[[str], Graph]

VARIATIONAL = """
parameters: {mean: [0.5, -1.0, 2.0], log_scale: [0.0, 0.1, -0.2]}
nodes:
  z: normal_noise(mean, exp(log_scale))
  f: sum(z ** 2) - sum(log_scale)
minimize: f
update: {type: sgd, step_size: 0.01}
seed: 7
"""


def test_the_numbers_are_normal(load: Load) -> None:
    """Kolmogorov's and Smirnov's test, and the first moments, of 100,000."""
    nodes = "nodes:\n  z: normal_noise(broadcast_to(a, shape=[100000]), 1)\n  f: sum(z) + a\nminimize: f"
    text = f"parameters: {{a: 0}}\n{nodes}"
    for dtype in ("float64", "float32"):
        drawn = np.asarray(
            load(f"{text}\ndtype: {dtype}\nupdate: {{type: sgd, step_size: 1e-9}}").run(steps=1).values["z"]
        )
        assert stats.kstest(drawn, "norm").pvalue > 0.01
        np.testing.assert_allclose([drawn.mean(), drawn.std(), stats.skew(drawn)], [0, 1, 0], atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_engine_draws_the_same(load: Load, dtype: str) -> None:
    """To a rounding, in either dtype; another seed draws others."""
    found = {}
    for engine in ("numpy", "jax"):
        result = load(f"{VARIATIONAL}dtype: {dtype}").run(steps=20, engine=engine)
        found[engine] = np.concatenate([result.parameters["mean"], result.parameters["log_scale"]])
    np.testing.assert_allclose(found["numpy"], found["jax"], rtol=1e-12 if dtype == "float64" else 1e-5)
    other = load(VARIATIONAL.replace("seed: 7", "seed: 8")).run(steps=20).parameters["mean"]
    assert not np.allclose(other, found["numpy"][:3])


def test_either_dtype_draws_the_same(load: Load) -> None:
    """The uniform numbers are multiples of 2^-24, which both hold."""
    double, single = (load(f"{VARIATIONAL}dtype: {d}").run(steps=1).values["z"] for d in ("float64", "float32"))
    np.testing.assert_allclose(double, single, rtol=1e-5)


@pytest.mark.campaign
@pytest.mark.parametrize("engine", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_a_resumed_run_is_the_same_to_the_last_bit(load: Load, tmp_path: Path, engine: str) -> None:
    """Each step's numbers are a function of the seed, the name and the step."""
    whole = load(VARIATIONAL).run(steps=9, engine=engine)
    load(VARIATIONAL).run(steps=4, engine=engine, save=tmp_path / "c.safetensors")
    rest = load(VARIATIONAL).run(steps=9, engine=engine, resume=tmp_path / "c.safetensors")
    for name in ("mean", "log_scale"):
        np.testing.assert_array_equal(whole.parameters[name], rest.parameters[name])
