"""Reads an ONNX model: each of its nodes becomes an expression of a graph file, or is told of with all the others.

What is known without the inputs, such as shapes and what is computed of them, is computed while reading. The model is
a stranger's: nothing of it is believed that takes more memory than there may be.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import UsageError
from graphrun.base.memory import memory_limit, size_text
from graphrun.base.wording import printable, quote
from graphrun.show.onnx import load_onnx
from graphrun.show.onnx.node import DOMAINS, ModelValue, NodeInModel, RefusedError, clean_name, operator_name

LARGEST_KNOWN = 1 << 20
"""Known arrays of more elements are not computed while reading."""

LARGEST_SETTING = 8
"""Inputs that are no whole numbers are settings of an operator only where they have so few elements."""

LARGEST_WRITTEN = 16
"""Arrays of more elements are written to the file beside the graph file."""

LARGEST_EXACT = 2**24
"""Larger whole numbers are rounded in single precision."""

RANDOM = {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomUniform"}
RANDOM |= {"RandomNormalLike", "RandomUniformLike"}

OF_SHAPES = {"Shape", "Size"}
"""The operators that ask for no more of their input than its shape."""

WEIGHTS = "weights"

Shapes = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""Shapes and dtypes by name."""

NAMES = re.compile(r"[^\W\d][\w.]*")
"""The names in an expression, those of types and settings among them."""


