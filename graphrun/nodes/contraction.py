"""Products that sum over shared axes: of vectors, matrices, and arrays of any number of axes."""

from __future__ import annotations

import math
import string
from collections import Counter

from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes.axes import (
    all_from_front,
    check_axes,
    check_broadcast,
    check_same_size,
    count,
    from_front,
    undo_broadcast,
)
from graphrun.nodes.placing import is_numpy


@tensor(
    formula="x @ y",
    gradients=["gradient @ y.T", "x.T @ gradient"],
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
    ],
    cost=lambda z, x, y: 2 * z.size * x.shape[-1],
)
def matmul(xp, x, y):
    """Matrix product x @ y of vectors, matrices, or stacks of matrices whose leading axes broadcast."""
    if x.ndim == y.ndim == 2 and x.shape[1] == y.shape[0]:
        # A product of a column and a row is a table of products, and nothing is added up.
        return x * y if x.shape[1] == 1 and is_numpy(xp) else xp.matmul(x, y)
    check_axes(x, 1)
    check_axes(y, 1, "y")
    check_same_size(x, x.ndim - 1, y, max(y.ndim - 2, 0))
    if x.ndim > 2 and y.ndim > 2:
        check_broadcast(x, y, but=2)
    if x.ndim > 2 and y.ndim == 2 and is_numpy(xp):
        # One large product in place of many small ones.
        rows = xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
        return xp.reshape(xp.matmul(rows, y), (*x.shape[:-1], y.shape[1]))
    return xp.matmul(x, y)


@matmul.vjp
def _(xp, gradient, z, x, y):
    if x.ndim == y.ndim == 2:
        return lambda: xp.matmul(gradient, y.T), lambda: xp.matmul(x.T, gradient)
    # A vector takes part as a matrix of one row (left) or of one column (right).
    rows = xp.expand_dims(x, axis=0) if x.ndim == 1 else x
    columns = xp.expand_dims(y, axis=-1) if y.ndim == 1 else y
    if y.ndim == 1:
        gradient = xp.expand_dims(gradient, axis=-1)
    if x.ndim == 1:
        gradient = xp.expand_dims(gradient, axis=-2)
    if rows.ndim > 2 and columns.ndim == 2:
        # One large product in place of many small ones and their sum.
        rows = xp.reshape(rows, (math.prod(rows.shape[:-1]), rows.shape[-1]))
        gradient = xp.reshape(gradient, (rows.shape[0], gradient.shape[-1]))

    def of_x():
        product = xp.matmul(gradient, xp.matrix_transpose(columns))
        return xp.reshape(undo_broadcast(xp, product, rows.shape), x.shape)

    def of_y():
        product = xp.matmul(xp.matrix_transpose(rows), gradient)
        return xp.reshape(undo_broadcast(xp, product, columns.shape), y.shape)

    return of_x, of_y


def from_behind(axis, x, y):
    """The axis of both arrays, as a negative number, for their leading axes may differ in number."""
    if x.ndim != y.ndim and axis >= 0:
        raise ValueError(f"x has {count(x.ndim, 'axis')}, y has {y.ndim}: count the axis from the last one, -1")
    from_front(axis, y, "y")
    return from_front(axis, x) - x.ndim


@tensor(
    formula="sum(x * y)",
    gradients=["gradient * y", "gradient * x"],
    examples=[
        Example(shapes=[(3,), (3,)]),
        Example(shapes=[(2, 3), (2, 3)]),
        Example(shapes=[(3, 2), (3, 1)], settings={"axis": 0}),
        Example(shapes=[(4, 2, 3), (2, 3)], settings={"axis": -2}),
    ],
)
def vecdot(xp, x, y, *, axis: int = -1):
    """Scalar products of the vectors along an axis; the other axes broadcast."""
    number = from_behind(axis, x, y)
    check_same_size(x, x.ndim + number, y, y.ndim + number)
    check_broadcast(x, y)
    return xp.sum(x * y, axis=number)


@vecdot.vjp
def _(xp, gradient, z, x, y, *, axis):
    number = from_behind(axis, x, y)
    # The place of the axis among those of the broadcast product.
    gradient = xp.expand_dims(gradient, axis=max(x.ndim, y.ndim) + number)
    return (lambda: undo_broadcast(xp, gradient * y, x.shape), lambda: undo_broadcast(xp, gradient * x, y.shape))


def paired_axes(x, y, axes):
    """The axes of x and of y that tensordot sums over, numbered from the front."""
    if isinstance(axes, int):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            raise ValueError(f"axes is {axes}, but x has {count(x.ndim, 'axis')} and y has {y.ndim}")
        return tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
    of_x, of_y = all_from_front(axes[0], x), all_from_front(axes[1], y, "y")
    if len(of_x) != len(of_y):
        raise ValueError(f"axes pairs {count(len(of_x), 'axis')} of x with {len(of_y)} of y")
    return of_x, of_y


