"""What a file says and no engine computes: nodes take its place when the file is loaded (`run/derivatives.py`)."""

from __future__ import annotations

import math

from graphrun.declare.nodetype import tensor


@tensor(formula="d sum(y) / dx", gradients=["as of the nodes that take its place"] * 2)
def derivative(xp, y, x):
    """Derivative of the sum of y by x, in the shape of x; 0 where y does not depend on x."""
    return xp.full_like(x, math.nan)


@derivative.vjp
def _(xp, gradient, z, y, x):
    return None, None
