"""The shape of an array: the same elements in another arrangement."""

from __future__ import annotations

from graphrun.nodetype import Example, tensor


def count_from_front(axes, x):
    """Axes of x, which may be negative, as numbers from 0: not every array library takes them negative here."""
    if not all(-x.ndim <= axis < x.ndim for axis in axes):
        raise ValueError(f"axes {list(axes)} of an array of {x.ndim} axes")
    return tuple(axis % x.ndim for axis in axes)


@tensor(
    examples=[
        Example(shapes=[(2, 6)], settings={"shape": [3, 4]}),
        Example(shapes=[(2, 3, 4)], settings={"shape": [4, -1]}),
        Example(shapes=[(1, 1)], settings={"shape": []}),
        Example(shapes=[()], settings={"shape": [1]}),
    ]
)
def reshape(xp, x, *, shape: tuple[int, ...]):
    """Another shape for the same elements, in row-major order; one size may be -1, to be worked out."""
    return xp.reshape(x, shape)


@reshape.vjp
def _(xp, gradient, y, x, *, shape):
    return (xp.reshape(gradient, x.shape),)


@tensor(
    examples=[
        Example(shapes=[(2, 3)], settings={"axes": [1, 0]}),
        Example(shapes=[(2, 3, 4)], settings={"axes": [2, 0, 1]}),
        Example(shapes=[(2, 3, 4)], settings={"axes": [-1, -3, -2]}),
    ]
)
def permute_dims(xp, x, *, axes: tuple[int, ...]):
    """Axes in another order: axis i of the output is axis axes[i] of the input."""
    return xp.permute_dims(x, count_from_front(axes, x))


@permute_dims.vjp
def _(xp, gradient, y, x, *, axes):
    numbers = count_from_front(axes, x)
    return (xp.permute_dims(gradient, tuple(numbers.index(i) for i in range(x.ndim))),)
