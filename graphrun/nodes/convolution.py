"""Convolutions and their transposes, as one matrix product over windows that were laid out as columns.

Shapes are PyTorch's: x is batch x channels x sizes, the weight output channels x input channels / groups x kernel;
that of a transposed convolution input channels x output channels / groups x kernel.
"""

from __future__ import annotations

import functools
import math

from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes.axes import check_axes, check_same_size, count
from graphrun.nodes.placing import add_windows, is_numpy, pad_with, window_slices

MOST_PLACES = 100_000


def for_each(setting, number):
    """A setting for each of so many axes: given one by one, or once for all."""
    return setting if isinstance(setting, tuple) else (setting,) * number


@functools.lru_cache
class Windows:
    """Where the windows of a convolution lie: the same for the convolution, its transpose and their derivatives.

    Attributes:
        padding: the margin of each axis.
        padded: the sizes with both margins.
        out: how many windows there are along each axis.
        slices: for each place in a window, what takes it from every window.
    """

    def __init__(self, sizes, kernel, stride, padding, dilation, first=2):
        number = len(kernel)
        strides, dilations = for_each(stride, number), for_each(dilation, number)
        self.padding = for_each(padding, number)
        if min(*strides, *dilations) < 1 or min(self.padding) < 0:
            raise ValueError("stride and dilation are at least 1, padding at least 0")
        self.sizes = tuple(sizes)
        self.padded = tuple(size + 2 * margin for size, margin in zip(sizes, self.padding, strict=True))
        reach = [(size - 1) * apart + 1 for size, apart in zip(kernel, dilations, strict=True)]
        for i, (size, window) in enumerate(zip(self.padded, reach, strict=True)):
            if not 1 <= window <= size:
                raise ValueError(
                    f"axis {first + i} of x has {count(sizes[i], 'element')}, with padding {size}: "
                    f"a window of {window} does not fit"
                )
        self.out = tuple(
            (size - window) // step + 1 for size, window, step in zip(self.padded, reach, strides, strict=True)
        )
        if math.prod(kernel) > MOST_PLACES:
            places = f"{list(kernel)} has {math.prod(kernel):,} places"
            raise ValueError(f"a window of {places}, each taken by itself: at most {MOST_PLACES:,} are possible")
        self.slices = window_slices(kernel, strides, dilations, self.out)

    def pad(self, xp, x, value=0.0):
        """Put the margins around the last axes."""
        leading = ((0, 0),) * (x.ndim - len(self.padding))
        return pad_with(xp, x, (*leading, *((margin, margin) for margin in self.padding)), value)

    def add(self, xp, pieces):
        """Add up pieces, one for each place in a window, where they came from, and take the margins off."""
        total = add_windows(xp, pieces, (*pieces[0].shape[: pieces[0].ndim - len(self.out)], *self.padded), self.slices)
        inner = tuple(slice(margin, margin + size) for margin, size in zip(self.padding, self.sizes, strict=True))
        return total[(..., *inner)]


def columns(xp, x, windows, groups):
    """The windows of x as columns: batch x groups x (channels of a group times kernel) x windows."""
    batch, channels = x.shape[:2]
    padded = windows.pad(xp, x)
    if is_numpy(xp):
        laid = xp.empty((batch, channels, len(windows.slices), *windows.out), x.dtype)
        for i, place in enumerate(windows.slices):
            laid[:, :, i] = padded[(..., *place)]
    else:
        laid = xp.stack([padded[(..., *place)] for place in windows.slices], axis=2)
    rows = channels // groups * len(windows.slices)
    return xp.reshape(laid, (batch, groups, rows, math.prod(windows.out)))


def as_matrices(xp, weight, groups):
    """A weight as one matrix a group: groups x output channels x (input channels times kernel)."""
    first = weight.shape[0] // groups
    return xp.reshape(weight, (groups, first, math.prod(weight.shape[1:])))


