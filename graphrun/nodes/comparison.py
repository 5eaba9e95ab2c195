"""Comparisons and logic: 1 where the statement holds, else 0; the derivatives are 0, also at the jumps."""

from __future__ import annotations

from graphrun.declare.nodetype import Kink, elementwise

AT_TIES = Kink({"x": "y"}, (0, 0))
AT_ZEROS = (Kink({"x": 0}, (0, 0)), Kink({"y": 0}, (0, 0)))


@elementwise(kinks=[AT_TIES])
def equal(xp, x, y):
    """Whether x = y."""
    return xp.equal(x, y)


@elementwise(kinks=[AT_TIES])
def not_equal(xp, x, y):
    """Whether x and y differ."""
    return xp.not_equal(x, y)


@elementwise(kinks=[AT_TIES])
def less(xp, x, y):
    """Whether x < y."""
    return x < y


@elementwise(kinks=[AT_TIES])
def less_equal(xp, x, y):
    """Whether x <= y."""
    return x <= y


@elementwise(kinks=[AT_TIES])
def greater(xp, x, y):
    """Whether x > y."""
    return x > y


@elementwise(kinks=[AT_TIES])
def greater_equal(xp, x, y):
    """Whether x >= y."""
    return x >= y


@elementwise(kinks=AT_ZEROS)
def logical_and(xp, x, y):
    """Whether both x and y are true; any number but 0 is true."""
    return xp.not_equal(x, 0) & xp.not_equal(y, 0)


@elementwise(kinks=AT_ZEROS)
def logical_or(xp, x, y):
    """Whether x or y or both are true; any number but 0 is true."""
    return xp.not_equal(x, 0) | xp.not_equal(y, 0)


@elementwise(kinks=AT_ZEROS)
def logical_xor(xp, x, y):
    """Whether one of x and y is true; any number but 0 is true."""
    return xp.not_equal(x, 0) ^ xp.not_equal(y, 0)


@equal.local_derivatives
@not_equal.local_derivatives
@less.local_derivatives
@less_equal.local_derivatives
@greater.local_derivatives
@greater_equal.local_derivatives
@logical_and.local_derivatives
@logical_or.local_derivatives
@logical_xor.local_derivatives
def _(xp, z, x, y):
    return 0.0, 0.0


@elementwise(kinks=[Kink({"x": 0}, (0,))])
def logical_not(xp, x):
    """Whether x is 0; any number but 0 is true."""
    return xp.equal(x, 0)


@logical_not.local_derivatives
def _(xp, y, x):
    return (0.0,)
