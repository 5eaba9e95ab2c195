"""Every schedule against PyTorch's schedulers, and what a run does with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import graphrun
from graphrun.updates.schedule import SCHEDULES

STEPS = 40
BEYOND = 10
"""How many steps are looked at after the end of a schedule, where PyTorch's own ones may go elsewhere."""


def of(name: str, **settings: Any) -> list[float]:
    """Return the step sizes of a schedule, step by step."""
    schedule = SCHEDULES[name]
    given = dict(schedule.read_settings(settings))
    return [float(schedule(np, step, **given)) for step in range(STEPS + BEYOND)]


CASES = [
    ("constant", {"start": 0.1}, "ConstantLR", {"factor": 1.0}),
    ("step", {"start": 0.1, "every": 7}, "StepLR", {"step_size": 7, "gamma": 0.1}),
    ("step", {"start": 0.3, "every": 3, "factor": 0.5}, "StepLR", {"step_size": 3, "gamma": 0.5}),
    ("exponential", {"start": 0.1, "factor": 0.9}, "ExponentialLR", {"gamma": 0.9}),
    (
        "linear",
        {"start": 0.1, "end": 0.02, "steps": STEPS},
        "LinearLR",
        {"start_factor": 1.0, "end_factor": 0.2, "total_iters": STEPS},
    ),
    ("cosine", {"start": 0.1, "steps": STEPS}, "CosineAnnealingLR", {"T_max": STEPS}),
    ("cosine", {"start": 0.1, "end": 0.01, "steps": STEPS}, "CosineAnnealingLR", {"T_max": STEPS, "eta_min": 0.01}),
    ("one_cycle", {"peak": 0.1, "steps": STEPS}, "OneCycleLR", {"max_lr": 0.1, "total_steps": STEPS}),
    (
        "one_cycle",
        {"peak": 0.1, "steps": STEPS, "rise": 0.5, "start_divisor": 10, "end_divisor": 100},
        "OneCycleLR",
        {"max_lr": 0.1, "total_steps": STEPS, "pct_start": 0.5, "div_factor": 10, "final_div_factor": 100},
    ),
]


def pytorch(torch: Any, start: float, name: str, settings: dict[str, Any], warm_up: int = 0) -> list[float]:
    """Return the step sizes of PyTorch's scheduler, with a linear warm-up before it."""
    schedulers = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=start)
    scheduler = getattr(schedulers, name)(optimizer, **settings)
    if warm_up:
        rise = schedulers.LinearLR(optimizer, start_factor=1 / (warm_up + 1), total_iters=warm_up)
        scheduler = schedulers.SequentialLR(optimizer, [rise, scheduler], milestones=[warm_up])
    sizes = []
    for _ in range(STEPS):
        sizes.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return sizes


def test_every_schedule_has_a_case() -> None:
    """A new schedule has to be compared with something."""
    # The one that looks at the run is in test_plateau_against_pytorch.py.
    assert set(SCHEDULES) == {name for name, _, _, _ in CASES} | {"plateau"}
    for schedule in SCHEDULES.values():
        schedule.check_declaration()


