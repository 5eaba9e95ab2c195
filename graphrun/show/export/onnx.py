"""`graphrun export FILE --to onnx`: the forward pass of a graph as an ONNX model, or a step of its training.

A model for inference has the columns of the data as inputs, with any number of rows. One that trains has the parameters
and the states as inputs too, and what a step makes of each as an output of the same name and ``/next``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphrun.base.errors import ShapeError, UsageError
from graphrun.base.version import __version__
from graphrun.data.rows import DataSource, Rows
from graphrun.declare.arrays import INT
from graphrun.declare.trace import FLOAT
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import Document
from graphrun.document.dump import dump_document
from graphrun.document.names import normalize
from graphrun.engines.numpy import node_program
from graphrun.engines.traced import NotSupportedError
from graphrun.graph.build import build_graph
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Plan
from graphrun.run.api import Graph
from graphrun.run.checkpoint import Checkpoint, check_fits, load_checkpoint
from graphrun.run.predict import part_of
from graphrun.show.onnx import load_onnx
from graphrun.show.onnx.functions import DOMAIN, with_functions
from graphrun.show.onnx.operators import NO_DOUBLE, OPSET
from graphrun.show.onnx.sizes import FixedRowsError
from graphrun.show.onnx.writer import ModelWriter

IR_VERSION = 10
LARGEST = 2**31 - 2**20
"""A model is one message of Protocol Buffers, which has at most 2 GiB."""

FEW_ROWS = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Numbers of rows at which a graph is traced: two that are no other size."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Port:
    """An input or an output of a model: its shape, where a text stands for any size, and its kind."""

    name: str
    shape: Sequence[int | str]
    kind: str = FLOAT


def export(
    graph: Graph,
    *,
    output: Sequence[str] | None = None,
    resume: str | None = None,
    training: bool | None = None,
    dtype: str | None = None,
    tell: Tell = lambda _note: None,
) -> bytes:
    """Return a model.

    Args:
        graph: what is exported.
        output: the nodes that it gives; default all that no other node reads.
        resume: a checkpoint whose parameters it has; default those of the file.
        training: whether it makes a step of the update.
        dtype: ``float64`` or ``float32``, default the file's.
        tell: called with what a user should know of the model.

    Raises:
        UsageError: onnx is not installed, or a node has no operators; the text says which.
    """
    load_onnx()
    saved = None if resume is None else load_checkpoint(resume)
    if training:
        if output is not None:
            raise UsageError("--output is for a model without --training, which gives the objective and the update")
        return _training(graph, saved, resume, dtype, tell)
    return _inference(graph, output, saved, resume, dtype, tell)


# --- the forward pass ------------------------------------------------------------------------------------------------


def _inference(
    graph: Graph, outputs: Sequence[str] | None, saved: Checkpoint | None, resume: str | None, dtype: Any, tell: Tell
) -> bytes:
    document = graph.document
    read = {source for entry in document.nodes.values() for source in entry.inputs}
    names = [name for name in document.nodes if name not in read] if outputs is None else [*map(normalize, outputs)]
    if not names:
        raise UsageError(f"{graph.name} has no nodes to export")
    part = part_of(document, names, saved)
    source = DataSource(part, graph.source.file if part.data else None, training=False)
    seed = document.seed or 0 if saved is None else saved.seed
    data = source.open(seed, None if saved is None else saved.statistics)
    columns = [] if data is None else next(data.everything())
    structure = build_graph(part, graph.registry, source.names).evaluation()
    number = np.dtype(document.dtype if dtype is None else dtype)

    def plan_of(rows: int) -> Plan:
        taken = [np.resize(column, (rows, *column.shape[1:])) for column in columns]
        return build_plan(structure, number, seed, Rows(taken, data.widths) if data is not None else None)

    rows = 1 if not columns else min((document.data and document.data.batch_size) or len(columns[0]), len(columns[0]))
    plan = plan_of(rows)
    writer = _free(plan, plan_of, tell) if columns else None
    is_free = writer is not None
    if writer is None:
        writer = ModelWriter(plan)
        writer.forward(plan.batches)
    if saved is not None and resume is not None:
        check_fits(saved, writer.plan, resume, whole=False)
    if data is not None and data.statistics:
        tell("the model takes standardized columns as the graph has them: standardized")
    shapes = {name: _shape(writer, name, is_free=is_free) for name in names}
    inputs = [
        Port(
            plan.names[slot] or "",
            ("rows" if is_free else rows, *plan.shapes[slot][1:]),
            writer.trace.leaves[slot].kind,
        )
        for slot in plan.data
    ]
    nodes, functions = with_functions(document, list(writer.used(names)), names)
    _tell_of_kernels(writer, tell)
    leaves = dict(_leaves(writer, saved))
    taken = {name for node in nodes for name in node.input}
    return _model(
        document,
        nodes,
        inputs,
        [Port(name, shapes[name]) for name in names],
        {name: value for name, value in leaves.items() if name in taken},
        functions,
        writer,
    )


def _free(plan: Plan, plan_of: Callable[[int], Plan], tell: Tell) -> ModelWriter | None:
    """Return what is written of a graph for any number of rows; None, after telling why, where it is not possible."""
    sizes = {size for shape in plan.shapes for size in shape}
    first, second = [n for n in FEW_ROWS if n not in sizes][:2]
    try:
        plans = plan_of(first), plan_of(second)
        writer = ModelWriter(*plans, (first, second))
        writer.forward(plans[0].batches)
    except (FixedRowsError, ShapeError) as error:
        told = str(error).partition("\n")[0]
        tell(f"the number of rows is fixed, at {plan.shapes[plan.data[0]][0]}: {told}")
        return None
    return writer


def _shape(writer: ModelWriter, name: str, *, is_free: bool) -> list[int | str]:
    slot = writer.plan.slots[name]
    sizes = writer.twins.shape(writer.trace.values[slot]) if is_free else writer.plan.shapes[slot]
    return [int(s) if isinstance(s, int) else "rows" if s.factor == 1 else f"rows*{s.factor}" for s in sizes]


def _leaves(writer: ModelWriter, saved: Checkpoint | None) -> Iterator[tuple[str, Any]]:
    """Yield the values of the leaves that nodes read, by name: of a checkpoint, or as the file has them."""
    plan = writer.plan
    program = node_program(plan if saved is None else plan.holding(saved.parameters))
    if saved is not None:
        program.restore_values(saved.arrays)
    values = program.leaves()
    for slot, name in writer.leaves.items():
        if slot not in plan.data:
            if values[slot] is None or slot in {noise.slot for noise in plan.noise}:
                raise NotSupportedError(f"{name!r} is random numbers, which a model has not")
            yield name, np.asarray(values[slot], None if writer.trace.leaves[slot].kind == INT else plan.dtype)


# --- a step of training ----------------------------------------------------------------------------------------------


def _training(graph: Graph, saved: Checkpoint | None, resume: str | None, dtype: Any, tell: Tell) -> bytes:
    seed = graph.document.seed or 0 if saved is None else saved.seed
    plan = graph.plan(dtype, seed)
    if plan.objective is None:
        raise UsageError(f"{graph.name} has no objective: there is nothing to train")
    rule = plan.update.rule
    if not isinstance(rule, UpdateRule):
        raise UsageError(f"the solver {rule.name} makes no plain steps: a model that trains has an update rule")
    if plan.noise:
        slot = plan.noise[0].slot
        node = plan.uses[slot][0][0]
        kind, name = plan.batch_of(node).type.name, plan.names[node]
        raise UsageError(f"{kind} {name!r} needs random numbers, which a model that trains has not")
    if saved is not None and resume is not None:
        check_fits(saved, plan, resume)
    writer = ModelWriter(plan)
    needed = [batch for batch in plan.batches if batch.needed or batch in plan.in_loop]
    writer.forward(needed)
    gradients = writer.trace.gradients()
    updates = writer.trace.updates(gradients)
    target = str(plan.names[plan.objective])
    outputs = [Port(target, ())]
    writer.owner = "update"

    def give(name: str, value: Any, slot: int) -> None:
        writer.value(value, name)
        outputs.append(Port(name, plan.shapes[slot]))

    for slot in range(plan.parameters):
        name = str(plan.names[slot])
        gradient = gradients.get(slot)
        zeros = writer.trace.recorder.constant(np.zeros(plan.shapes[slot], plan.dtype), FLOAT)
        give(f"{name}/gradient", zeros if gradient is None else gradient, slot)
        give(f"{name}/next", updates[slot].value, slot)
        for state, value in updates[slot].states.items():
            give(f"{name}/{state}/next", value, slot)
    for slot, value in writer.trace.node_states().items():
        give(f"{plan.names[slot]}/next", value, slot)
    give_step = writer.node("Add", ["step", writer.number(1.0, "weak")], "step/next")
    outputs.append(Port(give_step, (), "weak"))
    _tell_of_kernels(writer, tell)
    leaves = dict(_leaves(writer, saved))
    moved = {str(plan.names[slot]): slot for slot in (*range(plan.parameters), *plan.state_slots)}
    inputs = [Port(str(plan.names[s]), plan.shapes[s], writer.trace.leaves[s].kind) for s in plan.data if plan.feeds]
    if not plan.feeds:
        leaves |= {str(plan.names[slot]): plan.leaves[slot] for slot in plan.data}
    leaves |= {
        name: np.asarray(node_program(plan).leaves()[slot]) for name, slot in moved.items() if name not in leaves
    }
    inputs += [Port(name, plan.shapes[slot]) for name, slot in moved.items()]
    for state, slot in itertools.product(rule.state, range(plan.parameters)):
        name = f"{plan.names[slot]}/{state}"
        kept = None if saved is None else saved.arrays[f"rule/{state}/{plan.names[slot]}"]
        leaves[name] = np.zeros(plan.shapes[slot], plan.dtype) if kept is None else kept
        inputs.append(Port(name, plan.shapes[slot]))
    inputs.append(Port("step", (), "weak"))
    leaves["step"] = np.array(0.0 if saved is None else float(saved.step))
    names = [value.name for value in outputs]
    nodes = [node for node, _ in writer.used(names)]
    return _model(graph.document, nodes, inputs, outputs, leaves, [], writer)


# --- the model -------------------------------------------------------------------------------------------------------


def _tell_of_kernels(writer: ModelWriter, tell: Tell) -> None:
    missing = sorted({node.op_type for node in writer.nodes} & NO_DOUBLE)
    if missing and not writer.is_single:
        tell(f"onnxruntime has no {', '.join(missing)} of float64: for it, export with --dtype float32")


def _model(
    document: Document,
    nodes: Sequence[Any],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    leaves: Mapping[str, Any],
    functions: Sequence[Any],
    writer: ModelWriter,
) -> bytes:
    """Return the bytes of a model; what has a value in `leaves` and is an input too has it as its default."""
    onnx = load_onnx()
    size = sum(math.prod(np.shape(value)) for value in leaves.values()) * 8
    if size > LARGEST:
        raise UsageError(f"a model has at most 2 GiB, and the leaves of this graph have {size:,} bytes")
    made = [
        [onnx.helper.make_tensor_value_info(v.name, writer.type_of(v.kind), list(v.shape)) for v in values]
        for values in (inputs, outputs)
    ]
    initializers = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in leaves.items()]
    name = document.source.name.replace("\\", "/").rpartition("/")[2]
    graph = onnx.helper.make_graph(list(nodes), name, *made, initializers, document.description)
    opsets = [onnx.helper.make_opsetid("", OPSET), *([onnx.helper.make_opsetid(DOMAIN, 1)] if functions else [])]
    model = onnx.helper.make_model(
        graph,
        opset_imports=opsets,
        functions=list(functions),
        producer_name="graphrun",
        producer_version=__version__,
        ir_version=IR_VERSION,
    )
    onnx.helper.set_model_props(model, {"graphrun": _text_of(document)})
    return bytes(model.SerializeToString(deterministic=True))


def _text_of(document: Document) -> str:
    """Return the graph file: as it was written, or with what was set and included put into it."""
    is_whole = all(subgraph.problems.source is document.source for subgraph in document.subgraphs.values())
    is_whole = is_whole and bool(document.source.text) and not document.source.overrides
    return document.source.text if is_whole else dump_document(document)
