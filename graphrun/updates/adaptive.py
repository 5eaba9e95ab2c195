"""Rules that give each parameter a step size of its own, from the gradients that it had so far.

The formulas and defaults are those of PyTorch's ``torch.optim`` where it has the rule; `step_size` is its ``lr``,
`epsilon` its ``eps``. `weight_decay` adds that multiple of the value to its gradient; in `adamw` and `lion` it is
decoupled from the gradient and shrinks the value itself (Loshchilov and Hutter, 2019).

Where a formula has a mean or a sum of squares, the state is its root, made by `hypot`: a square overflows or vanishes
where the number itself does not, and a parameter would stay where it is for ever.
"""

from __future__ import annotations

from graphrun.base.types import Decay, NotNegative, Share
from graphrun.declare.updaterule import update_rule


def running_root(xp, root, number, decay):
    """Return the root of decay * root^2 + (1 - decay) * number^2."""
    return xp.hypot(decay**0.5 * root, (1 - decay) ** 0.5 * number)


def adam_step(xp, value, gradient, step, mean, root, step_size, beta1, beta2, epsilon):
    """Make the step that `adam` and `adamw` have in common."""
    mean = beta1 * mean + (1 - beta1) * gradient
    root = running_root(xp, root, gradient, beta2)
    corrected_mean = mean / (1 - beta1**step)
    corrected_root = root / (1 - beta2**step) ** 0.5
    return value - step_size * (corrected_mean / (corrected_root + epsilon)), mean, root


@update_rule
def adam(
    xp,
    value,
    gradient,
    step,
    mean,
    root,
    *,
    step_size: NotNegative = 0.001,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    epsilon: NotNegative = 1e-8,
    weight_decay: NotNegative = 0.0,
):
    """Step sizes from running means of the gradient and of its square (Kingma and Ba, 2015, algorithm 1).

    mean = beta1 * mean + (1 - beta1) * gradient; root^2 = beta2 * root^2 + (1 - beta2) * gradient^2;
    value - step_size * (mean / (1 - beta1^step)) / (root / sqrt(1 - beta2^step) + epsilon).
    """
    if weight_decay:
        gradient = gradient + weight_decay * value
    return adam_step(xp, value, gradient, step, mean, root, step_size, beta1, beta2, epsilon)


@update_rule
def adamw(
    xp,
    value,
    gradient,
    step,
    mean,
    root,
    *,
    step_size: NotNegative = 0.001,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    epsilon: NotNegative = 1e-8,
    weight_decay: NotNegative = 0.01,
):
    """Adam whose weight decay is none of the gradient's (Loshchilov and Hutter, 2019).

    The value is multiplied by 1 - step_size * weight_decay; then comes the step of `adam`.
    """
    if weight_decay:
        value = value * (1 - step_size * weight_decay)
    return adam_step(xp, value, gradient, step, mean, root, step_size, beta1, beta2, epsilon)


@update_rule
def rmsprop(
    xp,
    value,
    gradient,
    root,
    mean,
    velocity,
    *,
    step_size: NotNegative = 0.01,
    alpha: Decay = 0.99,
    epsilon: NotNegative = 1e-8,
    momentum: Share = 0.0,
    centered: bool = False,
    weight_decay: NotNegative = 0.0,
):
    """The gradient over the root of the running mean of its square (Hinton, 2012; centered: Graves, 2013).

    root^2 = alpha * root^2 + (1 - alpha) * gradient^2; value - step_size * gradient / (root + epsilon). With `centered`
    the root is that of the running variance, of which the square of the running mean is subtracted; with `momentum` a
    velocity gathers the quotients.
    """
    if weight_decay:
        gradient = gradient + weight_decay * value
    if centered:
        # The variance by itself, as West (1979) has it: of a difference of two squares rounding makes a negative.
        share = (1 - alpha) ** 0.5
        root = alpha**0.5 * xp.hypot(root, share * gradient - share * mean)
        mean = alpha * mean + (1 - alpha) * gradient
    else:
        root = running_root(xp, root, gradient, alpha)
    direction = gradient / (root + epsilon)
    if momentum:
        direction = velocity = momentum * velocity + direction
    return value - step_size * direction, root, mean, velocity


@update_rule
def adagrad(
    xp,
    value,
    gradient,
    step,
    root,
    *,
    step_size: NotNegative = 0.01,
    step_size_decay: NotNegative = 0.0,
    initial_accumulator: NotNegative = 0.0,
    epsilon: NotNegative = 1e-10,
    weight_decay: NotNegative = 0.0,
):
    """The gradient over the root of the sum of all its squares (Duchi, Hazan and Singer, 2011).

    root^2 = root^2 + gradient^2; value - step_size * gradient / (sqrt(initial_accumulator + root^2) + epsilon), the
    step size divided by 1 + (step - 1) * step_size_decay.
    """
    if weight_decay:
        gradient = gradient + weight_decay * value
    if step_size_decay:
        step_size = step_size / (1 + (step - 1) * step_size_decay)
    root = xp.hypot(root, gradient)
    gathered = xp.hypot(root, initial_accumulator**0.5) if initial_accumulator else root
    return value - step_size * (gradient / (gathered + epsilon)), root


@update_rule
def lion(
    xp,
    value,
    gradient,
    mean,
    *,
    step_size: NotNegative = 0.0001,
    beta1: Decay = 0.9,
    beta2: Decay = 0.99,
    weight_decay: NotNegative = 0.0,
):
    """Steps of one length: the sign of a running mean of the gradient (Chen et al., 2023, algorithm 2).

    direction = sign(beta1 * mean + (1 - beta1) * gradient); mean = beta2 * mean + (1 - beta2) * gradient;
    value - step_size * (direction + weight_decay * value).
    """
    direction = xp.sign(beta1 * mean + (1 - beta1) * gradient)
    if weight_decay:
        direction = direction + weight_decay * value
    return value - step_size * direction, beta2 * mean + (1 - beta2) * gradient
