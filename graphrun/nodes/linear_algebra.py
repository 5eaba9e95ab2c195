"""Linear algebra."""

from __future__ import annotations

from graphrun.nodetype import Example, tensor


def undo_broadcast(xp, array, shape):
    """Sum over the axes along which an array of the given shape was repeated; the result has that shape."""
    leading = array.ndim - len(shape)
    repeated = (leading + i for i, size in enumerate(shape) if size == 1 and array.shape[leading + i] != 1)
    axes = (*range(leading), *repeated)
    return xp.reshape(xp.sum(array, axis=axes), shape) if axes else array


@tensor(
    examples=[
        Example(shapes=[(2, 3), (3, 4)]),
        Example(shapes=[(3,), (3,)]),
        Example(shapes=[(3,), (3, 4)]),
        Example(shapes=[(2, 3), (3,)]),
        Example(shapes=[(5, 2, 3), (3, 4)]),
        Example(shapes=[(2, 3), (5, 3, 4)]),
        Example(shapes=[(5, 2, 3), (3,)]),
        Example(shapes=[(3,), (2, 3, 4)]),
        Example(shapes=[(2, 1, 2, 3), (3, 3, 1)]),
        Example(shapes=[(1, 1, 3), (2, 3, 1)]),
    ]
)
def matmul(xp, x, y):
    """Matrix product x @ y of vectors, matrices, or stacks of matrices whose leading axes broadcast."""
    return xp.matmul(x, y)


@matmul.vjp
def _(xp, gradient, z, x, y):
    # A vector takes part as a matrix of one row (left) or of one column (right).
    rows = xp.expand_dims(x, axis=0) if x.ndim == 1 else x
    columns = xp.expand_dims(y, axis=-1) if y.ndim == 1 else y
    if y.ndim == 1:
        gradient = xp.expand_dims(gradient, axis=-1)
    if x.ndim == 1:
        gradient = xp.expand_dims(gradient, axis=-2)
    if rows.ndim > 2 and columns.ndim == 2:
        # One large product in place of many small ones and their sum.
        rows = xp.reshape(rows, (-1, rows.shape[-1]))
        gradient = xp.reshape(gradient, (-1, gradient.shape[-1]))

    def of_x():
        product = xp.matmul(gradient, xp.matrix_transpose(columns))
        return xp.reshape(undo_broadcast(xp, product, rows.shape), x.shape)

    def of_y():
        product = xp.matmul(xp.matrix_transpose(rows), gradient)
        return xp.reshape(undo_broadcast(xp, product, columns.shape), y.shape)

    return of_x, of_y
