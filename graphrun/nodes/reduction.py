"""Reductions: many elements to one, along some axes or all."""

from __future__ import annotations

from graphrun.nodetype import Example, tensor

EXAMPLES = (
    Example(shapes=[(3, 4)]),
    Example(shapes=[()]),
    Example(shapes=[(2, 3, 4)], settings={"axis": 0}),
    Example(shapes=[(2, 3, 4)], settings={"axis": -2}),
    Example(shapes=[(2, 3, 4)], settings={"axis": [0, -1]}),
    Example(shapes=[(2, 3, 4)], settings={"axis": [-1, 1], "keepdims": True}),
    Example(shapes=[(2, 3)], settings={"keepdims": True}),
    Example(shapes=[(2, 3)], settings={"axis": []}),
)


def spread(xp, gradient, x, axis, keepdims):
    """Give each element that was summed the gradient of its sum."""
    if axis is not None and not keepdims:
        axes = axis if isinstance(axis, tuple) else (axis,)
        reduced = {number % x.ndim for number in axes}
        gradient = xp.reshape(gradient, tuple(1 if i in reduced else size for i, size in enumerate(x.shape)))
    return xp.broadcast_to(gradient, x.shape)


@tensor(examples=EXAMPLES)
def sum_(xp, x, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False):
    """Sum along an axis, several axes or all."""
    return xp.sum(x, axis=axis, keepdims=keepdims)


@sum_.vjp
def _(xp, gradient, y, x, *, axis, keepdims):
    return (spread(xp, gradient, x, axis, keepdims),)


@tensor(examples=EXAMPLES)
def mean(xp, x, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False):
    """Arithmetic mean along an axis, several axes or all."""
    return xp.mean(x, axis=axis, keepdims=keepdims)


@mean.vjp
def _(xp, gradient, y, x, *, axis, keepdims):
    return (spread(xp, gradient, x, axis, keepdims) * (y.size / x.size),)
