"""Taking one of several values: maximum, minimum, clip, where."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from graphrun.declare.nodetype import Example, Kink, elementwise

if TYPE_CHECKING:
    from graphrun.base.types import NotBelow, Number


@elementwise(kinks=[Kink({"x": "y"}, (0.5, 0.5))])
def maximum(xp, x, y):
    """Larger of two inputs; equal ones share the gradient."""
    return xp.maximum(x, y)


@maximum.local_derivatives
def _(xp, z, x, y):
    tie = xp.equal(x, y)
    return xp.where(tie, 0.5, xp.where(x > y, 1.0, 0.0)), xp.where(tie, 0.5, xp.where(x < y, 1.0, 0.0))


@elementwise(kinks=[Kink({"x": "y"}, (0.5, 0.5))])
def minimum(xp, x, y):
    """Smaller of two inputs; equal ones share the gradient."""
    return xp.minimum(x, y)


@minimum.local_derivatives
def _(xp, z, x, y):
    tie = xp.equal(x, y)
    return xp.where(tie, 0.5, xp.where(x < y, 1.0, 0.0)), xp.where(tie, 0.5, xp.where(x > y, 1.0, 0.0))


@elementwise(
    kinks=[Kink({"x": "min"}, (1,)), Kink({"x": "max"}, (1,))],
    examples=[
        Example(settings={"min": -1, "max": 0.5}),
        Example(settings={"min": 0.25}),
        Example(settings={"max": -0.25}),
    ],
)
def clip(
    xp,
    x,
    *,
    min: Number | None = None,  # noqa: A002 (the array API's names)
    max: Annotated[Number | None, NotBelow("min")] = None,  # noqa: A002
):
    """Input kept between two bounds, either of which may be absent: x, but at least min and at most max."""
    bounded = x if min is None else xp.maximum(x, min)
    return bounded if max is None else xp.minimum(bounded, max)


@clip.local_derivatives
def _(xp, y, x, *, min, max):  # noqa: A002
    low = -math.inf if min is None else min
    high = math.inf if max is None else max
    return (xp.where((x >= low) & (x <= high), 1.0, 0.0),)


@elementwise
def where(xp, condition, x, y):
    """Choice between two inputs, element by element: x where the condition is not 0, else y."""
    return xp.where(xp.not_equal(condition, 0), x, y)


@where.local_derivatives
def _(xp, z, condition, x, y):
    chosen = xp.not_equal(condition, 0)
    return None, xp.where(chosen, 1.0, 0.0), xp.where(chosen, 0.0, 1.0)