@tensor(
    formula="sum of x * y over the paired axes",
    gradients=["sum of gradient * y over the other axes of y", "sum of gradient * x over the other axes of x"],
    examples=[
        Example(shapes=[(2, 3, 4), (3, 4, 2)]),
        Example(shapes=[(2, 3), (3, 4)], settings={"axes": 1}),
        Example(shapes=[(2,), (3, 2)], settings={"axes": 0}),
        Example(shapes=[(4, 2, 3), (3, 5, 4)], settings={"axes": [[0, 2], [-1, 0]]}),
        Example(shapes=[(4, 2, 3), (5, 2)], settings={"axes": [[1], [1]]}),
    ],
    # What is summed over stands in both inputs, everything else in one of them and in the output.
    cost=lambda z, x, y, *, axes: 2 * round(math.sqrt(z.size * x.size * y.size)),
)
def tensordot(xp, x, y, *, axes: int | tuple[tuple[int, ...], tuple[int, ...]] = 2):
    """Sum of products over pairs of axes: the last of x with the first of y, or those that two lists name."""
    of_x, of_y = paired_axes(x, y, axes)
    for i, j in zip(of_x, of_y, strict=True):
        check_same_size(x, i, y, j)
    return xp.tensordot(x, y, axes=(of_x, of_y))


@tensordot.vjp
def _(xp, gradient, z, x, y, *, axes):
    of_x, of_y = paired_axes(x, y, axes)
    free_x = tuple(i for i in range(x.ndim) if i not in of_x)
    free_y = tuple(i for i in range(y.ndim) if i not in of_y)

    def gradient_of_x():
        # Its axes are the free ones of x, then those summed over, in the order in which y has them.
        product = xp.tensordot(gradient, y, axes=(tuple(range(len(free_x), gradient.ndim)), free_y))
        order = (*free_x, *(of_x[of_y.index(j)] for j in sorted(of_y)))
        return xp.permute_dims(product, tuple(order.index(i) for i in range(x.ndim)))

    def gradient_of_y():
        product = xp.tensordot(x, gradient, axes=(free_x, tuple(range(len(free_x)))))
        order = (*(of_y[of_x.index(i)] for i in sorted(of_x)), *free_y)
        return xp.permute_dims(product, tuple(order.index(j) for j in range(y.ndim)))

    return gradient_of_x, gradient_of_y


@tensor(formula="x[:, None] * y", gradients=["gradient @ y", "x @ gradient"], examples=[Example(shapes=[(2,), (3,)])])
def outer(xp, x, y):
    """Every element of one vector times every element of another: z[i, j] = x[i] y[j]."""
    check_axes(x, 1, "x", 1)
    check_axes(y, 1, "y", 1)
    return xp.expand_dims(x, axis=1) * y


@outer.vjp
def _(xp, gradient, z, x, y):
    return lambda: xp.matmul(gradient, y), lambda: xp.matmul(x, gradient)


def read_subscripts(subscripts, arrays):
    """The letters of each array and of the output of einsum, an ellipsis spelt out with letters of its own.

    Returns:
        The letters of each array, of which those of broadcast axes of size 1 are left out; the output's letters; the
        size of each letter.
    """
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(arrays):
        raise ValueError(f"subscripts {subscripts!r} are of {count(len(terms), 'array')}, but {len(arrays)} are given")
    unused = [letter for letter in string.ascii_letters if letter not in text]
    hidden = [array.ndim - len(term.replace("...", "")) for array, term in zip(arrays, terms, strict=True)]
    if not arrow:
        once = sorted(letter for letter, times in Counter(left).items() if times == 1 and letter.isalpha())
        output = ("..." if "..." in left else "") + "".join(once)
    axes = max((number for number, term in zip(hidden, terms, strict=True) if "..." in term), default=0)
    broadcast = "".join(unused[:axes])
    sizes: dict[str, int] = {}
    first: dict[str, tuple[int, int]] = {}
    letters = []
    for i, (array, term) in enumerate(zip(arrays, terms, strict=True)):
        if hidden[i] < 0 or ("..." not in term and hidden[i]):
            raise ValueError(f"arrays[{i}] has {count(array.ndim, 'axis')}, its subscripts are {term!r}")
        full = term.replace("...", broadcast[axes - hidden[i] :])
        for axis, letter in enumerate(full):
            if not letter.isalpha():
                raise ValueError(f"subscripts {subscripts!r} hold {letter!r}")
            if letter in broadcast and array.shape[axis] == 1:
                sizes.setdefault(letter, 1)
                continue
            if sizes.get(letter, 1) == 1 and letter in broadcast:
                sizes.pop(letter, None)
                first.pop(letter, None)
            other, place = first.setdefault(letter, (i, axis))
            sizes.setdefault(letter, array.shape[axis])
            check_same_size(arrays[other], place, array, axis, (f"arrays[{other}]", f"arrays[{i}]"))
        letters.append("".join(c for c, size in zip(full, array.shape, strict=True) if c not in broadcast or size != 1))
    output = output.replace("...", broadcast)
    for letter in output:
        if output.count(letter) > 1 or letter not in sizes:
            raise ValueError(f"subscripts {subscripts!r}: {letter!r} of the output stands in no array, or twice")
    if set(broadcast) - set(output):
        raise ValueError(f"subscripts {subscripts!r}: the output needs the ellipsis too")
    return letters, output, sizes


