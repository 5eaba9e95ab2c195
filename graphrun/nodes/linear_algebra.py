"""Linear algebra of square matrices, and of stacks of them."""

from __future__ import annotations

import math

from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes.axes import check_axes, check_broadcast, check_same_size, undo_broadcast
from graphrun.nodes.placing import pad_with

GENERAL = [[2.0, -1.0, 0.5], [0.25, 1.5, 1.0], [-1.0, 0.75, 3.0]]
POSITIVE = [[2.0, 0.5, -0.25], [0.5, 1.5, 0.75], [-0.25, 0.75, 3.0]]


def check_square(x):
    """Refuse what is no square matrix, or stack of square matrices."""
    check_axes(x, 2)
    check_same_size(x, x.ndim - 2, x, x.ndim - 1, ("x", "x"))


def solvable(name, function, reason):
    """Call a function of a library that refuses a matrix, and say why in words."""
    try:
        return function()
    except ValueError as error:
        raise ValueError(f"{name}: {reason}") from error


@tensor(
    formula="sum(diagonal(x))",
    gradients=["gradient on the diagonal, 0 elsewhere"],
    examples=[
        Example(shapes=[(3, 3)]),
        Example(shapes=[(2, 3)]),
        Example(shapes=[(2, 3, 4)], settings={"offset": 1}),
        Example(shapes=[(3, 3)], settings={"offset": -2}),
    ],
)
def trace(xp, x, *, offset: int = 0):
    """Sum of a diagonal of a matrix, or of each in a stack: the main one, or so many above (or, negative, below)."""
    check_axes(x, 2)
    return xp.linalg.trace(x, offset=offset)


@trace.vjp
def _(xp, gradient, y, x, *, offset):
    ones = xp.eye(x.shape[-2], x.shape[-1], k=offset, dtype=x.dtype)
    return (xp.reshape(gradient, (*y.shape, 1, 1)) * ones,)


def on_diagonal(xp, elements, shape, offset):
    """Matrices of a shape with elements on a diagonal, 0 elsewhere."""
    # As a column or a row, by which of them begins on the diagonal, filled up to the matrix's size.
    axis, size = (-1, shape[0]) if offset >= 0 else (-2, shape[1])
    widths = [(0, 0)] * (elements.ndim - 1) + [(0, size - elements.shape[-1])]
    lines = xp.expand_dims(pad_with(xp, elements, widths), axis=axis)
    return xp.where(xp.eye(*shape, k=offset, dtype=bool), lines, 0.0)


@tensor(
    formula="diagonal(x)",
    gradients=["gradient on the diagonal, 0 elsewhere"],
    examples=[
        Example(shapes=[(3, 3)]),
        Example(shapes=[(2, 4)], settings={"offset": 1}),
        Example(shapes=[(2, 4, 3)], settings={"offset": -2}),
        Example(shapes=[(2, 3)], settings={"offset": -2}),
    ],
)
def diagonal(xp, x, *, offset: int = 0):
    """Diagonal of a matrix, or of each in a stack: the main one, or so many above (or, negative, below)."""
    check_axes(x, 2)
    return xp.linalg.diagonal(x, offset=offset)


@diagonal.vjp
def _(xp, gradient, y, x, *, offset):
    return (on_diagonal(xp, gradient, x.shape[-2:], offset),)


@tensor(
    formula="matrix with x on a diagonal",
    gradients=["diagonal(gradient)"],
    examples=[
        Example(shapes=[(3,)]),
        Example(shapes=[(2, 3)], settings={"offset": 1}),
        Example(shapes=[(2,)], settings={"offset": -2}),
    ],
)
def diag_embed(xp, x, *, offset: int = 0):
    """Square matrix, or a stack, with the last axis of x on a diagonal and 0 elsewhere."""
    check_axes(x, 1)
    size = x.shape[-1] + abs(offset)
    return on_diagonal(xp, x, (size, size), offset)


@diag_embed.vjp
def _(xp, gradient, y, x, *, offset):
    return (xp.linalg.diagonal(gradient, offset=offset),)


