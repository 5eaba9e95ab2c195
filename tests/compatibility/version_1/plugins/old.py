"""A plugin as it was written for version 1."""

import graphrun


@graphrun.elementwise
def tripled(xp, x, *, factor: float = 3.0):
    """Three times x: factor x."""
    return factor * x


@tripled.local_derivatives
def _(xp, y, x, *, factor):
    return (factor,)


@graphrun.update_rule
def halved(xp, value, gradient, step, memory, *, step_size: float = 0.01):
    """Half a step, and half of the one before."""
    memory = 0.5 * memory + 0.5 * gradient
    return value - step_size * memory, memory


@graphrun.hookimpl
def graphrun_node_types():
    """Return the node types."""
    return [tripled]


@graphrun.hookimpl
def graphrun_update_rules():
    """Return the update rules."""
    return [halved]
