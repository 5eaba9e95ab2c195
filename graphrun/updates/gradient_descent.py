"""Gradient descent, with momentum, and with step sizes of its own for each parameter.

The formulas and defaults are those of PyTorch's ``torch.optim``; `step_size` is its ``lr``.
"""

from __future__ import annotations

from graphrun.updaterule import update_rule


@update_rule
def sgd(xp, value, gradient, *, step_size: float = 0.01):
    """Gradient descent: value - step_size * gradient."""
    return value - step_size * gradient


@update_rule
def momentum(xp, value, gradient, velocity, *, step_size: float = 0.01, momentum: float = 0.9):
    """Gradient descent with a velocity that gathers past gradients (Polyak, 1964)."""
    velocity = momentum * velocity + gradient
    return value - step_size * velocity, velocity


@update_rule
def nesterov(xp, value, gradient, velocity, *, step_size: float = 0.01, momentum: float = 0.9):
    """Momentum that looks one step ahead (Nesterov, 1983; in the form of Sutskever et al., 2013)."""
    velocity = momentum * velocity + gradient
    return value - step_size * (gradient + momentum * velocity), velocity


@update_rule
def adam(
    xp,
    value,
    gradient,
    step,
    mean,
    square,
    *,
    step_size: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
):
    """Step sizes from running means of the gradient and of its square (Kingma and Ba, 2015, algorithm 1)."""
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient * gradient
    corrected_mean = mean / (1 - beta1**step)
    corrected_square = square / (1 - beta2**step)
    return value - step_size * corrected_mean / (xp.sqrt(corrected_square) + epsilon), mean, square
