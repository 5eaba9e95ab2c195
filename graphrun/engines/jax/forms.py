"""The forms that node types have for this engine: what XLA has an operation of its own for, or none that is exact."""

from __future__ import annotations

import math

from jax import lax

from graphrun.nodes.convolution import (
    Windows,
    check_convolution,
    conv1d,
    conv2d,
    convolve,
    for_each,
    through_convolve,
    with_bias,
)
from graphrun.nodes.exponential import log1p
from graphrun.nodes.hyperbolic import atanh, cosh, sinh
from graphrun.nodes.pooling import largest, max_pool1d, max_pool2d, pool_windows, through_max_pool

# XLA's own convolution is worth it for many products, and on a processor only with the channels last: within a loop it
# takes any other layout one element at a time (64 x 8 x 14 x 14 to 16 channels: 7,200 us, channels last 820). Times of
# the plain form and of XLA's on two cores, in a loop, float32, a 3 x 3 kernel, in us: 64 x 1 x 28 x 28 to 8 channels
# 560 and 2,640, 64 x 8 x 14 x 14 to 16 880 and 820, 32 x 32 x 14 x 14 to 64 3,250 and 2,530; the derivative in the
# weight 650 and 570, 820 and 600, 6,730 and 3,040; in x they take equally long.
FEW_PRODUCTS = 64


def is_plain(stride, dilation, groups, number):
    """Whether a convolution is of the kind that XLA is fast at: no stride, no dilation, no groups."""
    return groups == 1 and for_each(stride, number) == for_each(dilation, number) == (1,) * number


def convolve_channels_last(xp, x, weight, padding):
    """A plain convolution as XLA's own operation; x, weight and result are laid out anew for it."""
    number = weight.ndim - 2
    axes = tuple(range(2, 2 + number))
    letters = "DHW"[-number:]
    product = lax.conv_general_dilated(
        xp.permute_dims(x, (0, *axes, 1)),
        xp.permute_dims(weight, (*axes, 1, 0)),
        (1,) * number,
        [(margin, margin) for margin in for_each(padding, number)],
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
    )
    return xp.permute_dims(product, (0, number + 1, *range(1, number + 1)))


def swapped(xp, array):
    """An array with its first two axes in the other order."""
    return xp.permute_dims(array, (1, 0, *range(2, array.ndim)))


def convolve_by_xla(xp, x, weight, bias=None, *, stride, padding, dilation, groups):
    """The convolution, XLA's own where that is faster."""
    number = weight.ndim - 2
    if math.prod(weight.shape[1:]) < FEW_PRODUCTS or not is_plain(stride, dilation, groups, number):
        return convolve(xp, x, weight, bias, number, stride, padding, dilation, groups)
    check_convolution(x, weight, bias, groups, number, transposed=False)
    Windows(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    return with_bias(xp, convolve_channels_last(xp, x, weight, padding), bias)


def through_convolve_by_xla(xp, gradient, y, x, weight, bias=None, *, stride, padding, dilation, groups):
    """The vector-Jacobian product of the convolution, XLA's own where that is faster."""
    of_x, of_weight, *of_rest = through_convolve(
        xp, gradient, y, x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    if not is_plain(stride, dilation, groups, weight.ndim - 2):
        return of_x, of_weight, *of_rest

    def in_weight():
        # A convolution of x with the gradient, in which the batch is what is summed over.
        product = convolve_channels_last(xp, swapped(xp, x), swapped(xp, gradient), padding)
        return swapped(xp, product)

    return of_x, in_weight, *of_rest


def through_blocks(number):
    """The vector-Jacobian product of the largest elements, of windows that lie side by side in one pass over x.

    Added up by the places in a window, each of them would be an array as large as x: 16 of 4 x 4 windows.
    """

    def through(xp, gradient, y, x, *, kernel_size, stride, padding):
        windows = pool_windows(x, kernel_size, stride, padding, number)
        kernel = for_each(kernel_size, number)
        sizes = tuple(out * size for out, size in zip(windows.out, kernel, strict=True))
        if windows.padded != sizes or windows.sizes != sizes or for_each(stride or kernel, number) != kernel:
            return (through_max_pool(xp, gradient, y, x, windows),)
        chosen = largest(xp, x, y, windows)
        part = gradient / xp.maximum(sum(chosen[1:], chosen[0]), 1.0)
        leading = x.shape[: x.ndim - number]
        each = (*leading, *(size for pair in zip(windows.out, (1,) * number, strict=True) for size in pair))
        blocks = (*leading, *(size for pair in zip(windows.out, kernel, strict=True) for size in pair))
        is_largest = xp.equal(xp.reshape(x, blocks), xp.reshape(y, each))
        return (xp.reshape(xp.reshape(part, each) * xp.astype(is_largest, y.dtype), x.shape),)

    return through


# XLA's are off by up to 400 units in the last place, for they add log(1/2) to exponents.


@cosh.form("jax")
def cosh_by_halves(xp, x):
    """The hyperbolic cosine, of an exponential whose square may overflow."""
    half = xp.exp(xp.abs(x) / 2)
    return (0.5 * half) * half + 0.5 / half / half


@cosh_by_halves.second
def _(xp, y, x):
    return (sinh_by_halves.function(xp, x),)


@sinh.form("jax")
def sinh_by_halves(xp, x):
    """The hyperbolic sine, near 0 by e^x - 1."""
    size = xp.abs(x)
    half = xp.exp(size / 2)
    less_one = xp.expm1(xp.minimum(size, 1.0))
    near = 0.5 * (less_one + less_one / (less_one + 1))
    return xp.sign(x) * xp.where(size < 1, near, (0.5 * half) * half - 0.5 / half / half)


@sinh_by_halves.second
def _(xp, y, x):
    return (cosh_by_halves.function(xp, x),)


@atanh.form("jax")
def atanh_by_logarithm(xp, x):
    """The inverse hyperbolic tangent."""
    size = xp.abs(x)
    return xp.sign(x) * 0.5 * xp.log1p(2 * size / (1 - size))


@log1p.form("jax")
def log1p_by_logarithm(xp, x):
    """The logarithm of one more; XLA's own is off by up to 128 units in float64, of x from -0.41 to -0.36."""
    return xp.where(x < -0.25, xp.log(1 + x), xp.log1p(x))


for convolution in (conv1d, conv2d):
    convolution.form("jax")(convolve_by_xla).second(through_convolve_by_xla)

for pool, number_of_axes in ((max_pool1d, 1), (max_pool2d, 2)):
    pool.form("jax").second(through_blocks(number_of_axes))
