"""The backward pass as nodes of a graph file: derivatives as expressions of its values and of each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun import nodes
from graphrun.declare.array_operations import Shape
from graphrun.declare.declaration import Declaration
from graphrun.declare.notation import AS_IT_IS, ATOM, CHOICE, OPERATORS, PRODUCT, Bound, Form, Notation, signed
from graphrun.declare.operations import COMPARISONS, FORMULAS, LOGICAL
from graphrun.declare.trace import Expression, count_uses, inputs_first
from graphrun.engines.array_trace import PlanTrace
from graphrun.engines.numpy import Operation, backward
from graphrun.engines.traced import NotSupportedError
from graphrun.plan.plan import Batch, Plan

LONGEST = 12
"""So many operations are written as one expression at most."""

MOST_LISTED = 100_000
"""Known arrays of more elements are not written into a file."""

TYPES = {declared.name for declared in nodes.graphrun_node_types()}

_NAMES = """
add subtract multiply negative abs sign floor ceil round maximum minimum where identity square sum mean matmul reshape
permute_dims matrix_transpose expand_dims squeeze cast number broadcast sin cos tanh atan erf sigmoid relu softsign
"""
FINITE = {*COMPARISONS, *LOGICAL, *_NAMES.split()}
"""What gives finite numbers of finite ones: operations and node types."""

LARGE = 1e38
"""In every dtype, what is not finite is above it."""


def _number(value: float, _kind: str) -> Bound:
    if not math.isfinite(value):
        # Graph files have no such numbers.
        return ("0 / 0" if math.isnan(value) else f"{math.copysign(1, value):g} / 0"), PRODUCT
    return signed(f"{value:g}" if float(f"{value:g}") == value else repr(float(value)))


NOTATION = Notation(
    forms={
        **{name: OPERATORS[name] for name in ("add", "subtract", "multiply", "divide", "negative", "pow")},
        "matmul": Form("{0} @ {1}", PRODUCT, (PRODUCT, PRODUCT + 1)),
        "floor_divide": Form("floor({0} / {1})", ATOM, (PRODUCT, PRODUCT + 1)),
        "trunc": Form("sign({0}) * floor(abs({0}))", PRODUCT, (CHOICE,)),
        "cast": AS_IT_IS,
        "number": AS_IT_IS,
    },
    functions={"permute": "permute_dims", "broadcast": "broadcast_to", "take_along": "take_along_axis"},
    number=_number,
    truths=("0", "1"),
    is_for_readers=True,
)
"""The expressions of graph files."""


class BackwardNodes(PlanTrace):
    """Writes derivatives of a plan's values, each a node of its own.

    Args:
        plan: of the graph; its values are known by their names.
        taken: names that no node may have; those of the nodes are added.

    Attributes:
        nodes: what was written: the expressions of nodes by their names, in order.
        constants: known arrays that they read, by name.
    """

    def __init__(self, plan: Plan, taken: set[str]) -> None:
        super().__init__(plan)
        self.recorder.is_exact = True
        self.taken = taken
        self.nodes: dict[str, str] = {}
        self.constants: dict[str, Any] = {}
        self._texts = {f"v{slot}": (name or "", ATOM) for slot, name in enumerate(plan.names)}
        self._written: dict[Expression, Bound] = {}
        self._numbers: dict[str, Iterator[int]] = {}
        self._finite = {id(value) for value in self.values[: len(plan.leaves)]}
        for batch, slot, inputs in plan.nodes():
            value = self.values[slot] = self.recorder.array(f"v{slot}", plan.shapes[slot])
            arguments = [self.values[source] for source in inputs]
            if _keeps_finite(batch.type.name, arguments) and self._finite.issuperset(map(id, arguments)):
                self._finite.add(id(value))

    def differentiate(
        self,
        target: int,
        by: NDArray[np.bool_],
        name: Callable[[int], str],
        *,
        results: Container[int] | None = None,
        parts: str = "",
        rows: bool = False,
    ) -> dict[int, str]:
        """Write the derivatives of the sum of a value by all that depends on some values; return their names by slot.

        Args:
            target: the slot of the value.
            by: for each slot, whether it depends on one of these values or is one.
            name: returns the name for the derivative by a slot.
            results: the slots by which derivatives are nodes whatever they are, by default all; others are left out
                where they are no more than a number or another name.
            parts: what the names of parts begin with that are nodes of their own, by default that of the derivative.
            rows: whether the number of rows may change, so that no shape is written that can be avoided.

        Raises:
            NotSupportedError: a node type cannot be traced or has no derivative, or there is no node type for an
                operation; the text says which.
        """
        roots: dict[int, tuple[str, Any]] = {}
        symbols: dict[int, Any] = {}

        def named(slot: int, gradient: Any) -> Any:
            if slot not in symbols:
                known = gradient.arguments[0] if gradient.operation == "broadcast" else gradient
                is_short = known.is_constant or gradient.operation == "input"
                symbols[slot] = gradient
                if is_short and results is not None and slot not in results:
                    return gradient
                own = self.new(name(slot))
                roots[slot] = own, gradient
                if not known.is_constant:
                    # No value is called so.
                    symbols[slot] = self.recorder.array(f"d {own}", gradient.shape)
                    self._texts[f"d {own}"] = own, ATOM
            return symbols[slot]

        def pull(batch: Batch, operation: Operation, gradient: Any, values: Any) -> Iterator[tuple[Any, Any]]:
            if batch.type.derivative is None and any(by[slot] for slot in operation.inputs):
                raise NotSupportedError(f"{batch.type.name} ({batch.type.file}) declares no derivative")
            if batch.type.takes_training and results is not None:
                raise NotSupportedError(f"{batch.type.name} is another function where rows are only evaluated")
            yield from operation.pull(named(operation.output, gradient), values)

        operations = [
            operation._replace(pull=partial(pull, batch, operation))
            for batch in self.plan.batches
            if batch.start <= target and by[batch.start : batch.stop].any()
            for operation in self._operations([batch], by)
            if by[operation.output]
        ]
        make, shape = self.recorder, self.plan.shapes[target]
        value = self.values[target]
        one = make.cast(make.make("equal", value, value)) if rows and shape else make.broadcast(make.cast(1.0), shape)
        for slot, gradient in backward(operations, self.values, target, one).items():
            named(slot, gradient)
        self.write(list(roots.values()), parts)
        return {slot: own for slot, (own, _) in roots.items()}

    def zero(self, slot: int, *, rows: bool = False) -> Any:
        """Return a derivative by a value that is zero."""
        if rows and self.plan.shapes[slot]:
            return self.recorder.cast(self.recorder.make("not_equal", self.values[slot], self.values[slot]))
        return self.recorder.broadcast(self.recorder.cast(0.0), self.plan.shapes[slot])

    def called(self, y: int, x: int) -> str:
        """Return what the derivative of a value by another is called, by their slots."""
        return f"d{self.plan.names[y]}_d{self.plan.names[x]}".replace(".", "_")

    def new(self, name: str) -> str:
        """Return a name that is not taken."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def write(self, roots: Sequence[tuple[str, Any]], parts: str = "") -> None:
        """Write expressions as nodes of these names; what is used twice, or is long, is a node of its own."""
        uses = count_uses([root for _, root in roots], self._written)
        for name, root in roots:
            prefix = parts or f"{name}_part_"
            numbers = self._numbers.setdefault(prefix, count(1))
            sizes: dict[int, int] = {}
            for expression in inputs_first([root], self._written):
                if expression in self._written:
                    continue
                size = sizes[id(expression)] = 1 + sum(sizes.get(id(x), 0) for x in expression.arguments)
                if isinstance(expression.value, np.ndarray) and expression.is_constant:
                    own = self.new(f"{prefix}{next(numbers)}")
                    self._written[expression] = own, ATOM
                    self.constants[own] = _listed(expression.value)
                    continue
                found = self._term(expression)
                is_shared = uses[id(expression)] > 1 and expression.operation != "negative"
                if expression is not root and (is_shared or size > LONGEST) and not self._is_short(expression):
                    own = self.new(f"{prefix}{next(numbers)}")
                    self.nodes[own], found = found[0], (own, ATOM)
                    sizes[id(expression)] = 1
                self._written[expression] = found
            text = self._written[root][0]
            if root.is_constant and not root.shape:
                number = float(root.value)
                self.constants[name] = int(number) if number.is_integer() else number
                continue
            self.nodes[name] = text
            if not self._is_short(root):
                self._written[root] = name, ATOM

    def _is_short(self, expression: Any) -> bool:
        while expression.operation in {"cast", "number"}:
            (expression,) = expression.arguments
        return not expression.arguments

    def _term(self, expression: Any) -> Bound:
        """Write an expression whose arguments are written already."""
        operation, setting = expression.operation, expression.value
        if operation == "input":
            return self._texts[setting]
        if expression.is_constant:
            return NOTATION.constant(setting, expression.kind)
        parts = [self._written[x] for x in expression.arguments]
        texts = [text for text, _ in parts]
        if operation in SETTINGS:
            name, settings = SETTINGS[operation](setting, *(x.shape for x in expression.arguments))
            if operation == "add_rows":
                # Of a negative index, the row is counted from the end.
                texts = [texts[1], f"remainder({texts[0]}, {setting})"]
            elif operation == "argmin":
                texts = [f"-({texts[0]})"]
        elif operation == "add" and _is_number(expression.arguments[0]) and not expression.arguments[0].value:
            # An array of zeros that something was added to.
            return parts[1]
        elif operation == "slice":
            return _sliced(texts[0], setting, expression.arguments[0].shape)
        elif operation in NOTATION.forms:
            return NOTATION.apply(operation, parts, expression.arguments)
        else:
            name, settings = operation, ""
        if name not in TYPES:
            raise NotSupportedError(f"there is no node type for the operation {operation}")
        return f"{name}({', '.join(texts)}{settings})", ATOM

    def _product(self, gradient: Any, part: Any) -> Any:
        """Multiply; where a part is not finite, zero times it is zero, and its derivative by the gradient too."""
        make = self.recorder
        if not self._is_finite(part):
            is_finite = make.make("less", make.make("abs", part), LARGE)
            is_kept = make.make("logical_or", make.make("not_equal", gradient, 0.0), is_finite)
            part = make.make("where", is_kept, part, 0.0)
        return make.make("multiply", gradient, part)

    def _is_finite(self, expression: Any) -> bool:
        return all(
            id(x) in self._finite
            or (bool(np.isfinite(x.value).all()) if x.is_constant else _keeps_finite(x.operation, x.arguments))
            for x in inputs_first([expression])
        )

    def _call(self, declared: Declaration, *arguments: Any) -> Any:
        """Trace the formula of a textbook, and what is computed where that names what no node type is."""
        found = super()._call(declared, *arguments)
        parts = [x for x in (found if isinstance(found, tuple | list) else [found]) if isinstance(x, Expression)]
        if all(x.operation in TYPES or x.operation not in FORMULAS for x in inputs_first(parts)):
            return found
        self.recorder.is_exact = False
        try:
            return super()._call(declared, *arguments)
        finally:
            self.recorder.is_exact = True

    def _as_index(self, value: Any) -> Any:
        """Return positions as integers: node types look at them themselves."""
        return self.recorder.integers(value)


