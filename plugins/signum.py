"""Steps of one size for every parameter, as an example of an update rule with a state and the number of the step.

Bernstein et al., "signSGD: compressed optimisation for non-convex problems", 2018, algorithm 2 (Signum).
"""

import graphrun


@graphrun.update_rule
def signum(
    xp, value, gradient, step, mean, *, step_size: float = 0.01, momentum: float = 0.9, half_life: float = 100.0
):
    """Move by the sign of the gradient's running mean; the step size halves every so many steps."""
    mean = momentum * mean + (1 - momentum) * gradient
    return value - step_size * 0.5 ** ((step - 1) / half_life) * xp.sign(mean), mean


@graphrun.hookimpl
def graphrun_update_rules():
    """Return the update rules of this plugin."""
    return [signum]
