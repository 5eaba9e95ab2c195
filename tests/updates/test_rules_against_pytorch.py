"""Every update rule against PyTorch's optimizer, through the Python interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import graphrun
from graphrun import updates

torch = pytest.importorskip("torch", reason="the oracle is PyTorch: pip install torch")

STEPS = 20
BETAS = {"beta1": 0.8, "beta2": 0.95}

Optimizer = Callable[[list[Any]], Any]


class Lion(torch.optim.Optimizer):  # type: ignore[misc]
    """Chen et al., "Symbolic discovery of optimization algorithms" (2023), algorithm 2, written down line by line."""

    def __init__(self, parameters: list[Any], lr: float, beta1: float, beta2: float, decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "beta1": beta1, "beta2": beta2, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters."""
        for group in self.param_groups:
            for theta in group["params"]:
                m = self.state[theta].setdefault("m", torch.zeros_like(theta))
                c = group["beta1"] * m + (1 - group["beta1"]) * theta.grad
                theta.sub_(group["lr"] * (torch.sign(c) + group["decay"] * theta))
                self.state[theta]["m"] = group["beta2"] * m + (1 - group["beta2"]) * theta.grad


def sgd(**given: Any) -> Optimizer:
    """Return what makes PyTorch's SGD."""
    return lambda parameters: torch.optim.SGD(parameters, **given)


def made_by(kind: Any, **given: Any) -> Optimizer:
    """Return what makes an optimizer of PyTorch's."""
    return lambda parameters: kind(parameters, **given)


CASES: list[tuple[str, dict[str, Any], Optimizer]] = [
    ("sgd", {}, sgd(lr=0.01)),
    ("sgd", {"step_size": 0.05, "weight_decay": 0.3}, sgd(lr=0.05, weight_decay=0.3)),
    ("momentum", {}, sgd(lr=0.01, momentum=0.9)),
    ("momentum", {"momentum": 0.5, "dampening": 0.25}, sgd(lr=0.01, momentum=0.5, dampening=0.25)),
    ("momentum", {"dampening": 1.0, "weight_decay": 0.1}, sgd(lr=0.01, momentum=0.9, dampening=1.0, weight_decay=0.1)),
    ("nesterov", {}, sgd(lr=0.01, momentum=0.9, nesterov=True)),
    (
        "nesterov",
        {"momentum": 0.7, "weight_decay": 0.2},
        sgd(lr=0.01, momentum=0.7, nesterov=True, weight_decay=0.2),
    ),
    ("adam", {}, made_by(torch.optim.Adam)),
    (
        "adam",
        {"step_size": 0.1, **BETAS, "epsilon": 1e-3},
        made_by(torch.optim.Adam, lr=0.1, betas=(0.8, 0.95), eps=1e-3),
    ),
    ("adam", {"weight_decay": 0.4}, made_by(torch.optim.Adam, weight_decay=0.4)),
    ("adamw", {}, made_by(torch.optim.AdamW)),
    ("adamw", {"step_size": 0.1, "weight_decay": 0.4}, made_by(torch.optim.AdamW, lr=0.1, weight_decay=0.4)),
    ("adamw", {**BETAS, "weight_decay": 0}, made_by(torch.optim.AdamW, betas=(0.8, 0.95), weight_decay=0)),
    ("rmsprop", {}, made_by(torch.optim.RMSprop)),
    ("rmsprop", {"alpha": 0.8, "epsilon": 1e-2}, made_by(torch.optim.RMSprop, alpha=0.8, eps=1e-2)),
    ("rmsprop", {"centered": True}, made_by(torch.optim.RMSprop, centered=True)),
    ("rmsprop", {"momentum": 0.6}, made_by(torch.optim.RMSprop, momentum=0.6)),
    (
        "rmsprop",
        {"momentum": 0.6, "centered": True, "weight_decay": 0.1},
        made_by(torch.optim.RMSprop, momentum=0.6, centered=True, weight_decay=0.1),
    ),
    ("adagrad", {}, made_by(torch.optim.Adagrad)),
    ("adagrad", {"step_size_decay": 0.2}, made_by(torch.optim.Adagrad, lr_decay=0.2)),
    (
        "adagrad",
        {"initial_accumulator": 0.5, "weight_decay": 0.1, "epsilon": 1e-3},
        made_by(torch.optim.Adagrad, initial_accumulator_value=0.5, weight_decay=0.1, eps=1e-3),
    ),
    ("lion", {}, made_by(Lion, lr=1e-4, beta1=0.9, beta2=0.99, decay=0.0)),
    (
        "lion",
        {"step_size": 0.02, **BETAS, "weight_decay": 0.3},
        made_by(Lion, lr=0.02, beta1=0.8, beta2=0.95, decay=0.3),
    ),
]