def _keeps_finite(name: str, arguments: Sequence[Any]) -> bool:
    """Whether an operation or a node type gives finite numbers of finite ones."""
    last = float(arguments[-1].value) if name in {"pow", "divide"} and _is_number(arguments[-1]) else 0.0
    return name in FINITE or (last != 0 if name == "divide" else last >= 1 and last.is_integer())


def _is_number(expression: Any) -> bool:
    return bool(expression.is_constant and not expression.shape)


def _listed(array: NDArray[Any]) -> Any:
    if array.size > MOST_LISTED:
        raise NotSupportedError(f"it needs {array.size:,} known numbers, which is too many for a graph file")
    if not np.isfinite(array).all():
        raise NotSupportedError("it needs known numbers that are not finite, which a graph file has not")
    return np.asarray(array, np.float64).tolist()


def _sliced(text: str, pieces: Sequence[tuple[int, int, int]], shape: Sequence[int]) -> Bound:
    for axis, (start, size, step) in enumerate(pieces):
        if (start, size, step) != (0, shape[axis], 1):
            stop = start + size * step
            settings = (
                f"start={start}" + (f", stop={stop}" if stop >= 0 else "") + (f", step={step}" if step != 1 else "")
            )
            text = f"slice({text}, {settings}, axis={axis})"
    return text, ATOM


