"""Sign and rounding: piecewise constant, so their derivative is 0, also at the jumps."""

from __future__ import annotations

from graphrun.declare.nodetype import Kink, elementwise

AT_INTEGERS = Kink({"x": lambda xp, x: xp.round(x)}, (0,), label="integers")


@elementwise(kinks=[Kink({"x": 0}, (0,))])
def sign(xp, x):
    """Sign: -1, 0 or 1."""
    return xp.sign(x)


@elementwise(kinks=[AT_INTEGERS])
def floor(xp, x):
    """Largest integer that is not above x."""
    return xp.floor(x)


@elementwise(kinks=[AT_INTEGERS])
def ceil(xp, x):
    """Smallest integer that is not below x."""
    return xp.ceil(x)


@elementwise(kinks=[Kink({"x": lambda xp, x: xp.floor(x) + 0.5}, (0,), label="half-integers")])
def round_(xp, x):
    """Nearest integer; of two as near, the even one."""
    return xp.round(x)


@sign.local_derivatives
@floor.local_derivatives
@ceil.local_derivatives
@round_.local_derivatives
def _(xp, y, x):
    return (0.0,)
