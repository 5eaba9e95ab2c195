"""An activation function for data that repeats, as an example of an elementwise node type with a setting.

Ziyin, Hartwig and Ueda, "Neural networks fail to learn periodic functions and how to fix it", 2020.
"""

import graphrun


@graphrun.elementwise(examples=[graphrun.Example(settings={"frequency": 2.5})])
def snake(xp, x, *, frequency: float = 1.0):
    """Straight line with a wave on it: x + sin^2(frequency x) / frequency."""
    return x + xp.sin(frequency * x) ** 2 / frequency


@snake.local_derivatives
def _(xp, y, x, *, frequency):
    # 2 sin(u) cos(u) = sin(2u)
    return (1 + xp.sin(2 * frequency * x),)


@graphrun.hookimpl
def graphrun_node_types():
    """Return the node types of this plugin."""
    return [snake]
