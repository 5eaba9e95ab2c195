"""Writes the values of a plan as nodes of an ONNX model: as its types' operators, else as the trace has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphrun.declare.arrays import INT
from graphrun.declare.trace import BOOL, FLOAT, Expression, inputs_first
from graphrun.engines.array_trace import PlanTrace
from graphrun.plan.plan import Batch, Plan
from graphrun.show.onnx import load_onnx
from graphrun.show.onnx.operators import has_operator, operator_call
from graphrun.show.onnx.primitives import PRIMITIVES, Call
from graphrun.show.onnx.sizes import FixedRowsError, RowMultiple, Size, Twins


class ModelWriter:
    """Makes the nodes of a model.

    Args:
        plan: what is computed.
        rows: two plans at other numbers of rows, traced beside it: a first and a second one; None for fixed sizes.

    Attributes:
        nodes: the nodes so far.
        owners: for each of them the name of the graph's node that it is of.
        owner: that of the node which is written now.
        leaves: the names of the leaves that nodes read, by slot.
        is_single: whether numbers are float32.
    """

    def __init__(self, plan: Plan, second: Plan | None = None, rows: tuple[int, int] | None = None) -> None:
        self.onnx = load_onnx()
        self.plan = plan
        self.is_single = plan.dtype == np.float32
        self.twins = Twins(rows)
        self.trace = PlanTrace(plan)
        self.second = self.trace if second is None else PlanTrace(second)
        self.nodes: list[Any] = []
        self.owners: list[str] = []
        self.owner = ""
        self.leaves: dict[int, str] = {}
        self._names: dict[Expression, str] = {}
        self._numbers: dict[Any, str] = {}
        self._count = 0
        self._symbols: dict[str, str] = {}

    # --- values ---

    def forward(self, batches: Sequence[Batch]) -> None:
        """Write some nodes of the graph, each a value of its own name.

        Raises:
            NotSupportedError: ONNX has no operator for what a node computes.
            FixedRowsError: what a node computes is not the same for any number of rows.
        """
        self.trace.forward(batches)
        if self.second is not self.trace:
            self.second.forward(self.second.plan.batches)
        for batch, slot, inputs in self.plan.nodes(batches):
            self.owner = self.plan.names[slot] or ""
            try:
                self._forward(batch, slot, inputs)
            except FixedRowsError as error:
                raise FixedRowsError(f"node {self.owner!r} {error}") from None

    def _forward(self, batch: Batch, slot: int, inputs: list[int]) -> None:
        value, second = self.trace.values[slot], self.second.values[slot]
        failure = None
        try:
            self.twins.match(value, second)
        except FixedRowsError as error:
            failure = error
        shapes = [self.plan.shapes[source] for source in inputs]
        call = None
        if has_operator(batch.type.name) and batch.type.is_built_in and value not in self._names:
            names = [self.value(self.trace.recorder.cast(self.trace.values[source])) for source in inputs]
            call = operator_call(self, batch.type.name, dict(batch.settings), shapes, names)
        if call is not None:
            self.twins.pair(value, second)
            self._names[value] = self._call(call, self.owner)
        elif failure is not None:
            raise failure
        else:
            self.value(value, self.owner)

    def value(self, root: Any, name: str | None = None) -> str:
        """Return the name of an expression's value, after writing what it is made of.

        With a name, it has that one, whatever others it has.
        """
        for expression in inputs_first([root], self._names):
            if expression in self._names or expression.is_constant:
                continue
            if expression.operation == "input":
                self._names[expression] = self.symbol(expression.value)
                continue
            arguments = [self._argument(x) for x in expression.arguments]
            call = PRIMITIVES[expression.operation](self, expression, *arguments)
            self._names[expression] = self._call(call, name if expression is root else None)
        found = self._argument(root)
        return found if name in {None, found} else self.node("Identity", [found], name)

    def symbol(self, symbol: str) -> str:
        """Return the name in the model of what a trace calls ``v3``, ``step`` or, of a state, ``mean.3``."""
        state, _, slot = symbol.partition(".")
        if symbol == "step":
            return symbol
        if slot:
            return f"{self.plan.names[int(slot)]}/{state}"
        name = self.plan.names[int(symbol[1:])] or ""
        self.leaves[int(symbol[1:])] = name
        return name

    def _argument(self, expression: Any) -> str:
        if not expression.is_constant:
            return self._names[expression]
        value = self.twins.setting(expression)
        if not isinstance(value, RowMultiple):
            return self.number(value, expression.kind)
        count = self.node("Cast", [self.node("Squeeze", [self.rows()])], to=self.type_of(expression.kind))
        return count if value.factor == 1 else self.node("Mul", [count, self.number(value.factor, expression.kind)])

    # --- nodes ---

    def node(self, operator: str, inputs: Sequence[str], name: str | None = None, /, **attributes: Any) -> str:
        """Write a node, and return the name of its output."""
        return self._call(Call(operator, inputs, attributes), name)

    def _call(self, call: Call, name: str | None) -> str:
        name = name or self._new()
        outputs = [*(self._new() for _ in range(call.outputs_before)), name]
        made = self.onnx.helper.make_node(call.operator, list(call.inputs), outputs, name, **call.attributes)
        self.nodes.append(made)
        self.owners.append(self.owner)
        return name

    def _new(self) -> str:
        self._count += 1
        return f"{self.owner}/{self._count}"

    def number(self, value: Any, kind: str) -> str:
        """Return the name of a known number or array."""
        dtype = {BOOL: np.dtype(bool), INT: np.dtype(np.int64), FLOAT: self.plan.dtype}.get(kind, np.dtype(np.float64))
        array = np.asarray(value, dtype)
        key = self.owner, array.shape, dtype.str, array.tobytes()
        if key not in self._numbers:
            tensor = self.onnx.numpy_helper.from_array(array)
            self._numbers[key] = self.node("Constant", [], value=tensor)
        return self._numbers[key]

    def integers(self, values: Sequence[int]) -> str:
        """Return the name of a vector of whole numbers."""
        return self.number(np.asarray(values, np.int64).reshape(-1), INT)

    def shape(self, sizes: Sequence[Size]) -> str:
        """Return the name of a shape, computed where it depends on the number of rows."""
        if not any(isinstance(size, RowMultiple) for size in sizes):
            return self.integers([int(size) for size in sizes])  # type: ignore[arg-type]
        parts = []
        for size in sizes:
            if not isinstance(size, RowMultiple):
                parts.append(self.integers([size]))
            elif size.factor == 1:
                parts.append(self.rows())
            else:
                parts.append(self.node("Mul", [self.rows(), self.integers([int(size.factor)])]))
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, axis=0)

    def rows(self) -> str:
        """Return the name of the number of rows, as a vector of one."""
        key = "rows"
        if key not in self._symbols:
            owner, self.owner = self.owner, ""
            column = self.symbol(f"v{self.plan.data[0]}")
            self._symbols[key] = self.node("Shape", [column], start=0, end=1)
            self.owner = owner
        return self._symbols[key]

    def type_of(self, kind: str) -> int:
        """Return ONNX's number of the type of a kind."""
        types = self.onnx.TensorProto
        single = types.FLOAT if self.is_single else types.DOUBLE
        return int({BOOL: types.BOOL, INT: types.INT64, FLOAT: single}.get(kind, types.DOUBLE))

    def used(self, outputs: Sequence[str]) -> Iterator[tuple[Any, str]]:
        """Yield the nodes that outputs are made of, and whose they are."""
        wanted = set(outputs)
        kept = []
        for node, owner in zip(reversed(self.nodes), reversed(self.owners), strict=True):
            if not wanted.isdisjoint(node.output):
                wanted.update(node.input)
                kept.append((node, owner))
        yield from reversed(kept)