def in_groups(xp, y, groups):
    """An output as one matrix a group: batch x groups x channels x windows."""
    return xp.reshape(y, (y.shape[0], groups, y.shape[1] // groups, math.prod(y.shape[2:])))


def gather(xp, x, weight, windows, groups):
    """The convolution: every window times the weight."""
    product = xp.matmul(as_matrices(xp, weight, groups), columns(xp, x, windows, groups))
    return xp.reshape(product, (x.shape[0], weight.shape[0], *windows.out))


def scatter(xp, y, weight, windows, groups):
    """The transpose of the convolution in x: every element of y times the weight, added up where windows overlap."""
    product = xp.matmul(xp.matrix_transpose(as_matrices(xp, weight, groups)), in_groups(xp, y, groups))
    channels = weight.shape[1] * groups
    pieces = xp.reshape(product, (y.shape[0], channels, len(windows.slices), *windows.out))
    return windows.add(xp, [pieces[:, :, i] for i in range(len(windows.slices))])


# One product for all of a batch takes as long as one for each of its elements, 250 us for 32 of 32 x 16 and 16 x 144 in
# float64; but it is large enough for OpenBLAS to share it out among threads, and took up to 24,000 us of processor time
# where other processes had the processors. So it is made only where the weights of the elements would take much space.
FEW_WINDOWS = 4


def correlate(xp, y, x, weight, windows, groups):
    """The transpose of the convolution in the weight: every window of x times its element of y."""
    of_y, of_x = in_groups(xp, y, groups), columns(xp, x, windows, groups)
    if of_y.shape[2] > FEW_WINDOWS * of_y.shape[3]:
        # The batch within the one large product, or else there is a weight for each of its elements.
        of_y, of_x = (
            xp.reshape(xp.permute_dims(a, (1, 2, 0, 3)), (groups, a.shape[2], a.shape[0] * a.shape[3]))
            for a in (of_y, of_x)
        )
        return xp.reshape(xp.matmul(of_y, xp.matrix_transpose(of_x)), weight.shape)
    return xp.reshape(xp.sum(xp.matmul(of_y, xp.matrix_transpose(of_x)), axis=0), weight.shape)


def check_convolution(x, weight, bias, groups, number, *, transposed):
    """Refuse shapes that do not fit."""
    check_axes(x, number + 2, "x", number + 2)
    check_axes(weight, number + 2, "weight", number + 2)
    if groups < 1:
        raise ValueError(f"groups is {groups}, not at least 1")
    if weight.shape[0] % groups or x.shape[1] % groups:
        raise ValueError(
            f"groups is {groups}: it divides the {count(x.shape[1], 'channel')} of axis 1 of x "
            f"and the {weight.shape[0]} of axis 0 of weight"
        )
    if transposed:
        check_same_size(x, 1, weight, 0, ("x", "weight"))
        outputs = weight.shape[1] * groups
    else:
        if x.shape[1] != weight.shape[1] * groups:
            parts = f", times {groups} groups" if groups > 1 else ""
            raise ValueError(
                f"axis 1 of x has {count(x.shape[1], 'element')}, axis 1 of weight has {weight.shape[1]}{parts}"
            )
        outputs = weight.shape[0]
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"bias has the shape {bias.shape}, but there are {count(outputs, 'output channel')}")


def with_bias(xp, y, bias):
    """Add a bias to each channel, where there is one."""
    return y if bias is None else y + xp.reshape(bias, (-1, *(1,) * (y.ndim - 2)))


def of_bias(xp, gradient):
    """The gradient of the bias."""
    return xp.sum(gradient, axis=(0, *range(2, gradient.ndim)))


def convolve(xp, x, weight, bias, number, stride, padding, dilation, groups):
    """Convolution over the last `number` axes."""
    check_convolution(x, weight, bias, groups, number, transposed=False)
    windows = Windows(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    return with_bias(xp, gather(xp, x, weight, windows, groups), bias)


Single = int | tuple[int]
Pair = int | tuple[int, int]
GRADIENTS = [
    "transposed convolution of gradient with weight",
    "sum of gradient * x over batch and windows",
    "sum of gradient over batch and windows",
]


def of_products(numbers, weight):
    """Cost of a sum of products for each number; the gradient of the bias is a sum, and nothing beside the others."""
    products = 2 * numbers * math.prod(weight.shape[1:])
    return products, products, products, 0


@tensor(
    formula="sum of x * weight over each window, plus bias",
    gradients=GRADIENTS,
    examples=[
        Example(shapes=[(2, 3, 5), (2, 3, 3)]),
        Example(shapes=[(2, 3, 5), (2, 3, 3), (2,)]),
        Example(shapes=[(1, 32, 3), (1, 32, 2)], settings={"padding": 1}),
        Example(shapes=[(1, 4, 6), (2, 2, 2), (2,)], settings={"stride": 2, "padding": 1, "groups": 2}),
        Example(shapes=[(2, 1, 6), (1, 1, 3)], settings={"dilation": 2}),
    ],
    cost=lambda y, x, weight, bias=None, **_: of_products(y.size, weight),
)
def conv1d(xp, x, weight, bias=None, *, stride: Single = 1, padding: Single = 0, dilation: Single = 1, groups: int = 1):
    """Convolution of signals, batch x channels x length, with a weight of output x input channels x kernel."""
    return convolve(xp, x, weight, bias, 1, stride, padding, dilation, groups)


@tensor(
    formula="sum of x * weight over each window, plus bias",
    gradients=GRADIENTS,
    examples=[
        Example(shapes=[(2, 2, 4, 3), (3, 2, 2, 2)]),
        Example(shapes=[(1, 2, 4, 4), (2, 2, 3, 3), (2,)], settings={"padding": 1}),
        Example(shapes=[(2, 1, 5, 4), (6, 1, 1, 1), (6,)]),
        Example(shapes=[(1, 16, 3, 3), (1, 16, 2, 2)], settings={"padding": [0, 1]}),
        Example(
            shapes=[(1, 4, 5, 6), (2, 2, 2, 3), (2,)],
            settings={"stride": [2, 1], "padding": [0, 2], "dilation": [1, 2], "groups": 2},
        ),
        Example(shapes=[(1, 2, 6, 6), (4, 1, 2, 2)], settings={"stride": 3, "groups": 2}),
    ],
    cost=lambda y, x, weight, bias=None, **_: of_products(y.size, weight),
)
def conv2d(xp, x, weight, bias=None, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1):
    """Convolution of images, batch x channels x height x width, with a weight of output x input channels x kernel."""
    return convolve(xp, x, weight, bias, 2, stride, padding, dilation, groups)


@conv1d.vjp
@conv2d.vjp
def through_convolve(xp, gradient, y, x, weight, bias=None, *, stride, padding, dilation, groups):
    """The vector-Jacobian product of convolve."""
    windows = Windows(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    gradients = (
        lambda: scatter(xp, gradient, weight, windows, groups),
        lambda: correlate(xp, gradient, x, weight, windows, groups),
    )
    return gradients if bias is None else (*gradients, lambda: of_bias(xp, gradient))


def transposed_windows(x, weight, stride, padding, dilation, output_padding):
    """The windows of the convolution whose transpose it is: they lie in the output, one for each element of x."""
    number = len(weight.shape) - 2
    settings = (for_each(setting, number) for setting in (stride, padding, dilation, output_padding))
    sizes = []
    axes = zip(x.shape[2:], weight.shape[2:], *settings, strict=True)
    for i, (size, kernel, step, margin, apart, more) in enumerate(axes, 2):
        if not 0 <= more < max(step, 1):
            raise ValueError(f"output_padding {more} is not below the stride {step}")
        out = (size - 1) * step - 2 * margin + apart * (kernel - 1) + more + 1
        if out < 1:
            raise ValueError(f"padding {margin} leaves nothing along axis {i}")
        sizes.append(out)
    return Windows(tuple(sizes), weight.shape[2:], stride, padding, dilation)


@tensor(
    formula="transposed convolution of x with weight, plus bias",
    gradients=[
        "convolution of gradient with weight",
        "sum of x * gradient over batch and windows",
        "sum of gradient over batch and pixels",
    ],
    examples=[
        Example(shapes=[(2, 2, 3, 4), (2, 3, 2, 2)]),
        Example(shapes=[(1, 2, 3, 3), (2, 1, 3, 3), (1,)], settings={"stride": 2, "padding": 1, "output_padding": 1}),
        Example(
            shapes=[(1, 4, 3, 2), (4, 2, 2, 3), (4,)],
            settings={"stride": [2, 1], "padding": [0, 1], "dilation": [1, 2], "groups": 2},
        ),
    ],
    cost=lambda y, x, weight, bias=None, **_: of_products(x.size, weight),
)
def conv_transpose2d(
    xp,
    x,
    weight,
    bias=None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
):
    """Transposed convolution of images, with a weight of input x output channels x kernel: conv2d's derivative in x."""
    check_convolution(x, weight, bias, groups, 2, transposed=True)
    windows = transposed_windows(x, weight, stride, padding, dilation, output_padding)
    return with_bias(xp, scatter(xp, x, weight, windows, groups), bias)


@conv_transpose2d.vjp
def _(xp, gradient, y, x, weight, bias=None, *, stride, padding, output_padding, dilation, groups):
    windows = transposed_windows(x, weight, stride, padding, dilation, output_padding)
    gradients = (
        lambda: gather(xp, gradient, weight, windows, groups),
        lambda: correlate(xp, x, gradient, weight, windows, groups),
    )
    return gradients if bias is None else (*gradients, lambda: of_bias(xp, gradient))
