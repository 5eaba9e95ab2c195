"""A run that a rule may end begins on NumPy's engine, and goes over to a compiled one at a step known before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphrun.engines import auto
from graphrun.run.api import Graph

Load = Callable[[str], Graph]
SWITCH = 150

numbers = pytest.param("x ** 4", "numba")
arrays = pytest.param("x ** 4 + sum(y ** 4)", "jax", marks=pytest.mark.campaign)


def graph_of(load: Load, formula: str, limit: float = 1e-3) -> Graph:
    """A graph that a rule ends after some hundred steps."""
    leaves = "x: 1.5, y: [1, 2]" if "y" in formula else "x: 1.5"
    return load(
        f"""
        parameters: {{{leaves}}}
        nodes: {{f: {formula}}}
        minimize: f
        update: {{type: adam, step_size: 0.005}}
        stop: {{gradient_norm: {limit}}}
        record: [f, x]
        """
    )


@pytest.fixture
def switching(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling pays from the step SWITCH, of so many millions."""
    monkeypatch.setattr(auto, "numpy_seconds", lambda _plan, steps: steps * 1e-3)
    monkeypatch.setattr(auto, "SECONDS_TO_LOAD", 1e-3 * SWITCH)
    monkeypatch.setattr(auto, "SECONDS_TO_COMPILE", 0)
    monkeypatch.setattr(auto, "SECONDS_TO_COMPILE_OPERATION", 0)
    monkeypatch.setattr(auto, "JAX", auto.Costs(start=1e-3 * SWITCH))


@pytest.mark.slow
@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize(("formula", "engine"), [numbers, arrays])
def test_a_run_goes_over_to_the_compiled_engine(load: Load, formula: str, engine: str) -> None:
    """Its numbers are those of one engine, up to rounding, and it ends at the same step by the same rule."""
    pytest.importorskip(engine)
    choices: list[Any] = []
    ran = graph_of(load, formula).try_run(10**7, on_choice=choices.append)
    assert ran.engine == choices[0].engine == f"numpy, from step {SWITCH} {engine}"
    alone = graph_of(load, formula).run(10**7, engine="numpy")
    assert (ran.steps, ran.stopped) == (alone.steps, "gradient_norm")
    assert ran.steps > SWITCH
    for name, value in alone.parameters.items():
        np.testing.assert_allclose(ran.parameters[name], value, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.usefixtures("switching")
def test_a_run_that_ends_before_compiles_nothing(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is NumPy's, bit for bit."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    short = graph_of(load, "x ** 4", limit=10)
    ran = short.run(10**7)
    assert (ran.engine, ran.stopped) == (f"numpy, from step {SWITCH} numba", "gradient_norm")
    assert ran.steps < SWITCH
    assert ran.parameters == graph_of(load, "x ** 4", limit=10).run(10**7, engine="numpy").parameters
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("cut", [SWITCH - 50, SWITCH, SWITCH + 50])
@pytest.mark.parametrize(("formula", "engine"), [numbers, arrays])
def test_it_goes_on_from_a_checkpoint_bit_for_bit(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formula: str, engine: str, cut: int
) -> None:
    """It changes where it would have, also on a machine where compiling pays from another step."""
    pytest.importorskip(engine)
    whole = graph_of(load, formula).run(10**7)
    saved = str(tmp_path / "c.safetensors")
    graph = graph_of(load, formula)
    steps = [0]
    asked: dict[str, Any] = {"on_progress": lambda step, _: steps.append(step), "interrupted": lambda: steps[-1] == cut}
    assert graph.try_run(10**7, save=saved, save_every=cut, **asked).steps == cut
    monkeypatch.setattr(auto, "SECONDS_TO_LOAD", 1e-5)
    monkeypatch.setattr(auto, "JAX", auto.Costs(start=1e-5))
    resumed = graph_of(load, formula).run(10**7, resume=saved)
    assert (resumed.engine, resumed.steps) == (whole.engine, whole.steps)
    for name, value in whole.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], value)


@pytest.mark.usefixtures("switching")
def test_where_the_compiled_engine_cannot_the_first_one_goes_on(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where Numba is of another NumPy; it is told, as by a run that `auto` would have compiled at once."""
    from graphrun.base.errors import UsageError
    from graphrun.engines.numba.engine import NumbaEngine

    def fails(*_: object) -> None:
        raise UsageError("Numba is of another NumPy\n  install another")

    monkeypatch.setattr(NumbaEngine, "compile", fails)
    choices: list[Any] = []
    ran = graph_of(load, "x ** 4").try_run(10**7, on_choice=choices.append)
    assert choices[1].suggestion == "compiled code would be faster, but Numba is of another NumPy"
    assert ran.parameters == graph_of(load, "x ** 4").run(10**7, engine="numpy").parameters
