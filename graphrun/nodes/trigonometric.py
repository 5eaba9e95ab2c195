"""Trigonometric functions and their inverses, in radians."""

from __future__ import annotations

import math

from graphrun.declare.nodetype import Kink, elementwise


@elementwise
def sin(xp, x):
    """Sine of x."""
    return xp.sin(x)


@sin.local_derivatives
def _(xp, y, x):
    return (xp.cos(x),)


@elementwise
def cos(xp, x):
    """Cosine of x."""
    return xp.cos(x)


@cos.local_derivatives
def _(xp, y, x):
    return (-xp.sin(x),)


@elementwise
def tan(xp, x):
    """Tangent: sin(x) / cos(x)."""
    return xp.tan(x)


@tan.local_derivatives
def _(xp, y, x):
    return (1 + y * y,)


@elementwise(domain={"x": "[-1, 1]"}, kinks=[Kink({"x": -1}, (math.inf,)), Kink({"x": 1}, (math.inf,))])
def asin(xp, x):
    """Angle from -pi/2 to pi/2 whose sine is x."""
    return xp.asin(x)


@asin.local_derivatives
def _(xp, y, x):
    return (1 / xp.sqrt((1 - x) * (1 + x)),)


@elementwise(domain={"x": "[-1, 1]"}, kinks=[Kink({"x": -1}, (-math.inf,)), Kink({"x": 1}, (-math.inf,))])
def acos(xp, x):
    """Angle from 0 to pi whose cosine is x."""
    return xp.acos(x)


@acos.local_derivatives
def _(xp, y, x):
    return (-1 / xp.sqrt((1 - x) * (1 + x)),)


@elementwise
def atan(xp, x):
    """Angle from -pi/2 to pi/2 whose tangent is x."""
    return xp.atan(x)


@atan.local_derivatives
def _(xp, y, x):
    return (1 / (1 + x * x),)


@elementwise(
    kinks=[Kink({"y": 0, "x": 0}, (0, 0)), Kink({"y": 0}, (..., ...), label="y = 0 where x < 0, a jump of 2 pi")]
)
def atan2(xp, y, x):
    """Angle of the point (x, y), from -pi to pi: atan(y / x) in the quadrant of the point."""
    return xp.atan2(y, x)


@atan2.local_derivatives
def _(xp, angle, y, x):
    # By the distance twice, for its square overflows and underflows; XLA would divide by it after two divisions.
    distance = xp.hypot(x, y)
    distance = xp.where(xp.equal(distance, 0), 1.0, distance)
    inverse = 1 / distance
    return (x / distance) * inverse, (-y / distance) * inverse
