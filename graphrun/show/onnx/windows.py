"""The operators of ONNX that slide windows over images or signals, as expressions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphrun.show.onnx.node import NodeInModel, call

BELOW_ALL = -3.4028234663852886e38
"""Less than every number of single precision: what a margin holds of which the largest is looked for."""


def _margins(c: NodeInModel, kernel: list[int], strides: list[int], dilations: list[int]) -> list[list[int]]:
    """Return the margins before and behind each axis, as the operator has them or works them out."""
    count = len(kernel)
    kind = c.attribute("auto_pad", "NOTSET")
    if kind in {"NOTSET", ""}:
        pads = c.attribute("pads") or [0] * (2 * count)
        return [[pads[k], pads[k + count]] for k in range(count)]
    if kind == "VALID":
        return [[0, 0]] * count
    margins = []
    for size, window, stride, apart in zip(c.shape()[2:], kernel, strides, dilations, strict=True):
        both = max((-(-size // stride) - 1) * stride + (window - 1) * apart + 1 - size, 0)
        less, more = both // 2, both - both // 2
        margins.append([less, more] if kind == "SAME_UPPER" else [more, less])
    return margins


def _padded(text: str, margins: list[list[int]], value: float | None = None) -> str:
    if not any(map(any, margins)):
        return text
    return call("pad", text, widths=[[0, 0], [0, 0], *margins], value=value)


def _conv(c: NodeInModel) -> str:
    kernel = list(c.shape(1)[2:])
    count = len(kernel)
    if count not in {1, 2}:
        raise c.refuse(f"convolutions are of 1 or 2 axes, not {count}")
    strides, dilations = (c.attribute(name) or [1] * count for name in ("strides", "dilations"))
    margins = _margins(c, kernel, strides, dilations)
    is_even = all(before == behind for before, behind in margins)
    padding = [before for before, _ in margins] if is_even else [0] * count
    text = c.x() if is_even else _padded(c.x(), margins)
    settings = {
        "stride": strides if count == 2 else strides[0],
        "padding": padding if count == 2 else padding[0],
        "dilation": dilations if count == 2 else dilations[0],
    }
    plain = {"stride": 1, "padding": 0, "dilation": 1}
    kept = {key: value for key, value in settings.items() if value not in (plain[key], [plain[key]] * count)}
    groups = c.attribute("group")
    return call(
        f"conv{count}d", text, *(c.x(k) for k in (1, 2) if c.has(k)), **kept, groups=None if groups == 1 else groups
    )


def _conv_transpose(c: NodeInModel) -> str:
    kernel = list(c.shape(1)[2:])
    count = len(kernel)
    if count not in {1, 2}:
        raise c.refuse(f"transposed convolutions are of 1 or 2 axes, not {count}")
    strides, dilations = (c.attribute(name) or [1] * count for name in ("strides", "dilations"))
    more = c.attribute("output_padding") or [0] * count
    wanted = c.attribute("output_shape")
    full = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(c.shape()[2:], strides, kernel, dilations, strict=True)]
    kind = c.attribute("auto_pad", "NOTSET")
    if wanted is None and kind in {"SAME_UPPER", "SAME_LOWER"}:
        wanted = [n * s for n, s in zip(c.shape()[2:], strides, strict=True)]
    margins = _margins(c, kernel, strides, dilations)
    if wanted is not None:
        both = [n + o - w for n, o, w in zip(full, more, wanted[-count:], strict=True)]
        margins = [[b - b // 2, b // 2] if kind != "SAME_UPPER" else [b // 2, b - b // 2] for b in both]
    x, weight = c.x(), c.x(1)
    if count == 1:
        # A signal is an image of one row.
        x, weight = call("expand_dims", x, axis=2), call("expand_dims", weight, axis=2)
        strides, dilations, more, margins, full = (
            [1, *strides],
            [1, *dilations],
            [0, *more],
            [[0, 0], *margins],
            [1, *full],
        )
    beyond = [max(o - b, 0) for o, (_, b) in zip(more, margins, strict=True)]
    # The margins are cut off of the whole; where one is below 0, or the output is to go on, zeros come there.
    groups = c.attribute("group")
    bias = [c.x(2)] if c.has(2) else []
    text = call("conv_transpose2d", x, weight, stride=strides, dilation=dilations, groups=groups)
    for axis, ((before, behind), size, extra) in enumerate(zip(margins, full, more, strict=True), 2):
        stop = size - max(behind - extra, 0)
        if before > 0 or stop < size:
            text = call("slice", text, start=max(before, 0), stop=stop, axis=axis)
    margin = [
        [max(-before, 0), max(b, -behind if behind < 0 else 0)]
        for (before, behind), b in zip(margins, beyond, strict=True)
    ]
    text = _padded(text, margin)
    if count == 1:
        text = call("squeeze", text, axis=2)
    return f"{text} + {call('reshape', bias[0], shape=[-1] + [1] * count)}" if bias else text


class _Pool:
    """The windows of a pooling operator over one or two axes."""

    def __init__(self, c: NodeInModel) -> None:
        kernel = list(c.attribute("kernel_shape"))
        count = len(kernel)
        strides, dilations = (c.attribute(name) or [1] * count for name in ("strides", "dilations"))
        if count not in {1, 2} or c.rank() != count + 2:
            raise c.refuse(f"pooling is over 1 or 2 axes, not {count}")
        if any(apart != 1 for apart in dilations):
            raise c.refuse("its windows have gaps")
        margins = _margins(c, kernel, strides, dilations)
        sizes = list(c.shape()[2:])
        self.margins = [list(pair) for pair in margins]
        self.out = list(c.shapes[c.outputs[0]][0][2:])
        self.inside = [size + before + behind for size, (before, behind) in zip(sizes, margins, strict=True)]
        # The last window may begin within and end behind, where the sizes are rounded up.
        for k, (number, stride, window) in enumerate(zip(self.out, strides, kernel, strict=True)):
            self.margins[k][1] += max((number - 1) * stride + window - self.inside[k], 0)
        self.c, self.kernel, self.strides, self.sizes, self.given = c, kernel, strides, sizes, margins

    def write(self, name: str, text: str, value: float | None = None) -> str:
        """Return the pooling of an expression, by windows of its own margins."""
        text = _padded(text, self.margins, value)
        kernel, strides = self.kernel, self.strides
        if len(kernel) == 1:
            text, kernel, strides = call("expand_dims", text, axis=2), [1, *kernel], [1, *strides]
        text = call(name, text, kernel_size=kernel, stride=strides)
        text = call("squeeze", text, axis=2) if len(self.kernel) == 1 else text
        rest = [(k, number) for k, number in enumerate(self.out) if self._windows(k) > number]
        for k, number in rest:
            text = call("slice", text, stop=number, axis=k + 2)
        return text

    def _windows(self, k: int) -> int:
        return int(self.sizes[k] + sum(self.margins[k]) - self.kernel[k]) // int(self.strides[k]) + 1

    def counts(self, *, with_margins: bool) -> Any:
        """Return how many elements each window holds, of the image alone or with its margins."""
        counts = []
        for k, number in enumerate(self.out):
            first = 0 if with_margins else self.given[k][0]
            last = self.inside[k] if with_margins else self.given[k][0] + self.sizes[k]
            starts = np.arange(number) * self.strides[k]
            counts.append(np.minimum(starts + self.kernel[k], last) - np.maximum(starts, first))
        return counts[0] if len(counts) == 1 else np.multiply.outer(*counts)


def _max_pool(c: NodeInModel) -> str:
    if c.is_asked(1):
        raise c.refuse("where the largest elements are is not given")
    return _Pool(c).write("max_pool2d", c.x(), BELOW_ALL)


def _average_pool(c: NodeInModel) -> str:
    pool = _Pool(c)
    text = pool.write("avg_pool2d", c.x())
    share = math.prod(pool.kernel) / pool.counts(with_margins=bool(c.attribute("count_include_pad", 0)))
    return text if np.all(share == 1) else f"{text} * {c.constant(share, 'shares')}"


def _global(name: str) -> Any:
    return lambda c: call(name, c.x(), axis=list(range(2, c.rank())), keepdims=True)


CONVERTERS: dict[str, Any] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("max"),
}
