"""Arithmetic: the operators of expressions, and the absolute value."""

from __future__ import annotations

from graphrun.declare.nodetype import Kink, elementwise
from graphrun.nodes.digits import is_exact


@elementwise
def add(xp, x, y):
    """Sum of two inputs: x + y."""
    return x + y


@add.local_derivatives
def _(xp, z, x, y):
    return 1.0, 1.0


@elementwise
def subtract(xp, x, y):
    """Difference of two inputs: x - y."""
    return x - y


@subtract.local_derivatives
def _(xp, z, x, y):
    return 1.0, -1.0


@elementwise
def multiply(xp, x, y):
    """Product of two inputs: x y."""
    return x * y


@multiply.local_derivatives
def _(xp, z, x, y):
    return y, x


@elementwise(domain={"y": "(-inf, 0) | (0, inf)"})
def divide(xp, x, y):
    """Quotient of two inputs: x / y."""
    return x / y


@divide.local_derivatives
def _(xp, z, x, y):
    return 1 / y, -z / y


@elementwise(
    domain={"y": "(-inf, 0) | (0, inf)"},
    kinks=[Kink({"x": lambda xp, x, y: xp.round(x / y) * y}, (1, ...), label="x a multiple of y")],
)
def remainder(xp, x, y):
    """Remainder with the sign of y: x - y floor(x / y)."""
    return x % y


@remainder.local_derivatives
def _(xp, z, x, y):
    # The floor of the quotient that goes with the remainder; floor(x / y) is one off where x / y rounds up to it.
    return 1.0, -(x // y)


@elementwise(
    domain={"y": "(-inf, 0) | (0, inf)"},
    kinks=[Kink({"x": lambda xp, x, y: xp.round(x / y) * y}, (1, ...), label="x a multiple of y")],
)
def fmod(xp, x, y):
    """Remainder with the sign of x, as C has it: x - y trunc(x / y)."""
    if is_exact(xp):
        return x - y * xp.trunc(x / y)
    return xp.copysign(xp.abs(x) % xp.abs(y), x)


@fmod.local_derivatives
def _(xp, z, x, y):
    if is_exact(xp):
        return 1.0, -xp.trunc(x / y)
    return 1.0, -xp.sign(x) * xp.sign(y) * (xp.abs(x) // xp.abs(y))


@elementwise
def negative(xp, x):
    """Negative of x: -x."""
    return -x


@negative.local_derivatives
def _(xp, y, x):
    return (-1.0,)


@elementwise(kinks=[Kink({"x": 0}, (0,))])
def abs_(xp, x):
    """Absolute value: |x|."""
    return xp.abs(x)


@abs_.local_derivatives
def _(xp, y, x):
    return (xp.sign(x),)


@elementwise
def identity(xp, x):
    """Identity: x."""
    return x


@identity.local_derivatives
def _(xp, y, x):
    return (1.0,)


@elementwise
def stop_gradient(xp, x):
    """Identity through which no gradient flows back: x; weight decay still moves a parameter behind it."""
    return x


@stop_gradient.local_derivatives
def _(xp, y, x):
    return (None,)
