"""What each of ONNX's operators becomes: an expression of node types, made of a node of a model.

The definitions are those of https://onnx.ai/onnx/operators; what has no place in a graph is refused, and why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from graphrun.show.onnx import arranging, windows
from graphrun.show.onnx.node import NodeInModel, call
from graphrun.show.onnx.operators import TYPES

Converter = Callable[[NodeInModel], Any]
"""Returns the expression of a node's output, or a list of one for each."""

SMALL = {"int8", "int16", "uint8", "uint16", "uint32", "uint64"}
"""Whole numbers that wrap around where those of a graph do not."""


def _check_wrapping(c: NodeInModel) -> None:
    if any(value is not None and value.dtype.name in SMALL for value in c.inputs):
        raise c.refuse("its whole numbers wrap around at a size, which those of a graph do not")


def _same(name: str) -> Converter:
    same = TYPES[name]

    def convert(c: NodeInModel) -> str:
        if name in {"add", "subtract", "multiply", "negative", "pow", "matmul"}:
            _check_wrapping(c)
        settings = {ours: c.attribute(theirs) for ours, theirs in same.settings.items()}
        return call(name, *c.all(), **settings)

    return convert


def _operator(sign: str) -> Converter:
    def convert(c: NodeInModel) -> str:
        _check_wrapping(c)
        if c.version < 7 and sign != "@" and c.attribute("axis") is not None:
            raise c.refuse("it broadcasts from an axis on, as operators before version 7 did")
        return f"{c.x(0)} {sign} {c.x(1)}"

    return convert


def _truncated(text: str) -> str:
    return f"sign({text}) * floor(abs({text}))"


def _div(c: NodeInModel) -> str:
    if not c.is_whole():
        return str(_operator("/")(c))
    return _truncated(c.named(f"{c.x(0)} / {c.x(1)}", "quotient"))


def _pow(c: NodeInModel) -> str:
    if c.is_whole() and not c.is_whole(1):
        raise c.refuse("a whole number to the power of one that is not whole is rounded")
    return str(_operator("**")(c))


def _mod(c: NodeInModel) -> str:
    if c.attribute("fmod"):
        return call("fmod", c.x(0), c.x(1))
    return call("remainder", c.x(0), c.x(1))


def _folded(name: str) -> Converter:
    def convert(c: NodeInModel) -> str:
        if name == "add":
            _check_wrapping(c)
        texts = c.all()
        return f"identity({texts[0]})" if len(texts) == 1 else reduce(lambda x, y: f"{name}({x}, {y})", texts)

    return convert


def _cast(c: NodeInModel) -> str:
    dtype = c.shapes[c.outputs[0]][1] if c.outputs[0] in c.shapes else None
    if dtype is None or dtype.name == "float16":
        raise c.refuse("the numbers of a graph are not rounded to another type")
    if dtype.kind == "b":
        return f"not_equal({c.x()}, 0)"
    given = c.value(0).dtype
    if dtype.kind in "iu" and (given.kind == "f" or dtype.itemsize < given.itemsize or dtype.kind != given.kind):
        if dtype.name in SMALL and given.kind != "b":
            raise c.refuse(f"a graph has no {dtype.name}, whose numbers wrap around at a size")
        return _truncated(c.x()) if given.kind == "f" else f"identity({c.x()})"
    return f"identity({c.x()})"


def _clip(c: NodeInModel) -> str:
    text = c.x()
    bounds = [c.attribute("min"), c.attribute("max")] if c.version < 11 else [None, None]
    for position, (name, bound) in enumerate(zip(("maximum", "minimum"), bounds, strict=True), 1):
        if bound is not None:
            # The numbers of single precision at both ends stand for no bound.
            text = text if abs(bound) > 3.4e38 else f"{name}({text}, {bound!r})"
        elif c.has(position):
            text = f"{name}({text}, {c.x(position)})"
    return text if text != c.x() else f"identity({text})"


def _prelu(c: NodeInModel) -> str:
    slope = _along(c, 1, c.rank()) if c.version < 7 and c.rank(1) == 1 else c.x(1)
    return f"where(less({c.x()}, 0), {slope} * {c.x()}, {c.x()})"


