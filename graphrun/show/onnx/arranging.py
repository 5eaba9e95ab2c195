"""The operators of ONNX that arrange elements, as expressions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphrun.show.onnx.node import NodeInModel, call


def _transpose(c: NodeInModel) -> str:
    return call("permute_dims", c.x(), axes=c.attribute("perm") or list(range(c.rank()))[::-1])


def _to_known_shape(c: NodeInModel) -> str:
    """Return the input in the shape that the output has: what decides it is no matter of the graph."""
    name = c.outputs[0]
    if name not in c.shapes:
        raise c.refuse("the shape that it gives has to be known before the graph runs")
    shape = c.shapes[name][0]
    if c.proto.op_type == "Reshape" and math.prod(shape) != math.prod(c.shape()):
        raise c.refuse(f"{list(c.shape())} does not fit into {list(shape)}")
    if c.proto.op_type == "Reshape" and c.has(1):
        c.known(1)
    return call("reshape", c.x(), shape=shape)


def _expand(c: NodeInModel) -> str:
    shape = np.broadcast_shapes(c.shape(), tuple(c.numbers(1) or ()))
    return call("broadcast_to", c.x(), shape=shape)


def _split(c: NodeInModel) -> list[str]:
    axis = c.attribute("axis")
    size, count = c.shape()[axis], len(c.outputs)
    sizes = c.numbers(1, "split")
    if sizes is None:
        each = -(-size // c.attribute("num_outputs", count))
        sizes = [min(each, size - each * k) for k in range(count)]
    stops = np.cumsum(sizes).tolist()
    return [
        call("slice", c.x(), start=stop - part, stop=stop, axis=axis) for part, stop in zip(sizes, stops, strict=True)
    ]


def _slice(c: NodeInModel) -> str:
    starts, ends = c.numbers(1, "starts") or [], c.numbers(2, "ends") or []
    axes = c.numbers(3, "axes")
    axes = list(range(len(starts))) if axes is None else axes
    steps = c.numbers(4) or [1] * len(starts)
    text = c.x()
    for start, end, axis, given in zip(starts, ends, axes, steps, strict=True):
        size = c.shape()[axis]
        first, last, step = slice(start, end, given).indices(size)
        if (first, last, step) != (0, size, 1):
            stop = None if last < 0 else last
            text = call("slice", text, start=first, stop=stop, step=None if step == 1 else step, axis=axis)
    return text if text != c.x() else f"identity({text})"


def _gather(c: NodeInModel) -> str:
    return call("take", c.x(), c.x(1), axis=c.attribute("axis"))


def _gather_nd(c: NodeInModel) -> str:
    if c.attribute("batch_dims"):
        raise c.refuse("batch_dims is not 0")
    shape, indices = c.shape(), c.known(1).astype(np.int64)
    count = indices.shape[-1]
    indices = np.where(indices < 0, indices + shape[:count], indices)
    flat = call("reshape", c.x(), shape=[math.prod(shape[:count]), *shape[count:]])
    places = np.ravel_multi_index(tuple(np.moveaxis(indices, -1, 0)), shape[:count])
    return call("take", flat, c.constant(places, "places"), axis=0)


def _one_hot(c: NodeInModel) -> str:
    depth = int(c.known(1).reshape(-1)[0])
    off, on = c.known(2).tolist()
    axis = c.attribute("axis") % (c.rank() + 1)
    places = c.constant(np.arange(depth).reshape([-1] + [1] * (c.rank() - axis)), "places")
    chosen = call("expand_dims", f"remainder({c.x()}, {depth})", axis=axis)
    # What is not within -depth and depth - 1 is nowhere.
    inside = f"logical_and(greater_equal({c.x()}, {-depth}), less({c.x()}, {depth}))"
    return f"{off} + ({on - off}) * equal({chosen}, {places}) * {call('expand_dims', inside, axis=axis)}"


def _pad(c: NodeInModel) -> str:
    pads = c.numbers(1, "pads") or []
    value = c.attribute("value") if c.version < 11 else float(c.known(2).reshape(-1)[0]) if c.has(2) else 0.0
    axes = c.numbers(3)
    axes = list(range(c.rank())) if axes is None else [axis % c.rank() for axis in axes]
    mode = c.attribute("mode")
    widths = [[0, 0] for _ in c.shape()]
    for k, axis in enumerate(axes):
        widths[axis] = [pads[k], pads[k + len(axes)]]
    text = c.x()
    for axis, (before, behind) in enumerate(widths):
        size = c.shape()[axis]
        if mode != "constant" and (before or behind):
            kinds: dict[str, Any] = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
            places = np.pad(np.arange(size), (max(before, 0), max(behind, 0)), kinds[mode])
            places = places[max(-before, 0) : len(places) - max(-behind, 0)]
            text = call("take", text, c.constant(places, f"places_{axis}"), axis=axis)
        elif min(before, behind) < 0:
            text = call("slice", text, start=max(-before, 0), stop=size - max(-behind, 0), axis=axis)
    wide = [[max(before, 0), max(behind, 0)] for before, behind in widths]
    if mode == "constant" and any(map(any, wide)):
        text = call("pad", text, widths=wide, value=value if value and math.isfinite(value) else None)
        if math.isinf(value):
            inside = c.constant(np.pad(np.ones(c.shape(), bool), wide), "inside")
            text = f"where({inside}, {text}, {'log(0)' if value < 0 else '-log(0)'})"
    return text if text != c.x() else f"identity({text})"


def _trilu(c: NodeInModel) -> str:
    k = int(c.known(1).reshape(-1)[0]) if c.has(1) else 0
    rows, columns = c.shape()[-2:]
    below = np.tri(rows, columns, k - 1 if c.attribute("upper") else k, dtype=bool)
    return f"where({c.constant(~below if c.attribute('upper') else below, 'triangle')}, {c.x()}, 0)"


def _constant_of_shape(c: NodeInModel) -> str:
    value = c.attribute("value")
    number = 0.0 if value is None else value.reshape(-1)[0].item()
    return call("broadcast_to", repr(number), shape=c.numbers(0))


def _depth_to_space(c: NodeInModel) -> str:
    size, (n, channels, height, width) = c.attribute("blocksize"), c.shape()
    inner = channels // size**2
    is_first = c.attribute("mode", "DCR") == "DCR"
    apart = call(
        "reshape", c.x(), shape=[n, *((size, size, inner) if is_first else (inner, size, size)), height, width]
    )
    order = [0, 3, 4, 1, 5, 2] if is_first else [0, 1, 4, 2, 5, 3]
    return call("reshape", call("permute_dims", apart, axes=order), shape=[n, inner, height * size, width * size])


CONVERTERS: dict[str, Any] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _to_known_shape),
    **dict.fromkeys(("Constant", "Shape", "Size", "Range"), lambda c: (_ for _ in ()).throw(c.refuse(NOT_KNOWN))),
    "Transpose": _transpose,
    "Expand": _expand,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "Tile": lambda c: call("tile", c.x(), repetitions=c.numbers(1)),
    "Pad": _pad,
    "Trilu": _trilu,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
}

NOT_KNOWN = "it has to be known before the graph runs, and small"