@dataclass
class GraphText:
    """The sections of the graph file that a model becomes; leaves are arrays.

    Attributes:
        stored: the leaves of subgraphs, which read them from the file beside the graph file, whose name is `WEIGHTS`.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    dtype: str = "float64"
    subgraphs: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)


class ModelReader:
    """Makes the sections of a graph file.

    Args:
        model: the model, its functions put in place of their calls.
        inputs: the elements of its inputs by name; of others they are zeros.
        converters: what makes an expression of a node, by the operator's name.
    """

    def __init__(self, model: Any, inputs: Mapping[str, NDArray[Any]], converters: Mapping[str, Any]) -> None:
        self.onnx = load_onnx()
        self.model = model
        self.inputs = inputs
        self.converters = converters
        self.text = GraphText()
        self.notes: list[str] = []
        self.values: dict[str, ModelValue] = {}
        self.outputs: list[str] = []
        self._opsets = {DOMAINS.get(item.domain, item.domain): item.version for item in model.opset_import}
        self._names = {"step"}
        # The names of outputs and inputs are theirs, whatever is read before them.
        self._kept: dict[str, str] = {}
        for item in (*model.graph.output, *model.graph.input):
            name = clean_name(item.name)
            if name not in self._kept.values():
                self._kept[item.name] = name

    def read(self) -> GraphText:
        """Return the sections.

        Raises:
            UsageError: some of the model's nodes cannot be written; all of them are in the text.
        """
        graph = self.model.graph
        self._refuse_unknown()
        self._leaves()
        problems: list[str] = []
        broken: set[str] = set()
        for node in graph.node:
            if not broken.isdisjoint(node.input):
                broken.update(node.output)
                continue
            try:
                self._node(node)
            except RefusedError as error:
                label = quote(node.name or (node.output[0] if node.output else ""))
                problems.append(f"{node.op_type} {label}: {error}")
                broken.update(node.output)
        if problems:
            more = [f"... and {len(problems) - 20} more"] if len(problems) > 20 else []
            raise UsageError("\n  ".join(["the model cannot be written as a graph:", *problems[:20], *more]))
        self.outputs = [self._output(output) for output in graph.output]
        self._drop_unread(self.outputs)
        floats = {value.dtype.name for value in self.values.values() if value.dtype.kind == "f" and value.shape}
        whole = [array for array in self.text.constants.values() if array.dtype.kind in "iu" and array.size]
        is_exact = all(np.abs(array).max() <= LARGEST_EXACT for array in whole)
        self.text.dtype = "float32" if "float32" in floats and "float64" not in floats and is_exact else "float64"
        return self.text

    def _refuse_unknown(self) -> None:
        names = map(operator_name, self.model.graph.node)
        missing = Counter(name for name in names if name not in self.converters)
        if missing:
            several = {name: f" ({count} nodes)" if count > 1 else "" for name, count in missing.items()}
            listed = ", ".join(f"{printable(name)}{count}" for name, count in several.items())
            raise UsageError(f"there are no node types for these operators of the model: {listed}")

    # --- leaves ---

    def _leaves(self) -> None:
        graph = self.model.graph
        initialized = {tensor.name for tensor in graph.initializer}
        if graph.sparse_initializer:
            raise UsageError("the model has sparse tensors, which a graph has not")
        held = 0
        for tensor in graph.initializer:
            array = self._array(tensor)
            # A number alone is more often part of a formula; in a model that was a graph it is a leaf.
            is_weight = array.dtype.kind == "f" and (array.size > 1 or self.model.producer_name == "graphrun")
            self.values[tensor.name] = ModelValue(tensor.name, array.shape, array.dtype, array, is_trained=is_weight)
        for item in graph.input:
            if item.name in initialized and item.name not in self.inputs:
                continue
            shape, dtype = self._declared(item)
            given = self.inputs.get(item.name)
            if given is None:
                held += math.prod(shape) * 8
                if held > memory_limit():
                    limit = size_text(memory_limit())
                    raise UsageError(f"the input {quote(item.name)} of the shape {list(shape)} is beyond {limit}")
            elif given.dtype.kind not in "fiub":
                raise UsageError(f"the input {quote(item.name)} holds {given.dtype}, not numbers")
            array = np.zeros(shape, dtype) if given is None else given
            name = self.new(item.name)
            self.text.constants[name] = array
            # Whole numbers may be a shape, or axes: then the graph is that of these numbers.
            is_setting = array.size <= (LARGEST_SETTING if dtype.kind == "f" else LARGEST_KNOWN)
            known = array.astype(dtype) if is_setting else None
            self.values[item.name] = ModelValue(item.name, array.shape, dtype, known, name, is_fixed=True)

    def _array(self, tensor: Any) -> NDArray[Any]:
        try:
            array = np.asarray(self.onnx.numpy_helper.to_array(tensor))
        except Exception as error:
            reason = printable(str(error).partition("\n")[0])
            raise UsageError(f"the tensor {quote(tensor.name)} cannot be read: {reason}") from None
        if array.dtype.kind not in "fiub" or array.dtype.names:
            raise UsageError(f"the tensor {quote(tensor.name)} holds {array.dtype}, not numbers")
        return array

    def _declared(self, item: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return the shape and the dtype that an input is declared with; axes of any size have one element."""
        kind = item.type.WhichOneof("value")
        if kind != "tensor_type":
            raise UsageError(f"the input {quote(item.name)} is no tensor")
        declared = item.type.tensor_type
        dtype = self.dtype_of(declared.elem_type)
        if dtype is None:
            raise UsageError(f"the input {quote(item.name)} does not hold numbers")
        sizes = tuple(max(size.dim_value, 0) if size.HasField("dim_value") else 1 for size in declared.shape.dim)
        return sizes, dtype

    def dtype_of(self, number: int) -> np.dtype[Any] | None:
        """Return the dtype of one of ONNX's types; None of one that has no plain numbers."""
        try:
            dtype = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(number))
        except (KeyError, TypeError, ValueError):
            return None
        return dtype if dtype.kind in "fiub" and dtype.isbuiltin == 1 else None

    # --- nodes ---

    def _node(self, node: Any) -> None:
        inputs = [self.values.get(name) if name else None for name in node.input]
        if any(name and value is None for name, value in zip(node.input, inputs, strict=True)):
            missing = next(name for name in node.input if name and name not in self.values)
            raise RefusedError(f"its input {quote(missing)} is not there")
        shapes = self._inferred(node, inputs)
        known = self._known(node, inputs, shapes)
        is_fixed = node.op_type not in OF_SHAPES and any(value is not None and value.is_fixed for value in inputs)
        if known is None or is_fixed:
            try:
                self._convert(node, inputs, shapes, known or {})
            except RefusedError:
                # Of inputs, only what may be a shape or a part of one is computed here.
                arrays = (known or {}).values()
                is_shape = all(array.ndim < 2 and array.dtype.kind != "f" for array in arrays)
                if known is None or not (is_shape or node.op_type == "Range"):
                    raise
            else:
                return
        for name, array in (known or {}).items():
            self.values[name] = ModelValue(name, array.shape, array.dtype, array, is_fixed=is_fixed)
        if is_fixed:
            self.note(f"{quote(node.output[0])} is computed once: the graph is that of the whole numbers of its inputs")

    def _convert(self, node: Any, inputs: Any, shapes: Any, known: Mapping[str, NDArray[Any]]) -> None:
        try:
            made = self.converters[operator_name(node)](NodeInModel(self, node, inputs, shapes))
        except RefusedError:
            raise
        except Exception as error:
            raise RefusedError(f"it is malformed ({type(error).__name__}: {error})") from error
        texts = [made] if isinstance(made, str) else list(made)
        if any(name and k >= len(texts) for k, name in enumerate(node.output)):
            raise RefusedError("it has outputs that no node type gives")
        for name, text in zip(node.output, texts, strict=False):
            if name and name not in shapes:
                raise RefusedError(f"the shape of {quote(name)} is not known")
            if name:
                own = self.new(name)
                self.text.nodes[own] = text
                shape, dtype = shapes[name]
                self.values[name] = ModelValue(name, shape, dtype, known.get(name), own, is_fixed=name in known)

    def _inferred(
        self, node: Any, inputs: Sequence[ModelValue | None]
    ) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Return the shapes and dtypes of a node's outputs, as far as ONNX's inference finds them."""
        helper = self.onnx.helper
        types, data = {}, {}
        for value in inputs:
            if value is not None:
                number = helper.np_dtype_to_tensor_dtype(value.dtype)
                types[value.name] = helper.make_tensor_type_proto(number, value.shape)
                if value.known is not None and value.known.size <= 1024:
                    data[value.name] = self.onnx.numpy_helper.from_array(np.asarray(value.known), value.name)
        found: Shapes = {}
        # ONNX's own code does not look, and ends the process.
        if any(item.name == "num_outputs" and item.i != len(node.output) for item in node.attribute):
            raise RefusedError("its outputs are not as many as num_outputs")
        try:
            schema = self.schema(node)
            made = self.onnx.shape_inference.infer_node_outputs(
                schema, node, types, data or None, None, list(self.model.opset_import), self.model.ir_version
            )
        except Exception as error:
            raise RefusedError(printable(str(error).partition("\n")[0])) from None
        for name, given in made.items():
            tensor = given.tensor_type
            dtype = self.dtype_of(tensor.elem_type)
            sizes = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
            if dtype is not None and tensor.HasField("shape") and None not in sizes:
                found[name] = (tuple(int(size or 0) for size in sizes), dtype)
        return found

    def version(self, node: Any) -> int:
        """Return the version of the operators that a node is written in."""
        return int(self._opsets.get(DOMAINS.get(node.domain, node.domain), 1))

    def schema(self, node: Any) -> Any:
        """Return what ONNX says of a node's operator in the model's version."""
        return self.onnx.defs.get_schema(node.op_type, self.version(node), DOMAINS.get(node.domain, node.domain))

    def _known(
        self, node: Any, inputs: Sequence[ModelValue | None], shapes: Mapping[str, Any]
    ) -> dict[str, NDArray[Any]] | None:
        """Compute a node of which all inputs are known, or their shapes where it asks no more, if it is small."""
        is_shape = node.op_type in OF_SHAPES
        given = {value.name: value for value in inputs if value is not None}
        names = [name for name in node.output if name]
        if node.op_type in RANDOM or not shapes.keys() >= {*names}:
            return None
        if any(math.prod(shapes[name][0]) > LARGEST_KNOWN for name in names):
            return None
        if not is_shape and any(value.known is None or value.is_trained for value in given.values()):
            return None
        feeds = {
            name: np.broadcast_to(np.zeros((), value.dtype), value.shape) if is_shape else np.asarray(value.known)
            for name, value in given.items()
        }
        helper = self.onnx.helper

        def told(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)

        inside = [told(name, value.shape, value.dtype) for name, value in given.items()]
        graph = helper.make_graph([node], "known", inside, [told(name, *shapes[name]) for name in names])
        model = helper.make_model(graph, opset_imports=list(self.model.opset_import), ir_version=self.model.ir_version)
        try:
            with np.errstate(all="ignore"):
                found = self.onnx.reference.ReferenceEvaluator(model).run(None, feeds)
            return {name: np.asarray(array).reshape(shapes[name][0]) for name, array in zip(names, found, strict=True)}
        except Exception:  # what it cannot compute is left to the converters
            return None

    def _output(self, item: Any) -> str:
        """Return the node that an output is, made where it is none or has another name."""
        value = self.values.get(item.name)
        if value is None:
            raise UsageError(f"the output {quote(item.name)} is not there")
        name = self._kept.get(item.name, "")
        if name in self.text.nodes:
            return name
        text = self.written(value)
        is_taken = name in self._names or not name
        made = self.new(f"{item.name}_output" if is_taken else item.name)
        self.text.nodes[made] = f"identity({text})"
        return made

    def _drop_unread(self, outputs: Sequence[str]) -> None:
        """Leave away what no output is made of, but for the model's inputs."""
        read = {*outputs, *(self.values[item.name].text for item in self.model.graph.input if item.name in self.values)}
        for name, text in reversed(self.text.nodes.items()):
            if name in read:
                read.update(NAMES.findall(text))
        for section in (self.text.nodes, self.text.parameters, self.text.constants):
            for name in [name for name in section if name not in read]:
                del section[name]

    # --- names and texts ---

    def note(self, text: str) -> None:
        """Tell something once."""
        if text not in self.notes:
            self.notes.append(text)

    def new(self, name: str) -> str:
        """Return a name for a value of the model that nothing else has."""
        kept = self._kept.get(name)
        wanted = base = clean_name(name) if kept is None else kept
        number = 1
        while wanted in self._names or (kept is None and wanted in self._kept.values()):
            number += 1
            wanted = f"{base}_{number}"
        self._names.add(wanted)
        return wanted

    def written(self, value: ModelValue) -> str:
        """Return how expressions write a value; a known one is a number, a constant or a parameter from then on."""
        if value.text:
            return value.text
        assert value.known is not None  # noqa: S101 (for the type checker: it is one or the other)
        if not np.isfinite(value.known).all():
            value.text = self._with_infinities(value)
            return value.text
        if not value.shape and not value.is_trained:
            # 0.1 of single precision is meant to be 0.1.
            is_single = value.known.dtype == np.float32
            number = float(str(value.known[()])) if is_single else value.known.item()
            value.text = repr(number if isinstance(number, float) else int(number))
            if value.text.startswith("-"):
                value.text = f"({value.text})"
            return value.text
        is_output = self._kept.get(value.name) is not None
        value.text = self.new(f"{value.name}_value" if is_output else value.name)
        section = self.text.parameters if value.is_trained else self.text.constants
        section[value.text] = value.known
        return value.text

    def _with_infinities(self, value: ModelValue) -> str:
        """Write an array with infinities, which no leaf may have: as a mask has them, of one sign."""
        known = np.asarray(value.known, np.float64)
        signs = set(np.sign(known[np.isinf(known)]).tolist())
        if np.isnan(known).any() or len(signs) != 1:
            raise RefusedError(f"{quote(value.name)} holds what is no number")
        infinity = "log(0)" if signs == {-1.0} else "(-log(0))"
        if not value.shape:
            return infinity
        is_finite = np.isfinite(known)
        mask = self.constant(is_finite, f"{value.name}_is_finite")
        rest = self.constant(np.where(is_finite, known, 0.0), f"{value.name}_finite")
        name = self.new(value.name)
        self.text.nodes[name] = f"where({mask}, {rest}, {infinity})"
        return name

    def weight(self, array: Any, name: str) -> str:
        """Return how expressions write an array that a converter found, and that may be trained."""
        known = np.asarray(array, np.float32)
        return self.written(ModelValue(name, known.shape, known.dtype, known, is_trained=True))

    def constant(self, array: Any, name: str) -> str:
        """Return how expressions write an array that a converter made."""
        known = np.asarray(array)
        return self.written(ModelValue(name, known.shape, known.dtype, known))