def _softmax(name: str) -> Converter:
    def convert(c: NodeInModel) -> str:
        axis = c.attribute("axis", -1)
        if c.version >= 13 or axis % max(c.rank(), 1) == c.rank() - 1:
            return call(name, c.x(), axis=axis)
        # Before version 13 all axes from this one on are one.
        rows = math.prod(c.shape()[: axis % c.rank()])
        flat = call("reshape", c.x(), shape=[rows, -1])
        return call("reshape", call(name, flat, axis=1), shape=c.shape())

    return convert


# --- reductions ------------------------------------------------------------------------------------------------------


def _reduction(write: Callable[..., str]) -> Converter:
    def convert(c: NodeInModel) -> str:
        axes = c.numbers(1, "axes")
        if not axes:
            if axes is not None or not c.attribute("noop_with_empty_axes"):
                axes = None
            if c.attribute("noop_with_empty_axes") and axes is None:
                axes = []
        keepdims = bool(c.attribute("keepdims"))
        sizes = [c.shape()[axis] for axis in (range(c.rank()) if axes is None else axes)]
        if 0 in sizes and write not in (_sum, _prod):
            raise c.refuse("it reduces no elements at all")
        return write(c.x(), axis=axes, keepdims=keepdims)

    return convert


def _sum(x: str, **settings: object) -> str:
    return call("sum", x, **settings)


def _prod(x: str, **settings: object) -> str:
    return call("prod", x, **settings)


REDUCTIONS: dict[str, Callable[..., str]] = {
    "ReduceSum": _sum,
    "ReduceProd": _prod,
    "ReduceMean": lambda x, **settings: call("mean", x, **settings),
    "ReduceMax": lambda x, **settings: call("max", x, **settings),
    "ReduceMin": lambda x, **settings: call("min", x, **settings),
    "ReduceLogSumExp": lambda x, **settings: call("logsumexp", x, **settings),
    "ReduceL1": lambda x, **settings: call("vector_norm", x, **settings, ord=1),
    "ReduceL2": lambda x, **settings: call("vector_norm", x, **settings),
    "ReduceSumSquare": lambda x, **settings: call("sum", f"square({x})", **settings),
    "ReduceLogSum": lambda x, **settings: f"log({call('sum', x, **settings)})",
}


def _arg(sign: str) -> Converter:
    def convert(c: NodeInModel) -> str:
        axis, keepdims = c.attribute("axis"), bool(c.attribute("keepdims"))
        x = f"{sign}{c.x()}"
        if not c.attribute("select_last_index", 0):
            return call("argmax", x, axis=axis, keepdims=keepdims)
        last = call("argmax", call("flip", x, axis=axis), axis=axis, keepdims=keepdims)
        return f"{c.shape()[axis] - 1} - {last}"

    return convert


def _cumsum(c: NodeInModel) -> str:
    axis = int(c.known(1).reshape(-1)[0])
    is_reverse = bool(c.attribute("reverse"))
    x = call("flip", c.x(), axis=axis) if is_reverse else c.x()
    total = call("cumulative_sum", x, axis=axis)
    total = call("flip", total, axis=axis) if is_reverse else total
    return f"{total} - {c.x()}" if c.attribute("exclusive") else total


# --- products --------------------------------------------------------------------------------------------------------


def _gemm(c: NodeInModel) -> str:
    _check_wrapping(c)
    a, b = (
        f"matrix_transpose({c.x(k)})" if c.attribute(name) else c.x(k) for k, name in enumerate(("transA", "transB"))
    )
    text = f"{a} @ {b}"
    alpha, beta = c.attribute("alpha"), c.attribute("beta")
    text = text if alpha == 1 else f"{alpha!r} * ({text})"
    if not c.has(2) or beta == 0:
        return text
    return f"{text} + {c.x(2)}" if beta == 1 else f"{text} + {beta!r} * {c.x(2)}"


# --- normalization ---------------------------------------------------------------------------------------------------


def _along(c: NodeInModel, position: int, rank: int) -> str:
    """Return an input of one number a channel, with axes of size 1 behind it for all that follow."""
    return c.x(position) if rank <= 2 else call("reshape", c.x(position), shape=[-1] + [1] * (rank - 2))


