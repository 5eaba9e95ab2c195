"""`graphrun import MODEL.onnx -o graph.yaml`: a graph file, and beside it the weights."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.files import check_output, write_output
from graphrun.base.memory import COPIES, memory_limit, size_text
from graphrun.base.wording import printable, quote
from graphrun.document.dump import dump_data
from graphrun.show.onnx import load_onnx
from graphrun.show.onnx.blocks import find_blocks
from graphrun.show.onnx.converters import CONVERTERS
from graphrun.show.onnx.node import RefusedError
from graphrun.show.onnx.reader import LARGEST_WRITTEN, WEIGHTS, GraphText, ModelReader

MOST_NODES = 200_000


def import_model(model: str | Path, target: str | Path, inputs: str | Path | None = None) -> list[str]:
    """Write the graph file of a model, and its weights; return what a user should know of it.

    Args:
        model: the model's file.
        target: the graph file; the weights go beside it, under its name and ``.safetensors``.
        inputs: an .npz file with the model's inputs by their names; without it they are zeros.

    Raises:
        UsageError: the file is no model, or has what no graph has; all of it is in the text.
        RunError: a file cannot be written.
    """
    target = Path(target)
    weights = target.with_suffix(".safetensors")
    check_output(target)
    check_output(weights)
    read = read_model(Path(model))
    given = {} if inputs is None else _arrays(Path(inputs))
    declared = {item.name for item in read.graph.input}
    if given and not declared & given.keys():
        raise UsageError(f"{inputs} has none of the model's inputs: {', '.join(sorted(map(quote, declared)))}")
    reader = ModelReader(read, {name: array for name, array in given.items() if name in declared}, CONVERTERS)
    try:
        text = reader.read()
    except RefusedError as error:
        raise UsageError(str(error)) from None
    given_names = [reader.values[name].text for name in declared if name in reader.values]
    find_blocks(text, reader.outputs, given_names)
    files = {} if inputs is None else {name: os.path.relpath(inputs, target.parent) for name in given}
    description = read.graph.doc_string or f"{Path(model).name} as a graph"
    stored: dict[str, Any] = {}
    written = _text(text, reader, description, files, weights.name, stored)
    if stored:
        from safetensors.numpy import save

        write_output(weights, save({name: np.ascontiguousarray(array) for name, array in stored.items()}))
    write_output(target, written)
    return reader.notes


def _text(
    text: GraphText, reader: ModelReader, description: str, files: dict[str, str], weights: str, stored: dict[str, Any]
) -> str:
    """Return the graph file; arrays of many elements are added to what is stored beside it."""
    own = {reader.values[name].text: name for name in files if name in reader.values}

    def leaf(name: str, array: Any) -> Any:
        array = np.asarray(array)
        if name in own:
            return {"file": files[own[name]], "key": own[name]}
        if array.size <= LARGEST_WRITTEN and array.dtype.kind != "b" and array.size:
            return array.tolist()
        stored[name] = array.astype(np.uint8) if array.dtype.kind == "b" else array
        return {"file": weights, "key": name}

    stored.update((name, np.asarray(array)) for name, array in text.stored.items())
    sections = {
        "description": printable(description)[:1000],
        "parameters": {name: leaf(name, array) for name, array in text.parameters.items()},
        "constants": {name: leaf(name, array) for name, array in text.constants.items()},
        "subgraphs": {name: _with_file(subgraph, weights) for name, subgraph in text.subgraphs.items()},
        "nodes": text.nodes,
        "dtype": text.dtype,
    }
    return dump_data({name: section for name, section in sections.items() if section})


def _with_file(part: Any, weights: str) -> Any:
    """Return a subgraph with the name of the file that its leaves are read from."""
    if isinstance(part, dict):
        return {key: _with_file(value, weights) for key, value in part.items() if value != {}}
    return weights if part is WEIGHTS else part


def read_model(path: Path) -> Any:
    """Return a model from a file, its own functions put in place of their calls.

    Raises:
        UsageError: it is no model, or one that takes too much memory, or has files elsewhere.
    """
    onnx = load_onnx()
    try:
        mode = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"the model {printable(str(path))} cannot be read: {reason}") from None
    if not stat.S_ISREG(mode.st_mode):
        raise UsageError(f"the model {path} cannot be read: it is no regular file")
    if mode.st_size * COPIES > memory_limit():
        raise UsageError(f"the model {path} has {size_text(mode.st_size)}; the limit is {size_text(memory_limit())}")
    try:
        model = onnx.load_model(path, load_external_data=False)
        _load_external(onnx, model, path)
        for item in model.graph.output:
            # The checker wants one, and nothing else asks for it.
            if item.type.WhichOneof("value") == "tensor_type":
                item.type.tensor_type.shape.SetInParent()
        onnx.checker.check_model(model)
        model = _written_out(onnx, model)
    except UsageError:
        raise
    except Exception as error:  # protobuf, the checker and the inliner raise what they like
        reason = printable(str(error).strip().partition("\n")[0])
        raise UsageError(f"{printable(str(path))} is no model of ONNX: {reason or type(error).__name__}") from None
    if len(model.graph.node) > MOST_NODES:
        raise UsageError(f"the model has {len(model.graph.node):,} nodes; the limit is {MOST_NODES:,}")
    return model


def _written_out(onnx: Any, model: Any) -> Any:
    """Return a model with the model's own functions, and ONNX's where no node type is one, in place of their calls."""
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    versions = {item.domain: item.version for item in model.opset_import}
    tried: set[tuple[str, str]] = set()
    while True:
        found: dict[tuple[str, str], None] = {}
        for node in model.graph.node:
            key = node.domain, node.op_type
            if key not in tried and node.op_type not in CONVERTERS and onnx.defs.has(node.op_type, node.domain):
                schema = onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
                if schema.has_function or schema.has_context_dependent_function:
                    found[key] = None
                    given = {item.name for item in node.attribute}
                    # The inliner leaves out what is not given.
                    defaults = [item.default_value for name, item in schema.attributes.items() if name not in given]
                    node.attribute.extend(default for default in defaults if default.name)
        if not found:
            return model
        tried.update(found)
        with suppress(RuntimeError):  # of some nodes it does not know the types, and gives up
            model = onnx.inliner.inline_selected_functions(model, list(found), inline_schema_functions=True)


def _load_external(onnx: Any, model: Any, path: Path) -> None:
    """Read tensors that stand in files beside the model; nowhere else."""
    helper = onnx.external_data_helper
    folder, size = path.parent.resolve(), 0
    for tensor in model.graph.initializer:
        if helper.uses_external_data(tensor):
            info = helper.ExternalDataInfo(tensor)
            place = (folder / info.location).resolve()
            if not place.is_relative_to(folder) or not place.is_file():
                raise UsageError(f"the tensor {quote(tensor.name)} is said to be in {quote(info.location)}")
            size += info.length or place.stat().st_size
    if size * COPIES > memory_limit():
        raise UsageError(f"the model's weights have {size_text(size)}; the limit is {size_text(memory_limit())}")
    if size:
        helper.load_external_data_for_model(model, str(folder))


def _arrays(path: Path) -> dict[str, Any]:
    import zipfile

    from graphrun.document.npz import read_array

    if path.suffix.lower() != ".npz":
        raise UsageError(f"--inputs {path}: inputs are in an .npz file, as numpy.savez writes it")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) * COPIES > memory_limit():
                raise UsageError(f"--inputs {path}: it takes more memory than there may be")
            arrays = {info.filename.removesuffix(".npy"): read_array(archive, info) for info in archive.infolist()}
    except UsageError:
        raise
    except Exception as error:  # zipfile and NumPy raise nearly anything where data is damaged
        raise UsageError(f"--inputs {path} cannot be read: {printable(str(error))}") from None
    return {name: array for name, array in arrays.items() if array is not None}