def _along(name: str) -> Callable[..., tuple[str, str]]:
    """Return what writes a reduction."""
    return lambda axes, x: (name, "" if len(axes) == len(x) else f", axis={list(axes)}")


def _reshaped(shape: Shape, x: Shape) -> tuple[str, str]:
    """Write what only drops or adds an axis of size 1 as such, which holds for any number of rows."""
    for axis in range(max(len(shape), len(x))):
        if x[:axis] + x[axis + 1 :] == shape and x[axis] == 1:
            return "squeeze", f", axis={axis}"
        if shape[:axis] + shape[axis + 1 :] == x and shape[axis] == 1:
            return "expand_dims", f", axis={axis}"
    return "reshape", f", shape={list(shape)}"


SETTINGS: dict[str, Callable[..., tuple[str, str]]] = {
    "reshape": _reshaped,
    "permute": lambda axes, _: ("permute_dims", f", axes={list(axes)}"),
    "broadcast": lambda shape, _: ("broadcast_to", f", shape={list(shape)}"),
    **{name: _along(name) for name in ("sum", "prod", "max", "min")},
    **dict.fromkeys(("argmax", "argmin"), lambda axis, _: ("argmax", f", axis={axis}")),
    **{
        name: partial(lambda name, axis, *_: (name, f", axis={axis}"), name)
        for name in ("cumulative_sum", "cumulative_prod", "take", "concat")
    },
    "take_along": lambda axis, *_: ("take_along_axis", f", axis={axis}"),
    "add_rows": lambda number, *_: ("segment_sum", f", num_segments={number}"),
    "einsum": lambda subscripts, *_: ("einsum", f", subscripts='{subscripts}'"),
}
"""For operations with a setting the node type, and the settings as they are written behind the inputs."""
