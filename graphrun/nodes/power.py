"""Powers and roots."""

from __future__ import annotations

import math

from graphrun.declare.nodetype import Kink, elementwise
from graphrun.nodes.digits import carefully, is_exact, rounded_off_difference


@elementwise(domain={"x": "[0, inf)"}, kinks=[Kink({"x": 0, "y": 0}, (0, 0))])
def pow_(xp, x, y):
    """Power: x^y; of a negative x where y is whole."""
    return x**y


@pow_.local_derivatives
def _(xp, z, x, y):
    # Each mask holds where the other factor is infinite, or the logarithm of no use: x^0 = 1 for all x, and 0^y = 0.
    return (xp.where(xp.equal(y, 0), 0.0, slope(xp, z, x, y)), xp.where(xp.equal(x, 0) & (y >= 0), 0.0, z * xp.log(x)))


def slope(xp, z, x, y):
    """Derivative y x^(y - 1), where the exponent is rounded too, and the power may vanish before it is multiplied."""
    exponent = y - 1
    rest = rounded_off_difference(y, 1.0, exponent)

    def plain(z, x, y, exponent, rest):
        return y * x**exponent

    def corrected(z, x, y, exponent, rest):
        base = xp.where(x > 0, x, 1.0)
        half = base ** (exponent / 2)
        return xp.where(x > 0, y * half * half * (1 + rest * xp.log(base)), y * x**exponent)

    lost = (rest != 0) | (abs(y) > 8)
    if is_exact(xp) or getattr(lost, "is_constant", not getattr(lost, "ndim", 0)):
        return carefully(xp, plain, lost, corrected, z, x, y, exponent, rest)
    # Of exponents that vary, z / x is less work than another power.
    size = abs(z)
    lost = ~((size > 1e-30) & (size < 1e30))
    return carefully(xp, lambda z, x, y, *_: y * z / x, lost, corrected, z, x, y, exponent, rest)


@elementwise
def square(xp, x):
    """Square: x^2."""
    return x * x


@square.local_derivatives
def _(xp, y, x):
    return (2 * x,)


@elementwise(domain={"x": "[0, inf)"}, kinks=[Kink({"x": 0}, (math.inf,))])
def sqrt(xp, x):
    """Square root: x^(1/2)."""
    return xp.sqrt(x)


@sqrt.local_derivatives
def _(xp, y, x):
    return (0.5 / y,)


@elementwise(kinks=[Kink({"x": 0}, (math.inf,))])
def cbrt(xp, x):
    """Cube root, of negative numbers too: x^(1/3)."""
    size = xp.abs(x)
    root = size ** (1 / 3)
    # 1/3 is no binary fraction, so the power misses by up to 60 units in the last place: one step of Newton's method.
    return xp.sign(x) * xp.where((size > 0) & (size < math.inf), root - (root - size / (root * root)) / 3, root)


@cbrt.local_derivatives
def _(xp, y, x):
    return (1 / (3 * y * y),)


@elementwise(domain={"x": "(-inf, 0) | (0, inf)"})
def reciprocal(xp, x):
    """Reciprocal: 1 / x."""
    return 1 / x


@reciprocal.local_derivatives
def _(xp, y, x):
    return (-y * y,)


@elementwise(kinks=[Kink({"x": 0, "y": 0}, (0, 0))])
def hypot(xp, x, y):
    """Length of the vector (x, y): (x^2 + y^2)^(1/2)."""
    return xp.hypot(x, y)


@hypot.local_derivatives
def _(xp, z, x, y):
    length = xp.where(xp.equal(z, 0), 1.0, z)
    return x / length, y / length