def _batch_normalization(c: NodeInModel) -> str | list[str]:
    rank, epsilon = c.rank(), c.attribute("epsilon")
    scale, shift = _along(c, 1, rank), _along(c, 2, rank)
    if not c.attribute("training_mode", 0):
        for position in (3, 4):
            c.value(position).is_trained = False
        mean, variance = _along(c, 3, rank), _along(c, 4, rank)
        return f"({c.x()} - {mean}) / sqrt({variance} + {epsilon!r}) * {scale} + {shift}"
    axes = [0, *range(2, rank)]
    momentum = c.attribute("momentum")
    mean, variance = (c.named(call(name, c.x(), axis=axes, keepdims=True), name) for name in ("mean", "var"))
    y = f"({c.x()} - {mean}) / sqrt({variance} + {epsilon!r}) * {scale} + {shift}"
    running = [
        f"{momentum!r} * {c.x(k)} + {1 - momentum!r} * {call(name, c.x(), axis=axes)}"
        for k, name in ((3, "mean"), (4, "var"))
    ]
    return [y, *running]


def _instance_normalization(c: NodeInModel) -> str:
    axes = list(range(2, c.rank()))
    apart = c.named(f"{c.x()} - {call('mean', c.x(), axis=axes, keepdims=True)}", "apart")
    spread = f"sqrt({call('var', c.x(), axis=axes, keepdims=True)} + {c.attribute('epsilon')!r})"
    return f"{apart} / {spread} * {_along(c, 1, c.rank())} + {_along(c, 2, c.rank())}"