def test_every_rule_has_a_case() -> None:
    """A new rule has to be compared with something."""
    assert {rule.name for rule in updates.graphrun_update_rules()} == {name for name, _, _ in CASES}


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize(("name", "given", "optimizer"), CASES, ids=[f"{name}-{given}" for name, given, _ in CASES])
def test_a_rule_is_that_of_pytorch(
    tmp_path: Path, name: str, given: dict[str, Any], optimizer: Optimizer, direction: str
) -> None:
    """After 20 steps on a random problem the parameters are PyTorch's, to 1e-12."""
    random = np.random.default_rng(7)
    data = {"w": random.normal(size=(3, 2)), "b": random.normal(size=2), "s": random.normal()}
    x, y = random.normal(size=(6, 3)), random.normal(size=(6, 2))
    sign = "" if direction == "minimize" else "-"
    graph = {
        "parameters": {key: np.asarray(value).tolist() for key, value in data.items()},
        "constants": {"x": x.tolist(), "y": y.tolist()},
        "nodes": {"loss": "mean((tanh(x @ w + b) * s - y)**2) + sin(s)", "goal": f"{sign}loss"},
        direction: "goal",
        "update": {"type": name, **given},
    }
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump(graph), encoding="utf-8")
    result = graphrun.load(file).run(STEPS)

    tensors = {key: torch.tensor(value, dtype=torch.float64, requires_grad=True) for key, value in data.items()}
    oracle = optimizer(list(tensors.values()))
    for _ in range(STEPS):
        oracle.zero_grad()
        made = torch.tanh(torch.tensor(x) @ tensors["w"] + tensors["b"]) * tensors["s"]
        (torch.mean((made - torch.tensor(y)) ** 2) + torch.sin(tensors["s"])).backward()
        oracle.step()
    for key, tensor in tensors.items():
        expected = tensor.detach().numpy()
        assert not np.array_equal(expected, data[key])
        np.testing.assert_allclose(result.parameters[key], expected, rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize(("name", "given", "optimizer"), CASES, ids=[f"{name}-{given}" for name, given, _ in CASES])
def test_factors_are_those_of_parameter_groups(name: str, given: dict[str, Any], optimizer: Optimizer) -> None:
    """A parameter's factors are the step size and the weight decay of a group of PyTorch's; a frozen one stays."""
    random = np.random.default_rng(7)
    data = {"w": random.normal(size=(3, 2)), "b": random.normal(size=2), "s": random.normal()}
    factors = {"w": (0.5, 1.0), "b": (1.0, 0.0), "s": (3.0, 1.5)}
    x, y = random.normal(size=(6, 3)), random.normal(size=(6, 2))
    parameters = {
        key: {"value": np.asarray(value).tolist(), "step_size": factors[key][0], "weight_decay": factors[key][1]}
        for key, value in data.items()
    }
    graph = {
        "parameters": {"v": {"value": 0.7, "frozen": True}, **parameters},
        "constants": {"x": x.tolist(), "y": y.tolist()},
        "nodes": {"loss": "mean((tanh(v * x @ w + b) * s - y)**2) + sin(s)"},
        "minimize": "loss",
        "update": {"type": name, **given},
    }
    result = graphrun.load(graph).run(STEPS)

    tensors = {key: torch.tensor(value, dtype=torch.float64, requires_grad=True) for key, value in data.items()}
    oracle = optimizer(list(tensors.values()))
    (usual,) = oracle.param_groups
    decay = "decay" if name == "lion" else "weight_decay"
    oracle.param_groups[:] = [
        {**usual, "params": [tensor], "lr": usual["lr"] * factors[key][0], decay: usual[decay] * factors[key][1]}
        for key, tensor in tensors.items()
    ]
    for _ in range(STEPS):
        oracle.zero_grad()
        made = torch.tanh(0.7 * torch.tensor(x) @ tensors["w"] + tensors["b"]) * tensors["s"]
        (torch.mean((made - torch.tensor(y)) ** 2) + torch.sin(tensors["s"])).backward()
        oracle.step()
    assert result.parameters["v"] == 0.7
    for key, tensor in tensors.items():
        np.testing.assert_allclose(result.parameters[key], tensor.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_a_parameter_without_a_gradient_decays_all_the_same(tmp_path: Path) -> None:
    """Weight decay moves a parameter that the objective does not depend on, and nothing else does."""
    file = tmp_path / "graph.yaml"
    text = "parameters: {a: 1, unused: 2}\nnodes:\n  f: a**2\nminimize: f\nupdate: {type: sgd, weight_decay: 0.5}\n"
    file.write_text(text, encoding="utf-8")
    assert graphrun.load(file).run(1).parameters["unused"] == pytest.approx(2 * (1 - 0.01 * 0.5), rel=1e-15)
