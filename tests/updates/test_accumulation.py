"""Accumulated gradients: k small batches are one of k times their rows, in every engine, and across a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.base.errors import GraphFileError

COUNT, ROWS = 4, 24
RULES = [
    {"type": "sgd", "step_size": 0.05},
    {"type": "momentum", "dampening": 0.3, "weight_decay": 0.1},
    {"type": "adam", "step_size": 0.1},
    {"type": "adam", "step_size": 0.1, "clip_norm": 0.5, "clip_value": 0.4},
    {"type": "lion", "step_size": 0.01, "clip_norm": 0.5},
]


def graph(folder: Path, update: dict[str, Any], batch_size: int, *, maximize: bool = False, **more: Any) -> Any:
    """Return a graph that fits a line to some rows, in file order."""
    x = np.random.default_rng(0).normal(size=(ROWS, 2))
    np.savez(folder / "rows.npz", x=x, y=x @ [1.5, -2.0] + 0.3 + 0.1 * x[:, 0] ** 2)
    sign = "-" if maximize else ""
    return graphrun.load(
        {
            "data": {"file": str(folder / "rows.npz"), "batch_size": batch_size},
            "parameters": {"w": {"value": [0.1, 0.2], "upper": 1.2}, "b": 0, "unused": 1},
            "nodes": {"p": "x @ w + b", "f": f"{sign}mean((p - y) ** 2)"},
            "maximize" if maximize else "minimize": "f",
            "update": update,
            **more,
        }
    )


@pytest.mark.parametrize(
    ("maximize", "update", "engine"),
    [
        *((maximize, update, "numpy") for maximize in (False, True) for update in RULES),
        pytest.param(False, RULES[0], "jax", marks=pytest.mark.campaign),
        pytest.param(True, RULES[3], "jax", marks=pytest.mark.campaign),
        *(pytest.param(k < 3, update, "jax", marks=pytest.mark.nightly) for k, update in enumerate(RULES) if k % 3),
    ],
    ids=str,
)
def test_a_large_batch_in_parts(tmp_path: Path, update: dict[str, Any], engine: str, *, maximize: bool) -> None:
    """The mean of the gradients of k batches is that of their rows together; 50 updates also run as straight lines."""
    whole = graph(tmp_path, update, 3 * COUNT, maximize=maximize).run(50, engine=engine)
    parts = graph(tmp_path, {**update, "accumulate": COUNT}, 3, maximize=maximize).run(50 * COUNT, engine=engine)
    for name, value in whole.parameters.items():
        np.testing.assert_allclose(parts.parameters[name], value, rtol=1e-12, err_msg=name)
        rows = parts.history.get(name)
        assert rows is None or np.unique(rows[1:COUNT]).size == 1, "nothing moves before the k-th step"


@pytest.mark.parametrize(
    ("update", "engine", "dtype"),
    [
        *((update, "numpy", dtype) for update in RULES[2:4] for dtype in ("float64", "float32")),
        pytest.param(RULES[3], "jax", "float32", marks=pytest.mark.campaign),
        pytest.param(RULES[2], "jax", "float64", marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_resumed_between_two_updates(tmp_path: Path, update: dict[str, Any], engine: str, dtype: str) -> None:
    """A checkpoint of any step holds what was accumulated: resumed, the run ends with the same bits."""
    run = graph(tmp_path, {**update, "accumulate": COUNT}, 3).run
    whole = run(130, engine=engine, dtype=dtype, save=tmp_path / "whole")
    for step in (1, 2, 119):
        run(step, engine=engine, dtype=dtype, save=tmp_path / "part")
        run(130, engine=engine, dtype=dtype, resume=tmp_path / "part", save=tmp_path / "resumed")
        assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes(), step
    assert whole.steps == 130


@pytest.mark.parametrize(
    "engine", ["numpy", pytest.param("numba", marks=pytest.mark.slow), pytest.param("jax", marks=pytest.mark.slow)]
)
def test_numbers_alone(engine: str) -> None:
    """Without data the k gradients are the same one: every engine goes as it does without, k times as slowly."""
    file = "parameters: {x: 1, y: 2}\nnodes: {f: (x - 3) ** 2 * y + y ** 2}\nminimize: f\n"
    file += "update: {type: adam, step_size: 0.1, clip_norm: 1"
    plain = graphrun.loads(file + "}").run(40, engine=engine)
    slow = graphrun.loads(file + ", accumulate: 3}").run(120, engine=engine)
    assert slow.parameters == pytest.approx(plain.parameters, rel=1e-12)


def test_schedules_count_steps(tmp_path: Path) -> None:
    """A schedule counts steps, as `steps` does: the k-th step, which moves the parameters, has its own step size."""
    step_size = {"type": "linear", "start": 0.5, "steps": 8}
    run = graph(tmp_path, {"type": "sgd", "step_size": step_size, "accumulate": 4}, ROWS).run
    given = [0.5 * (1 - step / 8) for step in (3, 7)]
    expected = [run(0).parameters["b"]]
    for step, size in zip((3, 7), given, strict=True):
        expected.append(expected[-1] - size * run(step).gradients["b"])
    assert run(8).parameters["b"] == pytest.approx(expected[-1], rel=1e-13)


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "two", "true", "null", "[2]", "1e40"])
def test_refused(given: str) -> None:
    """What is no whole number of 1 or more is told with its place."""
    with pytest.raises(GraphFileError, match=r"<text>:4:\d+: 'accumulate' takes how many batches"):
        graphrun.loads(
            f"parameters: {{x: 1}}\nnodes: {{f: x * x}}\nminimize: f\nupdate: {{accumulate: {given}}}"
        ).plan()


@pytest.mark.slow
def test_a_mean_that_is_clipped_is_handed_from_engine_to_engine(tmp_path: Path) -> None:
    """What is kept between two updates are the gradients as they were, on whatever engine: one begins, another ends."""
    file = "parameters: {x: 1, y: 2}\nnodes: {f: (x - 3) ** 2 * y - y ** 4}\nmaximize: f\n"
    graph = graphrun.loads(
        file + "update: {type: momentum, step_size: 0.01, clip_value: 2, clip_norm: 2, accumulate: 3}"
    )
    whole = graph.run(20, engine="numpy", save=tmp_path / "numpy")
    for first, then in (("numpy", "numba"), ("numba", "numpy")):
        graph.run(5, engine=first, save=tmp_path / "part")
        resumed = graph.run(20, engine=then, resume=tmp_path / "part")
        assert resumed.parameters == pytest.approx(whole.parameters, rel=1e-12)
