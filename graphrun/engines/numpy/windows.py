"""Convolutions and pooling for this engine: channels last in memory, one matrix product for all of a batch.

Shapes stay PyTorch's, batch x channels x sizes: only in memory a pixel's channels stand side by side. Then the windows
are laid out in runs of as many numbers, and what NumPy makes of the output on each element keeps that order, up to the
next convolution. The windows and the weight as a matrix are kept for the derivatives.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from graphrun.nodes.convolution import (
    Windows,
    check_convolution,
    conv1d,
    conv2d,
    convolve,
    through_convolve,
)
from graphrun.nodes.pooling import max_pool1d, max_pool2d, pool_windows, through_max_pool

SHORT_RUN = 8
"""Windows of fewer channels are laid out in runs along the last axis, where that is longer."""

KEPT_BYTES = 2**26
"""Windows that take more are laid out again for the derivatives: all convolutions' would be in memory at once."""

PRODUCT_BYTES = 2**20
"""A product of so many bytes stays in a processor's cache until it is added up."""


def channels_last(x):
    """The same numbers with the axis of the channels as the last one."""
    return np.moveaxis(x, 1, -1)


def channels_first(x):
    """The way back."""
    return np.moveaxis(x, -1, 1)


def rows_of(y):
    """A row of channels for each pixel of a batch."""
    return channels_last(y).reshape(-1, y.shape[1])


def windows_as_rows(x, windows):
    """A row for each window of a batch: its places, and at each place the channels."""
    batch, channels = x.shape[:2]
    places, count = len(windows.slices), batch * math.prod(windows.out)
    if places == 1 and not any(windows.padding) and windows.out == windows.sizes:
        return rows_of(x)
    if channels < SHORT_RUN and channels < windows.out[-1]:
        # BLAS takes a matrix as well by its columns.
        padded = windows.pad(np, x).swapaxes(0, 1)
        columns = np.empty((places, channels, batch, *windows.out), x.dtype)
        for column, place in zip(columns, windows.slices, strict=True):
            column[...] = padded[(..., *place)]
        return columns.reshape(places * channels, count).T
    padded = channels_last(x)
    if any(windows.padding):
        inner = tuple(slice(margin, margin + size) for margin, size in zip(windows.padding, windows.sizes, strict=True))
        padded = np.zeros((batch, *windows.padded, channels), x.dtype)
        padded[:, *inner] = channels_last(x)
    rows = np.empty((batch, *windows.out, places, channels), x.dtype)
    for i, place in enumerate(windows.slices):
        rows[..., i, :] = padded[:, *place]
    return rows.reshape(count, places * channels)


