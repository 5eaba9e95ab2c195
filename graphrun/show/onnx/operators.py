"""The node types that are an operator of ONNX, and the settings of both: read by the export and by the import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphrun.show.onnx.primitives import SAME as SAME_OPERATIONS
from graphrun.show.onnx.primitives import Call

OPSET = 21
"""The version of ONNX's operators that models are written in."""


@dataclass(frozen=True)
class Same:
    """A node type and an operator with the same inputs and the same value.

    Attributes:
        settings: the type's settings by the attributes of the operator that mean the same.
        ours: settings that the type must have to be the operator.
        is_double: whether onnxruntime computes it in float64.
    """

    operator: str
    settings: Mapping[str, str] = field(default_factory=dict)
    ours: Mapping[str, Any] = field(default_factory=dict)
    is_double: bool = True


TYPES: dict[str, Same] = {
    **{name: Same(operator) for name, operator in SAME_OPERATIONS.items()},
    "identity": Same("Identity"),
    "reciprocal": Same("Reciprocal"),
    "relu": Same("Relu"),
    "sigmoid": Same("Sigmoid"),
    "softmax": Same("Softmax", {"axis": "axis"}),
    "log_softmax": Same("LogSoftmax", {"axis": "axis"}),
    "permute_dims": Same("Transpose", {"axes": "perm"}),
    "concat": Same("Concat", {"axis": "axis"}),
    "leaky_relu": Same("LeakyRelu", {"slope": "alpha"}, is_double=False),
    "elu": Same("Elu", {"alpha": "alpha"}, is_double=False),
    "celu": Same("Celu", {"alpha": "alpha"}, is_double=False),
    "selu": Same("Selu", {"alpha": "alpha", "gamma": "gamma"}, is_double=False),
    "gelu": Same("Gelu", {"approximate": "approximate"}, is_double=False),
    "mish": Same("Mish", is_double=False),
    "softplus": Same("Softplus", ours={"beta": 1.0}, is_double=False),
    "softsign": Same("Softsign", is_double=False),
    "hard_sigmoid": Same("HardSigmoid", {"alpha": "alpha", "beta": "beta"}, is_double=False),
    "hard_swish": Same("HardSwish", is_double=False),
    "einsum": Same("Einsum", {"subscripts": "equation"}),
    "take_along_axis": Same("GatherElements", {"axis": "axis"}),
}
"""Of every node type here the operator, by the type's name; comparisons give numbers where it gives truth values."""

BY_TRACE = {*SAME_OPERATIONS, "reciprocal", "permute_dims", "concat", "einsum", "take_along_axis", "identity"}
"""What the trace writes in the same way, with kinds and shapes seen to."""


def has_operator(name: str) -> bool:
    """Say whether a node type is an operator that the trace does not write in the same way."""
    return name in CALLS or (name in TYPES and name not in BY_TRACE)


def operator_call(w: Any, name: str, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Call | None:
    """Return how a node is written as the operator that its type is; None where the trace has to be written.

    Args:
        w: the writer, for what has to be written before.
        name: a node type that has an operator.
        settings: its settings.
        shapes: the shapes of its inputs.
        inputs: the names of their values.
    """
    call = CALLS[name](w, settings, shapes, inputs) if name in CALLS else _plain(w, TYPES[name], settings, inputs)
    # Attributes are of single precision.
    numbers = [value for value in call.attributes.values() if isinstance(value, float)] if call else []
    return call if w.is_single or all(float(np.float32(number)) == number for number in numbers) else None


def _plain(w: Any, same: Same, settings: Mapping[str, Any], inputs: list[str]) -> Call | None:
    if not (same.is_double or w.is_single) or any(settings[key] != value for key, value in same.ours.items()):
        return None
    return Call(same.operator, inputs, {theirs: settings[ours] for ours, theirs in same.settings.items()})


def _each(setting: Any, count: int = 2) -> list[int]:
    return list(setting) if isinstance(setting, tuple) else [setting] * count


def _window(settings: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {
        "strides": _each(settings["stride"], count),
        "pads": _each(settings["padding"], count) * 2,
        "dilations": _each(settings["dilation"], count),
        "group": settings["groups"],
    }


def _conv(w: Any, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Any:
    if not w.is_single:
        return None
    more = {"output_padding": _each(settings["output_padding"])} if "output_padding" in settings else {}
    return Call("ConvTranspose" if more else "Conv", inputs, _window(settings, len(shapes[1]) - 2) | more)


def _max_pool(w: Any, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Any:
    kernel = _each(settings["kernel_size"])
    if len(shapes[0]) != 4:
        return None
    strides = kernel if settings["stride"] is None else _each(settings["stride"])
    return Call("MaxPool", inputs, {"kernel_shape": kernel, "strides": strides, "pads": _each(settings["padding"]) * 2})


def _avg_pool(w: Any, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Any:
    window = _max_pool(w, settings, shapes, inputs) if w.is_single else None
    return window and Call("AveragePool", inputs, window.attributes | {"count_include_pad": 1})


def _mean(w: Any, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Any:
    axis = settings["axis"]
    axes = list(range(len(shapes[0]))) if axis is None else _each(axis, 1)
    if not axes:
        return None
    return Call("ReduceMean", [*inputs, w.integers(axes)], {"keepdims": int(settings["keepdims"])})


def _layer_norm(w: Any, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Any:
    axes = sorted(axis % len(shapes[0]) for axis in _each(settings["axis"], 1))
    if axes != list(range(axes[0], len(shapes[0]))):
        return None
    return Call("LayerNormalization", inputs, {"axis": axes[0], "epsilon": settings["epsilon"]})


def _batch_norm(w: Any, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Any:
    if settings["training"] or settings["axis"] % len(shapes[0]) != 1:
        return None
    return Call("BatchNormalization", inputs, {"epsilon": settings["epsilon"]})


def _group_norm(w: Any, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Any:
    return Call("GroupNormalization", inputs, {"num_groups": settings["groups"], "epsilon": settings["epsilon"]})


def _silu(w: Any, settings: Mapping[str, Any], shapes: list[Any], inputs: list[str]) -> Any:
    return Call("Mul", [inputs[0], w.node("Sigmoid", inputs)])


CALLS: dict[str, Any] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv_transpose2d"), _conv),
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "mean": _mean,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "silu": _silu,
}
"""What takes more than names of settings."""

NO_DOUBLE = {
    *(same.operator for same in TYPES.values() if not same.is_double),
    *("Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Erf", "Det"),
}
"""The operators that onnxruntime 1.32 does not compute in float64 on a CPU."""
