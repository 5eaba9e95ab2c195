"""Exponentials and logarithms."""

from __future__ import annotations

import math

from graphrun.declare.nodetype import elementwise
from graphrun.nodes.digits import FAR, carefully, is_exact, rounded_off_difference

LOG_2 = math.log(2)
LOG_10 = math.log(10)


@elementwise
def exp(xp, x):
    """Exponential: e^x."""
    return xp.exp(x)


@exp.local_derivatives
def _(xp, y, x):
    return (y,)


@elementwise
def exp2(xp, x):
    """Power of two: 2^x."""
    return 2.0**x


@exp2.local_derivatives
def _(xp, y, x):
    return (LOG_2 * y,)


@elementwise
def expm1(xp, x):
    """Exponential less one, exact near 0: e^x - 1."""
    return xp.expm1(x)


@expm1.local_derivatives
def _(xp, y, x):
    return (xp.exp(x),)


@elementwise(domain={"x": "(0, inf)"})
def log(xp, x):
    """Natural logarithm of x."""
    return xp.log(x)


@log.local_derivatives
def _(xp, y, x):
    return (1 / x,)


@elementwise(domain={"x": "(-1, inf)"})
def log1p(xp, x):
    """Natural logarithm of one more, exact near 0: log(1 + x)."""
    return xp.log1p(x)


@log1p.local_derivatives
def _(xp, y, x):
    return (1 / (1 + x),)


@elementwise(domain={"x": "(0, inf)"})
def log1mexp(xp, x):
    """Logarithm of one less an exponential, exact near 0 and far from it: log(1 - e^-x)."""
    if is_exact(xp):
        return xp.log(1 - xp.exp(-x))
    # Not from log(2) on: XLA's log1p of less than -0.35 is off by up to 128 units.
    return xp.where(x < 1.2, xp.log(-xp.expm1(-x)), xp.log1p(-xp.exp(-x)))


@log1mexp.local_derivatives
def _(xp, y, x):
    return (1 / xp.expm1(x),)


@elementwise(domain={"x": "(0, 1)"})
def logit(xp, x):
    """Logarithm of the odds, the inverse of the sigmoid: log(x / (1 - x))."""
    if is_exact(xp):
        return xp.log(x / (1 - x))
    less = xp.minimum(x, 1 - x)
    return xp.sign(x - 0.5) * xp.log1p((1 - 2 * less) / less)


@logit.local_derivatives
def _(xp, y, x):
    return (1 / (x * (1 - x)),)


@elementwise(domain={"x": "(0, inf)"})
def log2(xp, x):
    """Logarithm to base 2: log(x) / log(2)."""
    return xp.log2(x)


@log2.local_derivatives
def _(xp, y, x):
    return (1 / LOG_2 / x,)


@elementwise(domain={"x": "(0, inf)"})
def log10(xp, x):
    """Logarithm to base 10: log(x) / log(10)."""
    return xp.log10(x)


@log10.local_derivatives
def _(xp, y, x):
    return (1 / LOG_10 / x,)


@elementwise
def logaddexp(xp, x, y):
    """Logarithm of a sum of exponentials: log(e^x + e^y)."""
    return xp.logaddexp(x, y)


@logaddexp.local_derivatives
def _(xp, z, x, y):
    # Equal infinities have no difference; equal inputs share alike.
    equal = xp.equal(x, y)
    if is_exact(xp):
        return xp.where(equal, 0.5, 1 / (1 + xp.exp(y - x))), xp.where(equal, 0.5, 1 / (1 + xp.exp(x - y)))
    difference = y - x

    def far(difference, x, y):
        rest = rounded_off_difference(y, x, difference)
        return xp.exp(difference) * (1 + xp.where(xp.isfinite(rest), rest, 0.0))

    ratio = carefully(xp, lambda difference, *_: xp.exp(difference), abs(difference) > FAR, far, difference, x, y)
    return xp.where(equal, 0.5, 1 / (1 + ratio)), xp.where(equal, 0.5, 1 / (1 + 1 / ratio))
