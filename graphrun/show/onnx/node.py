"""One node of an ONNX model, as converters see it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.wording import quote
from graphrun.document.names import is_name, normalize

DOMAINS = {"": "", "ai.onnx": "", "ai.onnx.ml": "ai.onnx.ml"}


class RefusedError(Exception):
    """Why a node of a model has no place in a graph."""


@dataclass
class ModelValue:
    """A value of the model.

    Attributes:
        name: its name in the model.
        shape: its shape.
        dtype: the dtype that it has there.
        known: its elements, where no input is needed for them.
        text: how expressions write it; "" where that is not decided, for it is known.
        is_trained: whether it is a weight, that becomes a parameter.
        is_fixed: whether what is known of it was computed of inputs.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    known: NDArray[Any] | None = None
    text: str = ""
    is_trained: bool = False
    is_fixed: bool = False


def clean_name(name: str) -> str:
    """Return the nearest name that a graph file may have; numbers after dots are those of expressions."""
    name = normalize(name)
    if is_name(name) and not any(part.isdigit() for part in name.split(".")) and len(name) < 200:
        return name
    similar = re.sub(r"\W+", "_", name).strip("_")[-100:]
    return next(text for text in (similar, f"v_{similar}", "value") if is_name(text) and text.isidentifier())


def operator_name(node: Any) -> str:
    """Return the name of a node's operator; of another domain than ONNX's own with it."""
    domain = DOMAINS.get(node.domain, node.domain)
    return f"{domain}.{node.op_type}" if domain else str(node.op_type)


def call(name: str, *inputs: str, **settings: Any) -> str:
    """Return an expression that calls a node type; settings of None are left out."""
    given = [f"{key}={_literal(value)}" for key, value in settings.items() if value is not None]
    return f"{name}({', '.join([*inputs, *given])})"


def _literal(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


class NodeInModel:
    """A node with its inputs.

    Attributes:
        reader: what reads the model.
        proto: the node as the model has it.
        inputs: its inputs; None for one that is left out.
    """

    def __init__(self, reader: Any, proto: Any, inputs: Sequence[ModelValue | None], shapes: Any) -> None:
        self.reader = reader
        self.proto = proto
        self.inputs = inputs
        self.shapes = shapes
        self._attributes = {item.name: item for item in proto.attribute}

    @property
    def version(self) -> int:
        """The version of the operators that the model is written in."""
        return int(self.reader.version(self.proto))

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs, "" for one that is left out."""
        return list(self.proto.output)

    def is_asked(self, position: int) -> bool:
        """Whether the model has an output of a position."""
        return position < len(self.proto.output) and bool(self.proto.output[position])

    def gives(self, shape: Sequence[int] | None = None, position: int = 0, dtype: str | None = None) -> None:
        """Say what shape an output has, where ONNX's inference does not find it; by default the first input's."""
        if self.is_asked(position):
            made = tuple(self.shape() if shape is None else shape), np.dtype(dtype or self.value(0).dtype)
            self.shapes.setdefault(self.outputs[position], made)

    def refuse(self, reason: str) -> RefusedError:
        """Return the error that says why the node has no place in a graph."""
        return RefusedError(reason)

    # --- inputs ---

    def has(self, position: int) -> bool:
        """Whether an input is given."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def value(self, position: int) -> ModelValue:
        """Return an input."""
        value = self.inputs[position] if self.has(position) else None
        if value is None:
            raise RefusedError(f"its input {position} is left out")
        return value

    def x(self, position: int = 0) -> str:
        """Return how an expression writes an input."""
        return str(self.reader.written(self.value(position)))

    def all(self) -> list[str]:
        """Return how an expression writes each of the inputs."""
        return [self.x(position) for position in range(len(self.inputs)) if self.has(position)]

    def shape(self, position: int = 0) -> tuple[int, ...]:
        """Return the shape of an input."""
        return self.value(position).shape

    def rank(self, position: int = 0) -> int:
        """Return how many axes an input has."""
        return len(self.shape(position))

    def is_whole(self, position: int = 0) -> bool:
        """Whether an input holds whole numbers."""
        return self.value(position).dtype.kind in "iu"

    def known(self, position: int) -> NDArray[Any]:
        """Return the elements of an input that has to be known, as a setting is.

        Raises:
            RefusedError: they are only known when the graph runs.
        """
        value = self.value(position)
        if value.known is None:
            raise RefusedError(f"{quote(value.name)} has to be known before the graph runs: a setting is made of it")
        if value.is_fixed:
            self.reader.note(f"{quote(value.name)} is read once, as a setting: the graph is that of these numbers")
        return np.asarray(value.known)

    def numbers(self, position: int, attribute: str | None = None) -> list[int] | None:
        """Return whole numbers that are an input, or in older versions an attribute; None where neither is given."""
        if attribute is not None and attribute in self._attributes:
            return [int(number) for number in self.attribute(attribute)]
        if not self.has(position):
            return None
        return [int(number) for number in self.known(position).reshape(-1)]

    # --- attributes ---

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute as a number, a text, a list of them or an array; else the operator's own default."""
        if name in self._attributes:
            return self._plain(self._attributes[name])
        declared = self.reader.schema(self.proto).attributes.get(name)
        if declared is not None and declared.default_value.name:
            return self._plain(declared.default_value)
        return default

    def _plain(self, item: Any) -> Any:
        value = self.reader.onnx.helper.get_attribute_value(item)
        if isinstance(value, self.reader.onnx.TensorProto):
            return self.reader.onnx.numpy_helper.to_array(value)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, float):
            # 0.01 of single precision is meant to be 0.01.
            return float(str(np.float32(value)))
        return value

    # --- what a converter makes ---

    def named(self, expression: str, suffix: str = "part") -> str:
        """Return a name for an expression, so that it may be used several times."""
        if expression.isidentifier() or expression.replace(".", "", 1).isdecimal():
            return expression
        first = next((name for name in self.proto.output if name), "value")
        name = str(self.reader.new(f"{clean_name(first)}_{suffix}"))
        self.reader.text.nodes[name] = expression
        return name

    def constant(self, array: Any, suffix: str) -> str:
        """Return how expressions write a known array; it is told by its elements, so that equal ones are one."""
        first = next((name for name in self.proto.output if name), "value")
        return str(self.reader.constant(array, f"{clean_name(first)}_{suffix}"))