# By itself NumPy makes nothing on the way that is larger than the largest of arrays and result, and rather multiplies
# many arrays at once: minutes in place of milliseconds for matrices of 60 x 60.
INTERMEDIATE = 2**24


def contract(xp, terms, arrays, output, sizes):
    """Einsum of arrays whose letters are given; letters that only the output has are axes to be repeated along."""
    known = "".join(letter for letter in output if any(letter in term for term in terms))
    optimize = ("greedy", INTERMEDIATE) if is_numpy(xp) else True
    result = xp.einsum(f"{','.join(terms)}->{known}", *arrays, optimize=len(arrays) > 1 and optimize)
    shape = tuple(sizes[letter] if letter in known else 1 for letter in output)
    return xp.broadcast_to(xp.reshape(result, shape), tuple(sizes[letter] for letter in output))


@tensor(
    formula="einsum(subscripts, arrays)",
    gradients=["einsum of gradient and the other arrays"],
    examples=[
        Example(shapes=[(2, 3), (3, 4)], settings={"subscripts": "ij,jk->ik"}),
        Example(shapes=[(2, 3), (3, 4)], settings={"subscripts": "ij, jk"}),
        Example(shapes=[(2, 3)], settings={"subscripts": "ij->"}),
        Example(shapes=[(2, 3)], settings={"subscripts": "ij->ji"}),
        Example(shapes=[(3, 3)], settings={"subscripts": "ii"}),
        Example(shapes=[(3, 2, 3)], settings={"subscripts": "iji->ij"}),
        Example(shapes=[(2, 3), (4, 3), (2, 4)], settings={"subscripts": "ik,jk,ij->k"}),
        Example(shapes=[(5, 2, 3), (3, 4)], settings={"subscripts": "...ij,jk->...ik"}),
        Example(shapes=[(5, 1, 2, 3), (4, 3, 2)], settings={"subscripts": "...ij,...ji->...i"}),
        Example(shapes=[(2, 3), (3,)], settings={"subscripts": "ij,j->i"}),
        Example(shapes=[(2,), (3,)], settings={"subscripts": "i,j->j"}),
    ],
    cost=lambda z, *arrays, subscripts: len(arrays) * math.prod(read_subscripts(subscripts, arrays)[2].values()),
)
def einsum(xp, *arrays, subscripts: str):
    """Sum of products by Einstein's convention: "ij,jk->ik" is the matrix product."""
    letters, output, sizes = read_subscripts(subscripts, arrays)
    squeezed = [
        xp.reshape(array, tuple(sizes[letter] for letter in term)) for array, term in zip(arrays, letters, strict=True)
    ]
    return contract(xp, letters, squeezed, output, sizes)


@einsum.vjp
def _(xp, gradient, z, *arrays, subscripts):
    letters, output, sizes = read_subscripts(subscripts, arrays)
    squeezed = [
        xp.reshape(array, tuple(sizes[letter] for letter in term)) for array, term in zip(arrays, letters, strict=True)
    ]

    def gradient_of(i):
        terms = [output, *(term for j, term in enumerate(letters) if j != i)]
        others = [gradient, *(array for j, array in enumerate(squeezed) if j != i)]
        unused = iter(letter for letter in string.ascii_letters if letter not in sizes)
        wanted, all_sizes = "", dict(sizes)
        for letter in letters[i]:
            if letter in wanted:
                # A diagonal: what lies beside it has the gradient 0.
                other = next(unused)
                terms.append(letter + other)
                others.append(xp.eye(sizes[letter], dtype=gradient.dtype))
                all_sizes[other] = sizes[letter]
                wanted += other
            else:
                wanted += letter
        return xp.reshape(contract(xp, terms, others, wanted, all_sizes), arrays[i].shape)

    return tuple(lambda i=i: gradient_of(i) for i in range(len(arrays)))
