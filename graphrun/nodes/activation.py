"""Activation functions; names, defaults and the derivatives at kinks are PyTorch's (`torch.nn.functional`)."""

from __future__ import annotations

import math
from typing import Literal

from graphrun.base.types import AboveZero, Finite
from graphrun.declare.nodetype import Example, Kink, elementwise
from graphrun.nodes.special import complementary_error_function

# Klambauer et al., "Self-Normalizing Neural Networks", 2017, to the digits of PyTorch's constants.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

GELU_SLOPE = math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715


@elementwise
def sigmoid(xp, x):
    """Logistic function: 1 / (1 + e^-x)."""
    return 1 / (1 + xp.exp(-x))


@sigmoid.local_derivatives
def _(xp, y, x):
    return (y * (1 - y),)


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


@elementwise(kinks=[Kink({"x": 0}, (SELU_SCALE * SELU_ALPHA,))])
def selu(xp, x):
    """Scaled exponential linear unit: 1.0507 x where x > 0, else 1.7581 (e^x - 1)."""
    return xp.where(x > 0, SELU_SCALE * x, SELU_SCALE * SELU_ALPHA * xp.expm1(x))


@selu.local_derivatives
def _(xp, y, x):
    return (xp.where(x > 0, SELU_SCALE, SELU_SCALE * SELU_ALPHA * xp.exp(x)),)


@elementwise(kinks=[Kink({"x": 0}, (1,))], examples=[Example(settings={"alpha": 0.5})])
def celu(xp, x, *, alpha: AboveZero = 1.0):
    """Exponential linear unit of slope 1 at 0 for every alpha: x where x > 0, else alpha (e^(x / alpha) - 1)."""
    return xp.where(x > 0, x, alpha * xp.expm1(x / alpha))


@celu.local_derivatives
def _(xp, y, x, *, alpha):
    return (xp.where(x > 0, 1.0, xp.exp(x / alpha)),)


@elementwise(examples=[Example(settings={"approximate": "tanh"})])
def gelu(xp, x, *, approximate: Literal["none", "tanh"] = "none"):
    """Gaussian error linear unit: x P(Z <= x), Z standard normal; tanh: x / (1 + e^(-1.5958 (x + 0.044715 x^3)))."""
    if approximate == "tanh":
        # (1 + tanh(u)) / 2 = 1 / (1 + e^-2u), which keeps its digits where tanh(u) is near -1.
        return x / (1 + xp.exp(-2 * GELU_SLOPE * (x + GELU_CUBIC * x * x * x)))
    return 0.5 * x * complementary_error_function(xp, -math.sqrt(0.5) * x)


@gelu.local_derivatives
def _(xp, y, x, *, approximate):
    if approximate == "tanh":
        gate = 1 / (1 + xp.exp(-2 * GELU_SLOPE * (x + GELU_CUBIC * x * x * x)))
        return (gate + x * gate * (1 - gate) * 2 * GELU_SLOPE * (1 + 3 * GELU_CUBIC * x * x),)
    density = xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return (0.5 * complementary_error_function(xp, -math.sqrt(0.5) * x) + x * density,)


@elementwise(examples=[Example(settings={"beta": 2.5})])
def softplus(xp, x, *, beta: AboveZero = 1.0):
    """Smooth maximum of x and 0: log(1 + e^(beta x)) / beta."""
    return xp.logaddexp(beta * x, 0.0) / beta


@softplus.local_derivatives
def _(xp, y, x, *, beta):
    return (1 / (1 + xp.exp(-beta * x)),)


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
    return x / (1 + xp.exp(-x))


@silu.local_derivatives
def _(xp, y, x):
    gate = 1 / (1 + xp.exp(-x))
    return (gate + y * (1 - gate),)


@elementwise
def mish(xp, x):
    """Self-regularized activation: x tanh(log(1 + e^x))."""
    return x * xp.tanh(xp.logaddexp(x, 0.0))


@mish.local_derivatives
def _(xp, y, x):
    gate = xp.tanh(xp.logaddexp(x, 0.0))
    return (gate + x * (1 - gate * gate) / (1 + xp.exp(-x)),)


@elementwise(kinks=[Kink({"x": -3}, (0,)), Kink({"x": 3}, (0,))])
def hard_sigmoid(xp, x):
    """Sigmoid of straight lines: x / 6 + 1/2, kept between 0 and 1."""
    return xp.minimum(xp.maximum(x / 6 + 0.5, 0.0), 1.0)


@hard_sigmoid.local_derivatives
def _(xp, y, x):
    return (xp.where(xp.abs(x) < 3, 1 / 6, 0.0),)


@elementwise(kinks=[Kink({"x": -1}, (0,)), Kink({"x": 1}, (0,))])
def hard_tanh(xp, x):
    """Hyperbolic tangent of straight lines: x, kept between -1 and 1."""
    return xp.minimum(xp.maximum(x, -1.0), 1.0)


@hard_tanh.local_derivatives
def _(xp, y, x):
    return (xp.where(xp.abs(x) < 1, 1.0, 0.0),)
