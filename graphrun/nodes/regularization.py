"""Random numbers: for regularization, and for what is random itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphrun.declare.declaration import Noise, Training
from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes import special
from graphrun.nodes.axes import check_same_axes, undo_broadcast

if TYPE_CHECKING:
    from graphrun.base.types import Finite


def kept_scale(rate):
    """What a kept element is multiplied by, so that its expected value stays."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate:g}, not a share from 0 to 1")
    return 1 / (1 - rate) if rate < 1 else 0.0


@tensor(
    formula="where(noise >= rate, x / (1 - rate), 0)",
    gradients=["where(noise >= rate, gradient / (1 - rate), 0)", None],
    examples=[
        Example(shapes=[(4, 5)]),
        Example(shapes=[(3,)], settings={"rate": 0.0}),
        Example(shapes=[(3,)], settings={"rate": 1.0}),
        Example(shapes=[()], settings={"rate": 0.25}),
    ],
)
def dropout(xp, x, noise: Noise, *, rate: Finite = 0.5, training: Training):
    """Input with a random share of its elements set to 0 and the others scaled up; evaluated, the input itself."""
    scale = kept_scale(rate)
    return xp.where(xp.greater_equal(noise, rate), scale * x, 0.0) if training else x


@dropout.vjp
def _(xp, gradient, y, x, noise, *, rate, training):
    return xp.where(noise >= rate, kept_scale(rate) * gradient, 0.0) if training else gradient, None


def standard_normal(xp, noise):
    """Standard normal numbers of uniform ones, multiples of 2^-24: each the quantile of its cell's middle."""
    return math.sqrt(2) * special.erfinv.function(xp, (2 * noise - 1) + 2.0**-24)


@tensor(
    formula="mean + scale * normal(noise)",
    gradients=["gradient", "gradient * normal(noise)", None],
    examples=[
        Example(shapes=[(4, 5), (4, 5)]),
        Example(shapes=[(3,), ()]),
        Example(shapes=[(), ()]),
    ],
)
def normal_noise(xp, mean, scale, noise: Noise, *, training: Training):
    """Normal random numbers with a mean and a standard deviation, drawn anew in each step; evaluated, the mean."""
    if scale.ndim:
        check_same_axes(mean, scale, ("mean", "scale"))
    return mean + scale * standard_normal(xp, noise) if training else mean


@normal_noise.vjp
def _(xp, gradient, y, mean, scale, noise, *, training):
    drawn = gradient * standard_normal(xp, noise) if training else xp.zeros_like(mean)
    return gradient, undo_broadcast(xp, drawn, scale.shape), None