@tensor(
    formula="det(x)",
    gradients=["gradient * y * inv(x).T"],
    examples=[
        Example(values=[GENERAL]),
        Example(shapes=[(2, 2, 2)]),
        Example(shapes=[(1, 1)]),
        Example(values=[[[1.0, 2.0], [2.0, 4.0]]]),
        Example(values=[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]),
    ],
)
def det(xp, x):
    """Determinant of a matrix, or of each in a stack."""
    check_square(x)
    if x.size == 0:
        return xp.linalg.det(x)
    # In units of a power of 2, for NumPy's is the exponential of a sum of logarithms, which rounding is magnified in.
    largest = xp.max(xp.abs(x), axis=(-2, -1), keepdims=True)
    unit = 2.0 ** xp.floor(xp.log2(xp.where((largest > 0) & (largest < math.inf), largest, 1.0)))
    y, unit, size = xp.linalg.det(x / unit), unit[..., 0, 0], x.shape[-1]
    return y * unit ** (size // 2) * unit ** (size - size // 2)


@det.vjp
def _(xp, gradient, y, x):
    # The cofactors by singular values, u s v: unlike det(x) inv(x), they are right where x is singular.
    finite = xp.all(xp.isfinite(x), axis=(-2, -1), keepdims=True)
    u, s, v = xp.linalg.svd(xp.where(finite, x, 0.0))
    before = xp.cumulative_prod(s, axis=-1, include_initial=True)[..., :-1]
    behind = xp.flip(xp.cumulative_prod(xp.flip(s, axis=-1), axis=-1, include_initial=True), axis=-1)[..., 1:]
    sign = xp.linalg.det(u) * xp.linalg.det(v)
    others = xp.expand_dims(xp.expand_dims(gradient * sign, axis=-1) * before * behind, axis=-2)
    return (xp.where(finite, xp.matmul(u * others, v), math.nan),)


@tensor(
    formula="inv(x)",
    gradients=["-y.T @ gradient @ y.T"],
    examples=[Example(values=[GENERAL]), Example(values=[[GENERAL, POSITIVE]])],
)
def inv(xp, x):
    """Inverse of a matrix, or of each in a stack."""
    check_square(x)
    return solvable("inv", lambda: xp.linalg.inv(x), "the matrix is singular")


@inv.vjp
def _(xp, gradient, y, x):
    transposed = xp.matrix_transpose(y)
    return (-xp.matmul(xp.matmul(transposed, gradient), transposed),)


@tensor(
    formula="inv(x) @ y",
    gradients=["-inv(x).T @ gradient @ z.T", "inv(x).T @ gradient"],
    examples=[
        Example(values=[GENERAL, [1.0, -2.0, 0.5]]),
        Example(values=[GENERAL, [[1.0, 2.0], [-2.0, 0.5], [0.0, 3.0]]]),
        Example(values=[[GENERAL, POSITIVE], [1.0, -2.0, 0.5]]),
        Example(values=[[GENERAL, POSITIVE], [[1.0], [-2.0], [0.5]]]),
    ],
)
def solve(xp, x, y):
    """Solution z of the linear equations x z = y, y a vector, a matrix or a stack of matrices."""
    check_square(x)
    check_axes(y, 1, "y")
    check_same_size(x, x.ndim - 2, y, max(y.ndim - 2, 0))
    if y.ndim > 1:
        check_broadcast(x, y, but=2)
    return solvable("solve", lambda: xp.linalg.solve(x, y), "the matrix x is singular")


@solve.vjp
def through_solve(xp, gradient, z, x, y):
    """The vector-Jacobian product of solve."""
    columns = gradient if y.ndim > 1 else xp.expand_dims(gradient, axis=-1)
    solution = z if y.ndim > 1 else xp.expand_dims(z, axis=-1)
    of_y = xp.linalg.solve(xp.matrix_transpose(x), columns)

    def of_x():
        return undo_broadcast(xp, -xp.matmul(of_y, xp.matrix_transpose(solution)), x.shape)

    return of_x, undo_broadcast(xp, of_y if y.ndim > 1 else of_y[..., 0], y.shape)


def triangle(xp, x, upper):
    """The triangle of a matrix that is looked at."""
    return xp.triu(x) if upper else xp.tril(x)


@tensor(
    formula="inv(triangle of x) @ y",
    gradients=["triangle of -inv(x).T @ gradient @ z.T", "inv(x).T @ gradient"],
    examples=[
        Example(values=[GENERAL, [1.0, -2.0, 0.5]]),
        Example(values=[GENERAL, [[1.0, 2.0], [-2.0, 0.5], [0.0, 3.0]]], settings={"upper": True}),
        Example(values=[[GENERAL, POSITIVE], [[1.0], [-2.0], [0.5]]]),
    ],
)
def solve_triangular(xp, x, y, *, upper: bool = False):
    """Solution z of the linear equations x z = y, of x only its lower triangle (or upper), as cholesky makes it."""
    check_square(x)
    return solve.function(xp, triangle(xp, x, upper), y)


@solve_triangular.vjp
def _(xp, gradient, z, x, y, *, upper):
    of_x, of_y = through_solve(xp, gradient, z, triangle(xp, x, upper), y)
    return lambda: triangle(xp, of_x(), upper), of_y


@tensor(
    formula="cholesky(x)",
    gradients=["symmetric part of inv(y).T @ P(y.T @ gradient) @ inv(y), P the lower triangle with half the diagonal"],
    examples=[
        Example(values=[POSITIVE]),
        Example(values=[POSITIVE], settings={"upper": True}),
        Example(values=[[POSITIVE, [[1.0, 0, 0], [0, 2.0, 0], [0, 0, 3.0]]]]),
    ],
)
def cholesky(xp, x, *, upper: bool = False):
    """Triangular y with y y^T = x (upper: y^T y = x), of the symmetric part of a positive definite matrix or stack."""
    check_square(x)
    symmetric = (x + xp.matrix_transpose(x)) / 2
    lower = solvable("cholesky", lambda: xp.linalg.cholesky(symmetric), "the matrix is not positive definite")
    return xp.matrix_transpose(lower) if upper else lower


@cholesky.vjp
def _(xp, gradient, y, x, *, upper):
    # I. Murray, "Differentiation of the Cholesky decomposition", 2016, equation 10.
    lower, slope = (xp.matrix_transpose(y), xp.matrix_transpose(gradient)) if upper else (y, gradient)
    transposed = xp.matrix_transpose(lower)
    below = xp.tril(xp.ones_like(x)) - xp.eye(x.shape[-1], dtype=x.dtype) / 2
    middle = below * xp.matmul(transposed, slope)
    # L^-T middle L^-1, the inverses by solving.
    left = xp.linalg.solve(transposed, middle)
    both = xp.matrix_transpose(xp.linalg.solve(transposed, xp.matrix_transpose(left)))
    return ((both + xp.matrix_transpose(both)) / 2,)
