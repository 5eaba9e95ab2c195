"""Gradient descent and its velocities: one step size for all parameters.

The formulas and defaults are those of PyTorch's ``torch.optim.SGD``; `step_size` is its ``lr``. With `weight_decay`,
that multiple of the value is added to its gradient, as if half its square were added to the objective.
"""

from __future__ import annotations

from graphrun.base.types import NotNegative, Share
from graphrun.declare.updaterule import update_rule


@update_rule
def sgd(xp, value, gradient, *, step_size: NotNegative = 0.01, weight_decay: NotNegative = 0.0):
    """Gradient descent: value - step_size * gradient."""
    if weight_decay:
        gradient = gradient + weight_decay * value
    return value - step_size * gradient


@update_rule
def momentum(
    xp,
    value,
    gradient,
    step,
    velocity,
    *,
    step_size: NotNegative = 0.01,
    momentum: Share = 0.9,
    dampening: Share = 0.0,
    weight_decay: NotNegative = 0.0,
):
    """Gradient descent with a velocity that gathers past gradients (Polyak, 1964).

    velocity = momentum * velocity + (1 - dampening) * gradient; value - step_size * velocity. The first gradient is
    taken whole, as PyTorch does.
    """
    if weight_decay:
        gradient = gradient + weight_decay * value
    if dampening:
        velocity = momentum * velocity + (1 - dampening * (step > 1)) * gradient
    else:
        velocity = momentum * velocity + gradient
    return value - step_size * velocity, velocity


@update_rule
def nesterov(
    xp,
    value,
    gradient,
    velocity,
    *,
    step_size: NotNegative = 0.01,
    momentum: Share = 0.9,
    weight_decay: NotNegative = 0.0,
):
    """Momentum that looks one step ahead (Nesterov, 1983; in the form of Sutskever et al., 2013).

    velocity = momentum * velocity + gradient; value - step_size * (gradient + momentum * velocity).
    """
    if weight_decay:
        gradient = gradient + weight_decay * value
    velocity = momentum * velocity + gradient
    return value - step_size * (gradient + momentum * velocity), velocity
