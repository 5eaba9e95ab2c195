"""Activation functions; names, defaults and the derivatives at kinks are PyTorch's (`torch.nn.functional`)."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Literal

from graphrun.declare.nodetype import Example, Kink, elementwise
from graphrun.nodes.digits import (
    FAR,
    VERY_FAR,
    carefully,
    exp_of_square,
    in_blocks,
    is_exact,
    is_small_array,
    rounded_off_product,
    times_exp,
)
from graphrun.nodes.special import normal_share, twice_normal

if TYPE_CHECKING:
    from graphrun.base.types import AboveZero, Finite

# Klambauer et al., "Self-Normalizing Neural Networks", 2017, to the digits of PyTorch's constants.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715
GELU_FAR = 9.6
"""Of the polynomial in the exponent of gelu by tanh, and where the exponent is 78."""


MISH_FAR = 40.0
"""Where the gate of mish is 1 or e^x in every dtype, and before the square of e^x overflows."""


@elementwise
def sigmoid(xp, x):
    """Logistic function: 1 / (1 + e^-x)."""
    return 1 / (1 + xp.exp(-x))


@sigmoid.keeping
def _(xp, x):
    """The output, and e^-x."""
    power = xp.exp(-x)
    return 1 / (1 + power), power


@sigmoid.local_derivatives
def _(xp, y, x, *, kept=None):
    if kept is not None:
        slope = kept * y * y
        # Far out the power is infinite where y is 0.
        if math.isfinite(xp.vdot(slope, slope)):
            return (slope,)

    def in_a_tail(x, y):
        return y / (1 + xp.exp(x))

    if is_small_array(xp, x):
        return (in_a_tail(x, y),)
    return (carefully(xp, lambda x, y: y * (1 - y), y > 0.875, in_a_tail, x, y, everywhere=True),)


@elementwise
def log_sigmoid(xp, x):
    """Logarithm of the logistic function: -log(1 + e^-x)."""
    return -xp.logaddexp(-x, 0.0)


@log_sigmoid.local_derivatives
def _(xp, y, x):
    return (1 / (1 + xp.exp(x)),)


@elementwise(kinks=[Kink({"x": 0}, (0,))])
def relu(xp, x):
    """Rectified linear unit: x where x > 0, else 0."""
    return xp.maximum(x, 0.0)


@relu.local_derivatives
def _(xp, y, x):
    return (xp.where(x > 0, 1.0, 0.0),)


@elementwise(kinks=[Kink({"x": 0}, ("slope",))], examples=[Example(settings={"slope": 0.3})])
def leaky_relu(xp, x, *, slope: Finite = 0.01):
    """Rectified linear unit that leaks: x where x > 0, else slope x."""
    return xp.where(x > 0, x, slope * x)


@leaky_relu.local_derivatives
def _(xp, y, x, *, slope):
    return (xp.where(x > 0, 1.0, slope),)


@elementwise(kinks=[Kink({"x": 0}, ("alpha",))], examples=[Example(settings={"alpha": 0.5})])
def elu(xp, x, *, alpha: Finite = 1.0):
    """Exponential linear unit: x where x > 0, else alpha (e^x - 1)."""
    return xp.where(x > 0, x, alpha * xp.expm1(x))


@elu.local_derivatives
def _(xp, y, x, *, alpha):
    return (xp.where(x > 0, 1.0, alpha * xp.exp(x)),)


@elementwise(kinks=[Kink({"x": 0}, (...,))], examples=[Example(settings={"alpha": 0.5, "gamma": 1.25})])
def selu(xp, x, *, alpha: Finite = SELU_ALPHA, gamma: Finite = SELU_SCALE):
    """Scaled exponential linear unit: gamma x where x > 0, else gamma alpha (e^x - 1)."""
    return xp.where(x > 0, gamma * x, gamma * alpha * xp.expm1(x))


@selu.local_derivatives
def _(xp, y, x, *, alpha, gamma):
    return (xp.where(x > 0, gamma, gamma * alpha * xp.exp(x)),)


@elementwise(kinks=[Kink({"x": 0}, (1,))], examples=[Example(settings={"alpha": 0.5})])
def celu(xp, x, *, alpha: AboveZero = 1.0):
    """Exponential linear unit of slope 1 at 0 for every alpha: x where x > 0, else alpha (e^(x / alpha) - 1)."""
    return xp.where(x > 0, x, alpha * xp.expm1(x / alpha))


@celu.local_derivatives
def _(xp, y, x, *, alpha):
    def far(x):
        exponent = x / alpha
        return xp.exp(exponent) * (1 + rounded_off_product(xp, alpha, exponent, x) / -alpha)

    lost = alpha != 1 and x < -FAR * alpha
    return (xp.where(x > 0, 1.0, carefully(xp, lambda x: xp.exp(x / alpha), lost, far, x)),)


@elementwise(examples=[Example(settings={"approximate": "tanh"})])
def gelu(xp, x, *, approximate: Literal["none", "tanh"] = "none"):
    """Gaussian error linear unit: x P(Z <= x), Z standard normal; tanh: x / (1 + e^(-1.5958 (x + 0.044715 x^3)))."""
    if approximate == "tanh":
        # (1 + tanh(u)) / 2 = 1 / (1 + e^-2u), which keeps its digits where tanh(u) is near -1.
        return gated(xp, x, lambda x: gelu_exponent(xp, x)[0], -GELU_FAR)
    return 0.5 * x * twice_normal(xp, x)


@gelu.keeping
def _(xp, x, *, approximate):
    """The output, the share of the normal distribution and e^(-x^2 / 2)."""
    if approximate == "tanh":
        return gelu.function(xp, x, approximate=approximate), None
    share, exponential = in_blocks(xp, lambda x: normal_share(xp, x), x)
    return x * share, (share, exponential)


@gelu.local_derivatives
def _(xp, y, x, *, approximate, kept=None):
    if kept is not None:
        share, exponential = kept
        return (share + x * exponential / math.sqrt(2 * math.pi),)
    if approximate == "tanh":

        def plain(x, y):
            exponent, slope = gelu_exponent(xp, x)
            power = xp.exp(exponent)
            return (power + y * slope) / (1 + power)

        def far(x, y):
            # Beyond -100 it is 0 in every dtype, and a power might overflow.
            exponent, slope = gelu_exponent(xp, xp.maximum(x, -100.0))
            return xp.where(x > 0, 1.0, xp.exp(exponent) + y * slope)

        return (carefully(xp, plain, abs(x) > GELU_FAR, far, x, y),)
    # The share of the normal distribution is y / x, and a half where y may vanish.
    share = 0.5 * twice_normal(xp, x) if is_exact(xp) else xp.where(abs(x) < 1e-20, 0.5, y / x)
    return (share + x * exp_of_square(xp, x, 0.5) / math.sqrt(2 * math.pi),)


def gelu_exponent(xp, x):
    """2 (2 / pi)^(1/2) (x + 0.044715 x^3) and its derivative."""
    if is_exact(xp):
        # As the definition has the numbers: products of them are none that a proof knows again.
        return GELU_SLOPE * (x + GELU_CUBIC * x * x * x), GELU_SLOPE * (1 + 3 * GELU_CUBIC * x * x)
    square = x * x
    return x * (GELU_SLOPE + GELU_SLOPE * GELU_CUBIC * square), GELU_SLOPE + 3 * GELU_SLOPE * GELU_CUBIC * square


def gated(xp, x, exponent, limit):
    """Product of x and the logistic function of an exponent, x / (1 + e^-exponent), which is VERY_FAR at a limit."""
    return carefully(
        xp,
        lambda x: x / (1 + xp.exp(-exponent(x))),
        x < limit,
        lambda x: times_exp(xp, x, exponent(x)),
        x,
    )


@elementwise(examples=[Example(settings={"beta": 2.5})])
def softplus(xp, x, *, beta: AboveZero = 1.0):
    """Smooth maximum of x and 0: log(1 + e^(beta x)) / beta."""

    def far(x):
        exponent = beta * x
        rest = 1 + rounded_off_product(xp, beta, x, exponent)
        return xp.where(
            exponent < -40.0, times_exp(xp, rest / beta, exponent), xp.log1p(xp.exp(exponent) * rest) / beta
        )

    lost = beta != 1 and x < -FAR / beta
    return carefully(xp, lambda x: xp.logaddexp(beta * x, 0.0) / beta, lost, far, x)


@softplus.local_derivatives
def _(xp, y, x, *, beta):
    def far(x):
        exponent = -beta * x
        return 1 / (1 + xp.exp(exponent) * (1 + rounded_off_product(xp, -beta, x, exponent)))

    lost = beta != 1 and x < -FAR / beta
    return (carefully(xp, lambda x: 1 / (1 + xp.exp(-beta * x)), lost, far, x),)


@elementwise
def softsign(xp, x):
    """Sigmoid without exponentials: x / (1 + |x|)."""
    return x / (1 + xp.abs(x))


@softsign.local_derivatives
def _(xp, y, x):
    return (1 / (1 + xp.abs(x)) ** 2,)


@elementwise
def silu(xp, x):
    """Sigmoid linear unit, also called swish: x / (1 + e^-x)."""
    return gated(xp, x, lambda x: x, VERY_FAR)


@silu.local_derivatives
def _(xp, y, x):
    def plain(x, y):
        power = xp.exp(x)
        return (power + y) / (1 + power)

    return (carefully(xp, plain, x > -VERY_FAR, ones(xp), x, y),)


def ones(xp):
    """What a derivative is where an exponential would overflow."""
    return lambda x, *_: xp.ones_like(x)


@elementwise
def mish(xp, x):
    """Self-regularized activation: x tanh(log(1 + e^x))."""
    if is_exact(xp):
        return x * xp.tanh(xp.logaddexp(x, 0.0))

    def plain(x):
        # With e = e^x the gate is e (e + 2) / (e (e + 2) + 2).
        power = xp.exp(x)
        twice = power * (power + 2)
        return x * (twice / (twice + 2))

    return carefully(xp, plain, abs(x) > MISH_FAR, lambda x: xp.where(x > 0, x, times_exp(xp, x, x)), x)


@mish.local_derivatives
def _(xp, y, x):
    if not is_exact(xp):
        return (carefully(xp, partial(through_mish, xp), x > MISH_FAR, ones(xp), x, y),)
    gate = xp.tanh(xp.logaddexp(x, 0.0))
    return (gate + x * (1 - gate * gate) / (1 + xp.exp(-x)),)


def through_mish(xp, x, y):
    """The gate, and y times its relative slope, 4 (e + 1) / ((e + 2) (e (e + 2) + 2)), where e = e^x."""
    power = xp.exp(x)
    more = power + 2
    twice = power * more
    return (twice + 4 * y * ((power + 1) / more)) / (twice + 2)


@elementwise(
    kinks=[
        Kink({"x": lambda xp, x, *, alpha, beta: 0 * x - beta / alpha}, (0,), label="alpha x + beta = 0"),
        Kink({"x": lambda xp, x, *, alpha, beta: 0 * x + (1 - beta) / alpha}, (0,), label="alpha x + beta = 1"),
    ],
    examples=[Example(settings={"alpha": 0.25, "beta": 0.75})],
)
def hard_sigmoid(xp, x, *, alpha: AboveZero = 1 / 6, beta: Finite = 0.5):
    """Sigmoid of straight lines: alpha x + beta, kept between 0 and 1."""
    # Near its zero the sum would be rounded.
    line = x / (1 / alpha) + beta if is_exact(xp) else (x + beta / alpha) / (1 / alpha)
    return xp.minimum(xp.maximum(line, 0.0), 1.0)


@hard_sigmoid.local_derivatives
def _(xp, y, x, *, alpha, beta):
    return (xp.where(xp.abs(x - (0.5 - beta) / alpha) < 0.5 / alpha, alpha, 0.0),)


@elementwise(kinks=[Kink({"x": -3}, (0,)), Kink({"x": 3}, (1,))])
def hard_swish(xp, x):
    """Swish of straight lines: x times x / 6 + 1/2, kept between 0 and 1."""
    return x * hard_sigmoid.function(xp, x, alpha=1 / 6, beta=0.5)


@hard_swish.local_derivatives
def _(xp, y, x):
    return (xp.where(x > -3, xp.where(x < 3, (2 * x + 3) / 6, 1.0), 0.0),)


@elementwise(kinks=[Kink({"x": -1}, (0,)), Kink({"x": 1}, (0,))])
def hard_tanh(xp, x):
    """Hyperbolic tangent of straight lines: x, kept between -1 and 1."""
    return xp.minimum(xp.maximum(x, -1.0), 1.0)


@hard_tanh.local_derivatives
def _(xp, y, x):
    return (xp.where(xp.abs(x) < 1, 1.0, 0.0),)
