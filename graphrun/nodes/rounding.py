"""Sign and rounding: piecewise constant, so their derivative is 0, also at the jumps."""

from __future__ import annotations

from graphrun.declare.nodetype import Kink, elementwise

AT_INTEGERS = Kink({"x": lambda xp, x: xp.round(x)}, (0,), label="integers")


@elementwise(kinks=[Kink({"x": 0}, (0,))])
def sign(xp, x):
    """Sign: -1, 0 or 1."""
    return xp.sign(x)


@sign.local_derivatives
def _(xp, y, x):
    return (0.0,)


@elementwise(kinks=[AT_INTEGERS])
def floor(xp, x):
    """Largest integer that is not above x."""
    return xp.floor(x)


@floor.local_derivatives
def _(xp, y, x):
    return (0.0,)


@elementwise(kinks=[AT_INTEGERS])
def ceil(xp, x):
    """Smallest integer that is not below x."""
    return xp.ceil(x)


@ceil.local_derivatives
def _(xp, y, x):
    return (0.0,)


@elementwise(kinks=[Kink({"x": lambda xp, x: xp.floor(x) + 0.5}, (0,), label="half-integers")])
def round_(xp, x):
    """Nearest integer; of two as near, the even one."""
    return xp.round(x)


@round_.local_derivatives
def _(xp, y, x):
    return (0.0,)
