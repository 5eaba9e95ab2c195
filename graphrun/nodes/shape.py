"""The shape of an array: the same elements in another arrangement."""

from __future__ import annotations

import math

from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes.axes import all_from_front, check_axes, count, undo_broadcast


@tensor(
    formula="reshape(x, shape)",
    gradients=["reshape(gradient, x.shape)"],
    examples=[
        Example(shapes=[(2, 6)], settings={"shape": [3, 4]}),
        Example(shapes=[(2, 3, 4)], settings={"shape": [4, -1]}),
        Example(shapes=[(1, 1)], settings={"shape": []}),
        Example(shapes=[()], settings={"shape": [1]}),
    ],
)
def reshape(xp, x, *, shape: tuple[int, ...]):
    """Another shape for the same elements, in row-major order; one size may be -1, to be worked out."""
    known = math.prod(size for size in shape if size != -1)
    wanted = shape.count(-1) > 1 or min(shape, default=0) < -1
    whole = known > 0 and x.size % known == 0 if -1 in shape else known == x.size
    if wanted or not whole:
        raise ValueError(f"x has {count(x.size, 'element')}, which the shape {list(shape)} does not hold")
    return xp.reshape(x, shape)


@reshape.vjp
def _(xp, gradient, y, x, *, shape):
    return (xp.reshape(gradient, x.shape),)


@tensor(
    formula="permute_dims(x, axes)",
    gradients=["permute_dims(gradient, argsort(axes))"],
    examples=[
        Example(shapes=[(2, 3)], settings={"axes": [1, 0]}),
        Example(shapes=[(2, 3, 4)], settings={"axes": [2, 0, 1]}),
        Example(shapes=[(2, 3, 4)], settings={"axes": [-1, -3, -2]}),
    ],
)
def permute_dims(xp, x, *, axes: tuple[int, ...]):
    """Axes in another order: axis i of the output is axis axes[i] of the input."""
    numbers = all_from_front(axes, x)
    if len(numbers) != x.ndim:
        raise ValueError(f"axes {list(axes)} are {len(numbers)}, but x has {count(x.ndim, 'axis')}")
    return xp.permute_dims(x, numbers)


@permute_dims.vjp
def _(xp, gradient, y, x, *, axes):
    numbers = all_from_front(axes, x)
    return (xp.permute_dims(gradient, tuple(numbers.index(i) for i in range(x.ndim))),)


@tensor(formula="x.T", gradients=["gradient.T"], examples=[Example(shapes=[(2, 3)]), Example(shapes=[(2, 3, 4)])])
def matrix_transpose(xp, x):
    """Transposed matrix, or a stack of them: the last two axes exchanged."""
    check_axes(x, 2)
    return xp.matrix_transpose(x)


@matrix_transpose.vjp
def _(xp, gradient, y, x):
    return (xp.matrix_transpose(gradient),)


@tensor(
    formula="broadcast_to(x, shape)",
    gradients=["sum of gradient over the repeated axes"],
    examples=[
        Example(shapes=[(3,)], settings={"shape": [2, 3]}),
        Example(shapes=[(2, 1, 3)], settings={"shape": [4, 2, 5, 3]}),
        Example(shapes=[()], settings={"shape": [2, 2]}),
        Example(shapes=[(2, 3)], settings={"shape": [2, 3]}),
    ],
)
def broadcast_to(xp, x, *, shape: tuple[int, ...]):
    """Input repeated along new leading axes, and along those of size 1."""
    if x.ndim > len(shape):
        raise ValueError(f"x has {count(x.ndim, 'axis')}, the shape {list(shape)} has {len(shape)}")
    leading = len(shape) - x.ndim
    for i, size in enumerate(x.shape):
        if size not in (1, shape[leading + i]):
            elements = count(size, "element")
            raise ValueError(f"axis {i} of x has {elements}, axis {leading + i} of the shape has {shape[leading + i]}")
    return xp.broadcast_to(x, shape)


@broadcast_to.vjp
def _(xp, gradient, y, x, *, shape):
    return (undo_broadcast(xp, gradient, x.shape),)


@tensor(
    formula="expand_dims(x, axis)",
    gradients=["squeeze(gradient, axis)"],
    examples=[
        Example(shapes=[(2, 3)]),
        Example(shapes=[(2, 3)], settings={"axis": -1}),
        Example(shapes=[(2, 3)], settings={"axis": 1}),
        Example(shapes=[()]),
    ],
)
def expand_dims(xp, x, *, axis: int = 0):
    """New axis of size 1 at a position, -1 for the last."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise ValueError(f"axis {axis} is no place for a new axis of x, which has {count(x.ndim, 'axis')}")
    return xp.expand_dims(x, axis=axis)


@expand_dims.vjp
def _(xp, gradient, y, x, *, axis):
    return (xp.reshape(gradient, x.shape),)


@tensor(
    formula="squeeze(x, axis)",
    gradients=["expand_dims(gradient, axis)"],
    examples=[
        Example(shapes=[(1, 3)], settings={"axis": 0}),
        Example(shapes=[(1, 3, 1)], settings={"axis": [0, -1]}),
        Example(shapes=[(1,)], settings={"axis": -1}),
    ],
)
def squeeze(xp, x, *, axis: int | tuple[int, ...]):
    """Input without some axes, which have the size 1."""
    numbers = all_from_front(axis, x)
    for number in numbers:
        if x.shape[number] != 1:
            raise ValueError(f"axis {number} of x has {count(x.shape[number], 'element')}, not 1")
    return xp.squeeze(x, axis=numbers)


@squeeze.vjp
def _(xp, gradient, y, x, *, axis):
    return (xp.reshape(gradient, x.shape),)


@tensor(
    formula="flip(x, axis)",
    gradients=["flip(gradient, axis)"],
    examples=[
        Example(shapes=[(2, 3)]),
        Example(shapes=[(2, 3)], settings={"axis": -1}),
        Example(shapes=[(2, 3, 2)], settings={"axis": [0, 2]}),
    ],
)
def flip(xp, x, *, axis: int | tuple[int, ...] | None = None):
    """Elements in reverse order along an axis, several axes or all."""
    return xp.flip(x, axis=all_from_front(axis, x))


@flip.vjp
def _(xp, gradient, y, x, *, axis):
    return (xp.flip(gradient, axis=all_from_front(axis, x)),)
