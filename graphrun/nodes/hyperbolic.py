"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import math

from graphrun.declare.nodetype import Kink, elementwise
from graphrun.nodes.digits import carefully, is_small_array


@elementwise
def sinh(xp, x):
    """Hyperbolic sine: (e^x - e^-x) / 2."""
    return xp.sinh(x)


@sinh.local_derivatives
def _(xp, y, x):
    return (xp.cosh(x),)


@elementwise
def cosh(xp, x):
    """Hyperbolic cosine: (e^x + e^-x) / 2."""
    return xp.cosh(x)


@cosh.local_derivatives
def _(xp, y, x):
    return (xp.sinh(x),)


@elementwise
def tanh(xp, x):
    """Hyperbolic tangent: sinh(x) / cosh(x)."""
    return xp.tanh(x)


@tanh.local_derivatives
def _(xp, y, x):
    if is_small_array(xp, x):
        power = xp.exp(x)
        double = power + 1 / power
        return (4 / (double * double),)

    def in_a_tail(x, y):
        return 2 * (1 + abs(y)) / (1 + xp.exp(2 * abs(x)))

    return (carefully(xp, lambda x, y: 1 - y * y, abs(y) > 0.85, in_a_tail, x, y, everywhere=True),)


@elementwise
def asinh(xp, x):
    """Inverse hyperbolic sine: log(x + (x^2 + 1)^(1/2))."""
    return xp.asinh(x)


@asinh.local_derivatives
def _(xp, y, x):
    return (1 / xp.hypot(x, 1.0),)


@elementwise(domain={"x": "[1, inf)"}, kinks=[Kink({"x": 1}, (math.inf,))])
def acosh(xp, x):
    """Inverse hyperbolic cosine, not negative: log(x + (x^2 - 1)^(1/2))."""
    return xp.acosh(x)


@acosh.local_derivatives
def _(xp, y, x):
    return (1 / (xp.sqrt(x - 1) * xp.sqrt(x + 1)),)


@elementwise(domain={"x": "(-1, 1)"})
def atanh(xp, x):
    """Inverse hyperbolic tangent: log((1 + x) / (1 - x)) / 2."""
    return xp.atanh(x)


@atanh.local_derivatives
def _(xp, y, x):
    return (1 / ((1 - x) * (1 + x)),)