def _group_normalization(c: NodeInModel) -> str:
    groups, channels = c.attribute("num_groups"), c.shape()[1]
    c.gives()
    scale, shift = c.x(1), c.x(2)
    if c.version < 21:
        # Of version 18 there is one number a group.
        each = [call("reshape", text, shape=[groups, 1]) for text in (scale, shift)]
        wide = [call("broadcast_to", text, shape=[groups, channels // groups]) for text in each]
        scale, shift = (call("reshape", text, shape=[channels]) for text in wide)
    return call("group_norm", c.x(), scale, shift, groups=groups, epsilon=c.attribute("epsilon"))


def _layer_normalization(c: NodeInModel) -> str | list[str]:
    axes = list(range(c.attribute("axis") % c.rank(), c.rank()))
    epsilon = c.attribute("epsilon")
    if c.shape(1) == c.shape()[axes[0] :] and not c.is_asked(1) and not c.is_asked(2):
        shift = c.x(2) if c.has(2) else c.constant(np.zeros(c.shape(1)), "shift")
        return call("layer_norm", c.x(), c.x(1), shift, axis=axes, epsilon=epsilon)
    mean = c.named(call("mean", c.x(), axis=axes, keepdims=True), "mean_of_x")
    inverse = c.named(f"1 / sqrt({call('var', c.x(), axis=axes, keepdims=True)} + {epsilon!r})", "inverse")
    text = f"({c.x()} - {mean}) * {inverse} * {c.x(1)}"
    return [f"{text} + {c.x(2)}" if c.has(2) else text, f"identity({mean})", f"identity({inverse})"]


def _rms_normalization(c: NodeInModel) -> str:
    axes = list(range(c.attribute("axis") % c.rank(), c.rank()))
    if c.shape(1) != c.shape()[axes[0] :]:
        raise c.refuse("its scale has another shape than what is normalized")
    return call("rms_norm", c.x(), c.x(1), axis=axes, epsilon=c.attribute("epsilon"))


def _lrn(c: NodeInModel) -> str:
    size, count = c.attribute("size"), c.shape()[1]
    before = (size - 1) // 2
    widths = [[0, 0]] * c.rank()
    widths[1] = [before, size - 1 - before]
    squares = c.named(call("pad", f"square({c.x()})", widths=widths), "squares")
    parts = [call("slice", squares, start=k, stop=k + count, axis=1) for k in range(size)]
    scale = c.attribute("alpha") / size
    return f"{c.x()} / ({c.attribute('bias')!r} + {scale!r} * ({' + '.join(parts)})) ** {c.attribute('beta')!r}"


def _dropout(c: NodeInModel) -> list[str]:
    is_training = c.has(2) and bool(c.known(2).reshape(-1)[0])
    ratio = float(c.known(1).reshape(-1)[0]) if c.has(1) else 0.5
    if is_training and ratio:
        raise c.refuse("it is told to train, and random numbers of another library's are not here")
    c.gives()
    c.gives(position=1, dtype="bool")
    return [f"identity({c.x()})", f"equal({c.x()}, {c.x()})"]


# --- scikit-learn's --------------------------------------------------------------------------------------------------


def _linear_regressor(c: NodeInModel) -> str:
    targets = c.attribute("targets")
    weights = c.reader.weight(np.reshape(c.attribute("coefficients"), (targets, -1)).T, f"{c.outputs[0]}_coefficients")
    c.gives([c.shape()[0], targets], dtype="float32")
    text = f"{c.x()} @ {weights}"
    given = c.attribute("intercepts")
    text = f"{text} + {c.reader.weight(np.asarray(given), f'{c.outputs[0]}_intercepts')}" if given else text
    return _transformed(c, text)


def _transformed(c: NodeInModel, text: str) -> str:
    kind = c.attribute("post_transform")
    written = {"NONE": text, "SOFTMAX": f"softmax({text})", "LOGISTIC": f"sigmoid({text})"}.get(kind)
    if written is None:
        raise c.refuse(f"post_transform {kind}")
    return written


def _linear_classifier(c: NodeInModel) -> list[str]:
    classes = c.attribute("classlabels_ints")
    if not classes:
        raise c.refuse("its classes are texts")
    coefficients = np.reshape(c.attribute("coefficients"), (-1, c.shape()[-1])).T
    if coefficients.shape[1] != len(classes):
        raise c.refuse("two classes share one score")
    weights = c.reader.weight(coefficients, f"{c.outputs[0]}_coefficients")
    intercepts = c.attribute("intercepts") or [0.0] * len(classes)
    shift = c.reader.weight(np.asarray(intercepts), f"{c.outputs[0]}_intercepts")
    scores = c.named(f"{c.x()} @ {weights} + {shift}", "scores")
    c.gives([c.shape()[0]], dtype="int64")
    c.gives([c.shape()[0], len(classes)], 1, "float32")
    label = call("argmax", scores, axis=1)
    if list(classes) != list(range(len(classes))):
        label = call("take", c.constant(np.asarray(classes), "classes"), label)
    return [label, _transformed(c, scores)]


def _feature_extractor(c: NodeInModel) -> str:
    shape = [*(c.shape()[:-1] or [1]), math.prod(c.shape(1))]
    c.gives(shape)
    return call("reshape", call("take", c.x(), c.x(1), axis=-1), shape=shape)


def _scaler(c: NodeInModel) -> str:
    c.gives(dtype="float32")
    offset, scale = (c.constant(np.asarray(c.attribute(name)), name) for name in ("offset", "scale"))
    return f"({c.x()} - {offset}) * {scale}"


def _normalizer(c: NodeInModel) -> str:
    c.gives(dtype="float32")
    order = {"L1": 1.0, "L2": 2.0, "MAX": math.inf}[c.attribute("norm")]
    if math.isinf(order):
        return f"{c.x()} / max(abs({c.x()}), axis=-1, keepdims=True)"
    return f"{c.x()} / {call('vector_norm', c.x(), axis=-1, keepdims=True, ord=order)}"


CONVERTERS: dict[str, Converter] = {
    **{same.operator: _same(name) for name, same in TYPES.items()},
    **{name: _reduction(write) for name, write in REDUCTIONS.items()},
    **arranging.CONVERTERS,
    **windows.CONVERTERS,
    "Add": _operator("+"),
    "Sub": _operator("-"),
    "Mul": _operator("*"),
    "MatMul": _operator("@"),
    "Div": _div,
    "Pow": _pow,
    "Mod": _mod,
    "Max": _folded("maximum"),
    "Min": _folded("minimum"),
    "Sum": _folded("add"),
    "Cast": _cast,
    "Clip": _clip,
    "PRelu": _prelu,
    "IsNaN": lambda c: f"not_equal({c.x()}, {c.x()})",
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log_softmax"),
    "ArgMax": _arg(""),
    "ArgMin": _arg("-"),
    "CumSum": _cumsum,
    "Gemm": _gemm,
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _instance_normalization,
    "GroupNormalization": _group_normalization,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _rms_normalization,
    "LRN": _lrn,
    "Dropout": _dropout,
    "ai.onnx.ml.LinearRegressor": _linear_regressor,
    "ai.onnx.ml.LinearClassifier": _linear_classifier,
    "ai.onnx.ml.Scaler": _scaler,
    "ai.onnx.ml.Normalizer": _normalizer,
    "ai.onnx.ml.ArrayFeatureExtractor": _feature_extractor,
}
"""The operators that are read, by name; those of another domain than ONNX's own with it."""