@pytest.mark.parametrize(("name", "settings", "theirs", "given"), CASES)
def test_a_schedule_is_that_of_pytorch(
    torch: Any, name: str, settings: dict[str, Any], theirs: str, given: dict[str, Any]
) -> None:
    """The step sizes are PyTorch's, to 1e-12."""
    expected = pytorch(torch, settings.get("start", 0.1), theirs, given)
    np.testing.assert_allclose(of(name, **settings)[:STEPS], expected, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")  # PyTorch's SequentialLR warns of itself
@pytest.mark.parametrize(("name", "settings", "theirs", "given"), CASES[:7])
def test_a_warm_up_leads_to_the_beginning_of_a_schedule(
    torch: Any, name: str, settings: dict[str, Any], theirs: str, given: dict[str, Any]
) -> None:
    """It is PyTorch's LinearLR followed by the schedule: no step size is 0, the first whole one is the start."""
    expected = pytorch(torch, settings["start"], theirs, given, warm_up=5)
    found = of(name, warm_up=5, **settings)
    np.testing.assert_allclose(found[:STEPS], expected, rtol=1e-12)
    assert found[0] == pytest.approx(settings["start"] / 6)
    assert found[5] == settings["start"]


@pytest.mark.parametrize(("name", "end"), [("linear", 0.02), ("cosine", 0.02)])
def test_a_schedule_stays_at_its_end(name: str, end: float) -> None:
    """After its steps it holds its last value."""
    found = of(name, start=0.1, end=end, steps=STEPS)
    assert found[STEPS:] == pytest.approx([end] * BEYOND, rel=1e-15)
    assert of(name, start=0.1, end=end, steps=STEPS, warm_up=3)[STEPS + 3 :] == pytest.approx([end] * (BEYOND - 3))


def test_one_cycle_at_its_edges() -> None:
    """It stays at its end; a cycle without a rise begins at the peak, one that only rises ends there."""
    found = of("one_cycle", peak=0.1, steps=STEPS)
    assert found[STEPS - 1 :] == pytest.approx([0.1 / 25 / 1e4] * (BEYOND + 1), rel=1e-12)
    assert of("one_cycle", peak=0.1, steps=STEPS, rise=0)[0] == pytest.approx(0.1)
    assert of("one_cycle", peak=0.1, steps=STEPS, rise=1)[STEPS - 1 :] == pytest.approx([0.1] * (BEYOND + 1))


def test_exponential_in_longer_strides() -> None:
    """The factor is reached after `every` steps, smoothly."""
    assert of("exponential", start=0.1, factor=0.5, every=10)[:21:5] == pytest.approx(
        [0.1, 0.1 / 2**0.5, 0.05, 0.05 / 2**0.5, 0.025]
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "cosine", "start": 0.1, "steps": 0},
        {"type": "cosine", "start": 0.1},
        {"type": "step", "start": 0.1, "every": 2.5},
        {"type": "linear", "start": 0.1, "steps": 10, "warm_up": -1},
        {"type": "one_cycle", "peak": 0.1, "steps": 1},
        {"type": "one_cycle", "peak": 0.1, "steps": 10, "rise": 1.5},
        {"type": "cosin", "start": 0.1, "steps": 10},
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    """They are mistakes of the file, with their position."""
    with pytest.raises(graphrun.GraphFileError, match=r"graph\.yaml:\d+:\d+: "):
        load(tmp_path, settings)


def load(tmp_path: Path, step_size: Any) -> Any:
    """Load f = 3 a, whose every step moves a by three step sizes."""
    graph = {
        "parameters": {"a": 5.0},
        "nodes": {"f": "3 * a"},
        "minimize": "f",
        "update": {"type": "sgd", "step_size": step_size},
    }
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump(graph), encoding="utf-8")
    return graphrun.load(file)


@pytest.mark.parametrize(("name", "settings", "theirs", "given"), CASES)
def test_a_run_takes_the_schedule(
    tmp_path: Path, name: str, settings: dict[str, Any], theirs: str, given: dict[str, Any]
) -> None:
    """The first step of a run has the schedule's first step size, and so on."""
    del theirs, given
    history = load(tmp_path, {"type": name, **settings}).run(STEPS, record=["a"]).history["a"]
    np.testing.assert_allclose(-np.diff(history) / 3, of(name, **settings)[:STEPS], rtol=1e-9, atol=1e-14)


def test_whole_numbers_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    """`steps: 1e3` is a number of steps, as it is elsewhere in a graph file."""
    file = tmp_path / "graph.yaml"
    schedule = "{type: cosine, start: 0.1, steps: 1e3}"
    text = f"parameters: {{a: 5}}\nnodes: {{f: a*a}}\nminimize: f\nupdate: {{type: sgd, step_size: {schedule}}}\n"
    file.write_text(text, encoding="utf-8")
    assert graphrun.load(file).run(1).parameters["a"] == pytest.approx(5 - 0.1 * 10)