@functools.lru_cache
def inner_places(windows):
    """For each place in a window, its number, where it lies in x without the margins, and of which windows that is.

    A place that is all of x comes first, where there is one.
    """
    found = []
    for number, place in enumerate(windows.slices):
        inside, of = [], []
        for piece, margin, size, count in zip(place, windows.padding, windows.sizes, windows.out, strict=True):
            first = max(0, -((piece.start - margin) // piece.step))
            last = min(count, (size - 1 + margin - piece.start) // piece.step + 1)
            start = piece.start - margin + first * piece.step
            inside.append(slice(start, start + max(last - first, 0) * piece.step, piece.step))
            of.append(slice(first, max(last, first)))
        found.append((number, tuple(inside), tuple(of)))
    return sorted(found, key=lambda place: place[1] != tuple(slice(0, size, 1) for size in windows.sizes))


def spread_products(of_y, matrix, shape, windows):
    """The transpose of windows_as_rows of the product of both: every number is added up where it came from.

    A few elements of the batch at a time, so that the product is in the processor's cache when it is added up.
    """
    batch, channels = shape[:2]
    count, places = math.prod(windows.out), inner_places(windows)
    several = max(1, PRODUCT_BYTES // max(count * len(matrix) * of_y.itemsize, 1))
    total = np.empty((batch, *windows.sizes, channels), of_y.dtype)
    product = np.empty((min(several, batch) * count, len(matrix)), of_y.dtype)
    for start in range(0, batch, several):
        part = total[start : start + several]
        rows = product[: len(part) * count]
        np.matmul(of_y[start * count : start * count + len(rows)], matrix.T, out=rows)
        rows = rows.reshape(len(part), *windows.out, -1, channels)
        (first, inside, of), *others = places
        if inside == tuple(slice(0, size, 1) for size in windows.sizes):
            part[...] = rows[:, *of, first]
        else:
            part[...], others = 0, places
        for number, inside, of in others:
            part[:, *inside] += rows[:, *of, number]
    return channels_first(total)


def laid_out(x, weight, windows):
    """The two factors of a convolution: the windows as rows, and the weight with a column for each output channel."""
    return windows_as_rows(x, windows), channels_last(weight).reshape(len(weight), -1).T


def convolve_keeping(xp, x, weight, bias=None, *, stride, padding, dilation, groups):
    """The convolution, and what it is the product of."""
    number = weight.ndim - 2
    if groups > 1:
        return convolve(xp, x, weight, bias, number, stride, padding, dilation, groups), None
    check_convolution(x, weight, bias, groups, number, transposed=False)
    windows = Windows(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    rows, matrix = laid_out(x, weight, windows)
    y = np.matmul(rows, matrix)
    if bias is not None:
        y += bias
    kept = (rows, matrix) if rows.nbytes <= KEPT_BYTES else None
    return channels_first(y.reshape(x.shape[0], *windows.out, -1)), kept


def through_convolve_rows(xp, gradient, y, x, weight, bias=None, *, stride, padding, dilation, groups, kept=None):
    """The vector-Jacobian product of the convolution."""
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if groups > 1:
        return through_convolve(xp, gradient, y, x, weight, bias, **settings)
    windows = Windows(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    rows, matrix = kept or laid_out(x, weight, windows)
    of_y = rows_of(gradient)

    def of_x():
        return spread_products(of_y, matrix, x.shape, windows)

    def of_weight():
        product = np.matmul(of_y.T, rows).reshape(len(weight), *weight.shape[2:], -1)
        return np.ascontiguousarray(channels_first(product))

    return (of_x, of_weight) if bias is None else (of_x, of_weight, lambda: xp.sum(of_y, axis=0))


for convolution in (conv1d, conv2d):
    convolution.form("numpy").keeping(convolve_keeping).second(through_convolve_rows)


def side_by_side(x, windows):
    """An array with two axes in place of each that is pooled, windows and places in them; None where they overlap."""
    kernel = [place.start + 1 for place in windows.slices[-1]]
    along = zip(kernel, windows.slices[0], windows.out, windows.sizes, strict=True)
    apart = any(count * size != whole or (count > 1 and place.step != size) for size, place, count, whole in along)
    if apart or any(windows.padding):
        return None
    first = x.ndim - len(kernel)
    shape, strides = x.shape[:first], x.strides[:first]
    for count, size, stride in zip(windows.out, kernel, x.strides[first:], strict=True):
        shape, strides = (*shape, count, size), (*strides, size * stride, stride)
    return np.lib.stride_tricks.as_strided(x, shape, strides)


def through_max_pool_at_once(xp, gradient, y, x, windows):
    """The vector-Jacobian product of max_pool, of all places at once where windows lie side by side."""
    given = side_by_side(x, windows)
    if given is None or not x.size or len(windows.slices) > np.iinfo(np.uint8).max:
        return through_max_pool(xp, gradient, y, x, windows)
    axes = tuple(range(x.ndim - len(windows.out) + 1, given.ndim, 2))
    largest = given == np.expand_dims(y, axes)
    # In the order in memory that the output has.
    part = np.empty_like(y)
    part[...] = gradient
    if np.count_nonzero(largest) > y.size - np.count_nonzero(np.isnan(y)):
        several = np.add.reduce(largest.view(np.uint8), axes)
        part /= np.maximum(several, 1)
    total = np.empty_like(x)
    np.multiply(largest, np.expand_dims(part, axes), out=side_by_side(total, windows))
    return total


@max_pool1d.form("numpy").second
def _(xp, gradient, y, x, *, kernel_size, stride, padding):
    return (through_max_pool_at_once(xp, gradient, y, x, pool_windows(x, kernel_size, stride, padding, 1)),)


@max_pool2d.form("numpy").second
def _(xp, gradient, y, x, *, kernel_size, stride, padding):
    return (through_max_pool_at_once(xp, gradient, y, x, pool_windows(x, kernel_size, stride, padding)),)
